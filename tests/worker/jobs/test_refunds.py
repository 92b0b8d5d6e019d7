"""Refunds: sent once whatever breaks on the way, asked about until they end."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import RefundRequest
from edge_workers.providers.errors import Unavailable
from edge_workers.providers.kora import KoraPayments
from tests.conftest import wait_until
from tests.worker.jobs.conftest import GATEWAY, Payment, Shop
from worker.jobs import payments, refunds
from worker.task import Task

MakeTask = Callable[..., Task]

pytestmark = pytest.mark.usefixtures("own_refunds")


@pytest.fixture
def paid(shop: Shop) -> Payment:
    """A paid order's payment."""
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    payment = shop.start_payment(shopper, str(order["id"]))
    shop.pay(payment)
    return payment


@pytest.fixture
def unrepeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given: a gateway at which the same refund sent twice would be two."""
    monkeypatch.setattr(KoraPayments, "refunds_are_repeatable", False)


def sent(shop: Shop, reference: str, operation: str = "refund") -> int:
    """How often this refund was put to the gateway."""
    calls = shop.sandbox.listed("calls", provider=GATEWAY)
    return sum(call["operation"] == operation and reference in str(call) for call in calls)


def decide(shop: Shop, refund_id: str, outcome: str) -> None:
    """How the gateway settles a refund."""
    shop.sandbox.decide(GATEWAY, shop.refund(refund_id)["reference"], outcome, notify=False)


def finish(shop: Shop, make_task: MakeTask, refund_id: str) -> None:
    """Checks until the gateway, which settles refunds by itself within moments, has done so."""

    def is_over() -> bool:
        refunds.check_refund(make_task(), refund_id=refund_id)
        return str(shop.refund(refund_id)["status"]) != "processing"

    wait_until(is_over)


def by_payout(shop: Shop, payment: Payment, refund_id: str, account: str) -> None:
    """Given: the refund goes as a transfer to the account that paid."""
    shop.admin.execute(
        "update public.payments set payer_account = %s where id = %s", [account, payment.id]
    )
    shop.admin.execute("update public.refunds set way = 'payout' where id = %s", [refund_id])
    shop.admin.execute(
        "update private.payment_gateways set payout_gateway = 'kora', payout_institution = 'mtn' "
        "where code = 'kora'"
    )


@pytest.fixture
def kora_pays_out(shop: Shop) -> Any:
    """Afterwards the gateway's row is as the schema has it."""
    yield
    shop.admin.execute(
        "update private.payment_gateways set payout_gateway = null, payout_institution = null "
        "where code = 'kora'"
    )


def test_a_refund_is_sent_and_asked_about_until_the_money_is_back(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)

    refunds.send_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    assert shop.planned_refund_checks(refund_id) == 1
    finish(shop, make_task, refund_id)
    assert shop.refund(refund_id)["status"] == "refunded"
    assert shop.payment(paid)["status"] == "refunded"
    assert shop.refund(refund_id)["next_check_at"] is None
    assert sent(shop, shop.refund(refund_id)["reference"]) == 1


def test_a_part_goes_back_and_the_rest_stays(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid, Decimal(5000))

    refunds.send_refund(make_task(), refund_id=refund_id)
    finish(shop, make_task, refund_id)

    assert shop.payment(paid)["status"] == "partially_refunded"
    assert shop.payment(paid)["refunded_amount"] == 5000


def test_a_refund_that_was_sent_is_asked_about_not_sent_again(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)

    for _ in range(3):
        refunds.send_refund(make_task(), refund_id=refund_id)

    assert sent(shop, shop.refund(refund_id)["reference"]) == 1


def test_an_ended_refund_asks_nobody(shop: Shop, make_task: MakeTask, paid: Payment) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    finish(shop, make_task, refund_id)
    asked = len(shop.sandbox.listed("calls", provider=GATEWAY))

    refunds.send_refund(make_task(), refund_id=refund_id)
    refunds.check_refund(make_task(), refund_id=refund_id)

    assert len(shop.sandbox.listed("calls", provider=GATEWAY)) == asked


