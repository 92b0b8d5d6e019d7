"""Payments: hints are checked with the gateway, silence is asked again, money settles once."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from edge_workers.providers.errors import Unavailable
from tests.worker.jobs.conftest import Payment, Shop
from worker.jobs import payments
from worker.task import Task

MakeTask = Callable[..., Task]


def store_webhook(shop: Shop, payment: Payment | None) -> str:
    """A stored and verified notice, without the outbox row that the stack's worker would take."""
    row = shop.read(
        "insert into private.webhook_events (gateway, dedupe_key, event_type, payment_id, raw) "
        "values ('kora', %s, 'charge.success', %s, '{}') returning id",
        uuid.uuid4().hex,
        payment.id if payment else None,
    )
    return str(row["id"])


def outcome_of(shop: Shop, event_id: str) -> tuple[bool, str | None]:
    row = shop.read(
        "select handled_at is not null as is_handled, outcome from private.webhook_events "
        "where id = %s",
        event_id,
    )
    return row["is_handled"], row["outcome"]


def ordered_and_started(shop: Shop) -> Payment:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    return shop.start_payment(shopper, str(order["id"]))


def test_a_webhook_of_a_paid_payment_settles_the_order(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.decide("kora", payment.reference, "paid", notify=False)
    event_id = store_webhook(shop, payment)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.order(payment.order_id)["status"] == "paid"
    assert shop.payment(payment)["status"] == "paid"
    assert outcome_of(shop, event_id) == (True, "applied")


def test_a_webhook_that_claims_more_than_the_gateway_changes_nothing(
    shop: Shop, make_task: MakeTask
) -> None:
    payment = ordered_and_started(shop)
    event_id = store_webhook(shop, payment)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.order(payment.order_id)["status"] == "pending"
    assert shop.payment(payment)["status"] == "processing"
    assert outcome_of(shop, event_id) == (True, "unchanged")


def test_a_handled_webhook_asks_nobody(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    event_id = store_webhook(shop, payment)
    payments.handle_webhook(make_task(), event_id=event_id)
    asked = len(shop.sandbox.listed("calls", provider="kora"))

    payments.handle_webhook(make_task(), event_id=event_id)

    assert len(shop.sandbox.listed("calls", provider="kora")) == asked


def test_a_webhook_of_no_payment_is_put_aside(shop: Shop, make_task: MakeTask) -> None:
    event_id = store_webhook(shop, None)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == (True, "unmatched")


def test_a_webhook_stays_open_while_the_gateway_is_silent(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.decide("kora", payment.reference, "paid", notify=False)
    event_id = store_webhook(shop, payment)
    shop.sandbox.order_fault("kora", "error", times=5)

    with pytest.raises(Unavailable):
        payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == (False, None)
    assert shop.order(payment.order_id)["status"] == "pending"


def test_a_different_amount_is_quarantined(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    less = str(payment.amount - Decimal(500))
    shop.sandbox.decide("kora", payment.reference, "paid", notify=False, amount=less)
    event_id = store_webhook(shop, payment)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == (True, "quarantined")
    assert shop.order(payment.order_id)["status"] == "pending"
    kinds = shop.read(
        "select kind from private.payment_exceptions where payment_id = %s", payment.id
    )
    assert kinds["kind"] == "amount_mismatch"


def test_a_lost_webhook_is_made_good_by_asking(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.decide("kora", payment.reference, "paid", notify=False)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    assert shop.order(payment.order_id)["status"] == "paid"
    assert shop.next_check(payment) is None


def test_an_unpaid_payment_is_asked_about_again(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)

    waits = []
    for _ in range(3):
        payments.reconcile_payments(make_task(), payment_id=payment.id)
        waits.append(shop.next_check(payment))

    assert waits == [15, 30, 60]
    assert shop.payment(payment)["status"] == "processing"


@pytest.mark.parametrize("kind", ["error", "timeout", "malformed", "rate_limit"])
def test_silence_of_the_gateway_is_no_failure_but_a_reason_to_ask_again(
    shop: Shop, make_task: MakeTask, kind: str
) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.order_fault("kora", kind, times=5)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    assert shop.payment(payment)["status"] == "processing"
    assert shop.payment(payment)["checks"] == 1
    assert shop.next_check(payment) == 15


@pytest.mark.parametrize(("outcome", "status"), [("failed", "failed"), ("cancelled", "cancelled")])
def test_an_end_without_money_ends_the_attempt_not_the_order(
    shop: Shop, make_task: MakeTask, outcome: str, status: str
) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.decide("kora", payment.reference, outcome, notify=False)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    assert shop.payment(payment)["status"] == status
    assert shop.order(payment.order_id)["status"] == "pending"
    assert shop.next_check(payment) is None


def test_what_the_gateway_never_heard_of_is_pending_until_it_expires(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    payment = shop.begin_payment(shopper, str(order["id"]))
    expires_at = datetime.now(UTC) + timedelta(minutes=30)
    shop.admin.execute(
        "update public.payments set expires_at = %s where id = %s", [expires_at, payment.id]
    )

    payments.reconcile_payments(make_task(), payment_id=payment.id)
    assert shop.payment(payment)["status"] == "pending"

    late = expires_at + timedelta(seconds=1)
    payments.reconcile_payments(make_task(now=late), payment_id=payment.id)
    assert shop.payment(payment)["status"] == "failed"
    assert shop.payment(payment)["failure_reason"] == "unknown_at_gateway"


def test_the_sweep_plans_a_question_that_was_lost(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    shop.admin.execute(
        "delete from private.outbox "
        "where job = 'reconcile_payments' and args ->> 'payment_id' = %s",
        [payment.id],
    )
    shop.admin.execute(
        "update public.payments set next_check_at = now() - interval '16 minutes' where id = %s",
        [payment.id],
    )

    payments.reconcile_payments(make_task())

    planned = shop.read(
        "select count(*) as rows from private.outbox "
        "where job = 'reconcile_payments' and args ->> 'payment_id' = %s",
        payment.id,
    )
    assert planned["rows"] == 1


def test_the_same_answer_applied_twice_settles_once(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)
    shop.sandbox.decide("kora", payment.reference, "paid", notify=False)
    first, second = store_webhook(shop, payment), store_webhook(shop, payment)

    payments.handle_webhook(make_task(), event_id=first)
    payments.handle_webhook(make_task(), event_id=second)

    assert [outcome_of(shop, event)[1] for event in (first, second)] == ["applied", "unchanged"]
    mails = shop.read(
        "select count(*) as rows from private.emails "
        "where order_id = %s and template = 'payment_received'",
        payment.order_id,
    )
    assert mails["rows"] == 1
