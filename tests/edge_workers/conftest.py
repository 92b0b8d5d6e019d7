"""Edges of the tests' own: one without a stack behind it, one on the running stack."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from edge_workers.app import create_app
from edge_workers.config import Settings

JWT_SECRET = "a-secret-of-the-tests-that-is-long-enough"


def offline_settings(**changes: Any) -> Settings:
    """Settings of an edge behind which nothing answers: every port is closed."""
    values: dict[str, Any] = {
        "public_url": "https://api.mallgram.test",
        "frontend_url": "https://www.mallgram.test",
        "cors_origins": "https://www.mallgram.test,http://localhost:5173",
        "database_url": "postgresql://mallgram_service:secret@127.0.0.1:9/postgres",
        "supabase_url": "http://127.0.0.1:9",
        "supabase_anon_key": "the-anon-key",
        "supabase_jwt_secret": JWT_SECRET,
        "kora_pay_secret_key": "sk_test_of_the_tests",
        "kora_pay_base_url": "http://127.0.0.1:9",
    }
    return Settings(**{**values, **changes})


@pytest.fixture(scope="session")
def offline_app() -> Iterator[Flask]:
    """An edge whose database, Auth, PostgREST and gateways are all away."""
    flask_app = create_app(offline_settings())
    yield flask_app
    flask_app.extensions["mallgram"].close()


@pytest.fixture
def offline(offline_app: Flask) -> FlaskClient:
    """A client of the edge without a stack."""
    return offline_app.test_client()


@pytest.fixture(scope="session")
def app(stack_settings: Settings) -> Iterator[Flask]:
    """An edge in this process on the running stack, with no Redis of its own."""
    settings = stack_settings.model_copy(update={"redis_url": None})
    flask_app = create_app(settings)
    yield flask_app
    flask_app.extensions["mallgram"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the edge on the running stack."""
    return app.test_client()


@pytest.fixture
def app_with(stack_settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes an edge on the running stack with some settings changed."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        secrets = {
            name: SecretStr(value)
            for name, value in changes.items()
            if isinstance(value, str) and name.endswith(("_key", "_secret", "database_url"))
        }
        made.append(create_app(stack_settings.model_copy(update={**changes, **secrets})))
        return made[-1]

    yield make
    for flask_app in made:
        flask_app.extensions["mallgram"].close()


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The log events written since the last look, parsed."""

    def read() -> list[dict[str, Any]]:
        lines = capsys.readouterr().out.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    return read
