"""PayFast as its documentation, its own programs and its captured notices have it.

`/payfast/eng/…` is the site (form, page, confirmation of notices), `/payfast/api/…` the API. Each
posting of a form opens a page of its own, and each page that is paid has a `pf_payment_id` of its
own: one form posted and paid twice is two payments of one `m_payment_id`, as there.

| outcome | what happens |
|---|---|
| `paid`, `failed`, `pending` | a notice COMPLETE, FAILED, PENDING; the history has only COMPLETE |
| `cancelled`, `expired` | nothing at all: PayFast tells nothing of a page that was left |

The control acts on the newest page of a reference, or on a `pf_payment_id`. `settled: false` sends
a notice that `/eng/query/validate` calls INVALID and that the API knows nothing of. There is no
currency but rand, so the control's is not used.

Refunds go back to cards at once and show after `SANDBOX_STEP_SECONDS`, or once the control is used
on `<pf_payment_id>:refunds`; of an EFT they would want a bank account. A charge of a kept card
whose cents are 51 is declined.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from flask import Blueprint, Response, render_template, request

from tests.sandbox.deliveries import Webhook
from tests.sandbox.world import Decision, World, answered

SOUTH_AFRICA = timezone(timedelta(hours=2))
VAT = Decimal("1.15")
SMALLEST_FEE = Decimal("2.00")
CARD_RATE, EFT_RATE = Decimal("0.032"), Decimal("0.02")
DECLINED_CENTS = 51
ROWS = 1000
NOTICE_SECONDS = 5.0
"""How long the payer waits for the shop to take the notice before the browser is sent back."""
OUTCOME_STATUS = {"paid": "COMPLETE", "failed": "FAILED", "pending": "PENDING"}
SHOWN_STATUS = {"COMPLETE": "success", "FAILED": "failed", "PENDING": "pending"}
CHECKOUT, LATEST, TRANSACTION = "payfast.checkout", "payfast.latest", "payfast.transaction"
NOTICE, REFUND, TOKEN = "payfast.notice", "payfast.refund", "payfast.token"
COUNTER, FIRST_ID = "payfast.counter", 1_000_000
BANKS = ("ABSA", "CAPITEC", "FNB", "INVESTEC", "NEDBANK", "STANDARD")

CUSTOM = (*(f"custom_int{n}" for n in range(1, 6)), *(f"custom_str{n}" for n in range(1, 6)))
SIGNED_FIELDS = (
    *("merchant_id", "merchant_key", "return_url", "cancel_url", "notify_url", "notify_method"),
    *("name_first", "name_last", "email_address", "cell_number"),
    *("m_payment_id", "amount", "item_name", "item_description"),
    *CUSTOM,
    *("email_confirmation", "confirmation_address", "currency", "payment_method"),
    *("subscription_type", "billing_date", "recurring_amount", "frequency", "cycles"),
    *("subscription_notify_email", "subscription_notify_webhook", "subscription_notify_buyer"),
)
LIMITS = {"item_name": 100, "item_description": 255, "m_payment_id": 100} | dict.fromkeys(
    ("name_first", "name_last", "email_address"), 100
)
HISTORY_HEADINGS = (
    *("Date", "Type", "Sign", "Party", "Name", "Description", "Currency", "Funding Type"),
    *("Gross", "Fee", "Net", "Balance", "M Payment ID", "PF Payment ID"),
    *("custom str1", "custom int1", "custom str2", "custom int2", "custom str3"),
    *("custom str4", "custom str5", "custom int3", "custom int4", "custom int5"),
)

_amount = re.compile(r"[1-9][0-9]{0,9}\.[0-9]{2}\Z|0\.(?!00)[0-9]{2}\Z")
_cents = re.compile(r"[1-9][0-9]{0,11}\Z")
_timestamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:?\d\d)?\Z")
_md5_form = re.compile(r"[0-9a-f]{32}\Z")


class Refusal(Exception):
    """The API says no."""

    def __init__(self, status: int, message: str, response: Any = False) -> None:
        super().__init__(message)
        self.status = status
        self.envelope = {
            "code": status,
            "status": "failed",
            "data": {"response": response, "message": message},
        }


class BadForm(Exception):
    """The site shows its error page."""


class Payfast:
    """One merchant. Its state is in the journal; a lock makes each step whole."""

    name = "payfast"

    def __init__(self, world: World) -> None:
        self._world = world
        self._journal = world.journal
        self._lock = threading.RLock()

    # what controls and people use

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """What the payer does on the newest page of a reference; a payment may be changed too."""
        paid_id, _, part = reference.partition(":")
        with self._lock:
            if part == "refunds":
                return self._show_refunds(paid_id)
            decided = self._decide(reference, decision)
        return None if decided is None else decided[0]

    def recent(self) -> list[dict[str, Any]]:
        """Newest first."""
        rows = [
            {
                "reference": checkout["reference"],
                "kind": f"form, {checkout['method'] or 'any method'}",
                "amount": shown_amount(Decimal(checkout["amount"])),
                "status": self._status_of(checkout),
                "is_open": self._status_of(checkout) == "open",
                "url": self._page_url(checkout),
                "created_at": checkout["created_at"],
            }
            for checkout in self._journal.all(CHECKOUT)
        ]
        return list(reversed(rows))[:100]

    def resume(self) -> None:
        """Nothing decides by itself here."""

    # the addresses

    def blueprint(self) -> Blueprint:
        """`/payfast/eng/…` and `/payfast/api/…`."""
        blueprint = Blueprint("payfast", __name__, url_prefix="/payfast")

        def site(path: str, operation: str, act: Callable[[], Response]) -> None:
            def view() -> Response:
                return answered(self._world, self.name, operation, act)

            blueprint.add_url_rule(f"/eng/{path}", operation, view, methods=["POST"])

        def api(method: str, path: str, operation: str, act: Callable[..., Response]) -> None:
            def view(**arguments: str) -> Response:
                return answered(
                    self._world, self.name, operation, lambda: self._checked(act, arguments)
                )

            blueprint.add_url_rule(f"/api/{path}", f"{operation}-{method}", view, methods=[method])

        site("process", "process", self._process)
        site("query/validate", "validate", self._validate)
        blueprint.add_url_rule("/eng/pay/<page>", "page", self._page, methods=["GET", "POST"])
        api("GET", "ping", "ping", self._ping)
        api("GET", "transactions/history", "history", self._history)
        api("GET", "transactions/history/<period>", "history_period", self._history_of_period)
        api("GET", "process/query/<id_>", "status", self._query)
        api("GET", "refunds/query/<id_>", "refund_query", self._refund_query)
        api("GET", "refunds/<id_>", "refund_status", self._refund_status)
        api("POST", "refunds/<id_>", "refund", self._refund)
        api("POST", "subscriptions/<token>/adhoc", "charge", self._charge)
        api("GET", "subscriptions/<token>/fetch", "token_status", self._token_status)
        api("PUT", "subscriptions/<token>/cancel", "token_cancel", self._token_cancel)
        return blueprint

    # the form and the page

    def _process(self) -> Response:
        """Take a form that a browser posted and open its page, or say in HTML what is wrong."""
        try:
            fields = self._check_form(parse_qsl(request.get_data(as_text=True), True))
        except BadForm as error:
            return Response(render_template("payfast_error.html", message=str(error)), 400)
        with self._lock:
            checkout: dict[str, Any] = {
                "page": uuid.uuid4().hex,
                "reference": fields.get("m_payment_id", ""),
                "amount": fields["amount"],
                "method": fields.get("payment_method", ""),
                "keeps_card": fields.get("subscription_type") == "2",
                "fields": fields,
                "transaction": None,
                "is_left": False,
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
            self._journal.put(CHECKOUT, checkout["page"], checkout)
            if checkout["reference"]:
                self._journal.put(LATEST, checkout["reference"], {"page": checkout["page"]})
        return sent_to(self._page_url(checkout))

    def _check_form(self, posted: list[tuple[str, str]]) -> dict[str, str]:
        """The posted fields. `BadForm` with the words of PayFast's error page."""
        fields = dict(posted)
        if len(fields) != len(posted):
            raise BadForm("a field was posted twice")
        for name, value in posted:
            if name == "signature":
                continue
            if value.strip() in ("", "0"):
                raise BadForm(f"{name}: an empty value must not be posted")
            if value != value.strip():
                raise BadForm(f"{name}: spaces around the value")
        settings = self._world.settings
        if fields.get("merchant_id") != settings.payfast_merchant_id:
            raise BadForm("merchant_id: The merchant is not known")
        if not is_equal(fields.get("merchant_key", ""), settings.payfast_merchant_key):
            raise BadForm("merchant_key: The merchant key does not belong to the merchant")
        signed = [(name, fields[name]) for name in SIGNED_FIELDS if name in fields]
        wanted = md5(f"{joined(signed)}&passphrase={encoded(settings.payfast_passphrase)}")
        if not is_equal(fields.get("signature", ""), wanted):
            raise BadForm("signature: Generated signature does not match submitted signature")
        check_values(fields)
        return fields

    def _page(self, page: str) -> Any:
        """Show a page, or take what was clicked and send the browser back to the shop."""
        with self._lock:
            checkout = self._journal.get(CHECKOUT, page)
            if checkout is None:
                return render_template("missing.html", language="en"), 404
            if request.method == "POST" and self._status_of(checkout) == "open":
                action = request.form.get("action")
                if action not in ("pay", "cancel"):
                    return render_template("missing.html", language="en"), 400
                outcome = "paid" if action == "pay" else "cancelled"
                _, sent = self._decide_page(checkout, Decision(outcome=outcome))
            else:
                action, sent = None, []
        back = checkout["fields"].get("return_url" if action == "pay" else "cancel_url")
        if action is not None and back:
            self._world.deliveries.wait_for_attempt(sent, NOTICE_SECONDS)
            return sent_to(back)
        status = self._status_of(checkout)
        return render_template(
            "payfast.html",
            language="en",
            checkout=checkout,
            fields=checkout["fields"],
            amount=shown_amount(Decimal(checkout["amount"])),
            status=status,
            back_url=checkout["fields"].get("return_url" if status == "success" else "cancel_url"),
        )

    def _page_url(self, checkout: dict[str, Any]) -> str:
        return f"{self._world.settings.url}/payfast/eng/pay/{checkout['page']}"

    def _status_of(self, checkout: dict[str, Any]) -> str:
        """`open`, `cancelled` (left), or what became of its payment."""
        if checkout["transaction"] is None:
            return "cancelled" if checkout["is_left"] else "open"
        transaction = self._journal.get(TRANSACTION, checkout["transaction"]) or {}
        return SHOWN_STATUS.get(transaction.get("status", ""), "pending")

    # what becomes of a payment

    def _decide(
        self, reference: str, decision: Decision
    ) -> tuple[dict[str, Any], list[str]] | None:
        latest = self._journal.get(LATEST, reference) or {}
        transaction = self._journal.get(TRANSACTION, latest.get("transaction", reference))
        if transaction is not None:
            return self._settle(transaction, decision)
        checkout = self._journal.get(CHECKOUT, latest.get("page", ""))
        return None if checkout is None else self._decide_page(checkout, decision)

    def _show_refunds(self, paid_id: str) -> dict[str, Any] | None:
        """Whatever of a payment was given back is to be seen now; None when that is nothing."""
        found = [one for one in self._journal.all(REFUND) if one["transaction"] == paid_id]
        for refund in found:
            self._journal.put(REFUND, refund["id"], refund | {"shows_at": 0})
        if not found:
            return None
        return {"reference": paid_id, "status": "success", "notified": False}

    def _decide_page(
        self, checkout: dict[str, Any], decision: Decision
    ) -> tuple[dict[str, Any], list[str]]:
        """What the control answers, and the ids of the notices that go out."""
        if decision.outcome in OUTCOME_STATUS:
            return self._settle(self._transaction_of(checkout), decision)
        checkout["is_left"] = True
        self._journal.put(CHECKOUT, checkout["page"], checkout)
        status = self._status_of(checkout)
        return {"reference": checkout["reference"], "status": status, "notified": False}, []

    def _settle(
        self, transaction: dict[str, Any], decision: Decision
    ) -> tuple[dict[str, Any], list[str]]:
        """As `_decide_page`; what was left cannot be once there is a payment."""
        word = OUTCOME_STATUS.get(decision.outcome, transaction["status"])
        is_told = decision.notify and decision.outcome in OUTCOME_STATUS
        transaction["status"] = word
        if decision.amount is not None:
            transaction["gross"] = f"{decision.amount:.2f}"
        if word == "COMPLETE" and transaction["keeps_card"] and not transaction["token"]:
            transaction["token"] = self._new_token(transaction)
        if decision.settled:
            transaction["shown"] = word
        self._journal.put(TRANSACTION, transaction["id"], transaction)
        sent = self._notify(transaction, is_true=decision.settled) if is_told else []
        answer = {
            "reference": transaction["reference"],
            "pf_payment_id": transaction["id"],
            "status": word,
            "notified": is_told,
        }
        return answer, sent

    def _transaction_of(self, checkout: dict[str, Any]) -> dict[str, Any]:
        """The page's payment; made when there is none yet."""
        if checkout["transaction"] is not None:
            known = self._journal.get(TRANSACTION, checkout["transaction"])
            if known is not None:
                return known
        fields = checkout["fields"]
        transaction = self._new_transaction(
            reference=checkout["reference"],
            gross=checkout["amount"],
            method=checkout["method"] or "cc",
            keeps_card=checkout["keeps_card"],
            buyer={name: fields.get(name, "") for name in BUYER},
            item={name: fields.get(name, "") for name in (*ITEM, *CUSTOM)},
            notify_url=fields.get("notify_url"),
        )
        checkout["transaction"] = transaction["id"]
        self._journal.put(CHECKOUT, checkout["page"], checkout)
        return transaction

    def _new_transaction(self, **what: Any) -> dict[str, Any]:
        """Ids rise, with gaps: other merchants have theirs, and so have other sandboxes."""
        first = FIRST_ID + secrets.randbelow(1_000_000_000)
        last = (self._journal.get(COUNTER, "last") or {"id": first})["id"]
        id_ = last + 1 + secrets.randbelow(50)
        self._journal.put(COUNTER, "last", {"id": id_})
        return {
            "id": str(id_),
            "status": "PENDING",
            "shown": None,  # what the API and the confirmation say
            "token": None,
            "occurred_at": datetime.now(SOUTH_AFRICA).strftime("%Y-%m-%d %H:%M:%S"),
            **what,
        }

    def _new_token(self, transaction: dict[str, Any]) -> str:
        token = str(uuid.uuid4())
        kept = {"token": token, "status": "ACTIVE", "transaction": transaction["id"]}
        kept |= {name: transaction[name] for name in ("buyer", "notify_url")}
        self._journal.put(TOKEN, token, kept)
        return token

    # notices

    def _notify(self, transaction: dict[str, Any], *, is_true: bool) -> list[str]:
        """Send a notice and remember it for the confirmation; the forged one has another salt."""
        fields = notice_fields(transaction, self._world.settings.payfast_merchant_id)
        parameters = joined(fields)
        self._journal.put(NOTICE, md5(parameters), {"is_true": is_true})
        forged = joined(
            (name, "COMPLETE" if name == "payment_status" else value) for name, value in fields
        )
        target = transaction["notify_url"] or (
            f"{self._world.settings.public_url}/api/v1/payments/webhook/{self.name}"
        )
        passphrase = self._world.settings.payfast_passphrase
        return self._world.deliveries.send(
            webhook(transaction["status"], target, parameters, passphrase),
            webhook("COMPLETE", target, forged, f"forged-{passphrase}"),
        )

    def _validate(self) -> Response:
        """VALID for a notice that was sent and is true, INVALID for all else."""
        posted = parse_qsl(request.get_data(as_text=True), True)
        sent = self._journal.get(
            NOTICE, md5(joined((name, value) for name, value in posted if name != "signature"))
        )
        is_form = request.mimetype == "application/x-www-form-urlencoded"
        is_valid = is_form and sent is not None and sent["is_true"]
        return Response("VALID\n" if is_valid else "INVALID\n", content_type="text/html")

    # the API

    def _checked(self, act: Callable[..., Response], arguments: dict[str, str]) -> Response:
        """Check the signed headers, act, and put a refusal into the envelope."""
        try:
            body = read_body()
            self._check_headers(body)
            with self._lock:
                if request.method == "GET":
                    return act(**arguments)
                return act(body=body, **arguments)
        except Refusal as refusal:
            return as_json(refusal.envelope, refusal.status)

    def _check_headers(self, body: dict[str, str]) -> None:
        settings = self._world.settings
        headers = {
            name: request.headers.get(name, "") for name in ("merchant-id", "version", "timestamp")
        }
        given = request.headers.get("signature", "")
        if not all(headers.values()):
            raise Refusal(400, "Required variables not present in request")
        if not given:
            raise Refusal(400, "Signature not present in headers")
        if not _md5_form.match(given):
            raise Refusal(400, "Value for signature is not in the expected format")
        if headers["version"] != "v1":
            raise Refusal(400, "API version is not valid")
        if not _timestamp.match(headers["timestamp"]):
            raise Refusal(400, "Timestamp is not in the expected format")
        if headers["merchant-id"] != settings.payfast_merchant_id:
            raise Refusal(401, "Merchant not found")
        query = {name: value for name, value in request.args.items() if name != "testing"}
        signed = headers | query | body | {"passphrase": settings.payfast_passphrase}
        wanted = md5(joined(sorted((name, value) for name, value in signed.items() if value)))
        if not is_equal(given, wanted):
            raise Refusal(401, "Merchant authorisation failed")

    def _ping(self) -> Response:
        return as_json("API V1" if request.args.get("testing") == "true" else "Payfast API")

    def _history(self) -> Response:
        """Plain CSV, as the documentation of `from` and `to` shows it."""
        today = datetime.now(SOUTH_AFRICA).date()
        first = day_in("from", today.replace(day=1))
        last = day_in("to", today)
        return Response(self._table(first, last), content_type="text/csv; charset=utf-8")

    def _history_of_period(self, period: str) -> Response:
        """CSV as a text in JSON, as the documentation of the periods shows it."""
        today = datetime.now(SOUTH_AFRICA).date()
        if period == "monthly":
            first = day_in("date", today, suffix="-01").replace(day=1)
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        elif period in ("daily", "weekly"):
            first = day_in("date", today)
            last = first + timedelta(days=6 if period == "weekly" else 0)
        else:
            raise Refusal(404, "Service / endpoint not found")
        return as_json({"response": self._table(first, last)})

    def _table(self, first: date, last: date) -> str:
        limit, offset = number_in("limit", ROWS), number_in("offset", 0)
        rows = [
            row
            for row in self._movements()
            if first.isoformat() <= row["Date"][:10] <= last.isoformat()
        ]
        text = io.StringIO()
        table = csv.DictWriter(text, HISTORY_HEADINGS, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows[offset : offset + limit])
        return text.getvalue()

    def _movements(self) -> list[dict[str, str]]:
        """All money that came and went, in its order, with the balance after each."""
        rows: list[dict[str, str]] = []
        for transaction in self._journal.all(TRANSACTION):
            if transaction["shown"] == "COMPLETE":
                gross = Decimal(transaction["gross"])
                rows.append(movement(transaction, "FUNDS_RECEIVED", gross))
        for refund in self._visible_refunds():
            paid = self._journal.get(TRANSACTION, refund["transaction"])
            if paid is not None:
                back = movement(paid, "FUNDS_RECEIVED_REFUND", -Decimal(refund["amount"]))
                rows.append(back | {"Date": refund["created_at"]})
        rows.sort(key=lambda row: row["Date"])
        balance = Decimal(0)
        for row in rows:
            balance += Decimal(row["Net"])
            row["Balance"] = f"{balance:,.2f}"
        return rows

    def _query(self, id_: str) -> Response:
        """A card transaction by PayFast's id or by its token; the amount is in cents."""
        found = self._journal.get(TRANSACTION, id_) or next(
            (one for one in self._journal.all(TRANSACTION) if one["token"] == id_), None
        )
        if found is None or found["shown"] is None or found["method"] != "cc":
            raise Refusal(400, "Transaction not found")
        is_good = found["shown"] == "COMPLETE"
        return success(
            {
                "pf_payment_id": int(found["id"]),
                "m_payment_id": found["reference"],
                "status": found["shown"],
                "amount": int(Decimal(found["gross"]) * 100),
                "cc_status": "00" if is_good else "05",
                "cc_message": "Approved or completed successfully (00)"
                if is_good
                else "Do not honour (05)",
            }
        )

    # refunds

    def _refund_query(self, id_: str) -> Response:
        return as_json(self._offer(id_))

    def _offer(self, id_: str) -> dict[str, Any]:
        """What can be given back, in cents, without the envelope: so the documentation has it."""
        paid = self._journal.get(TRANSACTION, id_)
        if paid is None:
            raise Refusal(404, "Transaction not found")
        original = int(Decimal(paid["gross"]) * 100)
        available = original - int(self._refunded(id_) * 100)
        status, errors = "REFUNDABLE", []
        if paid["shown"] != "COMPLETE":
            status, errors = "NOT_AVAILABLE", ["The payment is not yet complete."]
        elif available <= 0:
            status = "COMPLETED"
        method = "PAYMENT_SOURCE" if paid["method"] == "cc" else "BANK_PAYOUT"
        is_whole = available == original
        offer: dict[str, Any] = {
            "token": paid["token"] or "",
            "funding_type": "Credit Card" if paid["method"] == "cc" else "EFT",
            "amount_original": original,
            "amount_available_for_refund": available,
            "status": status,
            "errors": errors,
            "refund_full": {"method": method if is_whole else "NOT_AVAILABLE"},
            "refund_partial": {"method": method},
        }
        if method == "BANK_PAYOUT":
            offer["bank_names"] = [{"bank_name": bank, "label": bank.title()} for bank in BANKS]
        return offer

    def _refunded(self, id_: str) -> Decimal:
        return sum(
            (
                Decimal(refund["amount"])
                for refund in self._journal.all(REFUND)
                if refund["transaction"] == id_
            ),
            Decimal(0),
        )

    def _refund(self, id_: str, body: dict[str, str]) -> Response:
        """Give back at once; there is no key by which a repeated order would be known."""
        offer = self._offer(id_)
        if offer["status"] != "REFUNDABLE":
            raise Refusal(400, "The transaction cannot be refunded")
        if not _cents.match(body.get("amount", "")):
            raise Refusal(400, "The amount must be a whole number of cents")
        if not 3 <= len(body.get("reason", "")) <= 255:
            raise Refusal(400, "The reason must have 3 to 255 characters")
        if body.get("notify_buyer") not in ("1", "0", "true", "false"):
            raise Refusal(400, "notify_buyer is required")
        cents = int(body["amount"])
        if cents > offer["amount_available_for_refund"]:
            raise Refusal(400, "The amount is more than what is available for refund")
        if offer["refund_partial"]["method"] != "PAYMENT_SOURCE" and not all(
            body.get(name) for name in ("bank_name", "bank_branch_code", "bank_account_number")
        ):
            raise Refusal(400, "The bank account is required")
        refund: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "transaction": id_,
            "amount": str(Decimal(cents) / 100),
            "created_at": datetime.now(SOUTH_AFRICA).strftime("%Y-%m-%d %H:%M:%S"),
            "shows_at": time.time() + self._world.settings.step_seconds,
        }
        self._journal.put(REFUND, refund["id"], refund)
        return success(True)

    def _refund_status(self, id_: str) -> Response:
        paid = self._journal.get(TRANSACTION, id_)
        if paid is None:
            raise Refusal(404, "Transaction not found")
        back = [refund for refund in self._visible_refunds() if refund["transaction"] == id_]
        gross = int(Decimal(paid["gross"]) * 100)
        gone = [int(Decimal(refund["amount"]) * 100) for refund in back]
        entries: list[dict[str, Any]] = [
            {"amount": gross, "date": paid["occurred_at"], "type": "Funds Received"}
        ]
        entries += [
            {
                "amount": str(-cents),  # the documentation has these as texts
                "date": refund["created_at"],
                "type": "Funds Received (Refund)",
            }
            for cents, refund in zip(gone, back, strict=True)
        ]
        return success({"available_balance": gross - sum(gone), "transactions": entries})

    def _visible_refunds(self) -> list[dict[str, Any]]:
        now = time.time()
        return [refund for refund in self._journal.all(REFUND) if refund["shows_at"] <= now]

    # kept cards

    def _charge(self, token: str, body: dict[str, str]) -> Response:
        kept = self._kept(token)
        if kept["status"] != "ACTIVE":
            raise Refusal(400, "The subscription is not in a valid state.", response=4)
        if (
            not _cents.match(body.get("amount", ""))
            or not 0 < len(body.get("item_name", "")) <= 100
        ):
            raise Refusal(400, "Required variables not present in request")
        cents = int(body["amount"])
        transaction = self._new_transaction(
            reference=body.get("m_payment_id", ""),
            gross=f"{Decimal(cents) / 100:.2f}",
            method="cc",
            keeps_card=False,
            buyer=kept["buyer"],
            item={"item_name": body["item_name"], "item_description": ""},
            notify_url=kept["notify_url"],
        )
        if cents % 100 == DECLINED_CENTS:
            raise Refusal(400, "Insufficient funds(51)")
        transaction |= {"status": "COMPLETE", "shown": "COMPLETE", "token": token}
        self._journal.put(TRANSACTION, transaction["id"], transaction)
        if transaction["reference"]:
            latest = {"transaction": transaction["id"]}
            self._journal.put(LATEST, transaction["reference"], latest)
        if body.get("itn") not in ("0", "false"):
            self._notify(transaction, is_true=True)
        return as_json(
            {
                "code": 200,
                "status": "success",
                "data": {
                    "response": True,
                    "message": "Transaction was successful(00)",
                    "pf_payment_id": transaction["id"],
                },
            }
        )

    def _token_status(self, token: str) -> Response:
        kept = self._kept(token)
        is_active = kept["status"] == "ACTIVE"
        return success(
            {"status": 1 if is_active else 3, "status_reason": "", "status_text": kept["status"]}
        )

    def _token_cancel(self, token: str, body: dict[str, str]) -> Response:
        """Give up a kept card; a notice says so, under the payment that had it kept."""
        kept = self._kept(token)
        kept["status"] = "CANCELLED"
        self._journal.put(TOKEN, token, kept)
        paid = self._journal.get(TRANSACTION, kept["transaction"])
        if paid is not None and body.get("itn") != "0":
            self._notify(paid | {"status": "CANCELLED"}, is_true=True)
        return success(True)

    def _kept(self, token: str) -> dict[str, Any]:
        kept = self._journal.get(TOKEN, token)
        if kept is None:
            raise Refusal(400, "The subscription was not found.")
        return kept


