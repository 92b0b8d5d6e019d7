"""The form that the browser posts, to the letter."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import AuthorizePayment, StartedPayment, StartPayment
from edge_workers.providers.errors import Misconfigured, Rejected
from edge_workers.providers.payfast import Account, PayfastApi, PayfastPayments, Source, mapping
from edge_workers.providers.payfast.payments import plain_text

NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)

REQUEST = StartPayment(
    payment_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
    reference="mg-0123456789abcdef01234567",
    method="card",
    amount=Decimal("199.9"),
    currency="ZAR",
    country="ZA",
    language="en",
    customer_email="thandi@example.co.za",
    customer_name="Thandi Nkosi",
    description="Mallgram MG-1001",
    notify_url="https://shop.example/api/v1/payments/webhook/payfast/0a1b",
    return_url="https://shop.example/api/v1/payments/return/1",
    cancel_url="https://shop.example/api/v1/payments/return/2",
)


def payments(passphrase: str = "jt7NOE43FZPn", **options: bool) -> PayfastPayments:
    api = PayfastApi(
        Account("10000100", "46f0cd694581a", passphrase),
        base_url="https://sandbox.payfast.example/",
        api_base_url="http://127.0.0.1:9",
        is_testing=True,
        timeout_seconds=1.0,
        clock=lambda: NOW,
    )
    return PayfastPayments(api, Source(networks=("127.0.0.1",), hosts=()), **options)


def started(**changes: Any) -> StartedPayment:
    return payments().start(dataclasses.replace(REQUEST, **changes))


def fields(**changes: Any) -> dict[str, str]:
    return dict(started(**changes).action.fields)


def test_the_form_has_its_fields_in_order_and_is_signed() -> None:
    action = started().action
    assert (action.kind, action.url) == ("form", "https://sandbox.payfast.example/eng/process")
    assert action.fields == (
        ("merchant_id", "10000100"),
        ("merchant_key", "46f0cd694581a"),
        ("return_url", "https://shop.example/api/v1/payments/return/1"),
        ("cancel_url", "https://shop.example/api/v1/payments/return/2"),
        ("notify_url", "https://shop.example/api/v1/payments/webhook/payfast/0a1b"),
        ("name_first", "Thandi"),
        ("name_last", "Nkosi"),
        ("email_address", "thandi@example.co.za"),
        ("m_payment_id", "mg-0123456789abcdef01234567"),
        ("amount", "199.90"),
        ("item_name", "Mallgram MG-1001"),
        ("payment_method", "cc"),
        ("signature", "9193bba65a48312f5c3a684bfbc78bd3"),
    )


def test_the_order_is_the_documented_one() -> None:
    names = [name for name, _ in started().action.fields if name != "signature"]
    assert names == [name for name in mapping.FORM_FIELDS if name in names]


def test_a_form_names_no_transaction_and_lives_an_hour() -> None:
    answer = started()
    assert (answer.gateway_transaction_id, answer.gateway_session) == (None, None)
    assert answer.expires_at == datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("10", "10.00"), ("1E+3", "1000.00"), ("0.05", "0.05"), ("70.07", "70.07")],
)
def test_an_amount_has_two_decimals(amount: str, text: str) -> None:
    assert fields(amount=Decimal(amount))["amount"] == text


@pytest.mark.parametrize(("method", "word"), [("card", "cc"), ("eft", "eft")])
def test_the_method_is_chosen_beforehand(method: str, word: str) -> None:
    assert fields(method=method)["payment_method"] == word


def test_what_php_calls_empty_is_never_posted() -> None:
    posted = fields(
        customer_name="0", customer_email="", description=" 0 ", cancel_url="", notify_url=""
    )
    assert sorted(posted) == [
        "amount",
        "item_name",
        "m_payment_id",
        "merchant_id",
        "merchant_key",
        "payment_method",
        "return_url",
        "signature",
    ]
    assert posted["item_name"] == REQUEST.reference
    assert all(value.strip() not in ("", "0") for value in posted.values())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Tee-shirt (S) d'été & co ~ 50% *new*", "Tee-shirt S d ete and co 50 new"),
        ("Aïcha Ngoé", "Aicha Ngoe"),
        ("Œuvre, straße: n° 5/7_a #1.", "OEuvre, strasse: n 5/7_a #1."),
        ("line\r\nbreak\tand\u2028more", "line break and more"),
        ("订单 MG-1", "MG-1"),
        ("订单", ""),
    ],
)
def test_awkward_characters_are_put_plainly(text: str, plain: str) -> None:
    assert plain_text(text) == plain
    assert fields(description=text)["item_name"] == (plain or REQUEST.reference)


def test_texts_are_fitted_to_the_limits() -> None:
    posted = fields(
        description="x" * 99 + " yz",
        customer_name="a" * 150 + " " + "b" * 150,
        customer_email="c" * 90 + "@example.com",
    )
    assert posted["item_name"] == "x" * 99
    assert (posted["name_first"], posted["name_last"]) == ("a" * 100, "b" * 100)
    assert "email_address" not in posted


@pytest.mark.parametrize("email", ["nobody", "a b@example.com", "é@example.com", "a@b@c", "@x"])
def test_an_address_that_payfast_would_refuse_is_left_out(email: str) -> None:
    assert "email_address" not in fields(customer_email=email)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "mtn_momo"}, "method_unsupported"),
        ({"currency": "XAF", "amount": Decimal(100)}, "currency_unsupported"),
        ({"amount": Decimal("0.00")}, "amount_invalid"),
        ({"amount": Decimal("1.005")}, "amount_invalid"),
        ({"reference": "x" * 101}, "reference_invalid"),
        ({"reference": "short"}, "reference_invalid"),
        ({"reference": "mg-1234567 8"}, "reference_invalid"),
    ],
)
def test_what_payfast_would_refuse_is_not_built(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected) as failure:
        started(**changes)
    assert failure.value.code == code


def test_a_passphrase_that_cannot_work_is_our_fault() -> None:
    with pytest.raises(Misconfigured) as failure:
        payments("salt & pepper").start(REQUEST)
    assert (failure.value.code, failure.value.outcome) == ("passphrase_unusable", "nothing_created")


@pytest.mark.parametrize(
    ("tokens", "method", "save_method", "is_kept"),
    [
        (True, "card", True, True),
        (True, "card", False, False),
        (True, "eft", True, False),
        (False, "card", True, False),
    ],
)
def test_a_card_is_kept_where_it_is_asked_for_and_may_be(
    tokens: bool, method: str, save_method: bool, is_kept: bool
) -> None:
    request = dataclasses.replace(REQUEST, method=method, save_method=save_method)
    posted = payments(tokens=tokens).start(request).action.fields
    assert (("subscription_type", "2") in posted) is is_kept


def test_a_kept_card_needs_tokens_to_be_switched_on() -> None:
    request = dataclasses.replace(
        REQUEST, saved_method_token="a3b3ae55-ab8b-b388-df23-4e6882b86ce0"
    )
    with pytest.raises(Rejected) as failure:
        payments(tokens=False).start(request)
    assert failure.value.code == "saved_method_unsupported"
    with pytest.raises(Rejected) as failure:
        payments(tokens=True).start(dataclasses.replace(request, method="eft"))
    assert failure.value.code == "saved_method_unsupported"


@pytest.mark.parametrize("token", ["", "../x", "short", "x" * 65])
def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    request = dataclasses.replace(REQUEST, saved_method_token=token)
    with pytest.raises(Rejected) as failure:
        payments(tokens=True).start(request)
    assert failure.value.code == "saved_method_invalid"


def test_payfast_knows_no_codes() -> None:
    with pytest.raises(Rejected):
        payments().authorize(
            AuthorizePayment(reference="mg-1", gateway_transaction_id="1", code="123456")
        )


def test_no_secret_shows_in_the_adapters_values() -> None:
    shown = repr(Account("10000100", "46f0cd694581a", "jt7NOE43FZPn"))
    assert "10000100" in shown
    assert "46f0cd" not in shown
    assert "jt7NOE" not in shown
