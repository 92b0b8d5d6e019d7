"""Paying people: what every payout rail offers.

A payout is never sent twice: an outcome that is not known is asked for by its reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

PayoutStatus = Literal["pending", "paid", "failed"]
PayoutChannel = Literal["mobile_money", "bank_account"]


@dataclass(frozen=True, kw_only=True)
class PayoutRequest:
    """One transfer to one person. `reference` is ours and the idempotency key."""

    payout_id: str
    """Our row's id (UUID version 4), for rails that want a UUID of ours as their key."""
    reference: str
    amount: Decimal
    """Major units, exact in the currency."""
    currency: str
    country: str
    """ISO-2: decides which operators and banks exist."""
    channel: PayoutChannel
    account: str
    """The handset's number (E.164, plus optional) or the bank account's."""
    institution: str
    """Mobile operator in our words (`mtn`, `orange`) or the bank's code."""
    recipient_name: str
    recipient_email: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class PayoutResult:
    """How a payout stands; `is_found` false: the rail never heard of the reference."""

    status: PayoutStatus
    is_found: bool = True
    amount: Decimal | None = None
    currency: str | None = None
    fee: Decimal | None = None
    reason: str | None = None
    gateway_status: str | None = None


@dataclass(frozen=True, kw_only=True)
class PayoutQuery:
    """Which payout to ask about."""

    payout_id: str
    reference: str


class PayoutProvider(Protocol):
    """A rail that pays out. Raises only what `providers.errors` names."""

    @property
    def name(self) -> str:
        """As in the payout's row."""

    def pay(self, request: PayoutRequest) -> PayoutResult:
        """Send it. `Rejected`: nothing exists. Anything else that raises: fetch, never resend."""

    def fetch(self, query: PayoutQuery) -> PayoutResult:
        """Ask how it stands."""
