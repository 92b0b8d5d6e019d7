"""A cache in two layers for answers that are the same for everybody: memory, then Redis.

What is asked for by many at once is made once: one thread of one process makes it, the others
wait for it, or take what there was before. When it cannot be made, what there was before is good
enough for a while.

Nothing depends on it: a Redis that is slow, frozen or gone costs at most a quarter of a second,
and then nothing for a while, because it is left alone.
"""

import hashlib
import math
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from edge_workers.errors import AppError
from edge_workers.log import get_logger

log = get_logger(__name__)

REDIS_TIMEOUT_SECONDS: Final = 0.25
STALE_SECONDS: Final = 600
"""How long after its time an answer may stand in for one that cannot be made."""
OTHERS_SECONDS: Final = 1.0
"""How long to wait for what another process makes, before making it oneself."""
_LEAVE_ALONE_SECONDS: Final = 5.0
_FLIGHT_SECONDS: Final = 15.0
"""Longer than any answer may take: who waited so long for another thread makes it oneself."""
_LOOK_SECONDS: Final = 0.025
_CLAIM_MILLISECONDS: Final = 5_000
_REST_SECONDS: Final = 1.0
"""How long nobody tries again what could not be made, where there is something to show."""
_SHARED_STALE_SECONDS: Final = 60
"""Redis has the queues to hold: there what has had its time stays a minute."""
_PREFIX: Final = "mallgram:edge:2:"
_RELEASE: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)

State = Literal["hit", "miss", "stale"]


@dataclass(frozen=True)
class Fetched:
    """An answer, and whether it was there, was made now, or is older than it should be."""

    body: bytes
    state: State


@dataclass(frozen=True)
class _Kept:
    """An answer as it is kept: of which version, and made when (Unix time)."""

    body: bytes
    version: int | None
    made_at: float

    def is_good(self, now: float, version: int | None, seconds: float) -> bool:
        # Another machine's clock may be a little ahead.
        if not -1 <= now - self.made_at < seconds:
            return False
        return version is None or (self.version is not None and self.version >= version)

    def to_bytes(self) -> bytes:
        version = "-" if self.version is None else str(self.version)
        return f"{version} {self.made_at:.3f}\n".encode() + zlib.compress(self.body, 1)

    @staticmethod
    def of_bytes(value: bytes) -> "_Kept | None":
        head, _, body = value.partition(b"\n")
        try:
            version, made_at = head.decode().split(" ")
            return _Kept(
                zlib.decompress(body), None if version == "-" else int(version), float(made_at)
            )
        except (ValueError, zlib.error):
            return None


@dataclass
class _Entry:
    """A place in memory: until when it holds, and until when nobody tries to renew it."""

    kept: _Kept
    holds_until: float
    rests_until: float = -math.inf


@dataclass
class _Flight:
    """An answer that a thread is making."""

    landed: threading.Event = field(default_factory=threading.Event)
    body: bytes | None = None
    error: AppError | None = None


