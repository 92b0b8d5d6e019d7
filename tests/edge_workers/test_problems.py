"""Every error in one shape, in the reader's language."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from edge_workers.app import create_app
from edge_workers.errors import (
    AppError,
    ConflictError,
    DatabaseUnavailable,
    RateLimitError,
    ValidationError,
    error_classes,
)
from edge_workers.problems import problem_of
from edge_workers.security import Identity
from tests.conftest import Person
from tests.edge_workers.conftest import offline_settings

MEMBERS = {"type", "title", "status", "code", "detail", "request_id"}
CLASSES = [c for c in error_classes() if c is not AppError]


def app_that_raises(error: Exception) -> FlaskClient:
    app = create_app(offline_settings())

    @app.route("/raise", methods=["GET", "POST"])
    def raise_it() -> str:
        raise error

    return app.test_client()


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda c: c.code)
def test_every_class_is_answered_as_a_problem(
    offline_app: Flask, error_class: type[AppError]
) -> None:
    with offline_app.test_request_context("/"):
        response = offline_app.handle_user_exception(error_class())
        response = offline_app.make_response(response)
    assert response.status_code == error_class.status
    assert response.content_type == "application/problem+json"
    problem = response.get_json(force=True)
    assert set(problem) - {"errors"} == MEMBERS
    assert problem["status"] == error_class.status
    assert problem["code"] == error_class.code
    assert problem["type"] == f"urn:mallgram:error:{error_class.code}"
    assert problem["title"] == error_class.title
    assert problem["detail"] == error_class.default_message()


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda c: c.code)
def test_every_class_has_both_texts_in_the_catalogue(
    app: Flask, error_class: type[AppError]
) -> None:
    texts = app.extensions["mallgram"].texts
    english, french = (texts.find(error_class.code, language) for language in ("en", "fr"))
    assert english == error_class.default_message()
    assert french is not None
    assert french != english


def test_the_database_knows_the_same_status(app: Flask) -> None:
    rows = app.extensions["mallgram"].database.call("error_catalogue")
    status_of = {row["code"]: row["status"] for row in rows}
    assert {c.code: c.status for c in CLASSES} == {c.code: status_of.get(c.code) for c in CLASSES}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/nowhere", 404, "not_found"),
        ("get", "/api/v1/products/x/y", 404, "not_found"),
        ("delete", "/api/v1/orders", 405, "method_not_allowed"),
        ("patch", "/health/live", 405, "method_not_allowed"),
    ],
)
def test_the_frameworks_own_errors_have_the_same_shape(
    offline: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = getattr(offline, method)(path)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert set(response.json) == MEMBERS
    assert response.json["code"] == code
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    if status == 405:
        assert response.headers["Allow"]


def test_a_crash_tells_nothing_outside_and_everything_inside(
    events: Callable[[], list[dict[str, Any]]],
) -> None:
    response = app_that_raises(KeyError("secret detail")).get("/raise")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == "internal_error"
    assert "secret" not in response.text
    (crash,) = [event for event in events() if event["event"] == "request.crashed"]
    assert "KeyError" in crash["exception"]
    assert crash["request_id"] == response.json["request_id"]


def test_a_wait_is_a_header() -> None:
    response = app_that_raises(RateLimitError(retry_after=17)).get("/raise")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "17")


def test_a_payment_whose_outcome_is_unknown_is_named() -> None:
    response = app_that_raises(ConflictError(payment_id="the-id")).get("/raise")
    assert response.json is not None
    assert response.json["payment_id"] == "the-id"


def test_details_of_failures_inside_stay_inside() -> None:
    response = app_that_raises(DatabaseUnavailable(detail="host 10.0.0.5")).get("/raise")
    assert "10.0.0.5" not in response.text


@pytest.mark.parametrize(
    ("code", "status", "detail", "expected"),
    [
        ("country_unknown", 400, "XX", [("country", None)]),
        ("cursor_invalid", 400, "abc", [("cursor", None)]),
        ("idempotency_key_reused", 409, "key", [("idempotency_key", None)]),
        ("promo_code_exhausted", 409, "CODE", [("promo_code", None)]),
        ("address_invalid", 400, "address.line1", [("address.line1", None)]),
        ("address_not_found", 404, "id", [("address.id", None)]),
        ("order_items_invalid", 400, "items[3].channel", [("items.3.channel", None)]),
        ("quantity_invalid", 400, "items[0].quantity", [("items.0.quantity", None)]),
        ("payment_phone_required", 400, None, [("phone", None)]),
        ("stock_insufficient", 409, '{"available": 2}', [("items", {"available": 2})]),
        ("total_changed", 409, '{"total": 12500.00}', [("expected_total", {"total": 12500})]),
        ("order_not_found", 404, "id", []),
        ("product_not_found", 404, None, []),
    ],
)
def test_a_refusal_of_sql_names_its_field_and_its_facts(
    offline_app: Flask,
    code: str,
    status: int,
    detail: str | None,
    expected: list[tuple[str, Any]],
) -> None:
    error_class = ValidationError if status == 400 else ConflictError
    with offline_app.test_request_context("/"):
        problem = problem_of(error_class(code, status, detail, message="Text."))
    found = [(e["field"], e.get("details")) for e in problem.get("errors", [])]
    assert found == expected
    assert problem["detail"] == "Text."


# --- Languages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("fr", "Il n'y a rien ici."),
        ("fr-CM,en;q=0.5", "Il n'y a rien ici."),
        ("en-ZA,fr;q=0.9", "There is nothing here."),
        ("de, fr;q=0.3", "Il n'y a rien ici."),
        ("en;q=0.2, fr;q=0.8", "Il n'y a rien ici."),
        ("fr;q=0, en", "There is nothing here."),
        ("de", "There is nothing here."),
        ("", "There is nothing here."),
        ("*", "There is nothing here."),
    ],
)
def test_texts_follow_accept_language(client: FlaskClient, accepted: str, expected: str) -> None:
    response = client.get("/nowhere", headers={"Accept-Language": accepted} if accepted else {})
    assert response.json is not None
    assert response.json["detail"] == expected


def test_without_a_header_the_persons_language_counts(
    client: FlaskClient, acheteuse: Person, shopper: Person
) -> None:
    for person, pattern in ((acheteuse, "^La requête"), (shopper, "^The request")):
        response = client.get("/api/v1/orders?page_size=0", headers=person.headers)
        assert response.json is not None
        assert re.match(pattern, response.json["detail"])
        assert response.json["errors"][0]["field"] == "page_size"
    response = client.get(
        "/api/v1/orders?page_size=0", headers={**acheteuse.headers, "Accept-Language": "en"}
    )
    assert response.json is not None
    assert response.json["detail"].startswith("The request")


def test_a_language_that_cannot_be_asked_for_is_english(offline_app: Flask) -> None:
    with offline_app.test_request_context("/"):
        g.identity = Identity("0b5d3a52-1111-4222-8333-123456789012", "token")
        assert problem_of(ConflictError())["detail"] == ConflictError.default_message()
