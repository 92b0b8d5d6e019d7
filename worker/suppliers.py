"""Supplier platforms as jobs use them: in turn, with the stored token, not while they rest.

A platform bans the app that calls too often, for seconds or for hours: all processes share one line
in Redis. It may be lost at any time; then each process keeps the pace by itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from edge_workers.config import Settings
from edge_workers.db import Caller
from edge_workers.log import get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.suppliers import (
    SupplierAuthority,
    SupplierProvider,
    SupplierToken,
)
from edge_workers.providers.errors import Misconfigured, ProviderError, Unavailable
from worker.breaker import Breaker
from worker.task import now_utc

LONGEST_WAIT_SECONDS: Final = 5.0
"""For one's turn; who would wait longer comes back later."""
BURST: Final = 2
"""Calls that may follow each other at once after a pause."""
LONGEST_UNNAMED_REST_SECONDS: Final = 60
"""After a limit whose end the platform does not name."""
LEASE_SECONDS: Final = 30
"""How long one process has for a new token before another may try."""

_REDIS_SECONDS: Final = 0.5
_REPORTED_SECONDS: Final = 60.0
_REMEMBERED_SECONDS: Final = 600
_MICRO: Final = 1_000_000

# One turn is reserved in one step: KEYS turn, rest, limits; ARGV interval, burst, longest wait, all
# in microseconds but the burst. Answers {wait, rest, limits in a row}; rest above 0: nothing was
# reserved.
_TAKE_TURN: Final = """
local limits = tonumber(redis.call('get', KEYS[3])) or 0
local rest = redis.call('pttl', KEYS[2])
if rest > 0 then return {0, rest * 1000, limits} end
local clock = redis.call('time')
local now = clock[1] * 1000000 + clock[2]
local free = tonumber(redis.call('get', KEYS[1])) or 0
local interval = tonumber(ARGV[1])
local start = math.max(free, now - (ARGV[2] - 1) * interval)
local wait = math.max(0, start - now)
if wait > tonumber(ARGV[3]) then return {0, wait, limits} end
local life = math.ceil((start + interval - now) / 1000) + 1000
redis.call('set', KEYS[1], string.format('%.0f', start + interval), 'px', life)
return {wait, 0, limits}
"""
# A rest of ARGV milliseconds from now, in one step: it never ends one that lasts longer.
_PROLONG_REST: Final = """
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('set', KEYS[1], 1, 'px', ARGV[1])
end
"""

Reply = TypeVar("Reply")

log = get_logger(__name__)


