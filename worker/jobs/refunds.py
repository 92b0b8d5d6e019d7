"""Refunds: money sent back once, by the gateway it came through or as a payout.

The row is marked sent before the rail hears of it. Whatever happens after that is an unknown
outcome: the rail is asked first, and the refund goes out a second time only where the rail does not
know it and takes the same refund twice for one. A payout never goes out twice. Where the rail
surely took nothing, the next attempt is a first one again, under the same reference.

The database plans each further attempt (`check_refund`) and gives a refund that does not end to a
person; nothing here is left to the outbox but what went wrong on our side.
"""

from __future__ import annotations

from typing import Any

from edge_workers.log import bind_context, get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import RefundQuery, RefundRequest, RefundResult
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest, PayoutResult
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unverified
from worker.task import Task

log = get_logger(__name__)


def send_refund(task: Task, *, refund_id: str) -> None:
    """Send a refund to its rail, unless an earlier attempt may have done so: then ask."""
    _attempt(task, refund_id)


def check_refund(task: Task, *, refund_id: str) -> None:
    """Ask how a refund stands; send it when the rail surely has nothing of it yet."""
    _attempt(task, refund_id)


def check_noticed_refund(task: Task, *, refund_id: str, event_id: str) -> str:
    """Ask how a refund stands that a notice speaks of, whatever is known of it: the outcome.

    Nothing is sent. Raises what the rail's `fetch` raises.
    """
    bind_context(refund_id=refund_id)
    refund = _begin(task, refund_id)
    is_found = False
    try:
        result = _fetch(task, refund)
        is_found = result.is_found
    finally:
        # This look at it marked it sent, and it never was: the next attempt is the first again.
        if refund["is_first"] and not is_found:
            _record_check(task, refund, "nothing_created")
    if not is_found:
        return "unchanged"
    return _apply(task, refund, result, source="webhook", event_id=event_id)


def _attempt(task: Task, refund_id: str) -> None:
    bind_context(refund_id=refund_id)
    refund = _begin(task, refund_id)
    if refund["is_ended"]:
        return
    if not refund["is_first"]:
        known = _asked(task, refund)
        if known is None:
            return
        if known.is_found:
            _conclude(task, refund, known, source="poll")
            return
        if not _is_repeatable(task, refund):
            _record_check(task, refund, "not_found")
            return
    sent = _sent(task, refund)
    if sent is None:
        return
    if sent.is_found:
        _conclude(task, refund, sent, source="send")
    else:
        _record_check(task, refund, "unknown")


def _begin(task: Task, refund_id: str) -> dict[str, Any]:
    refund: dict[str, Any] = task.database.call("begin_refund_attempt", refund_id=refund_id)
    return refund


def _asked(task: Task, refund: dict[str, Any]) -> RefundResult | None:
    """How the refund stands; None when that could not be learnt and is asked again later."""
    try:
        return _fetch(task, refund)
    except ProviderError as error:
        _report(error, refund, "refund.unanswered")
        is_refused = isinstance(error, Rejected | Unverified)
        _record_check(task, refund, "rejected" if is_refused else "unavailable")
        return None


def _sent(task: Task, refund: dict[str, Any]) -> RefundResult | None:
    """What the rail said to the refund; None when it took nothing or the outcome is open."""
    try:
        return _send(task, refund)
    except Rejected as error:
        _report(error, refund, "refund.refused")
        if not refund["is_first"]:
            # Perhaps because it was taken the first time: no reason to send it another way.
            _record_check(task, refund, "unknown")
            return None
        task.database.call(
            "record_refund_refused",
            refund_id=refund["refund_id"],
            code=error.code,
            reason=str(error),
        )
    except ProviderError as error:
        _report(error, refund, "refund.unsent")
        # What is sent again may have arrived the first time, whatever became of this time.
        is_unsent = refund["is_first"] and error.outcome == "nothing_created"
        _record_check(task, refund, "nothing_created" if is_unsent else "unknown")
    return None


def _conclude(task: Task, refund: dict[str, Any], result: RefundResult, *, source: str) -> None:
    """Apply the rail's answer; one that is no end yet is asked for again."""
    _apply(task, refund, result, source=source)
    if result.status == "pending":
        _record_check(task, refund, "pending")


