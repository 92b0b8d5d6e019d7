"""HTTP to the outside, for every adapter: bounded in time and size, and silent about contents.

* one deadline for the whole call (resolving the host's name alone is left to the system), so that
  a peer that sends a byte now and then holds nobody up;
* no redirect is followed, no proxy or netrc is taken from the environment;
* an answer over `MAX_ANSWER_BYTES`, or what its adapter allows, is an error;
* what the failure says about a write is decided here, once: `nothing_created` when no connection
  came about or the peer said 429, `unknown` after anything had been sent.

The log line has the provider, the operation, the status and the milliseconds.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import structlog

from edge_workers.providers import json_text
from edge_workers.providers.errors import Misconfigured, Outcome, Unavailable

MAX_ANSWER_BYTES = 1_000_000
CONNECT_SECONDS = 3.0

_log = structlog.get_logger(__name__)
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_heard: ContextVar[Heard | None] = ContextVar("heard", default=None)
_latest: ContextVar[float] = ContextVar("latest", default=math.inf)

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


@dataclass
class Heard:
    """What came back to a thread's calls."""

    answers: int = 0
    """Complete answers, whatever they say."""


@contextmanager
def listening() -> Iterator[Heard]:
    """Counts the answers to the calls that this thread makes within it."""
    heard = Heard()
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """All calls that this thread makes within it, together, end in so many seconds.

    One that would begin later is not sent: `Unavailable` (`no_time_left`), `nothing_created`.
    """
    token = _latest.set(min(_latest.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _latest.reset(token)


@dataclass(frozen=True)
class Answer:
    """A complete answer, neither a redirect nor 429; from 500 only one asked for as readable."""

    status: int
    content: bytes

    def json(self) -> Any:
        """The body as JSON with Decimals, or None when it is something else."""
        try:
            return json_text.loads(self.content.decode("utf-8"))
        except ValueError:
            return None


class Transport:
    """Calls to one provider at one base URL. Safe to share between threads and over a fork."""

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        timeout_seconds: float,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured(f"The base URL of {provider} is not an http(s) address.")
        self.provider = provider
        self.base_url = base_url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._lock = threading.Lock()
        self._client: tuple[int, httpx.Client] | None = None

    def send(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        readable_errors: Collection[int] = (),
    ) -> Answer:
        """One request, never repeated. Raises `Unavailable` as the module says.

        `readable_errors`: statuses from 500 whose body says what they mean.
        """
        started = time.monotonic()
        if started >= _latest.get():
            raise Unavailable(
                f"There was no time left to ask {self.provider}.",
                code="no_time_left",
                outcome="nothing_created",
            )
        status: int | None = None
        problem = ""
        try:
            status, retry_after, body = self._exchange(method, path, headers, content, started)
            heard = _heard.get()
            if heard is not None:
                heard.answers += 1
            problem, outcome = _judge(status, readable_errors)
            if problem:
                raise Unavailable(
                    f"{self.provider} answered {status}.",
                    code=problem,
                    outcome=outcome,
                    retry_after=retry_after,
                )
            return Answer(status, body)
        except _NEVER_SENT as error:
            problem = "not_reached"
            raise Unavailable(
                f"{self.provider} could not be reached.", code=problem, outcome="nothing_created"
            ) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            problem = "address_invalid"
            raise Unavailable(
                f"This is no address of {self.provider}.", code=problem, outcome="nothing_created"
            ) from error
        except httpx.TimeoutException as error:
            problem = "timed_out"
            raise Unavailable(f"{self.provider} did not answer in time.", code=problem) from error
        except httpx.HTTPError as error:
            problem = "broken_off"
            raise Unavailable(f"{self.provider} broke off.", code=problem) from error
        except _TooLarge as error:
            problem = "answer_too_large"
            raise Unavailable(f"{self.provider} answered too much.", code=problem) from error
        finally:
            _log.info(
                "provider.called",
                provider=self.provider,
                operation=operation,
                status=status,
                problem=problem or None,
                duration_ms=round((time.monotonic() - started) * 1000),
            )

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        started: float,
    ) -> tuple[int, int | None, bytes]:
        token = _deadline.set(min(started + self.timeout_seconds, _latest.get()))
        try:
            with self._connection().stream(
                method, f"{self.base_url}{path}", headers=headers, content=content
            ) as response:
                received = _bounded(response.iter_raw(), self._max_answer_bytes)
                return response.status_code, _retry_after(response.headers), received
        finally:
            _deadline.reset(token)

    def _connection(self) -> httpx.Client:
        """The client of this process: connections must not be shared with a forked child."""
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                client = httpx.Client(
                    transport=_DeadlineTransport(self.base_url.startswith("https:")),
                    timeout=httpx.Timeout(
                        self.timeout_seconds, connect=min(CONNECT_SECONDS, self.timeout_seconds)
                    ),
                    follow_redirects=False,
                    trust_env=False,
                    headers={"user-agent": "mallgram", "accept-encoding": "identity"},
                )
                self._client = (os.getpid(), client)
                weakref.finalize(self, client.close)
            return self._client[1]


class _TooLarge(Exception):
    """The answer is over the cap."""


def _bounded(chunks: Iterable[bytes], most: int) -> bytes:
    received = bytearray()
    for chunk in chunks:
        received += chunk
        if len(received) > most:
            raise _TooLarge
    return bytes(received)


def _judge(status: int, readable_errors: Collection[int]) -> tuple[str, Outcome]:
    """What a status alone says: ('', …) when the adapter has to read the body."""
    if status == 429:
        return "rate_limited", "nothing_created"
    if status >= 500 and status not in readable_errors:
        return "server_error", "unknown"
    if 300 <= status < 400:
        return "redirected", "unknown"
    return "", "unknown"


def _retry_after(headers: httpx.Headers) -> int | None:
    """Seconds of a Retry-After header in its numeric form, at most an hour."""
    value = headers.get("retry-after", "").strip()
    return min(int(value), 3600) if value.isascii() and value.isdigit() else None


def _remaining(timeout: float | None, expired: type[httpcore.TimeoutException]) -> float | None:
    """The least of a step's own timeout and what is left of the call; `expired` when nothing is."""
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise expired("deadline")
    return left if timeout is None else min(timeout, left)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every step ends at the call's deadline at the latest."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        remaining = _remaining(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, remaining))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections that know the deadline."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(
            self._backend.connect_tcp(
                host,
                port,
                _remaining(timeout, httpcore.ConnectTimeout),
                local_address,
                socket_options,
            )
        )


class _DeadlineTransport(httpx.HTTPTransport):
    """httpx over a pool with that backend; httpx itself has no parameter for it."""

    def __init__(self, is_encrypted: bool) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False) if is_encrypted else None,
            max_connections=64,
            max_keepalive_connections=16,
            keepalive_expiry=5.0,
            network_backend=_DeadlineBackend(),
        )
