"""Paying out through MTN's disbursement: `contracts.payouts.PayoutProvider`.

Our payout's id is MTN's name for the transfer. After any answer but a clear refusal it is asked for
by that id, and never sent under another one.
Source: momodeveloper.mtn.com, disbursement.
"""

from __future__ import annotations

from edge_workers.providers import json_text
from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest, PayoutResult
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Rejected
from edge_workers.providers.mtn import mapping
from edge_workers.providers.mtn.api import (
    MtnProduct,
    check_is,
    checked_reference,
    msisdn,
    reason_of,
)
from edge_workers.providers.mtn.notes import note

OPERATOR = "mtn"


class MtnPayouts:
    """Stateless but for access tokens; one instance per account and process."""

    name = "mtn"

    def __init__(self, disbursement: MtnProduct) -> None:
        self._disbursement = disbursement

    def pay(self, request: PayoutRequest) -> PayoutResult:
        """Transfer to a handset of MTN's."""
        if request.channel != "mobile_money":
            raise Rejected("MTN pays to handsets alone.", code="channel_unsupported")
        if request.institution.lower() != OPERATOR:
            raise Rejected("MTN does not pay to this operator.", code="institution_invalid")
        amount = checked_amount(request.amount, request.currency)
        reference = checked_reference(request.reference)
        text = note(request.description) or note(reference)
        body = {
            "amount": json_text.exact_number(amount),
            "currency": self._disbursement.wire_currency(request.currency),
            "externalId": reference,
            "payee": {
                "partyIdType": "MSISDN",
                "partyId": msisdn(request.account, "account_invalid"),
            },
            "payerMessage": text,
            "payeeNote": text,
        }
        if self._disbursement.create("transfer", "transfer", request.payout_id, body):
            return PayoutResult(status="pending", amount=amount, currency=request.currency)
        return self._payout_named(request.payout_id, reference, request.currency)

    def fetch(self, query: PayoutQuery) -> PayoutResult:
        """Ask by our payout's id."""
        return self._payout_named(query.payout_id, query.reference, None)

    def _payout_named(self, payout_id: str, reference: str, currency: str | None) -> PayoutResult:
        body = self._disbursement.get("transfer_status", "transfer", payout_id)
        if body is None:
            return PayoutResult(status="pending", is_found=False, reason="unknown_at_gateway")
        check_is(body, reference)
        status, reason = mapping.word(body["status"]), reason_of(body)
        return PayoutResult(
            status=mapping.PAYOUT_STATUS[mapping.standing(status, reason)],
            amount=amount_from(body.get("amount")),
            currency=self._disbursement.shop_currency(body.get("currency"), currency),
            reason=reason or None,
            gateway_status=safe_text(status, 40),
        )
