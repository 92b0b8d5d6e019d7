"""Payments: what a webhook hints at and what a poll finds, settled by asking the gateway."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from edge_workers.log import bind_context, get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import PaymentQuery, PaymentResult, SavedMethod
from edge_workers.providers.errors import Rejected, Unavailable, Unverified
from worker.jobs import refunds
from worker.task import Task

SWEEP_BATCH: Final = 100
SWEEP_LIMIT: Final = 1_000
"""Payments, and refunds, that one sweep looks after at most; the next continues."""

NOT_FOUND: Final = "not_found"
"""Outcome of a check: the gateway answered, and knows nothing of the attempt."""

log = get_logger(__name__)


def handle_webhook(task: Task, *, event_id: str) -> None:
    """Take a stored webhook as a hint: ask the gateway and apply its answer.

    An event of a refund asks about that refund, or about its payment when the refund is not ours.
    Events of other kinds are only recorded. Raises Unavailable when the gateway does not answer
    and Misconfigured when our keys are wrong: the event stays open and is tried again.
    """
    event: dict[str, Any] | None = task.database.call("begin_webhook_event", event_id=event_id)
    if event is None or event["handled"]:
        return
    bind_context(
        event_id=event_id, payment_id=event["payment_id"], refund_id=event.get("refund_id")
    )
    try:
        outcome = _handle(task, event)
    except (Rejected, Unverified) as error:
        _record_handled(task, event_id, "rejected", error.code)
        return
    _record_handled(task, event_id, outcome, None)


def reconcile_payments(task: Task, *, payment_id: str | None = None) -> None:
    """Ask the gateway about one payment and plan the next question.

    Without an id: see to it that every live payment and refund has a question planned. A gateway
    that does not answer is no failure of the job, only a reason to ask again; one that cannot be
    asked because our keys are wrong is a failure (Misconfigured).
    """
    if payment_id is None:
        _sweep(task, "payments.swept", "claim_payment_sweep")
        _sweep(task, "refunds.swept", "claim_refund_sweep")
        return
    bind_context(payment_id=payment_id)
    payment = _begin_check(task, payment_id)
    if payment["is_settled"]:
        return
    try:
        outcome = _settle(task, payment, source="poll")
    except (Unavailable, Rejected, Unverified) as error:
        outcome = "unavailable" if isinstance(error, Unavailable) else "rejected"
        log.warning("payment.unanswered", code=error.code, outcome=outcome)
    task.database.call("record_payment_check", payment_id=payment_id, outcome=outcome)


def _sweep(task: Task, event: str, claim: str) -> None:
    swept = 0
    while swept < SWEEP_LIMIT:
        found: list[str] = task.database.call(claim, batch=SWEEP_BATCH)
        swept += len(found)
        if len(found) < SWEEP_BATCH:
            break
    if swept:
        log.info(event, count=swept)


def _handle(task: Task, event: dict[str, Any]) -> str:
    """What came of an event: what applying the gateway's answer did, or why nobody was asked."""
    if event["refund_id"] is not None:
        return refunds.check_noticed_refund(
            task, refund_id=event["refund_id"], event_id=event["event_id"]
        )
    if event["kind"] not in ("payment", "refund"):
        return str(event["kind"])
    if event["payment_id"] is None:
        return "unmatched"
    is_about_payment = event["kind"] == "payment"
    return _settle(
        task,
        _begin_check(task, event["payment_id"]),
        source="webhook",
        event_id=event["event_id"],
        notice=event["raw"].encode() if is_about_payment else None,
    )


def _begin_check(task: Task, payment_id: str) -> dict[str, Any]:
    payment: dict[str, Any] = task.database.call("begin_payment_check", payment_id=payment_id)
    return payment


def _settle(
    task: Task,
    payment: dict[str, Any],
    *,
    source: str,
    event_id: str | None = None,
    notice: bytes | None = None,
) -> str:
    """Fetch and apply: `applied`, `unchanged`, `quarantined` or `not_found`.

    What the gateway never heard of may still be paid, however late: a form of ours waits in a
    browser, a start is still on its way. It stays pending until the database closes it.
    """
    result = _fetch(task, payment, notice)
    settled = task.database.call(
        "apply_payment_result",
        payment_id=payment["payment_id"],
        status=result.status if result.is_found else "pending",
        amount=result.amount,
        currency=result.currency,
        gateway_transaction_id=result.gateway_transaction_id,
        reason=result.reason,
        fee=result.fee,
        source=source,
        request_id=task.request_id,
        event_id=event_id,
        saved_method=_saved_method(result.saved_method),
    )
    log.info(
        "payment.settled",
        outcome=settled["outcome"],
        status=settled["payment_status"],
        gateway=payment["gateway"],
        gateway_status=result.gateway_status,
        order_id=settled["order_id"],
    )
    is_unheard_of = not result.is_found and settled["outcome"] == "unchanged"
    return NOT_FOUND if is_unheard_of else str(settled["outcome"])


def _fetch(task: Task, payment: dict[str, Any], notice: bytes | None) -> PaymentResult:
    provider = registry.payment_provider(payment["gateway"], task.settings)
    query = PaymentQuery(
        payment_id=payment["payment_id"],
        reference=payment["reference"],
        gateway_transaction_id=payment["gateway_transaction_id"],
        gateway_session=payment["gateway_session"],
        amount=payment["amount"],
        currency=payment["currency"],
        method=payment["method"],
        started_at=datetime.fromisoformat(payment["started_at"]),
        notice=notice,
    )
    return task.ask(payment["gateway"], lambda: provider.fetch(query))


def _saved_method(saved: SavedMethod | None) -> dict[str, Any] | None:
    if saved is None:
        return None
    return {
        "token": saved.token,
        "label": saved.label,
        "expires_on": saved.expires_on.isoformat() if saved.expires_on else None,
    }


def _record_handled(task: Task, event_id: str, outcome: str, detail: str | None) -> None:
    task.database.call("record_webhook_handled", event_id=event_id, outcome=outcome, detail=detail)
    log.info("webhook.handled", outcome=outcome)
