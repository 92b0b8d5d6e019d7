"""Supplier platforms as jobs use them: one line for all processes, a token that one renews."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from redis import Redis

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.providers.contracts.suppliers import SupplierQuery, SupplierToken
from edge_workers.providers.errors import Misconfigured, ProviderError, Unavailable
from tests.contracts.profiles import NOBODY, values_for
from tests.sandbox.running import RunningSandbox, running_sandbox
from tests.worker.conftest import RedisServer, wait_until
from worker import suppliers
from worker.breaker import SILENCES
from worker.jobs.suppliers import refresh_supplier_tokens
from worker.suppliers import BURST, LONGEST_WAIT_SECONDS, Line, StoredTokens, open_supplier
from worker.task import Task

Admin = psycopg.Connection[dict[str, Any]]
PLATFORM = "aliexpress"
QUERY = SupplierQuery(country="ZA", currency="USD", keyword="speakers")


# The line


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


def own_line(
    clock: Clock, calls_per_second: float = 1.0, chance: Callable[[], float] = lambda: 1.0
) -> Line:
    """A line of a process without Redis."""
    return Line(
        PLATFORM,
        connection=None,
        calls_per_second=calls_per_second,
        sleep=clock.sleep,
        clock=clock,
        chance=chance,
    )


def shared_line(redis_server: RedisServer, calls_per_second: float, slept: list[float]) -> Line:
    """A line of a process of its own, which notes how long it would sleep and does not."""
    return Line(
        PLATFORM,
        connection=redis_server.client(),
        calls_per_second=calls_per_second,
        sleep=slept.append,
        chance=lambda: 1.0,
    )


def rest_of(line: Line) -> int:
    """Seconds for which nobody calls."""
    with pytest.raises(Unavailable) as error:
        line.send(lambda: pytest.fail("called"))
    assert error.value.code == "supplier_resting"
    assert error.value.retry_after is not None
    return error.value.retry_after


def codes_of(line: Line, times: int, call: Callable[[], str] = lambda: "") -> list[str]:
    """What came of so many calls."""
    codes: list[str] = []
    for _ in range(times):
        try:
            codes.append(line.send(call))
        except ProviderError as error:
            codes.append(error.code)
    return codes


def test_a_line_of_its_own_keeps_the_pace() -> None:
    clock = Clock()
    line = own_line(clock)
    assert codes_of(line, 5) == [""] * 5
    assert clock.slept == [1.0, 1.0, 1.0]
    assert clock.now == 1003.0
    clock.now += 60
    assert codes_of(line, BURST) == [""] * BURST
    assert clock.slept == [1.0, 1.0, 1.0]


def test_a_line_of_its_own_rests() -> None:
    clock = Clock()
    line = own_line(clock)
    line.rest(77)
    with pytest.raises(Unavailable) as error:
        line.send(lambda: pytest.fail("called"))
    assert (error.value.code, error.value.retry_after) == ("supplier_resting", 77)
    assert error.value.outcome == "nothing_created"
    clock.now += 77
    assert line.send(lambda: "called") == "called"


def test_a_short_rest_does_not_end_a_long_one() -> None:
    clock = Clock()
    line = own_line(clock)
    line.rest(77)
    line.rest(2)
    assert rest_of(line) == 77
    clock.now += 76
    line.rest(10)
    assert rest_of(line) == 10


@pytest.mark.parametrize(
    ("chance", "rests"),
    [(0.0, [1, 2, 4, 8, 16, 30, 30]), (1.0, [2, 4, 8, 16, 32, 60, 60])],
)
def test_limits_without_a_time_rest_longer_each_time(chance: float, rests: list[int]) -> None:
    clock = Clock()
    line = own_line(clock, chance=lambda: chance)
    for seconds in rests:
        line.rest(None)
        assert rest_of(line) == seconds
        clock.now += seconds
    assert line.send(lambda: "called") == "called"
    line.go_on()
    line.rest(None)
    assert rest_of(line) == rests[0]


def test_processes_share_one_line(redis_server: RedisServer) -> None:
    slept: list[float] = []
    lines = [shared_line(redis_server, 2.0, slept) for _ in range(3)]
    began = time.monotonic()
    for line in (*lines, *lines):
        line.send(lambda: "")
    took = time.monotonic() - began
    # Six calls, two at once and then one each half second.
    assert len(slept) == 4
    for position, wait in enumerate(sorted(slept), start=1):
        assert position * 0.5 - took - 0.01 <= wait <= position * 0.5


def test_the_pace_holds_by_the_clock_on_the_wall(redis_server: RedisServer) -> None:
    stamps: list[float] = []
    lock = threading.Lock()

    def call() -> str:
        with lock:
            stamps.append(time.monotonic())
        return ""

    def work() -> None:
        line = Line(PLATFORM, connection=redis_server.client(), calls_per_second=20.0)
        codes_of(line, 5, call)
        line.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stamps.sort()
    assert len(stamps) == 20
    # Twenty calls at twenty a second, of which BURST may be early.
    assert stamps[-1] - stamps[0] > (20 - BURST - 1) / 20
    for first, last in zip(stamps, stamps[10:], strict=False):
        assert last - first > (10 - BURST - 1) / 20


def test_who_would_wait_too_long_comes_back_later(redis_server: RedisServer) -> None:
    slept: list[float] = []
    line = shared_line(redis_server, 0.5, slept)
    codes = codes_of(line, 6)
    assert codes == ["", "", "", "", "supplier_resting", "supplier_resting"]
    assert max(slept) <= LONGEST_WAIT_SECONDS
    with pytest.raises(Unavailable) as error:
        line.send(lambda: "")
    assert error.value.retry_after is not None
    assert 5 <= error.value.retry_after <= 8


def test_a_ban_is_everybodys(redis_server: RedisServer) -> None:
    slept: list[float] = []
    line, other = (shared_line(redis_server, 100.0, slept) for _ in range(2))
    line.rest(14229)
    with pytest.raises(Unavailable) as error:
        other.send(lambda: pytest.fail("called"))
    assert error.value.code == "supplier_resting"
    assert error.value.retry_after is not None
    assert 14220 < error.value.retry_after <= 14229
    redis_server.client().delete(f"supplier-rest:{PLATFORM}")
    assert other.send(lambda: "called") == "called"


def test_a_short_ban_after_a_long_one_forgets_nothing(redis_server: RedisServer) -> None:
    line, other, third = (shared_line(redis_server, 100.0, []) for _ in range(3))
    line.rest(14229)
    other.rest(2)
    assert 14220 < rest_of(third) <= 14229
    other.rest(20_000)
    assert 19_990 < rest_of(third) <= 20_000


def test_limits_without_a_time_are_counted_for_all(redis_server: RedisServer) -> None:
    client: Redis = redis_server.client()
    rests: list[int] = []
    for _ in range(3):
        line = shared_line(redis_server, 100.0, [])
        assert line.send(lambda: "called") == "called"
        line.rest(None)
        rests.append(rest_of(shared_line(redis_server, 100.0, [])))
        client.delete(f"supplier-rest:{PLATFORM}")
    assert rests == [2, 4, 8]
    line = shared_line(redis_server, 100.0, [])
    line.send(lambda: "called")
    line.go_on()
    other = shared_line(redis_server, 100.0, [])
    other.rest(None)
    assert rest_of(line) == 2


def test_a_process_keeps_the_rest_that_redis_forgot(redis_server: RedisServer) -> None:
    line = shared_line(redis_server, 100.0, [])
    line.rest(77)
    redis_server.client().flushall()
    assert 70 < rest_of(line) <= 77
    redis_server.client().set(f"supplier-rest:{PLATFORM}", 1, ex=500)
    assert 490 < rest_of(line) <= 500


def test_a_platform_that_hangs_is_left_alone(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.breaker.SLOW_SECONDS", 0.0)
    asked: list[int] = []

    def hang() -> str:
        asked.append(1)
        raise Unavailable("silent", code="timed_out")

    lines = [shared_line(redis_server, 1000.0, []) for _ in range(2)]
    codes = codes_of(lines[0], SILENCES, hang) + codes_of(lines[1], 3, hang)
    assert codes == ["timed_out"] * SILENCES + ["gateway_resting"] * 3
    assert len(asked) == SILENCES


def test_without_redis_the_work_goes_on_at_its_pace(redis_server: RedisServer) -> None:
    slept: list[float] = []
    line = shared_line(redis_server, 10.0, slept)
    assert line.send(lambda: "before") == "before"
    redis_server.kill()
    assert codes_of(line, 4) == [""] * 4
    assert len(slept) == 4 - BURST
    line.rest(30)
    assert codes_of(line, 1) == ["supplier_resting"]


def test_a_line_that_redis_forgot_begins_anew(redis_server: RedisServer) -> None:
    slept: list[float] = []
    line = shared_line(redis_server, 1.0, slept)
    codes_of(line, 4)
    assert len(slept) == 2
    client: Redis = redis_server.client()
    client.flushall()
    codes_of(line, BURST)
    assert len(slept) == 2


# Tokens


class Giver:
    """A token endpoint in this process: what it was asked for, and what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.failure: ProviderError | None = None
        self.before: Callable[[], None] = lambda: None
        self.life = timedelta(days=30)

    def consent_page(self, redirect_uri: str) -> str:
        return f"https://consent.test/?redirect_uri={redirect_uri}"

    def create_token(self, code: str, now: datetime) -> SupplierToken:
        return self._token("create", code, now)

    def refresh_token(self, refresh_token: str, now: datetime) -> SupplierToken:
        return self._token("refresh", refresh_token, now)

    def _token(self, kind: str, secret: str, now: datetime) -> SupplierToken:
        self.asked.append((kind, secret))
        self.before()
        if self.failure is not None:
            raise self.failure
        count = len(self.asked)
        return SupplierToken(
            access_token=f"at-{count}",
            refresh_token=f"rt-{count}",
            access_expires_at=now + self.life,
            refresh_expires_at=now + 2 * self.life,
            account_id="100001",
        )


