"""Orange Money's Web Payment API and page, as its public documentation and clients have them.

Environments are `cm` (XAF) and `dev` (the play money OUV); the merchant key is good in the one
whose currency the sandbox was told. The payer types a number of Cameroon and the one-time code that
the page's simulated handset shows; the number decides what becomes of it:

| number | what happens after `SANDBOX_STEP_SECONDS` |
|---|---|
| 69000 0001 | Orange refuses: FAILED |
| 69000 0002 | nothing: PENDING until the control |
| any other | SUCCESS |

A third wrong code fails the payment. `cancel` on the page leads back and leaves INITIATED behind,
as there; only time ends it, without a notice. The control does not wait: its `cancelled` and
`expired` both end the session at once, and no notice goes out either, since Orange knows only those
of SUCCESS and FAILED. `amount` makes the session one of another sum: asked with ours, Orange has no
such transaction. A currency is nowhere told, so the control's is not used.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, redirect, render_template, request

from tests.sandbox.deliveries import Webhook
from tests.sandbox.world import Decision, World, answered

CURRENCY_OF = {"cm": "XAF", "dev": "OUV"}
TOKEN_SECONDS = 7_776_000
SESSION_SECONDS = 600
LONGEST_ADDRESS = 120
LONGEST_ID = 30
CODES_ALLOWED = 3
OUTCOME_STATUS = {
    "paid": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "EXPIRED",
    "expired": "EXPIRED",
    "pending": "PENDING",
}
NOTIFIED = ("SUCCESS", "FAILED")
FINAL = (*NOTIFIED, "EXPIRED")
PAYMENT, TOKEN, DIALS, COUNTER = "orange.payment", "orange.token", "orange.dials", "orange.counter"
REFUSED_NUMBER, SILENT_NUMBER = "690000001", "690000002"

_number = re.compile(r"(?:(?:\+|00)?237)?(6[0-9]{8})\Z")
# What the create wants, as the service calls it in its errors.
_FIELDS = {
    "merchant_key": "MerchantKey",
    "currency": "Currency",
    "order_id": "OrderId",
    "amount": "Amount",
    "return_url": "ReturnUrl",
    "cancel_url": "CancelUrl",
    "notif_url": "NotifUrl",
    "lang": "Lang",
}
_STATUS_FIELDS = {"order_id": "OrderId", "amount": "Amount", "pay_token": "PayToken"}


class Refusal(Exception):
    """Orange says no."""

    def __init__(self, status: int, code: int, message: str, description: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, "description": description}


class Orange:
    """One merchant. Its state is in the journal; a lock makes each step whole."""

    name = "orange"

    def __init__(self, world: World) -> None:
        self._world = world
        self._journal = world.journal
        self._lock = threading.RLock()

    # what controls and people use

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """Settle a payment by its order id; final ones may be changed too."""
        with self._lock:
            payment = self._journal.get(PAYMENT, reference)
            if payment is None:
                return None
            before = payment["shown_status"] or status_of(payment)
            payment["status"] = OUTCOME_STATUS[decision.outcome]
            payment["shown_status"] = None if decision.settled else before
            if decision.amount is not None:
                payment["amount"] = str(decision.amount)
            if payment["status"] in NOTIFIED and payment["txnid"] is None:
                payment["txnid"] = self._new_transaction_id()
            self._journal.put(PAYMENT, reference, payment)
            is_notified = decision.notify and payment["status"] in NOTIFIED
            if is_notified:
                self._notify(payment)
            return {"reference": reference, "status": payment["status"], "notified": is_notified}

    def recent(self) -> list[dict[str, Any]]:
        """Newest first."""
        rows = [
            {
                "reference": payment["order_id"],
                "kind": "web payment",
                "amount": shown_amount(Decimal(payment["amount"]), payment["currency"], "en"),
                "status": status_of(payment).lower(),
                "is_open": status_of(payment) not in FINAL,
                "url": self._page_url(payment),
                "created_at": payment["created_at"],
            }
            for payment in self._journal.all(PAYMENT)
        ]
        return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)[:100]

    def resume(self) -> None:
        """Let what was to decide by itself do so, after a restart too."""
        for payment in self._journal.all(PAYMENT):
            if payment["by_itself"] and payment["status"] == "PENDING":
                self._decide_later(payment["order_id"], payment["by_itself"])

    # the API

    def blueprint(self) -> Blueprint:
        """`/orange/oauth/v3/token`, `/orange/orange-money-webpay/…`, `/orange/payment/…`."""
        blueprint = Blueprint("orange", __name__)
        api = "/orange/orange-money-webpay/<environment>/v1"

        def route(path: str, operation: str, act: Callable[..., Response]) -> None:
            def view(**arguments: str) -> Response:
                return answered(
                    self._world, self.name, operation, lambda: self._refusing(act, arguments)
                )

            blueprint.add_url_rule(path, operation, view, methods=["POST"])

        route("/orange/oauth/v3/token", "token", self._token)
        route(f"{api}/webpayment", "webpayment", self._create)
        route(f"{api}/transactionstatus", "status", self._status)
        blueprint.add_url_rule(
            "/orange/payment/pay_token/<pay_token>", "page", self._page, methods=["GET", "POST"]
        )
        blueprint.add_url_rule("/_sandbox/dials/orange", "dials", self._turn, methods=["PUT"])
        return blueprint

    def _refusing(self, act: Callable[..., Response], arguments: dict[str, str]) -> Response:
        try:
            with self._lock:
                return act(**arguments)
        except Refusal as refusal:
            return as_json(refusal.body, refusal.status)

    def _token(self) -> Response:
        settings = self._world.settings
        pair = f"{settings.orange_client_id}:{settings.orange_client_secret}"
        wanted = "Basic " + base64.b64encode(pair.encode()).decode()
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            return as_json(oauth_error("invalid_client", "The client is not known."), 401)
        if request.mimetype != "application/x-www-form-urlencoded":
            return as_json(oauth_error("invalid_request", "A form is wanted."), 400)
        if request.form.get("grant_type") != "client_credentials":
            return as_json(oauth_error("unsupported_grant_type", "Use client_credentials."), 400)
        token, life = secrets.token_urlsafe(36), self._dials()["token_seconds"]
        self._journal.put(TOKEN, token, {"given_at": time.time(), "life": life})
        # The life is a text over there, too.
        answer = {"token_type": "Bearer", "access_token": token, "expires_in": str(life)}
        return as_json(answer, 200)

    def _check_token(self) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not given:
            raise Refusal(401, 40, "Missing credentials", "The request has no bearer token.")
        token = self._journal.get(TOKEN, given)
        revoked = self._journal.get(DIALS, "revoked") or {"at": 0}
        if token is None or token["given_at"] <= revoked["at"]:
            raise Refusal(401, 41, "Invalid credentials", "The bearer token is not known.")
        if token["given_at"] + token["life"] <= time.time():
            raise Refusal(401, 42, "Expired credentials", "The bearer token has expired.")

    def _create(self, environment: str) -> Response:
        self._check_token()
        if environment not in CURRENCY_OF:
            raise Refusal(404, 60, "Resource not found", "There is no such environment.")
        body = read_body(_FIELDS, "WebPaymentInfo")
        settings = self._world.settings
        check_create(body)
        if (
            body["merchant_key"] != settings.orange_merchant_key
            or settings.orange_currency != CURRENCY_OF[environment]
        ):
            raise invalid("merchant_key", "the merchant key is not known here")
        if body["currency"] != CURRENCY_OF[environment]:
            raise invalid("currency", f"the currency here is {CURRENCY_OF[environment]}")
        if self._journal.get(PAYMENT, body["order_id"]) is not None:
            raise invalid("order_id", "this order_id was used already")
        payment = {
            "order_id": body["order_id"],
            "pay_token": secrets.token_hex(16),
            "notif_token": secrets.token_hex(16),
            "amount": str(body["amount"]),
            "currency": body["currency"],
            "merchant": body.get("reference") or "Mallgram",
            "lang": body["lang"],
            "return_url": body["return_url"],
            "cancel_url": body["cancel_url"],
            "notif_url": body["notif_url"],
            "status": "INITIATED",
            "shown_status": None,
            "by_itself": None,
            "txnid": None,
            "code": f"{secrets.randbelow(1_000_000):06d}",
            "wrong_codes": 0,
            "created_at": now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "good_until": time.time() + self._dials()["session_seconds"],
        }
        self._journal.put(PAYMENT, payment["order_id"], payment)
        return as_json(
            {
                "status": 201,
                "message": "OK",
                "pay_token": payment["pay_token"],
                "payment_url": self._page_url(payment),
                "notif_token": payment["notif_token"],
            },
            201,
        )

    def _status(self, environment: str) -> Response:
        self._check_token()
        body = read_body(_STATUS_FIELDS, "GetTransactionStatusInfo")
        check_amount(body["amount"])
        payment = self._journal.get(PAYMENT, str(body["order_id"]))
        if (
            payment is None
            or environment not in CURRENCY_OF
            or payment["pay_token"] != body["pay_token"]
            or Decimal(payment["amount"]) != body["amount"]
        ):
            raise Refusal(
                404, 60, "Resource not found", "No transaction has these three values together."
            )
        status = payment["shown_status"] or status_of(payment)
        answer = {"status": status, "order_id": payment["order_id"]}
        if status in NOTIFIED:
            answer["txnid"] = payment["txnid"]
        return as_json(answer, 201)

    # dials

    def _turn(self) -> Any:
        """`{token_seconds?, session_seconds?}` for what begins from now on; `{}` sets them back.

        With `revoke_tokens: true` the tokens given so far are worth nothing any more.
        """
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            return jsonify({"error": "a JSON object is wanted"}), 400
        revokes = body.pop("revoke_tokens", False)
        is_known = set(body) <= {"token_seconds", "session_seconds"}
        if not is_known or not all(type(value) is int and value > 0 for value in body.values()):
            return jsonify({"error": "token_seconds and session_seconds are whole seconds"}), 400
        with self._lock:
            self._journal.put(DIALS, "dials", body)
            if revokes is True:
                self._journal.put(DIALS, "revoked", {"at": time.time()})
            return jsonify(self._dials())

    def _dials(self) -> dict[str, int]:
        turned = self._journal.get(DIALS, "dials") or {}
        return {"token_seconds": TOKEN_SECONDS, "session_seconds": SESSION_SECONDS} | turned

    # sessions

    def _new_transaction_id(self) -> str:
        """As MP150709.1341.A00073: day, minute and a number that never comes again."""
        counted = (self._journal.get(COUNTER, "transactions") or {"value": 0})["value"] + 1
        self._journal.put(COUNTER, "transactions", {"value": counted})
        letter = "ABCDEFGHJKLMNPQRSTUVWXYZ"[counted // 100_000 % 24]
        return f"MP{now():%y%m%d.%H%M}.{letter}{counted % 100_000:05d}"

    def _decide_later(self, order_id: str, outcome: str) -> None:
        """Decide after a moment, unless somebody else has by then."""

        def act() -> None:
            with self._lock:
                payment = self._journal.get(PAYMENT, order_id)
                if payment is not None and payment["status"] == "PENDING":
                    self.decide(order_id, Decision(outcome=outcome))

        timer = threading.Timer(self._world.settings.step_seconds, act)
        timer.daemon = True
        timer.start()

    def _notify(self, payment: dict[str, Any]) -> None:
        """Three members and no signature; the forged one has another token and says SUCCESS."""
        genuine = {
            "status": payment["status"],
            "notif_token": payment["notif_token"],
            "txnid": payment["txnid"],
        }
        last = "1" if payment["notif_token"][-1] == "0" else "0"
        forged = {**genuine, "status": "SUCCESS", "notif_token": payment["notif_token"][:-1] + last}
        url = payment["notif_url"]
        self._world.deliveries.send(notice(genuine, url), notice(forged, url))

    # the hosted page

    def _page_url(self, payment: dict[str, Any]) -> str:
        return f"{self._world.settings.url}/orange/payment/pay_token/{payment['pay_token']}"

    def _page(self, pay_token: str) -> Any:
        """Show the page, or take what was typed and send the browser back to the shop."""
        with self._lock:
            payment = self._with_pay_token(pay_token)
            if payment is None:
                language = "fr" if request.args.get("lang") != "en" else "en"
                return render_template("missing.html", language=language), 404
            fault, typed = None, ""
            if request.method == "POST" and status_of(payment) == "INITIATED":
                action, typed = request.form.get("action"), request.form.get("msisdn", "")[:20]
                if action == "cancel":
                    return redirect(payment["cancel_url"], 303)
                if action != "pay":
                    return render_template("missing.html", language=payment["lang"]), 400
                fault = self._confirm(payment, typed, request.form.get("otp", ""))
                if fault is None:
                    return redirect(payment["return_url"], 303)
            asked = request.args.get("lang")
            language = asked if asked in ("en", "fr") else payment["lang"]
            page = render_template(
                "orange.html",
                language=language,
                payment=payment,
                status=status_of(payment),
                amount=shown_amount(Decimal(payment["amount"]), payment["currency"], language),
                minutes=max(1, round((payment["good_until"] - time.time()) / 60)),
                fault=fault,
                typed=typed,
            )
            return page, 200 if fault is None else 422

    def _with_pay_token(self, pay_token: str) -> dict[str, Any] | None:
        return next(
            (
                payment
                for payment in self._journal.all(PAYMENT)
                if hmac.compare_digest(payment["pay_token"].encode(), pay_token.encode())
            ),
            None,
        )

    def _confirm(self, payment: dict[str, Any], msisdn: str, code: str) -> str | None:
        """Take number and code; what is wrong with them: `number`, `code` or `codes`."""
        number = _number.match(re.sub(r"[\s.-]", "", msisdn))
        if number is None:
            return "number"
        order_id = payment["order_id"]
        if not hmac.compare_digest(code.strip().encode(), payment["code"].encode()):
            payment["wrong_codes"] += 1
            self._journal.put(PAYMENT, order_id, payment)
            if payment["wrong_codes"] < CODES_ALLOWED:
                return "code"
            self.decide(order_id, Decision(outcome="failed"))
            payment["status"] = "FAILED"
            return "codes"
        payment["status"] = "PENDING"
        payment["by_itself"] = {REFUSED_NUMBER: "failed", SILENT_NUMBER: None}.get(
            number[1], "paid"
        )
        self._journal.put(PAYMENT, order_id, payment)
        if payment["by_itself"]:
            self._decide_later(order_id, payment["by_itself"])
        return None


def status_of(payment: dict[str, Any]) -> str:
    """The status now: who has not confirmed when the session ends is too late."""
    if payment["status"] == "INITIATED" and payment["good_until"] <= time.time():
        return "EXPIRED"
    return str(payment["status"])


def notice(content: dict[str, Any], url: str) -> Webhook:
    """The notice of a payment's end."""
    return Webhook(
        provider="orange",
        event=f"notification.{content['status'].lower()}",
        url=url,
        headers={"content-type": "application/json"},
        body=json.dumps(content, separators=(",", ":")),
    )


