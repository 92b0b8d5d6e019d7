"""The inbox of webhooks: notices that come at the same time are stored in one transaction.

Each call to the database costs a round trip and each commit waits for the disk, and gateways send
in bursts. So while one thread's call is under way the others lay their notices beside each other,
and the next call takes all of them. A notice that comes alone goes to the database at once; in a
burst the next call waits `GATHER_SECONDS` for more. A caller returns when its own notice is
committed, or with its own error.
"""

import copy
import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from edge_workers.db import Caller
from edge_workers.errors import AppError, DatabaseTimeout, DatabaseUnavailable, InternalError
from edge_workers.log import get_logger

log = get_logger(__name__)

MOST_AT_ONCE: Final = 64
"""Notices in one transaction."""
GATHER_SECONDS: Final = 0.002


class _Notice:
    """One caller's notice, and what came of it."""

    __slots__ = ("batch", "error", "event", "following", "stored", "turn")

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.event = event
        self.stored: dict[str, Any] | None = None
        self.error: AppError | None = None
        self.batch: list[_Notice] = []
        """What this caller is to store for all; empty where another stores."""
        self.following: _Notice | None = None
        """Whom this caller wakes: one after the other, or all would wake to queue for the GIL."""
        self.turn = threading.Lock()
        """Held until the notice is stored, or it is this caller's turn to store."""


class Inbox:
    """Where verified notices are put. Safe to share between threads."""

    def __init__(self, database: Caller) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._line: list[_Notice] = []
        self._is_storing = False
        self._is_burst = False

    def record(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """`{event_id, is_new}` of an event as `record_webhook_events` takes it, once it is durable.

        Raises AppError as `Database.call` does.
        """
        own = _Notice(event)
        with self._lock:
            if self._is_storing:
                own.turn.acquire()
                self._line.append(own)
            else:
                self._is_storing = True
                own.batch = [own]
        if not own.batch:
            own.turn.acquire()
            if own.following is not None:
                own.following.turn.release()
        if own.batch:
            try:
                self._gather(own.batch)
                self._store(own.batch)
            finally:
                self._hand_over(own)
        if own.stored is None and own.error is None:
            self._store([own])  # what was tried for several failed: each by itself, side by side
        if own.error is not None:
            # Each caller its own: callers add to it.
            raise copy.copy(own.error) from own.error.__cause__
        if own.stored is None or own.stored["event_id"] is None:
            raise InternalError
        return own.stored

    def _gather(self, batch: list[_Notice]) -> None:
        if self._is_burst:
            time.sleep(GATHER_SECONDS)
        with self._lock:
            room = MOST_AT_ONCE - len(batch)
            batch += self._line[:room]
            del self._line[:room]
        self._is_burst = len(batch) > 1

    def _store(self, batch: list[_Notice]) -> None:
        """All of them in one transaction; none of several where one spoils it for the others."""
        began = time.perf_counter()
        try:
            rows = self._database.call(
                "record_webhook_events", events=[notice.event for notice in batch]
            )
        except (DatabaseUnavailable, DatabaseTimeout) as error:
            for notice in batch:
                notice.error = error
        except Exception as error:
            if len(batch) > 1:
                log.warning("webhooks.separated", notices=len(batch), cause=type(error).__name__)
            elif isinstance(error, AppError):
                batch[0].error = error
            else:
                raise
        else:
            for notice, row in zip(batch, rows, strict=True):
                notice.stored = row
            log.info(
                "webhooks.stored",
                request_id=None,
                gateway=None,
                event_ids=[row["event_id"] for row in rows],
                gateways=sorted({str(notice.event["gateway"]) for notice in batch}),
                request_ids=[notice.event["request_id"] for notice in batch],
                new=sum(row["is_new"] for row in rows),
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
            )

    def _hand_over(self, own: _Notice) -> None:
        """Gives the first in line its turn, then wakes those whose notices were stored here."""
        with self._lock:
            first = self._line.pop(0) if self._line else None
            self._is_storing = first is not None
        if first is not None:
            first.batch = [first]
            first.turn.release()
        woken = [notice for notice in own.batch if notice is not own]
        for notice, following in itertools.pairwise(woken):
            notice.following = following
        if woken:
            woken[0].turn.release()