@pytest.fixture
def consented(admin: Admin) -> Iterator[Admin]:
    """AliExpress with a consent that waits for its token; no schedule looks after it meanwhile."""
    schedule = "update private.schedules set is_enabled = %s where job = 'refresh_supplier_tokens'"
    admin.execute(schedule, [False])
    admin.execute("delete from private.supplier_tokens")
    admin.execute("delete from private.payment_exceptions where kind = 'supplier_consent_ends'")
    admin.execute(
        "insert into private.supplier_tokens (platform, consent_code, consented_at) "
        "values (%s, 'sandbox-consent', now())",
        [PLATFORM],
    )
    yield admin
    admin.execute("delete from private.supplier_tokens")
    admin.execute(
        "insert into private.supplier_tokens (platform, consent_code, consented_at) "
        "values ('aliexpress', 'sandbox-consent', now()), ('alibaba', 'sandbox-consent', now())"
    )
    admin.execute(schedule, [True])


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """The service's own door to the database."""
    with Session.open(settings.session_url) as opened:
        yield opened


@pytest.fixture
def giver() -> Giver:
    """A token endpoint."""
    return Giver()


def tokens_of(session: Session, giver: Giver, **more: Any) -> StoredTokens:
    return StoredTokens(PLATFORM, database=session, authority=giver, **more)


