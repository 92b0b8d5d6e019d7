"""Taking money: what every payment gateway offers, and the neutral values it speaks.

A webhook goes through five steps, the same for all gateways:

1. `recognises(request)` finds the gateway when the address does not name it;
2. `locate(request)` names the payments it speaks of, so that the caller can load what the
   verification needs (a payment's own token, say);
3. `verify(request, secrets)` in constant time, or raises `Unverified`;
4. `parse(request)` gives the event to be stored under its `dedupe_key`;
5. `answer(event)` is what that gateway wants to hear.

An event is only a hint: `fetch` is what decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

PaymentMethod = Literal["mtn_momo", "orange_money", "card", "eft", "kora_checkout"]

PaymentStatus = Literal["pending", "paid", "failed", "cancelled", "refunded"]
"""`pending` is also whatever a gateway says that is not known here."""

RefundStatus = Literal["pending", "refunded", "failed"]

EventKind = Literal["payment", "refund", "payout", "other"]


@dataclass(frozen=True, kw_only=True)
class StartPayment:
    """One attempt to collect one amount. `reference` is ours, stored before this is sent."""

    payment_id: str
    """Our row's id (UUID version 4), for gateways that want a UUID of ours as their key."""
    reference: str
    method: str
    amount: Decimal
    """Major units, exact in the currency: XAF whole francs."""
    currency: str
    country: str
    language: str
    customer_email: str
    customer_name: str | None = None
    phone: str | None = None
    """E.164, with or without the plus; needed by the methods that push to a handset."""
    bank_code: str | None = None
    """The payer's bank, where a gateway's transfer wants it chosen beforehand."""
    description: str = ""
    """What the payer reads, such as the order's number."""
    notify_url: str = ""
    """Where the gateway posts events; carries the payment's own token where a gateway signs not."""
    return_url: str = ""
    """Where the browser comes back; proves nothing."""
    cancel_url: str = ""
    save_method: bool = False
    """The payer asks that the gateway keep the card or account for the next time."""
    saved_method_token: str | None = None
    """The gateway's token of a method that this payer let it keep before."""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PaymentAction:
    """What the payer does next.

    * `redirect`: open `url`;
    * `form`: post `fields`, in this order, to `url`;
    * `push`: confirm on the handset; with `requires = 'code'` type the code that was sent there.
    """

    kind: Literal["redirect", "form", "push"]
    url: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    requires: Literal["approval", "code"] | None = None
    message: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The action as clients and `record_payment_started` take it; fields keep their order."""
        answer: dict[str, Any] = {"action": self.kind}
        if self.url is not None:
            answer["url"] = self.url
        if self.fields:
            answer["fields"] = [{"name": name, "value": value} for name, value in self.fields]
        if self.requires is not None:
            answer["requires"] = self.requires
        if self.message is not None:
            answer["message"] = self.message
        return answer


@dataclass(frozen=True, kw_only=True)
class StartedPayment:
    """The gateway accepted the attempt."""

    action: PaymentAction
    gateway_transaction_id: str | None = None
    gateway_session: str | None = None
    """The gateway's name for the attempt before money moved (a pay token, a pay request), where it
    differs from the transaction's and is needed to ask."""
    expires_at: datetime | None = None
    """When the gateway gives up, if it says so."""
    webhook_token: str | None = None
    """A secret that the gateway will repeat in its events of this payment, if it has one."""


@dataclass(frozen=True, kw_only=True)
class AuthorizePayment:
    """The code that the payer received, for an action that `requires` one."""

    reference: str
    gateway_transaction_id: str
    code: str


@dataclass(frozen=True, kw_only=True)
class PaymentQuery:
    """What is known of an attempt when asking how it stands."""

    payment_id: str
    reference: str
    gateway_transaction_id: str | None = None
    gateway_session: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    method: str | None = None
    started_at: datetime | None = None
    """When the attempt was begun: where to look in a gateway's history."""
    notice: bytes | None = None
    """The verified webhook that raised the question, byte for byte, for gateways whose answer is to
    confirm their own notice."""


@dataclass(frozen=True, kw_only=True)
class SavedMethod:
    """A card or account that the gateway keeps for the payer: its token, never a number."""

    token: str
    label: str
    """What the payer recognises it by, such as `Visa …0015`."""
    expires_on: date | None = None
    """Last day it is good for, where the gateway says so."""


