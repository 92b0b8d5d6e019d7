"""The breaker: a gateway that hangs rests, whichever process asks, and is found again."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from rq.timeouts import JobTimeoutException

from edge_workers.config import Settings
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.worker.conftest import ROOT, RedisServer
from worker import breaker
from worker.breaker import Breaker


class Gateway:
    """What a gateway does when asked, and how often it was."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = Unavailable("silent", code="timed_out")

    def __call__(self) -> str:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return "answer"


@pytest.fixture
def every_failure_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given: each failure took as long as a timeout takes."""
    monkeypatch.setattr(breaker, "SLOW_SECONDS", 0.0)


@pytest.fixture
def shared(settings: Settings) -> Breaker:
    """A breaker on this test's Redis."""
    opened = Breaker.of(settings)
    assert opened is not None
    return opened


def ask(shared: Breaker, gateway: Callable[[], str], times: int, name: str = "kora") -> list[str]:
    """What came of asking so often: answers and codes."""
    seen = []
    for _ in range(times):
        try:
            seen.append(shared.ask(name, gateway))
        except (Unavailable, Rejected, Misconfigured) as error:
            seen.append(error.code)
        except JobTimeoutException:
            seen.append("killed")
    return seen


def let_rest_pass(redis_server: RedisServer, name: str = "kora") -> int:
    """Set the clock: the rest is over; the seconds it was to last."""
    key = f"gateway-rest:{name}"
    seconds = redis_server.client().ttl(key)
    redis_server.client().delete(key)
    return int(seconds)


@pytest.mark.usefixtures("every_failure_is_slow")
def test_a_silent_gateway_rests_and_is_not_asked(shared: Breaker) -> None:
    gateway = Gateway()

    assert ask(shared, gateway, 4) == ["timed_out", "timed_out", *["gateway_resting"] * 2]

    assert gateway.asked == 2


@pytest.mark.usefixtures("every_failure_is_slow")
def test_a_rest_says_that_nothing_was_created_and_how_long_to_wait(shared: Breaker) -> None:
    gateway = Gateway()
    ask(shared, gateway, 2)

    with pytest.raises(Unavailable) as resting:
        shared.ask("kora", gateway)

    assert resting.value.outcome == "nothing_created"
    assert resting.value.retry_after == breaker.FIRST_REST_SECONDS


@pytest.mark.usefixtures("every_failure_is_slow")
def test_other_gateways_are_asked_meanwhile(shared: Breaker) -> None:
    other = Gateway()
    other.failure = None
    ask(shared, Gateway(), 2)

    assert ask(shared, other, 1, name="orange") == ["answer"]


@pytest.mark.usefixtures("every_failure_is_slow")
def test_each_rest_is_longer_up_to_a_limit(shared: Breaker, redis_server: RedisServer) -> None:
    gateway = Gateway()
    ask(shared, gateway, 1)

    rests = []
    for _ in range(5):
        ask(shared, gateway, 1)
        rests.append(let_rest_pass(redis_server))

    assert rests == [15, 30, 60, 60, 60]


@pytest.mark.usefixtures("every_failure_is_slow")
def test_one_answer_ends_the_silence(shared: Breaker, redis_server: RedisServer) -> None:
    gateway = Gateway()
    ask(shared, gateway, 2)
    let_rest_pass(redis_server)
    gateway.failure = None
    assert ask(shared, gateway, 1) == ["answer"]

    gateway.failure = Unavailable("silent", code="timed_out")

    assert ask(shared, gateway, 2) == ["timed_out", "timed_out"]
    assert redis_server.client().ttl("gateway-rest:kora") == breaker.FIRST_REST_SECONDS


@pytest.mark.usefixtures("every_failure_is_slow")
@pytest.mark.parametrize("failure", [Rejected("no"), Misconfigured("no key")], ids=str)
def test_a_refusal_is_an_answer(
    shared: Breaker, redis_server: RedisServer, failure: Exception
) -> None:
    gateway = Gateway()
    ask(shared, gateway, 1)
    gateway.failure = failure
    ask(shared, gateway, 1)
    gateway.failure = Unavailable("silent", code="timed_out")

    assert ask(shared, gateway, 1) == ["timed_out"]
    assert redis_server.client().exists("gateway-rest:kora") == 0


def test_quick_failures_hold_nobody_up_and_do_not_count(shared: Breaker) -> None:
    gateway = Gateway()

    assert ask(shared, gateway, 5) == ["timed_out"] * 5


@pytest.mark.usefixtures("every_failure_is_slow")
def test_a_job_that_was_stopped_over_it_counts_as_silence(shared: Breaker) -> None:
    gateway = Gateway()
    gateway.failure = JobTimeoutException()

    assert ask(shared, gateway, 3) == ["killed", "killed", "gateway_resting"]


@pytest.mark.usefixtures("every_failure_is_slow")
def test_another_process_knows_it_too(shared: Breaker, redis_server: RedisServer) -> None:
    ask(shared, Gateway(), 2)
    program = (
        "import sys, redis; from worker.breaker import Breaker\n"
        "from edge_workers.providers.errors import Unavailable\n"
        "try: Breaker(redis.Redis.from_url(sys.argv[1])).ask('kora', lambda: 'answer')\n"
        "except Unavailable as error: print(error.code)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program, redis_server.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "gateway_resting" in said.stdout


@pytest.mark.usefixtures("every_failure_is_slow")
@pytest.mark.parametrize("is_frozen", [False, True], ids=["killed", "frozen"])
def test_without_redis_every_question_is_put(
    shared: Breaker, redis_server: RedisServer, is_frozen: bool
) -> None:
    gateway = Gateway()
    ask(shared, gateway, 2)
    redis_server.freeze() if is_frozen else redis_server.kill()

    assert ask(shared, gateway, 2) == ["timed_out", "timed_out"]

    gateway.failure = None
    assert ask(shared, gateway, 1) == ["answer"]


def test_without_a_redis_url_there_is_none(settings: Settings) -> None:
    assert Breaker.of(settings.model_copy(update={"redis_url": None})) is None
