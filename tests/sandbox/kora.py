"""Kora's wire protocol: API, hosted page, signed webhooks, as its public documentation has them.

Test numbers for mobile money in XAF (MTN `23767000000N`, Orange `23769000000N`); they decide by
themselves after `SANDBOX_STEP_SECONDS`:

| N | what happens |
|---|---|
| 0 | the payer approves |
| 1 | the payer declines: failed |
| 2 | the prompt expires |
| 3 | a code is asked for first (`OTP`): 123456, then approved |
| 4 | the operator's own page (`REDIRECT`) |

Any other number waits for the control or for a click on the sandbox's first page. Payouts end well
by themselves, but for accounts that end in 0001 (failed) and 0002 (processing until the control);
sums over 1,000,000 find the wallet too empty. Refunds end well, with `completion_status: failed`
badly; in KES and GHS they are not supported.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, render_template, request

from tests.sandbox.deliveries import Webhook
from tests.sandbox.world import Decision, World, answered

CURRENCIES = ("NGN", "KES", "GHS", "XAF", "XOF", "ZAR")
WHOLE_CURRENCIES = ("XAF", "XOF")
MOBILE_MONEY_CURRENCIES = ("XAF", "XOF", "KES", "GHS")
REFUND_CURRENCIES = ("NGN", "XAF", "XOF", "ZAR")
CHANNELS = ("card", "bank_transfer", "pay_with_bank", "mobile_money")
BANKS = {
    "632005": "ABSA",
    "430000": "African Bank",
    "462005": "Bidvest",
    "250655": "FNB",
    "580105": "Investec",
    "198765": "Nedbank",
    "051001": "Standard Bank",
    "678910": "TymeBank",
}
OPERATORS = {
    "CM": ({"name": "MTN Cameroon", "slug": "mtn-cm"}, {"name": "Orange", "slug": "orange-cm"}),
    "KE": ({"name": "Safaricom", "slug": "safaricom-ke"}, {"name": "Airtel", "slug": "airtel-ke"}),
    "GH": ({"name": "MTN Ghana", "slug": "mtn-gh"}, {"name": "Airtel", "slug": "airtel-gh"}),
}
OTP = "123456"
WALLET = Decimal(1_000_000)
FEE_RATE = Decimal("0.015")
OUTCOME_STATUS = {
    "paid": "success",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
    "pending": "processing",
}
FINAL = ("success", "failed", "cancelled", "expired")
CHARGE, PAYOUT, REFUND = "kora.charge", "kora.payout", "kora.refund"

_metadata_key = re.compile(r"[A-Za-z0-9-]{1,20}\Z")
_address = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+\Z")
_number = re.compile(r"[0-9]{9,15}\Z")
_test_number = re.compile(r"2376[79]000000([0-4])\Z")


class Refusal(Exception):
    """Kora says no."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.data = data


