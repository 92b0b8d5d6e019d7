"""Collecting money through PayGate PayWeb3: `contracts.payments.PaymentProvider`.

`initiate.trans` opens a request, the payer's browser posts itself to `process.trans`, and
`query.trans` says how it ended. PayGate knows a request by its own PAY_REQUEST_ID (our
`gateway_session`) and cannot be asked by our reference alone. The browser comes back by POST, which
proves nothing. There are no refunds in PayWeb3.
Sources: docs.paygate.co.za, initiate-request, redirect-to-payweb, notify-url-response,
query-transaction-status, frequently-asked-questions.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from edge_workers.providers import form_text
from edge_workers.providers.contracts.money import MINOR_UNITS, checked_amount
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentAction,
    PaymentQuery,
    PaymentResult,
    PaymentStatus,
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
from edge_workers.providers.paygate import mapping, signature
from edge_workers.providers.paygate.api import PayGateApi, Reply, malformed

START_WITHIN = timedelta(minutes=30)
"""A request that was not begun by then answers TXN_PRC."""
DONE_WITHIN = timedelta(minutes=60)
"""A payer who began in the last moment is done by then: what is not done now never will be."""
APPROVED_CODES = ("990017",)

_MARKS = {"PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE", "TRANSACTION_STATUS", "CHECKSUM"}

_reference = re.compile(r"[A-Za-z0-9._-]{8,80}\Z")
_transaction_id = re.compile(r"[0-9]{1,20}\Z")
_vault_id = re.compile(r"[0-9A-Za-z-]{8,64}\Z")
_masked_number = re.compile(r"[0-9xX*]{4,}[0-9]{4}\Z")
_month_and_year = re.compile(r"(0[1-9]|1[0-2])(20[0-9]{2})\Z")
_brand = re.compile(r"[A-Za-z][A-Za-z ]{1,19}\Z")


class PayGatePayments:
    """Stateless; one instance per account and process."""

    name = "paygate"
    methods = frozenset(mapping.PAY_METHOD)
    refunds_are_repeatable = False

    def __init__(
        self,
        api: PayGateApi,
        *,
        has_vault: bool = False,
        eft_detail: str = "",
        approved_codes: Sequence[str] = APPROVED_CODES,
        checks_answers: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """The settings that PayGate's documentation leaves open.

        `has_vault`: the account may keep cards. `eft_detail`: PAY_METHOD_DETAIL of bank transfers.
        `approved_codes`: result codes that, with status 1, mean paid. `checks_answers`: whether a
        checksum in the query's answer has to fit.
        """
        self._api = api
        self._has_vault = has_vault
        self._eft_detail = eft_detail
        self._approved_codes = frozenset(approved_codes)
        self._checks_answers = checks_answers
        self._now = now

    # starting

    def start(self, request: StartPayment) -> StartedPayment:
        """Open a request; the payer's browser then posts the form of the action."""
        now = self._now()
        reply = self._api.post("initiate", "/initiate.trans", self._initiate_fields(request, now))
        if reply.error is not None:
            raise mapping.problem(reply.error)
        session = self._session_in(reply, request.reference)
        form = (("PAY_REQUEST_ID", session), (signature.CHECKSUM, reply.named[signature.CHECKSUM]))
        return StartedPayment(
            action=PaymentAction(kind="form", url=self._api.process_url, fields=form),
            gateway_session=session,
            expires_at=now + START_WITHIN,
        )

    def _initiate_fields(self, request: StartPayment, now: datetime) -> list[tuple[str, str]]:
        """What is sent, in the order in which it is signed; raises `Rejected` beforehand."""
        amount = checked_amount(request.amount, request.currency)
        if not _reference.match(request.reference):
            raise Rejected(
                "PayGate takes references of 8 to 80 plain characters.", code="reference_invalid"
            )
        if request.method not in mapping.PAY_METHOD:
            raise Rejected("PayGate does not offer this method.", code="method_unsupported")
        if MINOR_UNITS[request.currency] != 2:
            raise Rejected("PayGate wants cents.", code="currency_unsupported")
        country = mapping.COUNTRY.get(request.country)
        if country is None:
            raise Rejected("The country is not known here.", code="country_unsupported")
        if not request.customer_email:
            raise Rejected("PayGate needs the customer's address.", code="email_required")
        return [
            ("PAYGATE_ID", self._api.paygate_id),
            ("REFERENCE", request.reference),
            ("AMOUNT", str(int(amount * 100))),
            ("CURRENCY", request.currency),
            ("RETURN_URL", request.return_url),
            ("TRANSACTION_DATE", now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")),
            ("LOCALE", mapping.LOCALE),
            ("COUNTRY", country),
            ("EMAIL", request.customer_email),
            ("PAY_METHOD", mapping.PAY_METHOD[request.method]),
            ("PAY_METHOD_DETAIL", self._eft_detail if request.method == "eft" else ""),
            ("NOTIFY_URL", request.notify_url),
            *self._vault_fields(request),
        ]

    def _vault_fields(self, request: StartPayment) -> list[tuple[str, str]]:
        """The wish to keep the card, or the one that was kept. The wish alone is no condition."""
        is_possible = self._has_vault and request.method in mapping.VAULT_METHODS
        if request.saved_method_token is None:
            return [("VAULT", "1")] if request.save_method and is_possible else []
        if not is_possible or not _vault_id.match(request.saved_method_token):
            raise Rejected("The kept card cannot be used.", code="saved_method_invalid")
        return [("VAULT", "1"), ("VAULT_ID", request.saved_method_token)]

    def _session_in(self, reply: Reply, reference: str) -> str:
        """The PAY_REQUEST_ID of an answer that names our request and has its checksum."""
        session = reply.named.get("PAY_REQUEST_ID", "")
        signed = signature.signed(
            (
                ("PAYGATE_ID", self._api.paygate_id),
                ("PAY_REQUEST_ID", session),
                ("REFERENCE", reference),
            ),
            self._api.key,
        )
        if not session or form_text.by_name(signed) != {
            name: reply.named.get(name) for name, _ in signed
        }:
            raise malformed()
        return session

    def authorize(self, request: AuthorizePayment) -> StartedPayment:  # noqa: ARG002
        """PayGate asks for codes on its own page alone."""
        raise Rejected("PayGate takes no codes here.", code="code_unsupported")

    # asking

    def fetch(self, query: PaymentQuery) -> PaymentResult:
        """Ask by the PAY_REQUEST_ID; without it nothing can be said, and the payer has no form.

        What is not done stays pending until a notice says that it ended so, or its time is over.
        """
        notice = _notice_fields(query.notice)
        session = query.gateway_session or notice.get("PAY_REQUEST_ID")
        if not session:
            return PaymentResult(status="pending", is_found=False, reason="session_unknown")
        reply = self._api.post(
            "status",
            "/query.trans",
            (
                ("PAYGATE_ID", self._api.paygate_id),
                ("PAY_REQUEST_ID", session),
                ("REFERENCE", query.reference),
            ),
        )
        if reply.error in mapping.UNKNOWN_REQUEST:
            return PaymentResult(status="pending", is_found=False, reason="unknown_at_gateway")
        if reply.error is not None:
            raise _query_problem(reply.error)
        self._check_answer(reply, session, query.reference)
        told = (notice.get("PAY_REQUEST_ID"), notice.get("TRANSACTION_STATUS"))
        has_ended = told == (session, mapping.NOT_DONE) or self._is_over(query.started_at)
        return self._result(reply.named, has_ended=has_ended)

    def _check_answer(self, reply: Reply, session: str, reference: str) -> None:
        """Raise `Unavailable` unless the answer is about this request of ours and genuine."""
        named = reply.named
        asked = (self._api.paygate_id, session, reference)
        answered = tuple(named.get(name) for name in ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE"))
        if answered != asked or not named.get("TRANSACTION_STATUS", ""):
            raise malformed()
        if (
            self._checks_answers
            and signature.CHECKSUM in named
            and not signature.is_genuine(reply.fields, self._api.key)
        ):
            raise Unavailable("The checksum of PayGate's answer is wrong.", code="checksum_wrong")

    def _is_over(self, started_at: datetime | None) -> bool:
        return started_at is not None and self._now() >= started_at + DONE_WITHIN

    def _result(self, named: Mapping[str, str], *, has_ended: bool) -> PaymentResult:
        status = self._status(named)
        word = named["TRANSACTION_STATUS"]
        if word == mapping.NOT_DONE and has_ended:
            status = "failed"
        currency = named.get("CURRENCY", "")
        return PaymentResult(
            status=status,
            amount=_amount(named.get("AMOUNT", "")),
            currency=currency if signature.NOTICE_FORM["CURRENCY"].match(currency) else None,
            gateway_transaction_id=_their_id(named),
            reason=_reason(named) if status in ("failed", "cancelled") else None,
            gateway_status=safe_text(f"{word}/{named.get('RESULT_CODE', '')}", 40),
            saved_method=_saved_method(named) if self._has_vault and status == "paid" else None,
        )

    def _status(self, named: Mapping[str, str]) -> PaymentStatus:
        """What an answer or a notice says. Approved takes the status, the code, and the bank's."""
        word = named.get("TRANSACTION_STATUS", "")
        is_approved = named.get("RESULT_CODE") in self._approved_codes and named.get(
            "AUTH_CODE", ""
        ) not in ("", "null")
        if word == mapping.APPROVED and not is_approved:
            return "pending"
        return mapping.STATUS.get(word, "pending")

    # refunds

    def refund(self, request: RefundRequest) -> RefundResult:  # noqa: ARG002
        """PayWeb3 has none: they are made by hand in PayGate's portal."""
        raise Rejected("PayGate gives no money back by itself.", code="refund_unsupported")

    def fetch_refund(self, query: RefundQuery) -> RefundResult:  # noqa: ARG002
        """PayGate knows of no refund."""
        return RefundResult(status="pending", is_found=False, reason="refund_unsupported")

    # webhooks

    def recognises(self, request: WebhookRequest) -> bool:
        """Whether it has the fields of a notice; those of the browser's way back are fewer."""
        return _notice_fields(request.raw).keys() >= _MARKS

    def locate(self, request: WebhookRequest) -> WebhookLocation:
        """Our reference and PayGate's ids; the account's key verifies, so no secret is needed."""
        return WebhookLocation(references=_references(_notice_fields(request.raw)))

    def verify(self, request: WebhookRequest, secrets: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Raise `Unverified` unless it is a whole notice to our account with a fitting checksum."""
        try:
            fields = form_text.parse(request.raw)
            named = form_text.by_name(fields)
        except ValueError as error:
            raise Unverified("The body is not readable.", code="body_unreadable") from error
        if signature.CHECKSUM not in named:
            raise Unverified("The checksum is missing.", code="signature_missing")
        if not signature.is_genuine(fields, self._api.key):
            raise Unverified("The checksum does not fit.", code="signature_wrong")
        if not signature.is_notice(named) or named["PAYGATE_ID"] != self._api.paygate_id:
            raise Unverified("The body is not a notice to us.", code="body_unreadable")

    def parse(self, request: WebhookRequest) -> WebhookEvent:
        """The event of a verified notice."""
        named = _notice_fields(request.raw)
        status = named["TRANSACTION_STATUS"]
        transaction_id = _their_id(named) or ""
        return WebhookEvent(
            event_type=f"transaction.{mapping.STATUS_NAME.get(status, 'unknown')}",
            dedupe_key=f"{named['PAY_REQUEST_ID']}:{status}:{transaction_id}",
            kind="payment",
            references=_references(named),
            status=self._status(named),
        )

    def answer(self, event: WebhookEvent | None) -> WebhookAnswer:  # noqa: ARG002
        """`OK` and nothing else, or PayGate tells it again three times."""
        return WebhookAnswer(body="OK")


def _query_problem(error: str) -> Exception:
    """What an error of the query means: our key's fault, or a question to put again."""
    found = mapping.problem(error)
    if isinstance(found, Rejected):
        return Unavailable(f"PayGate did not say how it stands: {error}.", code="status_refused")
    return found


def _notice_fields(raw: bytes | None) -> dict[str, str]:
    """The fields of a notice, none when it is not readable."""
    if raw is None:
        return {}
    try:
        return form_text.by_name(form_text.parse(raw))
    except ValueError:
        return {}


def _references(named: Mapping[str, str]) -> tuple[str, ...]:
    """Ours, PayGate's of the request, PayGate's of the transaction: those that look like one."""
    names = ("REFERENCE", "PAY_REQUEST_ID")
    found = [
        named[name] for name in names if signature.NOTICE_FORM[name].match(named.get(name, ""))
    ]
    transaction_id = _their_id(named)
    return (*found, transaction_id) if transaction_id else tuple(found)


def _their_id(named: Mapping[str, str]) -> str | None:
    """The TRANSACTION_ID; blank where the payer cancelled."""
    value = named.get("TRANSACTION_ID", "")
    return value if _transaction_id.match(value) else None


def _amount(cents: str) -> Decimal | None:
    """Major units of an amount in cents."""
    return Decimal(cents) / 100 if signature.NOTICE_FORM["AMOUNT"].match(cents) else None


def _reason(named: Mapping[str, str]) -> str | None:
    known = mapping.REASON.get(named.get("RESULT_CODE", ""))
    return known or safe_text(named.get("RESULT_DESC")) or None


def _saved_method(named: Mapping[str, str]) -> SavedMethod | None:
    """The card that PayGate keeps: VAULT_ID, and of its masked number the last four digits."""
    token = named.get("VAULT_ID", "")
    if not _vault_id.match(token):
        return None
    masked = named.get("PAYVAULT_DATA_1", "")
    detail = named.get("PAY_METHOD_DETAIL", "")
    brand = detail if _brand.match(detail) else "Card"
    label = f"{brand} …{masked[-4:]}" if _masked_number.match(masked) else brand
    return SavedMethod(
        token=token, label=label, expires_on=_last_day(named.get("PAYVAULT_DATA_2", ""))
    )


def _last_day(month_and_year: str) -> date | None:
    """The last day of an expiry written MMYYYY."""
    found = _month_and_year.match(month_and_year)
    if found is None:
        return None
    month, year = int(found[1]), int(found[2])
    return date(year, month, calendar.monthrange(year, month)[1])
