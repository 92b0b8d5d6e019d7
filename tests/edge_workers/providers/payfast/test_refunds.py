"""Money back: asked for beforehand, ordered once, then looked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import RefundQuery, RefundRequest, RefundResult
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from tests.contracts.peer import Said
from tests.edge_workers.providers.payfast.account import (
    PASSPHRASE,
    REFERENCE,
    answering,
    as_json,
    body_of,
    enveloped,
    refused,
)

DONE = enveloped(True)
PAYMENT_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001"
REFUND_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0002"


def a_refund(**changes: Any) -> RefundRequest:
    known: dict[str, Any] = {
        "refund_id": REFUND_ID,
        "refund_reference": "rf-0123456789abcdef01234567",
        "payment_id": PAYMENT_ID,
        "payment_reference": REFERENCE,
        "gateway_transaction_id": "994209",
        "currency": "ZAR",
        "amount": Decimal("50.00"),
        "reason": "The parcel came open",
    }
    return RefundRequest(**(known | changes))


def a_query(**changes: Any) -> RefundQuery:
    known: dict[str, Any] = {
        "refund_id": REFUND_ID,
        "refund_reference": "rf-0123456789abcdef01234567",
        "payment_id": PAYMENT_ID,
        "payment_reference": REFERENCE,
        "gateway_transaction_id": "994209",
        "currency": "ZAR",
        "amount": Decimal("50.00"),
    }
    return RefundQuery(**(known | changes))


def an_offer(**changes: Any) -> dict[str, Any]:
    return {
        "token": "",
        "funding_type": "Credit Card",
        "amount_original": 20000,
        "amount_available_for_refund": 15000,
        "status": "REFUNDABLE",
        "errors": [],
        "refund_full": {"method": "NOT_AVAILABLE"},
        "refund_partial": {"method": "PAYMENT_SOURCE"},
    } | changes


def went_back(*cents: int | str) -> Said:
    entries: list[dict[str, Any]] = [
        {"amount": 20000, "date": "2026-01-15 12:00:00", "type": "Funds Received"}
    ]
    entries += [
        {"amount": amount, "date": "2026-01-16 12:00:00", "type": "Funds Received (Refund)"}
        for amount in cents
    ]
    return enveloped({"available_balance": 1, "transactions": entries})


def refund(*answers: Said, in_cents: bool = True, **changes: Any) -> RefundResult:
    with answering(*answers, refunds=True, refunds_in_cents=in_cents) as desk:
        return desk.payments.refund(a_refund(**changes))


def failure_of(*answers: Said, **changes: Any) -> ProviderError:
    with pytest.raises(ProviderError) as failure:
        refund(*answers, **changes)
    return failure.value


def asked(*answers: Said, **changes: Any) -> RefundResult:
    with answering(*answers, refunds=True) as desk:
        return desk.payments.fetch_refund(a_query(**changes))


def test_refunds_are_off_until_they_are_switched_on() -> None:
    with answering(as_json(an_offer())) as desk:
        with pytest.raises(Rejected) as failure:
            desk.payments.refund(a_refund())
        assert (failure.value.code, desk.asked) == ("refund_unsupported", [])
        assert desk.payments.refunds_are_repeatable is False


def test_payfast_is_asked_then_told() -> None:
    with answering(as_json(an_offer()), DONE, refunds=True) as desk:
        result = desk.payments.refund(a_refund())
    assert (result.status, result.amount, result.currency) == ("pending", Decimal("50.00"), "ZAR")
    assert result.gateway_refund_id == "994209:50.00:100.00"
    assert desk.asked == ["GET /refunds/query/994209", "POST /refunds/994209"]
    sent = desk.gateway.heard[1]
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert body_of(sent) == {
        "amount": "5000",
        "reason": "The parcel came open",
        "notify_buyer": "1",
    }
    assert PASSPHRASE not in sent.raw.decode()


@pytest.mark.parametrize(
    ("amount", "in_cents", "offered", "text"),
    [
        ("50", True, 15000, "5000"),
        ("0.01", True, 15000, "1"),
        ("70.07", True, 15000, "7007"),
        ("50", False, "150.00", "50.00"),
        ("70.07", False, "150.00", "70.07"),
    ],
)
def test_the_unit_is_a_setting(amount: str, in_cents: bool, offered: Any, text: str) -> None:
    offer = an_offer(amount_available_for_refund=offered, amount_original=offered)
    offer["refund_full"] = offer["refund_partial"]
    answers = (as_json(offer), DONE)
    with answering(*answers, refunds=True, refunds_in_cents=in_cents) as desk:
        desk.payments.refund(a_refund(amount=Decimal(amount)))
    assert body_of(desk.gateway.heard[1])["amount"] == text


def test_all_that_is_left_is_what_payfast_says_is_left() -> None:
    result = refund(as_json(an_offer()), DONE, amount=None)
    assert (result.amount, result.gateway_refund_id) == (Decimal(150), "994209:150.00:200.00")


@pytest.mark.parametrize(
    ("reason", "text"), [("", "Refund"), ("ok", "Refund"), ("x" * 400, "x" * 255)]
)
def test_a_reason_is_fitted(reason: str, text: str) -> None:
    with answering(as_json(an_offer()), DONE, refunds=True) as desk:
        desk.payments.refund(a_refund(reason=reason))
    assert body_of(desk.gateway.heard[1])["reason"] == text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": "XAF"}, "currency_unsupported"),
        ({"gateway_transaction_id": None}, "payment_not_paid"),
        ({"amount": Decimal("0.001")}, "amount_invalid"),
        ({"amount": Decimal(-5)}, "amount_invalid"),
        ({"amount": Decimal(0)}, "amount_invalid"),
    ],
)
def test_what_cannot_be_right_is_not_even_asked(changes: dict[str, Any], code: str) -> None:
    with answering(DONE, refunds=True) as desk:
        with pytest.raises(Rejected) as failure:
            desk.payments.refund(a_refund(**changes))
        assert (failure.value.code, desk.asked) == (code, [])


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (as_json(an_offer(status="COMPLETED")), Rejected, "refund_complete"),
        (as_json(an_offer(amount_available_for_refund=0)), Rejected, "refund_too_large"),
        (as_json(an_offer(amount_available_for_refund=4999)), Rejected, "refund_too_large"),
        (as_json(an_offer(status="NOT_AVAILABLE", errors=["No"])), Rejected, "refund_unsupported"),
        (as_json(an_offer(status="NOT_AVAILABLE", errors=None)), Rejected, "refund_unsupported"),
        (
            as_json(an_offer(status="NOT_AVAILABLE", errors=["Insufficient balance."])),
            Unavailable,
            "insufficient_funds",
        ),
        (
            as_json(an_offer(refund_partial={"method": "BANK_PAYOUT"})),
            Rejected,
            "refund_unsupported",
        ),
        (as_json(an_offer(refund_partial=None)), Rejected, "refund_unsupported"),
        (as_json(an_offer(amount_original=5000)), Rejected, "refund_unsupported"),
        (refused(404, "Transaction not found"), Rejected, "refund_unsupported"),
        (refused(400), Unavailable, "refund_unclear"),
        (enveloped(True), Unavailable, "refund_unclear"),
        (as_json(an_offer(amount_original="many")), Unavailable, "answer_malformed"),
        (as_json(an_offer(amount_available_for_refund="150.50")), Unavailable, "answer_malformed"),
        (Said(200, b"<html>"), Unavailable, "refund_unclear"),
        (Said(500), Unavailable, "server_error"),
        (refused(401), Misconfigured, "key_refused"),
    ],
)
def test_before_it_is_ordered_nothing_exists(
    said: Said, kind: type[ProviderError], code: str
) -> None:
    failure = failure_of(said)
    assert (type(failure), failure.code) == (kind, code)
    assert failure.outcome == "nothing_created"


@pytest.mark.parametrize(
    "said",
    [
        refused(400, "Failure"),
        enveloped(False),
        enveloped(0),
        enveloped(None),
        enveloped("no"),
        enveloped({}),
        as_json({"code": 200, "status": "failed", "data": {"response": True}}),
        as_json({"code": 200, "status": "success", "data": True}, 202 + 200),
        as_json({"response": True}),
        Said(200, b"true"),
        Said(200, b"<html>"),
        Said(200, b""),
        Said(500),
    ],
)
def test_after_it_was_ordered_only_a_plain_yes_is_one(said: Said) -> None:
    failure = failure_of(as_json(an_offer()), said)
    assert (type(failure), failure.outcome) == (Unavailable, "unknown")


@pytest.mark.parametrize("response", [True, 1, "true", {"id": "x"}])
def test_a_positive_response_with_success_is_a_yes(response: Any) -> None:
    assert refund(as_json(an_offer()), enveloped(response)).status == "pending"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (went_back("-5000"), "pending"),
        (went_back("-5000", "-5000"), "refunded"),
        (went_back(-5000, -2500), "pending"),
        (went_back(-10000), "refunded"),
        (went_back("-5000", "-5000", "-3000"), "refunded"),
        (went_back(), "pending"),
    ],
)
def test_an_ordered_refund_is_done_once_so_much_went_back(said: Said, status: str) -> None:
    result = asked(said, gateway_refund_id="994209:50.00:100.00", amount=None)
    assert (result.status, result.is_found) == (status, True)
    assert (result.amount, result.currency) == (Decimal("50.00"), "ZAR")


def test_a_refund_whose_order_was_not_answered_stays_in_doubt() -> None:
    none = asked(went_back("-2000"))
    assert (none.status, none.is_found, none.reason) == ("pending", False, "unknown_at_gateway")
    same = asked(went_back("-5000"))
    assert (same.status, same.is_found, same.reason) == ("pending", False, "refund_ambiguous")
    some = asked(went_back("-2000"), amount=None)
    assert (some.status, some.reason) == ("pending", "refund_ambiguous")


def test_a_refund_of_what_payfast_never_heard_of_is_not_found() -> None:
    result = asked(refused(404, "Transaction not found"))
    assert (result.status, result.is_found) == ("pending", False)
    with answering(went_back()) as desk:
        result = desk.payments.fetch_refund(a_query(gateway_transaction_id=None))
        assert (result.is_found, desk.asked) == (False, [])


@pytest.mark.parametrize(
    "said",
    [
        refused(400),
        enveloped(True),
        enveloped({"transactions": None}),
        enveloped({"transactions": [{"amount": "-50.5"}]}),
        Said(200, b"<html>"),
        Said(200, b""),
        Said(429),
    ],
)
def test_an_answer_that_lists_nothing_says_nothing(said: Said) -> None:
    with pytest.raises(Unavailable):
        asked(said, gateway_refund_id="994209:50.00:100.00")


def test_a_refund_is_asked_for_even_when_no_more_are_made() -> None:
    with answering(went_back("-5000", "-5000")) as desk:
        query = a_query(gateway_refund_id="994209:50.00:100.00")
        assert desk.payments.fetch_refund(query).status == "refunded"
    assert desk.asked == ["GET /refunds/994209"]
