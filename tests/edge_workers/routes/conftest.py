"""Gateways of the tests' own, so that faults ordered for them meet nobody else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from tests.conftest import Person, Shelf, an_address
from tests.own_process import own_process
from tests.sandbox.running import CREDENTIALS, free_port

SECRET = "sk_test_of_the_route_tests"
OTHERS_OFF: dict[str, Any] = {
    "mtn_api_key": None,
    "orange_api_key": None,
    "paygate_key": None,
    "payfast_passphrase": None,
}
"""Settings that leave one gateway alone, so that a test knows who is asked."""


@dataclass(frozen=True)
class Gateway:
    """A sandbox of this run's own."""

    url: str
    client: httpx.Client

    def order_fault(self, kind: str, *, provider: str = "kora", **details: Any) -> None:
        """What the next call of the adapter meets."""
        response = self.client.post(
            "/_sandbox/faults", json={"provider": provider, "kind": kind, "times": 1, **details}
        )
        assert response.status_code == 201, response.text

    def calls(self, operation: str, provider: str = "kora") -> list[dict[str, Any]]:
        """What it was asked, oldest first."""
        calls: list[dict[str, Any]] = self.client.get(
            "/_sandbox/calls", params={"provider": provider}
        ).json()
        return [call for call in calls if call["operation"] == operation]


@pytest.fixture(scope="session")
def kora_process(
    stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A sandbox process on ports of its own."""
    port, tls = free_port(), Path(stack_env["STATE_DIR"]) / "tls"
    directory = tmp_path_factory.mktemp("sandbox")
    url = f"http://127.0.0.1:{port}"
    environment = {
        "SANDBOX_PORT": str(port),
        "SANDBOX_SMTP_PORT": str(free_port()),
        "SANDBOX_URL": url,
        "SANDBOX_STATE_DIR": str(directory),
        "SANDBOX_TLS_CERT": str(tls / "certificate.pem"),
        "SANDBOX_TLS_KEY": str(tls / "key.pem"),
        "PUBLIC_URL": "http://127.0.0.1:9",
        **CREDENTIALS,
        "KORA_PAY_SECRET_KEY": SECRET,
    }
    with (
        own_process(("tests.sandbox",), environment, directory / "log", f"{url}/_sandbox/health"),
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield Gateway(url, client)


@pytest.fixture
def kora(kora_process: Gateway) -> Iterator[Gateway]:
    """The gateway of the tests, without faults."""
    kora_process.client.delete("/_sandbox/faults")
    yield kora_process
    kora_process.client.delete("/_sandbox/faults")


@pytest.fixture
def new_paying_app(app_with: Callable[..., Flask], kora: Gateway) -> Callable[[], Flask]:
    """Makes an edge on the running stack whose only gateway is the tests' own.

    It waits two seconds, and knows nothing yet of how the gateway does.
    """

    def make() -> Flask:
        return app_with(
            kora_pay_base_url=f"{kora.url}/kora",
            kora_pay_secret_key=SECRET,
            payment_timeout_seconds=2.0,
            redis_url=None,
            **OTHERS_OFF,
        )

    return make


@pytest.fixture
def paying_app(new_paying_app: Callable[[], Flask]) -> Flask:
    """Such an edge."""
    return new_paying_app()


@pytest.fixture
def shop_with(app_with: Callable[..., Flask], kora: Gateway) -> Callable[..., FlaskClient]:
    """Makes a client of an edge whose gateways are all the tests' own; it waits two seconds."""

    def make(**changes: Any) -> FlaskClient:
        secrets = {
            name.lower(): SecretStr(value)
            for name, value in CREDENTIALS.items()
            if name.endswith(("_KEY", "_PASSPHRASE"))
        }
        settings: dict[str, Any] = {
            **secrets,
            "kora_pay_secret_key": SECRET,
            "kora_pay_base_url": f"{kora.url}/kora",
            "mtn_api_user": CREDENTIALS["MTN_API_USER"],
            "mtn_base_url": f"{kora.url}/mtn",
            "orange_client_id": CREDENTIALS["ORANGE_CLIENT_ID"],
            "orange_token_url": f"{kora.url}/orange/oauth/v3/token",
            "orange_base_url": f"{kora.url}/orange/orange-money-webpay/cm/v1",
            "paygate_id": CREDENTIALS["PAYGATE_ID"],
            "paygate_base_url": f"{kora.url}/paygate",
            "paygate_vault": True,
            "payfast_merchant_id": CREDENTIALS["PAYFAST_MERCHANT_ID"],
            "payfast_base_url": f"{kora.url}/payfast",
            "payfast_api_base_url": f"{kora.url}/payfast/api",
            "payment_timeout_seconds": 2.0,
            "redis_url": None,
        }
        return app_with(**{**settings, **changes}).test_client()

    return make


@pytest.fixture
def administrator(
    new_person: Callable[..., Person], admin: psycopg.Connection[dict[str, Any]]
) -> Iterator[Person]:
    """Somebody who is an administrator for as long as the test lasts."""
    person = new_person()
    admin.execute("insert into public.admins (user_id) values (%s)", [person.id])
    yield person
    admin.execute("delete from public.admins where user_id = %s", [person.id])


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
