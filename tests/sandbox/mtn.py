"""MTN Mobile Money's wire protocol: collection, disbursement, provisioning, as MTN documents them.

Test numbers are MTN's own, 467331234NN, and Cameroonian ones that end in 00NN (237671110051):

| NN | request to pay | transfer |
|---|---|---|
| 50 | fails | fails |
| 51 | the payer says no | the payee says no |
| 52 | expires | expires |
| 53 | 30 steps later successful | 30 steps later successful |
| 54 | stays pending until the control | stays pending until the control |
| 55 | refused: payer not found | fails: our wallet is empty |
| 56 | refused: payee not allowed to receive | fails: limit reached |
| 57 | refused: not allowed | fails: payee not found |
| 58 | refused: wrong target environment | refused: not allowed |
| 59 | refused: invalid callback host | refused: wrong target environment |
| 60 | refused: invalid currency | refused: invalid callback host |
| 61 | internal error, and it failed | refused: invalid currency |
| 62 | service unavailable | internal error, and it failed |
| 63 | could not be performed | service unavailable |
| 64 | fails: transfer type unknown | fails: transfer type unknown |

MTN's other test numbers, and 237670000000, are successful by themselves after one step. A request
to pay to any other handset waits for the control or for a click on that handset's page, and expires
after five minutes; transfers and refunds to them are successful by themselves. Transfers over
1,000,000 find our wallet empty. A refund fails when the payment is not paid or less is left of it.

Answers about collections write amounts as texts and reasons as words, those about money going out
write amounts as numbers and reasons as objects: MTN's documents have both. Callbacks go by PUT or
POST, as the last digit of the transaction's id is even or odd, and only to the address given.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, request

from tests.sandbox.deliveries import Webhook
from tests.sandbox.world import Decision, World, answered

COLLECTION, DISBURSEMENT = "collection", "disbursement"
PRODUCTS = (COLLECTION, DISBURSEMENT)
PRODUCT_OF = {"requesttopay": COLLECTION, "transfer": DISBURSEMENT, "refund": DISBURSEMENT}
KIND = {resource: f"mtn.{resource}" for resource in PRODUCT_OF}
USER, TOKEN, DIALS = "mtn.user", "mtn.token", "mtn.dials"
TOKEN_SECONDS = 3600
APPROVAL_SECONDS = 300
WALLET = Decimal(1_000_000)
WHOLE_CURRENCIES = ("XAF", "XOF", "UGX", "RWF", "GNF")
PARTY_ID_TYPES = ("MSISDN", "EMAIL", "PARTY_CODE")
LONG_STEPS = 30

_uuid4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_whole = re.compile(r"[1-9][0-9]{0,14}\Z")
_cents = re.compile(r"(?=.*[1-9])(0|[1-9][0-9]{0,14})(\.[0-9]{1,2})?\Z")
_number = re.compile(r"[1-9][0-9]{7,14}\Z")
_mtn_test_number = re.compile(r"467331234[0-9]{2}\Z")
_mtn_cameroon = re.compile(r"2376(?:7[0-9]|5[0-4]|8[0-4])[0-9]{6}\Z")
_note = re.compile(r"[A-Za-z0-9 ]{0,160}\Z")


class Refusal(Exception):
    """MTN says no."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "message": message or code.replace("_", " ").capitalize()}


@dataclass(frozen=True)
class Script:
    """What a number makes happen. `outcome` is a status or the reason of a failure."""

    outcome: str | None = None
    steps: int = 1
    error: tuple[int, str] | None = None
    is_created: bool = True
    """Whether the transaction exists in spite of the error."""


def refused(code: str, status: int = 500) -> Script:
    """Nothing comes about."""
    return Script(error=(status, code), is_created=False)