@dataclass(frozen=True, kw_only=True)
class PaymentResult:
    """How the gateway itself says the attempt stands: the only thing that may mark it paid.

    `is_found` false: the gateway does not know the reference. That is pending, since it may still
    be paid; the database closes it after a day. `amount` and `currency` are what was collected and
    must be compared with the order by the caller.
    """

    status: PaymentStatus
    is_found: bool = True
    amount: Decimal | None = None
    currency: str | None = None
    gateway_transaction_id: str | None = None
    fee: Decimal | None = None
    reason: str | None = None
    gateway_status: str | None = None
    """The gateway's own word, for logs."""
    saved_method: SavedMethod | None = None


@dataclass(frozen=True, kw_only=True)
class RefundRequest:
    """Give money back. `refund_reference` is ours and the idempotency key."""

    refund_id: str
    """Our row's id (UUID version 4), for gateways that want a UUID of ours as their key."""
    refund_reference: str
    payment_id: str
    payment_reference: str
    currency: str
    gateway_transaction_id: str | None = None
    amount: Decimal | None = None
    """None: all that is left."""
    reason: str = ""
    notify_url: str = ""


@dataclass(frozen=True, kw_only=True)
class RefundQuery:
    """What is known of a refund when asking how it stands."""

    refund_id: str
    refund_reference: str
    payment_id: str
    payment_reference: str
    currency: str
    amount: Decimal | None = None
    gateway_refund_id: str | None = None
    gateway_transaction_id: str | None = None
    """Of the payment."""


@dataclass(frozen=True, kw_only=True)
class RefundResult:
    """How a refund stands; `is_found` false: the gateway never heard of it."""

    status: RefundStatus
    is_found: bool = True
    amount: Decimal | None = None
    currency: str | None = None
    gateway_refund_id: str | None = None
    reason: str | None = None
    gateway_status: str | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """A message from outside, byte for byte. Header names are compared in lower case."""

    raw: bytes
    headers: Mapping[str, str]
    token: str | None = None
    """The last part of the address, for gateways that do not sign."""
    remote_address: str | None = None

    def header(self, name: str) -> str | None:
        """The value of a header, whatever the case of its name; None when absent."""
        wanted = name.lower()
        for key, value in self.headers.items():
            if key.lower() == wanted:
                return value
        return None


@dataclass(frozen=True, kw_only=True)
class WebhookLocation:
    """The payments a message claims to speak of, not verified: our references or the gateway's."""

    references: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    """Secrets that the message presents and that lead to a payment by themselves."""
    needs_secrets: bool = False
    """Whether `verify` wants the tokens of these payments."""


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """A verified message. Same `dedupe_key`, same event."""

    event_type: str
    dedupe_key: str
    kind: EventKind
    references: tuple[str, ...]
    """Ours and the gateway's, in the order found; they must not lead to two payments. Of a refund:
    the refund's and the payment's."""
    token: str | None = None
    """The secret by which it was verified, where that is what leads to the payment."""
    status: PaymentStatus = "pending"
    """What the message says: a hint, never a fact."""


@dataclass(frozen=True, kw_only=True)
class WebhookAnswer:
    """What a gateway expects to hear so that it stops repeating."""

    status: int = 200
    body: str = "OK"
    content_type: str = "text/plain; charset=utf-8"


class PaymentProvider(Protocol):
    """A gateway that collects. Raises only what `providers.errors` names."""

    @property
    def name(self) -> str:
        """As in `payments.gateway`."""

    @property
    def methods(self) -> frozenset[str]:
        """The payment methods it can carry out."""

    @property
    def refunds_are_repeatable(self) -> bool:
        """Whether the same refund sent twice is one refund over there."""

    def start(self, request: StartPayment) -> StartedPayment:
        """Open the attempt. `Unavailable` with outcome `unknown` means: fetch, never send anew."""

    def authorize(self, request: AuthorizePayment) -> StartedPayment:
        """Hand in the payer's code. `Rejected` where the gateway knows no codes or this one not."""

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Ask how the attempt stands."""

    def refund(self, request: RefundRequest) -> RefundResult:
        """Start a refund. `Rejected` (`refund_unsupported`) where the gateway has none."""

    def fetch_refund(self, query: RefundQuery) -> RefundResult:
        """Ask how a refund stands."""

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether the message carries this gateway's own marks (not a proof)."""

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """The payments it claims to speak of. Never raises: unreadable means none."""

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:
        """Raise `Unverified` unless it is genuine; `secrets` are the located payments' tokens."""

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified message."""

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:
        """What to reply once the event is stored (None: nothing to store)."""
