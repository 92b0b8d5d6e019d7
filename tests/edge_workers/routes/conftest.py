"""A gateway of the tests' own, so that faults ordered for it meet nobody else."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import ROOT, Person, Shelf, an_address, wait_until

SECRET = "sk_test_of_the_route_tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Gateway:
    """A sandbox of this run's own."""

    url: str
    client: httpx.Client

    def order_fault(self, kind: str, **details: Any) -> None:
        """What the next call of the adapter meets."""
        response = self.client.post(
            "/_sandbox/faults", json={"provider": "kora", "kind": kind, "times": 1, **details}
        )
        assert response.status_code == 201, response.text

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """What it was asked, oldest first."""
        calls: list[dict[str, Any]] = self.client.get("/_sandbox/calls").json()
        return [call for call in calls if call["operation"] == operation]


@pytest.fixture(scope="session")
def kora_process(
    stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A sandbox process on ports of its own."""
    port, tls = free_port(), Path(stack_env["STATE_DIR"]) / "tls"
    directory = tmp_path_factory.mktemp("sandbox")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sandbox"],
            cwd=ROOT,
            env={
                **os.environ,
                "SANDBOX_PORT": str(port),
                "SANDBOX_SMTP_PORT": str(free_port()),
                "SANDBOX_URL": f"http://127.0.0.1:{port}",
                "SANDBOX_STATE_DIR": str(directory),
                "SANDBOX_TLS_CERT": str(tls / "certificate.pem"),
                "SANDBOX_TLS_KEY": str(tls / "key.pem"),
                "PUBLIC_URL": "http://127.0.0.1:9",
                "KORA_PAY_SECRET_KEY": SECRET,
                "SMTP_USER": "tests",
                "SMTP_PASSWORD": "tests-tests",
            },
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/_sandbox/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        wait_until(is_up, 20)
        yield Gateway(url, client)
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def kora(kora_process: Gateway) -> Iterator[Gateway]:
    """The gateway of the tests, without faults."""
    kora_process.client.delete("/_sandbox/faults")
    yield kora_process
    kora_process.client.delete("/_sandbox/faults")


@pytest.fixture
def paying_app(app_with: Callable[..., Flask], kora: Gateway) -> Flask:
    """An edge on the running stack whose only gateway is the tests' own; it waits two seconds."""
    return app_with(
        kora_pay_base_url=f"{kora.url}/kora",
        kora_pay_secret_key=SECRET,
        payment_timeout_seconds=2.0,
        redis_url=None,
    )


@pytest.fixture
def paying(paying_app: Flask) -> FlaskClient:
    """A client of that edge."""
    return paying_app.test_client()


PlaceOrder = Callable[..., dict[str, Any]]


@pytest.fixture
def place_order(client: FlaskClient, shelf: Shelf) -> PlaceOrder:
    """Places an order of one new product through the edge; the order."""

    def place(person: Person, country: str = "ZA", **changes: Any) -> dict[str, Any]:
        product_id = shelf.put()
        response = client.post(
            "/api/v1/orders",
            headers={**person.headers, "Idempotency-Key": f"key-{product_id}"},
            json={
                "country": country,
                "address": an_address(country),
                "items": [{"product_id": product_id, "channel": "retail", "quantity": 2}],
                **changes,
            },
        )
        assert response.status_code == 201, response.text
        assert response.json is not None
        order: dict[str, Any] = response.json["order"]
        return order

    return place
