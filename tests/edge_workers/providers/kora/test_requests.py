"""What is sent to Kora, to the letter."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import StartPayment
from edge_workers.providers.errors import Rejected
from edge_workers.providers.kora import KoraApi, KoraPayments
from tests.contracts.peer import Peer, Said, peer

CREATED = json.dumps(
    {
        "status": True,
        "message": "Charge created successfully",
        "data": {
            "checkout_url": "http://pay.example/x",
            "auth_data": {"redirect_url": "http://bank.example/x"},
        },
    }
).encode()

REQUEST = StartPayment(
    payment_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
    reference="order-0001",
    method="kora_checkout",
    amount=Decimal("12500.00"),
    currency="XAF",
    country="CM",
    language="fr",
    customer_email="aicha@example.cm",
)


def payments(gateway: Peer, **options: bool) -> KoraPayments:
    api = KoraApi(secret_key="sk_test_1", base_url=f"{gateway.url}/", timeout_seconds=5.0)
    return KoraPayments(api, **options)


def sent(request: StartPayment, **options: bool) -> tuple[str, bytes, dict[str, str]]:
    with peer(Said(200, CREATED)) as gateway:
        payments(gateway, **options).start(request)
    return gateway.heard[0].path, gateway.heard[0].raw, gateway.heard[0].headers


def test_the_key_and_the_type_are_in_the_headers() -> None:
    path, _, headers = sent(REQUEST)
    assert path == "/merchant/api/v1/charges/initialize"
    assert headers["authorization"] == "Bearer sk_test_1"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("12500.00", "XAF", b'"amount":12500,'),
        ("1E+3", "XAF", b'"amount":1000,'),
        ("199.90", "ZAR", b'"amount":199.9,'),
        ("0.29", "ZAR", b'"amount":0.29,'),
        ("70.07", "ZAR", b'"amount":70.07,'),
    ],
)
def test_an_amount_is_a_number_and_exact(amount: str, currency: str, text: bytes) -> None:
    request = dataclasses.replace(REQUEST, amount=Decimal(amount), currency=currency)
    assert text in sent(request)[1]


def test_what_is_empty_is_left_out() -> None:
    assert json.loads(sent(REQUEST)[1]) == {
        "reference": "order-0001",
        "amount": 12500,
        "currency": "XAF",
        "customer": {"email": "aicha@example.cm"},
        "merchant_bears_cost": True,
    }


def test_metadata_is_fitted_to_the_limits() -> None:
    metadata = {
        "order_number": "MG-1",
        "a key that is far too long": "x" * 80,
        "__": "no name left",
        "empty": "",
        "c": "3",
        "d": "4",
        "e": "5",
        "f": "6",
    }
    body = json.loads(sent(dataclasses.replace(REQUEST, metadata=metadata))[1])
    assert body["metadata"] == {
        "order-number": "MG-1",
        "a-key-that-is-far-to": "x" * 50,
        "c": "3",
        "d": "4",
        "e": "5",
    }


def test_a_direct_bank_charge_has_to_be_switched_on() -> None:
    request = dataclasses.replace(
        REQUEST, method="eft", amount=Decimal("14.50"), currency="ZAR", bank_code="250655"
    )
    path, raw, _ = sent(request)
    assert path.endswith("/charges/initialize")
    assert json.loads(raw)["channels"] == ["pay_with_bank"]

    path, raw, _ = sent(request, bank_charges=True)
    assert path.endswith("/charge/pay-with-bank")
    assert b'"amount":14.5,' in raw
    assert json.loads(raw)["bank_code"] == "250655"

    _, raw, _ = sent(request, bank_charges=True, bank_charges_in_cents=True)
    assert b'"amount":1450,' in raw

    path, _, _ = sent(dataclasses.replace(request, bank_code=None), bank_charges=True)
    assert path.endswith("/charges/initialize")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "mtn_momo", "phone": None}, "phone_invalid"),
        ({"method": "mtn_momo", "phone": "671112233x"}, "phone_invalid"),
        ({"method": "mtn_momo", "phone": "٦٧١١١٢٢٣٣"}, "phone_invalid"),
        ({"method": "orange_money", "phone": "+"}, "phone_invalid"),
        ({"customer_email": ""}, "email_required"),
        ({"reference": "x" * 51}, "reference_invalid"),
        ({"reference": "short"}, "reference_invalid"),
    ],
)
def test_what_kora_would_refuse_is_not_sent(changes: dict[str, Any], code: str) -> None:
    with peer() as gateway:
        with pytest.raises(Rejected) as failure:
            payments(gateway).start(dataclasses.replace(REQUEST, **changes))
        assert (failure.value.code, gateway.heard) == (code, [])


def test_a_web_address_must_be_encrypted_where_kora_is() -> None:
    api = KoraApi(secret_key="sk", base_url="https://api.example", timeout_seconds=1.0)
    is_safe = KoraPayments(api)._is_safe
    assert is_safe("https://checkout.korapay.com/x/pay")
    for url in (
        "http://checkout.korapay.com",
        "javascript:alert(1)",
        "https://",
        "//x",
        "https://[",
        "https://user@evil.example",
    ):
        assert not is_safe(url)
