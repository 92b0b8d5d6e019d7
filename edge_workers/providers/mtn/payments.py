"""Collecting money through MTN: `contracts.payments.PaymentProvider`.

The payer confirms on the handset. Our payment's id is MTN's name for the transaction, so nothing of
the answer to the start is needed to ask for it. Callbacks are not signed and do not name that id:
our random token in their address is the proof, `externalId` is our reference.
Sources: momodeveloper.mtn.com, collection, disbursement, callback.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from edge_workers.providers import json_text
from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentAction,
    PaymentQuery,
    PaymentResult,
    RefundQuery,
    RefundRequest,
    RefundResult,
    StartedPayment,
    StartPayment,
    WebhookAnswer,
    WebhookEvent,
    WebhookLocation,
    WebhookRequest,
)
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable, Unverified
from edge_workers.providers.mtn import mapping
from edge_workers.providers.mtn.api import (
    MtnProduct,
    check_is,
    checked_reference,
    identifier,
    msisdn,
    reason_of,
)
from edge_workers.providers.mtn.notes import note


class MtnPayments:
    """Stateless but for access tokens; one instance per account and process.

    `refunds` says whether MTN's refund product may be used: it is not known to be offered in every
    country. Refunds that were sent are asked for either way.
    """

    name = "mtn"
    methods = mapping.METHODS
    refunds_are_repeatable = True

    def __init__(
        self, collection: MtnProduct, disbursement: MtnProduct | None, *, refunds: bool = False
    ) -> None:
        self._collection = collection
        self._disbursement = disbursement
        self._refunds = refunds

    # collecting

    def start(self, request: StartPayment) -> StartedPayment:
        """Send the prompt to the handset. Started again, it is the same attempt."""
        if request.method not in self.methods:
            raise Rejected("MTN does not offer this method.", code="method_unsupported")
        amount = checked_amount(request.amount, request.currency)
        reference = checked_reference(request.reference)
        text = note(request.description) or note(reference)
        body = {
            "amount": json_text.exact_number(amount),
            "currency": self._collection.wire_currency(request.currency),
            "externalId": reference,
            "payer": {"partyIdType": "MSISDN", "partyId": msisdn(request.phone, "phone_invalid")},
            "payerMessage": text,
            "payeeNote": text,
        }
        is_new = self._collection.create(
            "request_to_pay",
            "requesttopay",
            request.payment_id,
            body,
            callback_url=request.notify_url,
        )
        if not is_new:
            self._check_exists(request)
        return StartedPayment(action=PaymentAction(kind="push", requires="approval"))

    def _check_exists(self, request: StartPayment) -> None:
        """Our UUID is taken: by this very attempt, or the outcome is unknown."""
        existing = self._collection.get("status", "requesttopay", request.payment_id)
        if existing is None or identifier(existing.get("externalId")) != request.reference:
            raise Unavailable("MTN has this UUID already.", code="reference_exists")

    def authorize(self, request: AuthorizePayment) -> StartedPayment:  # noqa: ARG002
        """MTN asks for the PIN on the handset alone."""
        raise Rejected("MTN takes no codes.", code="code_refused")

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Ask by our payment's id."""
        body = self._collection.get("status", "requesttopay", query.payment_id)
        if body is None:
            return PaymentResult(status="pending", is_found=False, reason="unknown_at_gateway")
        check_is(body, query.reference)
        status, reason = mapping.word(body["status"]), reason_of(body)
        return PaymentResult(
            status=mapping.PAYMENT_STATUS[mapping.standing(status, reason)],
            amount=amount_from(body.get("amount")),
            currency=self._collection.shop_currency(body.get("currency"), query.currency),
            gateway_transaction_id=identifier(body.get("financialTransactionId")),
            reason=reason or None,
            gateway_status=safe_text(status, 40),
        )

    # giving back

    def refund(self, request: RefundRequest) -> RefundResult:
        """Give back an amount; MTN decides afterwards whether it can be."""
        if not self._refunds or self._disbursement is None:
            raise Rejected("Refunds through MTN are switched off.", code="refund_unsupported")
        if request.amount is None:
            raise Rejected("MTN wants to know how much.", code="amount_required")
        amount = checked_amount(request.amount, request.currency)
        text = note(request.reason) or note(request.refund_reference)
        body = {
            "amount": json_text.exact_number(amount),
            "currency": self._disbursement.wire_currency(request.currency),
            "externalId": checked_reference(request.refund_reference),
            "payerMessage": text,
            "payeeNote": text,
            "referenceIdToRefund": request.payment_id,
        }
        is_new = self._disbursement.create(
            "refund", "refund", request.refund_id, body, callback_url=request.notify_url
        )
        if not is_new:
            return self._refund_named(request.refund_id, request.refund_reference, request.currency)
        return RefundResult(
            status="pending",
            amount=amount,
            currency=request.currency,
            gateway_refund_id=request.refund_id,
        )

    def fetch_refund(self, query: RefundQuery) -> RefundResult:
        """Ask by our refund's id."""
        return self._refund_named(query.refund_id, query.refund_reference, query.currency)

    def _refund_named(self, refund_id: str, reference: str, currency: str) -> RefundResult:
        if self._disbursement is None:
            raise Misconfigured("MTN's disbursement key is not set.", code="key_missing")
        body = self._disbursement.get("refund_status", "refund", refund_id)
        if body is None:
            return RefundResult(status="pending", is_found=False, reason="unknown_at_gateway")
        check_is(body, reference)
        status, reason = mapping.word(body["status"]), reason_of(body)
        return RefundResult(
            status=mapping.REFUND_STATUS[mapping.standing(status, reason)],
            amount=amount_from(body.get("amount")),
            currency=self._disbursement.shop_currency(body.get("currency"), currency),
            gateway_refund_id=refund_id,
            reason=reason or None,
            gateway_status=safe_text(status, 40),
        )

    # webhooks

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether the body has the members of a callback of MTN's."""
        body = _body(request)
        return _party(body) is not None and {"externalId", "status"} <= body.keys()

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """The token of the address, and the reference in the body."""
        reference = identifier(_body(request).get("externalId"))
        return WebhookLocation(
            references=(reference,) if reference else (),
            tokens=(request.token,) if request.token else (),
            needs_secrets=True,
        )

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:
        """Raise `Unverified` unless the address carries the token of one of the payments."""
        if not request.token:
            raise Unverified("The address has no token.", code="token_missing")
        given = request.token.encode("utf-8", "surrogatepass")
        fits = [hmac.compare_digest(given, secret.encode()) for secret in secrets if secret]
        if not any(fits):
            raise Unverified("The token fits no payment.", code="token_wrong")

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified body. A payee is named where money goes out: in a refund."""
        body = _body(request)
        digest = hashlib.sha256((request.token or "").encode("utf-8", "surrogatepass")).hexdigest()
        reference = identifier(body.get("externalId"))
        references = (reference,) if reference else ()
        status = safe_text(mapping.word(body.get("status")), 40)
        if not status:
            content = hashlib.sha256(request.raw).hexdigest()
            return WebhookEvent(
                event_type="unknown",
                dedupe_key=f"other:{digest[:32]}:{content[:32]}",
                kind="other",
                references=references,
                token=request.token,
            )
        is_refund = _party(body) == "payee"
        resource = "refund" if is_refund else "requesttopay"
        standing = mapping.standing(status, reason_of(body))
        return WebhookEvent(
            event_type=f"{resource}.{status}",
            dedupe_key=f"{resource}:{reference or '-'}:{status}:{digest[:32]}",
            kind="refund" if is_refund else "payment",
            references=references,
            token=request.token,
            status="pending" if is_refund else mapping.PAYMENT_STATUS[standing],
        )

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:  # noqa: ARG002
        """MTN reads the status alone."""
        return WebhookAnswer()


def _body(request: WebhookRequest) -> Mapping[str, Any]:
    """The JSON object of a message; an empty one for all else."""
    try:
        body = json_text.loads(request.raw.decode("utf-8"))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _party(body: Mapping[str, Any]) -> str | None:
    """`payer` or `payee`, whichever the body names; None when neither."""
    for name in ("payer", "payee"):
        party = body.get(name)
        if isinstance(party, dict) and "partyIdType" in party:
            return name
    return None
