"""Payments through the edge: one attempt however often asked for, and no guess when unsure."""

import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from edge_workers import exact_json
from edge_workers.routes.payments import PaymentAction, PaymentStatus
from tests.conftest import Person
from tests.edge_workers.routes.conftest import OTHERS_OFF, SECRET, Gateway, PlaceOrder

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]


def initialize(client: FlaskClient, person: Person, order_id: str, **body: Any) -> Any:
    return client.post(
        "/api/v1/payments/initialize",
        headers=person.headers,
        json={"order_id": order_id, **body},
    )


def attempts(admin: Admin, order_id: str) -> list[dict[str, Any]]:
    return admin.execute(
        "select id, gateway, method, reference, status, failure_reason, amount, currency "
        "from public.payments where order_id = %s order by created_at",
        [order_id],
    ).fetchall()


def tokens(admin: Admin, payment_id: object) -> list[str]:
    rows = admin.execute(
        "select webhook_token from private.payment_tokens where payment_id = %s", [payment_id]
    ).fetchall()
    return [row["webhook_token"] for row in rows]


def test_initialize_answers_the_hosted_page(
    paying: FlaskClient,
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert response.status_code == 200, response.text
    action = PaymentAction.model_validate_json(response.data)
    assert (action.gateway, action.action) == ("kora", "redirect")
    assert action.url is not None
    assert action.url.startswith(kora.url)
    (row,) = attempts(admin, order["id"])
    assert (str(row["id"]), row["status"]) == (str(action.payment_id), "processing")
    assert (str(row["amount"]), row["currency"]) == (f"{order['total_price']:.2f}", "XAF")
    call = next(c for c in kora.calls("initialize") if row["reference"] in str(c["body"]))
    settings = paying.application.extensions["mallgram"].settings
    (token,) = tokens(admin, action.payment_id)
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    webhook = f"{settings.public_url}/api/v1/payments/webhook/kora/{token}"
    assert call["body"]["notification_url"] == webhook
    assert f"{settings.public_url}/api/v1/payments/return/{action.payment_id}" in str(call["body"])
    assert token not in response.text


def test_without_a_method_the_countrys_first_is_taken(
    paying: FlaskClient, acheteuse: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    order = place_order(acheteuse, "CM")
    assert initialize(paying, acheteuse, order["id"]).status_code == 200
    (row,) = attempts(admin, order["id"])
    # others stand before it, but have no settings here
    assert (row["gateway"], row["method"]) == ("kora", "kora_checkout")


def test_a_push_goes_to_the_phone(
    paying: FlaskClient, acheteuse: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(
        paying, acheteuse, order["id"], method="mtn_momo", phone="+237 670 00 00 99"
    )
    assert response.status_code == 200, response.text
    action = PaymentAction.model_validate_json(response.data)
    assert (action.action, action.requires, action.url) == ("push", "approval", None)


def test_a_code_from_the_operator_is_handed_in(
    paying: FlaskClient, acheteuse: Person, shopper: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    started = initialize(paying, acheteuse, order["id"], method="mtn_momo", phone="+237670000003")
    assert started.json["requires"] == "code"
    path = f"/api/v1/payments/{started.json['payment_id']}/authorize"
    wrong = paying.post(path, headers=acheteuse.headers, json={"code": "000000"})
    assert wrong.status_code == 400
    assert wrong.json is not None
    assert wrong.json["code"] == "verification_code_invalid"
    foreign = paying.post(path, headers=shopper.headers, json={"code": "123456"})
    assert foreign.status_code == 404
    right = paying.post(path, headers=acheteuse.headers, json={"code": "123456"})
    assert right.status_code == 200, right.text
    assert PaymentAction.model_validate_json(right.data).action == "push"
    late = paying.post(path, headers=acheteuse.headers, json={"code": "123456"})
    assert late.status_code == 409


def test_sent_again_it_is_the_same_payment(
    paying: FlaskClient, acheteuse: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    order = place_order(acheteuse, "CM")
    first = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    second = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert len(attempts(admin, order["id"])) == 1


def test_sent_many_times_at_once_the_gateway_is_asked_once(
    paying_app: Flask,
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
) -> None:
    order = place_order(acheteuse, "CM")
    kora.order_fault("slow", operation="initialize", seconds=1)
    before = len(kora.calls("initialize"))
    answers: list[tuple[int, bytes]] = []

    def send() -> None:
        response = initialize(
            paying_app.test_client(), acheteuse, order["id"], method="kora_checkout"
        )
        answers.append((response.status_code, response.data))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1, answers
    assert answers[0][0] == 200
    assert len(attempts(admin, order["id"])) == 1
    assert len(kora.calls("initialize")) == before + 1


# --- Gateways that do not answer well ---------------------------------------------------------


def test_when_surely_nothing_was_created_the_attempt_has_failed(
    paying: FlaskClient,
    new_paying_app: Callable[[], Flask],
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
) -> None:
    order = place_order(acheteuse, "CM")
    kora.order_fault("rate_limit", operation="initialize", seconds=7)
    response = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert response.status_code == 503
    assert response.json["code"] == "payment_gateway_unavailable"
    assert response.headers["Retry-After"] == "7"
    assert [row["status"] for row in attempts(admin, order["id"])] == ["failed"]
    too_early = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert (too_early.status_code, too_early.json["code"]) == (503, "payment_gateway_unavailable")
    assert 0 < int(too_early.headers["Retry-After"]) <= 7
    another = new_paying_app().test_client()
    retried = initialize(another, acheteuse, order["id"], method="kora_checkout")
    assert retried.status_code == 200
    assert [(row["status"], row["failure_reason"]) for row in attempts(admin, order["id"])] == [
        ("failed", "rate_limited"),
        ("failed", "rate_limited"),
        ("processing", None),
    ]


def test_a_gateway_that_cannot_be_reached_created_nothing(
    app_with: Callable[..., Flask],
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
) -> None:
    client = app_with(
        kora_pay_base_url="http://127.0.0.1:9/kora", kora_pay_secret_key=SECRET, **OTHERS_OFF
    ).test_client()
    order = place_order(acheteuse, "CM")
    response = initialize(client, acheteuse, order["id"])
    assert response.status_code == 503
    assert response.json["code"] == "payment_gateway_unavailable"
    assert [row["status"] for row in attempts(admin, order["id"])] == ["failed"]


def test_what_the_gateway_refuses_is_a_refusal(
    app_with: Callable[..., Flask],
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
) -> None:
    client = app_with(
        kora_pay_base_url=f"{kora.url}/kora", kora_pay_secret_key=SECRET, **OTHERS_OFF
    ).test_client()
    order = place_order(acheteuse, "CM")
    # a number that is no mobile number anywhere: accepted by form, refused by the gateway
    response = initialize(client, acheteuse, order["id"], method="mtn_momo", phone="+1234567")
    assert response.status_code == 409, response.text
    assert response.json["code"] == "payment_rejected"
    assert [row["status"] for row in attempts(admin, order["id"])] == ["failed"]


@pytest.mark.parametrize("kind", ["timeout", "malformed", "error"])
def test_an_unknown_outcome_stays_open_and_is_never_sent_anew(
    paying: FlaskClient,
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    kind: str,
) -> None:
    order = place_order(acheteuse, "CM")
    kora.order_fault(kind, operation="initialize", seconds=6, acts=True)
    before = len(kora.calls("initialize"))
    began = time.monotonic()
    response = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert time.monotonic() - began < 5
    assert response.status_code == 503, response.text
    assert response.json["code"] == "payment_outcome_unknown"
    assert int(response.headers["Retry-After"]) > 0
    (row,) = attempts(admin, order["id"])
    assert (str(row["id"]), row["status"]) == (response.json["payment_id"], "pending")

    again = initialize(paying, acheteuse, order["id"], method="kora_checkout")
    assert again.status_code == 503
    assert again.json["payment_id"] == response.json["payment_id"]
    assert len(kora.calls("initialize")) == before + 1

    status = paying.get(
        f"/api/v1/payments/status/{response.json['payment_id']}", headers=acheteuse.headers
    )
    assert status.json is not None
    assert status.json["status"] == "pending"


# --- What SQL refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        ({"method": "card"}, 409, "payment_method_unavailable", ["method"]),
        ({"method": "mtn_momo"}, 400, "payment_phone_required", ["phone"]),
        ({"method": "mtn_momo", "phone": "677123456"}, 400, "payment_phone_invalid", ["phone"]),
        ({"order_id": str(uuid.uuid4())}, 404, "order_not_found", None),
    ],
)
def test_a_payment_that_sql_refuses_leaves_no_attempt(
    paying: FlaskClient,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    body: dict[str, Any],
    status: int,
    code: str,
    fields: list[str] | None,
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(paying, acheteuse, **{"order_id": order["id"], **body})
    assert response.status_code == status, response.text
    assert response.json["code"] == code
    found = response.json.get("errors")
    assert (found and [e["field"] for e in found]) == fields
    assert attempts(admin, order["id"]) == []


def test_somebody_elses_order_cannot_be_paid(
    paying: FlaskClient, shopper: Person, acheteuse: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(paying, shopper, order["id"])
    assert (response.status_code, response.json["code"]) == (404, "order_not_found")


def test_a_cancelled_order_cannot_be_paid(
    paying: FlaskClient, acheteuse: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    paying.put(
        f"/api/v1/orders/{order['id']}", headers=acheteuse.headers, json={"action": "cancel"}
    )
    response = initialize(paying, acheteuse, order["id"])
    assert (response.status_code, response.json["code"]) == (409, "order_not_payable")


def test_without_any_gateway_no_method_is_available(
    app_with: Callable[..., Flask], acheteuse: Person, place_order: PlaceOrder
) -> None:
    client = app_with(kora_pay_secret_key=None, **OTHERS_OFF).test_client()
    response = initialize(client, acheteuse, place_order(acheteuse, "CM")["id"])
    assert (response.status_code, response.json["code"]) == (409, "payment_method_unavailable")


def test_payments_are_not_started_for_ever(
    paying: FlaskClient, new_person: Callable[..., Person]
) -> None:
    person = new_person()
    statuses = [initialize(paying, person, str(uuid.uuid4())).status_code for _ in range(21)]
    assert statuses == [404] * 20 + [429]


# --- Status and return ------------------------------------------------------------------------


def test_the_status_is_for_the_owner_alone(
    paying: FlaskClient, acheteuse: Person, shopper: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    payment_id = initialize(paying, acheteuse, order["id"], method="kora_checkout").json[
        "payment_id"
    ]
    path = f"/api/v1/payments/status/{payment_id}"
    response = paying.get(path, headers=acheteuse.headers)
    assert response.status_code == 200
    status = PaymentStatus.model_validate_json(response.data)
    assert (status.status, status.order_status, str(status.order_id)) == (
        "processing",
        "pending",
        order["id"],
    )
    body = exact_json.loads(response.data)
    assert set(body) == set(PaymentStatus.model_fields)
    assert f'"amount":{body["amount"]}' in response.text
    assert str(body["amount"]).endswith(".00")
    assert paying.get(path).status_code == 401
    foreign = paying.get(path, headers=shopper.headers)
    assert foreign.status_code == 404
    assert foreign.json is not None
    assert foreign.json["code"] == "payment_not_found"


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_return_believes_nothing_and_goes_on_to_the_frontend(
    paying: FlaskClient,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    method: str,
) -> None:
    order = place_order(acheteuse, "CM")
    payment_id = initialize(paying, acheteuse, order["id"], method="kora_checkout").json[
        "payment_id"
    ]
    settings = paying.application.extensions["mallgram"].settings
    response = getattr(paying, method)(
        f"/api/v1/payments/return/{payment_id}?status=success&order_id=other&next=//evil.test"
    )
    assert response.status_code == 303
    assert response.headers["Location"] == (
        f"{settings.frontend_url}/orders/{order['id']}"
        f"?payment_id={payment_id}&order_id={order['id']}"
    )
    assert [row["status"] for row in attempts(admin, order["id"])] == ["processing"]


def test_an_unknown_payment_leads_nowhere(paying: FlaskClient) -> None:
    response = paying.get(f"/api/v1/payments/return/{uuid.uuid4()}")
    assert response.status_code == 404


def test_the_browser_gets_on_when_the_database_is_away(offline: FlaskClient) -> None:
    payment_id = uuid.uuid4()
    response = offline.get(f"/api/v1/payments/return/{payment_id}")
    assert response.status_code == 303
    assert response.headers["Location"] == (
        f"https://www.mallgram.test/orders?payment_id={payment_id}"
    )