def age(admin: Admin, days: float) -> None:
    """The token as it stands so many days later."""
    admin.execute(
        "update private.supplier_tokens set issued_at = issued_at - %(age)s, "
        "access_expires_at = access_expires_at - %(age)s, "
        "refresh_expires_at = refresh_expires_at - %(age)s",
        {"age": timedelta(days=days)},
    )


def stored(admin: Admin) -> dict[str, Any]:
    row = admin.execute(
        "select * from private.supplier_tokens where platform = %s", [PLATFORM]
    ).fetchone()
    assert row is not None
    return row


def warnings(admin: Admin) -> list[str]:
    rows = admin.execute(
        "select detail from private.payment_exceptions "
        "where kind = 'supplier_consent_ends' and resolved_at is null"
    ).fetchall()
    return [str(row["detail"]) for row in rows]


def test_a_consent_becomes_a_token_once(consented: Admin, session: Session, giver: Giver) -> None:
    assert tokens_of(session, giver).value() == "at-1"
    tokens = tokens_of(session, giver)
    assert [tokens.value() for _ in range(3)] == ["at-1"] * 3
    assert giver.asked == [("create", "sandbox-consent")]
    row = stored(consented)
    assert (row["consent_code"], row["refresh_token"], row["lease"]) == (None, "rt-1", None)


def test_a_token_is_renewed_before_it_ends(
    consented: Admin, session: Session, giver: Giver
) -> None:
    tokens_of(session, giver).value()
    age(consented, 23.9)
    assert tokens_of(session, giver).value() == "at-1"
    age(consented, 0.2)
    assert tokens_of(session, giver).value() == "at-2"
    assert giver.asked[1:] == [("refresh", "rt-1")]


@pytest.mark.usefixtures("consented")
def test_a_refused_token_is_renewed_and_an_old_one_is_not(session: Session, giver: Giver) -> None:
    tokens, other = tokens_of(session, giver), tokens_of(session, giver)
    assert (tokens.value(), other.value()) == ("at-1", "at-1")
    assert tokens.renewed("at-1") == "at-2"
    assert other.renewed("at-1") == "at-2"
    assert len(giver.asked) == 2


