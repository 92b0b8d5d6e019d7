"""Collecting money through Kora: `contracts.payments.PaymentProvider`.

Hosted checkout for card, bank transfer and Kora's own page; mobile money pushed to the handset.
South African transfers open the hosted page limited to `pay_with_bank`, unless `bank_charges` is
set: then the payer's bank is charged directly (its amount unit must first be confirmed with Kora).
Sources: developers.korapay.com, checkout-redirect, mobile-money-apis, webhooks, refunds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

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
from edge_workers.providers.errors import Rejected, Unavailable, Unverified
from edge_workers.providers.kora import mapping, signature
from edge_workers.providers.kora.api import KoraApi, Reply, member, reference_member, text_member

SIGNATURE_HEADER = "x-korapay-signature"

_reference = re.compile(r"[A-Za-z0-9._-]{8,50}\Z")
_refund_reference = re.compile(r"[A-Za-z0-9._-]{5,50}\Z")
_metadata_key = re.compile(r"[^A-Za-z0-9-]+")
_KORA_ID_PREFIX = "KPY-"


class KoraPayments:
    """Stateless; one instance per account and process."""

    name = "kora"
    methods = frozenset(mapping.CHANNEL)
    refunds_are_repeatable = True

    def __init__(
        self, api: KoraApi, *, bank_charges: bool = False, bank_charges_in_cents: bool = False
    ) -> None:
        self._api = api
        self._bank_charges = bank_charges
        self._bank_charges_in_cents = bank_charges_in_cents

    # starting

    def start(self, request: StartPayment) -> StartedPayment:
        """Open a charge. A reference that Kora has already is `Unavailable`, outcome unknown."""
        amount = checked_amount(request.amount, request.currency)
        _check_reference(request.reference)
        if not request.customer_email:
            raise Rejected("Kora needs the customer's address.", code="email_required")
        channel = mapping.CHANNEL.get(request.method, "")
        if channel == "":
            raise Rejected("Kora does not offer this method.", code="method_unsupported")
        if channel == "mobile_money":
            return self._push(request, amount)
        if channel == "pay_with_bank" and self._bank_charges and request.bank_code:
            return self._charge_bank(request, amount)
        return self._open_page(request, amount, channel)

    def _open_page(
        self, request: StartPayment, amount: Decimal, channel: str | None
    ) -> StartedPayment:
        body = _charge(request, amount)
        if request.description:
            body["narration"] = request.description[:100]
        if channel:
            body["channels"] = [channel]
            body["default_channel"] = channel
        data = self._created(self._api.post("initialize", "/charges/initialize", body))
        return self._redirect(data, ("checkout_url",))

    def _push(self, request: StartPayment, amount: Decimal) -> StartedPayment:
        body = _charge(request, amount)
        body["mobile_money"] = {"number": _msisdn(request.phone)}
        if request.description:
            body["description"] = request.description[:100]
        return self._next_step(
            self._created(self._api.post("mobile_money", "/charges/mobile-money", body))
        )

    def _charge_bank(self, request: StartPayment, amount: Decimal) -> StartedPayment:
        body = _charge(request, amount)
        if self._bank_charges_in_cents:
            body["amount"] = amount * 100
        body["bank_code"] = request.bank_code
        data = self._created(self._api.post("pay_with_bank", "/charge/pay-with-bank", body))
        return self._redirect(data, ("auth_data", "redirect_url"))

    def authorize(self, request: AuthorizePayment) -> StartedPayment:
        """Hand in the code that the payer got; a wrong one is `Rejected` (`code_refused`)."""
        reply = self._api.post(
            "authorize",
            "/charges/mobile-money/authorize",
            {"reference": request.gateway_transaction_id, "token": request.code},
        )
        if not reply.is_accepted:
            raise Rejected(reply.message or "The code was refused.", code="code_refused")
        return self._next_step(reply.data)

    def _created(self, reply: Reply) -> Any:
        """The data of an accepted create."""
        if reply.is_accepted:
            return reply.data
        if reply.is_duplicate:
            raise Unavailable("Kora has this reference already.", code="reference_exists")
        raise Rejected(reply.message or "Kora refused the charge.", code="charge_refused")

    def _next_step(self, data: Any) -> StartedPayment:
        """What `auth_model` asks of the payer; one that is not known is waited for as a push."""
        model = text_member(data, "auth_model")
        if model == mapping.AUTH_MODEL_REDIRECT:
            return self._redirect(data, ("redirect_url",), ("auth_data", "redirect_url"))
        needs_code = model == mapping.AUTH_MODEL_CODE
        return StartedPayment(
            action=PaymentAction(
                kind="push",
                requires="code" if needs_code else "approval",
                message=safe_text(member(data, "message")) or None,
            ),
            gateway_transaction_id=_kora_id(data),
        )

    def _redirect(self, data: Any, *places: tuple[str, ...]) -> StartedPayment:
        """A redirect to the first address found; none at all leaves the outcome unknown."""
        for place in places:
            url = text_member(data, *place)
            if url is not None and self._is_safe(url):
                return StartedPayment(
                    action=PaymentAction(kind="redirect", url=url),
                    gateway_transaction_id=_kora_id(data),
                )
        raise Unavailable("Kora gave no address to pay at.", code="answer_malformed")

    def _is_safe(self, url: str) -> bool:
        """Whether a browser may be sent there: https, or http where Kora itself is spoken to so."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        schemes = ("https",) if self._api.is_encrypted else ("https", "http")
        return parts.scheme in schemes and bool(parts.hostname) and parts.username is None

    # asking

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Ask for the charge by our reference, then by Kora's where that one is not known."""
        asked = [query.reference]
        if query.gateway_transaction_id:
            asked.append(query.gateway_transaction_id)
        for reference in asked:
            reply = self._api.get("status", "/charges", reference)
            if reply.is_accepted:
                return _charge_result(reply.data, asked)
            if not reply.is_missing:
                raise Unavailable(
                    reply.message or "Kora did not say how the charge stands.",
                    code="status_refused",
                )
        return PaymentResult(status="pending", is_found=False, reason="unknown_at_gateway")

    # refunds

    def refund(self, request: RefundRequest) -> RefundResult:
        """Start a refund. Kora takes only settled charges: `Unavailable` (`not_settled`) before."""
        if not _refund_reference.match(request.refund_reference):
            raise Rejected("The refund's reference is not usable.", code="reference_invalid")
        body: dict[str, Any] = {
            "payment_reference": request.payment_reference,
            "reference": request.refund_reference,
        }
        if request.amount is not None:
            body["amount"] = checked_amount(request.amount, request.currency)
        if request.reason:
            body["reason"] = request.reason[:200]
        if request.notify_url and len(request.notify_url) <= 200:
            body["webhook_url"] = request.notify_url
        reply = self._api.post("refund", "/refunds/initiate", body)
        if not reply.is_accepted and reply.is_missing and request.gateway_transaction_id:
            body["payment_reference"] = request.gateway_transaction_id
            reply = self._api.post("refund", "/refunds/initiate", body)
        if reply.is_accepted:
            return _refund_result(reply.data)
        if reply.is_duplicate:
            return self._refund_named(request.refund_reference)
        raise _refund_problem(reply)

    def fetch_refund(self, query: RefundQuery) -> RefundResult:
        """Ask how a refund stands."""
        return self._refund_named(query.refund_reference)

    def _refund_named(self, refund_reference: str) -> RefundResult:
        reply = self._api.get("refund_status", "/refunds", refund_reference)
        if reply.is_accepted:
            return _refund_result(reply.data)
        if reply.is_missing:
            return RefundResult(status="pending", is_found=False, reason="unknown_at_gateway")
        raise Unavailable(
            reply.message or "Kora did not say how the refund stands.", code="status_refused"
        )

    # webhooks

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether it carries Kora's signature header."""
        return request.header(SIGNATURE_HEADER) is not None

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """The references named in the body; the account's key verifies, so no secret is needed."""
        try:
            body = signature.read(request.raw)
        except (ValueError, RecursionError):
            return WebhookLocation()
        return WebhookLocation(references=_references(body.data))

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Raise `Unverified` unless the signature over `data` fits."""
        given = request.header(SIGNATURE_HEADER)
        if not given:
            raise Unverified("The signature is missing.", code="signature_missing")
        try:
            body = signature.read(request.raw)
            is_genuine = signature.is_genuine(body, given, self._api.secret_key)
        except (ValueError, RecursionError) as error:
            raise Unverified("The body is not readable.", code="body_unreadable") from error
        if not is_genuine:
            raise Unverified("The signature does not fit.", code="signature_wrong")

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified body.

        The event's name is not signed: one that is not known cannot be used to make a signed body
        look new, and none of them changes what `fetch` will say.
        """
        body = signature.read(request.raw)
        event_type = body.event if isinstance(body.event, str) else ""
        kind = mapping.EVENT_KIND.get(event_type)
        reference = reference_member(body.data, "reference")
        status = reference_member(body.data, "status")
        if kind is None or reference is None or status is None:
            digest = hashlib.sha256(signature.stringify(body.data).encode()).hexdigest()
            return WebhookEvent(
                event_type=safe_text(event_type, 60) or "unknown",
                dedupe_key=f"other:{digest}",
                kind="other",
                references=_references(body.data),
            )
        return WebhookEvent(
            event_type=event_type,
            dedupe_key=f"{event_type}:{reference}:{status}",
            kind=kind,
            references=_references(body.data),
            status=mapping.CHARGE_STATUS.get(status, "pending") if kind == "payment" else "pending",
        )

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:  # noqa: ARG002
        """Kora reads the status alone and repeats for 72 hours until it is 200."""
        return WebhookAnswer()