class Kora:
    """One account. Its state is in the journal; a lock makes each step whole."""

    name = "kora"

    def __init__(self, world: World) -> None:
        self._world = world
        self._journal = world.journal
        self._lock = threading.RLock()

    # what controls and people use

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """Settle a charge, payout or refund; final ones may be changed too."""
        with self._lock:
            charge = self._charge(reference)
            if charge is not None:
                return self._decide_charge(charge, decision)
            for kind, event in ((PAYOUT, "transfer"), (REFUND, "refund")):
                thing = self._journal.get(kind, reference)
                if thing is not None:
                    return self._decide_transfer(kind, event, thing, decision)
        return None

    def recent(self) -> list[dict[str, Any]]:
        """Newest first."""
        rows = [
            {
                "reference": thing["reference"],
                "kind": kind.removeprefix("kora."),
                "amount": shown_amount(Decimal(thing["amount"]), thing["currency"], "en"),
                "status": thing["status"],
                "is_open": thing["status"] not in FINAL,
                "url": self._page_url(thing) if thing.get("page") else None,
                "created_at": thing["created_at"],
            }
            for kind in (CHARGE, PAYOUT, REFUND)
            for thing in self._journal.all(kind)
        ]
        return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)[:100]

    def resume(self) -> None:
        """Let what was to decide by itself do so, after a restart too."""
        for kind in (CHARGE, PAYOUT, REFUND):
            for thing in self._journal.all(kind):
                if thing.get("by_itself") and thing["status"] not in FINAL:
                    self._decide_later(thing["reference"], thing["by_itself"])

    # the API

    def blueprint(self) -> Blueprint:
        """`/kora/merchant/api/v1/…` and `/kora/checkout/…`."""
        blueprint = Blueprint("kora", __name__, url_prefix="/kora")
        api = "/merchant/api/v1"

        def route(
            method: str, path: str, operation: str, act: Callable[..., dict[str, Any]]
        ) -> None:
            def view(**arguments: str) -> Response:
                return answered(
                    self._world, self.name, operation, lambda: self._enveloped(act, arguments)
                )

            blueprint.add_url_rule(api + path, operation, view, methods=[method])

        route("POST", "/charges/initialize", "initialize", self._initialize)
        route("POST", "/charges/mobile-money", "mobile_money", self._push)
        route("POST", "/charges/mobile-money/authorize", "authorize", self._authorize)
        route("POST", "/charge/pay-with-bank", "pay_with_bank", self._pay_with_bank)
        route("GET", "/charge/pay-with-bank/banks", "pay_with_bank_banks", self._bank_list)
        route("GET", "/charges/<reference>", "status", self._status)
        route("POST", "/refunds/initiate", "refund", self._refund)
        route("GET", "/refunds/<reference>", "refund_status", self._refund_status)
        route("POST", "/transactions/disburse", "disburse", self._disburse)
        route("GET", "/transactions/<reference>", "payout_status", self._payout_status)
        route("GET", "/misc/mobile-money", "operators", self._operators)
        route("GET", "/misc/banks", "banks", self._bank_list)
        blueprint.add_url_rule("/checkout/<page>/pay", "page", self._page, methods=["GET", "POST"])
        return blueprint

    def _enveloped(self, act: Callable[..., dict[str, Any]], arguments: dict[str, str]) -> Response:
        """Check the key, act, and put the answer into Kora's envelope."""
        try:
            self._check_key()
            with self._lock:
                envelope = act(**arguments)
            status = 200
        except Refusal as refusal:
            envelope = {"status": False, "message": refusal.message, "data": refusal.data}
            if refusal.code is not None:
                envelope["code"] = refusal.code
            status = refusal.status
        return Response(compact(envelope), status, content_type="application/json; charset=utf-8")

    def _check_key(self) -> None:
        wanted = f"Bearer {self._world.settings.kora_secret_key}"
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            raise Refusal(401, "Invalid authorization key", code="AA001")

    def _initialize(self) -> dict[str, Any]:
        body = read_body()
        charge = self._new_charge(body, "checkout", smallest_reference=1)
        channels = body.get("channels", list(CHANNELS))
        if (
            not isinstance(channels, list)
            or not channels
            or not all(channel in CHANNELS for channel in channels)
        ):
            raise invalid("channels", "channels must hold known channels")
        if "default_channel" in body and body["default_channel"] not in channels:
            raise invalid("default_channel", "default_channel must be one of channels")
        charge |= {"channels": channels, "page": "KPY-PI-" + unique(), "status": "pending"}
        self._journal.put(CHARGE, charge["reference"], charge)
        return accepted(
            "Charge created successfully",
            {"reference": charge["reference"], "checkout_url": self._page_url(charge)},
        )

    def _push(self) -> dict[str, Any]:
        body = read_body()
        charge = self._new_charge(body, "mobile_money", smallest_reference=8)
        if charge["currency"] not in MOBILE_MONEY_CURRENCIES:
            raise invalid("currency", "currency is not supported for mobile money")
        number = text_at(body, "mobile_money", "number")
        if number is None or not _number.match(number):
            raise invalid("mobile_money.number", "number must be digits with the country code")
        if charge["currency"] == "XAF" and not re.match(r"2376[0-9]{8}\Z", number):
            raise invalid("mobile_money.number", "number is not one of Cameroon")
        known = _test_number.match(number)
        last = known[1] if known else ""
        charge |= {
            "number": number,
            "auth_model": {"3": "OTP", "4": "REDIRECT"}.get(last, "STK_PROMPT"),
            "by_itself": {"0": "paid", "1": "failed", "2": "expired"}.get(last),
        }
        if charge["auth_model"] == "REDIRECT":
            charge["page"] = "KPY-PI-" + unique()
        self._journal.put(CHARGE, charge["reference"], charge)
        if charge["by_itself"]:
            self._decide_later(charge["reference"], charge["by_itself"])
        return accepted("Charge created successfully", self._push_data(charge))

    def _push_data(self, charge: dict[str, Any]) -> dict[str, Any]:
        data = {
            "amount": number(charge["amount"]),
            "amount_expected": number(charge["amount_expected"]),
            "currency": charge["currency"],
            "fee": number(charge["fee"]),
            "vat": 0,
            "auth_model": charge["auth_model"],
            "transaction_reference": charge["kora_reference"],
            "payment_reference": charge["reference"],
            "status": "processing",
            "message": "Please complete the payment on your phone",
            "mobile_money": {"number": charge["number"]},
            "customer": charge["customer"],
        }
        if charge["auth_model"] == "REDIRECT":
            data["redirect_url"] = self._page_url(charge)
        if charge["auth_model"] == "OTP":
            data["message"] = "Please enter the code that was sent to your phone"
        return data

    def _authorize(self) -> dict[str, Any]:
        body = read_body()
        charge = self._charge(text_at(body, "reference") or "")
        if charge is None or charge["reference"] == body.get("reference"):
            raise Refusal(404, "Charge not found")
        if charge.get("auth_model") != "OTP" or text_at(body, "token") != OTP:
            raise Refusal(400, "The OTP you provided is invalid")
        charge |= {"auth_model": "STK_PROMPT", "by_itself": "paid"}
        self._journal.put(CHARGE, charge["reference"], charge)
        self._decide_later(charge["reference"], "paid")
        return accepted("Charge authorized", self._push_data(charge))

    def _pay_with_bank(self) -> dict[str, Any]:
        body = read_body()
        charge = self._new_charge(body, "pay_with_bank", smallest_reference=8)
        if charge["currency"] != "ZAR":
            raise invalid("currency", "currency must be ZAR")
        if body.get("bank_code") not in BANKS:
            raise invalid("bank_code", "bank_code is not known")
        charge |= {"page": "KPY-PI-" + unique(), "bank": body["bank_code"]}
        self._journal.put(CHARGE, charge["reference"], charge)
        return accepted(
            "Charge created successfully",
            {
                "reference": charge["reference"],
                "status": "processing",
                "amount": number(charge["amount"]),
                "currency": "ZAR",
                "auth_data": {"redirect_url": self._page_url(charge)},
            },
        )

    def _status(self, reference: str) -> dict[str, Any]:
        charge = self._charge(reference)
        if charge is None:
            raise Refusal(404, "Charge not found")
        status = charge.get("shown_status") or charge["status"]
        is_paid = status == "success"
        data: dict[str, Any] = {
            "reference": charge["reference"],
            "status": status,
            "amount": f"{Decimal(charge['collected']):.2f}",
            "amount_paid": f"{Decimal(charge['collected']):.2f}" if is_paid else "0.00",
            "fee": f"{Decimal(charge['fee']):.2f}",
            "currency": charge["collected_currency"],
            "description": charge["narration"],
            "customer": charge["customer"],
        }
        if charge["channel"] == "mobile_money":
            data["amount_paid"] = 0  # as in the documentation's own sample of a paid charge
            data["transaction_reference"] = charge["kora_reference"]
            data["payment_reference"] = charge["reference"]
            data["mobile_money"] = {"number": charge["number"]}
        return accepted("Charge retrieved successfully", data)

    def _refund(self) -> dict[str, Any]:
        body = read_body()
        reference = text_at(body, "reference") or ""
        if not 1 <= len(reference) <= 50:
            raise invalid("reference", "reference must have at most 50 characters")
        if (
            len(text_at(body, "reason") or "") > 200
            or len(text_at(body, "webhook_url") or "") > 200
        ):
            raise invalid("reason", "at most 200 characters")
        charge = self._charge(text_at(body, "payment_reference") or "")
        if charge is None:
            raise Refusal(404, "Transaction not found")
        if self._journal.get(REFUND, reference) is not None:
            raise Refusal(409, "Refund with this reference already exists", code="AA021")
        if charge["status"] != "success":
            raise Refusal(400, "Transaction has not been settled yet")
        if charge["currency"] not in REFUND_CURRENCIES:
            raise Refusal(400, "Refund not supported for this currency")
        collected = Decimal(charge["collected"])
        left = collected - self._refunded(charge["reference"])
        if left <= 0:
            raise Refusal(400, "A full reversal has already been done for this transaction")
        amount = left if "amount" not in body else amount_in(body["amount"], charge["currency"])
        if amount > left:
            raise Refusal(400, "Refund amount is more than the remaining amount")
        if charge["currency"] == "NGN" and amount < 100:
            raise invalid("amount", "amount must be at least 100")
        outcome = "failed" if body.get("completion_status") == "failed" else "paid"
        refund = {
            "reference": reference,
            "payment_reference": body["payment_reference"],
            "charge": charge["reference"],
            "amount": str(amount),
            "currency": charge["currency"],
            "status": "processing",
            "status_reason": text_at(body, "status_reason"),
            "notification_url": text_at(body, "webhook_url"),
            "created_at": now(),
            "by_itself": outcome,
        }
        self._journal.put(REFUND, reference, refund)
        self._decide_later(reference, outcome)
        return accepted("Refund initiated successfully", refund_data(refund))

    def _refunded(self, reference: str) -> Decimal:
        return sum(
            (
                Decimal(refund["amount"])
                for refund in self._journal.all(REFUND)
                if refund["charge"] == reference and refund["status"] != "failed"
            ),
            Decimal(0),
        )

    def _refund_status(self, reference: str) -> dict[str, Any]:
        refund = self._journal.get(REFUND, reference)
        if refund is None:
            raise Refusal(404, "Refund not found")
        return accepted("Refund retrieved successfully", refund_data(refund))

    def _disburse(self) -> dict[str, Any]:
        body = read_body()
        reference = text_at(body, "reference") or ""
        if len(reference) < 5:
            raise invalid("reference", "reference must have at least 5 characters")
        destination = body.get("destination")
        if not isinstance(destination, dict):
            raise invalid("destination", "destination is required")
        currency = destination.get("currency")
        if currency not in CURRENCIES:
            raise invalid("destination.currency", "currency is not supported")
        amount = amount_in(destination.get("amount"), currency)
        if not _address.match(text_at(destination, "customer", "email") or ""):
            raise invalid("destination.customer.email", "email is required")
        if self._journal.get(PAYOUT, reference) is not None:
            raise Refusal(409, "Duplicate Transaction Reference", code="AA021")
        account = payout_account(destination)
        if amount > WALLET:
            raise Refusal(400, "Insufficient funds in disbursement wallet")
        by_itself = {"0001": "failed", "0002": None}.get(account[-4:], "paid")
        payout = {
            "reference": reference,
            "amount": str(amount),
            "currency": currency,
            "fee": str(fee_of(amount, currency)),
            "narration": text_at(destination, "narration") or "",
            "customer": destination.get("customer"),
            "status": "processing",
            "created_at": now(),
            "by_itself": by_itself,
        }
        self._journal.put(PAYOUT, reference, payout)
        if by_itself:
            self._decide_later(reference, by_itself)
        return accepted("Transfer initiated successfully", payout_data(payout))

    def _payout_status(self, reference: str) -> dict[str, Any]:
        payout = self._journal.get(PAYOUT, reference)
        if payout is None:
            raise Refusal(404, "Transaction not found")
        return accepted("Transaction retrieved successfully", payout_data(payout))

    def _operators(self) -> dict[str, Any]:
        listed = OPERATORS.get(request.args.get("countryCode", ""), ())
        return accepted("Mobile money operators", list(listed))

    def _bank_list(self) -> dict[str, Any]:
        return accepted("Banks", [{"code": code, "name": name} for code, name in BANKS.items()])

    # charges

    def _new_charge(
        self, body: dict[str, Any], channel: str, *, smallest_reference: int
    ) -> dict[str, Any]:
        """Check what every way of charging wants; raises `Refusal` as Kora would."""
        reference = text_at(body, "reference") or ""
        if len(reference) < smallest_reference:
            raise invalid("reference", f"reference needs {smallest_reference} characters")
        currency = body.get("currency")
        if currency not in CURRENCIES:
            raise invalid("currency", "currency is not enabled for this account")
        amount = amount_in(body.get("amount"), currency)
        email = text_at(body, "customer", "email") or ""
        if not _address.match(email):
            raise invalid("customer.email", "email must be a valid email")
        check_metadata(body)
        for name in ("redirect_url", "notification_url"):
            if name in body and not is_url(body[name]):
                raise invalid(name, f"{name} must be a valid uri")
        if self._journal.get(CHARGE, reference) is not None:
            raise Refusal(409, "Duplicate payment reference", code="AA021")
        fee = fee_of(amount, currency)
        expected = amount if body.get("merchant_bears_cost") is True else amount + fee
        return {
            "reference": reference,
            "kora_reference": "KPY-PAY-" + unique(),
            "channel": channel,
            "status": "processing",
            "amount": str(amount),
            "currency": currency,
            "amount_expected": str(expected),
            "collected": str(amount),
            "collected_currency": currency,
            "fee": str(fee),
            "customer": {"name": text_at(body, "customer", "name"), "email": email},
            "narration": text_at(body, "narration") or text_at(body, "description") or "",
            "metadata": body.get("metadata"),
            "redirect_url": text_at(body, "redirect_url"),
            "notification_url": text_at(body, "notification_url"),
            "created_at": now(),
        }

    def _charge(self, reference: str) -> dict[str, Any] | None:
        """The charge of our reference, or of Kora's own."""
        found = self._journal.get(CHARGE, reference)
        if found is not None or not reference.startswith("KPY-"):
            return found
        return next(
            (
                charge
                for charge in self._journal.all(CHARGE)
                if reference in (charge["kora_reference"], charge.get("page"))
            ),
            None,
        )

    def _decide_charge(self, charge: dict[str, Any], decision: Decision) -> dict[str, Any]:
        before = charge.get("shown_status") or charge["status"]
        charge["status"] = OUTCOME_STATUS[decision.outcome]
        charge["shown_status"] = None if decision.settled else before
        if decision.amount is not None:
            charge["collected"] = str(decision.amount)
        if decision.currency is not None:
            charge["collected_currency"] = decision.currency
        self._journal.put(CHARGE, charge["reference"], charge)
        is_notified = decision.notify and charge["status"] in FINAL
        if is_notified:
            event = "charge.success" if charge["status"] == "success" else "charge.failed"
            self._notify(event, charge_event_data(charge), charge["notification_url"])
        return {
            "reference": charge["reference"],
            "status": charge["status"],
            "notified": is_notified,
        }

    def _decide_transfer(
        self, kind: str, event: str, thing: dict[str, Any], decision: Decision
    ) -> dict[str, Any]:
        thing["status"] = OUTCOME_STATUS["failed" if decision.outcome != "paid" else "paid"]
        self._journal.put(kind, thing["reference"], thing)
        if decision.notify:
            data = payout_data(thing) if kind == PAYOUT else refund_event_data(thing)
            self._notify(f"{event}.{thing['status']}", data, thing.get("notification_url"))
        return {
            "reference": thing["reference"],
            "status": thing["status"],
            "notified": decision.notify,
        }

    def _decide_later(self, reference: str, outcome: str) -> None:
        """Decide after a moment, unless somebody else has by then."""

        def act() -> None:
            with self._lock:
                for kind in (CHARGE, PAYOUT, REFUND):
                    thing = self._journal.get(kind, reference)
                    if thing is not None and thing["status"] not in FINAL:
                        self.decide(reference, Decision(outcome=outcome))

        timer = threading.Timer(self._world.settings.step_seconds, act)
        timer.daemon = True
        timer.start()

    # webhooks

    def _notify(self, event: str, data: dict[str, Any], url: str | None) -> None:
        """Sign `data` alone and send; the forged one is signed with another key."""
        target = url or f"{self._world.settings.public_url}/api/v1/payments/webhook/{self.name}"
        key = self._world.settings.kora_secret_key
        forged = data | {"status": "success"}
        self._world.deliveries.send(
            _webhook(event, data, target, key),
            _webhook(event.replace("failed", "success"), forged, target, f"forged-{key}"),
        )

    # the hosted page

    def _page_url(self, charge: dict[str, Any]) -> str:
        return f"{self._world.settings.url}/kora/checkout/{charge['page']}/pay"

    def _page(self, page: str) -> Any:
        """Show the page, or take what was clicked and send the browser back to the shop."""
        with self._lock:
            charge = self._charge(page)
            if charge is None or charge.get("page") != page:
                return render_template("missing.html", language=page_language()), 404
            if request.method == "POST" and charge["status"] not in FINAL:
                action = request.form.get("action")
                if action not in ("pay", "cancel"):
                    return render_template("missing.html", language=page_language()), 400
                outcome = "paid" if action == "pay" else "cancelled"
                self._decide_charge(charge, Decision(outcome=outcome))
                if charge["redirect_url"]:
                    return redirect(back_url(charge), 303)
        language = page_language()
        return render_template(
            "checkout.html",
            language=language,
            charge=charge,
            amount=shown_amount(Decimal(charge["amount"]), charge["currency"], language),
            back_url=back_url(charge) if charge["redirect_url"] else None,
            is_open=charge["status"] not in FINAL,
        )


