"""Collecting through Orange Money's Web Payment page: `contracts.payments.PaymentProvider`.

The payer types number and one-time code at Orange. Its notice has neither a signature nor the
order: the secret `notif_token`, which the create answered, is all that proves and all that leads to
the payment. The status is asked with the three values of the create, order id, amount and pay
token, so the amount is bound by the question and the answer has none.
Sources: developer.orange.com, om-webpay (getting started, sections 2 and 3) and public clients.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from edge_workers.providers import json_text
from edge_workers.providers.contracts.money import checked_amount
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
from edge_workers.providers.orange import mapping
from edge_workers.providers.orange.api import OrangeApi, Reply

METHOD = "orange_money"
SESSION_LIFE = timedelta(minutes=10)
DONE_WITHIN = timedelta(minutes=20)
"""After this a session that nobody paid in is over, whether Orange says so or not."""
LONGEST_ADDRESS = 120
LONGEST_REFERENCE = 30

_order_id = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_REFERENCE}}}\Z")
_secret = re.compile(r"[\x21-\x7e]{8,500}\Z")
_transaction_id = re.compile(r"[A-Za-z0-9._:/-]{1,100}\Z")
_word = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")


def _now() -> datetime:
    return datetime.now(UTC)


class OrangePayments:
    """One instance per account and process. `now` is asked when sessions begin and are over."""

    name = "orange"
    methods = frozenset((METHOD,))
    refunds_are_repeatable = True  # each time the same refusal

    def __init__(self, api: OrangeApi, *, now: Callable[[], datetime] = _now) -> None:
        self._api = api
        self._now = now

    # starting

    def start(self, request: StartPayment) -> StartedPayment:
        """Open a session of about ten minutes.

        An order id that Orange has already is `Unavailable`, outcome unknown.
        """
        amount = self._checked_amount(request)
        if request.method != METHOD:
            raise Rejected("Orange does not offer this method.", code="method_unsupported")
        if not _order_id.match(request.reference):
            raise Rejected(
                f"Orange takes order ids of at most {LONGEST_REFERENCE} plain characters.",
                code="reference_invalid",
            )
        shown = request.description or request.reference
        if len(shown) > LONGEST_REFERENCE:
            raise Rejected(
                f"Orange shows at most {LONGEST_REFERENCE} characters.", code="description_too_long"
            )
        reply = self._api.post(
            "webpayment",
            "/webpayment",
            {
                "merchant_key": self._api.merchant_key,
                "currency": self._api.currency,
                "order_id": request.reference,
                "amount": amount,
                "return_url": _checked_address(request.return_url),
                "cancel_url": _checked_address(request.cancel_url or request.return_url),
                "notif_url": _checked_address(request.notify_url),
                "lang": "en" if request.language.lower().startswith("en") else "fr",
                "reference": shown,
            },
        )
        return self._started(reply)

    def _checked_amount(self, request: StartPayment) -> Decimal:
        """Whole units of the account's currency; play money stands for francs."""
        amount = checked_amount(request.amount, request.currency)
        account = self._api.currency
        if request.currency != (mapping.FRANCS if account == mapping.TEST_CURRENCY else account):
            raise Rejected("Orange does not take this currency.", code="currency_unsupported")
        return amount

    def _started(self, reply: Reply) -> StartedPayment:
        if reply.is_refusal:
            raise _start_problem(reply)
        session = _matching(reply.body, "pay_token", _secret)
        secret = _matching(reply.body, "notif_token", _secret)
        url = reply.body.get("payment_url")
        if (
            reply.status != 201
            or reply.body.get("message") != "OK"
            or session is None
            or secret is None
            or not isinstance(url, str)
            or not self._is_safe(url)
        ):
            raise Unavailable("Orange gave no session to pay in.", code="answer_malformed")
        return StartedPayment(
            action=PaymentAction(kind="redirect", url=url),
            gateway_session=session,
            expires_at=self._now() + SESSION_LIFE,
            webhook_token=secret,
        )

    def _is_safe(self, url: str) -> bool:
        """Whether a browser may be sent there: https, or http where Orange is spoken to so."""
        if len(url) > 2000:
            return False
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        schemes = ("https",) if self._api.is_encrypted else ("https", "http")
        return parts.scheme in schemes and bool(parts.hostname) and parts.username is None

    def authorize(self, request: AuthorizePayment) -> StartedPayment:  # noqa: ARG002
        """`Rejected` always: the code is typed at Orange's page, never here."""
        raise Rejected("Orange takes the code on its own page.", code="code_unsupported")

    # asking

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Ask with the values of the create; amount and currency of the result are the question's.

        A create whose answer never came has no pay token: nobody can pay there, and nobody can ask.
        That is `is_found` false and a reason, never a failure.
        """
        if not query.gateway_session:
            return PaymentResult(status="pending", is_found=False, reason="session_unknown")
        if query.amount is None:
            raise Rejected("Orange is asked with the amount.", code="amount_invalid")
        reply = self._api.post(
            "status",
            "/transactionstatus",
            {
                "order_id": query.reference,
                "amount": query.amount,
                "pay_token": query.gateway_session,
            },
        )
        if reply.is_refusal:
            # Orange named this session itself: whatever it says now, the payment is not unknown.
            raise Unavailable(reply.reason, code="status_refused")
        word = reply.body.get("status")
        if (
            reply.status not in (200, 201)
            or not isinstance(word, str)
            or reply.body.get("order_id") != query.reference
        ):
            raise Unavailable("Orange answered about something else.", code="answer_malformed")
        is_left = (
            word == mapping.INITIATED
            and query.started_at is not None
            and self._now() >= query.started_at + DONE_WITHIN
        )
        return PaymentResult(
            status="cancelled" if is_left else mapping.STATUS.get(word, "pending"),
            amount=query.amount,
            currency=query.currency,
            gateway_transaction_id=_matching(reply.body, "txnid", _transaction_id),
            reason="left_unpaid" if is_left else None,
            gateway_status=safe_text(word, 40),
        )

    # refunds

    def refund(self, request: RefundRequest) -> RefundResult:  # noqa: ARG002
        """`Rejected` (`refund_unsupported`): this product of Orange's only collects."""
        raise Rejected("Orange's web payments know no refund.", code="refund_unsupported")

    def fetch_refund(self, query: RefundQuery) -> RefundResult:  # noqa: ARG002
        """There is none to be found."""
        return RefundResult(status="pending", is_found=False, reason="refund_unsupported")

    # webhooks

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether it is an object with a `notif_token`."""
        return _read(request.raw).token is not None

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """The token alone: the message names no order."""
        token = _read(request.raw).token
        return WebhookLocation(tokens=(token,) if token is not None else (), needs_secrets=True)

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:
        """Raise `Unverified` unless its token is that of a payment of ours."""
        token = _read(request.raw).token
        if token is None:
            raise Unverified("The token is missing.", code="token_missing")
        given = token.encode()
        matches = [hmac.compare_digest(given, secret.encode()) for secret in secrets]
        if True not in matches:
            raise Unverified("The token is of no payment.", code="token_wrong")

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified message, known by its token's hash and its status."""
        notice = _read(request.raw)
        references = () if notice.transaction_id is None else (notice.transaction_id,)
        if notice.token is None or notice.status is None:
            return WebhookEvent(
                event_type="unknown",
                dedupe_key=f"other:{hashlib.sha256(request.raw).hexdigest()}",
                kind="other",
                references=references,
                token=notice.token,
            )
        digest = hashlib.sha256(notice.token.encode()).hexdigest()
        return WebhookEvent(
            event_type=f"webpayment.{notice.status.lower()}",
            dedupe_key=f"{digest}:{notice.status}",
            kind="payment",
            references=references,
            token=notice.token,
            status=mapping.STATUS.get(notice.status, "pending"),
        )

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:  # noqa: ARG002
        """200; whether Orange repeats what it could not deliver is not documented."""
        return WebhookAnswer()


