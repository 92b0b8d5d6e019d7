"""What gateways send: verified by its bytes, stored once, acknowledged, and nothing else."""

import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from tests.edge_workers.conftest import offline_settings

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]
SECRET = offline_settings().kora_pay_secret_key
assert SECRET is not None
KEY = SECRET.get_secret_value()
SIGNATURE = "x-korapay-signature"
PATH = "/api/v1/payments/webhook/kora"


def event(reference: str | None = None, name: str = "charge.success", **data: Any) -> bytes:
    """A compact body, as Kora sends it."""
    return json.dumps(
        {
            "event": name,
            "data": {
                "reference": reference or f"mg-{uuid.uuid4().hex[:24]}",
                "status": "success",
                "amount": 12500,
                "currency": "XAF",
                **data,
            },
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def sign(body: bytes, key: str = KEY) -> dict[str, str]:
    """Kora's header: over the bytes of `data`."""
    data = body[body.index(b'"data":') + len(b'"data":') : -1]
    return {SIGNATURE: hmac.new(key.encode(), data, hashlib.sha256).hexdigest()}


def stored(admin: Admin, body: bytes) -> list[dict[str, Any]]:
    return admin.execute(
        "select * from private.webhook_events where raw = %s", [body.decode()]
    ).fetchall()


@pytest.fixture
def receiver(app_with: Callable[..., Flask]) -> FlaskClient:
    """An edge that knows the tests' key and has no Redis at all."""
    return app_with(kora_pay_secret_key=KEY, redis_url=None).test_client()


@pytest.mark.parametrize("method", ["post", "put"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/some-token"])
def test_a_genuine_event_is_stored_byte_for_byte_and_acknowledged(
    receiver: FlaskClient, admin: Admin, method: str, path: str
) -> None:
    body = event(narration="Café à Douala")
    response = getattr(receiver, method)(
        path,
        data=body,
        headers={**sign(body), "X-Request-ID": "webhook-0001", "Authorization": "Bearer secret"},
        content_type="application/json",
    )
    assert response.status_code == 200, response.text
    (row,) = stored(admin, body)
    assert (row["gateway"], row["event_type"]) == ("kora", "charge.success")
    assert row["request_id"] == "webhook-0001"
    headers = {name.lower(): value for name, value in row["headers"].items()}
    assert headers[SIGNATURE] == sign(body)[SIGNATURE]
    assert "authorization" not in headers


def test_the_gateway_is_found_by_its_own_marks(receiver: FlaskClient, admin: Admin) -> None:
    body = event()
    response = receiver.post("/api/v1/payments/webhook", data=body, headers=sign(body))
    assert response.status_code == 200
    assert len(stored(admin, body)) == 1


def test_an_event_gets_its_job_through_the_outbox(receiver: FlaskClient, admin: Admin) -> None:
    body = event()
    receiver.post(PATH, data=body, headers=sign(body))
    (row,) = stored(admin, body)
    jobs = admin.execute(
        "select job from private.outbox where args ->> 'event_id' = %s", [str(row["id"])]
    ).fetchall()
    assert [job["job"] for job in jobs] == ["handle_webhook"]


def test_the_same_event_again_is_acknowledged_and_not_stored_again(
    receiver: FlaskClient, admin: Admin
) -> None:
    body = event()
    answers = [receiver.post(PATH, data=body, headers=sign(body)) for _ in range(3)]
    assert {(a.status_code, a.data) for a in answers} == {(200, answers[0].data)}
    assert len(stored(admin, body)) == 1


def test_the_same_event_many_times_at_once_is_stored_once(
    receiver: FlaskClient, admin: Admin
) -> None:
    body, statuses = event(), []

    def send() -> None:
        client = receiver.application.test_client()
        statuses.append(client.post(PATH, data=body, headers=sign(body)).status_code)

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 16
    assert len(stored(admin, body)) == 1


def test_an_unknown_event_of_a_known_gateway_is_stored_and_acknowledged(
    receiver: FlaskClient, admin: Admin
) -> None:
    body = event(name="settlement.completed")
    assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
    (row,) = stored(admin, body)
    assert row["event_type"] == "settlement.completed"


def flip(body: bytes, position: int) -> bytes:
    changed = bytearray(body)
    changed[position] ^= 1
    return bytes(changed)


def test_no_changed_byte_of_the_signed_part_is_accepted(
    receiver: FlaskClient, admin: Admin
) -> None:
    body = event()
    headers, start = sign(body), body.index(b'"data":') + len(b'"data":')
    for position in range(start, len(body) - 1):
        forged = flip(body, position)
        response = receiver.post(PATH, data=forged, headers=headers)
        assert response.status_code == 401, forged
    count = admin.execute(
        "select count(*) as n from private.webhook_events where headers @> %s",
        [json.dumps({"X-Korapay-Signature": headers[SIGNATURE]})],
    ).fetchone()
    assert count == {"n": 0}


BODY = event("mg-0123456789abcdef01234567")
GOOD = sign(BODY)[SIGNATURE]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(BODY, {}, id="no signature"),
        pytest.param(BODY, {SIGNATURE: ""}, id="empty signature"),
        pytest.param(BODY, {SIGNATURE: "0" * 64}, id="wrong signature"),
        pytest.param(BODY, {SIGNATURE: GOOD[:-1]}, id="short signature"),
        pytest.param(BODY, {SIGNATURE: f"{GOOD},{GOOD}"}, id="two signatures in one header"),
        pytest.param(BODY, {SIGNATURE: f"sha256={GOOD}"}, id="prefix"),
        pytest.param(BODY, {SIGNATURE: "é" * 64}, id="not ascii"),
        pytest.param(BODY, sign(BODY, "sk_test_another"), id="another key"),
        pytest.param(
            BODY,
            {SIGNATURE: hmac.new(KEY.encode(), BODY, hashlib.sha256).hexdigest()},
            id="signed over the whole body",
        ),
        pytest.param(b"", {SIGNATURE: GOOD}, id="empty body"),
        pytest.param(b"not json", {SIGNATURE: GOOD}, id="not json"),
        pytest.param(b"[]", {SIGNATURE: GOOD}, id="no object"),
        pytest.param(b"{}", {SIGNATURE: GOOD}, id="no data"),
        pytest.param(b"\xff\xfe" + BODY, {SIGNATURE: GOOD}, id="not utf-8"),
        pytest.param(BODY[:-1] + b',"data":{}}', {SIGNATURE: GOOD}, id="data twice"),
    ],
)
def test_what_is_not_genuine_is_refused_and_not_stored(
    receiver: FlaskClient, admin: Admin, body: bytes, headers: dict[str, str]
) -> None:
    before = admin.execute("select count(*) as n from private.webhook_events").fetchone()
    sent = {k: v.encode().decode("latin-1") for k, v in headers.items()}
    response = receiver.post(PATH, data=body, headers=sent, content_type="application/json")
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["code"] == "webhook_signature_invalid"
    after = admin.execute("select count(*) as n from private.webhook_events").fetchone()
    assert after == before


def test_an_unknown_gateway_is_not_found(receiver: FlaskClient) -> None:
    for path in ("paypal", "KORA", "koras", "kora/a/b", "../kora"):
        response = receiver.post(f"/api/v1/payments/webhook/{path}", data=BODY, headers=sign(BODY))
        assert response.status_code == 404, path
    unmarked = receiver.post("/api/v1/payments/webhook", data=BODY)
    assert unmarked.status_code == 404
    assert unmarked.json is not None
    assert unmarked.json["code"] == "payment_gateway_unknown"


def test_a_gateway_without_a_secret_is_not_found(app_with: Callable[..., Flask]) -> None:
    client = app_with(kora_pay_secret_key=None).test_client()
    for key in (KEY, "", "None"):
        response = client.post(PATH, data=BODY, headers=sign(BODY, key))
        assert response.status_code == 404


def test_a_body_of_more_than_256_kb_is_refused(receiver: FlaskClient) -> None:
    body = event(narration="x" * 256 * 1024)
    response = receiver.post(PATH, data=body, headers=sign(body))
    assert response.status_code == 413


def test_without_the_database_the_gateway_is_asked_to_come_again() -> None:
    from edge_workers.app import create_app

    app = create_app(offline_settings())
    body = event()
    response = app.test_client().post(PATH, data=body, headers=sign(body))
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["code"] == "database_unavailable"
    app.extensions["mallgram"].close()


def test_forgeries_do_not_flood_the_log(
    receiver: FlaskClient, events: Callable[[], list[dict[str, Any]]]
) -> None:
    for _ in range(70):
        receiver.post(PATH, data=BODY, headers={SIGNATURE: "0" * 64})
    refusals = [e for e in events() if e["event"] == "webhook.refused"]
    assert 60 <= len(refusals) <= 65
    assert {(e["gateway"], e["code"]) for e in refusals} == {("kora", "signature_wrong")}


def test_a_frozen_or_missing_redis_is_not_noticed(
    app_with: Callable[..., Flask], admin: Admin
) -> None:
    client = app_with(
        kora_pay_secret_key=KEY, redis_url=SecretStr("redis://127.0.0.1:9/0")
    ).test_client()
    body = event()
    assert client.post(PATH, data=body, headers=sign(body)).status_code == 200
    assert len(stored(admin, body)) == 1