def _webhook(event: str, data: dict[str, Any], url: str, key: str) -> Webhook:
    text = compact(data)
    signature = hmac.new(key.encode(), text.encode("utf-8"), hashlib.sha256).hexdigest()
    return Webhook(
        provider="kora",
        event=event,
        url=url,
        headers={"content-type": "application/json", "x-korapay-signature": signature},
        body=f'{{"event":{json.dumps(event)},"data":{text}}}',
    )


def charge_event_data(charge: dict[str, Any]) -> dict[str, Any]:
    """`data` of a charge event: but for direct bank charges `reference` is Kora's own id."""
    collected = number(charge["collected"])
    data: dict[str, Any] = {"reference": charge["reference"]}
    if charge["channel"] != "pay_with_bank":
        data = {"reference": charge["kora_reference"], "payment_reference": charge["reference"]}
    data |= {
        "currency": charge["collected_currency"],
        "amount": collected,
        "amount_expected": number(charge["amount_expected"]),
        "fee": number(charge["fee"]),
        "status": charge["status"],
        "transaction_status": charge["status"],
        "payment_method": (charge.get("channels") or [charge["channel"]])[0],
        "customer": charge["customer"],
    }
    if charge["metadata"]:
        data["metadata"] = charge["metadata"]
    return data


def refund_data(refund: dict[str, Any]) -> dict[str, Any]:
    """`data` of the refund answers."""
    return {
        "refund_reference": refund["reference"],
        "reference": refund["reference"],
        "status": refund["status"],
        "payment_reference": refund["payment_reference"],
        "amount_returned": number(refund["amount"]),
        "currency": refund["currency"],
        "refund_date": refund["created_at"],
        "status_reason": refund["status_reason"],
    }