def test_a_due_token_works_on_while_the_platform_fails(
    consented: Admin, session: Session, giver: Giver
) -> None:
    tokens_of(session, giver).value()
    age(consented, 25)
    giver.failure = Unavailable("silent", code="timed_out")
    assert tokens_of(session, giver).value() == "at-1"
    assert tokens_of(session, giver).value() == "at-1"
    assert len(giver.asked) == 2  # the second left it alone for a minute
    assert warnings(consented) == []


def test_without_a_good_token_a_failure_is_said(
    consented: Admin, session: Session, giver: Giver
) -> None:
    tokens_of(session, giver).value()
    age(consented, 31)
    giver.failure = Unavailable("silent", code="timed_out")
    with pytest.raises(Unavailable, match="silent"):
        tokens_of(session, giver).value()
    giver.failure = None
    assert tokens_of(session, giver).value() == "at-3"


def test_a_spent_consent_is_a_persons(consented: Admin, session: Session, giver: Giver) -> None:
    giver.failure = Misconfigured("spent", code="consent_needed")
    with pytest.raises(Misconfigured, match="spent"):
        tokens_of(session, giver).value()
    giver.failure = None
    with pytest.raises(Misconfigured) as error:
        tokens_of(session, giver).value()
    assert error.value.code == "consent_needed"
    assert len(giver.asked) == 1
    assert warnings(consented) == ["aliexpress: consent_needed"]


@pytest.mark.usefixtures("consented")
def test_two_processes_ask_once(session: Session, settings: Settings, giver: Giver) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def hold() -> None:
        is_asked.set()
        assert may_answer.wait(10)

    giver.before = hold
    seen: list[str] = []
    first = threading.Thread(target=lambda: seen.append(tokens_of(session, giver).value()))
    first.start()
    assert is_asked.wait(10)
    with Session.open(settings.session_url) as other_session:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            may_answer.set()
            time.sleep(0.05)

        other = tokens_of(other_session, giver, sleep=sleep)
        assert other.value() == "at-1"
        assert slept
    first.join()
    assert seen == ["at-1"]
    assert len(giver.asked) == 1


def test_a_lease_whose_holder_died_goes_to_another(
    consented: Admin, session: Session, giver: Giver
) -> None:
    session.call("claim_token_refresh", platform=PLATFORM, refused_token=None, lease_seconds=30)
    consented.execute("update private.supplier_tokens set lease_ends_at = now()")
    assert tokens_of(session, giver).value() == "at-1"


def test_an_answer_that_came_too_late_is_not_stored(
    consented: Admin, session: Session, settings: Settings, giver: Giver
) -> None:
    other = Giver()

    def lose_the_lease() -> None:
        consented.execute("update private.supplier_tokens set lease_ends_at = now()")
        with Session.open(settings.session_url) as other_session:
            assert tokens_of(other_session, other).value() == "at-1"

    giver.before = lose_the_lease
    giver.life = timedelta(days=1)
    with pytest.raises(Unavailable) as error:
        tokens_of(session, giver).value()
    assert error.value.code == "token_awaited"
    assert stored(consented)["access_expires_at"] > datetime.now(UTC) + timedelta(days=20)


@pytest.mark.usefixtures("consented")
def test_who_waits_too_long_comes_back_later(
    session: Session, giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppliers, "LONGEST_WAIT_SECONDS", 0.1)
    session.call("claim_token_refresh", platform=PLATFORM, refused_token=None, lease_seconds=30)
    with pytest.raises(Unavailable) as error:
        tokens_of(session, giver).value()
    assert error.value.code == "token_awaited"
    assert error.value.retry_after is not None
    assert 25 <= error.value.retry_after <= 30
    assert giver.asked == []


