"""PayFast's words, field orders and columns. A status that is not listed is pending."""

from __future__ import annotations

from edge_workers.providers.contracts.payments import PaymentStatus

CURRENCY = "ZAR"
"""PayFast knows no other; its notices do not even name it."""

PAYMENT_METHOD: dict[str, str] = {"card": "cc", "eft": "eft"}
"""Our methods and what the form's `payment_method` calls them."""

STATUS: dict[str, PaymentStatus] = {
    "COMPLETE": "paid",
    "FAILED": "failed",
    "PENDING": "pending",
    "CANCELLED": "cancelled",
}
"""Of notices (`payment_status`) and of `/process/query` (`status`)."""

FORM_FIELDS: tuple[str, ...] = (
    "merchant_id",
    "merchant_key",
    "return_url",
    "cancel_url",
    "notify_url",
    "notify_method",
    "name_first",
    "name_last",
    "email_address",
    "cell_number",
    "m_payment_id",
    "amount",
    "item_name",
    "item_description",
    *(f"custom_int{number}" for number in range(1, 6)),
    *(f"custom_str{number}" for number in range(1, 6)),
    "email_confirmation",
    "confirmation_address",
    "currency",
    "payment_method",
    "subscription_type",
    "billing_date",
    "recurring_amount",
    "frequency",
    "cycles",
    "subscription_notify_email",
    "subscription_notify_webhook",
    "subscription_notify_buyer",
)
"""The form's fields in the order in which PayFast signs them."""

LONGEST: dict[str, int] = {
    "name_first": 100,
    "name_last": 100,
    "email_address": 100,
    "m_payment_id": 100,
    "item_name": 100,
    "item_description": 255,
}

TOKENISATION = "2"
"""`subscription_type` by which PayFast keeps the card and gives a token for it."""

HISTORY_COLUMNS: dict[str, str] = {
    "reference": "m payment id",
    "transaction_id": "pf payment id",
    "kind": "type",
    "sign": "sign",
    "gross": "gross",
    "fee": "fee",
    "currency": "currency",
}
"""What is read of the transaction history and the heading it stands under: in lower case, with a
space for an underscore."""

HISTORY_NEEDED = frozenset({"reference", "transaction_id", "kind", "gross"})
"""A table without one of these is no history."""

HISTORY_PAYMENT = "funds received"
"""`Type` of money that came in and, with something behind it, of money that went back."""

REFUND_SOURCE = "PAYMENT_SOURCE"
"""The refund method that needs nothing but an amount: back to where the money came from."""

REFUND_STATE_DONE = "COMPLETED"
REFUND_STATE_OPEN = "REFUNDABLE"

REFUND_LATER: dict[str, str] = {
    "insufficient": "insufficient_funds",
    "balance": "insufficient_funds",
    "not yet": "not_settled",
}
"""What PayFast says of refunds that it may take later, in lower case."""