def _check_reference(reference: str) -> None:
    if not _reference.match(reference):
        raise Rejected(
            "Kora takes references of 8 to 50 plain characters.", code="reference_invalid"
        )


def _charge(request: StartPayment, amount: Decimal) -> dict[str, Any]:
    """What all ways of charging have in common. We bear the fee: the payer pays our price."""
    customer: dict[str, Any] = {"email": request.customer_email}
    if request.customer_name:
        customer["name"] = request.customer_name[:100]
    body: dict[str, Any] = {
        "reference": request.reference,
        "amount": amount,
        "currency": request.currency,
        "customer": customer,
        "merchant_bears_cost": True,
    }
    if request.notify_url:
        body["notification_url"] = request.notify_url
    if request.return_url:
        body["redirect_url"] = request.return_url
    metadata = _metadata(request.metadata)
    if metadata:
        body["metadata"] = metadata
    return body


def _metadata(values: Mapping[str, str]) -> dict[str, str]:
    """At most five entries, keys of 20 letters, digits and hyphens, values of 50 characters."""
    fitted: dict[str, str] = {}
    for key, value in values.items():
        name = _metadata_key.sub("-", key).strip("-")[:20]
        if name and value and len(fitted) < 5:
            fitted[name] = value[:50]
    return fitted