# All together


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox that nobody else asks."""
    with running_sandbox(tmp_path_factory.mktemp("suppliers")) as sandbox:
        yield sandbox


@pytest.fixture
def at_sandbox(settings: Settings, own_sandbox: RunningSandbox) -> Settings:
    """Settings that lead to it, at a pace that tests can wait for."""
    own_sandbox.clear_faults()
    values = values_for(own_sandbox)
    return settings.model_copy(
        update={
            "aliexpress_api_key": values.aliexpress_api_key,
            "aliexpress_api_secret": values.aliexpress_api_secret,
            "aliexpress_base_url": values.aliexpress_base_url,
            "alibaba_api_key": None,
            "supplier_calls_per_second": 1000.0,
        }
    )


def test_a_job_uses_a_supplier(
    consented: Admin, session: Session, at_sandbox: Settings, own_sandbox: RunningSandbox
) -> None:
    with open_supplier(PLATFORM, at_sandbox, session) as supplier:
        page = supplier.search(QUERY)
        product = supplier.detail(
            page.items[0].external_id, country="ZA", currency="USD", language="en"
        )
    assert product.title == page.items[0].title
    assert stored(consented)["account_id"] == "100001"
    own_sandbox.forget_tokens(PLATFORM)
    with open_supplier(PLATFORM, at_sandbox, session) as supplier:
        assert supplier.search(QUERY) == page


@pytest.mark.usefixtures("consented")
def test_a_ban_of_the_platforms_own_holds_all_back(
    session: Session, at_sandbox: Settings, own_sandbox: RunningSandbox
) -> None:
    with open_supplier(PLATFORM, at_sandbox, session) as supplier:
        supplier.search(QUERY)
        own_sandbox.order_fault(PLATFORM, "rate_limit", seconds=40)
        with pytest.raises(Unavailable) as error:
            supplier.search(QUERY)
        assert (error.value.code, error.value.retry_after) == ("rate_limited", 40)
    before = len(own_sandbox.listed("calls", provider=PLATFORM))
    with open_supplier(PLATFORM, at_sandbox, session) as supplier:
        with pytest.raises(Unavailable) as error:
            supplier.search(QUERY)
        assert error.value.code == "supplier_resting"
    assert len(own_sandbox.listed("calls", provider=PLATFORM)) == before


def test_an_unknown_or_keyless_platform_is_said(session: Session, at_sandbox: Settings) -> None:
    for platform, code in (("amazon", "provider_unknown"), ("alibaba", "provider_not_configured")):
        with (
            pytest.raises(Misconfigured) as error,
            open_supplier(platform, at_sandbox, session),
        ):
            pytest.fail("opened")
        assert error.value.code == code


def test_the_job_renews_what_is_due_and_says_where_to_consent(
    consented: Admin, session: Session, at_sandbox: Settings
) -> None:
    task = Task(database=session, settings=at_sandbox)
    refresh_supplier_tokens(task)
    first = stored(consented)
    assert first["access_token"].startswith("at_")
    assert first["consent_page"] == (
        f"{at_sandbox.aliexpress_base_url}/oauth/authorize?response_type=code&client_id=12345678"
        f"&redirect_uri=http%3A%2F%2F127.0.0.1%3A5173%2Fadmin%2Fsuppliers%2Faliexpress"
        "&force_auth=true"
    )
    refresh_supplier_tokens(task)
    assert stored(consented)["access_token"] == first["access_token"]
    age(consented, 25)
    refresh_supplier_tokens(task)
    assert stored(consented)["access_token"] != first["access_token"]
    assert warnings(consented) == []


def test_the_job_warns_of_an_end(
    consented: Admin, session: Session, at_sandbox: Settings, own_sandbox: RunningSandbox
) -> None:
    own_sandbox.client.put(
        f"{own_sandbox.url}/_sandbox/dials/{PLATFORM}", json={"refresh_seconds": 3 * 86400}
    ).raise_for_status()
    try:
        refresh_supplier_tokens(Task(database=session, settings=at_sandbox))
    finally:
        own_sandbox.client.put(f"{own_sandbox.url}/_sandbox/dials/{PLATFORM}", json={})
    day = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    assert warnings(consented) == [f"aliexpress: {day}"]


def test_the_job_is_no_failure_without_a_consent(
    admin: Admin, consented: Admin, session: Session, at_sandbox: Settings
) -> None:
    admin.execute("delete from private.supplier_tokens")
    refresh_supplier_tokens(Task(database=session, settings=at_sandbox))
    assert stored(consented)["access_token"] is None


def test_the_job_comes_back_when_the_platform_is_silent(
    consented: Admin, session: Session, at_sandbox: Settings
) -> None:
    nowhere = at_sandbox.model_copy(update={"aliexpress_base_url": NOBODY})
    with pytest.raises(Unavailable) as error:
        refresh_supplier_tokens(Task(database=session, settings=nowhere))
    assert error.value.code == "not_reached"
    assert stored(consented)["consent_code"] == "sandbox-consent"
    assert wait_until(lambda: stored(consented)["lease"] is None)
