"""Paying out through Kora: `contracts.payouts.PayoutProvider`.

Only the errors that Kora documents as coming before a payout exists are facts. After any other
answer, or none, the payout is asked for by its reference and never sent again.
"""

from __future__ import annotations

import re
from typing import Any

from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest, PayoutResult
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.kora import mapping
from edge_workers.providers.kora.api import KoraApi, member, text_member

_reference = re.compile(r"[A-Za-z0-9._-]{5,50}\Z")
_account = re.compile(r"[0-9]{5,20}\Z")


class KoraPayouts:
    """Stateless; one instance per account and process."""

    name = "kora"

    def __init__(self, api: KoraApi) -> None:
        self._api = api

    def pay(self, request: PayoutRequest) -> PayoutResult:
        """Disburse to a handset or a bank account."""
        destination = self._destination(request)
        body = {"reference": request.reference, "destination": destination}
        try:
            reply = self._api.post("disburse", "/transactions/disburse", body)
        except Misconfigured as error:
            error.outcome = "unknown"  # Kora: after an authorisation error ask, do not resend
            raise
        if reply.is_accepted:
            return _result(reply.data, request.reference)
        if reply.is_duplicate:
            return self._payout_named(request.reference)
        code = mapping.PAYOUT_NEVER_CREATED.get(mapping.plain(reply.message))
        if code is not None:
            raise Rejected(reply.message, code=code)
        raise Unavailable(reply.message or "Kora did not take the payout.", code="payout_unclear")

    def fetch(self, query: PayoutQuery) -> PayoutResult:
        """Ask how a payout stands."""
        return self._payout_named(query.reference)

    def _payout_named(self, reference: str) -> PayoutResult:
        reply = self._api.get("payout_status", "/transactions", reference)
        if reply.is_accepted:
            return _result(reply.data, reference)
        if reply.is_missing:
            return PayoutResult(status="pending", is_found=False, reason="unknown_at_gateway")
        raise Unavailable(
            reply.message or "Kora did not say how the payout stands.", code="status_refused"
        )

    def _destination(self, request: PayoutRequest) -> dict[str, Any]:
        """The request's body, checked before anything is sent."""
        amount = checked_amount(request.amount, request.currency)
        if not _reference.match(request.reference):
            raise Rejected("The payout's reference is not usable.", code="reference_invalid")
        account = request.account.removeprefix("+")
        if not _account.match(account):
            raise Rejected("The account is not a number.", code="account_invalid")
        destination: dict[str, Any] = {
            "type": request.channel,
            "amount": amount,
            "currency": request.currency,
            "narration": (request.description or request.reference)[:100],
            "customer": {"name": request.recipient_name, "email": request.recipient_email},
        }
        if request.channel == "mobile_money":
            destination["mobile_money"] = {
                "operator": self._operator(request),
                "mobile_number": account,
            }
        else:
            destination["bank_account"] = {
                "bank": request.institution,
                "account": account,
                "account_name": request.recipient_name,
            }
        return destination

    def _operator(self, request: PayoutRequest) -> str:
        """Kora's slug of an operator, from its own list of the country."""
        try:
            reply = self._api.get("operators", f"/misc/mobile-money?countryCode={_iso2(request)}")
        except ProviderError as error:
            error.outcome = "nothing_created"
            raise
        entries = reply.data if isinstance(reply.data, list) else []
        if not reply.is_accepted:
            raise Unavailable(
                reply.message or "Kora did not list its operators.",
                code="operators_unclear",
                outcome="nothing_created",
            )
        for entry in entries:
            slug = text_member(entry, "slug") or text_member(entry, "code")
            if slug is not None and request.institution.lower() in slug.lower().split("-"):
                return slug
        raise Rejected("Kora does not pay to this operator.", code="institution_invalid")


def _iso2(request: PayoutRequest) -> str:
    if len(request.country) != 2 or not request.country.isascii() or not request.country.isalpha():
        raise Rejected("The country is not an ISO code of two letters.", code="country_invalid")
    return request.country.upper()


def _result(data: Any, reference: str) -> PayoutResult:
    word = text_member(data, "status")
    if word is None or text_member(data, "reference") != reference:
        raise Unavailable("Kora answered about something else.", code="answer_malformed")
    reason = text_member(data, "message") or text_member(data, "status_reason")
    return PayoutResult(
        status=mapping.PAYOUT_STATUS.get(word, "pending"),
        amount=amount_from(member(data, "amount")),
        currency=text_member(data, "currency"),
        fee=amount_from(member(data, "fee")),
        reason=safe_text(reason) or None,
        gateway_status=safe_text(word, 40),
    )
