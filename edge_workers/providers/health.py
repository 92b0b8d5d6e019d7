"""Whether a gateway is asked at all: who hangs holds few threads, who fails is left alone.

A process of the edge has so many threads and no more. Therefore:

* a bulkhead for each gateway, `calls_at_once` wide, and one twice as wide around all of them:
  whoever hangs, threads are left for the rest of the shop. A call beyond it fails at once (`busy`).
* a breaker for each operation of a gateway, since one that takes no charges may well take codes.
  After `FAILURES` calls in a row that timed out, reached nobody, broke off, or were answered by 5xx
  or a page that is none of the gateway's it opens: calls fail at once (`breaker_open`) until a
  pause is over. Then one call goes through: its answer closes the breaker, its failure makes the
  next pause twice as long.
* every other answer is a sign of health, a refusal too; what our own side refuses before the call
  is none. 429 is no failure, but nothing is asked again before the time that the gateway named, a
  minute at most (`rate_limited`).

What is held back surely created nothing, so the next gateway may be tried.

Each process of the edge finds out for itself, after `FAILURES` calls, and forgets with its end: a
shared state would have to be waited for when Redis hangs. Workers share theirs through Redis.

Written here because the libraries do not fit threads that wait: pybreaker holds its lock during the
call, so that one call at a time is made; circuitbreaker and purgatory have no lock, and let all
callers through when the pause is over. None has a growing pause, a clock to be set or a bulkhead.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from edge_workers.providers.errors import ProviderError, Unavailable
from edge_workers.providers.transport import Heard, listening

FAILURES: Final = 5
"""In a row, until the breaker opens."""
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0
BUSY_RETRY_SECONDS: Final = 1

FAILURE_CODES: Final = frozenset(
    {
        "answer_malformed",
        "answer_too_large",
        "broken_off",
        "not_reached",
        "redirected",
        "server_error",
        "timed_out",
    }
)
"""Codes of `Unavailable` that say: no answer came, or none that the gateway itself would give."""
RATE_LIMITED: Final = "rate_limited"

End = Literal["answered", "failed", "unknown"]

_log = structlog.get_logger(__name__)


@dataclass
class _Operation:
    """What is known of one operation. Its breaker is open while `opened_at` is set."""

    failures: int = 0
    opened_at: float | None = None
    pause: float = 0.0
    not_before: float = float("-inf")
    is_probed: bool = False
    """Whether a call is under way that decides if the breaker closes."""


@dataclass
class _Gateway:
    """What is known of one gateway."""

    calls: int = 0
    operations: dict[str, _Operation] = field(default_factory=dict)


class GatewayHealth:
    """What one process knows of its gateways. Safe to share between threads."""

    def __init__(self, *, calls_at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`calls_at_once`: threads that may wait for one gateway. `clock` gives seconds."""
        self._calls_at_once = calls_at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._calls = 0
        """Threads that wait for any gateway."""
        self._gateways: dict[str, _Gateway] = {}

    @contextmanager
    def call(self, name: str, operation: str) -> Iterator[Heard]:
        """Within it the gateway is asked; what ends before it was asked says nothing of it.

        Raises `Unavailable` with outcome `nothing_created` and `retry_after` before anything is
        sent: `breaker_open`, `rate_limited` or `busy`.
        """
        is_probe = self._enter(name, operation)
        end: End = "unknown"
        wait_seconds = 0.0
        try:
            with listening() as heard:
                try:
                    yield heard
                finally:
                    end = "answered" if heard.answers else "unknown"
        except ProviderError as error:
            if isinstance(error, Unavailable) and error.code in FAILURE_CODES:
                end = "failed"
            if error.code == RATE_LIMITED:
                wait_seconds = float(error.retry_after or 0)
            raise
        finally:
            self._leave(name, operation, end, is_probe=is_probe, wait_seconds=wait_seconds)

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Within it somebody else's call is waited for: a thread that the gateway holds, too.

        Raises `Unavailable` (`busy`) when the gateways hold as many as they may.
        """
        with self._lock:
            if self._calls >= 2 * self._calls_at_once:
                raise _held_back(name, "busy", BUSY_RETRY_SECONDS)
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1

    def _enter(self, name: str, operation: str) -> bool:
        """Whether the call decides if the breaker closes."""
        with self._lock:
            gateway = self._gateways.setdefault(name, _Gateway())
            known = gateway.operations.setdefault(operation, _Operation())
            is_open = known.opened_at is not None
            wait = known.not_before - self._clock()
            if wait > 0 or known.is_probed:
                code = "breaker_open" if is_open else RATE_LIMITED
                raise _held_back(name, code, max(1, math.ceil(wait)))
            if gateway.calls >= self._calls_at_once or self._calls >= 2 * self._calls_at_once:
                raise _held_back(name, "busy", BUSY_RETRY_SECONDS)
            gateway.calls += 1
            self._calls += 1
            known.is_probed = is_open
            return is_open

    def _leave(
        self, name: str, operation: str, end: End, *, is_probe: bool, wait_seconds: float
    ) -> None:
        opened = False
        open_seconds: float | None = None
        with self._lock:
            self._calls -= 1
            gateway = self._gateways[name]
            gateway.calls -= 1
            known = gateway.operations[operation]
            if is_probe:
                known.is_probed = False
            # What began before the breaker opened says nothing new: the one call decides.
            counts = is_probe or known.opened_at is None
            if counts and end == "failed":
                opened = _note_failure(known, self._clock(), is_probe=is_probe)
            elif counts and end == "answered":
                open_seconds = _note_answer(known, self._clock(), wait_seconds)
        if opened:
            _log.warning(
                "provider.breaker_opened",
                provider=name,
                operation=operation,
                failures=FAILURES,
                pause_seconds=FIRST_PAUSE_SECONDS,
            )
        if open_seconds is not None:
            _log.info(
                "provider.breaker_closed",
                provider=name,
                operation=operation,
                open_seconds=round(open_seconds, 1),
            )


def _note_failure(known: _Operation, now: float, *, is_probe: bool) -> bool:
    """Whether this failure opens the breaker."""
    known.failures += 1
    if is_probe:
        known.pause = min(2 * known.pause, LONGEST_PAUSE_SECONDS)
    elif known.failures < FAILURES:
        return False
    else:
        known.opened_at = now
        known.pause = FIRST_PAUSE_SECONDS
    known.not_before = now + known.pause
    return not is_probe


def _note_answer(known: _Operation, now: float, wait_seconds: float) -> float | None:
    """For how long the breaker was open that this answer closes; None when it was closed."""
    open_seconds = None if known.opened_at is None else now - known.opened_at
    known.failures = 0
    known.opened_at = None
    if wait_seconds > 0:
        known.not_before = now + min(wait_seconds, LONGEST_PAUSE_SECONDS)
    return open_seconds


def _held_back(name: str, code: str, retry_after: int) -> Unavailable:
    return Unavailable(
        f"{name} was not asked.",
        code=code,
        outcome="nothing_created",
        retry_after=retry_after,
    )