class Line:
    """The calls of all processes to one platform. Fulfils `SupplierLine`."""

    def __init__(
        self,
        platform: str,
        *,
        connection: Redis | None,
        calls_per_second: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._platform = platform
        self._connection = connection
        self._interval = _MICRO / calls_per_second
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._breaker = None if connection is None else Breaker(connection)
        self._take = None if connection is None else connection.register_script(_TAKE_TURN)
        self._prolong = None if connection is None else connection.register_script(_PROLONG_REST)
        self._lock = threading.Lock()
        self._limits = 0
        self._free_at = float("-inf")
        self._rest_until = float("-inf")
        self._reported_at = float("-inf")

    @classmethod
    def of(cls, platform: str, settings: Settings) -> Line:
        """The line of these settings' Redis, not yet connected."""
        connection = None
        if settings.redis_url is not None:
            connection = Redis.from_url(
                settings.redis_url.get_secret_value(),
                socket_connect_timeout=_REDIS_SECONDS,
                socket_timeout=_REDIS_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        return cls(
            platform, connection=connection, calls_per_second=settings.supplier_calls_per_second
        )

    def send(self, call: Callable[[], Reply]) -> Reply:
        """What the call gives, made in its turn."""
        wait, rest = self._turn()
        if rest > 0:
            raise Unavailable(
                f"{self._platform} is left alone for a while.",
                code="supplier_resting",
                outcome="nothing_created",
                retry_after=max(1, -(-rest // _MICRO)),
            )
        if wait > 0:
            self._sleep(wait / _MICRO)
        return call() if self._breaker is None else self._breaker.ask(self._platform, call)

    def rest(self, seconds: int | None) -> None:
        """Nobody calls for that long, nor before a longer rest is over.

        None: the platform did not say for how long. Then 1 to 2 seconds, twice as long at each
        further limit in a row up to a minute, the exact time by chance.
        """
        length = self._unnamed_rest() if seconds is None else max(1.0, seconds)
        log.warning("supplier.rested", platform=self._platform, seconds=round(length, 1))
        with self._lock:
            self._rest_until = max(self._rest_until, self._clock() + length)
        if self._prolong is None:
            return
        try:
            self._prolong(keys=[self._key("rest")], args=[int(length * 1000)])
        except redis.exceptions.RedisError as error:
            self._report(error)

    def go_on(self) -> None:
        """The platform took a call: its next limit is the first in a row."""
        if self._limits == 0:
            return
        self._limits = 0
        if self._connection is None:
            return
        try:
            self._connection.delete(self._key("limits"))
        except redis.exceptions.RedisError as error:
            self._report(error)

    def close(self) -> None:
        """Give back the connection."""
        if self._connection is not None:
            self._connection.close()

    def _turn(self) -> tuple[int, int]:
        """Microseconds until our turn; or of rest, when it is no use to wait."""
        if self._take is not None:
            try:
                wait, rest, limits = self._take(
                    keys=[self._key("turn"), self._key("rest"), self._key("limits")],
                    args=[int(self._interval), BURST, int(LONGEST_WAIT_SECONDS * _MICRO)],
                )
            except redis.exceptions.RedisError as error:
                self._report(error)
            else:
                self._limits = int(limits)
                # A Redis that lost its memory does not end the rest that this process knows of.
                return int(wait), max(int(rest), self._own_rest(self._clock()))
        return self._own_turn()

    def _own_turn(self) -> tuple[int, int]:
        """The same within this process alone."""
        with self._lock:
            now = self._clock()
            rest = self._own_rest(now)
            if rest > 0:
                return 0, rest
            interval = self._interval / _MICRO
            start = max(self._free_at, now - (BURST - 1) * interval)
            wait = max(0.0, start - now)
            if wait > LONGEST_WAIT_SECONDS:
                return 0, int(wait * _MICRO)
            self._free_at = start + interval
            return int(wait * _MICRO), 0

    def _own_rest(self, now: float) -> int:
        """Microseconds of rest left as far as this process knows."""
        return int(max(0.0, self._rest_until - now) * _MICRO)

    def _unnamed_rest(self) -> float:
        """Seconds to rest after one more limit without a time."""
        with self._lock:
            self._limits += 1
            limits = self._limits
        if self._connection is not None:
            try:
                pipeline = self._connection.pipeline(transaction=False)
                pipeline.incr(self._key("limits"))
                pipeline.expire(self._key("limits"), _REMEMBERED_SECONDS)
                limits = max(limits, int(pipeline.execute()[0]))
            except redis.exceptions.RedisError as error:
                self._report(error)
        longest = min(2.0 ** min(limits, 16), LONGEST_UNNAMED_REST_SECONDS)
        return longest * (1 + self._chance()) / 2

    def _report(self, error: redis.exceptions.RedisError) -> None:
        now = self._clock()
        if now - self._reported_at >= _REPORTED_SECONDS:
            self._reported_at = now
            log.warning("redis.missed", platform=self._platform, error=type(error).__name__)

    def _key(self, what: Literal["turn", "rest", "limits"]) -> str:
        return f"supplier-{what}:{self._platform}"


class StoredTokens:
    """The platform's token out of the database, renewed by one process at a time.

    Fulfils `SupplierTokens`. The database says whether a token is due and who may fetch the next.
    """

    def __init__(
        self,
        platform: str,
        *,
        database: Caller,
        authority: SupplierAuthority,
        now: Callable[[], datetime] = now_utc,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._platform = platform
        self._database = database
        self._authority = authority
        self._now = now
        self._sleep = sleep
        self._token: str | None = None
        self._good_until: datetime | None = None

    def value(self) -> str:
        """A token that is still good, kept until it is due."""
        if self._token is None or self._good_until is None or self._now() >= self._good_until:
            return self._current(refused=None)
        return self._token

    def renewed(self, refused: str) -> str:
        """A newer token than the refused one."""
        return self._current(refused=refused)

    def offer_consent(self, redirect_uri: str) -> None:
        """Let the admins know where they can consent, and come back to `redirect_uri`."""
        self._database.call(
            "record_consent_page",
            platform=self._platform,
            consent_page=self._authority.consent_page(redirect_uri),
        )

    def _current(self, refused: str | None) -> str:
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            claim: dict[str, Any] = self._database.call(
                "claim_token_refresh",
                platform=self._platform,
                refused_token=refused,
                lease_seconds=LEASE_SECONDS,
            )
            state = claim["state"]
            if state == "good":
                return self._keep(claim)
            if state == "consent_needed":
                raise Misconfigured(
                    f"Nobody has let the shop use its account at {self._platform}.",
                    code="consent_needed",
                )
            if state != "awaited":
                return self._keep(self._fetched(claim))
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"Another process is renewing the token of {self._platform}.",
                    code="token_awaited",
                    outcome="nothing_created",
                    retry_after=int(claim["retry_after"]),
                )
            self._sleep(0.2)

    def _keep(self, claim: dict[str, Any]) -> str:
        self._token = str(claim["access_token"])
        self._good_until = datetime.fromisoformat(str(claim["good_until"]))
        return self._token

    def _fetched(self, claim: dict[str, Any]) -> dict[str, Any]:
        """Ask for the token that this process may ask for, and store it."""
        lease = claim["lease"]
        try:
            token = self._asked(claim)
        except ProviderError as error:
            self._database.call(
                "record_token_refused",
                platform=self._platform,
                lease=lease,
                code=error.code,
                is_final=error.code == "consent_needed",
            )
            if not claim.get("access_token"):
                raise
            # The one that is there stays good for a while: work goes on, and admins are told.
            log.warning("supplier_token.kept", platform=self._platform, code=error.code)
            return claim
        stored: dict[str, Any] | None = self._database.call(
            "record_supplier_token",
            platform=self._platform,
            lease=lease,
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            access_expires_at=token.access_expires_at,
            refresh_expires_at=token.refresh_expires_at,
            account_id=token.account_id,
        )
        if stored is None:
            raise Unavailable(
                f"The lease on the token of {self._platform} ran out.",
                code="token_awaited",
                outcome="nothing_created",
            )
        log.info("supplier_token.renewed", platform=self._platform, state=claim["state"])
        return stored

    def _asked(self, claim: dict[str, Any]) -> SupplierToken:
        if claim["state"] == "create":
            return self._authority.create_token(str(claim["code"]), self._now())
        return self._authority.refresh_token(str(claim["refresh_token"]), self._now())


@contextmanager
def open_supplier(
    platform: str, settings: Settings, database: Caller
) -> Iterator[SupplierProvider]:
    """A supplier platform for the length of a block.

    Raises `Misconfigured` (`provider_unknown`, `provider_not_configured`).
    """
    line = Line.of(platform, settings)
    try:
        tokens = StoredTokens(
            platform,
            database=database,
            authority=registry.supplier_authority(platform, settings, line=line),
        )
        yield registry.supplier_provider(platform, settings, line=line, tokens=tokens)
    finally:
        line.close()


@contextmanager
def open_tokens(platform: str, settings: Settings, database: Caller) -> Iterator[StoredTokens]:
    """The tokens of a platform alone."""
    line = Line.of(platform, settings)
    try:
        yield StoredTokens(
            platform,
            database=database,
            authority=registry.supplier_authority(platform, settings, line=line),
        )
    finally:
        line.close()
