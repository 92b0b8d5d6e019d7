"""What is sent to MTN, to the letter, and what is never sent."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentQuery,
    RefundQuery,
    RefundRequest,
    StartPayment,
)
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest
from edge_workers.providers.errors import Misconfigured, Rejected
from edge_workers.providers.mtn import MtnPayments, MtnPayouts, MtnProduct
from tests.contracts.peer import Peer, Said, peer

API_USER = "c72025f5-5cd1-4630-99e4-8ba4722fad56"
API_KEY = "f1db798c98df4bcf83b538175893bbf0"
PAYMENT_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001"
TOKEN = Said(200, b'{"access_token":"abc","token_type":"access_token","expires_in":3600}')
ACCEPTED = Said(202, b"")

REQUEST = StartPayment(
    payment_id=PAYMENT_ID,
    reference="mg-0123456789abcdef01234567",
    method="mtn_momo",
    amount=Decimal("12500.00"),
    currency="XAF",
    country="CM",
    language="fr",
    customer_email="aicha@example.cm",
    phone="+237671112233",
    description="Mallgram MG-1001",
)
REFUND = RefundRequest(
    refund_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0002",
    refund_reference="rf-0123456789abcdef01234567",
    payment_id=PAYMENT_ID,
    payment_reference=REQUEST.reference,
    currency="XAF",
    amount=Decimal(500),
)
PAYOUT = PayoutRequest(
    payout_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0003",
    reference="po-0123456789abcdef01234567",
    amount=Decimal(15000),
    currency="XAF",
    country="CM",
    channel="mobile_money",
    account="237671112233",
    institution="MTN",
    recipient_name="A B",
    recipient_email="a@b.cm",
)


def product(name: Any, url: str, **changes: Any) -> MtnProduct:
    settings: dict[str, Any] = {
        "subscription_key": f"{name}-key",
        "api_user": API_USER,
        "api_key": API_KEY,
        "base_url": f"{url}/",
        "target_environment": "mtncameroon",
        "currency": "XAF",
        "timeout_seconds": 5.0,
    }
    return MtnProduct(name, **{**settings, **changes})


def payments(gateway: Peer, **changes: Any) -> MtnPayments:
    return MtnPayments(
        product("collection", gateway.url, **changes),
        product("disbursement", gateway.url, **changes),
        refunds=True,
    )


def test_vector_m_1_the_api_user_and_key_are_basic_credentials_without_a_body() -> None:
    with peer(TOKEN, ACCEPTED) as gateway:
        payments(gateway).start(REQUEST)
    token = gateway.heard[0]
    assert (token.method, token.path, token.raw) == ("POST", "/collection/token/", b"")
    assert token.headers["authorization"] == (
        "Basic YzcyMDI1ZjUtNWNkMS00NjMwLTk5ZTQtOGJhNDcyMmZhZDU2"
        "OmYxZGI3OThjOThkZjRiY2Y4M2I1MzgxNzU4OTNiYmYw"
    )
    assert token.headers["content-length"] == "0"
    assert token.headers["ocp-apim-subscription-key"] == "collection-key"


def test_a_request_to_pay_has_its_headers_and_texts() -> None:
    with peer(TOKEN, ACCEPTED) as gateway:
        payments(gateway, target_environment=" mtncameroon ").start(
            dataclasses.replace(REQUEST, notify_url="https://shop.example/hook/1")
        )
    heard = gateway.heard[1]
    assert (heard.method, heard.path) == ("POST", "/collection/v1_0/requesttopay")
    wanted = {
        "authorization": "Bearer abc",
        "ocp-apim-subscription-key": "collection-key",
        "x-target-environment": "mtncameroon",
        "x-reference-id": PAYMENT_ID,
        "x-callback-url": "https://shop.example/hook/1",
        "content-type": "application/json",
    }
    assert {name: heard.headers.get(name) for name in wanted} == wanted
    assert json.loads(heard.raw) == {
        "amount": "12500",
        "currency": "XAF",
        "externalId": "mg-0123456789abcdef01234567",
        "payer": {"partyIdType": "MSISDN", "partyId": "237671112233"},
        "payerMessage": "Mallgram MG 1001",
        "payeeNote": "Mallgram MG 1001",
    }


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("1E+3", "XAF", "1000"), ("199.90", "ZAR", "199.9"), ("0.05", "ZAR", "0.05")],
)
def test_an_amount_is_a_text_and_exact(amount: str, currency: str, text: str) -> None:
    with peer(TOKEN, ACCEPTED) as gateway:
        payments(gateway, currency=currency).start(
            dataclasses.replace(REQUEST, amount=Decimal(amount), currency=currency)
        )
    assert json.loads(gateway.heard[1].raw)["amount"] == text


def test_without_an_address_no_callback_is_asked_for_and_a_note_is_never_empty() -> None:
    with peer(TOKEN, ACCEPTED) as gateway:
        payments(gateway).start(dataclasses.replace(REQUEST, description="—"))
    assert "x-callback-url" not in gateway.heard[1].headers
    assert json.loads(gateway.heard[1].raw)["payerMessage"] == "mg 0123456789abcdef01234567"


def test_each_product_has_a_token_of_its_own() -> None:
    with peer(TOKEN, ACCEPTED, TOKEN, ACCEPTED, ACCEPTED) as gateway:
        provider = payments(gateway)
        provider.start(REQUEST)
        provider.refund(REFUND)
        provider.refund(REFUND)
    assert [heard.path for heard in gateway.heard] == [
        "/collection/token/",
        "/collection/v1_0/requesttopay",
        "/disbursement/token/",
        "/disbursement/v1_0/refund",
        "/disbursement/v1_0/refund",
    ]
    keys = [heard.headers["ocp-apim-subscription-key"] for heard in gateway.heard]
    assert keys == ["collection-key"] * 2 + ["disbursement-key"] * 3


def test_in_mtns_test_environment_euros_stand_for_francs() -> None:
    answer = Said(
        200, b'{"externalId":"x","amount":"12500","currency":"EUR","status":"SUCCESSFUL"}'
    )
    settings = {"target_environment": "sandbox", "currency": "EUR"}
    query = PaymentQuery(payment_id=PAYMENT_ID, reference="x", currency="XAF")
    with peer(TOKEN, ACCEPTED, answer) as gateway:
        provider = payments(gateway, **settings)
        provider.start(REQUEST)
        result = provider.fetch(query)
    assert json.loads(gateway.heard[1].raw)["currency"] == "EUR"
    assert (result.amount, result.currency) == (Decimal(12500), "XAF")
    with peer(TOKEN, answer) as gateway:
        assert payments(gateway).fetch(query).currency == "EUR"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"phone": None}, "phone_invalid"),
        ({"phone": "0671112233"}, "phone_invalid"),
        ({"phone": "+237 671 112 233"}, "phone_invalid"),
        ({"phone": "٦٧١١١٢٢٣٣"}, "phone_invalid"),
        ({"phone": "+"}, "phone_invalid"),
        ({"currency": "ZAR"}, "currency_unsupported"),
        ({"amount": Decimal("0.5")}, "amount_invalid"),
        ({"reference": "mg 1"}, "reference_invalid"),
        ({"payment_id": "7b0c3b0e-5a4e-1c39-9a0e-0d6f6f0d0001"}, "reference_invalid"),
        ({"payment_id": PAYMENT_ID.upper()}, "reference_invalid"),
        ({"payment_id": "../token/"}, "reference_invalid"),
        ({"method": "orange_money"}, "method_unsupported"),
    ],
)
def test_what_mtn_would_refuse_is_not_sent(changes: dict[str, Any], code: str) -> None:
    with peer() as gateway:
        with pytest.raises(Rejected) as failure:
            payments(gateway).start(dataclasses.replace(REQUEST, **changes))
        assert (failure.value.code, gateway.heard) == (code, [])


def test_no_question_is_asked_under_an_id_that_is_none() -> None:
    with peer() as gateway:
        provider = payments(gateway)
        with pytest.raises(Rejected):
            provider.fetch(PaymentQuery(payment_id="../../x", reference="mg-1"))
        assert gateway.heard == []


def test_refunds_may_be_switched_off_and_those_sent_before_are_still_asked_for() -> None:
    query = RefundQuery(
        refund_id=REFUND.refund_id,
        refund_reference=REFUND.refund_reference,
        payment_id=PAYMENT_ID,
        payment_reference=REQUEST.reference,
        currency="XAF",
    )
    answer = Said(200, b'{"amount":500,"currency":"XAF","status":"SUCCESSFUL"}')
    with peer(TOKEN, answer) as gateway:
        collection = product("collection", gateway.url)
        disbursement = product("disbursement", gateway.url)
        for off in (MtnPayments(collection, disbursement), MtnPayments(collection, None)):
            with pytest.raises(Rejected) as failure:
                off.refund(REFUND)
            assert failure.value.code == "refund_unsupported"
        assert gateway.heard == []
        assert MtnPayments(collection, disbursement).fetch_refund(query).status == "refunded"
        with pytest.raises(Misconfigured):
            MtnPayments(collection, None).fetch_refund(query)
        with pytest.raises(Rejected) as failure:
            MtnPayments(collection, None, refunds=True).refund(REFUND)
        assert failure.value.code == "refund_unsupported"


def test_the_payer_types_the_code_on_the_handset_alone() -> None:
    with peer() as gateway:
        with pytest.raises(Rejected) as failure:
            payments(gateway).authorize(
                AuthorizePayment(reference="mg-1", gateway_transaction_id="1", code="1234")
            )
        assert (failure.value.code, gateway.heard) == ("code_refused", [])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"account": "+27"}, "account_invalid"),
        ({"account": "62-001"}, "account_invalid"),
        ({"channel": "bank_account"}, "channel_unsupported"),
        ({"institution": "orange"}, "institution_invalid"),
        ({"currency": "ZAR"}, "currency_unsupported"),
        ({"payout_id": "1"}, "reference_invalid"),
        ({"reference": ""}, "reference_invalid"),
    ],
)
def test_what_mtn_would_not_pay_out_is_not_sent(changes: dict[str, Any], code: str) -> None:
    with peer() as gateway:
        rail = MtnPayouts(product("disbursement", gateway.url))
        with pytest.raises(Rejected) as failure:
            rail.pay(dataclasses.replace(PAYOUT, **changes))
        assert (failure.value.code, gateway.heard) == (code, [])


def test_a_payout_is_sent_under_its_own_id_and_asks_for_no_callback() -> None:
    with peer(TOKEN, ACCEPTED, Said(404, b'{"code":"RESOURCE_NOT_FOUND"}')) as gateway:
        rail = MtnPayouts(product("disbursement", gateway.url))
        assert rail.pay(PAYOUT).status == "pending"
        query = PayoutQuery(payout_id=PAYOUT.payout_id, reference=PAYOUT.reference)
        assert rail.fetch(query).is_found is False
    sent, asked = gateway.heard[1:]
    assert sent.headers["x-reference-id"] == PAYOUT.payout_id
    assert "x-callback-url" not in sent.headers
    assert asked.path == f"/disbursement/v1_0/transfer/{PAYOUT.payout_id}"
    assert "x-reference-id" not in asked.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"subscription_key": " "},
        {"api_user": ""},
        {"api_key": "clé"},
        {"target_environment": "mtn\ncameroon"},
    ],
)
def test_what_cannot_be_a_key_is_a_case_for_us(changes: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        product("collection", "http://127.0.0.1:9", **changes)
