"""From the outbox to the queues: `python -m worker.relay`.

One connection that keeps its session: `LISTEN outbox` wakes it, a sweep every half second finds
what no notification announced. Any number of relays may run; rows are claimed with SKIP LOCKED.

A row is claimed only when it can be handed over now, because each claim is an attempt: nothing
while Redis is away, nothing for a queue whose workers have stopped or have enough to do. The lease
of a claim covers the longest wait that the queue can mean, so it runs out only when an attempt is
truly lost; then the row is handed out again.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import redis.exceptions
from rq import Queue

from edge_workers.config import Settings, load_settings
from edge_workers.db import Session
from edge_workers.errors import AppError, DatabaseUnavailable
from edge_workers.log import configure_logging, get_logger
from worker import queues

CHANNEL: Final = "outbox"
SWEEP_SECONDS: Final = 0.5
SCHEDULE_SECONDS: Final = 1.0
WAITING_PER_WORKER: Final = 4
"""Attempts that wait in a queue for each worker; the rest waits in the outbox, safe and current."""
LEASE_SECONDS: Final = queues.JOB_TIMEOUT_SECONDS + 15
"""How long an attempt that need not wait may take."""
WAITING_LEASE_SECONDS: Final = LEASE_SECONDS + WAITING_PER_WORKER * queues.JOB_TIMEOUT_SECONDS
"""The same behind others."""

_BUSY_SECONDS: Final = 0.05
_RECONNECT_SECONDS: Final = 0.5

log = get_logger("worker.relay")


@dataclass(frozen=True)
class Attempt:
    """A claimed row on its way into a queue."""

    outbox_id: str
    job: str
    queue: str
    number: int
    request_id: str | None
    lease_ends_at: float
    """On the monotonic clock; afterwards the row belongs to whoever claims it next."""


class Relay:
    """The loop and what it remembers: whether Redis answers, and what is claimed but not queued."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event | None = None,
        queue_names: Sequence[str] = queues.QUEUES,
    ) -> None:
        self._settings = settings
        self._stop = stop or threading.Event()
        connection = queues.connect_redis(settings, timeout_seconds=2.0)
        self._queues: Mapping[str, Queue] = {
            name: queues.open_queue(name, connection) for name in queue_names
        }
        self._has_redis = True
        self._undelivered: list[Attempt] = []
        self._schedules_due_at = 0.0

    def run(self) -> None:
        """Relays until stopped. A lost database is asked for again, for as long as it takes."""
        log.info("relay.started")
        has_database = True
        while not self._stop.is_set():
            try:
                with Session.open(self._settings.session_url, application_name="relay") as session:
                    session.listen(CHANNEL)
                    has_database = True
                    log.info("relay.connected")
                    self._serve(session)
            except DatabaseUnavailable as error:
                if has_database:
                    log.warning("database.lost", code=error.code)
                    has_database = False
                self._stop.wait(_RECONNECT_SECONDS)
        log.info("relay.stopped")

    def _serve(self, session: Session) -> None:
        while not self._stop.is_set():
            dispatched = 0
            try:
                self._claim_schedules(session)
                dispatched = self.dispatch(session)
            except DatabaseUnavailable:
                raise
            except AppError as error:
                log.error("outbox.unclaimed", code=error.code, detail=str(error.detail))
            session.wait(_BUSY_SECONDS if dispatched else SWEEP_SECONDS)

    def dispatch(self, session: Session) -> int:
        """One round over all queues: how many attempts were claimed and handed over."""
        try:
            self._deliver()
            return sum(self._fill(session, queue) for queue in self._queues.values())
        except redis.exceptions.RedisError as error:
            if self._has_redis:
                log.warning("redis.lost", error=type(error).__name__)
            self._has_redis = False
            return 0

    def _claim_schedules(self, session: Session) -> None:
        if time.monotonic() < self._schedules_due_at:
            return
        self._schedules_due_at = time.monotonic() + SCHEDULE_SECONDS
        session.call("claim_schedules")

    def _fill(self, session: Session, queue: Queue) -> int:
        waiting = queue.count
        if not self._has_redis:
            log.info("redis.found")
            self._has_redis = True
        workers = queues.count_live_workers(queue)
        room = WAITING_PER_WORKER * max(workers, 1) - waiting
        if waiting:
            claimed = self._claim(session, queue, room, WAITING_LEASE_SECONDS) if workers else 0
        else:
            claimed = self._claim(session, queue, 1, LEASE_SECONDS)
            if claimed:
                claimed += self._claim(session, queue, room - 1, WAITING_LEASE_SECONDS)
        self._deliver()
        return claimed

    def _claim(self, session: Session, queue: Queue, batch: int, lease_seconds: int) -> int:
        if batch <= 0:
            return 0
        rows: list[dict[str, Any]] = session.call(
            "claim_outbox", batch=batch, lease_seconds=lease_seconds, queues=[queue.name]
        )
        lease_ends_at = time.monotonic() + lease_seconds
        self._undelivered += [
            Attempt(
                outbox_id=row["outbox_id"],
                job=row["job"],
                queue=row["queue"],
                number=int(row["attempt"]),
                request_id=row["request_id"],
                lease_ends_at=lease_ends_at,
            )
            for row in rows
        ]
        return len(rows)

    def _deliver(self) -> None:
        """Queues what is claimed; what Redis does not take stays for the next round."""
        while self._undelivered:
            attempt = self._undelivered[0]
            if time.monotonic() < attempt.lease_ends_at:
                queues.enqueue(
                    self._queues[attempt.queue],
                    job=attempt.job,
                    outbox_id=attempt.outbox_id,
                    attempt=attempt.number,
                )
                log.info(
                    "outbox.dispatched",
                    job=attempt.job,
                    outbox_id=attempt.outbox_id,
                    attempt=attempt.number,
                    request_id=attempt.request_id,
                )
            self._undelivered.pop(0)


def main() -> int:
    """Exit status: 0 told to stop, 2 wrong settings."""
    settings = load_settings()
    configure_logging(settings.log_level)
    if settings.redis_url is None:
        log.error("settings.missing", name="REDIS_URL")
        return 2
    stop = threading.Event()

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    Relay(settings, stop).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