def refund_event_data(refund: dict[str, Any]) -> dict[str, Any]:
    """`data` of a refund event."""
    return {
        "amount": number(refund["amount"]),
        "status": refund["status"],
        "currency": refund["currency"],
        "reference": refund["reference"],
        "payment_reference": refund["payment_reference"],
        "refund_date": refund["created_at"],
        "completion_date": now(),
    }


def payout_data(payout: dict[str, Any]) -> dict[str, Any]:
    """`data` of payout answers and events."""
    data = {
        "fee": number(payout["fee"]),
        "amount": number(payout["amount"]),
        "status": payout["status"],
        "currency": payout["currency"],
        "reference": payout["reference"],
        "narration": payout["narration"],
    }
    if payout["status"] == "failed":
        data["message"] = "The recipient's account could not be credited"
    return data


def payout_account(destination: dict[str, Any]) -> str:
    """The account paid to; raises the errors that come before a payout exists."""
    if destination.get("type") == "mobile_money":
        slugs = [operator["slug"] for listed in OPERATORS.values() for operator in listed]
        if text_at(destination, "mobile_money", "operator") not in slugs:
            raise Refusal(400, "Invalid mobile money operator.")
        account = text_at(destination, "mobile_money", "mobile_number") or ""
        if not _number.match(account):
            raise Refusal(400, "Invalid account.")
        return account
    if destination.get("type") == "bank_account":
        if text_at(destination, "bank_account", "bank") not in BANKS:
            raise Refusal(400, "Invalid bank provided.")
        account = text_at(destination, "bank_account", "account") or ""
        if not re.match(r"[0-9]{6,14}\Z", account):
            raise Refusal(400, "Invalid account.")
        if not text_at(destination, "bank_account", "account_name"):
            raise Refusal(400, "Unable to resolve bank account.")
        return account
    raise invalid("destination.type", "type must be bank_account or mobile_money")