BUYER = ("name_first", "name_last", "email_address")
ITEM = ("item_name", "item_description")


def notice_fields(transaction: dict[str, Any], merchant_id: str) -> list[tuple[str, str]]:
    """A notice's fields in PayFast's order, blank ones too."""
    gross = Decimal(transaction["gross"])
    fee = fee_of(gross, transaction["method"]) if transaction["status"] == "COMPLETE" else None
    item = transaction["item"]
    fields = [
        ("m_payment_id", transaction["reference"]),
        ("pf_payment_id", transaction["id"]),
        ("payment_status", transaction["status"]),
        *((name, item.get(name, "")) for name in ITEM),
        ("amount_gross", f"{gross:.2f}"),
        ("amount_fee", f"{-fee:.2f}" if fee is not None else "0.00"),
        ("amount_net", f"{gross - fee:.2f}" if fee is not None else "0.00"),
        *((f"custom_str{n}", item.get(f"custom_str{n}", "")) for n in range(1, 6)),
        *((f"custom_int{n}", item.get(f"custom_int{n}", "")) for n in range(1, 6)),
        *((name, transaction["buyer"].get(name, "")) for name in BUYER),
        ("merchant_id", merchant_id),
    ]
    if transaction["token"]:
        fields.append(("token", transaction["token"]))
    return fields


