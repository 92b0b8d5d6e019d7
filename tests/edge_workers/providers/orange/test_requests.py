"""What is sent to Orange, to the letter, and what is not sent at all."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import AuthorizePayment, RefundQuery, RefundRequest
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.orange import OrangeApi, OrangePayments
from tests.contracts.peer import Heard, peer
from tests.edge_workers.providers.orange.gate import (
    MERCHANT_KEY,
    NOTIF_TOKEN,
    NOW,
    ORDER_ID,
    PAY_TOKEN,
    QUERY,
    REQUEST,
    SESSION,
    a_status,
    a_token,
    payments,
    said,
)


def sent(currency: str = "XAF", **changes: Any) -> list[Heard]:
    with peer(a_token(), said(SESSION, 201)) as gateway:
        payments(gateway, currency).start(dataclasses.replace(REQUEST, **changes))
    return gateway.heard


def sent_body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(sent(**changes)[1].raw)
    return body


def test_the_token_is_asked_for_with_the_clients_id_and_secret() -> None:
    """Vector O-1."""
    token, _ = sent()
    assert (token.method, token.path) == ("POST", "/oauth/v3/token")
    assert token.headers["authorization"] == "Basic bXlDbGllbnRJZDpteUNsaWVudFNlY3JldA=="
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert token.raw == b"grant_type=client_credentials"


def test_a_session_is_opened_with_the_token() -> None:
    _, create = sent()
    assert (create.method, create.path) == ("POST", "/orange-money-webpay/cm/v1/webpayment")
    assert create.headers["authorization"] == "Bearer token-1"
    assert create.headers["content-type"] == "application/json"
    assert create.headers["accept"] == "application/json"
    assert json.loads(create.raw) == {
        "merchant_key": MERCHANT_KEY,
        "currency": "XAF",
        "order_id": ORDER_ID,
        "amount": 12500,
        "return_url": "https://shop.example/api/v1/payments/return/1",
        "cancel_url": "https://shop.example/api/v1/payments/return/2",
        "notif_url": "https://shop.example/api/v1/payments/webhook/orange/0123",
        "lang": "fr",
        "reference": "Mallgram MG-100001",
    }


def test_the_session_lasts_ten_minutes_and_has_its_own_secret() -> None:
    with peer(a_token(), said(SESSION, 201)) as gateway:
        started = payments(gateway).start(REQUEST)
    assert (started.action.kind, started.action.url) == ("redirect", SESSION["payment_url"])
    assert (started.gateway_session, started.webhook_token) == (PAY_TOKEN, NOTIF_TOKEN)
    assert started.gateway_transaction_id is None
    assert started.expires_at == NOW + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("12500.00", b'"amount":12500,'), ("1E+3", b'"amount":1000,'), ("1", b'"amount":1,')],
)
def test_an_amount_is_a_number_of_whole_francs(amount: str, text: bytes) -> None:
    assert text in sent(amount=Decimal(amount))[1].raw


@pytest.mark.parametrize(
    ("language", "lang"), [("fr", "fr"), ("en", "en"), ("en-ZA", "en"), ("pt", "fr"), ("", "fr")]
)
def test_the_page_speaks_french_or_english(language: str, lang: str) -> None:
    assert sent_body(language=language)["lang"] == lang


def test_play_money_stands_for_francs() -> None:
    assert sent_body(currency="OUV", amount=Decimal(100))["amount"] == 100
    assert json.loads(sent("OUV")[1].raw)["currency"] == "OUV"


def test_what_is_empty_has_a_stand_in() -> None:
    body = sent_body(description="", cancel_url="")
    assert body["reference"] == ORDER_ID
    assert body["cancel_url"] == body["return_url"]


LONGEST = "https://shop.example/" + "x" * 99


def test_what_is_as_long_as_allowed_is_sent() -> None:
    body = sent_body(
        reference="m" * 30,
        description="d" * 30,
        notify_url=LONGEST,
        return_url=LONGEST,
        cancel_url=LONGEST,
    )
    assert (len(body["order_id"]), len(body["reference"]), len(body["notif_url"])) == (30, 30, 120)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reference": "m" * 31}, "reference_invalid"),
        ({"reference": "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001"}, "reference_invalid"),
        ({"reference": "mg 1\r\nx: y"}, "reference_invalid"),
        ({"reference": ""}, "reference_invalid"),
        ({"description": "d" * 31}, "description_too_long"),
        ({"notify_url": LONGEST + "x"}, "url_too_long"),
        ({"return_url": LONGEST + "x"}, "url_too_long"),
        ({"cancel_url": LONGEST + "x"}, "url_too_long"),
        ({"notify_url": ""}, "url_missing"),
        ({"return_url": "", "cancel_url": ""}, "url_missing"),
        ({"amount": Decimal("0.5")}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"currency": "ZAR"}, "currency_unsupported"),
        ({"currency": "XOF"}, "currency_unsupported"),
        ({"currency": "OUV"}, "currency_unsupported"),
        ({"method": "mtn_momo"}, "method_unsupported"),
    ],
)
def test_what_orange_would_refuse_is_not_sent(changes: dict[str, Any], code: str) -> None:
    with peer() as gateway:
        with pytest.raises(Rejected) as failure:
            payments(gateway).start(dataclasses.replace(REQUEST, **changes))
        assert (failure.value.code, gateway.heard) == (code, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_url": None},
        {"payment_url": "javascript:alert(1)"},
        {"payment_url": "https://user@evil.example/"},
        {"payment_url": "https://["},
        {"payment_url": "https://shop.example/" + "x" * 2000},
        {"pay_token": None},
        {"pay_token": "with a space"},
        {"notif_token": ""},
        {"notif_token": "short"},
        {"notif_token": 5},
        {"message": "KO"},
    ],
)
def test_a_session_with_something_missing_leaves_the_outcome_unknown(
    changes: dict[str, Any],
) -> None:
    with peer(a_token(), said(SESSION | changes, 201)) as gateway:
        with pytest.raises(Unavailable) as failure:
            payments(gateway).start(REQUEST)
        assert (failure.value.code, failure.value.outcome) == ("answer_malformed", "unknown")


def test_a_web_address_must_be_encrypted_where_orange_is() -> None:
    def is_safe(base_url: str, url: str) -> bool:
        api = OrangeApi(
            client_id="a",
            client_secret="b",
            merchant_key="c",
            token_url=base_url,
            base_url=base_url,
            currency="XAF",
            timeout_seconds=1.0,
        )
        return OrangePayments(api)._is_safe(url)

    assert is_safe("https://api.orange.com", "https://webpayment.orange-money.com/x")
    assert not is_safe("https://api.orange.com", "http://webpayment.orange-money.com/x")
    assert is_safe("http://127.0.0.1:9", "http://127.0.0.1:9/x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", "  "),
        ("client_id", "with:colon"),
        ("client_secret", "clé"),
        ("merchant_key", "two\nlines"),
        ("base_url", "ftp://api.orange.com"),
    ],
)
def test_a_credential_that_cannot_be_one_is_a_case_for_us(name: str, value: str) -> None:
    given: dict[str, Any] = {
        "client_id": "a",
        "client_secret": "b",
        "merchant_key": "c",
        "token_url": "https://api.orange.com/oauth/v3/token",
        "base_url": "https://api.orange.com/orange-money-webpay/cm/v1",
        "currency": "XAF",
        "timeout_seconds": 1.0,
    }
    with pytest.raises(Misconfigured) as failure:
        OrangeApi(**(given | {name: value}))
    assert value not in str(failure.value)


def test_the_status_is_asked_with_the_values_of_the_create() -> None:
    with peer(a_token(), a_status()) as gateway:
        payments(gateway).fetch(QUERY)
    asked = gateway.heard[1]
    assert (asked.method, asked.path) == ("POST", "/orange-money-webpay/cm/v1/transactionstatus")
    assert asked.raw == (
        f'{{"order_id":"{ORDER_ID}","amount":12500,"pay_token":"{PAY_TOKEN}"}}'.encode()
    )


def test_what_was_never_answered_cannot_be_asked_about() -> None:
    with peer() as gateway:
        result = payments(gateway).fetch(dataclasses.replace(QUERY, gateway_session=None))
        assert (result.status, result.is_found, result.reason) == (
            "pending",
            False,
            "session_unknown",
        )
        with pytest.raises(Rejected):
            payments(gateway).fetch(dataclasses.replace(QUERY, amount=None))
    assert gateway.heard == []


@pytest.mark.parametrize("code", [200, 201])
@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("INITIATED", "pending"),
        ("PENDING", "pending"),
        ("EXPIRED", "cancelled"),
        ("SUCCESS", "paid"),
        ("FAILED", "failed"),
        ("success", "pending"),
        ("REVERSED", "pending"),
    ],
)
def test_a_status_is_read_with_either_code(word: str, status: str, code: int) -> None:
    with peer(a_token(), a_status(word, code=code)) as gateway:
        result = payments(gateway).fetch(QUERY)
    assert (result.status, result.is_found, result.gateway_status) == (status, True, word)
    assert (result.amount, result.currency) == (Decimal(12500), "XAF")


@pytest.mark.parametrize(
    ("word", "minutes", "status"),
    [
        ("INITIATED", 19, "pending"),
        ("INITIATED", 20, "cancelled"),
        ("PENDING", 600, "pending"),
        ("SUCCESS", 600, "paid"),
    ],
)
def test_a_session_that_nobody_paid_in_is_over_after_a_while(
    word: str, minutes: int, status: str
) -> None:
    asked = dataclasses.replace(QUERY, started_at=NOW - timedelta(minutes=minutes))
    with peer(a_token(), a_status(word)) as gateway:
        assert payments(gateway).fetch(asked).status == status


def test_play_money_that_came_is_reported_in_the_orders_currency() -> None:
    with peer(a_token(), a_status()) as gateway:
        result = payments(gateway, "OUV").fetch(QUERY)
    assert (result.status, result.amount, result.currency) == ("paid", Decimal(12500), "XAF")


@pytest.mark.parametrize(
    "answer",
    [
        a_status(order_id="another"),
        a_status(order_id=None),
        a_status(status=None),
        a_status(status=201),
        a_status(code=202),
        said([], 201),
        said({}, 404),
    ],
)
def test_an_answer_about_something_else_is_no_result(answer: Any) -> None:
    with peer(a_token(), answer) as gateway:
        with pytest.raises(Unavailable) as failure:
            payments(gateway).fetch(QUERY)
        assert failure.value.code == "answer_malformed"


def test_there_is_no_refund_and_no_code() -> None:
    with peer() as gateway:
        provider = payments(gateway)
        with pytest.raises(Rejected) as refund:
            provider.refund(
                RefundRequest(
                    refund_id="r",
                    refund_reference="rf-1",
                    payment_id="p",
                    payment_reference=ORDER_ID,
                    currency="XAF",
                )
            )
        assert (refund.value.code, refund.value.outcome) == (
            "refund_unsupported",
            "nothing_created",
        )
        query = RefundQuery(
            refund_id="r",
            refund_reference="rf-1",
            payment_id="p",
            payment_reference=ORDER_ID,
            currency="XAF",
        )
        found = provider.fetch_refund(query)
        assert (found.status, found.is_found, found.reason) == (
            "pending",
            False,
            "refund_unsupported",
        )
        with pytest.raises(Rejected):
            provider.authorize(
                AuthorizePayment(reference=ORDER_ID, gateway_transaction_id="", code="123456")
            )
    assert gateway.heard == []


@pytest.mark.parametrize(
    ("status", "error", "kind", "code", "outcome"),
    [
        (400, {"code": 24, "description": "order_id: this order_id was used already"}, Unavailable,
         "reference_exists", "unknown"),
        (400, {"code": 24, "message": "Duplicate order"}, Unavailable,
         "reference_exists", "unknown"),
        (409, {"code": 1, "message": "Conflict"}, Unavailable, "reference_exists", "unknown"),
        (400, {"code": 24, "description": "WebPaymentInfo.MerchantKey"}, Misconfigured,
         "account_refused", "nothing_created"),
        (400, {"code": 24, "description": "currency: OUV is not for cm"}, Misconfigured,
         "account_refused", "nothing_created"),
        (404, {"code": 60, "message": "Resource not found"}, Misconfigured,
         "account_refused", "nothing_created"),
        (400, {"code": 23, "message": "Missing body field", "description": "x.OrderId"},
         Rejected, "payment_refused", "nothing_created"),
        (408, {"code": 63, "message": "Request time-out"}, Unavailable, "timed_out", "unknown"),
        (400, {}, Unavailable, "answer_malformed", "unknown"),
        (403, {"code": 50, "message": "Access denied"}, Misconfigured,
         "key_refused", "nothing_created"),
    ],
)  # fmt: skip
def test_a_refused_create_says_what_may_exist(
    status: int, error: dict[str, Any], kind: type[Exception], code: str, outcome: str
) -> None:
    with peer(a_token(), said(error, status)) as gateway, pytest.raises(kind) as failure:
        payments(gateway).start(REQUEST)
    assert isinstance(failure.value, (Unavailable, Misconfigured, Rejected))
    assert (failure.value.code, failure.value.outcome) == (code, outcome)


def test_a_reason_does_not_give_our_key_away() -> None:
    error = {"code": 24, "message": "Invalid body field", "description": f"no {MERCHANT_KEY} here"}
    with peer(a_token(), said(error, 400)) as gateway, pytest.raises(Rejected) as failure:
        payments(gateway).start(REQUEST)
    assert str(failure.value) == "Invalid body field: no … here"


@pytest.mark.parametrize("status", [400, 404])
def test_a_status_that_is_refused_is_asked_again_and_no_fact(status: int) -> None:
    error = {"code": 60, "message": "Resource not found", "description": "No such transaction"}
    with peer(a_token(), said(error, status)) as gateway, pytest.raises(Unavailable) as failure:
        payments(gateway).fetch(QUERY)
    assert failure.value.code == "status_refused"