SUCCESS = Script("SUCCESSFUL")
WAITS = Script()
INTERNAL_ERROR = Script("INTERNAL_PROCESSING_ERROR", error=(500, "INTERNAL_PROCESSING_ERROR"))
REQUESTS = {
    "50": Script("INTERNAL_PROCESSING_ERROR"),
    "51": Script("APPROVAL_REJECTED"),
    "52": Script("EXPIRED"),
    "53": Script("SUCCESSFUL", steps=LONG_STEPS),
    "54": WAITS,
    "55": refused("PAYER_NOT_FOUND"),
    "56": refused("PAYEE_NOT_ALLOWED_TO_RECEIVE"),
    "57": refused("NOT_ALLOWED"),
    "58": refused("NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "59": refused("INVALID_CALLBACK_URL_HOST"),
    "60": refused("INVALID_CURRENCY"),
    "61": INTERNAL_ERROR,
    "62": refused("SERVICE_UNAVAILABLE", 503),
    "63": Script("COULD_NOT_PERFORM_TRANSACTION"),
    "64": Script("TRANSFER_TYPE_UNKNOWN"),
}
TRANSFERS = {
    "50": Script("INTERNAL_PROCESSING_ERROR"),
    "51": Script("REJECTED"),
    "52": Script("EXPIRED"),
    "53": Script("SUCCESSFUL", steps=LONG_STEPS),
    "54": WAITS,
    "55": Script("NOT ENOUGH_FUNDS"),  # with a space, as one of MTN's tables has it
    "56": Script("PAYER_LIMIT_REACHED"),
    "57": Script("PAYEE_NOT_FOUND"),
    "58": refused("NOT_ALLOWED"),
    "59": refused("NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "60": refused("INVALID_CALLBACK_URL_HOST"),
    "61": refused("INVALID_CURRENCY"),
    "62": INTERNAL_ERROR,
    "63": refused("SERVICE_UNAVAILABLE", 503),
    "64": Script("TRANSFER_TYPE_UNKNOWN"),
}
APPROVES = "237670000000"
DECIDED = {
    "paid": "SUCCESSFUL",
    "failed": "NOT_ENOUGH_FUNDS",
    "cancelled": "APPROVAL_REJECTED",
    "expired": "EXPIRED",
    "pending": "PENDING",
}
SHOWN_STATUS = {"SUCCESSFUL": "success", "FAILED": "failed", "PENDING": "pending"}


class Mtn:
    """One merchant with both products. Its state is in the journal; a lock makes steps whole."""

    name = "mtn"

    def __init__(self, world: World) -> None:
        self._world = world
        self._journal = world.journal
        self._lock = threading.RLock()
        # By externalId: several transactions may have the same, the newest is meant.
        self._named: dict[str, tuple[str, str]] = {
            thing["external_id"]: (resource, thing["id"])
            for resource, kind in KIND.items()
            for thing in self._journal.all(kind)
        }

    # what controls and people use

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """Settle a request to pay, transfer or refund by our externalId; final ones too."""
        with self._lock:
            resource, id_ = self._named.get(reference, ("", ""))
            thing = self._journal.get(KIND[resource], id_) if resource else None
            if thing is None:
                return None
            return self._settle(thing, DECIDED[decision.outcome], decision)

    def recent(self) -> list[dict[str, Any]]:
        """Newest first."""
        rows = [
            {
                "reference": thing["external_id"],
                "kind": resource,
                "amount": shown_amount(Decimal(thing["amount"]), thing["currency"], "en"),
                "status": SHOWN_STATUS[thing["status"]],
                "is_open": thing["status"] == "PENDING",
                "url": self._handset_url(thing) if resource == "requesttopay" else None,
                "created_at": thing["created_at"],
            }
            for resource, kind in KIND.items()
            for thing in self._journal.all(kind)
        ]
        return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)[:100]

    def resume(self) -> None:
        """Let what was to decide by itself do so, after a restart too."""
        for kind in KIND.values():
            for thing in self._journal.all(kind):
                if thing["by_itself"] and thing["status"] == "PENDING":
                    self._settle_later(thing)

    # the API

    def blueprint(self) -> Blueprint:
        """`/mtn/collection/…`, `/mtn/disbursement/…`, `/mtn/v1_0/apiuser`, `/mtn/handset/…`."""
        blueprint = Blueprint("mtn", __name__)

        def route(
            method: str, path: str, operation: str, act: Callable[..., Response], **more: Any
        ) -> None:
            def view(**arguments: str) -> Response:
                return answered(
                    self._world,
                    self.name,
                    operation,
                    lambda: self._refusing(act, {**more, **arguments}),
                )

            endpoint = f"{operation}_{more.get('product', '')}"
            blueprint.add_url_rule(f"/mtn{path}", endpoint, view, methods=[method])

        route("POST", "/v1_0/apiuser", "api_user", self._new_user)
        route("GET", "/v1_0/apiuser/<user>", "api_user_status", self._user)
        route("POST", "/v1_0/apiuser/<user>/apikey", "api_key", self._new_key)
        for product in PRODUCTS:
            base, of = f"/{product}", {"product": product}
            route("POST", f"{base}/token/", "token", self._token, **of)
            route("GET", f"{base}/v1_0/account/balance", "balance", self._balance, **of)
            holder = f"{base}/v1_0/accountholder/msisdn/<number>"
            route("GET", f"{holder}/active", "account_active", self._is_active, **of)
            route("GET", f"{holder}/basicuserinfo", "account_name", self._holder, **of)
        for resource, operation in (
            ("requesttopay", "request_to_pay"),
            ("transfer", "transfer"),
            ("refund", "refund"),
        ):
            base, of = f"/{PRODUCT_OF[resource]}/v1_0/{resource}", {"resource": resource}
            route("POST", base, operation, self._create, **of)
            status = "status" if resource == "requesttopay" else f"{operation}_status"
            route("GET", f"{base}/<id_>", status, self._status, **of)
        blueprint.add_url_rule(
            "/mtn/handset/<id_>", "handset", self._handset, methods=["GET", "POST"]
        )
        blueprint.add_url_rule("/_sandbox/dials/mtn", "dials", self._turn, methods=["PUT"])
        return blueprint

    def _refusing(self, act: Callable[..., Response], arguments: dict[str, str]) -> Response:
        try:
            with self._lock:
                return act(**arguments)
        except Refusal as refusal:
            # Before MTN's own service stands a gateway with errors of its own shape.
            if refusal.status == 401:
                refusal.body = {"statusCode": "401", "message": refusal.body["message"]}
            body = refusal.body if refusal.body["message"] else None
            return as_json(body, refusal.status)

    def _new_user(self) -> Response:
        self._check_subscription(*PRODUCTS)
        user = self._reference_id()
        host = read_body().get("providerCallbackHost")
        if not isinstance(host, str) or not host:
            raise Refusal(400)
        if self._user_named(user) is not None:
            raise Refusal(409, "RESOURCE_ALREADY_EXIST")
        self._journal.put(USER, user, {"host": host, "api_key": None})
        return as_json(None, 201)

    def _user(self, user: str) -> Response:
        self._check_subscription(*PRODUCTS)
        known = self._user_named(user)
        if known is None:
            raise Refusal(404, "RESOURCE_NOT_FOUND")
        environment = self._world.settings.mtn_target_environment
        return as_json(
            {"providerCallbackHost": known["host"], "targetEnvironment": environment}, 200
        )

    def _new_key(self, user: str) -> Response:
        self._check_subscription(*PRODUCTS)
        known = self._journal.get(USER, user)
        if known is None:
            raise Refusal(404, "RESOURCE_NOT_FOUND")
        known["api_key"] = secrets.token_hex(16)
        self._journal.put(USER, user, known)
        return as_json({"apiKey": known["api_key"]}, 201)

    def _token(self, product: str) -> Response:
        self._check_subscription(product)
        if request.get_data():
            raise Refusal(400, message="No body is wanted")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, api_key = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            raise Refusal(401, message="The credentials are not readable") from None
        known = self._user_named(user)
        wanted = "" if known is None else known["api_key"] or ""
        is_right = hmac.compare_digest(wanted.encode(), api_key.encode())
        if scheme != "Basic" or not wanted or not is_right:
            raise Refusal(401, message="The API user or key is wrong")
        token, life = secrets.token_urlsafe(48), self._dials()["token_seconds"]
        self._journal.put(
            TOKEN,
            token,
            {"product": product, "user": user, "given_at": time.time(), "life": life},
        )
        return as_json(
            {"access_token": token, "token_type": "access_token", "expires_in": life}, 200
        )

    def _create(self, resource: str) -> Response:
        user = self._check_call(PRODUCT_OF[resource])
        id_ = self._reference_id()
        body = read_body()
        is_in = resource == "requesttopay"
        thing = {
            "id": id_,
            "resource": resource,
            **self._checked(body),
            "callback_url": self._checked_callback(user),
            "status": "PENDING",
            "reason": None,
            "shown": None,
            "transaction_id": None,
            "created_at": now(),
            "good_until": time.time() + APPROVAL_SECONDS if is_in else None,
        }
        if resource == "refund":
            thing |= self._refunded_part(body)
            script = SUCCESS
        else:
            thing["party"] = checked_party(body, "payer" if is_in else "payee")
            script = script_of(thing["party"]["partyId"], is_in=is_in)
        if any(self._journal.get(kind, id_) for kind in KIND.values()):
            raise Refusal(409, "RESOURCE_ALREADY_EXIST", "Duplicated reference id.")
        if script.error is not None and not script.is_created:
            raise Refusal(*script.error)
        thing |= {"by_itself": script.outcome, "steps": script.steps}
        self._journal.put(KIND[resource], id_, thing)
        self._named[thing["external_id"]] = (resource, id_)
        if script.outcome:
            self._settle_later(thing)
        if script.error is not None:
            raise Refusal(*script.error)
        return Response("", 202)

    def _status(self, resource: str, id_: str) -> Response:
        self._check_call(PRODUCT_OF[resource])
        thing = self._journal.get(KIND[resource], id_)
        if thing is None:
            raise Refusal(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
        if is_overdue(thing):
            self._settle(thing, "EXPIRED", Decision(outcome="expired"))
        return as_json(shown(thing, thing["shown"] or thing), 200)

    def _balance(self, product: str) -> Response:
        self._check_call(product)
        currency = self._world.settings.mtn_currency
        return as_json({"availableBalance": str(WALLET), "currency": currency}, 200)

    def _is_active(self, product: str, number: str) -> Response:
        self._check_call(product)
        return as_json({"result": is_handset(number)}, 200)

    def _holder(self, product: str, number: str) -> Response:
        self._check_call(product)
        if not is_handset(number):
            raise Refusal(404, "RESOURCE_NOT_FOUND")
        return as_json({"sub": "0", "given_name": "Sand", "family_name": "Box"}, 200)

    # what every call is checked for

    def _check_subscription(self, *products: str) -> None:
        settings = self._world.settings
        keys = {
            COLLECTION: settings.mtn_collection_key,
            DISBURSEMENT: settings.mtn_disbursement_key,
        }
        given = request.headers.get("Ocp-Apim-Subscription-Key", "").encode()
        if not any(hmac.compare_digest(keys[name].encode(), given) for name in products):
            raise Refusal(401, message="Access denied due to invalid subscription key.")

    def _check_call(self, product: str) -> dict[str, Any]:
        """The API user of the call's token, for whom all its headers are right."""
        self._check_subscription(product)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        token = self._journal.get(TOKEN, given)
        if scheme != "Bearer" or token is None or token["product"] != product:
            raise Refusal(401, message="The access token is not valid.")
        if token["given_at"] <= self._dials()["revoked_at"]:
            raise Refusal(401, message="The access token was revoked.")
        if token["given_at"] + token["life"] <= time.time():
            raise Refusal(401, message="The access token has expired.")
        environment = self._world.settings.mtn_target_environment
        if request.headers.get("X-Target-Environment") != environment:
            raise Refusal(500, "NOT_ALLOWED_TARGET_ENVIRONMENT")
        return self._user_named(token["user"]) or {}

    def _user_named(self, user: str) -> dict[str, Any] | None:
        settings = self._world.settings
        if user == settings.mtn_api_user:
            host = urlsplit(settings.public_url).hostname
            return {"host": host, "api_key": settings.mtn_api_key}
        return self._journal.get(USER, user)

    def _reference_id(self) -> str:
        id_ = request.headers.get("X-Reference-Id", "")
        if not _uuid4.match(id_):
            raise Refusal(400, message="X-Reference-Id must be a UUID of version 4.")
        return id_

    def _checked_callback(self, user: dict[str, Any]) -> str | None:
        url = request.headers.get("X-Callback-Url")
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refusal(400, message="X-Callback-Url must be an address.")
        if parts.hostname != user["host"]:
            raise Refusal(500, "INVALID_CALLBACK_URL_HOST")
        return url

    def _checked(self, body: dict[str, Any]) -> dict[str, Any]:
        """What all transactions have in common."""
        currency = body.get("currency")
        if not isinstance(currency, str) or not isinstance(body.get("externalId"), str):
            raise Refusal(400)
        amount = body.get("amount")
        wanted = _whole if currency in WHOLE_CURRENCIES else _cents
        if not isinstance(amount, str) or not wanted.match(amount):
            raise Refusal(400, message="amount must be a text with a number")
        for name in ("payerMessage", "payeeNote"):
            if not isinstance(body.get(name, ""), str) or not _note.match(body.get(name, "")):
                raise Refusal(400, message=f"{name} has characters that are not allowed")
        if currency != self._world.settings.mtn_currency:
            raise Refusal(500, "INVALID_CURRENCY")
        return {
            "external_id": body["externalId"],
            "amount": amount,
            "currency": currency,
            "payer_message": body.get("payerMessage", ""),
            "payee_note": body.get("payeeNote", ""),
        }

    def _refunded_part(self, body: dict[str, Any]) -> dict[str, Any]:
        """The payment that a refund is of."""
        payment = self._journal.get(KIND["requesttopay"], str(body.get("referenceIdToRefund")))
        if payment is None:
            raise Refusal(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
        return {"refunded_id": payment["id"], "party": payment["party"]}

    # what happens

    def _settle(self, thing: dict[str, Any], outcome: str, decision: Decision) -> dict[str, Any]:
        """Give it a status, and a reason where it failed; tell the shop when it is final."""
        before = thing["shown"] or {name: thing[name] for name in ("status", "reason")}
        is_plain = outcome in ("SUCCESSFUL", "PENDING")
        thing["status"] = outcome if is_plain else "FAILED"
        thing["reason"] = None if is_plain else outcome
        thing["shown"] = None if decision.settled else before
        if decision.amount is not None:
            thing["amount"] = str(decision.amount)
        if decision.currency is not None:
            thing["currency"] = decision.currency
        if outcome == "SUCCESSFUL" and thing["transaction_id"] is None:
            thing["transaction_id"] = str(10**9 + secrets.randbelow(9 * 10**9))
        self._journal.put(KIND[thing["resource"]], thing["id"], thing)
        is_told = decision.notify and outcome != "PENDING" and thing["callback_url"] is not None
        if is_told:
            self._notify(thing)
        return {"reference": thing["external_id"], "status": thing["status"], "notified": is_told}

    def _settle_later(self, thing: dict[str, Any]) -> None:
        """Settle after its steps, unless somebody else has by then."""

        def act() -> None:
            with self._lock:
                current = self._journal.get(KIND[thing["resource"]], thing["id"])
                if current is not None and current["status"] == "PENDING":
                    outcome = self._possible(current, thing["by_itself"])
                    self._settle(current, outcome, Decision(outcome="by itself"))

        timer = threading.Timer(self._world.settings.step_seconds * thing["steps"], act)
        timer.daemon = True
        timer.start()

    def _possible(self, thing: dict[str, Any], outcome: str) -> str:
        """The outcome, unless the money is not there."""
        if outcome != "SUCCESSFUL":
            return outcome
        amount = Decimal(thing["amount"])
        if thing["resource"] == "transfer" and amount > WALLET:
            return "NOT_ENOUGH_FUNDS"
        if thing["resource"] == "refund" and amount > self._left(thing["refunded_id"]):
            return "NOT_ALLOWED"
        return outcome

    def _left(self, payment_id: str) -> Decimal:
        payment = self._journal.get(KIND["requesttopay"], payment_id)
        if payment is None or payment["status"] != "SUCCESSFUL":
            return Decimal(0)
        back = (
            Decimal(refund["amount"])
            for refund in self._journal.all(KIND["refund"])
            if refund["refunded_id"] == payment_id and refund["status"] == "SUCCESSFUL"
        )
        return Decimal(payment["amount"]) - sum(back, Decimal(0))

    def _notify(self, thing: dict[str, Any]) -> None:
        """Nothing proves a callback but its address; the forged one has another last part."""
        url: str = thing["callback_url"]
        start, _, last = url.rpartition("/")
        forged_url = f"{start}/{secrets.token_hex(max(len(last) // 2, 1))}"
        forged = thing | {"status": "SUCCESSFUL", "reason": None}
        self._world.deliveries.send(
            callback(thing, url, shown(thing, thing)),
            callback(thing, forged_url, shown(forged, forged)),
        )

    # dials and the handset

    def _dials(self) -> dict[str, Any]:
        turned = self._journal.get(DIALS, "all") or {}
        return {"token_seconds": TOKEN_SECONDS, "revoked_at": 0.0} | turned

    def _turn(self) -> tuple[Response, int]:
        """`{token_seconds?, revoke_tokens?}`; `{}` sets them back."""
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict) or not body.keys() <= {"token_seconds", "revoke_tokens"}:
            return as_json({"error": "token_seconds and revoke_tokens may be turned"}, 400), 400
        seconds = body.get("token_seconds", TOKEN_SECONDS)
        if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
            return as_json({"error": "token_seconds must be a positive number"}, 400), 400
        with self._lock:
            dials = {"token_seconds": seconds, "revoked_at": self._dials()["revoked_at"]}
            if body.get("revoke_tokens") is True:
                dials["revoked_at"] = time.time()
            self._journal.put(DIALS, "all", dials)
        return as_json({"token_seconds": seconds}, 200), 200

    def _handset_url(self, thing: dict[str, Any]) -> str:
        return f"{self._world.settings.url}/mtn/handset/{thing['id']}"

    def _handset(self, id_: str) -> Any:
        """The prompt as the payer's handset shows it."""
        language = page_language()
        with self._lock:
            thing = self._journal.get(KIND["requesttopay"], id_)
            if thing is None:
                return render_template("missing.html", language=language), 404
            if request.method == "POST" and thing["status"] == "PENDING":
                outcome = {"approve": "paid", "reject": "cancelled"}.get(
                    request.form.get("action", "")
                )
                if outcome is None:
                    return render_template("missing.html", language=language), 400
                self._settle(thing, DECIDED[outcome], Decision(outcome=outcome))
            elif is_overdue(thing):
                self._settle(thing, "EXPIRED", Decision(outcome="expired"))
        return render_template(
            "mtn.html",
            language=language,
            thing=thing,
            amount=shown_amount(Decimal(thing["amount"]), thing["currency"], language),
            number=thing["party"]["partyId"],
        )


def as_json(body: Any, status: int) -> Response:
    """An answer of the API; None: an empty one."""
    if body is None:
        return Response("", status)
    return Response(json.dumps(body), status, content_type="application/json")


def read_body() -> dict[str, Any]:
    """The JSON object of the request."""
    if request.mimetype != "application/json":
        raise Refusal(400, message="Content-Type must be application/json")
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise Refusal(400, message="The body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, message="The body is not an object")
    return body


def checked_party(body: dict[str, Any], name: str) -> dict[str, str]:
    """Who pays or is paid."""
    party = body.get(name)
    if not isinstance(party, dict) or party.get("partyIdType") not in PARTY_ID_TYPES:
        raise Refusal(400, message=f"{name} must have a partyIdType")
    number = party.get("partyId")
    if not isinstance(number, str) or not number:
        raise Refusal(400, message=f"{name} must have a partyId")
    if party["partyIdType"] == "MSISDN" and not _number.match(number):
        raise Refusal(400, message="partyId must be digits with the country code")
    return {"partyIdType": party["partyIdType"], "partyId": number}


def is_handset(number: str) -> bool:
    """Whether a number is one of MTN's customers."""
    return bool(_mtn_test_number.match(number) or _mtn_cameroon.match(number))


def script_of(number: str, *, is_in: bool) -> Script:
    """What a number makes happen."""
    test, cameroon = _mtn_test_number.match(number), _mtn_cameroon.match(number)
    if test is None and cameroon is None:
        return refused("PAYER_NOT_FOUND") if is_in else Script("PAYEE_NOT_FOUND")
    others = SUCCESS if test or number == APPROVES or not is_in else WAITS
    is_test = test is not None or number[-4:-2] == "00"
    return (REQUESTS if is_in else TRANSFERS).get(number[-2:], others) if is_test else others


def is_overdue(thing: dict[str, Any]) -> bool:
    """Whether the payer let the prompt pass."""
    is_late = thing["good_until"] is not None and thing["good_until"] <= time.time()
    return is_late and thing["status"] == "PENDING" and not thing["by_itself"]


def shown(thing: dict[str, Any], standing: dict[str, Any]) -> dict[str, Any]:
    """A transaction as status answers and callbacks have it."""
    is_in = thing["resource"] == "requesttopay"
    amount = Decimal(thing["amount"])
    as_number = int(amount) if amount == amount.to_integral_value() else float(amount)
    body: dict[str, Any] = {
        "externalId": thing["external_id"],
        "amount": thing["amount"] if is_in else as_number,
        "currency": thing["currency"],
        "payer" if is_in else "payee": thing["party"],
        "payerMessage": thing["payer_message"],
        "payeeNote": thing["payee_note"],
        "status": standing["status"],
    }
    if standing["status"] == "SUCCESSFUL":
        body["financialTransactionId"] = (
            thing["transaction_id"] if is_in else int(thing["transaction_id"] or 1)
        )
    if standing["reason"] is not None:
        message = str(standing["reason"]).replace("_", " ").capitalize()
        body["reason"] = (
            standing["reason"] if is_in else {"code": standing["reason"], "message": message}
        )
    return body


def callback(thing: dict[str, Any], url: str, body: dict[str, Any]) -> Webhook:
    """The message to the shop."""
    return Webhook(
        provider="mtn",
        event=f"{thing['resource']}.{body['status']}",
        url=url,
        method="PUT" if int(thing["id"][-1], 16) % 2 == 0 else "POST",
        headers={"content-type": "application/json"},
        body=json.dumps(body, separators=(",", ":")),
    )


def page_language() -> str:
    """`lang` of the address, then what the browser prefers, then English."""
    asked = request.args.get("lang")
    if asked in ("en", "fr"):
        return asked
    return request.accept_languages.best_match(["en", "fr"], default="en") or "en"


def shown_amount(amount: Decimal, currency: str, language: str) -> str:
    """An amount as people write it: 12 500 FCFA, XAF 12,500."""
    places = 0 if currency in WHOLE_CURRENCIES else 2
    text = f"{amount:,.{places}f}"
    if language == "fr":
        text = text.replace(",", "\u202f").replace(".", ",")
        return f"{text} {'FCFA' if currency == 'XAF' else currency}"
    return f"{currency} {text}"


def now() -> str:
    """The time for lists."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