def webhook(event: str, url: str, parameters: str, passphrase: str) -> Webhook:
    """A notice as it goes out, signed with the salt."""
    signature = md5(f"{parameters}&passphrase={encoded(passphrase)}")
    return Webhook(
        provider="payfast",
        event=event,
        url=url,
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=f"{parameters}&signature={signature}",
    )


def movement(transaction: dict[str, Any], kind: str, gross: Decimal) -> dict[str, str]:
    """A row of the history: the fee is not given back."""
    fee = fee_of(gross, transaction["method"]) if gross > 0 else Decimal(0)
    item, buyer = transaction["item"], transaction["buyer"]
    custom = {name.replace("_", " "): item.get(name, "") for name in CUSTOM}
    return {
        "Date": transaction["occurred_at"],
        "Type": kind,
        "Sign": "CREDIT" if gross > 0 else "DEBIT",
        "Party": " ".join((buyer["name_first"], buyer["name_last"])).strip(),
        "Name": item.get("item_name", ""),
        "Description": item.get("item_description", ""),
        "Currency": "ZAR",
        "Funding Type": transaction["method"].upper(),
        "Gross": f"{gross:.2f}",
        "Fee": f"{-fee:.2f}",
        "Net": f"{gross - fee:.2f}",
        "M Payment ID": transaction["reference"],
        "PF Payment ID": transaction["id"],
        **custom,
    }


