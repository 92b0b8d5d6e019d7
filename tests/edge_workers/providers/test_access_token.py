"""A token is fetched once for all who wait, kept while it is good, and renewed once on 401."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from edge_workers.providers.access_token import AccessToken, FetchedToken
from edge_workers.providers.errors import Misconfigured, Outcome, ProviderError, Unavailable
from edge_workers.providers.transport import Answer


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Endpoint:
    """Gives t1, t2, …; fails while it has an error; waits while its gate is closed."""

    expires_in: float = 3600.0
    error: ProviderError | None = None
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self) -> FetchedToken:
        self.calls += 1
        number = self.calls
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return FetchedToken(f"t{number}", self.expires_in)


def all_at_once(count: int, act: Callable[[], str]) -> list[str | ProviderError]:
    """What each of many threads got."""
    results: list[str | ProviderError] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            results.append(act())
        except ProviderError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


@pytest.mark.parametrize(
    ("expires_in", "good_for"),
    [(3600.0, 3540.0), (120.0, 60.0), (100.0, 50.0), (1.0, 0.5)],
)
def test_a_token_is_good_until_shortly_before_its_end(expires_in: float, good_for: float) -> None:
    clock, endpoint = Clock(), Endpoint(expires_in)
    token = AccessToken(endpoint, clock=clock)
    assert token.value() == "t1"
    clock.now += good_for - 0.01
    assert token.value() == "t1"
    clock.now += 0.02
    assert token.value() == "t2"
    assert endpoint.calls == 2


@pytest.mark.parametrize("expires_in", [0.0, -5.0])
def test_a_token_without_a_life_is_used_once(expires_in: float) -> None:
    endpoint = Endpoint(expires_in)
    token = AccessToken(endpoint, clock=Clock())
    assert [token.value(), token.value()] == ["t1", "t2"]


def test_many_threads_share_one_fetch() -> None:
    endpoint = Endpoint()
    endpoint.gate.clear()
    token = AccessToken(endpoint)
    threading.Timer(0.2, endpoint.gate.set).start()
    assert all_at_once(20, token.value) == ["t1"] * 20
    assert endpoint.calls == 1


def test_many_threads_share_one_failure_and_the_next_one_tries_again() -> None:
    endpoint = Endpoint(error=Unavailable("away", code="timed_out", retry_after=3))
    endpoint.gate.clear()
    token = AccessToken(endpoint)
    threading.Timer(0.2, endpoint.gate.set).start()
    failures = all_at_once(20, token.value)
    assert endpoint.calls == 1
    assert len({id(failure) for failure in failures}) == 20
    for failure in failures:
        assert isinstance(failure, Unavailable)
        assert (str(failure), failure.code, failure.retry_after) == ("away", "timed_out", 3)
        assert failure.outcome == "nothing_created"
    endpoint.error = None
    assert token.value() == "t2"


def test_those_who_wait_hear_of_a_crash_too() -> None:
    def crash() -> FetchedToken:
        time.sleep(0.2)
        raise KeyError("not a provider's error")

    token = AccessToken(crash)
    crashed: list[str] = []

    def run() -> None:
        try:
            token.value()
        except (KeyError, RuntimeError) as error:
            crashed.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(10)
    assert sorted(crashed) == ["KeyError", "RuntimeError", "RuntimeError"]


def test_only_the_token_that_was_refused_is_forgotten() -> None:
    endpoint = Endpoint()
    token = AccessToken(endpoint)
    assert token.value() == "t1"
    token.invalidate("t0")
    assert token.value() == "t1"
    token.invalidate("t1")
    assert token.value() == "t2"
    token.invalidate("t1")
    assert token.value() == "t2"


@pytest.mark.parametrize(
    ("answers", "status", "used"),
    [
        ([202], 202, ["t1"]),
        ([401, 202], 202, ["t1", "t2"]),
        ([401, 401], 401, ["t1", "t2"]),
        ([403], 403, ["t1"]),
    ],
)
def test_a_refused_token_is_renewed_exactly_once(
    answers: list[int], status: int, used: list[str]
) -> None:
    endpoint, sent, left = Endpoint(), list[str](), list(answers)

    def call(token: str) -> Answer:
        sent.append(token)
        return Answer(left.pop(0), b"")

    assert AccessToken(endpoint).send(call).status == status
    assert (sent, endpoint.calls) == (used, len(used))


@pytest.mark.parametrize("outcome", ["unknown", "nothing_created"])
def test_a_token_that_cannot_be_had_created_nothing(outcome: Outcome) -> None:
    for kind in (Unavailable, Misconfigured):
        token = AccessToken(Endpoint(error=kind("no", outcome=outcome)))
        with pytest.raises(kind) as failure:
            token.send(lambda _: Answer(200, b""))
        assert failure.value.outcome == "nothing_created"


def test_a_token_does_not_show() -> None:
    assert "secret" not in repr(FetchedToken("secret", 3600))


def test_a_child_process_does_not_wait_for_its_parents_fetch() -> None:
    endpoint = Endpoint()
    endpoint.gate.clear()
    token = AccessToken(endpoint)
    fetching = threading.Thread(target=token.value)
    fetching.start()
    while not endpoint.calls:
        time.sleep(0.01)
    reader, writer = os.pipe()
    child = _fork()
    if child == 0:
        endpoint.gate.set()
        os.write(writer, token.value().encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 10)
    os.close(reader)
    os.waitpid(child, 0)
    endpoint.gate.set()
    fetching.join(10)
    assert said == b"t2"
    assert token.value() == "t1"


def _fork() -> int:
    """A child that inherits this process's memory, as a worker's does."""
    return os.fork()
