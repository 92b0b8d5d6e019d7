"""Doing things at once: threads that hold their connections open, a barrier, then all together.

The standard library's HTTP client is used because it costs a fifth of httpx: two hundred callers
in one process must not wait for each other's Python.
"""

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from tests.concurrency.shoppers import Shopper

T = TypeVar("T")

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The shop's own code of a refusal, null for what it granted."""
        if self.status < 400:
            return None
        refusal = self.json
        code = refusal.get("hint") or refusal.get("code")
        return str(code)

    @property
    def kind(self) -> tuple[int, str | None]:
        """Status and code: what refusals are counted by."""
        return self.status, self.code


@dataclass
class Door:
    """One kept-alive connection to one server, for one thread."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        self._wire = http.client.HTTPConnection(
            parts.hostname, parts.port or 80, timeout=ANSWER_SECONDS
        )

    def __enter__(self) -> Self:
        self._wire.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wire.close()

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """One POST of bytes."""
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        return self._exchange("POST", path, body, sent)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One GET."""
        return self._exchange("GET", path, None, {**self.headers, **(headers or {})})

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request with these headers and no others."""
        return self._exchange(method, path, body, headers)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        self._wire.request(method, path, body, headers)
        response = self._wire.getresponse()
        return Answer(response.status, response.read())

    def rpc(self, name: str, shopper: Shopper, **arguments: Any) -> Answer:
        """One call of an RPC as a shopper."""
        return self.post(f"/rest/v1/rpc/{name}", json.dumps(arguments).encode(), shopper.headers)


def rush(
    door: Callable[[], Door], acts: Sequence[Callable[[Door], T]], at_once: int | None = None
) -> list[T]:
    """What the acts return, in their order; done by `at_once` threads, all by default.

    Every thread has its connection open before the first act begins. The first error of an act is
    raised when all threads have ended.
    """
    threads_wanted = min(at_once or len(acts), len(acts))
    barrier = threading.Barrier(threads_wanted)
    queue = iter(enumerate(acts))
    lock = threading.Lock()
    results: dict[int, T] = {}
    errors: list[Exception] = []

    def work() -> None:
        try:
            with door() as wire:
                barrier.wait(ANSWER_SECONDS)
                while True:
                    with lock:
                        place, act = next(queue, (-1, None))
                    if act is None:
                        return
                    results[place] = act(wire)
        except Exception as error:  # noqa: BLE001  # handed to the caller below
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(threads_wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        # A broken barrier is what the others saw of the first error.
        raise next(
            (e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0]
        )
    return [results[place] for place in range(len(acts))]


def together(*acts: Callable[[], T]) -> list[T]:
    """What the acts return, in their order; each in a thread of its own, all begun at once."""
    barrier = threading.Barrier(len(acts))
    results: dict[int, T] = {}
    errors: list[Exception] = []

    def work(place: int, act: Callable[[], T]) -> None:
        try:
            barrier.wait(ANSWER_SECONDS)
            results[place] = act()
        except Exception as error:  # noqa: BLE001  # handed to the caller below
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(place, act), daemon=True)
        for place, act in enumerate(acts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(acts))]