def as_json(content: dict[str, Any], status: int) -> Response:
    """An answer of the API."""
    return Response(json.dumps(content), status, content_type="application/json")


def oauth_error(error: str, description: str) -> dict[str, Any]:
    """An error of the token's endpoint."""
    return {"error": error, "error_description": description}


def invalid(field: str, why: str) -> Refusal:
    """The error of a field that is there and wrong."""
    return Refusal(400, 24, "Invalid body field", f"{field}: {why}")


def read_body(wanted: dict[str, str], what: str) -> dict[str, Any]:
    """The JSON object of the request with all that is wanted, fractions as Decimal."""
    if request.mimetype != "application/json":
        raise Refusal(415, 68, "Unsupported media type", "Content-Type must be application/json")
    try:
        body = json.loads(request.get_data(), parse_float=Decimal)
    except ValueError:
        raise Refusal(400, 22, "Invalid body", "The body is no JSON.") from None
    if not isinstance(body, dict):
        raise Refusal(400, 22, "Invalid body", "The body is no JSON object.")
    for field, name in wanted.items():
        if body.get(field) in (None, "", 0):
            raise Refusal(
                400, 23, "Missing body field", f"Key: '{what}.{name}' Error: '{name}' is required"
            )
    return body


def check_create(body: dict[str, Any]) -> None:
    """Types and lengths of what opens a session."""
    check_amount(body["amount"])
    for field in ("merchant_key", "currency", "lang", "order_id"):
        if not isinstance(body[field], str):
            raise invalid(field, "must be a text")
    if len(body["order_id"]) > LONGEST_ID:
        raise invalid("order_id", f"at most {LONGEST_ID} characters")
    for field in ("return_url", "cancel_url", "notif_url"):
        url = body[field]
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise invalid(field, "must be an address")
        if len(url) > LONGEST_ADDRESS:
            raise invalid(field, f"at most {LONGEST_ADDRESS} characters")
    if body["lang"] not in ("fr", "en"):
        raise invalid("lang", "must be fr or en")
    shown = body.get("reference", "")
    if not isinstance(shown, str) or len(shown) > LONGEST_ID:
        raise invalid("reference", f"at most {LONGEST_ID} characters")


def check_amount(amount: Any) -> None:
    """A JSON number, whole and positive."""
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        raise invalid("amount", "must be a number")
    if not 0 < amount < 10**12 or amount != int(amount):
        raise invalid("amount", "must be a positive whole number")


def shown_amount(amount: Decimal, currency: str, language: str) -> str:
    """An amount as people write it: 12 500 FCFA, XAF 12,500."""
    text = f"{amount:,.0f}"
    if language == "fr":
        unit = "FCFA" if currency == "XAF" else currency
        return f"{text.replace(',', chr(0x202F))} {unit}"
    return f"{currency} {text}"


def now() -> datetime:
    """The time over there."""
    return datetime.now(UTC)