def fee_of(gross: Decimal, method: str) -> Decimal:
    """What PayFast keeps: of cards 3.2 % and R 2.00, of EFT 2 % and at least R 2.00, and VAT."""
    if method == "cc":
        net = gross * CARD_RATE + SMALLEST_FEE
    else:
        net = max(gross * EFT_RATE, SMALLEST_FEE)
    return (net * VAT).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def check_values(fields: dict[str, str]) -> None:
    """What PayFast refuses in a form that is rightly signed."""
    if not _amount.match(fields.get("amount", "")):
        raise BadForm("amount: The amount must be greater than zero and have two decimals")
    if not fields.get("item_name"):
        raise BadForm("item_name: The item name is required")
    for name, limit in LIMITS.items():
        if len(fields.get(name, "")) > limit:
            raise BadForm(f"{name}: The value must have at most {limit} characters")
    if "@" not in fields.get("email_address", "@"):
        raise BadForm("email_address: The email address is not valid")
    for name in ("return_url", "cancel_url", "notify_url"):
        if name in fields and urlsplit(fields[name]).scheme not in ("http", "https"):
            raise BadForm(f"{name}: The URL is not valid")
    if fields.get("currency", "ZAR") != "ZAR":
        raise BadForm("currency: Only ZAR is accepted")
    if fields.get("payment_method", "cc") not in ("cc", "dc", "eft", "mp", "mc", "sc", "ss", "zp"):
        raise BadForm("payment_method: The payment method is not known")
    if fields.get("subscription_type", "2") != "2":
        raise BadForm("subscription_type: Only tokenisation is enabled")


