"""Giving money back through PayFast, which has no reference of ours for it.

PayFast is asked first what it can give back and by which way, then told to, then asked what went
back. As a refund has no name over there, it gets one here: the transaction, its sum, and what has
to have gone back in all once it is done (`994209:50.00:150.00`). A refund whose outcome nobody
heard has no such name: an equal sum among those that went back may be another refund's, so it is
never called done, and never called failed either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payments import RefundQuery, RefundRequest, RefundResult
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Rejected, Unavailable
from edge_workers.providers.payfast import mapping
from edge_workers.providers.payfast.api import PayfastApi, Reply

_SHORTEST_REASON = 3
_LONGEST_REASON = 255

_name = re.compile(r"[0-9]{1,20}:([0-9]{1,12}\.[0-9]{2}):([0-9]{1,12}\.[0-9]{2})\Z")


@dataclass(frozen=True)
class _Offer:
    """What PayFast is ready to give back, in rand."""

    original: Decimal
    available: Decimal
    full_method: str
    partial_method: str


class PayfastRefunds:
    """Stateless; `is_in_cents` is the unit of every amount in PayFast's refund calls."""

    def __init__(self, api: PayfastApi, *, is_in_cents: bool) -> None:
        self._api = api
        self._is_in_cents = is_in_cents

    def refund(self, request: RefundRequest) -> RefundResult:
        """Start a refund.

        Raises `Rejected` where it cannot be done, `Unavailable` with outcome `nothing_created`
        where it can later, and with outcome `unknown` after any answer to the order itself that is
        no plain yes: then it may exist, and must not be sent again.
        """
        if request.currency != mapping.CURRENCY:
            raise Rejected("PayFast has only rand.", code="currency_unsupported")
        if not request.gateway_transaction_id:
            raise Rejected("PayFast's transaction is not known.", code="payment_not_paid")
        wanted = request.amount
        if wanted is not None:
            wanted = checked_amount(wanted, request.currency)
        transaction = quote(request.gateway_transaction_id, safe="")
        offer = self._offer(transaction)
        amount = offer.available if wanted is None else wanted
        _check_offer(offer, amount)
        reason = safe_text(request.reason, _LONGEST_REASON)
        reply = self._api.post(
            "refund",
            f"/refunds/{transaction}",
            {
                "amount": self._written(amount),
                "reason": reason if len(reason) >= _SHORTEST_REASON else "Refund",
                "notify_buyer": "1",
            },
        )
        if not reply.is_confirmed:
            raise Unavailable(
                reply.message or "PayFast did not confirm the refund.", code="refund_unclear"
            )
        gone = offer.original - offer.available + amount
        return RefundResult(
            status="pending",
            amount=amount,
            currency=mapping.CURRENCY,
            gateway_refund_id=f"{request.gateway_transaction_id}:{amount:.2f}:{gone:.2f}",
            gateway_status=reply.message or None,
        )

    def fetch_refund(self, query: RefundQuery) -> RefundResult:
        """Ask what went back of the payment, and conclude whether this refund is in it."""
        if not query.gateway_transaction_id:
            return _unknown("payment_not_paid")
        reply = self._api.get(
            "refund_status", f"/refunds/{quote(query.gateway_transaction_id, safe='')}"
        )
        if not reply.is_accepted:
            if reply.answer.status == 404:
                return _unknown("unknown_at_gateway")
            raise Unavailable(
                reply.message or "PayFast did not say what went back.", code="status_refused"
            )
        returned = self._returned(reply)
        named = _name.match(query.gateway_refund_id or "")
        if named is not None:
            is_done = sum(returned, Decimal(0)) >= Decimal(named[2])
            return RefundResult(
                status="refunded" if is_done else "pending",
                amount=Decimal(named[1]),
                currency=mapping.CURRENCY,
                gateway_refund_id=query.gateway_refund_id,
            )
        is_ambiguous = bool(returned) and query.amount in (None, *returned)
        return _unknown("refund_ambiguous" if is_ambiguous else "unknown_at_gateway")

    def _offer(self, transaction: str) -> _Offer:
        """What can be given back. Nothing has been created when this raises."""
        try:
            reply = self._api.get("refund_query", f"/refunds/query/{transaction}")
            offer = reply.response
            if not reply.is_accepted or not isinstance(offer, dict):
                raise _not_offered(reply)
            _check_state(offer)
            return _Offer(
                original=self._read(offer.get("amount_original")),
                available=self._read(offer.get("amount_available_for_refund")),
                full_method=_method(offer, "refund_full"),
                partial_method=_method(offer, "refund_partial"),
            )
        except Unavailable as error:
            error.outcome = "nothing_created"
            raise

    def _returned(self, reply: Reply) -> list[Decimal]:
        """The sums that went back, positive, in rand."""
        response = reply.response
        entries = response.get("transactions") if isinstance(response, dict) else None
        if not isinstance(entries, list):
            raise Unavailable("PayFast's answer lists no transactions.", code="answer_malformed")
        amounts = [self._read(entry.get("amount")) for entry in entries if isinstance(entry, dict)]
        return [-amount for amount in amounts if amount < 0]

    def _written(self, amount: Decimal) -> str:
        return f"{amount * 100:.0f}" if self._is_in_cents else f"{amount:.2f}"

    def _read(self, value: object) -> Decimal:
        amount = amount_from(value)
        if amount is None or (self._is_in_cents and amount != int(amount)):
            raise Unavailable("PayFast's amount cannot be read.", code="answer_malformed")
        return amount / 100 if self._is_in_cents else amount


def _unknown(reason: str) -> RefundResult:
    return RefundResult(status="pending", is_found=False, reason=reason)


def _method(offer: dict[str, Any], name: str) -> str:
    way = offer.get(name)
    method = way.get("method") if isinstance(way, dict) else None
    return method if isinstance(method, str) else ""


def _not_offered(reply: Reply) -> Unavailable | Rejected:
    if reply.answer.status == 404:
        return Rejected(reply.message or "PayFast refunds nothing here.", code="refund_unsupported")
    return Unavailable(
        reply.message or "PayFast did not say what it can give back.", code="refund_unclear"
    )


def _check_state(offer: dict[str, Any]) -> None:
    """Raises what a payment that is not open for refunds means."""
    state = offer.get("status")
    if state == mapping.REFUND_STATE_OPEN:
        return
    if state == mapping.REFUND_STATE_DONE:
        raise Rejected("Everything has been given back.", code="refund_complete")
    errors = offer.get("errors")
    said = safe_text(" ".join(map(str, errors)) if isinstance(errors, list) else "")
    for phrase, code in mapping.REFUND_LATER.items():
        if phrase in said.lower():
            raise Unavailable(said, code=code)
    raise Rejected(said or "PayFast does not refund this payment.", code="refund_unsupported")


def _check_offer(offer: _Offer, amount: Decimal) -> None:
    """Raises `Rejected` unless PayFast gives this much back to where it came from.

    Its other way is a transfer to a bank account, which the shop does not know.
    """
    if amount > offer.available:
        raise Rejected("More than what is left was to be given back.", code="refund_too_large")
    if amount <= 0:
        raise Rejected("Everything has been given back.", code="refund_complete")
    method = offer.full_method if amount == offer.original else offer.partial_method
    if method != mapping.REFUND_SOURCE:
        raise Rejected(
            "PayFast does not give this back to where it came from.", code="refund_unsupported"
        )
