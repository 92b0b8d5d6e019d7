"""Is the process up, and does what it depends on answer.

`/health/live` is for restarts, `/health/ready` (and `/health`) for traffic. Redis only degrades.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import httpx
from flask import Blueprint, Response
from pydantic import BaseModel

from edge_workers.answers import answer
from edge_workers.errors import AppError
from edge_workers.openapi import operation
from edge_workers.parts import Parts, parts

blueprint = Blueprint("health", __name__)

_TIMEOUT_SECONDS = 3.0
Check = Callable[[Parts], bool | None]


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Dependency(BaseModel):
    """Whether a dependency answered and how long it took."""

    status: Literal["ok", "down", "not_configured"]
    latency_ms: float


class Readiness(BaseModel):
    """ok, degraded (slower but serving) or down."""

    status: Literal["ok", "degraded", "down"]
    dependencies: dict[str, Dependency]


@blueprint.get("/health/live")
@operation(tag="health", answers={200: Live})
def live() -> Response:
    """The process is up."""
    return answer({"status": "ok"})


@blueprint.get("/health")
@blueprint.get("/health/ready")
@operation(
    tag="health",
    answers={200: Readiness, 503: Readiness},
)
def ready() -> Response:
    """The process can serve; names each dependency and its latency."""
    checks: dict[str, Check] = {
        "database": _database,
        "postgrest": _postgrest,
        "auth": _auth,
        "redis": _redis,
    }
    needed = parts()
    with ThreadPoolExecutor(len(checks)) as pool:
        answers = pool.map(lambda check: _time(check, needed), checks.values())
        results = dict(zip(checks, answers, strict=True))
    down = {name for name, result in results.items() if result["status"] == "down"}
    status = "ok" if not down else "degraded" if down == {"redis"} else "down"
    return answer({"status": status, "dependencies": results}, 503 if status == "down" else 200)


def _time(check: Check, needed: Parts) -> dict[str, Any]:
    began = time.perf_counter()
    found = check(needed)
    state = "not_configured" if found is None else "ok" if found else "down"
    return {
        "status": state,
        "latency_ms": round((time.perf_counter() - began) * 1000, 1),
    }


def _database(needed: Parts) -> bool:
    try:
        needed.database.call("ping")
    except AppError:
        return False
    return True


def _postgrest(needed: Parts) -> bool:
    try:
        api = needed.data_api
        api.send(api.as_caller().from_("countries").select("code").limit(1))
    except AppError:
        return False
    return True


def _auth(needed: Parts) -> bool:
    key = needed.settings.supabase_anon_key.get_secret_value()
    try:
        response = needed.http.get(
            f"{needed.settings.supabase_url}/auth/v1/health",
            headers={"apikey": key},
            timeout=_TIMEOUT_SECONDS,
        )
    except httpx.HTTPError:
        return False
    return response.is_success


def _redis(needed: Parts) -> bool | None:
    return needed.cache.ping()
