"""What an event says, and what it is known by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.kora import KoraApi, KoraPayments
from tests.edge_workers.providers.kora.test_signature import K1, K2, K3


def payments() -> KoraPayments:
    return KoraPayments(
        KoraApi(secret_key="sk_test", base_url="http://127.0.0.1:9", timeout_seconds=1.0)
    )


def webhook(body: str | dict[str, Any]) -> WebhookRequest:
    text = body if isinstance(body, str) else json.dumps(body)
    return WebhookRequest(raw=text.encode(), headers={})


def an_event(event: Any = "charge.success", **data: Any) -> dict[str, Any]:
    return {"event": event, "data": {"reference": "order-1", "status": "success", **data}}


def test_a_checkout_event_names_their_reference_and_ours() -> None:
    event = payments().parse(webhook(K2))
    assert (event.event_type, event.kind, event.status) == ("charge.success", "payment", "paid")
    assert event.references == ("KPY-PAY-rYF4c5ZWioeb", "order-20260115-0001")
    assert event.dedupe_key == "charge.success:KPY-PAY-rYF4c5ZWioeb:success"
    assert payments().locate(webhook(K2)).references == event.references
    assert payments().locate(webhook(K2)).needs_secrets is False


def test_payouts_and_refunds_are_no_payments() -> None:
    payout, refund = payments().parse(webhook(K1)), payments().parse(webhook(K3))
    assert (payout.kind, payout.references, payout.status) == (
        "payout",
        ("Z78EYMAUBQ5",),
        "pending",
    )
    assert (refund.kind, refund.references) == ("refund", ("123456", "KPY-PAY-0lIrV1pRG"))
    assert refund.status == "pending"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", "paid"),
        ("failed", "failed"),
        ("expired", "cancelled"),
        ("cancelled", "cancelled"),
        ("processing", "pending"),
        ("never_seen_before", "pending"),
    ],
)
def test_an_unknown_status_is_pending(word: str, status: str) -> None:
    assert payments().parse(webhook(an_event(status=word))).status == status


def test_events_of_one_payment_differ_by_name_and_status() -> None:
    bodies = [
        an_event("charge.success"),
        an_event("charge.failed", status="failed"),
        an_event("charge.failed", status="cancelled"),
    ]
    assert len({payments().parse(webhook(body)).dedupe_key for body in bodies}) == 3


@pytest.mark.parametrize(
    "body",
    [
        an_event("charge.disputed"),
        an_event(None),
        an_event({"a": 1}),
        an_event("x" * 5000),
        an_event(reference=None),
        an_event(reference=5),
        an_event(reference="a b\u0000"),
        an_event(status=None),
        an_event(status="s" * 500),
        {"data": None},
        {"data": [1, 2]},
        {"event": "charge.success", "data": "text"},
    ],
)
def test_an_event_that_is_not_understood_is_still_one(body: dict[str, Any]) -> None:
    event = payments().parse(webhook(body))
    assert (event.kind, event.status) == ("other", "pending")
    assert event.dedupe_key.startswith("other:")
    assert len(event.dedupe_key) == len("other:") + 64
    assert 0 < len(event.event_type) <= 60
    assert all(reference == "order-1" for reference in event.references)


def test_the_unsigned_name_cannot_make_one_body_into_many_events() -> None:
    names = ["a", "b", "charge.successful", "refund.success.", None]
    keys = {payments().parse(webhook(an_event(name))).dedupe_key for name in names}
    assert len(keys) == 1


def test_a_reference_that_stands_twice_is_named_once() -> None:
    body = an_event(payment_reference="order-1", transaction_reference="KPY-PAY-1")
    assert payments().parse(webhook(body)).references == ("order-1", "KPY-PAY-1")