def accepted(message: str, data: Any) -> dict[str, Any]:
    """The envelope of what went well."""
    return {"status": True, "message": message, "data": data}


def invalid(field: str, message: str) -> Refusal:
    """The error of a field."""
    return Refusal(400, "Invalid request data", data={field: {"message": message}})


def read_body() -> dict[str, Any]:
    """The JSON object of the request, fractions as Decimal."""
    if request.mimetype != "application/json":
        raise Refusal(415, "Content-Type must be application/json")
    try:
        body = json.loads(request.get_data(), parse_float=Decimal)
    except ValueError:
        raise Refusal(400, "Invalid request data") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Invalid request data")
    return body


def text_at(body: dict[str, Any], *path: str) -> str | None:
    """The text at a path, None when it is missing or something else."""
    value: Any = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def amount_in(value: Any, currency: str) -> Decimal:
    """An amount in major units: a JSON number, positive, no finer than the currency."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise invalid("amount", "amount must be a number")
    amount = Decimal(value)
    places = 0 if currency in WHOLE_CURRENCIES else 2
    if amount <= 0 or amount != round(amount, places):
        raise invalid("amount", f"amount must be positive with at most {places} decimals")
    return amount


def check_metadata(body: dict[str, Any]) -> None:
    """One to five keys of letters, digits and hyphens, values of at most 50 characters."""
    if "metadata" not in body:
        return
    metadata = body["metadata"]
    if not isinstance(metadata, dict) or not 1 <= len(metadata) <= 5:
        raise invalid("metadata", "metadata must have 1 to 5 keys")
    for key, value in metadata.items():
        if not _metadata_key.match(key) or not isinstance(value, str) or not 0 < len(value) <= 50:
            raise invalid(f"metadata.{key}", "metadata keys and values are limited")


def is_url(value: Any) -> bool:
    """Whether it is an absolute http(s) address."""
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https")


def back_url(charge: dict[str, Any]) -> str:
    """The shop's address with the reference in the query."""
    url = str(charge["redirect_url"])
    separator = "&" if urlsplit(url).query else "?"
    return url + separator + urlencode({"reference": charge["reference"]})


