"""MTN's words and what they mean here. A status that is not listed is pending."""

from __future__ import annotations

from typing import Literal

from edge_workers.providers.contracts.payments import PaymentStatus, RefundStatus
from edge_workers.providers.contracts.payouts import PayoutStatus

Standing = Literal["pending", "done", "failed", "cancelled"]

METHODS = frozenset({"mtn_momo"})

STATUS: dict[str, Standing] = {
    "PENDING": "pending",
    "CREATED": "pending",
    "ONGOING": "pending",
    "SUCCESSFUL": "done",
    "FAILED": "failed",
}

CANCELLED = frozenset(
    {
        "APPROVAL_REJECTED",
        "REJECTED",
        "TRANSACTION_CANCELED",
        "EXPIRED",
        "COULD_NOT_PERFORM_TRANSACTION",
    }
)
"""Reasons of a failure that are the payer's own no, or no answer in time."""

UNDECIDED = frozenset({"PENDING", "CREATED", "ONGOING"})
"""Words that some of MTN's products give as a reason and that say it is not over."""

PAYMENT_STATUS: dict[Standing, PaymentStatus] = {
    "pending": "pending",
    "done": "paid",
    "failed": "failed",
    "cancelled": "cancelled",
}

REFUND_STATUS: dict[Standing, RefundStatus] = {
    "pending": "pending",
    "done": "refunded",
    "failed": "failed",
    "cancelled": "failed",
}

PAYOUT_STATUS: dict[Standing, PayoutStatus] = {
    "pending": "pending",
    "done": "paid",
    "failed": "failed",
    "cancelled": "failed",
}

NEVER_CREATED: dict[str, str] = {
    "NOT_ALLOWED": "not_allowed",
    "INVALID_CURRENCY": "currency_unsupported",
    "PAYER_NOT_FOUND": "payer_not_found",
    "PAYEE_NOT_ALLOWED_TO_RECEIVE": "payee_not_allowed",
}
"""Codes of HTTP 500 that are permanent. Any other one leaves open whether it was taken."""

OUR_SETTINGS: dict[str, str] = {
    "NOT_ALLOWED_TARGET_ENVIRONMENT": "target_environment_refused",
    "INVALID_CALLBACK_URL_HOST": "callback_host_refused",
}
"""As permanent, but about what was agreed with MTN and stands in our settings."""


def word(value: object) -> str:
    """A status or reason to be looked up: upper case, spaces as underscores."""
    return "_".join(value.upper().split()) if isinstance(value, str) else ""


def standing(status: str, reason: str) -> Standing:
    """How a transaction stands, by its status and, where it failed, the reason."""
    if STATUS.get(status) != "failed":
        return STATUS.get(status, "pending")
    if reason in UNDECIDED:
        return "pending"
    return "cancelled" if reason in CANCELLED else "failed"
