"""Payments: hints are checked with the gateway, silence is asked again, money settles once."""

import dataclasses
import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from edge_workers.providers.contracts.payments import PaymentResult
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.kora import KoraPayments
from tests.contracts.peer import peer
from tests.worker.conftest import RedisServer
from tests.worker.jobs.conftest import Payment, Shop
from worker import breaker
from worker.breaker import Breaker
from worker.jobs import payments
from worker.task import Task

MakeTask = Callable[..., Task]


def store_webhook(shop: Shop, payment: Payment | None, raw: bytes = b"{}") -> str:
    """A stored and verified notice, without the outbox row that the stack's worker would take."""
    row = shop.read(
        "insert into private.webhook_events (gateway, dedupe_key, event_type, payment_id, raw) "
        "values (%s, %s, 'charge.success', %s, %s) returning id",
        payment.gateway if payment else "kora",
        uuid.uuid4().hex,
        payment.id if payment else None,
        raw.decode(),
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


def let_time_pass(shop: Shop, payment: Payment, time: str) -> None:
    """Set the clock: the attempt began that much earlier, and its page ended with it."""
    shop.admin.execute(
        "update public.payments set created_at = created_at - %s::interval, "
        "expires_at = expires_at - %s::interval where id = %s",
        [time, time, payment.id],
    )


def test_what_the_gateway_never_heard_of_may_still_be_paid_for_a_day(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    payment = shop.begin_payment(shopper, str(order["id"]), "card", "payfast")

    let_time_pass(shop, payment, "23 hours 50 minutes")
    payments.reconcile_payments(make_task(), payment_id=payment.id)
    assert shop.payment(payment)["status"] == "pending"
    assert shop.next_check(payment) is not None

    let_time_pass(shop, payment, "20 minutes")
    payments.reconcile_payments(make_task(), payment_id=payment.id)
    assert shop.payment(payment)["status"] == "failed"
    assert shop.payment(payment)["failure_reason"] == "unknown_at_gateway"
    assert shop.next_check(payment) is None
    assert shop.exceptions(payment) == []


def test_a_gateway_that_never_answers_leaves_the_payment_to_a_person(
    shop: Shop, make_task: MakeTask
) -> None:
    payment = ordered_and_started(shop)
    let_time_pass(shop, payment, "25 hours")
    shop.sandbox.order_fault("kora", "error", times=5)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    assert shop.payment(payment)["status"] == "processing"
    assert shop.next_check(payment) is None
    assert shop.exceptions(payment) == ["unknown_outcome"]


def test_without_our_keys_a_poll_fails_and_says_so(shop: Shop, make_task: MakeTask) -> None:
    payment = ordered_and_started(shop)

    with pytest.raises(Misconfigured):
        payments.reconcile_payments(make_task(kora_pay_secret_key=None), payment_id=payment.id)

    assert shop.payment(payment)["status"] == "processing"


def test_a_notice_is_handed_to_the_gateway_that_confirms_it(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    with peer() as edge:
        notify_url = f"{edge.url}/notice"
        payment = shop.start_payment(
            shopper, str(order["id"]), "card", "payfast", notify_url=notify_url
        )
        shop.sandbox.decide("payfast", payment.reference, "paid")
        notice = edge.wait_for(1)[0].raw
    event_id = store_webhook(shop, payment, notice)
    before = len(shop.sandbox.listed("calls", provider="payfast"))

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.order(payment.order_id)["status"] == "paid"
    assert outcome_of(shop, event_id) == (True, "applied")
    calls = shop.sandbox.listed("calls", provider="payfast")[before:]
    assert [call["operation"] for call in calls] == ["validate"]


def test_a_card_that_the_gateway_keeps_is_the_payer_s(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    payment = shop.start_payment(shopper, str(order["id"]), "card", "paygate", save_method=True)
    shop.sandbox.decide("paygate", payment.reference, "paid", notify=False)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    saved = shop.read(
        "select gateway, method, label from public.saved_payment_methods where user_id = %s",
        shopper.id,
    )
    assert (saved["gateway"], saved["method"]) == ("paygate", "card")
    assert "\u2026" in saved["label"]


def test_a_notice_of_another_payment_is_refused(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    with peer() as edge:
        notify_url = f"{edge.url}/notice"
        paid, open_ = (
            shop.start_payment(
                shopper,
                str(shop.place_order(shopper, shop.stock(), country="ZA")["id"]),
                "card",
                "payfast",
                notify_url=notify_url,
            )
            for _ in range(2)
        )
        shop.sandbox.decide("payfast", paid.reference, "paid")
        notice = edge.wait_for(1)[0].raw
    event_id = store_webhook(shop, open_, notice)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.order(open_.order_id)["status"] == "pending"
    assert outcome_of(shop, event_id) == (True, "rejected")


def test_a_lost_notice_is_found_in_the_history(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    payment = shop.start_payment(shopper, str(order["id"]), "card", "payfast")
    shop.sandbox.decide("payfast", payment.reference, "paid", notify=False)

    payments.reconcile_payments(make_task(), payment_id=payment.id)

    assert shop.order(payment.order_id)["status"] == "paid"


def test_money_that_the_gateway_took_back_goes_before_a_person(
    shop: Shop, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = ordered_and_started(shop)
    shop.pay(payment)
    event_id = store_webhook(shop, payment)
    taken_back = PaymentResult(status="refunded", amount=payment.amount, currency="XAF")
    monkeypatch.setattr(KoraPayments, "fetch", lambda _self, _query: taken_back)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.exceptions(payment) == ["reversed_by_gateway"]


# --- A gateway that hangs ---------------------------------------------------------------------


@pytest.fixture
def resting(
    shop: Shop, make_task: MakeTask, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> MakeTask:
    """Makes tasks that share a breaker, once the gateway Kora has not answered twice."""
    monkeypatch.setattr(breaker, "SLOW_SECONDS", 0.0)
    shared = Breaker(redis_server.client())
    payment = ordered_and_started(shop)
    shop.sandbox.order_fault("kora", "error", operation="status", times=4)

    def make(**changes: object) -> Task:
        return dataclasses.replace(make_task(**changes), breaker=shared)

    for _ in range(breaker.SILENCES):
        payments.reconcile_payments(make(), payment_id=payment.id)
    shop.sandbox.clear_faults()
    return make


def test_the_poll_of_a_resting_gateway_is_put_off(shop: Shop, resting: MakeTask) -> None:
    payment = ordered_and_started(shop)
    asked = len(shop.sandbox.listed("calls", provider="kora"))

    payments.reconcile_payments(resting(), payment_id=payment.id)

    assert len(shop.sandbox.listed("calls", provider="kora")) == asked
    assert shop.payment(payment)["status"] == "processing"
    assert shop.next_check(payment) == 15


def test_the_webhook_of_a_resting_gateway_waits_until_it_is_asked_again(
    shop: Shop, resting: MakeTask
) -> None:
    payment = ordered_and_started(shop)
    event_id = store_webhook(shop, payment)

    with pytest.raises(Unavailable) as resting_now:
        payments.handle_webhook(resting(), event_id=event_id)

    assert resting_now.value.retry_after == breaker.FIRST_REST_SECONDS
    assert outcome_of(shop, event_id) == (False, None)


def test_payments_at_other_gateways_go_on_meanwhile(shop: Shop, resting: MakeTask) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock(), country="ZA")
    payment = shop.start_payment(shopper, str(order["id"]), "card", "payfast")
    shop.sandbox.decide("payfast", payment.reference, "paid", notify=False)

    payments.reconcile_payments(resting(), payment_id=payment.id)

    assert shop.order(payment.order_id)["status"] == "paid"


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
