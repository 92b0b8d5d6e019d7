"""The door before Flask takes webhooks and nothing else, and nobody can tell who answered."""

import gc
import json
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from edge_workers.inputs import MAX_BODY_BYTES
from edge_workers.security import SECURITY_HEADERS
from edge_workers.webhook_intake import take_webhook
from tests.edge_workers.routes.test_webhooks import KEY, PATH, event, sign, stored

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def receiver(app_with: Callable[..., Flask]) -> FlaskClient:
    """An edge that knows the tests' key."""
    return app_with(kora_pay_secret_key=KEY, redis_url=None).test_client()


def test_an_answer_has_the_headers_of_all_answers(receiver: FlaskClient) -> None:
    body = event()
    response = receiver.post(
        PATH, data=body, headers={**sign(body), "X-Request-ID": "webhook-door-1"}
    )
    assert (response.status_code, response.data) == (200, b"OK")
    assert response.headers["X-Request-ID"] == "webhook-door-1"
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_the_line_that_tells_of_the_rows_names_the_requests_they_came_by(
    receiver: FlaskClient, admin: Admin, events: Callable[[], list[dict[str, Any]]]
) -> None:
    body = event()
    events()
    for request_id in ("webhook-door-3", "insane id"):
        receiver.post(PATH, data=body, headers={**sign(body), "X-Request-ID": request_id})
    (row,) = stored(admin, body)
    first, second = events()
    assert (first["event"], second["event"]) == ("webhooks.stored", "webhooks.stored")
    assert first["event_ids"] == second["event_ids"] == [str(row["id"])]
    assert first["request_ids"] == ["webhook-door-3"]
    assert [len(request_id) for request_id in second["request_ids"]] == [32]
    assert (first["new"], second["new"]) == (1, 0)
    assert first["duration_ms"] >= 0


def test_what_is_refused_is_answered_as_every_error_is(receiver: FlaskClient) -> None:
    body = event()
    response = receiver.post(
        PATH,
        data=body,
        headers={**sign(body, "sk_test_another"), "X-Request-ID": "webhook-door-2"},
    )
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == "webhook_signature_invalid"
    assert response.json["request_id"] == response.headers["X-Request-ID"] == "webhook-door-2"
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_an_error_of_our_own_is_answered_as_every_error_is(
    receiver: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    events: Callable[[], list[dict[str, Any]]],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("edge_workers.inbox.Inbox.record", fail)
    body = event()
    response = receiver.post(PATH, data=body, headers=sign(body))
    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert [e["event"] for e in events() if e["level"] == "error"] == ["request.crashed"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("DELETE", PATH, 405),
        ("POST", f"{PATH}/", 404),
        ("POST", f"{PATH}/a/b", 404),
        ("POST", f"{PATH}é", 404),
        ("POST", f"{PATH}%00", 404),
        ("POST", "/api/v1/payments/webhooks/kora", 404),
    ],
)
def test_what_is_no_webhook_goes_on_to_flask(
    receiver: FlaskClient, method: str, path: str, status: int
) -> None:
    body = event()
    response = receiver.open(path, method=method, data=body, headers=sign(body))
    assert response.status_code == status
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (MAX_BODY_BYTES + 2, 413),
        (10**9, 413),
        (1000, 400),  # more than comes
    ],
)
def test_a_length_that_is_not_as_told_is_refused(
    receiver: FlaskClient, admin: Admin, length: int, status: int
) -> None:
    body = event()
    response = receiver.post(
        PATH,
        data=body,
        headers=sign(body),
        environ_overrides={"CONTENT_LENGTH": str(length)},
    )
    assert response.status_code == status
    assert stored(admin, body) == []


def test_a_body_in_chunks_is_taken_too(
    stack_env: dict[str, str], edge: httpx.Client, admin: Admin
) -> None:
    body = event()
    headers = sign(body, stack_env["KORA_PAY_SECRET_KEY"])

    def chunks() -> Iterator[bytes]:
        yield body[:10]
        yield body[10:]

    response = edge.post(PATH, content=chunks(), headers=headers)
    assert response.status_code == 200, response.text
    assert len(stored(admin, body)) == 1


def test_the_address_behind_our_proxies_is_the_senders(
    app_with: Callable[..., Flask], events: Callable[[], list[dict[str, Any]]]
) -> None:
    client = app_with(kora_pay_secret_key=KEY, trusted_proxy_hops=1).test_client()
    body = event()
    forwarded = {"X-Forwarded-For": "203.0.113.7, 198.51.100.4"}
    client.post(PATH, data=body, headers={**sign(body, "sk_test_other"), **forwarded})
    refusals = [e for e in events() if e["event"] == "webhook.refused"]
    assert [e["ip"] for e in refusals] == ["198.51.100.4"]


def test_a_token_in_the_address_reaches_the_gateway_and_no_log(
    receiver: FlaskClient, events: Callable[[], list[dict[str, Any]]]
) -> None:
    token, body = uuid.uuid4().hex, event()
    assert receiver.post(f"{PATH}/{token}", data=body, headers=sign(body)).status_code == 200
    assert token not in json.dumps(events())


def test_nothing_of_what_was_refused_stays(
    app_with: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with(kora_pay_secret_key=KEY, redis_url=None)
    taken: list[weakref.ref[Any]] = []

    def watched(edge: Any, gateway: str, webhook: Any, *, request_id: str) -> Any:
        taken.append(weakref.ref(webhook))
        return take_webhook(edge, gateway, webhook, request_id=request_id)

    monkeypatch.setattr("edge_workers.webhook_door.take_webhook", watched)
    body = event()
    headers = list(sign(body, "sk_test_other").items())
    sent = EnvironBuilder(PATH, method="POST", data=body, headers=headers)
    gc.collect()
    gc.disable()
    try:
        _, status, _ = run_wsgi_app(app.wsgi_app, sent.get_environ())
        kept = taken[0]()
    finally:
        gc.enable()
    assert (status, kept) == ("401 UNAUTHORIZED", None)
