"""Collecting money through PayFast: `contracts.payments.PaymentProvider`.

Opening a payment is no call: the browser posts a signed form. PayFast reports by notice (ITN); a
notice counts once it is confirmed at `/eng/query/validate`. PayFast cannot be asked by our
reference, so what no notice told is looked up in the transaction history. Only money leaves a
trace: a page that was left open or cancelled is found nowhere.
Sources: developers.payfast.co.za (documentation and API pages), PayFast's PHP SDK.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentAction,
    PaymentQuery,
    PaymentResult,
    RefundQuery,
    RefundRequest,
    RefundResult,
    SavedMethod,
    StartedPayment,
    StartPayment,
    WebhookAnswer,
    WebhookEvent,
    WebhookLocation,
    WebhookRequest,
)
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Rejected, Unavailable, Unverified
from edge_workers.providers.payfast import history, mapping, notice, signature
from edge_workers.providers.payfast.api import SOUTH_AFRICA, PayfastApi, Reply
from edge_workers.providers.payfast.refunds import PayfastRefunds
from edge_workers.providers.payfast.source import Source

FORM_LIFE = timedelta(hours=1)
"""PayFast's forms never expire; this is how long a payer may take before the attempt counts as
left. Money that comes later is still told by its notice and is then a late success."""

PAGE_ROWS = 1000
MOST_PAGES = 10
MOST_DAYS = 31
CLOCKS_DIFFER = timedelta(minutes=5)
"""PayFast's day of a payment may be the one before ours."""

