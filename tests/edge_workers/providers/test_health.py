"""A gateway that hangs holds few threads, one that fails is left alone; both are found again."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge_workers.config import Settings
from edge_workers.providers import health
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.health import FAILURES, FIRST_PAUSE_SECONDS, GatewayHealth
from edge_workers.providers.transport import Transport
from tests.conftest import ROOT
from tests.contracts.peer import Said, peer
from tests.sandbox.running import free_port

WIDTH = 5


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> GatewayHealth:
    return GatewayHealth(calls_at_once=WIDTH, clock=clock)


def timed_out() -> Unavailable:
    return Unavailable("silence", code="timed_out")


def ask(
    known: GatewayHealth,
    error: ProviderError | None = None,
    *,
    gateway: str = "kora",
    operation: str = "start",
) -> str:
    """One call that was answered, and ends well or with `error`: what came of it."""
    try:
        with known.call(gateway, operation) as heard:
            if error is None or error.code not in health.FAILURE_CODES:
                heard.answers += 1
            if error is not None:
                raise error
    except ProviderError as raised:
        return raised.code
    return "answered"


def held_back(known: GatewayHealth, gateway: str = "kora", operation: str = "start") -> Unavailable:
    """Why a call does not go out; it must not."""
    with pytest.raises(Unavailable) as refusal, known.call(gateway, operation):
        pytest.fail("the gateway was asked")
    assert refusal.value.outcome == "nothing_created"
    return refusal.value


def opened(known: GatewayHealth) -> None:
    for _ in range(FAILURES):
        ask(known, timed_out())


# --- The breaker ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(health.FAILURE_CODES))
def test_five_failures_in_a_row_open_it_whatever_their_kind(
    known: GatewayHealth, code: str
) -> None:
    failure = Unavailable("no answer", code=code)
    assert [ask(known, failure) for _ in range(FAILURES)] == [code] * FAILURES
    assert FAILURES <= 10
    refusal = held_back(known)
    assert (refusal.code, refusal.retry_after) == ("breaker_open", int(FIRST_PAUSE_SECONDS))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Rejected("no", code="charge_refused"),
        Misconfigured("our key", code="key_refused"),
        Unavailable("it exists", code="reference_exists"),
        Unavailable("wait", code="rate_limited", outcome="nothing_created"),
    ],
    ids=["an answer", "a refusal", "a refused key", "a duplicate", "too many calls"],
)
def test_an_answer_of_any_kind_is_health(
    known: GatewayHealth, answer: ProviderError | None
) -> None:
    for _ in range(3):
        for _ in range(FAILURES - 1):
            ask(known, timed_out())
        ask(known, answer)
    assert ask(known) == "answered"


def test_a_refusal_before_the_gateway_was_asked_says_nothing_of_it(
    known: GatewayHealth, clock: Clock
) -> None:
    opened(known)
    clock.now += FIRST_PAUSE_SECONDS
    with pytest.raises(Rejected), known.call("kora", "start"):
        raise Rejected("no address", code="email_required")
    with known.call("kora", "start"):
        assert held_back(known).code == "breaker_open"


def test_an_error_of_our_own_says_nothing_of_the_gateway(known: GatewayHealth) -> None:
    for _ in range(FAILURES - 1):
        ask(known, timed_out())
    with pytest.raises(ZeroDivisionError), known.call("kora", "start"):
        raise ZeroDivisionError
    ask(known, timed_out())
    assert held_back(known).code == "breaker_open"


def test_after_the_pause_one_call_goes_through_and_its_answer_closes_it(
    known: GatewayHealth, clock: Clock
) -> None:
    opened(known)
    clock.now += FIRST_PAUSE_SECONDS - 0.1
    assert held_back(known).retry_after == 1
    clock.now += 0.1
    with known.call("kora", "start") as heard:
        assert held_back(known).code == "breaker_open"
        heard.answers += 1
    assert [ask(known) for _ in range(3)] == ["answered"] * 3


def test_each_pause_is_twice_as_long_up_to_a_minute(known: GatewayHealth, clock: Clock) -> None:
    opened(known)
    pauses = []
    for _ in range(6):
        pauses.append(held_back(known).retry_after)
        clock.now += pauses[-1] or 0
        assert ask(known, timed_out()) == "timed_out"
    assert pauses == [5, 10, 20, 40, 60, 60]
    clock.now += 60
    ask(known)
    opened(known)
    assert held_back(known).retry_after == 5


def test_a_probe_that_ends_on_our_own_side_leaves_the_question_open(
    known: GatewayHealth, clock: Clock
) -> None:
    opened(known)
    clock.now += FIRST_PAUSE_SECONDS
    with pytest.raises(ZeroDivisionError), known.call("kora", "start"):
        raise ZeroDivisionError
    with known.call("kora", "start"):
        assert held_back(known).code == "breaker_open"
    assert ask(known) == "answered"


@pytest.mark.parametrize("end", [None, timed_out()], ids=["an answer", "a failure"])
def test_what_began_before_it_opened_neither_closes_nor_prolongs_it(
    known: GatewayHealth, clock: Clock, end: ProviderError | None
) -> None:
    late = known.call("kora", "start")
    late.__enter__().answers += 1
    opened(known)
    clock.now += 2
    if end is None:
        late.__exit__(None, None, None)
    else:
        assert not late.__exit__(type(end), end, None)
    assert (held_back(known).code, held_back(known).retry_after) == ("breaker_open", 3)


def test_operations_and_gateways_are_known_apart(known: GatewayHealth) -> None:
    opened(known)
    assert held_back(known).code == "breaker_open"
    assert ask(known, operation="authorize") == "answered"
    assert ask(known, gateway="orange") == "answered"


def test_opening_and_closing_is_told_once(known: GatewayHealth, clock: Clock) -> None:
    with capture_logs() as lines:
        opened(known)
        for _ in range(3):
            held_back(known)
        clock.now += FIRST_PAUSE_SECONDS
        ask(known, timed_out())
        clock.now += 2 * FIRST_PAUSE_SECONDS
        for _ in range(3):
            ask(known)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("provider.breaker_opened", "warning"),
        ("provider.breaker_closed", "info"),
    ]
    assert lines[1] == {
        "event": "provider.breaker_closed",
        "log_level": "info",
        "provider": "kora",
        "operation": "start",
        "open_seconds": 15.0,
    }


# --- What the gateway asks for ----------------------------------------------------------------


@pytest.mark.parametrize(("asked", "kept"), [(7, 7), (3600, 60)])
def test_a_gateway_that_wants_to_be_left_alone_is(
    known: GatewayHealth, clock: Clock, asked: int, kept: int
) -> None:
    ask(known, Unavailable("wait", code="rate_limited", retry_after=asked))
    refusal = held_back(known)
    assert (refusal.code, refusal.retry_after) == ("rate_limited", kept)
    clock.now += kept
    assert ask(known) == "answered"


def test_too_many_calls_after_the_pause_close_the_breaker_and_are_waited_for(
    known: GatewayHealth, clock: Clock
) -> None:
    opened(known)
    clock.now += FIRST_PAUSE_SECONDS
    ask(known, Unavailable("wait", code="rate_limited", retry_after=2))
    assert held_back(known).code == "rate_limited"
    clock.now += 2
    assert ask(known) == "answered"


# --- The bulkhead -----------------------------------------------------------------------------


def test_a_gateway_that_hangs_holds_so_many_threads_and_no_more(known: GatewayHealth) -> None:
    release, hanging = threading.Event(), threading.Barrier(WIDTH + 1)

    def hang() -> None:
        with known.call("kora", "start"):
            hanging.wait(10)
            release.wait(10)

    threads = [threading.Thread(target=hang) for _ in range(WIDTH)]
    for thread in threads:
        thread.start()
    hanging.wait(10)
    refusals = [held_back(known) for _ in range(20)]
    assert {(refusal.code, refusal.retry_after) for refusal in refusals} == {("busy", 1)}
    assert held_back(known, operation="authorize").code == "busy"
    assert ask(known, gateway="orange") == "answered"
    release.set()
    for thread in threads:
        thread.join()
    assert ask(known) == "answered"


def test_all_gateways_together_hold_no_more_than_two_of_them_may(known: GatewayHealth) -> None:
    with ExitStack() as hanging:
        for gateway in ("kora", "orange"):
            for _ in range(WIDTH):
                hanging.enter_context(known.call(gateway, "start"))
        assert held_back(known, gateway="mtn").code == "busy"
    assert ask(known, gateway="mtn") == "answered"


def test_who_waits_for_anothers_call_counts_among_all(known: GatewayHealth) -> None:
    with ExitStack() as waiting:
        for _ in range(2 * WIDTH):
            waiting.enter_context(known.waiting("kora"))
        with pytest.raises(Unavailable, match="not asked") as refusal, known.waiting("kora"):
            pytest.fail("it waited")
        assert refusal.value.code == "busy"
        assert held_back(known, gateway="orange").code == "busy"
    assert ask(known) == "answered"


def test_busy_is_no_failure(known: GatewayHealth) -> None:
    with ExitStack() as hanging:
        for _ in range(WIDTH):
            hanging.enter_context(known.call("kora", "start"))
        for _ in range(2 * FAILURES):
            held_back(known)
    assert ask(known) == "answered"


def test_a_gateway_may_hold_less_than_a_third_of_the_edges_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EDGE_THREADS", raising=False)
    served = runpy.run_path(str(Path(ROOT) / "scripts/local/gunicorn.conf.py"))
    width = Settings.model_fields["payment_calls_at_once"].default
    assert 3 * width < served["threads"]


def test_many_threads_leave_the_counts_right(known: GatewayHealth) -> None:
    def run() -> None:
        for number in range(200):
            ask(known, timed_out() if number % 3 else None)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert known._calls == 0
    assert known._gateways["kora"].calls == 0


# --- With the transport -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_url", "code"),
    [
        (lambda: f"http://127.0.0.1:{free_port()}", "not_reached"),
        (lambda: None, "server_error"),
    ],
)
def test_what_the_transport_reports_opens_it_and_the_gateway_hears_no_more(
    known: GatewayHealth, make_url: Callable[[], str | None], code: str
) -> None:
    with peer(*[Said(500)] * FAILURES) as other:
        transport = Transport(
            provider="example", base_url=make_url() or other.url, timeout_seconds=5
        )

        def call() -> str:
            try:
                with known.call("example", "start"):
                    transport.send("POST", "/x", operation="create", content=b"{}")
            except Unavailable as failure:
                return failure.code
            return "answered"

        assert [call() for _ in range(10)] == [code] * FAILURES + ["breaker_open"] * 5
        assert len(other.heard) in (0, FAILURES)
