"""A circuit breaker a gateway, shared by all job processes: who is silent keeps nobody waiting.

A job is a process of its own and a queue does one job at a time: questions to a gateway that hangs
would hold up everybody else's. After `SILENCES` slow failures in a row the gateway rests, for
longer each time it stays silent; until then its questions fail at once and are put again later.
A quick failure costs nobody anything and does not count.

The state is in Redis and may be lost at any time: without it every question is put.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.timeouts import JobTimeoutException

from edge_workers.config import Settings
from edge_workers.log import get_logger
from edge_workers.providers.errors import ProviderError, Unavailable

SLOW_SECONDS: Final = 1.0
"""A failure that took this long has held up the queue."""
SILENCES: Final = 2
"""Slow failures in a row before a gateway rests."""
FIRST_REST_SECONDS: Final = 15
LONGEST_REST_SECONDS: Final = 60
"""Of the queue's time a gateway that answers nothing takes one timeout in each such minute."""

_REMEMBERED_SECONDS: Final = 600
_REDIS_SECONDS: Final = 0.5

Answer = TypeVar("Answer")

log = get_logger(__name__)


class Breaker:
    """What the job processes know of each gateway's silence."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection

    @classmethod
    def of(cls, settings: Settings) -> Breaker | None:
        """The breaker of these settings' Redis, not yet connected; None without REDIS_URL."""
        if settings.redis_url is None:
            return None
        return cls(
            Redis.from_url(
                settings.redis_url.get_secret_value(),
                socket_connect_timeout=_REDIS_SECONDS,
                socket_timeout=_REDIS_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        )

    def ask(self, gateway: str, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, or what it raises.

        While the gateway rests: `Unavailable` with outcome `nothing_created` and the seconds to
        wait, without having asked.
        """
        silences, rest = self._standing(gateway)
        if rest > 0:
            raise Unavailable(
                f"{gateway} has not answered lately.",
                code="gateway_resting",
                outcome="nothing_created",
                retry_after=rest,
            )
        began = time.monotonic()
        try:
            answer = question()
        except (Unavailable, JobTimeoutException):
            if time.monotonic() - began >= SLOW_SECONDS:
                self._note_silence(gateway)
            raise
        except ProviderError:
            self._note_answer(gateway, silences)
            raise
        self._note_answer(gateway, silences)
        return answer

    def _standing(self, gateway: str) -> tuple[int, int]:
        """Silences in a row so far, and seconds of rest left."""
        try:
            pipeline = self._connection.pipeline(transaction=False)
            pipeline.get(_silences_key(gateway))
            pipeline.pttl(_rest_key(gateway))
            silences, milliseconds = pipeline.execute()
        except redis.exceptions.RedisError:
            return 0, 0
        return int(silences or 0), -(-max(int(milliseconds), 0) // 1000)

    def _note_silence(self, gateway: str) -> None:
        key = _silences_key(gateway)
        try:
            pipeline = self._connection.pipeline(transaction=False)
            pipeline.incr(key)
            pipeline.expire(key, _REMEMBERED_SECONDS)
            silences = int(pipeline.execute()[0])
            if silences < SILENCES:
                return
            rest = min(FIRST_REST_SECONDS * 2 ** (silences - SILENCES), LONGEST_REST_SECONDS)
            self._connection.set(_rest_key(gateway), silences, ex=rest)
        except redis.exceptions.RedisError:
            return
        log.warning("gateway.rested", gateway=gateway, silences=silences, seconds=rest)

    def _note_answer(self, gateway: str, silences: int) -> None:
        if not silences:
            return
        try:
            self._connection.delete(_silences_key(gateway), _rest_key(gateway))
        except redis.exceptions.RedisError:
            return
        log.info("gateway.found", gateway=gateway, silences=silences)


def _silences_key(gateway: str) -> str:
    return f"gateway-silences:{gateway}"


def _rest_key(gateway: str) -> str:
    return f"gateway-rest:{gateway}"
