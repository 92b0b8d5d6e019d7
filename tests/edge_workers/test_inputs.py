"""What clients send: exact types, known fields, one line where one line is meant."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.edge_workers.test_security import token

HEADERS = {"Authorization": f"Bearer {token()}", "Idempotency-Key": "key-of-the-tests-1"}
PRODUCT = "0b5d3a52-1111-4222-8333-123456789012"


def order(**changes: Any) -> dict[str, Any]:
    body = {
        "country": "ZA",
        "address": {"recipient_name": "Thandi", "phone": "+27821234567", "city": "Soweto"},
        "items": [{"product_id": PRODUCT, "channel": "retail", "quantity": 1}],
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def item(**changes: Any) -> dict[str, Any]:
    return order(items=[{"product_id": PRODUCT, "channel": "retail", "quantity": 1, **changes}])


def address(**changes: Any) -> dict[str, Any]:
    return order(
        address={"recipient_name": "T", "phone": "+27821234567", "city": "Soweto", **changes}
    )


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (order(country=...), "country", "value_missing"),
        (order(country="za"), "country", "value_malformed"),
        (order(country=27), "country", "value_malformed"),
        (order(country=None), "country", "value_malformed"),
        (order(address=...), "address", "value_missing"),
        (order(address="Soweto"), "address", "value_malformed"),
        (order(price=1), "price", "field_unknown"),
        (order(user_id=PRODUCT), "user_id", "field_unknown"),
        (order(status="paid"), "status", "field_unknown"),
        (item(unit_price=0.01), "items.0.unit_price", "field_unknown"),
        (item(product_id="1"), "items.0.product_id", "value_malformed"),
        (item(product_id=None), "items.0.product_id", "value_malformed"),
        (item(channel="b2b"), "items.0.channel", "value_malformed"),
        (item(quantity=0), "items.0.quantity", "value_out_of_range"),
        (item(quantity=-3), "items.0.quantity", "value_out_of_range"),
        (item(quantity=10001), "items.0.quantity", "value_out_of_range"),
        (item(quantity=10**30), "items.0.quantity", "value_out_of_range"),
        (item(quantity=1.0), "items.0.quantity", "value_malformed"),
        (item(quantity=1.5), "items.0.quantity", "value_malformed"),
        (item(quantity="1"), "items.0.quantity", "value_malformed"),
        (item(quantity=True), "items.0.quantity", "value_malformed"),
        (item(quantity=None), "items.0.quantity", "value_malformed"),
        (order(items={}), "items", "value_malformed"),
        (order(items=[None]), "items.0", "value_malformed"),
        (order(items=[{}] * 501), "items", "value_out_of_range"),
        (address(city="So\nweto"), "address.city", "text_not_one_line"),
        (address(landmark="a\r\nSet-Cookie: x"), "address.landmark", "text_not_one_line"),
        (address(line1="a\u2028b"), "address.line1", "text_not_one_line"),
        (address(recipient_name="a\u0000b"), "address.recipient_name", "text_not_one_line"),
        (address(recipient_name="   "), "address.recipient_name", "value_out_of_range"),
        (address(recipient_name="x" * 121), "address.recipient_name", "value_out_of_range"),
        (address(phone="call me"), "address.phone", "value_malformed"),
        (address(phone="+27\n82123456"), "address.phone", "value_malformed"),
        (address(latitude=91), "address.latitude", "value_out_of_range"),
        (address(latitude="12"), "address.latitude", "value_malformed"),
        (address(postcode="1234"), "address.postcode", "field_unknown"),
        (order(promo_code="A" * 65), "promo_code", "value_out_of_range"),
        (order(promo_code="A\tB"), "promo_code", "text_not_one_line"),
        (order(expected_total=-1), "expected_total", "value_out_of_range"),
        (order(expected_total=1.999), "expected_total", "value_out_of_range"),
        (order(expected_total=True), "expected_total", "value_malformed"),
        (order(expected_total=12345678901.00), "expected_total", "value_out_of_range"),
        (order(idempotency_key="short"), "idempotency_key", "value_malformed"),
        (order(idempotency_key="with space"), "idempotency_key", "value_malformed"),
        (order(payment={"method": "bitcoin"}), "payment.method", "value_malformed"),
        (order(payment={"card_number": "4111"}), "payment.card_number", "field_unknown"),
    ],
)
def test_a_malformed_order_is_refused_by_the_name_of_its_field(
    offline: FlaskClient, body: dict[str, Any], field: str, code: str
) -> None:
    response = offline.post("/api/v1/orders", json=body, headers=HEADERS)
    assert response.status_code == 400
    problem = response.json
    assert problem is not None
    assert problem["code"] == "input_invalid"
    assert (field, code) in {(e["field"], e["code"]) for e in problem["errors"]}
    assert all(set(e) == {"field", "code", "message"} for e in problem["errors"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"action"}),
        ({"action": "refund"}, {"action"}),
        ({"action": "cancel", "reason": "a\nb"}, {"reason"}),
        ({"action": "cancel", "reason": "x" * 301}, {"reason"}),
        ({"action": "cancel", "address": {}}, {"address"}),
        ({"action": "address"}, {"address"}),
        ({"action": "address", "address": {"city": 1}}, {"address.city"}),
        ({"action": "cancel", "status": "paid"}, {"status"}),
    ],
)
def test_a_malformed_change_names_its_fields_without_the_kind_of_change(
    offline: FlaskClient, body: dict[str, Any], fields: set[str]
) -> None:
    response = offline.put(f"/api/v1/orders/{PRODUCT}", json=body, headers=HEADERS)
    assert response.status_code == 400
    assert response.json is not None
    assert {entry["field"] for entry in response.json["errors"]} == fields


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"country": "ZA",}',
        b"\xff\xfe",
        b"null x",
        b'{"a": NaN}',
        b"[" * 5000,
        b'{"country": "\\ud800"}',
    ],
)
def test_what_is_not_json_is_malformed(offline: FlaskClient, raw: bytes) -> None:
    response = offline.post(
        "/api/v1/orders", data=raw, headers=HEADERS, content_type="application/json"
    )
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] in {"json_malformed", "input_invalid"}


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"null", b"12"])
def test_json_that_is_no_object_is_refused(offline: FlaskClient, raw: bytes) -> None:
    response = offline.post(
        "/api/v1/orders", data=raw, headers=HEADERS, content_type="application/json"
    )
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "input_invalid"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_another_media_type_is_refused(offline: FlaskClient, kind: str | None) -> None:
    response = offline.post("/api/v1/orders", data=b"{}", headers=HEADERS, content_type=kind)
    assert response.status_code == 415
    assert response.json is not None
    assert response.json["code"] == "media_type_unsupported"


@pytest.mark.parametrize(("size", "status"), [(256 * 1024, 400), (256 * 1024 + 1, 413)])
def test_a_body_in_chunks_has_the_same_limit(offline: FlaskClient, size: int, status: int) -> None:
    for path in ("/api/v1/orders", "/api/v1/payments/webhook/kora"):
        response = offline.post(
            path,
            input_stream=io.BytesIO(b"{" + b" " * (size - 1)),
            headers=HEADERS,
            content_type="application/json",
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert response.status_code == (401 if "webhook" in path and status == 400 else status)


def test_a_body_of_more_than_256_kb_is_refused(offline: FlaskClient) -> None:
    response = offline.post(
        "/api/v1/orders",
        data=b'{"a":"' + b"x" * 256 * 1024 + b'"}',
        headers=HEADERS,
        content_type="application/json",
    )
    assert response.status_code == 413
    assert response.json is not None
    assert response.json["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("page_size=0", "page_size", "value_out_of_range"),
        ("page_size=101", "page_size", "value_out_of_range"),
        ("page_size=ten", "page_size", "value_malformed"),
        ("page_size=", "page_size", "value_malformed"),
        ("sort=cheapest", "sort", "value_malformed"),
        ("channel=b2b", "channel", "value_malformed"),
        ("country=Cameroon", "country", "value_malformed"),
        ("language=de", "language", "value_malformed"),
        ("min_price=-1", "min_price", "value_out_of_range"),
        ("min_price=cheap", "min_price", "value_malformed"),
        ("max_price=NaN", "max_price", "value_malformed"),
        ("min_rating=6", "min_rating", "value_out_of_range"),
        ("in_stock=perhaps", "in_stock", "value_malformed"),
        ("category=Shoes%20%26%20Bags", "category", "value_malformed"),
        ("cursor=%00", "cursor", "value_malformed"),
        ("limit=5", "limit", "field_unknown"),
        ("or=(id.gt.0)", "or", "field_unknown"),
        ("sort=rating&sort=newest", "sort", "value_malformed"),
    ],
)
def test_a_malformed_list_parameter_is_named(
    offline: FlaskClient, query: str, field: str, code: str
) -> None:
    response = offline.get(f"/api/v1/products?{query}")
    assert response.status_code == 400
    assert response.json is not None
    assert (field, code) in {(e["field"], e["code"]) for e in response.json["errors"]}


def test_a_search_without_words_is_refused(offline: FlaskClient) -> None:
    for query, code in [("", "value_missing"), ("query=%20", "value_out_of_range")]:
        response = offline.get(f"/api/v1/products/search?{query}")
        assert response.status_code == 400
        assert response.json is not None
        (entry,) = response.json["errors"]
        assert (entry["field"], entry["code"]) == ("query", code)


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("get", "/api/v1/orders/1", "order_id"),
        ("put", "/api/v1/orders/{0b5d3a52111142228333123456789012}", "order_id"),
        ("get", "/api/v1/payments/status/x", "payment_id"),
        ("get", "/api/v1/payments/return/x", "payment_id"),
        ("get", "/api/v1/products/0b5d3a52111142228333123456789012", "product_id"),
    ],
)
def test_an_address_with_a_bad_id_names_it(
    offline: FlaskClient, method: str, path: str, field: str
) -> None:
    response = getattr(offline, method)(path, headers=HEADERS)
    assert response.status_code == 400
    (entry,) = response.json["errors"]
    assert (entry["field"], entry["code"]) == (field, "value_malformed")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"password": "x"}, "email", "value_missing"),
        ({"email": "nobody", "password": "x"}, "email", "value_malformed"),
        ({"email": "a@b.co\nBcc: c@d.co", "password": "x"}, "email", "value_malformed"),
        ({"email": ["a@b.co"], "password": "x"}, "email", "value_malformed"),
        ({"email": "a@b.co", "password": "x" * 73}, "password", "value_out_of_range"),
        ({"email": "a@b.co", "password": ""}, "password", "value_out_of_range"),
        ({"email": "a@b.co", "password": "a\u0000b"}, "password", "value_malformed"),
        ({"email": "a@b.co", "password": 12345678}, "password", "value_malformed"),
        ({"email": "a@b.co", "password": "x", "role": "admin"}, "role", "field_unknown"),
    ],
)
def test_a_malformed_login_is_named_and_never_repeated(
    offline: FlaskClient, body: dict[str, Any], field: str, code: str
) -> None:
    response = offline.post("/api/v1/auth/login", json=body)
    assert response.status_code == 400
    assert response.json is not None
    assert (field, code) in {(e["field"], e["code"]) for e in response.json["errors"]}
    assert "xxxxxxxx" not in response.text