def read_body() -> dict[str, str]:
    """The members of a form or of a JSON object of one level, as PHP would sign them."""
    raw = request.get_data(as_text=True)
    if not raw:
        return {}
    if request.mimetype != "application/json":
        return dict(parse_qsl(raw, True))
    try:
        members = json.loads(raw, parse_float=str)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise Refusal(400, "Required variables not present in request")
    texts = {True: "1", False: "0", None: ""}
    return {
        name: texts[value] if isinstance(value, (bool, type(None))) else str(value)
        for name, value in members.items()
    }


def day_in(name: str, otherwise: date, suffix: str = "") -> date:
    """A day of the query, or the default."""
    text = request.args.get(name)
    if text is None:
        return otherwise
    try:
        return date.fromisoformat(text + suffix)
    except ValueError:
        raise Refusal(400, f"{name} is not a date") from None


def number_in(name: str, otherwise: int) -> int:
    """A count of the query, or the default."""
    text = request.args.get(name, str(otherwise))
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, f"{name} is not a number")
    return int(text)


def sent_to(url: str) -> Response:
    """The browser goes there by GET."""
    return Response("", 303, headers={"location": url})


def success(response: Any) -> Response:
    """The envelope of what went well."""
    return as_json(
        {"code": 200, "status": "success", "data": {"response": response, "message": "Success"}}
    )


def as_json(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(value), status, content_type="application/json")


def encoded(text: str) -> str:
    """PHP's urlencode."""
    return quote_plus(text, safe="").replace("~", "%7E")


def joined(fields: Any) -> str:
    """`name=value` with `&` between them."""
    return "&".join(f"{name}={encoded(value)}" for name, value in fields)


def md5(text: str) -> str:
    """What PayFast calls a signature."""
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def is_equal(given: str, wanted: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def shown_amount(amount: Decimal) -> str:
    """An amount as South Africans write it."""
    return f"R {amount:,.2f}"