def _msisdn(phone: str | None) -> str:
    """International digits without the plus."""
    digits = (phone or "").removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or not 8 <= len(digits) <= 15:
        raise Rejected("The phone number is not an international one.", code="phone_invalid")
    return digits


def _kora_id(data: Any) -> str | None:
    """Kora's own id of the charge, wherever it stands."""
    for key in ("transaction_reference", "reference", "payment_reference"):
        value = reference_member(data, key)
        if value is not None and value.startswith(_KORA_ID_PREFIX):
            return value
    return None


def _references(data: Any) -> tuple[str, ...]:
    """All references in the order found: in checkout events `reference` is Kora's own."""
    names = ("reference", "payment_reference", "transaction_reference")
    found = (reference_member(data, name) for name in names)
    return tuple(dict.fromkeys(value for value in found if value is not None))


def _charge_result(data: Any, asked: list[str]) -> PaymentResult:
    """Read a charge. One that is not the charge asked for is `Unavailable`, never a result."""
    word = text_member(data, "status")
    if word is None or not set(_references(data)) & set(asked):
        raise Unavailable("Kora answered about something else.", code="answer_malformed")
    currency = text_member(data, "currency")
    reason = text_member(data, "status_reason") or text_member(data, "message")
    return PaymentResult(
        status=mapping.CHARGE_STATUS.get(word, "pending"),
        amount=_collected(data),
        currency=currency.upper()[:3] if currency else None,
        gateway_transaction_id=_kora_id(data),
        fee=amount_from(member(data, "fee")),
        reason=safe_text(reason) or None,
        gateway_status=safe_text(word, 40),
    )


def _collected(data: Any) -> Decimal | None:
    """What was collected for us, in major units.

    `amount_accepted` where Kora gives it. Otherwise `amount`, but for a transfer of another sum:
    there it is `amount_paid`, which is worthless elsewhere (0 for paid mobile money, or with the
    payer's fee on top).
    """
    accepted = amount_from(member(data, "amount_accepted"))
    if accepted is not None and accepted > 0:
        return accepted
    amount = amount_from(member(data, "amount"))
    paid = amount_from(member(data, "amount_paid"))
    if paid is None or paid <= 0:
        return amount
    is_other_sum = text_member(data, "transaction_status") in ("underpaid", "overpaid")
    return paid if is_other_sum or amount is None or paid < amount else amount


def _refund_result(data: Any) -> RefundResult:
    word = text_member(data, "status")
    if word is None:
        raise Unavailable("Kora's answer has no refund status.", code="answer_malformed")
    amount = amount_from(member(data, "amount_returned"))
    return RefundResult(
        status=mapping.REFUND_STATUS.get(word, "pending"),
        amount=amount if amount is not None else amount_from(member(data, "amount")),
        currency=text_member(data, "currency"),
        gateway_refund_id=text_member(data, "refund_reference") or text_member(data, "reference"),
        reason=safe_text(member(data, "status_reason")) or None,
        gateway_status=safe_text(word, 40),
    )


def _refund_problem(reply: Reply) -> Unavailable | Rejected:
    """What a refund that was not taken means: later with the same reference, or never."""
    later = mapping.found_in(reply.message, mapping.REFUND_LATER)
    if later is not None:
        return Unavailable(reply.message, code=later, outcome="nothing_created")
    refused = mapping.found_in(reply.message, mapping.REFUND_REFUSED)
    return Rejected(reply.message or "Kora refused the refund.", code=refused or "refund_refused")
