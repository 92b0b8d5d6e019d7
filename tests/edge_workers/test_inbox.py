"""Notices that come together are one transaction, and each caller has an answer of its own."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from edge_workers.config import Settings
from edge_workers.db import Database
from edge_workers.errors import AppError, DatabaseBusy, DatabaseUnavailable, ValueNotAllowed
from edge_workers.inbox import MOST_AT_ONCE, Inbox
from tests.conftest import wait_until

Admin = psycopg.Connection[dict[str, Any]]


def event(key: str | None = None, **changes: Any) -> dict[str, Any]:
    """As the edge hands it on."""
    return {
        "gateway": "kora",
        "dedupe_key": key or f"inbox-{uuid.uuid4().hex}",
        "event_type": "charge.success",
        "kind": "payment",
        "payment_references": (f"mg-{uuid.uuid4().hex[:24]}",),
        "webhook_token": None,
        "raw": '{"event":"charge.success"}',
        "headers": {"X-Test": "inbox"},
        "request_id": uuid.uuid4().hex,
        **changes,
    }


@dataclass
class Gate:
    """The database behind a gate: calls wait while it is shut."""

    database: Database
    is_open: threading.Event = field(default_factory=threading.Event)
    calls: list[int] = field(default_factory=list)
    """How many notices each call had."""

    def call(self, name: str, /, **args: Any) -> Any:
        self.calls.append(len(args["events"]))
        assert self.is_open.wait(20)
        return self.database.call(name, **args)


@pytest.fixture
def gate(stack_settings: Settings) -> Iterator[Gate]:
    """Shut at first."""
    database = Database(stack_settings.database_url.get_secret_value())
    yield Gate(database)
    database.close()


@dataclass
class Outcome:
    """What came of one caller's notice."""

    stored: dict[str, Any] | None = None
    error: BaseException | None = None


def send_together(inbox: Inbox, gate: Gate, events: list[dict[str, Any]]) -> list[Outcome]:
    """What came of each: the first is under way while all others come, then the gate opens."""
    outcomes = [Outcome() for _ in events]

    def send(place: int) -> None:
        try:
            outcomes[place].stored = inbox.record(events[place])
        except (AppError, RuntimeError, TypeError, SystemExit) as error:
            outcomes[place].error = error

    threads = [threading.Thread(target=send, args=(n,)) for n in range(len(events))]
    threads[0].start()
    wait_until(lambda: len(gate.calls) == 1)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: len(inbox._line) == len(events) - 1)
    gate.is_open.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return outcomes


def transactions(admin: Admin, events: list[dict[str, Any]]) -> Counter[str]:
    """How many of the events each transaction stored."""
    rows = admin.execute(
        "select xmin::text as stored_by from private.webhook_events where dedupe_key = any(%s)",
        [[one["dedupe_key"] for one in events]],
    ).fetchall()
    return Counter(row["stored_by"] for row in rows)


def id_of(admin: Admin, one: dict[str, Any]) -> str:
    row = admin.execute(
        "select id from private.webhook_events where gateway = 'kora' and dedupe_key = %s",
        [one["dedupe_key"]],
    ).fetchone()
    assert row is not None
    return str(row["id"])


def test_a_notice_that_comes_alone_is_stored_at_once_and_committed(
    gate: Gate, admin: Admin
) -> None:
    gate.is_open.set()
    one = event()
    assert Inbox(gate).record(one) == {"event_id": id_of(admin, one), "is_new": True}
    assert gate.calls == [1]


def test_what_comes_while_one_is_stored_shares_the_next_transaction(
    gate: Gate, admin: Admin
) -> None:
    events = [event() for _ in range(21)]
    outcomes = send_together(Inbox(gate), gate, events)
    assert [outcome.stored for outcome in outcomes] == [
        {"event_id": id_of(admin, one), "is_new": True} for one in events
    ]
    assert gate.calls == [1, 20]
    assert sorted(transactions(admin, events).values()) == [1, 20]


def test_the_same_notice_many_times_at_once_is_new_to_one_caller(gate: Gate, admin: Admin) -> None:
    events = [event("inbox-same-" + uuid.uuid4().hex)] * 8 + [event()]
    outcomes = send_together(Inbox(gate), gate, events)
    stored = [outcome.stored for outcome in outcomes]
    assert None not in stored
    assert [row["is_new"] for row in stored if row] == [True] + [False] * 7 + [True]
    assert {row["event_id"] for row in stored[:8] if row} == {id_of(admin, events[0])}


