"""Kora's words and what they mean here. A word that is not listed is pending."""

from __future__ import annotations

from edge_workers.providers.contracts.payments import EventKind, PaymentStatus, RefundStatus
from edge_workers.providers.contracts.payouts import PayoutStatus

CHARGE_STATUS: dict[str, PaymentStatus] = {
    "pending": "pending",
    "processing": "pending",
    "success": "paid",
    "failed": "failed",
    "expired": "cancelled",
    "cancelled": "cancelled",
}

REFUND_STATUS: dict[str, RefundStatus] = {
    "processing": "pending",
    "success": "refunded",
    "failed": "failed",
}

PAYOUT_STATUS: dict[str, PayoutStatus] = {
    "pending": "pending",
    "processing": "pending",
    "success": "paid",
    "failed": "failed",
}

CHANNEL: dict[str, str | None] = {
    "kora_checkout": None,
    "card": "card",
    "eft": "pay_with_bank",
    "mtn_momo": "mobile_money",
    "orange_money": "mobile_money",
}
"""Our methods; those of `mobile_money` are pushed to the handset, the others open the page."""

AUTH_MODEL_CODE = "OTP"
AUTH_MODEL_REDIRECT = "REDIRECT"

PAYOUT_NEVER_CREATED: dict[str, str] = {
    "insufficient funds in disbursement wallet": "insufficient_funds",
    "invalid account": "account_invalid",
    "invalid bank provided": "institution_invalid",
    "invalid mobile money operator": "institution_invalid",
    "unable to resolve bank account": "account_invalid",
}
"""Kora's errors that come before a payout exists; after any other one it must be asked for."""

REFUND_LATER: dict[str, str] = {
    "insufficient": "insufficient_funds",
    "not been settled": "not_settled",
    "not settled": "not_settled",
    "not yet settled": "not_settled",
}
"""Refunds that were not taken now but may be later, with the same reference."""

REFUND_REFUSED: dict[str, str] = {
    "not supported for this currency": "refund_unsupported",
    "more than": "refund_too_large",
    "greater than": "refund_too_large",
    "exceed": "refund_too_large",
    "already been": "refund_complete",
    "fully reversed": "refund_complete",
    "full reversal": "refund_complete",
}

EVENT_KIND: dict[str, EventKind] = {
    "charge.success": "payment",
    "charge.failed": "payment",
    "refund.success": "refund",
    "refund.failed": "refund",
    "transfer.success": "payout",
    "transfer.failed": "payout",
}


def plain(message: str) -> str:
    """A message to be looked up: lower case, without its full stop."""
    return message.strip().lower().rstrip(".")


def found_in(message: str, table: dict[str, str]) -> str | None:
    """The code of the first phrase that the message contains."""
    text = plain(message)
    return next((code for phrase, code in table.items() if phrase in text), None)