def _apply(
    task: Task,
    refund: dict[str, Any],
    result: RefundResult,
    *,
    source: str,
    event_id: str | None = None,
) -> str:
    applied = task.database.call(
        "apply_refund_result",
        refund_id=refund["refund_id"],
        status=result.status,
        amount=result.amount,
        currency=result.currency,
        gateway_refund_id=result.gateway_refund_id,
        reason=result.reason,
        source=source,
        request_id=task.request_id,
        event_id=event_id,
    )
    log.info(
        "refund.settled",
        outcome=applied["outcome"],
        status=applied["status"],
        way=refund["way"],
        gateway=refund["gateway"],
        gateway_status=result.gateway_status,
        order_id=applied["order_id"],
    )
    return str(applied["outcome"])


def _record_check(task: Task, refund: dict[str, Any], outcome: str) -> None:
    task.database.call("record_refund_check", refund_id=refund["refund_id"], outcome=outcome)


def _report(error: ProviderError, refund: dict[str, Any], event: str) -> None:
    """Say what a rail did not do; that our own keys are wrong somebody must come and mend."""
    say = log.error if isinstance(error, Misconfigured) else log.warning
    say(
        event,
        error=type(error).__name__,
        code=error.code,
        outcome=error.outcome,
        way=refund["way"],
        gateway=refund["gateway"],
    )


def _is_repeatable(task: Task, refund: dict[str, Any]) -> bool:
    """Whether the same refund sent twice is one; a payout is never taken for that."""
    if refund["way"] == "payout":
        return False
    return registry.payment_provider(refund["gateway"], task.settings).refunds_are_repeatable


def _send(task: Task, refund: dict[str, Any]) -> RefundResult:
    if refund["way"] == "payout":
        rail = registry.payout_provider(refund["gateway"], task.settings)
        payout = _payout_request(refund)
        return _as_refund(task.ask(refund["gateway"], lambda: rail.pay(payout)))
    provider = registry.payment_provider(refund["gateway"], task.settings)
    request = RefundRequest(
        refund_id=refund["refund_id"],
        refund_reference=refund["reference"],
        payment_id=refund["payment_id"],
        payment_reference=refund["payment_reference"],
        currency=refund["currency"],
        gateway_transaction_id=refund["gateway_transaction_id"],
        amount=refund["amount"],
        reason=refund["reason"],
        notify_url=_notify_url(task, refund),
    )
    return task.ask(refund["gateway"], lambda: provider.refund(request))


def _fetch(task: Task, refund: dict[str, Any]) -> RefundResult:
    if refund["way"] == "payout":
        rail = registry.payout_provider(refund["gateway"], task.settings)
        about = PayoutQuery(payout_id=refund["refund_id"], reference=refund["reference"])
        return _as_refund(task.ask(refund["gateway"], lambda: rail.fetch(about)))
    provider = registry.payment_provider(refund["gateway"], task.settings)
    query = RefundQuery(
        refund_id=refund["refund_id"],
        refund_reference=refund["reference"],
        payment_id=refund["payment_id"],
        payment_reference=refund["payment_reference"],
        currency=refund["currency"],
        amount=refund["amount"],
        gateway_refund_id=refund["gateway_refund_id"],
        gateway_transaction_id=refund["gateway_transaction_id"],
    )
    return task.ask(refund["gateway"], lambda: provider.fetch_refund(query))


def _payout_request(refund: dict[str, Any]) -> PayoutRequest:
    """The transfer to the account that paid. Raises `Rejected` when that is not known."""
    if not (refund["account"] and refund["channel"] and refund["institution"]):
        raise Rejected("The account that paid is not known.", code="payout_account_missing")
    return PayoutRequest(
        payout_id=refund["refund_id"],
        reference=refund["reference"],
        amount=refund["amount"],
        currency=refund["currency"],
        country=refund["country"],
        channel=refund["channel"],
        account=refund["account"],
        institution=refund["institution"],
        recipient_name=refund["recipient_name"] or "",
        recipient_email=refund["recipient_email"] or "",
        description=f"Refund {refund['payment_reference']}",
    )


def _as_refund(payout: PayoutResult) -> RefundResult:
    return RefundResult(
        status="refunded" if payout.status == "paid" else payout.status,
        is_found=payout.is_found,
        amount=payout.amount,
        currency=payout.currency,
        reason=payout.reason,
        gateway_status=payout.gateway_status,
    )


def _notify_url(task: Task, refund: dict[str, Any]) -> str:
    """Where the gateway tells of the refund: the payment's own address."""
    address = f"{task.settings.public_url}/api/v1/payments/webhook/{refund['gateway']}"
    token = refund["webhook_token"]
    return f"{address}/{token}" if token else address