def page_language() -> str:
    """`lang` of the address, then what the browser prefers, then English."""
    asked = request.args.get("lang")
    if asked in ("en", "fr"):
        return asked
    return request.accept_languages.best_match(["en", "fr"], default="en") or "en"


def shown_amount(amount: Decimal, currency: str, language: str) -> str:
    """An amount as people write it: 12 500 FCFA, XAF 12,500, R 149.90."""
    places = 0 if currency in WHOLE_CURRENCIES else 2
    text = f"{amount:,.{places}f}"
    if language == "fr":
        text = text.replace(",", "\u202f").replace(".", ",")
        return f"{text} {'FCFA' if currency in WHOLE_CURRENCIES else currency}"
    return f"R {text}" if currency == "ZAR" else f"{currency} {text}"


def fee_of(amount: Decimal, currency: str) -> Decimal:
    """What Kora keeps."""
    unit = Decimal(1) if currency in WHOLE_CURRENCIES else Decimal("0.01")
    return (amount * FEE_RATE).quantize(unit, rounding=ROUND_HALF_UP)


def number(value: str) -> int | float:
    """A JSON number: whole ones without a point; the shortest form of the others."""
    amount = Decimal(value)
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def compact(value: Any) -> str:
    """JSON as Node writes it: no spaces, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def unique() -> str:
    """Twelve characters that nobody can guess."""
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(12))


def now() -> str:
    """The time as Kora writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
