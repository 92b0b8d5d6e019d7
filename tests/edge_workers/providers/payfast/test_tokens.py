"""Charging a card that PayFast kept."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from edge_workers.providers.contracts.payments import StartedPayment, StartPayment
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from tests.contracts.peer import Said
from tests.edge_workers.providers.payfast.account import (
    REFERENCE,
    answering,
    as_json,
    body_of,
    enveloped,
    refused,
)

TOKEN = "a3b3ae55-ab8b-b388-df23-4e6882b86ce0"
REQUEST = StartPayment(
    payment_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
    reference=REFERENCE,
    method="card",
    amount=Decimal("199.90"),
    currency="ZAR",
    country="ZA",
    language="en",
    customer_email="thandi@example.co.za",
    description="Mallgram MG-1001",
    return_url="https://shop.example/api/v1/payments/return/1",
    saved_method_token=TOKEN,
)
CHARGED = enveloped(True, "Transaction was successful(00)", pf_payment_id="1324567")


def charged(said: Said, request: StartPayment = REQUEST) -> StartedPayment:
    with answering(said, tokens=True) as desk:
        return desk.payments.start(request)


def failure_of(said: Said) -> ProviderError:
    with pytest.raises(ProviderError) as failure:
        charged(said)
    return failure.value


def test_a_kept_card_is_charged_in_cents_under_our_reference() -> None:
    with answering(CHARGED, tokens=True) as desk:
        answer = desk.payments.start(REQUEST)
    assert desk.asked == [f"POST /subscriptions/{TOKEN}/adhoc"]
    assert body_of(desk.gateway.heard[0]) == {
        "amount": "19990",
        "item_name": "Mallgram MG-1001",
        "m_payment_id": REFERENCE,
    }
    assert (answer.action.kind, answer.action.url) == ("redirect", REQUEST.return_url)
    assert answer.gateway_transaction_id == "1324567"


def test_the_transaction_may_stand_in_the_response() -> None:
    assert charged(enveloped({"pf_payment_id": 1324567})).gateway_transaction_id == "1324567"
    assert charged(enveloped(True)).gateway_transaction_id is None


@pytest.mark.parametrize(
    "said",
    [
        refused(400, "Insufficient funds(51)"),
        refused(400, "The subscription is not in a valid state.", response=4),
    ],
)
def test_a_declined_card_is_a_fact(said: Said) -> None:
    failure = failure_of(said)
    assert (type(failure), failure.code) == (Rejected, "saved_method_refused")
    assert failure.outcome == "nothing_created"


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"<html>"),
        Said(200, b""),
        Said(404, b"<html>"),
        Said(500),
        enveloped(False),
        enveloped(None),
        as_json({"code": 200, "status": "failed", "data": {"response": False}}),
        as_json({"code": 400, "status": "success", "data": {"response": True}}, 400),
    ],
)
def test_after_any_other_answer_it_may_have_happened(said: Said) -> None:
    failure = failure_of(said)
    assert (type(failure), failure.outcome) == (Unavailable, "unknown")


def test_a_refused_signature_charged_nothing() -> None:
    failure = failure_of(refused(401))
    assert (type(failure), failure.outcome) == (Misconfigured, "nothing_created")


def test_somewhere_to_go_back_to_is_needed() -> None:
    with answering(CHARGED, tokens=True) as desk:
        with pytest.raises(Rejected):
            desk.payments.start(dataclasses.replace(REQUEST, return_url=""))
        assert desk.asked == []
