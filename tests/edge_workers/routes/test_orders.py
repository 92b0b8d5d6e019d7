"""Orders through the edge: SQL decides, the edge translates, and a key makes one order."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from edge_workers import exact_json
from edge_workers.routes.orders import Order, OrderList, OrderWithDetails, PlacedOrder
from tests.conftest import Person, Shelf, an_address
from tests.edge_workers.routes.conftest import Gateway, PlaceOrder

Admin = psycopg.Connection[dict[str, Any]]


def order_of(product_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "country": "ZA",
        "address": an_address(),
        "items": [{"product_id": product_id, "channel": "retail", "quantity": 2}],
        **changes,
    }


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def count_orders(admin: Admin, person: Person) -> int:
    row = admin.execute(
        "select count(*) as n from public.orders where user_id = %s", [person.id]
    ).fetchone()
    assert row is not None
    number: int = row["n"]
    return number


def test_an_order_is_placed_with_the_databases_prices(
    client: FlaskClient, shopper: Person, shelf: Shelf
) -> None:
    product_id = shelf.put(prices={"ZA": "199.90"})
    response = client.post(
        "/api/v1/orders", headers={**shopper.headers, **key()}, json=order_of(product_id)
    )
    assert response.status_code == 201, response.text
    PlacedOrder.model_validate_json(response.data)
    body = exact_json.loads(response.data)
    order = body["order"]
    assert body["payment"] is None
    assert response.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert (order["status"], order["payment_status"]) == ("pending", "pending")
    assert (str(order["subtotal_price"]), order["currency"]) == ("399.80", "ZAR")
    assert (str(order["shipping_amount"]), str(order["total_price"])) == ("99.00", "498.80")
    assert set(order) == set(Order.model_fields)


def test_whole_francs_keep_their_two_digits(
    client: FlaskClient, acheteuse: Person, shelf: Shelf
) -> None:
    product_id = shelf.put(prices={"CM": "12500"})
    response = client.post(
        "/api/v1/orders",
        headers={**acheteuse.headers, **key()},
        json=order_of(product_id, country="CM", address=an_address("CM")),
    )
    assert response.status_code == 201
    assert '"subtotal_price":25000.00' in response.text
    assert '"currency":"XAF"' in response.text


def test_the_key_may_stand_in_the_body(client: FlaskClient, shopper: Person, shelf: Shelf) -> None:
    product_id, sent = shelf.put(), uuid.uuid4().hex
    first = client.post(
        "/api/v1/orders", headers=shopper.headers, json=order_of(product_id, idempotency_key=sent)
    )
    again = client.post(
        "/api/v1/orders",
        headers={**shopper.headers, "Idempotency-Key": sent},
        json=order_of(product_id),
    )
    assert first.status_code == again.status_code == 201
    assert first.data == again.data


@pytest.mark.parametrize(
    ("in_header", "in_body", "code"),
    [
        (None, None, "idempotency_key_required"),
        ("key-number-1", "key-number-2", "idempotency_key_invalid"),
        ("short", None, "idempotency_key_invalid"),
        ("with a space in it", None, "idempotency_key_invalid"),
        ("x" * 201, None, "idempotency_key_invalid"),
    ],
)
def test_an_order_without_one_good_key_is_refused(
    client: FlaskClient,
    shopper: Person,
    shelf: Shelf,
    in_header: str | None,
    in_body: str | None,
    code: str,
) -> None:
    body = order_of(shelf.put(), **({"idempotency_key": in_body} if in_body else {}))
    headers = {"Idempotency-Key": in_header} if in_header else {}
    response = client.post("/api/v1/orders", headers={**shopper.headers, **headers}, json=body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == code
    assert [e["field"] for e in response.json["errors"]] == ["idempotency_key"]


def test_a_key_used_for_another_order_is_a_conflict(
    client: FlaskClient, shopper: Person, shelf: Shelf
) -> None:
    product_id, headers = shelf.put(), {**shopper.headers, **key()}
    assert (
        client.post("/api/v1/orders", headers=headers, json=order_of(product_id)).status_code == 201
    )
    other = client.post(
        "/api/v1/orders", headers=headers, json=order_of(product_id, promo_code="OTHER")
    )
    assert other.status_code == 409
    assert other.json is not None
    assert other.json["code"] == "idempotency_key_reused"


def test_the_same_key_many_times_at_once_is_one_order(
    app: Flask, shopper: Person, shelf: Shelf, admin: Admin
) -> None:
    body, headers = order_of(shelf.put()), {**shopper.headers, **key()}
    before = count_orders(admin, shopper)
    answers: list[tuple[int, bytes]] = []

    def send() -> None:
        response = app.test_client().post("/api/v1/orders", headers=headers, json=body)
        answers.append((response.status_code, response.data))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert count_orders(admin, shopper) == before + 1


def test_promo_codes_are_not_guessed_for_long(
    client: FlaskClient, new_person: Callable[..., Person], shelf: Shelf, admin: Admin
) -> None:
    product_id = shelf.put()
    guesser = new_person()
    statuses = [
        client.post(
            "/api/v1/orders",
            headers={**guesser.headers, **key()},
            json=order_of(product_id, promo_code=f"GUESS-{n}"),
        ).status_code
        for n in range(21)
    ]
    assert statuses == [404] * 20 + [429]
    assert count_orders(admin, guesser) == 0


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"items": []}, 400, "cart_empty", "items"),
        ({"country": "FR"}, 400, "country_unknown", "country"),
        ({"expected_total": 1}, 409, "total_changed", "expected_total"),
        ({"promo_code": "NO-SUCH-CODE"}, 404, "promo_code_not_found", "promo_code"),
        (
            {"address": {**an_address(), "phone": "0821234567"}},
            400,
            "address_invalid",
            "address.phone",
        ),
        ({"address": {"recipient_name": "T"}}, 400, "address_invalid", "address.phone"),
        ({"address": {"id": str(uuid.uuid4())}}, 404, "address_not_found", "address.id"),
        ({"address": an_address("CM")}, 400, "address_country_mismatch", "address.country"),
        (
            {"items": [{"product_id": str(uuid.uuid4()), "channel": "retail", "quantity": 1}]},
            404,
            "product_not_found",
            "items",
        ),
    ],
)
def test_what_sql_refuses_writes_nothing_and_names_its_field(
    client: FlaskClient,
    shopper: Person,
    shelf: Shelf,
    admin: Admin,
    changes: dict[str, Any],
    status: int,
    code: str,
    field: str,
) -> None:
    before = count_orders(admin, shopper)
    response = client.post(
        "/api/v1/orders",
        headers={**shopper.headers, **key()},
        json=order_of(shelf.put(), **changes),
    )
    assert response.status_code == status, response.text
    assert response.json is not None
    assert response.json["code"] == code
    assert [e["field"] for e in response.json["errors"]] == [field]
    assert count_orders(admin, shopper) == before


def test_a_changed_total_comes_with_the_new_quote(
    client: FlaskClient, shopper: Person, shelf: Shelf
) -> None:
    response = client.post(
        "/api/v1/orders",
        headers={**shopper.headers, **key(), "Accept-Language": "fr"},
        json=order_of(shelf.put(prices={"ZA": "199.90"}), expected_total=400),
    )
    assert response.status_code == 409
    problem = exact_json.loads(response.data)
    assert problem["detail"].startswith("Le total a changé")
    (entry,) = problem["errors"]
    assert str(entry["details"]["total"]) == "498.80"
    assert entry["details"]["currency"] == "ZAR"
    accepted = client.post(
        "/api/v1/orders",
        headers={**shopper.headers, **key()},
        json=order_of(shelf.put(prices={"ZA": "199.90"}), expected_total=498.80),
    )
    assert accepted.status_code == 201


def test_too_little_stock_says_how_much_there_is(
    client: FlaskClient, shopper: Person, shelf: Shelf
) -> None:
    response = client.post(
        "/api/v1/orders",
        headers={**shopper.headers, **key()},
        json=order_of(shelf.put(stock=1)),
    )
    assert response.status_code == 409
    assert response.json is not None
    (entry,) = response.json["errors"]
    assert (entry["code"], entry["details"]["available"]) == ("stock_insufficient", 1)


# --- Reading ----------------------------------------------------------------------------------


def test_an_order_shows_its_lines_history_and_payments(
    client: FlaskClient, shopper: Person, place_order: PlaceOrder
) -> None:
    order = place_order(shopper)
    response = client.get(f"/api/v1/orders/{order['id']}", headers=shopper.headers)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    OrderWithDetails.model_validate_json(response.data)
    shown = exact_json.loads(response.data)
    (line,) = shown["items"]
    assert (line["quantity"], str(line["unit_price"])) == (2, "199.90")
    assert str(line["subtotal"]) == "399.80"
    assert [event["kind"] for event in shown["events"]][:1] == ["placed"]
    assert shown["payments"] == []


def test_somebody_elses_order_is_not_found(
    client: FlaskClient, shopper: Person, acheteuse: Person, place_order: PlaceOrder
) -> None:
    order = place_order(shopper)
    for method, body in (("get", None), ("put", {"action": "cancel"})):
        response = getattr(client, method)(
            f"/api/v1/orders/{order['id']}", headers=acheteuse.headers, json=body
        )
        assert response.status_code == 404
        assert response.json["code"] == "order_not_found"
    listed = exact_json.loads(client.get("/api/v1/orders", headers=acheteuse.headers).data)
    assert order["id"] not in {item["id"] for item in listed["items"]}


def test_orders_are_listed_newest_first_page_by_page(
    client: FlaskClient, new_person: Any, place_order: PlaceOrder
) -> None:
    person = new_person()
    placed = [place_order(person)["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for expected in (2, 2, 1):
        path = "/api/v1/orders?page_size=2" + (f"&cursor={cursor}" if cursor else "")
        response = client.get(path, headers=person.headers)
        assert response.status_code == 200, response.text
        page = OrderList.model_validate_json(response.data)
        assert len(page.items) == expected
        seen += [str(item.id) for item in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == placed[::-1]


@pytest.mark.parametrize("cursor", ["abc", "W10=", "WyJ4IiwieSJd", "bnVsbA==", "eyJhIjoxfQ=="])
def test_a_cursor_of_ones_own_making_is_refused(
    client: FlaskClient, shopper: Person, cursor: str
) -> None:
    response = client.get(f"/api/v1/orders?cursor={cursor}", headers=shopper.headers)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "cursor_invalid"


# --- Changing ---------------------------------------------------------------------------------


def test_an_unpaid_order_goes_elsewhere(
    client: FlaskClient, shopper: Person, place_order: PlaceOrder
) -> None:
    order = place_order(shopper)
    response = client.put(
        f"/api/v1/orders/{order['id']}",
        headers=shopper.headers,
        json={"action": "address", "address": {**an_address(), "city": "Durban"}},
    )
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["shipping_address"]["city"] == "Durban"
    assert set(response.json) == set(Order.model_fields)


def test_a_cancelled_order_gives_its_stock_back(
    client: FlaskClient, shopper: Person, shelf: Shelf, admin: Admin
) -> None:
    product_id = shelf.put(stock=2)
    order = client.post(
        "/api/v1/orders", headers={**shopper.headers, **key()}, json=order_of(product_id)
    ).json
    assert order is not None
    for _ in range(2):
        response = client.put(
            f"/api/v1/orders/{order['order']['id']}",
            headers=shopper.headers,
            json={"action": "cancel", "reason": "Changed my mind"},
        )
        assert response.status_code == 200
        assert response.json is not None
        assert (response.json["status"], response.json["cancel_reason"]) == (
            "cancelled",
            "Changed my mind",
        )
    row = admin.execute(
        "select on_hand, reserved from public.product_stock where listing_id = %s", [product_id]
    ).fetchone()
    assert row == {"on_hand": 2, "reserved": 0}
    late = client.put(
        f"/api/v1/orders/{order['order']['id']}",
        headers=shopper.headers,
        json={"action": "address", "address": an_address()},
    )
    assert late.status_code == 409
    assert late.json is not None
    assert late.json["code"] == "order_not_editable"


# --- With a payment ---------------------------------------------------------------------------


@pytest.mark.usefixtures("no_rate_limits")
def test_an_order_with_a_payment_answers_what_to_do_next(
    paying: FlaskClient, acheteuse: Person, shelf: Shelf
) -> None:
    response = paying.post(
        "/api/v1/orders",
        headers={**acheteuse.headers, **key()},
        json=order_of(
            shelf.put(),
            country="CM",
            address=an_address("CM"),
            payment={"method": "kora_checkout"},
        ),
    )
    assert response.status_code == 201, response.text
    assert response.json is not None
    payment = response.json["payment"]
    assert (payment["gateway"], payment["action"]) == ("kora", "redirect")
    assert payment["url"].startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("no_rate_limits")
def test_an_order_stands_when_its_payment_does_not_start(
    paying: FlaskClient,
    new_paying_app: Callable[[], Flask],
    kora: Gateway,
    acheteuse: Person,
    shelf: Shelf,
    admin: Admin,
) -> None:
    kora.order_fault("rate_limit", operation="initialize")
    before = count_orders(admin, acheteuse)
    body = order_of(
        shelf.put(), country="CM", address=an_address("CM"), payment={"method": "kora_checkout"}
    )
    headers = {**acheteuse.headers, **key()}
    response = paying.post("/api/v1/orders", headers=headers, json=body)
    assert response.status_code == 201
    assert response.json is not None
    assert response.json["payment"] is None
    assert response.json["payment_problem"]["status"] == 503
    again = new_paying_app().test_client().post("/api/v1/orders", headers=headers, json=body)
    assert again.status_code == 201
    assert again.json is not None
    assert again.json["payment"]["action"] == "redirect"
    assert again.json["order"]["id"] == response.json["order"]["id"]
    assert count_orders(admin, acheteuse) == before + 1
