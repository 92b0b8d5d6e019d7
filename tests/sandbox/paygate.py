"""PayGate's PayWeb3: initiate, the hosted page, query, notices, as its public documentation has it.

Test cards of the page (any name, expiry to come and CVV):

| card | what happens |
|---|---|
| 4000000000000002, 5200000000000015 | approved |
| 4000000000000028, 5200000000000023 | declined, insufficient funds |
| 4000000000000036, 5200000000000049 | declined |
| 5200000000000064 | not processed: status 0, 990022 |

Any other card number is not valid there (900004). The number that is typed stays in the page's own
handler: it is masked before anything is remembered, and the page's calls are not listed. A transfer
(`BT`) succeeds with any bank. A kept card is known by its VAULT_ID. A request can be begun for 30
minutes; the control's `expired` moves it into the past, tells nobody and leaves the status at 0.

Notices go out before the browser does, and three times more unless the answer is exactly `OK`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from flask import Blueprint, Response, redirect, render_template, request

from tests.sandbox.deliveries import Webhook
from tests.sandbox.world import Decision, World, answered

REQUEST, CARD, PAGE = "paygate.request", "paygate.card", "paygate.page"

FIELDS = (
    "PAYGATE_ID",
    "REFERENCE",
    "AMOUNT",
    "CURRENCY",
    "RETURN_URL",
    "TRANSACTION_DATE",
    "LOCALE",
    "COUNTRY",
    "EMAIL",
    "PAY_METHOD",
    "PAY_METHOD_DETAIL",
    "NOTIFY_URL",
    "USER1",
    "USER2",
    "USER3",
    "VAULT",
    "VAULT_ID",
)
"""In the order in which they are signed."""
MISSING = {
    "PAYGATE_ID": "DATA_PW",
    "REFERENCE": "DATA_CREF",
    "AMOUNT": "DATA_PW",
    "CURRENCY": "DATA_PW",
    "RETURN_URL": "DATA_URL",
    "TRANSACTION_DATE": "DATA_DTTM",
    "LOCALE": "DATA_REGION",
    "COUNTRY": "DATA_REGION",
    "EMAIL": "INV_EMAIL",
}
"""What is said when a required field is not there."""
CURRENCIES = ("ZAR", "EUR", "USD")
COUNTRIES = ("ZAF", "BWA", "CMR", "FRA", "GBR", "GHA", "KEN", "LSO", "MOZ", "NAM", "NGA", "SWZ")
METHODS = ("CC", "BT")
OTHER_METHODS = ("DC", "EW", "CV", "PC")
START_WITHIN = timedelta(minutes=30)
CLOCKS_DIFFER_BY = timedelta(minutes=30)
NOTICES = 4
"""The first and three more."""

STATUS_WORD = {
    "0": "pending",
    "1": "success",
    "2": "failed",
    "3": "cancelled",
    "4": "cancelled",
    "5": "processing",
    "7": "cancelled",
}
RESULTS: dict[str, tuple[str, str, str]] = {
    "approved": ("1", "990017", "Auth Done"),
    "insufficient": ("2", "900003", "Insufficient Funds"),
    "declined": ("2", "900007", "Declined"),
    "not_processed": ("0", "990022", "Bank not available"),
    "invalid_card": ("2", "900004", "Invalid Card Number"),
    "cancelled": ("3", "990028", "Transaction Cancelled"),
    "user_cancelled": ("4", "990028", "Transaction Cancelled"),
    "received": ("5", "", ""),
}
"""TRANSACTION_STATUS, RESULT_CODE, RESULT_DESC."""
TEST_CARDS = {
    "4000000000000002": "approved",
    "5200000000000015": "approved",
    "4000000000000028": "insufficient",
    "5200000000000023": "insufficient",
    "4000000000000036": "declined",
    "5200000000000049": "declined",
    "5200000000000064": "not_processed",
}
OUTCOME_RESULT = {
    "paid": "approved",
    "failed": "declined",
    "cancelled": "user_cancelled",
    "pending": "received",
}
BANKS = ("ABSA", "Capitec", "FNB", "Investec", "Nedbank", "Standard Bank", "TymeBank")
RESULT_FIELDS = (
    "TRANSACTION_STATUS",
    "RESULT_CODE",
    "AUTH_CODE",
    "CURRENCY",
    "AMOUNT",
    "RESULT_DESC",
    "TRANSACTION_ID",
    "RISK_INDICATOR",
    "PAY_METHOD",
    "PAY_METHOD_DETAIL",
)

_guid = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_address = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+\Z")
_locale = re.compile(r"[a-z]{2}(-[a-z]{2})?\Z")
_card_number = re.compile(r"[0-9]{12,19}\Z")
_card_expiry = re.compile(r"(0[1-9]|1[0-2])/?([0-9]{2})\Z")
_cvv = re.compile(r"[0-9]{3,4}\Z")


class Refusal(Exception):
    """PayGate says `ERROR=…`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PayGate:
    """One account. Its state is in the journal; a lock makes each step whole."""

    name = "paygate"

    def __init__(self, world: World) -> None:
        self._world = world
        self._journal = world.journal
        self._lock = threading.RLock()

    # what controls and people use

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """Settle the newest request of a reference; a final one may be changed too."""
        with self._lock:
            found = self._request_of(reference)
            if found is None:
                return None
            if decision.amount is not None:
                found["AMOUNT"] = str(int(decision.amount * 100))
            if decision.currency is not None:
                found["CURRENCY"] = decision.currency
            if decision.outcome == "expired":
                found["created_at"] = (now() - START_WITHIN - timedelta(minutes=1)).isoformat()
                self._journal.put(REQUEST, found["PAY_REQUEST_ID"], found)
                return told(found, is_notified=False)
            before = found.get("shown") or result_of(found)
            self._conclude(found, OUTCOME_RESULT[decision.outcome], card=self._any_card(found))
            found["shown"] = None if decision.settled else before
            self._journal.put(REQUEST, found["PAY_REQUEST_ID"], found)
            is_notified = decision.notify and decision.outcome != "pending"
            if is_notified:
                self._notify(found)
            return told(found, is_notified=is_notified)

    def recent(self) -> list[dict[str, Any]]:
        """Newest first."""
        pages = {page["PAY_REQUEST_ID"]: page["page"] for page in self._journal.all(PAGE)}
        rows = [
            {
                "reference": found["REFERENCE"],
                "kind": "card" if found["PAY_METHOD"] != "BT" else "transfer",
                "amount": shown_amount(found),
                "status": STATUS_WORD[found["TRANSACTION_STATUS"]],
                "is_open": is_open(found),
                "url": self._page_url(pages[found["PAY_REQUEST_ID"]])
                if found["PAY_REQUEST_ID"] in pages
                else None,
                "created_at": found["created_at"],
            }
            for found in self._journal.all(REQUEST)
        ]
        return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)[:100]

    def resume(self) -> None:
        """Nothing decides by itself here."""

    # the API

    def blueprint(self) -> Blueprint:
        """`/paygate/initiate.trans`, `process.trans`, `query.trans` and the hosted page."""
        blueprint = Blueprint(self.name, __name__, url_prefix=f"/{self.name}")

        def route(path: str, operation: str, act: Callable[[], str]) -> None:
            def view() -> Response:
                return answered(self._world, self.name, operation, lambda: self._said(act))

            blueprint.add_url_rule(path, operation, view, methods=["POST"])

        route("/initiate.trans", "initiate", self._initiate)
        route("/query.trans", "status", self._query)
        blueprint.add_url_rule("/process.trans", "process", self._process, methods=["POST"])
        blueprint.add_url_rule("/payweb/<page>", "page", self._page, methods=["GET", "POST"])
        return blueprint

    def _said(self, act: Callable[[], str]) -> Response:
        """The answer as a form's text; errors have the status 200 too."""
        try:
            with self._lock:
                text = act()
        except Refusal as refusal:
            text = f"ERROR={refusal.code}"
        return Response(text, content_type="text/html; charset=UTF-8")

    def _initiate(self) -> str:
        given = read_form()
        for name, code in MISSING.items():
            if not given.get(name):
                raise Refusal(code)
        if given["PAYGATE_ID"] != self._world.settings.paygate_id:
            raise Refusal("ND_INV_PGID")
        self._check(given, [given.get(name, "") for name in FIELDS])
        check_fields(given)
        vault_id = given.get("VAULT_ID", "")
        if vault_id and (not _guid.match(vault_id) or self._journal.get(CARD, vault_id) is None):
            raise Refusal("INVALID_VAULT_ID")
        pay_request_id = str(uuid.uuid4()).upper()
        opened: dict[str, Any] = {
            **{name: given.get(name, "") for name in FIELDS},
            "PAY_REQUEST_ID": pay_request_id,
            "METHOD": given.get("PAY_METHOD") or "CC",
            "created_at": now().isoformat(),
            **dict.fromkeys(RESULT_FIELDS, ""),
            "AMOUNT": given["AMOUNT"],
            "CURRENCY": given["CURRENCY"],
            "PAY_METHOD": given.get("PAY_METHOD", ""),
            "TRANSACTION_STATUS": "0",
            "card": None,
            "shown": None,
        }
        self._journal.put(REQUEST, pay_request_id, opened)
        return self._signed(
            [(name, opened[name]) for name in ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE")]
        )

    def _query(self) -> str:
        given = read_form()
        names = ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE")
        if not all(given.get(name) for name in names):
            raise Refusal("DATA_PW")
        if given["PAYGATE_ID"] != self._world.settings.paygate_id:
            raise Refusal("ND_INV_PGID")
        self._check(given, [given[name] for name in names])
        if not _guid.match(given["PAY_REQUEST_ID"]):
            raise Refusal("DATA_PAY_REQ_ID")
        found = self._journal.get(REQUEST, given["PAY_REQUEST_ID"])
        if found is None or found["REFERENCE"] != given["REFERENCE"]:
            raise Refusal("NO_TRANS_DATA")
        return self._signed(self._result_fields(found, found.get("shown") or result_of(found)))

    def _check(self, given: dict[str, str], values: list[str]) -> None:
        wanted = self._checksum(values)
        if not hmac.compare_digest(wanted.encode(), given.get("CHECKSUM", "").encode()):
            raise Refusal("DATA_CHK")

    def _checksum(self, values: list[str], key: str | None = None) -> str:
        text = "".join(values) + (key or self._world.settings.paygate_key)
        return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()

    def _signed(self, fields: list[tuple[str, str]], key: str | None = None) -> str:
        """A form's text with its checksum at the end; the word null counts as nothing."""
        values = ["" if pair == ("AUTH_CODE", "null") else pair[1] for pair in fields]
        signed = [*fields, ("CHECKSUM", self._checksum(values, key))]
        return "&".join(f"{name}={quote_plus(value)}" for name, value in signed)

    def _result_fields(
        self, found: dict[str, Any], result: dict[str, str]
    ) -> list[tuple[str, str]]:
        """What notices and status answers hold, in the documented order."""
        fields = [(name, found[name]) for name in ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE")]
        fields += [(name, result[name]) for name in RESULT_FIELDS]
        fields += [(name, found[name]) for name in ("USER1", "USER2", "USER3") if found[name]]
        card = self._journal.get(CARD, found["card"] or "")
        if card is not None and result["TRANSACTION_STATUS"] == "1":
            fields += [
                ("VAULT_ID", card["VAULT_ID"]),
                ("PAYVAULT_DATA_1", card["masked"]),
                ("PAYVAULT_DATA_2", card["expiry"]),
            ]
        return fields

    # what becomes of a request

    def _request_of(self, reference: str) -> dict[str, Any] | None:
        """The newest request of our reference, or the one with that PAY_REQUEST_ID."""
        known = reversed(self._journal.all(REQUEST))
        names = ("REFERENCE", "PAY_REQUEST_ID")
        return next((one for one in known if reference in [one[name] for name in names]), None)

    def _conclude(self, found: dict[str, Any], result: str, *, card: dict[str, str]) -> None:
        """Write a result into a request; an approved card is kept where that was wished."""
        status, code, description = RESULTS[result]
        is_card = found["METHOD"] == "CC"
        is_approved = status == "1"
        found |= {
            "TRANSACTION_STATUS": status,
            "RESULT_CODE": code,
            "RESULT_DESC": description,
            "AUTH_CODE": (unique(6) if is_card else "999999") if is_approved else "null",
            "TRANSACTION_ID": ""
            if code == "990028"
            else found["TRANSACTION_ID"] or str(secrets.randbelow(900_000_000) + 100_000_000),
            "RISK_INDICATOR": ("AX" if is_approved else "NX") if is_card else "XX",
            "PAY_METHOD": found["METHOD"],
            "PAY_METHOD_DETAIL": card["brand"] if is_card else "SID",
        }
        if is_card and is_approved and found["VAULT"] == "1" and found["card"] is None:
            vault_id = found["VAULT_ID"] or str(uuid.uuid4())
            found["card"] = vault_id
            self._journal.put(CARD, vault_id, {**card, "VAULT_ID": vault_id})

    def _any_card(self, found: dict[str, Any]) -> dict[str, str]:
        """The kept card of a request, or a test card, when nobody typed one."""
        kept = self._journal.get(CARD, found["VAULT_ID"])
        return kept or masked("4000000000000002", 12, now().year + 3)

    def _notify(self, found: dict[str, Any]) -> list[str]:
        """Queue the notice, and a forged one of an approval under another key. Its ids."""
        if not found["NOTIFY_URL"]:
            return []
        result = result_of(found)
        approval = {**result, "TRANSACTION_STATUS": "1", "RESULT_CODE": "990017"}
        return self._world.deliveries.send(
            self._notice(found, result, None),
            self._notice(found, approval, f"forged-{self._world.settings.paygate_key}"),
        )

    def _notice(self, found: dict[str, Any], result: dict[str, str], key: str | None) -> Webhook:
        return Webhook(
            provider=self.name,
            event=f"status {result['TRANSACTION_STATUS']}",
            url=found["NOTIFY_URL"],
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=self._signed(self._result_fields(found, result), key),
            wanted_answer="OK",
            attempts=NOTICES,
        )

    # the hosted page

    def _process(self) -> Any:
        """Take the form that the shop gave to the browser, and open the page."""
        given = read_form()
        with self._lock:
            found = self._journal.get(REQUEST, given.get("PAY_REQUEST_ID", ""))
            code = self._begin_problem(found, given)
            if code is not None or found is None:
                return render_template("paygate_error.html", code=code), 400
            page = secrets.token_urlsafe(24)
            self._journal.put(PAGE, page, {"page": page, "PAY_REQUEST_ID": found["PAY_REQUEST_ID"]})
        return redirect(self._page_url(page), 303)

    def _begin_problem(self, found: dict[str, Any] | None, given: dict[str, str]) -> str | None:
        if found is None:
            return "ND_INV_PRID" if given.get("PAY_REQUEST_ID") else "DATA_PAY_REQ_ID"
        names = ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE")
        try:
            self._check(given, [found[name] for name in names])
        except Refusal as refusal:
            return refusal.code
        if not is_open(found):
            return "TXN_CAN" if found["TRANSACTION_STATUS"] in ("3", "4") else "TXN_CMP"
        if datetime.fromisoformat(found["created_at"]) + START_WITHIN < now():
            return "TXN_PRC"
        return None

    def _page_url(self, page: str) -> str:
        return f"{self._world.settings.url}/paygate/payweb/{page}"

    def _page(self, page: str) -> Any:
        """Show the page, or take what was typed, tell the shop, and send the browser back."""
        problems: dict[str, str] = {}
        with self._lock:
            known = self._journal.get(PAGE, page)
            found = self._journal.get(REQUEST, known["PAY_REQUEST_ID"]) if known else None
            if found is None:
                return render_template("missing.html", language="en"), 404
            told_ids: list[str] = []
            if request.method == "POST" and is_open(found):
                problems = self._take(found)
                if not problems:
                    told_ids = self._notify(found)
        if not problems and (request.method == "POST" or not is_open(found)):
            self._world.deliveries.wait_for_attempt(told_ids, seconds=3.0)
            return self._back(found)
        shown = render_template(
            "paygate.html",
            found=found,
            amount=shown_amount(found),
            card=self._journal.get(CARD, found["VAULT_ID"]),
            test_cards=TEST_CARDS,
            banks=BANKS,
            problems=problems,
            name=request.form.get("name", "") if request.method == "POST" else "",
        )
        return shown, 422 if problems else 200, {"Cache-Control": "no-store"}

    def _take(self, found: dict[str, Any]) -> dict[str, str]:
        """Carry out what was clicked; the fields that are wrong otherwise."""
        action = request.form.get("action")
        if action == "cancel":
            self._conclude(found, "cancelled", card=self._any_card(found))
        elif action != "pay":
            return {"action": "Choose to pay or to cancel."}
        elif found["METHOD"] == "BT":
            if request.form.get("bank") not in BANKS:
                return {"bank": "Choose your bank."}
            self._conclude(found, "approved", card=self._any_card(found))
        else:
            kept = self._journal.get(CARD, found["VAULT_ID"])
            problems = card_problems(is_kept=kept is not None)
            if problems:
                return problems
            if kept is not None:
                self._conclude(found, "approved", card=kept)
            else:
                number = typed_number()
                month, year = typed_expiry()
                result = TEST_CARDS.get(number, "invalid_card")
                self._conclude(found, result, card=masked(number, month, year))
        found["shown"] = None
        self._journal.put(REQUEST, found["PAY_REQUEST_ID"], found)
        return {}

    def _back(self, found: dict[str, Any]) -> Any:
        """A form that posts itself to the shop. The reference is signed but not in it."""
        status = found["TRANSACTION_STATUS"]
        values = [found["PAYGATE_ID"], found["PAY_REQUEST_ID"], status, found["REFERENCE"]]
        fields = [
            ("PAY_REQUEST_ID", found["PAY_REQUEST_ID"]),
            ("TRANSACTION_STATUS", status),
            ("CHECKSUM", self._checksum(values)),
        ]
        shown = render_template("paygate_back.html", url=found["RETURN_URL"], fields=fields)
        return shown, 200, {"Cache-Control": "no-store"}


def read_form() -> dict[str, str]:
    """The fields of the body; of one that stands twice the last, as PHP has it."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return {}
    text = request.get_data().decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def check_fields(given: dict[str, str]) -> None:
    """The formats of an initiate; raises `Refusal` as PayGate would."""
    amount = given["AMOUNT"]
    if not amount.isascii() or not amount.isdigit() or len(amount) > 11:
        raise Refusal("DATA_AMT_NUM")
    if int(amount) == 0:
        raise Refusal("DATA_AMT_ZERO")
    problems = (
        (len(given["REFERENCE"]) > 80, "DATA_CREF"),
        (given["CURRENCY"] not in CURRENCIES, "PGID_NOT_EN"),
        (not is_url(given["RETURN_URL"]), "DATA_URL"),
        (not is_url(given.get("NOTIFY_URL") or "http://x"), "DATA_URL"),
        (not is_now(given["TRANSACTION_DATE"]), "DATA_DTTM"),
        (not _locale.match(given["LOCALE"]), "LOCALE_INVALID"),
        (given["COUNTRY"] not in COUNTRIES, "CNTRY_INVALID"),
        (not _address.match(given["EMAIL"]), "INV_EMAIL"),
        *method_problems(given),
    )
    for is_wrong, code in problems:
        if is_wrong:
            raise Refusal(code)


def method_problems(given: dict[str, str]) -> list[tuple[bool, str]]:
    """The rules of PAY_METHOD and VAULT."""
    method = given.get("PAY_METHOD", "")
    vault = given.get("VAULT", "")
    return [
        (method not in ("", *METHODS, *OTHER_METHODS), "DATA_PM"),
        (bool(given.get("PAY_METHOD_DETAIL")) and not method, "DATA_PM"),
        (method in OTHER_METHODS, "NOT_LIVE_PM"),
        (vault not in ("", "0", "1"), "INVALID_VAULT"),
        (bool(given.get("VAULT_ID")) and vault != "1", "INVALID_VAULT"),
        (vault == "1" and method == "BT", "VAULT_NOT_ACCEPTED"),
    ]


def is_url(value: str) -> bool:
    """Whether it is an absolute http(s) address."""
    return urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc)


def is_now(value: str) -> bool:
    """Whether it is the time of day in UTC, as the documentation wants it."""
    try:
        given = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(now() - given) <= CLOCKS_DIFFER_BY


def card_problems(*, is_kept: bool) -> dict[str, str]:
    """What is wrong with the card that was typed, by field."""
    problems: dict[str, str] = {}
    if not is_kept and not _card_number.match(typed_number()):
        problems["number"] = "Enter the number on the front of the card."
    month, year = typed_expiry()
    if not is_kept and (year, month) < (now().year, now().month):
        problems["expiry"] = "Enter the month and year, such as 09/29."
    if not _cvv.match(request.form.get("cvv", "").strip()):
        problems["cvv"] = "Enter the three digits on the back."
    return problems


def typed_number() -> str:
    """The card's number without spaces and dashes."""
    return re.sub(r"[\s-]", "", request.form.get("number", ""))


def typed_expiry() -> tuple[int, int]:
    """Month and year of the card's expiry; zeros when it is not one."""
    found = _card_expiry.match(re.sub(r"\s", "", request.form.get("expiry", "")))
    return (int(found[1]), 2000 + int(found[2])) if found else (0, 0)


def masked(number: str, month: int, year: int) -> dict[str, str]:
    """What is remembered of a card: its brand, six and four of its digits, its expiry MMYYYY."""
    return {
        "brand": "MasterCard" if number.startswith("5") else "Visa",
        "masked": f"{number[:6]}{'x' * (len(number) - 10)}{number[-4:]}",
        "expiry": f"{month:02}{year}",
    }


def result_of(found: dict[str, Any]) -> dict[str, str]:
    """The fields of a request that say how it stands."""
    return {name: found[name] for name in RESULT_FIELDS}


def is_open(found: dict[str, Any]) -> bool:
    """Whether the payer can still do something; a request that was not processed has ended."""
    return found["TRANSACTION_STATUS"] in ("0", "5") and found["RESULT_CODE"] == ""


def told(found: dict[str, Any], *, is_notified: bool) -> dict[str, Any]:
    """The control's answer."""
    return {
        "reference": found["REFERENCE"],
        "status": STATUS_WORD[found["TRANSACTION_STATUS"]],
        "notified": is_notified,
    }


def shown_amount(found: dict[str, Any]) -> str:
    """An amount as people write it: R 1,499.90."""
    text = f"{Decimal(found['AMOUNT']) / 100:,.2f}"
    return f"R {text}" if found["CURRENCY"] == "ZAR" else f"{found['CURRENCY']} {text}"


def unique(length: int) -> str:
    """Characters that nobody can guess."""
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)