class Cache:
    """Bytes by key, each with its own time to live in seconds. Thread-safe."""

    def __init__(
        self,
        redis_url: str | None,
        *,
        capacity: int = 512,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, _Flight] = {}
        self._redis = _connect(redis_url) if redis_url else None
        self._redis_rests_until = -math.inf

    def get(self, key: str) -> bytes | None:
        """The value that `put` left in this process, while its time lasts."""
        entry = self._entry(key)
        return None if entry is None else entry.kept.body

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keeps the value in this process for `seconds`."""
        self._remember(key, _Kept(value, None, self._wall_clock()), seconds)

    def fetch(
        self,
        key: str,
        build: Callable[[], bytes],
        *,
        version: int | None,
        seconds: float,
        is_shared: bool = True,
    ) -> Fetched:
        """The answer of `build`, made anew once it is `seconds` old or of an older `version`.

        Without a version time alone decides. One thread makes it; the others have the last one,
        or wait where there is none. When `build` fails with a status of 500 or more, the last one
        stands in for it for up to STALE_SECONDS; any other AppError is raised to all who wait.

        What is not `is_shared` stays out of Redis: keys that callers can make up without end
        would fill the memory that the queues need.
        """
        kept = self._find(key, version, seconds, is_shared=is_shared)
        if kept is not None and kept.is_good(self._wall_clock(), version, seconds):
            return Fetched(kept.body, "hit")
        if kept is not None and self._is_resting(key):
            return Fetched(kept.body, "stale")
        own = _Flight()
        with self._lock:
            flight = self._flights.setdefault(key, own)
        if flight is not own:
            return _board(flight, kept, build)
        try:
            fetched = self._make(key, build, kept, version, seconds, is_shared=is_shared)
            own.body = fetched.body
            return fetched
        except AppError as error:
            own.error = error
            raise
        finally:
            with self._lock:
                del self._flights[key]
            own.landed.set()

    def ping(self) -> bool | None:
        """Whether Redis answers; None when there is none."""
        if self._redis is None:
            return None
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def close(self) -> None:
        """Closes the connections to Redis."""
        if self._redis is not None:
            self._redis.close()

    def _make(
        self,
        key: str,
        build: Callable[[], bytes],
        kept: _Kept | None,
        version: int | None,
        seconds: float,
        *,
        is_shared: bool,
    ) -> Fetched:
        """Makes the answer, unless another thread or process has just done so."""
        found = self._entry(key)
        if found is not None and found.kept.is_good(self._wall_clock(), version, seconds):
            return Fetched(found.kept.body, "hit")
        claim = secrets.token_hex(8)
        if is_shared and self._claim(key, claim) is False:
            if kept is not None:
                return Fetched(kept.body, "stale")
            other = self._await_other(key, version, seconds)
            if other is not None:
                return Fetched(other.body, "hit")
        try:
            made = _Kept(build(), version, self._wall_clock())
            self._remember(key, made, seconds + STALE_SECONDS)
            if is_shared:
                self._share(key, made, seconds)
        except AppError as error:
            if error.http_status < 500 or kept is None:
                raise
            log.warning("cache.stale_served", code=error.code)
            self._rest(key, kept)
            return Fetched(kept.body, "stale")
        finally:
            if is_shared:
                self._release(key, claim)
        return Fetched(made.body, "miss")

    def _find(
        self, key: str, version: int | None, seconds: float, *, is_shared: bool
    ) -> _Kept | None:
        """The newer of both layers, good or not; Redis is asked when memory's is not good."""
        entry = self._entry(key)
        kept = None if entry is None else entry.kept
        now = self._wall_clock()
        if not is_shared or (kept is not None and kept.is_good(now, version, seconds)):
            return kept
        shared = self._ask_shared(key)
        if shared is None or (kept is not None and shared.made_at < kept.made_at):
            return kept
        self._remember(key, shared, shared.made_at + seconds + STALE_SECONDS - now)
        return shared

    def _await_other(self, key: str, version: int | None, seconds: float) -> _Kept | None:
        """What another process is making, if it comes soon."""
        deadline = self._clock() + OTHERS_SECONDS
        while self._clock() < deadline:
            time.sleep(_LOOK_SECONDS)
            kept = self._ask_shared(key)
            if kept is not None and kept.is_good(self._wall_clock(), version, seconds):
                self._remember(key, kept, seconds + STALE_SECONDS)
                return kept
        return None

    def _entry(self, key: str) -> _Entry | None:
        with self._lock:
            entry = self._memory.get(key)
            if entry is None or entry.holds_until <= self._clock():
                return None
            self._memory.move_to_end(key)
            return entry

    def _remember(self, key: str, kept: _Kept, seconds: float) -> None:
        with self._lock:
            self._memory[key] = _Entry(kept, self._clock() + seconds)
            self._memory.move_to_end(key)
            while len(self._memory) > self._capacity:
                self._memory.popitem(last=False)

    def _rest(self, key: str, kept: _Kept) -> None:
        with self._lock:
            entry = self._memory.setdefault(key, _Entry(kept, self._clock() + STALE_SECONDS))
            entry.rests_until = self._clock() + _REST_SECONDS

    def _is_resting(self, key: str) -> bool:
        entry = self._entry(key)
        return entry is not None and entry.rests_until > self._clock()

    def _ask_shared(self, key: str) -> _Kept | None:
        value = self._ask_redis(lambda client: client.get(_redis_key(key)))
        return _Kept.of_bytes(value) if isinstance(value, bytes) else None

    def _share(self, key: str, kept: _Kept, seconds: float) -> None:
        milliseconds = round(1000 * (seconds + _SHARED_STALE_SECONDS))
        self._ask_redis(
            lambda client: client.set(_redis_key(key), kept.to_bytes(), px=milliseconds)
        )

    def _claim(self, key: str, claim: str) -> bool | None:
        """Whether this process is to make it; None when Redis does not say."""
        answer = self._ask_redis(
            lambda client: bool(client.set(_claim_key(key), claim, nx=True, px=_CLAIM_MILLISECONDS))
        )
        return answer if isinstance(answer, bool) else None

    def _release(self, key: str, claim: str) -> None:
        self._ask_redis(lambda client: client.eval(_RELEASE, 1, _claim_key(key), claim))

    def _ask_redis(self, ask: Callable[["redis.Redis"], object]) -> object:
        if self._redis is None or self._clock() < self._redis_rests_until:
            return None
        try:
            return ask(self._redis)
        except redis.RedisError as error:
            self._redis_rests_until = self._clock() + _LEAVE_ALONE_SECONDS
            log.warning("cache.skipped", reason=type(error).__name__)
            return None


def _board(flight: _Flight, kept: _Kept | None, build: Callable[[], bytes]) -> Fetched:
    """What another thread makes, or what there was before it began."""
    if kept is not None:
        return Fetched(kept.body, "stale")
    if flight.landed.wait(_FLIGHT_SECONDS):
        if flight.body is not None:
            return Fetched(flight.body, "hit")
        if flight.error is not None:
            raise flight.error
    return Fetched(build(), "miss")


def _connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
        health_check_interval=0,
        max_connections=64,
    )


def _redis_key(key: str) -> str:
    return _PREFIX + hashlib.sha256(key.encode()).hexdigest()


def _claim_key(key: str) -> str:
    return f"{_redis_key(key)}:claim"
