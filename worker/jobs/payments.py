"""Payments: what a webhook hints at and what a poll finds, settled by asking the gateway."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from edge_workers.log import bind_context, get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import PaymentQuery, PaymentResult
from edge_workers.providers.errors import Rejected, Unavailable
from worker.task import Task

SWEEP_BATCH: Final = 100
SWEEP_LIMIT: Final = 1_000
"""Payments that one sweep looks after at most; the next continues."""

log = get_logger(__name__)


def handle_webhook(task: Task, *, event_id: str) -> None:
    """Take a stored webhook as a hint: ask the gateway and apply its answer.

    Raises Unavailable when the gateway does not answer: the event stays open and is tried again.
    """
    event = task.database.call("begin_webhook_event", event_id=event_id)
    if event is None or event["handled"]:
        return
    bind_context(event_id=event_id, payment_id=event["payment_id"])
    if event["payment_id"] is None:
        _record_handled(task, event_id, "unmatched", None)
        return
    try:
        outcome = _settle(task, event["payment_id"], source="webhook")
    except Rejected as error:
        _record_handled(task, event_id, "rejected", error.code)
        return
    _record_handled(task, event_id, outcome, None)


def reconcile_payments(task: Task, *, payment_id: str | None = None) -> None:
    """Ask the gateway about one payment and plan the next question.

    Without an id: see to it that every live payment has a question planned. A gateway that does not
    answer is no failure of the job, only a reason to ask again.
    """
    if payment_id is None:
        _sweep(task)
        return
    bind_context(payment_id=payment_id)
    if task.database.call("begin_payment_check", payment_id=payment_id)["is_settled"]:
        return
    try:
        outcome = _settle(task, payment_id, source="poll")
    except (Unavailable, Rejected) as error:
        outcome = "unavailable" if isinstance(error, Unavailable) else "rejected"
        log.warning("payment.unanswered", code=error.code, outcome=outcome)
    task.database.call("record_payment_check", payment_id=payment_id, outcome=outcome)


def _sweep(task: Task) -> None:
    swept = 0
    while swept < SWEEP_LIMIT:
        found: list[str] = task.database.call("claim_payment_sweep", batch=SWEEP_BATCH)
        swept += len(found)
        if len(found) < SWEEP_BATCH:
            break
    if swept:
        log.info("payments.swept", payments=swept)


def _settle(task: Task, payment_id: str, *, source: str) -> str:
    """Fetch and apply: `applied`, `unchanged` or `quarantined`."""
    payment: dict[str, Any] = task.database.call("begin_payment_check", payment_id=payment_id)
    provider = registry.payment_provider(payment["gateway"], task.settings)
    result = provider.fetch(
        PaymentQuery(
            reference=payment["reference"],
            gateway_transaction_id=payment["gateway_transaction_id"],
            amount=payment["amount"],
            currency=payment["currency"],
            method=payment["method"],
        )
    )
    status, reason = _standing(result, payment["expires_at"], task.now())
    settled = task.database.call(
        "apply_payment_result",
        payment_id=payment_id,
        status=status,
        amount=result.amount,
        currency=result.currency,
        gateway_transaction_id=result.gateway_transaction_id,
        reason=reason,
        fee=result.fee,
        source=source,
        request_id=task.request_id,
    )
    log.info(
        "payment.settled",
        outcome=settled["outcome"],
        status=settled["payment_status"],
        gateway=payment["gateway"],
        gateway_status=result.gateway_status,
        order_id=settled["order_id"],
    )
    return str(settled["outcome"])


def _standing(
    result: PaymentResult, expires_at: str | None, now: datetime
) -> tuple[str, str | None]:
    """Status and reason to apply. What the gateway never heard of fails once it has expired."""
    if not result.is_found:
        if expires_at is not None and datetime.fromisoformat(expires_at) <= now:
            return "failed", "unknown_at_gateway"
        return "pending", None
    return result.status, result.reason


def _record_handled(task: Task, event_id: str, outcome: str, detail: str | None) -> None:
    task.database.call("record_webhook_handled", event_id=event_id, outcome=outcome, detail=detail)
    log.info("webhook.handled", outcome=outcome)
