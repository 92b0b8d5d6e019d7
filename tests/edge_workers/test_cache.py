"""The cache: two layers, one maker at a time, and nothing that depends on any of it."""

import socket
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_workers.cache import (
    REDIS_TIMEOUT_SECONDS,
    STALE_SECONDS,
    Cache,
    Fetched,
    _redis_key,
)
from edge_workers.errors import AppError, DataApiUnavailable, NotFoundError


class Clock:
    """Both clocks of a cache, set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Kitchen:
    """Makes answers, and counts them."""

    def __init__(self, *answers: bytes | AppError) -> None:
        self.answers = list(answers)
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        answer = self.answers[min(self.made, len(self.answers)) - 1]
        if isinstance(answer, AppError):
            raise answer
        return answer


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def cache_on(stack_env: dict[str, str], clock: Clock) -> Iterator[Callable[[], Cache]]:
    """Makes caches of several processes on the one Redis."""
    made: list[Cache] = []

    def make() -> Cache:
        made.append(Cache(stack_env["REDIS_URL"], clock=clock, wall_clock=clock))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that accepts and never says a word, like a Redis that is stopped with a signal."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()
    for connection in accepted:
        connection.close()


def new_key() -> str:
    return f"test:{uuid.uuid4()}"


# --- What this process keeps for itself ---------------------------------------------------------


def test_memory_keeps_a_value_until_its_time_is_over(clock: Clock) -> None:
    cache = Cache(None, clock=clock)
    cache.put("a", b"1", seconds=30)
    clock.now += 29.9
    assert cache.get("a") == b"1"
    clock.now += 0.1
    assert cache.get("a") is None


def test_memory_forgets_what_was_used_longest_ago() -> None:
    cache = Cache(None, capacity=2)
    cache.put("a", b"1", seconds=30)
    cache.put("b", b"2", seconds=30)
    cache.get("a")
    cache.put("c", b"3", seconds=30)
    assert [cache.get(key) for key in "abc"] == [b"1", None, b"3"]


# --- Answers that are the same for everybody ----------------------------------------------------


def test_an_answer_is_made_once_while_it_is_fresh(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"1", b"2")
    assert cache.fetch("a", kitchen, version=7, seconds=30) == Fetched(b"1", "miss")
    clock.now += 29.9
    assert cache.fetch("a", kitchen, version=7, seconds=30) == Fetched(b"1", "hit")
    clock.now += 0.1
    assert cache.fetch("a", kitchen, version=7, seconds=30) == Fetched(b"2", "miss")
    assert kitchen.made == 2


def test_a_newer_version_makes_it_anew_at_once(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"old", b"new")
    cache.fetch("a", kitchen, version=7, seconds=30)
    assert cache.fetch("a", kitchen, version=8, seconds=30) == Fetched(b"new", "miss")
    # who has not heard of the change yet takes the newer answer all the same
    assert cache.fetch("a", kitchen, version=7, seconds=30) == Fetched(b"new", "hit")


def test_without_a_version_time_alone_decides(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"1", b"2")
    cache.fetch("a", kitchen, version=None, seconds=30)
    assert cache.fetch("a", kitchen, version=None, seconds=30) == Fetched(b"1", "hit")
    # made when nobody knew of what: once the version is known it does not count
    assert cache.fetch("a", kitchen, version=1, seconds=30) == Fetched(b"2", "miss")


def test_a_hundred_who_ask_at_once_wait_for_one(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    everybody, is_made, calls = threading.Barrier(100), threading.Event(), []

    def build() -> bytes:
        calls.append(1)
        is_made.wait(5)
        return b"1"

    def ask() -> Fetched:
        everybody.wait(5)
        return cache.fetch("a", build, version=1, seconds=30)

    with ThreadPoolExecutor(100) as threads:
        asked = [threads.submit(ask) for _ in range(100)]
        time.sleep(0.2)
        is_made.set()
        bodies = [one.result(5).body for one in asked]
    assert (bodies, len(calls)) == ([b"1"] * 100, 1)


def test_while_one_makes_it_anew_the_others_have_the_last(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    cache.fetch("a", Kitchen(b"old"), version=1, seconds=30)
    has_begun, may_end = threading.Event(), threading.Event()

    def build() -> bytes:
        has_begun.set()
        may_end.wait(5)
        return b"new"

    with ThreadPoolExecutor(1) as threads:
        maker = threads.submit(cache.fetch, "a", build, version=2, seconds=30)
        has_begun.wait(5)
        other = Kitchen(b"never")
        assert cache.fetch("a", other, version=2, seconds=30) == Fetched(b"old", "stale")
        may_end.set()
        assert maker.result(5) == Fetched(b"new", "miss")
    assert cache.fetch("a", other, version=2, seconds=30) == Fetched(b"new", "hit")
    assert other.made == 0


def test_what_fails_for_one_fails_for_all_who_waited(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    both, may_end, calls = threading.Barrier(2), threading.Event(), []

    def build() -> bytes:
        calls.append(1)
        may_end.wait(5)
        raise NotFoundError("product_not_found")

    def ask() -> Fetched:
        both.wait(5)
        return cache.fetch("a", build, version=1, seconds=30)

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        time.sleep(0.2)
        may_end.set()
        for one in asked:
            with pytest.raises(NotFoundError):
                one.result(5)
    assert len(calls) == 1


def test_the_last_answer_stands_in_for_one_that_cannot_be_made(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"1", DataApiUnavailable(), b"2")
    cache.fetch("a", kitchen, version=1, seconds=30)
    clock.now += 60
    assert cache.fetch("a", kitchen, version=1, seconds=30) == Fetched(b"1", "stale")
    # for a second nobody tries again
    assert cache.fetch("a", kitchen, version=1, seconds=30) == Fetched(b"1", "stale")
    assert kitchen.made == 2
    clock.now += 1.1
    assert cache.fetch("a", kitchen, version=1, seconds=30) == Fetched(b"2", "miss")


def test_it_does_not_stand_in_for_ever(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"1", DataApiUnavailable())
    cache.fetch("a", kitchen, version=1, seconds=30)
    clock.now += 30 + STALE_SECONDS
    with pytest.raises(DataApiUnavailable):
        cache.fetch("a", kitchen, version=1, seconds=30)


def test_it_does_not_stand_in_for_a_refusal(clock: Clock) -> None:
    cache = Cache(None, clock=clock, wall_clock=clock)
    kitchen = Kitchen(b"1", NotFoundError("product_not_found"))
    cache.fetch("a", kitchen, version=1, seconds=30)
    with pytest.raises(NotFoundError):
        cache.fetch("a", kitchen, version=2, seconds=30)


# --- Several processes --------------------------------------------------------------------------


def test_another_process_finds_the_answer_in_redis(cache_on: Callable[[], Cache]) -> None:
    key, one, other = new_key(), cache_on(), cache_on()
    kitchen = Kitchen(b"\x00bytes", b"new")
    assert one.fetch(key, kitchen, version=3, seconds=5) == Fetched(b"\x00bytes", "miss")
    assert other.fetch(key, kitchen, version=3, seconds=5) == Fetched(b"\x00bytes", "hit")
    # and what it made of a newer version
    assert other.fetch(key, kitchen, version=4, seconds=5) == Fetched(b"new", "miss")
    assert one.fetch(key, kitchen, version=4, seconds=5) == Fetched(b"new", "hit")
    assert one.ping() is True


def test_what_is_not_shared_stays_out_of_redis(cache_on: Callable[[], Cache]) -> None:
    key, one, other = new_key(), cache_on(), cache_on()
    kitchen = Kitchen(b"1", b"2")
    one.fetch(key, kitchen, version=1, seconds=5, is_shared=False)
    assert one.fetch(key, kitchen, version=1, seconds=5, is_shared=False).state == "hit"
    assert other.fetch(key, kitchen, version=1, seconds=5) == Fetched(b"2", "miss")


def test_two_processes_make_it_once(cache_on: Callable[[], Cache]) -> None:
    key, one = new_key(), cache_on()
    # this one waits by the real clock
    other = Cache(None, clock=time.monotonic)
    other._redis = one._redis
    has_begun, may_end = threading.Event(), threading.Event()

    def build() -> bytes:
        has_begun.set()
        may_end.wait(5)
        return b"1"

    idle = Kitchen(b"never")
    with ThreadPoolExecutor(2) as threads:
        maker = threads.submit(one.fetch, key, build, version=None, seconds=5)
        has_begun.wait(5)
        waiting = threads.submit(other.fetch, key, idle, version=None, seconds=1e12)
        time.sleep(0.1)
        may_end.set()
        assert maker.result(5) == Fetched(b"1", "miss")
        assert waiting.result(5) == Fetched(b"1", "hit")
    assert idle.made == 0


def test_a_process_that_died_while_making_it_is_not_waited_for_long(
    cache_on: Callable[[], Cache],
) -> None:
    key, one = new_key(), cache_on()
    assert one._claim(key, "of a process that is gone") is True
    other = Cache(None)
    other._redis = one._redis
    began = time.monotonic()
    assert other.fetch(key, Kitchen(b"1"), version=1, seconds=5) == Fetched(b"1", "miss")
    assert 0.9 < time.monotonic() - began < 2


def test_bytes_in_redis_that_are_not_ours_are_nothing(cache_on: Callable[[], Cache]) -> None:
    key, one, other = new_key(), cache_on(), cache_on()
    one.fetch(key, Kitchen(b"1"), version=1, seconds=5)
    assert one._redis is not None
    for value in (b"", b"1", b"1 2\nnot zlib", b"x y\n" + zlib.compress(b"1")):
        one._redis.set(_redis_key(key), value, ex=5)
        assert other._ask_shared(key) is None
    assert other.fetch(key, Kitchen(b"2"), version=1, seconds=5) == Fetched(b"2", "miss")


# --- Without Redis ------------------------------------------------------------------------------


def test_a_redis_that_is_gone_costs_nothing() -> None:
    cache = Cache("redis://127.0.0.1:9/0")
    began = time.monotonic()
    assert cache.fetch("a", Kitchen(b"1"), version=1, seconds=30) == Fetched(b"1", "miss")
    assert cache.fetch("a", Kitchen(b"2"), version=1, seconds=30) == Fetched(b"1", "hit")
    assert time.monotonic() - began < 0.3
    assert cache.ping() is False


def test_a_frozen_redis_costs_a_quarter_second_and_is_then_left_alone(silent_server: int) -> None:
    cache = Cache(f"redis://127.0.0.1:{silent_server}/0")
    began = time.monotonic()
    assert cache.fetch("a", Kitchen(b"1"), version=1, seconds=30) == Fetched(b"1", "miss")
    first = time.monotonic() - began
    began = time.monotonic()
    for number in range(100):
        cache.fetch(f"a{number}", Kitchen(b"1"), version=1, seconds=30)
    assert first < 2 * REDIS_TIMEOUT_SECONDS + 0.2
    assert time.monotonic() - began < 0.1


def test_redis_is_asked_again_after_its_rest(cache_on: Callable[[], Cache], clock: Clock) -> None:
    cache = Cache("redis://127.0.0.1:9/0", clock=clock, wall_clock=clock)
    cache.fetch("a", Kitchen(b"1"), version=1, seconds=60)
    healthy = cache_on()
    cache._redis = healthy._redis
    key = new_key()
    healthy.fetch(key, Kitchen(b"2"), version=1, seconds=5)
    assert cache._ask_shared(key) is None
    clock.now += 5.1
    assert cache.fetch(key, Kitchen(b"3"), version=1, seconds=60) == Fetched(b"2", "hit")


def test_without_redis_there_is_none_to_ping() -> None:
    assert Cache(None).ping() is None
