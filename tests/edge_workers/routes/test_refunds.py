"""Refunds through the edge: an administrator asks, SQL decides how much, a worker sends."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from edge_workers import exact_json
from edge_workers.routes.payments import PaymentStatus, Refund
from tests.conftest import Person
from tests.edge_workers.routes.conftest import PlaceOrder

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def ask(client: FlaskClient, person: Person | None, payment_id: str, **body: Any) -> Any:
    headers = body.pop("headers", key())
    return client.post(
        f"/api/v1/payments/{payment_id}/refund",
        headers={**(person.headers if person else {}), **headers},
        json={"reason": "Arrived broken", **body},
    )


@pytest.fixture
def order(acheteuse: Person, place_order: PlaceOrder) -> dict[str, Any]:
    return place_order(acheteuse, "CM")


@pytest.fixture
def payment_id(paying: FlaskClient, acheteuse: Person, order: dict[str, Any]) -> str:
    """A payment that the gateway says is paid."""
    started = paying.post(
        "/api/v1/payments/initialize",
        headers=acheteuse.headers,
        json={"order_id": order["id"], "method": "kora_checkout"},
    )
    assert started.json is not None
    paid: str = started.json["payment_id"]
    applied = paying.application.extensions["mallgram"].database.call(
        "apply_payment_result",
        payment_id=paid,
        status="paid",
        amount=Decimal(str(order["total_price"])),
        currency="XAF",
        gateway_transaction_id=f"KPY-{uuid.uuid4().hex}",
        reason=None,
        fee=None,
        source="poll",
        request_id="the-test-of-refunds",
    )
    assert applied["status"] == "paid"
    return paid


def refunds(admin: Admin, payment_id: str) -> list[dict[str, Any]]:
    return admin.execute(
        "select amount, reason, requested_by from public.refunds where payment_id = %s "
        "order by created_at",
        [payment_id],
    ).fetchall()


def test_without_an_amount_all_of_it_is_given_back(
    paying: FlaskClient,
    administrator: Person,
    order: dict[str, Any],
    payment_id: str,
    admin: Admin,
) -> None:
    response = ask(paying, administrator, payment_id)
    assert response.status_code == 202, response.text
    begun = Refund.model_validate_json(response.data)
    assert (str(begun.payment_id), str(begun.order_id)) == (payment_id, order["id"])
    assert (begun.status, begun.way, begun.currency) == ("pending", "gateway", "XAF")
    assert set(response.json) == set(Refund.model_fields)
    assert exact_json.loads(response.data)["amount"] == Decimal(str(order["total_price"]))
    (row,) = refunds(admin, payment_id)
    assert (row["reason"], str(row["requested_by"])) == ("Arrived broken", administrator.id)
    jobs = admin.execute(
        "select job from private.outbox where args ->> 'refund_id' = %s and job = 'send_refund'",
        [str(begun.refund_id)],
    ).fetchall()
    assert len(jobs) == 1


def test_lines_are_given_back_with_their_share(
    paying: FlaskClient, administrator: Person, order: dict[str, Any], payment_id: str, admin: Admin
) -> None:
    line = admin.execute(
        "select id from public.order_items where order_id = %s", [order["id"]]
    ).fetchone()
    assert line is not None
    items = [{"order_item_id": str(line["id"]), "quantity": 1}]
    response = ask(paying, administrator, payment_id, items=items)
    assert response.status_code == 202, response.text
    begun = exact_json.loads(response.data)
    assert [(i["order_item_id"], i["quantity"]) for i in begun["items"]] == [(str(line["id"]), 1)]
    assert begun["items"][0]["amount"] == begun["amount"] < Decimal(str(order["total_price"]))


def test_the_same_key_is_the_same_refund(
    paying: FlaskClient, administrator: Person, payment_id: str, admin: Admin
) -> None:
    headers = key()
    first = ask(paying, administrator, payment_id, amount=1000, headers=headers)
    second = ask(paying, administrator, payment_id, amount=1000, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json["refund_id"] == second.json["refund_id"]
    other = ask(paying, administrator, payment_id, amount=2000, headers=headers)
    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert [row["amount"] for row in refunds(admin, payment_id)] == [Decimal("1000.00")]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "idempotency_key_required"),
        ({"Idempotency-Key": "short"}, "idempotency_key_invalid"),
        ({"Idempotency-Key": "with a space in it"}, "idempotency_key_invalid"),
    ],
)
def test_a_key_is_needed(
    paying: FlaskClient,
    administrator: Person,
    payment_id: str,
    admin: Admin,
    headers: dict[str, str],
    code: str,
) -> None:
    response = ask(paying, administrator, payment_id, headers=headers)
    assert (response.status_code, response.json["code"]) == (400, code)
    assert [e["field"] for e in response.json["errors"]] == ["idempotency_key"]
    assert refunds(admin, payment_id) == []


def test_it_is_for_administrators_alone(
    paying: FlaskClient, acheteuse: Person, payment_id: str, admin: Admin
) -> None:
    nobody = ask(paying, None, payment_id)
    assert (nobody.status_code, nobody.json["code"]) == (401, "authentication_required")
    payer = ask(paying, acheteuse, payment_id)
    assert (payer.status_code, payer.json["code"]) == (403, "admin_required")
    clueless = paying.post(f"/api/v1/payments/{payment_id}/refund", headers=acheteuse.headers)
    assert clueless.status_code == 403
    assert refunds(admin, payment_id) == []


UNKNOWN_LINE = {"order_item_id": "00000000-0000-4000-8000-000000000000", "quantity": 1}


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({"amount": 0}, 400, "refund_amount_invalid", ["amount"]),
        ({"amount": 0.5}, 400, "refund_amount_invalid", ["amount"]),
        ({"amount": 10_000_000}, 409, "refund_amount_too_large", ["amount"]),
        ({"items": [UNKNOWN_LINE]}, 400, "refund_items_invalid", ["items.0.order_item_id"]),
        ({"amount": -1}, 400, "input_invalid", ["amount"]),
        ({"amount": 1.001}, 400, "input_invalid", ["amount"]),
        ({"items": []}, 400, "input_invalid", ["items"]),
        ({"items": [{**UNKNOWN_LINE, "quantity": 0}]}, 400, "input_invalid", ["items.0.quantity"]),
        ({"items": [{"quantity": 1}]}, 400, "input_invalid", ["items.0.order_item_id"]),
        ({"reason": ""}, 400, "input_invalid", ["reason"]),
        ({"reason": "two\nlines"}, 400, "input_invalid", ["reason"]),
        ({"reason": "x" * 301}, 400, "input_invalid", ["reason"]),
        ({"reason": "card 4111 1111 1111 1111"}, 400, "card_number_refused", None),
        ({"currency": "XAF"}, 400, "input_invalid", ["currency"]),
    ],
)
def test_what_cannot_be_given_back_is_named(
    paying: FlaskClient,
    administrator: Person,
    payment_id: str,
    admin: Admin,
    body: dict[str, Any],
    status: int,
    code: str,
    fields: list[str] | None,
) -> None:
    response = ask(paying, administrator, payment_id, **body)
    assert (response.status_code, response.json["code"]) == (status, code), response.text
    found = response.json.get("errors")
    assert (found and [e["field"] for e in found]) == fields
    assert "4111" not in response.text
    assert refunds(admin, payment_id) == []


def test_what_was_never_paid_cannot_be_given_back(
    paying: FlaskClient, administrator: Person, acheteuse: Person, order: dict[str, Any]
) -> None:
    started = paying.post(
        "/api/v1/payments/initialize",
        headers=acheteuse.headers,
        json={"order_id": order["id"], "method": "kora_checkout"},
    )
    assert started.json is not None
    response = ask(paying, administrator, started.json["payment_id"])
    assert (response.status_code, response.json["code"]) == (409, "payment_not_refundable")


@pytest.mark.parametrize(
    ("payment", "status", "code"),
    [(str(uuid.UUID(int=1)), 404, "payment_not_found"), ("1", 400, "input_invalid")],
)
def test_an_unknown_payment_has_no_refunds(
    paying: FlaskClient, administrator: Person, payment: str, status: int, code: str
) -> None:
    response = ask(paying, administrator, payment)
    assert (response.status_code, response.json["code"]) == (status, code)


def test_the_payer_sees_what_was_given_back(
    paying: FlaskClient,
    administrator: Person,
    acheteuse: Person,
    order: dict[str, Any],
    payment_id: str,
) -> None:
    path = f"/api/v1/payments/status/{payment_id}"
    before = paying.get(path, headers=acheteuse.headers).json
    assert before is not None
    assert (before["refunded_amount"], before["refunds"]) == (0, [])
    begun = ask(paying, administrator, payment_id, amount=1000, reason="Not for the payer").json
    response = paying.get(path, headers=acheteuse.headers)
    status = PaymentStatus.model_validate_json(response.data)
    (refund,) = status.refunds
    assert (str(refund.refund_id), refund.amount) == (begun["refund_id"], 1000)
    assert "Not for the payer" not in response.text
    assert order["id"] == str(status.order_id)


def test_a_shopper_who_cancels_a_paid_order_is_given_all_back(
    paying: FlaskClient,
    acheteuse: Person,
    order: dict[str, Any],
    payment_id: str,
    admin: Admin,
    new_person: Callable[..., Person],
) -> None:
    stranger = new_person()
    path = f"/api/v1/orders/{order['id']}"
    foreign = paying.put(path, headers=stranger.headers, json={"action": "cancel"})
    assert foreign.status_code == 404
    response = paying.put(path, headers=acheteuse.headers, json={"action": "cancel"})
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["status"] == "cancelled"
    assert [row["amount"] for row in refunds(admin, payment_id)] == [
        Decimal(str(order["total_price"]))
    ]
