"""The sandbox's own controls under `/_sandbox/`, and its first page for people."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request

from tests.sandbox import supplier_catalogue
from tests.sandbox.faults import CALL_KINDS, DELIVERY_KINDS, Fault
from tests.sandbox.mail import MailSink
from tests.sandbox.open_platform import Shelf
from tests.sandbox.world import OUTCOMES, Decision, World


class BadControl(Exception):
    """A control was used in a way that means nothing."""


def blueprint(world: World, mail: MailSink) -> Blueprint:
    """Controls, health and pages."""
    views = Blueprint("controls", __name__)
    _add_lists(views, world, mail)
    _add_pages(views, world, mail)
    _add_controls(views, world)
    return views


def supplier_controls(shelf: Shelf) -> Blueprint:
    """The day and size of the suppliers' catalogues, and what is to be found in them."""
    views = Blueprint("supplier_controls", __name__)

    @views.get("/_sandbox/suppliers")
    def show_shelf() -> Response:
        told = shelf.read()
        country = request.args.get("country", "ZA")
        return jsonify(
            {
                **told,
                "aliexpress": supplier_catalogue.expectations(told["day"], told["items"], country),
                "alibaba": supplier_catalogue.wholesale_expectations(
                    told["day"], told["wholesale_items"], country
                ),
            }
        )

    @views.put("/_sandbox/suppliers")
    def turn_shelf() -> tuple[Response, int]:
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict) or not shelf.turn(body):
            return jsonify({"error": "day, items and wholesale_items are whole numbers"}), 400
        return jsonify(shelf.read()), 200

    return views


def _add_lists(views: Blueprint, world: World, mail: MailSink) -> None:
    """What was received and sent."""

    @views.get("/_sandbox/health")
    def health() -> Response:
        return jsonify({"status": "ok", "providers": [*world.gateways, *world.others]})

    @views.get("/_sandbox/mail")
    def list_mail() -> Response:
        return jsonify(mail.received(request.args.get("to")))

    @views.get("/_sandbox/calls")
    def list_calls() -> Response:
        return jsonify(world.calls.listed(request.args.get("provider")))

    @views.get("/_sandbox/deliveries")
    def list_deliveries() -> Response:
        return jsonify(world.deliveries.listed(request.args.get("provider")))


def _add_pages(views: Blueprint, world: World, mail: MailSink) -> None:
    """For people."""

    @views.get("/_sandbox/mail/<id_>")
    def show_mail(id_: str) -> Any:
        message = mail.message(id_)
        if message is None:
            return render_template("missing.html", language="en"), 404
        return render_template("mail.html", mail=message)

    @views.get("/")
    def index() -> str:
        payments = [
            {**payment, "gateway": name}
            for name, gateway in world.gateways.items()
            for payment in gateway.recent()
        ]
        return render_template(
            "index.html",
            payments=payments,
            mails=mail.received()[:50],
            calls=list(reversed(world.calls.listed()))[:30],
            deliveries=list(reversed(world.deliveries.listed()))[:30],
            faults=world.faults.waiting(),
        )


def _add_controls(views: Blueprint, world: World) -> None:
    """What the customer does, and faults."""

    @views.errorhandler(BadControl)
    def refused(error: BadControl) -> tuple[Response, int]:
        return jsonify({"error": str(error)}), 400

    @views.post("/_sandbox/payments/<gateway>/<reference>")
    def decide(gateway: str, reference: str) -> Any:
        is_form = request.mimetype == "application/x-www-form-urlencoded"
        decision = _decision(request.form.to_dict() if is_form else _json_object())
        if gateway not in world.gateways:
            return jsonify({"error": "unknown gateway"}), 404
        decided = world.gateways[gateway].decide(reference, decision)
        if decided is None:
            return jsonify({"error": "unknown reference"}), 404
        return redirect("/", 303) if is_form else jsonify(decided)

    @views.get("/_sandbox/faults")
    def list_faults() -> Response:
        return jsonify(world.faults.waiting())

    @views.post("/_sandbox/faults")
    def order_fault() -> tuple[Response, int]:
        world.faults.order(_fault(_json_object(), (*world.gateways, *world.others)))
        return jsonify(world.faults.waiting()), 201

    @views.delete("/_sandbox/faults")
    def clear_faults() -> tuple[str, int]:
        world.faults.clear()
        return "", 204


def _json_object() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadControl("a JSON object is wanted")
    return body


def _decision(body: dict[str, Any]) -> Decision:
    outcome = body.get("outcome")
    if outcome not in OUTCOMES:
        raise BadControl(f"outcome must be one of {', '.join(OUTCOMES)}")
    notify, settled = body.get("notify", True), body.get("settled", True)
    if not isinstance(notify, bool) or not isinstance(settled, bool):
        raise BadControl("notify and settled must be true or false")
    amount = body.get("amount")
    try:
        collected = None if amount is None else Decimal(str(amount))
    except InvalidOperation:
        raise BadControl("amount must be a number") from None
    if collected is not None and not collected.is_finite():
        raise BadControl("amount must be finite")
    currency = body.get("currency")
    if currency is not None and not isinstance(currency, str):
        raise BadControl("currency must be a text")
    return Decision(
        outcome=outcome, notify=notify, amount=collected, currency=currency, settled=settled
    )


def _fault(body: dict[str, Any], providers: tuple[str, ...]) -> Fault:
    if body.get("provider") not in providers:
        raise BadControl(f"provider must be one of {', '.join(providers)}")
    if body.get("kind") not in CALL_KINDS + DELIVERY_KINDS:
        raise BadControl(f"kind must be one of {', '.join(CALL_KINDS + DELIVERY_KINDS)}")
    times = body.get("times", 1)
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise BadControl("times must be a positive number")
    seconds = body.get("seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float))):
        raise BadControl("seconds must be a number")
    return Fault(
        provider=body["provider"],
        kind=body["kind"],
        times=times,
        operation=body.get("operation"),
        seconds=seconds,
        acts=body.get("acts") is True,
    )
