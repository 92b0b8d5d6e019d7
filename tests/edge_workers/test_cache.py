"""The cache: two layers, and nothing that depends on either."""

import socket
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from edge_workers.cache import REDIS_TIMEOUT_SECONDS, Cache


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


def test_memory_keeps_a_value_until_its_time_is_over() -> None:
    now = [0.0]
    cache = Cache(None, clock=lambda: now[0])
    cache.put("a", b"1", seconds=30)
    now[0] = 29.9
    assert cache.get("a", seconds=30) == b"1"
    now[0] = 30.0
    assert cache.get("a", seconds=30) is None


def test_memory_forgets_what_was_used_longest_ago() -> None:
    cache = Cache(None, capacity=2)
    cache.put("a", b"1", seconds=30)
    cache.put("b", b"2", seconds=30)
    cache.get("a", seconds=30)
    cache.put("c", b"3", seconds=30)
    assert [cache.get(key, seconds=30) for key in "abc"] == [b"1", None, b"3"]


def test_another_process_finds_the_value_in_redis(stack_env: dict[str, str]) -> None:
    key = f"test:{uuid.uuid4()}"
    one, other = Cache(stack_env["REDIS_URL"]), Cache(stack_env["REDIS_URL"])
    assert other.get(key, seconds=5) is None
    one.put(key, b"\x00bytes", seconds=5)
    assert other.get(key, seconds=5) == b"\x00bytes"
    assert one.ping() is True
    one.close()
    other.close()


def test_what_is_not_shared_stays_out_of_redis(stack_env: dict[str, str]) -> None:
    key = f"test:{uuid.uuid4()}"
    one, other = Cache(stack_env["REDIS_URL"]), Cache(stack_env["REDIS_URL"])
    one.put(key, b"1", seconds=5, is_shared=False)
    assert one.get(key, seconds=5, is_shared=False) == b"1"
    assert other.get(key, seconds=5) is None
    one.close()
    other.close()


def test_a_redis_that_is_gone_costs_nothing() -> None:
    cache = Cache("redis://127.0.0.1:9/0")
    began = time.monotonic()
    cache.put("a", b"1", seconds=30)
    assert cache.get("a", seconds=30) == b"1"
    assert cache.get("b", seconds=30) is None
    assert time.monotonic() - began < 0.3
    assert cache.ping() is False


def test_a_frozen_redis_costs_a_quarter_second_and_is_then_left_alone(silent_server: int) -> None:
    cache = Cache(f"redis://127.0.0.1:{silent_server}/0")
    began = time.monotonic()
    assert cache.get("a", seconds=30) is None
    first = time.monotonic() - began
    began = time.monotonic()
    for _ in range(100):
        cache.get("a", seconds=30)
    assert first < 2 * REDIS_TIMEOUT_SECONDS + 0.2
    assert time.monotonic() - began < 0.1


def test_redis_is_asked_again_after_its_rest(stack_env: dict[str, str]) -> None:
    now = [0.0]
    cache = Cache("redis://127.0.0.1:9/0", clock=lambda: now[0])
    cache.put("a", b"1", seconds=60)
    healthy = Cache(stack_env["REDIS_URL"])
    cache._redis = healthy._redis
    key = f"test:{uuid.uuid4()}"
    healthy.put(key, b"2", seconds=5)
    assert cache.get(key, seconds=5) is None
    now[0] = 5.1
    assert cache.get(key, seconds=5) == b"2"
    healthy.close()


def test_without_redis_there_is_none_to_ping() -> None:
    assert Cache(None).ping() is None
