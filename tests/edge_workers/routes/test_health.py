"""Live says that the process is up; ready names what it needs."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from edge_workers.routes.health import Readiness


def test_live_needs_nothing(offline: FlaskClient) -> None:
    response = offline.get("/health/live")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_ready_names_each_dependency_and_its_latency(
    app_with: Callable[..., Flask], path: str
) -> None:
    response = app_with().test_client().get(path)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    ready = Readiness.model_validate(response.json)
    assert ready.status == "ok"
    assert set(ready.dependencies) == {"database", "postgrest", "auth", "redis"}
    for dependency in ready.dependencies.values():
        assert dependency.status == "ok"
        assert 0 < dependency.latency_ms < 3000


def test_a_missing_redis_only_degrades(app_with: Callable[..., Flask]) -> None:
    from pydantic import SecretStr

    client = app_with(redis_url=SecretStr("redis://127.0.0.1:9/0")).test_client()
    response = client.get("/health/ready")
    assert response.status_code == 200
    ready = Readiness.model_validate(response.json)
    assert ready.status == "degraded"
    assert ready.dependencies["redis"].status == "down"


@pytest.mark.parametrize(
    ("changes", "down"),
    [
        ({"database_url": "postgresql://x:y@127.0.0.1:9/z"}, {"database"}),
        ({"supabase_url": "http://127.0.0.1:9"}, {"postgrest", "auth"}),
    ],
)
def test_without_what_it_needs_it_is_not_ready(
    app_with: Callable[..., Flask], changes: dict[str, str], down: set[str]
) -> None:
    response = app_with(**changes).test_client().get("/health/ready")
    assert response.status_code == 503
    ready = Readiness.model_validate(response.json)
    assert ready.status == "down"
    assert {n for n, d in ready.dependencies.items() if d.status == "down"} == down
