"""A cache in two layers for answers that are the same for everybody: memory, then Redis.

Nothing depends on it: a Redis that is slow, frozen or gone costs at most a quarter of a second,
and then nothing for a while, because it is left alone.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from edge_workers.log import get_logger

log = get_logger(__name__)

REDIS_TIMEOUT_SECONDS: Final = 0.25
_LEAVE_ALONE_SECONDS: Final = 5.0
_PREFIX: Final = "mallgram:edge:1:"


class Cache:
    """Bytes by key, each with its own time to live in seconds. Thread-safe."""

    def __init__(
        self,
        redis_url: str | None,
        *,
        capacity: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._redis = _connect(redis_url) if redis_url else None
        self._redis_rests_until = float("-inf")

    def get(self, key: str, *, seconds: int, is_shared: bool = True) -> bytes | None:
        """The value, if either layer has it; one found in Redis is kept here for `seconds`.

        What is not `is_shared` stays out of Redis: keys that callers can make up without end
        would fill the memory that the queues need.
        """
        now = self._clock()
        with self._lock:
            entry = self._memory.get(key)
            if entry is not None and entry[0] > now:
                self._memory.move_to_end(key)
                return entry[1]
        if not is_shared:
            return None
        value = self._ask_redis(lambda client: client.get(_redis_key(key)))
        if not isinstance(value, bytes):
            return None
        self._remember(key, value, seconds)
        return value

    def put(self, key: str, value: bytes, *, seconds: int, is_shared: bool = True) -> None:
        """Keeps the value in memory and, when it is shared, in Redis."""
        self._remember(key, value, seconds)
        if not is_shared:
            return
        self._ask_redis(lambda client: client.set(_redis_key(key), value, ex=seconds))

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

    def _remember(self, key: str, value: bytes, seconds: int) -> None:
        with self._lock:
            self._memory[key] = (self._clock() + seconds, value)
            self._memory.move_to_end(key)
            while len(self._memory) > self._capacity:
                self._memory.popitem(last=False)

    def _ask_redis(self, ask: Callable[["redis.Redis"], object]) -> object:
        if self._redis is None or self._clock() < self._redis_rests_until:
            return None
        try:
            return ask(self._redis)
        except redis.RedisError as error:
            self._redis_rests_until = self._clock() + _LEAVE_ALONE_SECONDS
            log.warning("cache.skipped", reason=type(error).__name__)
            return None


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
