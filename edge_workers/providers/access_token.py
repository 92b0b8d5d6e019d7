"""A bearer token that a provider gives for a while: asked for once, shared, renewed in time.

One instance per account and product, in memory only. Threads that find no token wait for the one
that fetches it and share its failure too, so that a provider whose token endpoint hangs costs each
caller one timeout and not a queue of them. A token endpoint that fails says nothing was created:
the call that wanted the token was never made.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_workers.providers.errors import ProviderError
from edge_workers.providers.transport import Answer

MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class FetchedToken:
    """What a token endpoint gave."""

    value: str = field(repr=False)
    expires_in: float
    """Seconds from now."""


@dataclass
class _Flight:
    """A fetch on its way, and those who wait for it."""

    process: int
    is_done: threading.Event = field(default_factory=threading.Event)
    token: str = ""
    error: ProviderError | None = None


class AccessToken:
    """The token of one account. `fetch` asks the provider for a new one; safe between threads.

    A token is used until `margin_seconds` before its end, one that lives for less than twice that
    until half of its life has passed. `clock` gives seconds that only grow.
    """

    def __init__(
        self,
        fetch: Callable[[], FetchedToken],
        *,
        margin_seconds: float = MARGIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._margin_seconds = margin_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._good_until = 0.0
        self._flight: _Flight | None = None

    def value(self) -> str:
        """A token that is still good; raises what `fetch` raises, outcome `nothing_created`."""
        with self._lock:
            if self._token is not None and self._clock() < self._good_until:
                return self._token
            flight = self._flight
            # A child process has no thread that would ever finish its parent's fetch.
            is_mine = flight is None or flight.process != os.getpid()
            if flight is None or is_mine:
                flight = self._flight = _Flight(os.getpid())
        return self._fetched(flight) if is_mine else _awaited(flight)

    def invalidate(self, token: str) -> None:
        """Forget a token that was refused; a newer one that came meanwhile stays."""
        with self._lock:
            if self._token == token:
                self._token = None

    def send(self, call: Callable[[str], Answer]) -> Answer:
        """The answer to a call with the token; on 401 to one more call with a fresh token.

        A 401 is the refusal of the call, so sending it again cannot do the thing twice.
        """
        token = self.value()
        answer = call(token)
        if answer.status != 401:
            return answer
        self.invalidate(token)
        return call(self.value())

    def _fetched(self, flight: _Flight) -> str:
        """Fetch for all who wait."""
        try:
            fetched = self._fetch()
            flight.token = fetched.value
            self._keep(fetched)
        except ProviderError as error:
            error.outcome = "nothing_created"
            flight.error = error
            raise
        finally:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
            flight.is_done.set()
        return fetched.value

    def _keep(self, fetched: FetchedToken) -> None:
        margin = min(self._margin_seconds, fetched.expires_in / 2)
        with self._lock:
            self._token = fetched.value
            self._good_until = self._clock() + fetched.expires_in - margin


def _awaited(flight: _Flight) -> str:
    """What another thread's fetch came to."""
    flight.is_done.wait()
    if flight.error is not None:
        raise copy.copy(flight.error)  # each thread its own: callers add to it
    if not flight.token:
        raise RuntimeError("fetching the token ended without a token or a provider's error")
    return flight.token