@pytest.mark.usefixtures("unrepeatable")
def test_a_refund_taken_without_an_answer_is_found_by_asking(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    shop.sandbox.order_fault(GATEWAY, "timeout", operation="refund", seconds=3)

    refunds.send_refund(make_task(payment_timeout_seconds=0.5), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    finish(shop, make_task, refund_id)
    assert shop.refund(refund_id)["status"] == "refunded"
    assert sent(shop, shop.refund(refund_id)["reference"]) == 1


def test_a_refund_that_may_not_have_arrived_is_sent_again_under_the_same_name(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    shop.sandbox.order_fault(GATEWAY, "error", operation="refund")
    refunds.send_refund(make_task(), refund_id=refund_id)
    reference = shop.refund(refund_id)["reference"]

    refunds.check_refund(make_task(), refund_id=refund_id)

    assert sent(shop, reference) == 2
    finish(shop, make_task, refund_id)
    assert shop.refund(refund_id)["status"] == "refunded"
    assert shop.refund(refund_id)["reference"] == reference


@pytest.mark.usefixtures("unrepeatable")
def test_where_twice_would_be_two_it_is_only_asked_about(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    shop.sandbox.order_fault(GATEWAY, "error", operation="refund")
    refunds.send_refund(make_task(), refund_id=refund_id)

    for _ in range(3):
        refunds.check_refund(make_task(), refund_id=refund_id)

    assert sent(shop, shop.refund(refund_id)["reference"]) == 1
    assert shop.refund(refund_id)["status"] == "processing"
    assert shop.planned_refund_checks(refund_id) == 1


@pytest.mark.usefixtures("unrepeatable")
def test_a_process_that_dies_while_sending_leaves_a_refund_to_ask_about(
    shop: Shop, make_task: MakeTask, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id = shop.begin_refund(paid)

    class Died(BaseException):
        """As SIGKILL: nothing after it runs."""

    def die(_task: object, _refund: object) -> None:
        raise Died

    with monkeypatch.context() as broken:
        broken.setattr(refunds, "_send", die)
        with pytest.raises(Died):
            refunds.send_refund(make_task(), refund_id=refund_id)
    assert shop.planned_refund_checks(refund_id) == 1

    refunds.send_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    assert sent(shop, shop.refund(refund_id)["reference"]) == 0


@pytest.mark.usefixtures("unrepeatable")
def test_what_surely_was_not_taken_is_sent_again_later_under_the_same_name(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    reference = shop.refund(refund_id)["reference"]
    shop.sandbox.decide(GATEWAY, paid.reference, "pending", notify=False)  # not settled yet
    for _ in range(2):
        refunds.send_refund(make_task(), refund_id=refund_id)
    assert sent(shop, reference) == 2
    assert shop.refund(refund_id)["status"] == "pending"
    assert shop.planned_refund_checks(refund_id) == 1

    shop.sandbox.decide(GATEWAY, paid.reference, "paid", notify=False)
    refunds.check_refund(make_task(), refund_id=refund_id)
    finish(shop, make_task, refund_id)

    assert shop.refund(refund_id)["status"] == "refunded"
    assert shop.refund(refund_id)["reference"] == reference
    assert sent(shop, reference) == 3


def test_a_refund_that_the_gateway_fails_goes_before_a_person(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    decide(shop, refund_id, "failed")

    refunds.check_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "failed"
    assert shop.payment(paid)["status"] == "paid"
    assert shop.exceptions(paid) == ["failed_refund"]


def test_a_refund_that_the_gateway_refuses_goes_before_a_person(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    registry.payment_provider(GATEWAY, shop.settings).refund(
        RefundRequest(
            refund_id="5b0b3b0e-6f3c-4f7e-9d51-9b6a3c0f1a11",
            refund_reference=f"by-hand-{paid.reference}",
            payment_id=paid.id,
            payment_reference=paid.reference,
            currency="XAF",
        )
    )

    refunds.send_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "failed"
    assert shop.refund(refund_id)["failure_reason"].startswith("refund_complete: ")
    assert shop.exceptions(paid) == ["failed_refund"]


def test_another_sum_than_asked_for_is_quarantined(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    shop.admin.execute("update public.refunds set amount = amount - 500 where id = %s", [refund_id])
    decide(shop, refund_id, "paid")

    refunds.check_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    assert shop.exceptions(paid) == ["refund_mismatch"]


@pytest.mark.parametrize("kind", ["error", "malformed", "rate_limit"])
def test_silence_about_a_refund_is_a_reason_to_ask_again(
    shop: Shop, make_task: MakeTask, paid: Payment, kind: str
) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    shop.sandbox.order_fault(GATEWAY, kind, operation="refund_status", times=2)

    refunds.check_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    assert shop.planned_refund_checks(refund_id) == 1


def test_without_our_keys_nothing_is_sent_until_they_are_there(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)

    refunds.send_refund(make_task(kora_pay_secret_key=None), refund_id=refund_id)

    assert sent(shop, shop.refund(refund_id)["reference"]) == 0
    assert shop.planned_refund_checks(refund_id) == 1
    refunds.check_refund(make_task(), refund_id=refund_id)
    assert sent(shop, shop.refund(refund_id)["reference"]) == 1


# --- As payouts -------------------------------------------------------------------------------


@pytest.mark.usefixtures("kora_pays_out")
def test_a_refund_goes_as_a_payout_to_the_account_that_paid(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    by_payout(shop, paid, refund_id, "+237677123456")

    refunds.send_refund(make_task(), refund_id=refund_id)
    finish(shop, make_task, refund_id)

    assert shop.refund(refund_id)["status"] == "refunded"
    assert sent(shop, shop.refund(refund_id)["reference"], "disburse") == 1
    assert sent(shop, shop.refund(refund_id)["reference"], "refund") == 0


def test_what_the_gateway_cannot_refund_goes_as_a_payout(shop: Shop, make_task: MakeTask) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    payment = shop.start_payment(
        shopper, str(order["id"]), "mtn_momo", "mtn", phone="+237671112233"
    )
    shop.pay(payment)
    refund_id = shop.begin_refund(payment)

    refunds.send_refund(make_task(mtn_refunds=False), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "failed"
    successor = shop.read(
        "select id from public.refunds where payment_id = %s and way = 'payout'", payment.id
    )
    refunds.send_refund(make_task(), refund_id=str(successor["id"]))
    finish(shop, make_task, str(successor["id"]))
    assert shop.refund(str(successor["id"]))["status"] == "refunded"
    assert shop.payment(payment)["status"] == "refunded"
    assert shop.exceptions(payment) == []


def test_a_refusal_the_second_time_does_not_say_that_nothing_was_taken_the_first(
    shop: Shop, make_task: MakeTask
) -> None:
    shopper = shop.register()
    order = shop.place_order(shopper, shop.stock())
    payment = shop.start_payment(
        shopper, str(order["id"]), "mtn_momo", "mtn", phone="+237671112233"
    )
    shop.pay(payment)
    refund_id = shop.begin_refund(payment)
    shop.sandbox.order_fault("mtn", "error", operation="refund")
    refunds.send_refund(make_task(mtn_refunds=True), refund_id=refund_id)

    refunds.check_refund(make_task(mtn_refunds=False), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "processing"
    assert shop.planned_refund_checks(refund_id) == 1
    ways = shop.admin.execute(
        "select way from public.refunds where payment_id = %s", [payment.id]
    ).fetchall()
    assert ways == [{"way": "gateway"}]
    assert shop.exceptions(payment) == []


@pytest.mark.usefixtures("kora_pays_out")
@pytest.mark.parametrize("acts", [False, True], ids=["lost", "taken"])
def test_a_payout_without_an_answer_is_never_sent_again(
    shop: Shop, make_task: MakeTask, paid: Payment, acts: bool
) -> None:
    refund_id = shop.begin_refund(paid)
    by_payout(shop, paid, refund_id, "+237677123456")
    shop.sandbox.order_fault(GATEWAY, "error", operation="disburse", acts=acts)

    refunds.send_refund(make_task(), refund_id=refund_id)
    for _ in range(3):
        refunds.check_refund(make_task(), refund_id=refund_id)

    assert sent(shop, shop.refund(refund_id)["reference"], "disburse") == 1
    if acts:
        finish(shop, make_task, refund_id)
    assert shop.refund(refund_id)["status"] == ("refunded" if acts else "processing")


@pytest.mark.usefixtures("kora_pays_out")
def test_a_payout_that_the_rail_refuses_goes_before_a_person(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    by_payout(shop, paid, refund_id, "+237677123456")
    shop.admin.execute(
        "update private.payment_gateways set payout_institution = 'moov' where code = 'kora'"
    )

    refunds.send_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["status"] == "failed"
    assert shop.refund(refund_id)["failure_reason"].startswith("institution_invalid")
    assert shop.exceptions(paid) == ["failed_refund"]


@pytest.mark.usefixtures("kora_pays_out")
def test_a_payout_without_an_account_is_refused_here(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    by_payout(shop, paid, refund_id, "+237677123456")
    shop.admin.execute("update public.payments set payer_account = null where id = %s", [paid.id])

    refunds.send_refund(make_task(), refund_id=refund_id)

    assert shop.refund(refund_id)["failure_reason"].startswith("payout_account_missing")
    assert sent(shop, shop.refund(refund_id)["reference"], "disburse") == 0


# --- Told by a notice -------------------------------------------------------------------------


def store_notice(shop: Shop, payment: Payment, kind: str, refund_id: str | None) -> str:
    """A stored and verified notice, without the outbox row that the stack's worker would take."""
    row = shop.read(
        "insert into private.webhook_events "
        "(gateway, dedupe_key, event_type, kind, payment_id, refund_id, raw) "
        "values ('kora', gen_random_uuid(), %s, %s, %s, %s, '{}') returning id",
        f"{kind}.success",
        kind,
        payment.id,
        refund_id,
    )
    return str(row["id"])


def outcome_of(shop: Shop, event_id: str) -> str | None:
    row = shop.read("select outcome from private.webhook_events where id = %s", event_id)
    return str(row["outcome"]) if row["outcome"] else None


def test_a_notice_about_a_refund_settles_it(shop: Shop, make_task: MakeTask, paid: Payment) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    decide(shop, refund_id, "paid")
    event_id = store_notice(shop, paid, "refund", refund_id)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.refund(refund_id)["status"] == "refunded"
    assert outcome_of(shop, event_id) == "applied"


def test_a_notice_mends_a_refund_that_had_failed(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    refunds.send_refund(make_task(), refund_id=refund_id)
    decide(shop, refund_id, "failed")
    refunds.check_refund(make_task(), refund_id=refund_id)
    decide(shop, refund_id, "paid")
    event_id = store_notice(shop, paid, "refund", refund_id)

    payments.handle_webhook(make_task(), event_id=event_id)

    assert shop.refund(refund_id)["status"] == "refunded"
    assert shop.exceptions(paid) == []


@pytest.mark.usefixtures("unrepeatable")
def test_a_notice_about_a_refund_that_was_never_sent_sends_nothing(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    refund_id = shop.begin_refund(paid)
    reference = shop.refund(refund_id)["reference"]
    event_id = store_notice(shop, paid, "refund", refund_id)
    shop.sandbox.order_fault(GATEWAY, "error", operation="refund_status")

    with pytest.raises(Unavailable):
        payments.handle_webhook(make_task(), event_id=event_id)
    payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == "unchanged"
    assert sent(shop, reference) == 0
    refunds.send_refund(make_task(), refund_id=refund_id)
    assert sent(shop, reference) == 1


def test_a_notice_about_a_refund_that_is_not_ours_asks_about_the_payment(
    shop: Shop, make_task: MakeTask, paid: Payment
) -> None:
    event_id = store_notice(shop, paid, "refund", None)
    asked = sent(shop, paid.reference, "status")

    payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == "unchanged"
    assert sent(shop, paid.reference, "status") == asked + 1


@pytest.mark.parametrize("kind", ["payout", "other"])
def test_a_notice_of_another_kind_is_recorded_and_asks_nobody(
    shop: Shop, make_task: MakeTask, paid: Payment, kind: str
) -> None:
    event_id = store_notice(shop, paid, kind, None)
    asked = len(shop.sandbox.listed("calls", provider=GATEWAY))

    payments.handle_webhook(make_task(), event_id=event_id)

    assert outcome_of(shop, event_id) == kind
    assert len(shop.sandbox.listed("calls", provider=GATEWAY)) == asked