_reference = re.compile(r"[A-Za-z0-9._-]{8,100}\Z")
_address = re.compile(r"[!-?A-~]+@[!-?A-~]+\Z")
_token = re.compile(r"[A-Za-z0-9-]{8,64}\Z")
_transaction_id = re.compile(r"[0-9]{1,20}\Z")
_awkward = re.compile(r"[^A-Za-z0-9 #.,:/_-]+")
_LETTERS = str.maketrans(
    {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O", "&": " and "}
)


class PayfastPayments:
    """One account. Stateless but for what `Source` remembers of the name service."""

    name = "payfast"
    methods = frozenset(mapping.PAYMENT_METHOD)
    refunds_are_repeatable = False

    def __init__(
        self,
        api: PayfastApi,
        source: Source,
        *,
        refunds: bool = False,
        refunds_in_cents: bool = True,
        tokens: bool = False,
    ) -> None:
        self._api = api
        self._source = source
        self._refunds = PayfastRefunds(api, is_in_cents=refunds_in_cents)
        self._has_refunds = refunds
        self._has_tokens = tokens

    # starting

    def start(self, request: StartPayment) -> StartedPayment:
        """Build the form that the browser posts; nothing is sent, so nothing can fail halfway.

        With the token of a kept card PayFast is told to charge it at once.
        """
        amount = checked_amount(request.amount, request.currency)
        if request.currency != mapping.CURRENCY:
            raise Rejected("PayFast has only rand.", code="currency_unsupported")
        if _reference.match(request.reference) is None:
            raise Rejected(
                "PayFast takes references of 8 to 100 plain characters.", code="reference_invalid"
            )
        method = mapping.PAYMENT_METHOD.get(request.method)
        if method is None:
            raise Rejected("PayFast does not offer this method.", code="method_unsupported")
        if request.saved_method_token is not None:
            return self._charge(request, amount, request.saved_method_token)
        fields = self._form(request, amount, method)
        signed = signature.form_signature(fields, self._api.account.passphrase)
        return StartedPayment(
            action=PaymentAction(
                kind="form",
                url=self._api.process_url,
                fields=(*fields, ("signature", signed)),
            ),
            expires_at=self._api.clock().astimezone(UTC) + FORM_LIFE,
        )

    def _form(
        self, request: StartPayment, amount: Decimal, method: str
    ) -> tuple[tuple[str, str], ...]:
        """The form's fields in PayFast's order, without those that PHP calls empty."""
        first, _, last = plain_text(request.customer_name or "").partition(" ")
        email = request.customer_email.strip()
        keeps_card = request.save_method and self._has_tokens and request.method == "card"
        values = {
            "merchant_id": self._api.account.merchant_id,
            "merchant_key": self._api.account.merchant_key,
            "return_url": request.return_url,
            "cancel_url": request.cancel_url,
            "notify_url": request.notify_url,
            "name_first": first,
            "name_last": last,
            "email_address": email if _address.match(email) else "",
            "m_payment_id": request.reference,
            "amount": f"{amount:.2f}",
            "item_name": _item_name(request),
            "payment_method": method,
            "subscription_type": mapping.TOKENISATION if keeps_card else "",
        }
        if len(values["email_address"]) > mapping.LONGEST["email_address"]:
            values["email_address"] = ""
        fitted = (
            (name, values.get(name, "")[: mapping.LONGEST.get(name)].strip())
            for name in mapping.FORM_FIELDS
        )
        return tuple((name, value) for name, value in fitted if value not in ("", "0"))

    def _charge(self, request: StartPayment, amount: Decimal, token: str) -> StartedPayment:
        """Charge a kept card (`/subscriptions/:token/adhoc`, whose amount is in cents).

        The payer has nothing left to do: the browser goes to where it would come back to.
        `Rejected` when PayFast says so in its own envelope; after anything else it may have
        happened.
        """
        if not self._has_tokens or request.method != "card":
            raise Rejected("Kept cards are switched off.", code="saved_method_unsupported")
        if _token.match(token) is None or not request.return_url:
            raise Rejected("The kept card cannot be used.", code="saved_method_invalid")
        reply = self._api.post(
            "charge",
            f"/subscriptions/{quote(token, safe='')}/adhoc",
            {
                "amount": f"{amount * 100:.0f}",
                "item_name": _item_name(request),
                "m_payment_id": request.reference,
            },
        )
        if not reply.is_confirmed:
            raise _charge_problem(reply)
        return StartedPayment(
            action=PaymentAction(kind="redirect", url=request.return_url),
            gateway_transaction_id=_charged_transaction(reply),
        )

    def authorize(self, request: AuthorizePayment) -> StartedPayment:  # noqa: ARG002
        """PayFast asks its payers itself: `Rejected` (`code_unsupported`)."""
        raise Rejected("PayFast knows no codes.", code="code_unsupported")

    # asking

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Have the notice confirmed that raised the question, or look the payment up.

        `Rejected` (`notice_mismatch`) for a notice about something else.
        """
        if query.notice is not None:
            return self._confirmed(query, query.notice)
        return self._looked_up(query)

    def _confirmed(self, query: PaymentQuery, raw: bytes) -> PaymentResult:
        """What a notice says, once PayFast confirmed it; a second payment has its own transaction.

        What it does not confirm is no answer at all: pending.
        """
        try:
            said = notice.read(raw)
        except ValueError as error:
            raise Rejected("The notice is not readable.", code="notice_unreadable") from error
        is_ours = said.merchant_id == self._api.account.merchant_id
        if not is_ours or said.reference != query.reference:
            raise Rejected("The notice is about something else.", code="notice_mismatch")
        if not self._api.confirm(said.parameters):
            return PaymentResult(status="pending", reason="notice_not_confirmed")
        return PaymentResult(
            status=said.status,
            amount=said.amount,
            currency=mapping.CURRENCY,
            gateway_transaction_id=said.transaction_id,
            fee=said.fee,
            gateway_status=said.word,
            saved_method=_saved_method(said.token) if self._has_tokens else None,
        )

    def _looked_up(self, query: PaymentQuery) -> PaymentResult:
        """How the payment stands without a notice.

        `/process/query` knows card transactions by PayFast's id, the history all money by ours. Of
        money the history is the better witness: it has the fee, the unit and what went back.
        """
        known = query.gateway_transaction_id
        queried = self._queried(query, known) if known else None
        if queried is not None and queried.status != "paid":
            return queried
        found = history.result(self._movements(query), query.reference, known)
        if found is not None:
            return found
        if queried is not None:
            return queried
        if known:  # a confirmed notice named it: it exists, its money has not come yet
            return PaymentResult(status="pending", gateway_transaction_id=known)
        return PaymentResult(status="pending", is_found=False, reason="unknown_at_gateway")

    def _queried(self, query: PaymentQuery, transaction_id: str) -> PaymentResult | None:
        """What `/process/query` says; None where it knows no such card transaction."""
        reply = self._api.get("status", f"/process/query/{quote(transaction_id, safe='')}")
        said = reply.response
        if not reply.is_accepted:
            if reply.answer.status in (400, 404):
                return None
            raise Unavailable(
                reply.message or "PayFast did not say how the payment stands.",
                code="status_refused",
            )
        if (
            not isinstance(said, dict)
            or str(said.get("pf_payment_id")) != transaction_id
            or str(said.get("m_payment_id")) != query.reference
            or not isinstance(said.get("status"), str)
        ):
            raise Unavailable("PayFast answered about something else.", code="answer_malformed")
        cents = amount_from(said.get("amount"))
        return PaymentResult(
            status=mapping.STATUS.get(said["status"], "pending"),
            amount=None if cents is None else cents / 100,
            currency=mapping.CURRENCY,
            gateway_transaction_id=transaction_id,
            reason=safe_text(said.get("cc_message")) or None,
            gateway_status=safe_text(said["status"], 40),
        )

    def _movements(self, query: PaymentQuery) -> list[history.Movement]:
        """The history from the day the attempt began, page by page, all of it or `Unavailable`."""
        window = _window(query.started_at, self._api.clock())
        movements: list[history.Movement] = []
        for number in range(MOST_PAGES):
            paging = {"limit": str(PAGE_ROWS)}
            if number > 0:
                paging["offset"] = str(number * PAGE_ROWS)
            page = history.read(self._api.get("history", "/transactions/history", window | paging))
            movements.extend(page.movements)
            if page.rows < PAGE_ROWS:
                return movements
        raise Unavailable("PayFast's history is too long to be read.", code="history_too_long")

    # refunds

    def refund(self, request: RefundRequest) -> RefundResult:
        """Start a refund, where the account may: it is off until PayFast has enabled it."""
        if not self._has_refunds:
            raise Rejected("Refunds by PayFast are switched off.", code="refund_unsupported")
        return self._refunds.refund(request)

    def fetch_refund(self, query: RefundQuery) -> RefundResult:
        """Ask how a refund stands, even when no more are made this way."""
        return self._refunds.fetch_refund(query)

    # webhooks

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether it is a form with PayFast's own names."""
        try:
            said = notice.read(request.raw)
        except ValueError:
            return False
        return said.is_notice

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """The references named in the body; the account's passphrase verifies."""
        try:
            said = notice.read(request.raw)
        except ValueError:
            return WebhookLocation()
        return WebhookLocation(references=_references(said))

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Raise `Unverified` unless signature, merchant and sender are right.

        Raises `Unavailable` when PayFast's hosts cannot be looked up and `Misconfigured` when
        nobody said where its notices come from: neither may be answered with 200, so that PayFast
        sends the notice again.
        """
        try:
            said = notice.read(request.raw)
        except ValueError as error:
            raise Unverified("The body is not readable.", code="body_unreadable") from error
        account = self._api.account
        computed = signature.notice_signature(said.fields, account.passphrase)
        if not signature.is_same(said.signature, computed):
            raise Unverified("The signature does not fit.", code="signature_wrong")
        if not said.is_notice:
            raise Unverified("The body is not a notice.", code="body_unreadable")
        if said.merchant_id != account.merchant_id:
            raise Unverified("The notice is another merchant's.", code="merchant_other")
        self._source.check(request.remote_address)

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified body. Two payments of one form are two events."""
        said = notice.read(request.raw)
        if said.transaction_id is None or said.word is None or said.reference is None:
            return WebhookEvent(
                event_type=said.word or "unknown",
                dedupe_key=f"other:{hashlib.sha256(said.parameters.encode()).hexdigest()}",
                kind="other",
                references=_references(said),
            )
        return WebhookEvent(
            event_type=said.word,
            dedupe_key=f"{said.transaction_id}:{said.word}",
            kind="other" if said.is_about_token else "payment",
            references=_references(said),
            status=said.status,
        )

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:  # noqa: ARG002
        """PayFast reads the status alone and repeats for hours until it is 200."""
        return WebhookAnswer()


def plain_text(text: str) -> str:
    """The text in ASCII letters, digits and a few signs that every encoder writes alike."""
    folded = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return " ".join(_awkward.sub(" ", bare).split())


def _item_name(request: StartPayment) -> str:
    """What the payer reads, fitted; the reference where nothing is left of it."""
    described = plain_text(request.description)[: mapping.LONGEST["item_name"]].strip()
    return described if described not in ("", "0") else request.reference


def _charge_problem(reply: Reply) -> Rejected | Unavailable:
    """A refusal is one only in PayFast's own envelope with a 4xx status."""
    said = reply.data if isinstance(reply.data, dict) else {}
    is_refusal = 400 <= reply.answer.status < 500 and not reply.is_success and "response" in said
    if is_refusal:
        return Rejected(reply.message or "PayFast refused the card.", code="saved_method_refused")
    return Unavailable(
        reply.message or "PayFast did not say whether the card was charged.", code="charge_unclear"
    )


def _charged_transaction(reply: Reply) -> str | None:
    """PayFast's id of the charge, beside its `response` or in it."""
    for place in (reply.data, reply.response):
        value: Any = place.get("pf_payment_id") if isinstance(place, dict) else None
        if value is not None and _transaction_id.match(str(value)):
            return str(value)
    return None


def _saved_method(token: str | None) -> SavedMethod | None:
    """PayFast tells nothing of the card itself, so its token's end has to do."""
    return None if token is None else SavedMethod(token=token, label=f"PayFast …{token[-4:]}")


def _references(said: notice.Notice) -> tuple[str, ...]:
    found = (said.reference, said.transaction_id)
    return tuple(dict.fromkeys(value for value in found if value is not None))


def _window(started_at: datetime | None, now: datetime) -> dict[str, str]:
    """`from`, and `to` where today would be too far: days of PayFast's clock, both included."""
    begun = min(started_at or now, now) - CLOCKS_DIFFER
    first: date = begun.astimezone(SOUTH_AFRICA).date()
    last = first + timedelta(days=MOST_DAYS)
    window = {"from": first.isoformat()}
    if last < now.astimezone(SOUTH_AFRICA).date():
        window["to"] = last.isoformat()
    return window
