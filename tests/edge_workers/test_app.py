"""One id and one line a request; nothing secret on any of them."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.edge_workers.test_security import token

Events = Callable[[], list[dict[str, Any]]]


def test_importing_the_app_does_nothing() -> None:
    code = (
        "import logging, threading\n"
        "import edge_workers.app\n"
        "assert not logging.getLogger().handlers\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": ""}, timeout=60)


def test_a_sane_request_id_is_kept(offline: FlaskClient) -> None:
    response = offline.get("/health/live", headers={"X-Request-ID": "from-the-proxy_01"})
    assert response.headers["X-Request-ID"] == "from-the-proxy_01"


@pytest.mark.parametrize(
    "given", [None, "short", "x" * 65, "with space 123", "a;b=c12345", "é" * 9]
)
def test_any_other_gets_a_new_one(offline: FlaskClient, given: str | None) -> None:
    headers = {"X-Request-ID": given.encode().decode("latin-1")} if given else {}
    response = offline.get("/health/live", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_a_request_is_one_event_with_its_duration(offline: FlaskClient, events: Events) -> None:
    offline.get("/health/live", headers={"X-Request-ID": "request-0001"})
    (event,) = [e for e in events() if e["event"] == "request.handled"]
    assert event["request_id"] == "request-0001"
    assert (event["method"], event["route"], event["status"]) == ("GET", "/health/live", 200)
    assert 0 <= event["duration_ms"] < 1000


def test_a_refused_request_says_its_code(offline: FlaskClient, events: Events) -> None:
    offline.get("/api/v1/orders")
    (event,) = [e for e in events() if e["event"] == "request.handled"]
    assert (event["status"], event["code"]) == (401, "authentication_required")


def test_nothing_secret_or_personal_is_logged(offline: FlaskClient, events: Events) -> None:
    secrets = {
        "access": token(),
        "password": "hunter2-hunter2",
        "email": "aicha.ngono@exemple.cm",
        "phone": "+237677123456",
        "street": "12 Vilakazi Street",
        "cookie": "session=abcdef123456",
        "url_token": "notif-token-5d8a1c",
        "code": "843210",
    }
    headers = {
        "Authorization": f"Bearer {secrets['access']}",
        "Cookie": secrets["cookie"],
        "Idempotency-Key": "key-of-the-tests-1",
    }
    offline.post(
        "/api/v1/auth/login", json={"email": secrets["email"], "password": secrets["password"]}
    )
    offline.post("/api/v1/auth/verify", json={"email": secrets["email"], "code": secrets["code"]})
    offline.post(
        "/api/v1/orders",
        headers=headers,
        json={
            "country": "ZA",
            "address": {
                "recipient_name": "Thandi Mbeki",
                "phone": secrets["phone"],
                "city": "Soweto",
                "line1": secrets["street"],
            },
        },
    )
    offline.post(
        "/api/v1/payments/initialize",
        headers=headers,
        json={"order_id": str(uuid.uuid4()), "phone": secrets["phone"]},
    )
    offline.post(f"/api/v1/payments/webhook/kora/{secrets['url_token']}", data=b"{}")
    offline.get(f"/api/v1/nowhere/{secrets['email']}?token={secrets['access']}")
    lines = json.dumps(events())
    assert "request.handled" in lines
    for name, secret in secrets.items():
        assert secret not in lines, name