@dataclass(frozen=True)
class _Notice:
    """What of a message is usable."""

    token: str | None = None
    status: str | None = None
    transaction_id: str | None = None


def _read(raw: bytes) -> _Notice:
    """The members of a notice; nothing of what is no JSON object."""
    try:
        body = json_text.loads(raw.decode("utf-8"))
    except ValueError:
        return _Notice()
    if not isinstance(body, dict):
        return _Notice()
    return _Notice(
        token=_matching(body, "notif_token", _secret),
        status=_matching(body, "status", _word),
        transaction_id=_matching(body, "txnid", _transaction_id),
    )


def _matching(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    """A member that is a text of that form."""
    value = body.get(name)
    return value if isinstance(value, str) and pattern.match(value) else None


def _checked_address(url: str) -> str:
    if not url:
        raise Rejected("Orange wants an address to come back to.", code="url_missing")
    if len(url) > LONGEST_ADDRESS:
        raise Rejected(
            f"Orange takes addresses of at most {LONGEST_ADDRESS} characters.", code="url_too_long"
        )
    return url


def _start_problem(reply: Reply) -> Unavailable | Rejected | Misconfigured:
    """What a create that was refused means."""
    if reply.is_duplicate:
        return Unavailable("Orange has this order id already.", code="reference_exists")
    if reply.is_account_refused:
        return Misconfigured(reply.reason, code="account_refused")
    return Rejected(reply.reason, code="payment_refused")
