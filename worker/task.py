"""What a job is given: the database, the settings, who asked, what time it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_workers.config import Settings
from edge_workers.db import Caller


def now_utc() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One attempt at one outbox row. Jobs keep nothing else between two calls."""

    database: Caller
    settings: Settings
    request_id: str | None = None
    """The id that follows the work from the request that caused it."""
    now: Callable[[], datetime] = now_utc
