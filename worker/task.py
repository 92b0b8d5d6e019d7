"""What a job is given: the database, the settings, who asked, what time it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from edge_workers.config import Settings
from edge_workers.db import Stager
from edge_workers.providers.transport import ending_within
from worker.breaker import Breaker

Answer = TypeVar("Answer")


def now_utc() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One attempt at one outbox row. Jobs keep nothing else between two calls."""

    database: Stager
    settings: Settings
    request_id: str | None = None
    """The id that follows the work from the request that caused it."""
    now: Callable[[], datetime] = now_utc
    breaker: Breaker | None = None
    """Which gateways rest; None: every question is put."""

    def ask(self, gateway: str, question: Callable[[], Answer]) -> Answer:
        """The gateway's answer to a question, whose calls together end in PAYMENT_TIMEOUT_SECONDS.

        Raises what the question raises; `Unavailable` unasked while the gateway rests.
        """
        with ending_within(self.settings.payment_timeout_seconds):
            return question() if self.breaker is None else self.breaker.ask(gateway, question)