def test_one_that_cannot_be_stored_fails_alone(gate: Gate, admin: Admin) -> None:
    events = [event() for _ in range(6)]
    spoiled = event(kind="none that is known")
    outcomes = send_together(Inbox(gate), gate, [*events[:3], spoiled, *events[3:]])
    failure = outcomes.pop(3)
    assert isinstance(failure.error, ValueNotAllowed)
    assert [outcome.stored for outcome in outcomes] == [
        {"event_id": id_of(admin, one), "is_new": True} for one in events
    ]
    assert transactions(admin, [spoiled]) == {}


def test_more_than_fit_into_one_transaction_are_stored_in_several(gate: Gate, admin: Admin) -> None:
    events = [event() for _ in range(1 + MOST_AT_ONCE + 5)]
    outcomes = send_together(Inbox(gate), gate, events)
    assert all(outcome.stored for outcome in outcomes)
    assert gate.calls == [1, MOST_AT_ONCE, 5]
    assert sum(transactions(admin, events).values()) == len(events)


def test_without_the_database_everybody_is_told_and_later_it_goes_on(
    stack_settings: Settings, admin: Admin
) -> None:
    nowhere = Database("postgresql://mallgram_service:x@127.0.0.1:9/postgres")
    away = Gate(nowhere)
    inbox = Inbox(away)
    outcomes = send_together(inbox, away, [event() for _ in range(5)])
    assert {type(outcome.error) for outcome in outcomes} == {DatabaseUnavailable}
    assert len({id(outcome.error) for outcome in outcomes}) == 5

    away.database = Database(stack_settings.database_url.get_secret_value())
    one = event()
    assert inbox.record(one)["event_id"] == id_of(admin, one)
    away.database.close()
    nowhere.close()


@pytest.mark.parametrize("failure", [RuntimeError, TypeError, SystemExit])
def test_an_error_of_our_own_spoils_no_notice_beside_it(
    gate: Gate, admin: Admin, failure: type[BaseException]
) -> None:
    @dataclass
    class Broken(Gate):
        def call(self, name: str, /, **args: Any) -> Any:
            answer = super().call(name, **args)
            if len(args["events"]) > 1:
                raise failure
            return answer

    broken = Broken(gate.database)
    inbox = Inbox(broken)
    events = [event() for _ in range(5)]
    outcomes = send_together(inbox, broken, events)
    own = [outcome for outcome in outcomes if outcome.stored is None]
    assert len(own) == (1 if failure is SystemExit else 0)  # only who was told to end
    assert sum(transactions(admin, events).values()) == 5
    assert inbox.record(event())["is_new"]


def test_text_that_no_json_can_hold_fails_alone(gate: Gate) -> None:
    events = [event() for _ in range(6)]
    spoiled = event(event_type="half a pair: \ud83d")
    *outcomes, failure = send_together(Inbox(gate), gate, [*events, spoiled])
    assert isinstance(failure.error, TypeError)
    assert all(outcome.stored for outcome in outcomes)


def test_a_lock_on_the_inbox_is_waited_for_side_by_side(gate: Gate) -> None:
    waits = threading.Barrier(7, timeout=10)

    @dataclass
    class Busy(Gate):
        def call(self, name: str, /, **args: Any) -> Any:
            is_first = not self.calls
            answer = super().call(name, **args)
            if len(args["events"]) == 1 and not is_first:
                waits.wait()  # in turn, nobody would ever come through
            if not is_first:
                raise DatabaseBusy(retry_after=1)
            return answer

    busy = Busy(gate.database)
    outcomes = send_together(Inbox(busy), busy, [event() for _ in range(8)])
    assert [type(outcome.error) for outcome in outcomes[1:]] == [DatabaseBusy] * 7


def test_the_cause_of_a_failure_reaches_every_caller() -> None:
    nowhere = Gate(Database("postgresql://mallgram_service:x@127.0.0.1:9/postgres"))
    outcomes = send_together(Inbox(nowhere), nowhere, [event() for _ in range(3)])
    assert all(outcome.error and outcome.error.__cause__ for outcome in outcomes)
    nowhere.database.close()


def test_many_threads_that_go_on_and_on_lose_nothing(gate: Gate, admin: Admin) -> None:
    gate.is_open.set()
    inbox = Inbox(gate)
    events = [[event() for _ in range(25)] for _ in range(16)]
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def send(own: list[dict[str, Any]]) -> None:
        answers.extend((one, inbox.record(one)) for one in own)

    threads = [threading.Thread(target=send, args=(own,)) for own in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 400
    assert all(row["is_new"] for _, row in answers)
    ids = {
        row["dedupe_key"]: str(row["id"])
        for row in admin.execute(
            "select id, dedupe_key from private.webhook_events where dedupe_key = any(%s)",
            [[one["dedupe_key"] for own in events for one in own]],
        )
    }
    assert {one["dedupe_key"]: row["event_id"] for one, row in answers} == ids
    assert len(gate.calls) < 400
    assert inbox._line == []
