"""Running a job: begun once, recorded always, dead after its attempts, safe to show."""

import os
import signal
from collections.abc import Callable

import pytest

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.errors import DatabaseUnavailable
from edge_workers.providers.errors import Unavailable
from tests.worker.conftest import JOB, QUEUE, Outbox, RedisServer, WorkerProcess, wait_until
from tests.worker.test_relay import make_relay, running
from worker import jobs, queues
from worker.task import Task

Register = Callable[[Callable[..., None]], None]
StartWorker = Callable[[], WorkerProcess]


def claim(session: Session) -> int:
    """Claim the one due row of these tests, as the relay does; the attempt's number."""
    rows = session.call("claim_outbox", batch=1, lease_seconds=60, queues=[QUEUE])
    assert len(rows) == 1
    return int(rows[0]["attempt"])


def test_a_done_job_is_recorded_and_never_run_again(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    seen: list[dict[str, object]] = []
    registered(lambda _task, **args: seen.append(args))
    outbox_id = outbox.emit(subject_id="7")
    attempt = claim(session)

    jobs.run(outbox_id, attempt)
    jobs.run(outbox_id, attempt)

    assert seen == [{"subject_id": "7"}]
    assert outbox.is_done(outbox_id)


def test_a_superseded_attempt_is_skipped(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    seen: list[int] = []
    registered(lambda _task: seen.append(1))
    outbox_id = outbox.emit()
    old = claim(session)
    outbox.expire_lease(outbox_id)
    new = claim(session)

    jobs.run(outbox_id, old)
    assert seen == []
    assert not outbox.is_done(outbox_id)

    jobs.run(outbox_id, new)
    assert seen == [1]
    assert outbox.is_done(outbox_id)


def test_an_attempt_that_fails_after_it_was_superseded_does_not_touch_its_successor(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    def be_superseded(_task: Task) -> None:
        for _ in range(2):
            outbox.expire_lease(outbox_id)
            claim(session)
        raise ValueError

    registered(be_superseded)
    outbox_id = outbox.emit()

    jobs.run(outbox_id, claim(session))

    row = outbox.read(outbox_id)
    assert (row["attempts"], row["failed_at"], row["last_error"]) == (3, None, None)


def test_a_job_that_always_fails_is_dead_after_its_attempts(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    def fail(_task: Task) -> None:
        raise ValueError("card 4111 1111 1111 1111 of a@b.example")

    registered(fail)
    outbox_id = outbox.emit()
    for _ in range(2):
        jobs.run(outbox_id, claim(session))
        assert outbox.read(outbox_id)["failed_at"] is None
        outbox.expire_lease(outbox_id)

    with pytest.raises(jobs.JobDead) as dead:
        jobs.run(outbox_id, claim(session))

    row = outbox.read(outbox_id)
    assert row["failed_at"] is not None
    assert row["attempts"] == 3
    assert row["last_error"].startswith("ValueError at tests/worker/jobs/test_run.py:")
    assert "4111" not in str(dead.value)
    assert "b.example" not in row["last_error"]
    assert session.call("claim_outbox", batch=9, lease_seconds=60, queues=[QUEUE]) == []


def test_unavailable_waits_as_long_as_the_service_asks(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    def ask(_task: Task) -> None:
        raise Unavailable("It is busy.", code="busy", retry_after=300)

    registered(ask)
    outbox_id = outbox.emit()

    jobs.run(outbox_id, claim(session))

    row = outbox.read(outbox_id)
    assert row["last_error"].startswith("Unavailable busy: It is busy. at tests/worker/")
    waits = outbox.connection.execute(
        "select round(extract(epoch from available_at - now()) / 10) * 10 as seconds "
        "from private.outbox where id = %s",
        [outbox_id],
    ).fetchone()
    assert waits is not None
    assert waits["seconds"] == 300


def test_a_job_without_a_function_fails_and_says_so(session: Session, outbox: Outbox) -> None:
    outbox_id = outbox.emit()

    jobs.run(outbox_id, claim(session))

    assert outbox.read(outbox_id)["last_error"].startswith("KeyError at worker/jobs/__init__.py:")


def test_a_job_does_its_work_although_the_connection_is_cut_meanwhile(
    session: Session, outbox: Outbox, registered: Register
) -> None:
    def cut(task: Task) -> None:
        outbox.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'mallgram-worker' and pid <> pg_backend_pid() "
            "and query like '%%begin_job%%'"
        )
        with pytest.raises(DatabaseUnavailable):
            task.database.call("ping")

    registered(cut)
    outbox_id = outbox.emit()

    jobs.run(outbox_id, claim(session))

    assert outbox.is_done(outbox_id)


def test_an_unknown_row_is_skipped() -> None:
    jobs.run("00000000-0000-4000-8000-000000000000", 1)


def test_a_killed_job_process_is_reported_and_tried_again_within_seconds(
    settings: Settings, outbox: Outbox, start_worker: StartWorker
) -> None:
    worker = start_worker()
    outbox_id = outbox.emit(seconds=2)
    with running(settings):
        assert wait_until(lambda: len(worker.runs()) == 1)
        os.kill(worker.runs()[0]["pid"], signal.SIGKILL)
        assert wait_until(lambda: outbox.read(outbox_id)["last_error"] == "the process was killed")
        assert wait_until(lambda: outbox.is_done(outbox_id), 20)

    assert [run["event"] for run in worker.runs()] == ["begun", "begun", "ended"]
    assert outbox.read(outbox_id)["attempts"] == 2


def test_a_job_outlives_its_killed_worker_and_is_not_done_twice(
    settings: Settings, session: Session, outbox: Outbox, start_worker: StartWorker
) -> None:
    worker = start_worker()
    outbox_id = outbox.emit(seconds=2)
    make_relay(settings).dispatch(session)
    assert wait_until(lambda: len(worker.runs()) == 1)

    worker.process.kill()
    successor = start_worker()
    with running(settings):
        assert wait_until(lambda: outbox.is_done(outbox_id))
        after = outbox.emit()
        assert wait_until(lambda: outbox.is_done(after))

    assert [run["event"] for run in worker.runs()] == ["begun", "ended"]
    assert [run["event"] for run in successor.runs()] == ["begun", "ended"]


def test_a_dead_row_shows_in_the_registry_of_failed_jobs(
    settings: Settings, outbox: Outbox, start_worker: StartWorker
) -> None:
    worker = start_worker()
    outbox_id = outbox.emit(unknown_argument=1)
    outbox.connection.execute("update private.outbox set attempts = 2 where id = %s", [outbox_id])
    with running(settings):
        assert wait_until(lambda: outbox.read(outbox_id)["failed_at"] is not None)
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))

    assert wait_until(lambda: queue.failed_job_registry.get_job_ids() == [f"{JOB}-{outbox_id}"], 5)
    assert worker.process.poll() is None


def test_a_worker_told_to_stop_finishes_its_job_first(
    settings: Settings, session: Session, outbox: Outbox, start_worker: StartWorker
) -> None:
    worker = start_worker()
    outbox_id = outbox.emit(seconds=2)
    make_relay(settings).dispatch(session)
    assert wait_until(lambda: len(worker.runs()) == 1)

    assert worker.stop() == 0

    assert outbox.is_done(outbox_id)


def test_a_worker_waits_for_a_redis_that_comes_later(
    redis_server: RedisServer, start_worker: StartWorker
) -> None:
    redis_server.kill()
    worker = start_worker()
    assert wait_until(lambda: b"redis.awaited" in worker.log.read_bytes())

    redis_server.start()

    assert wait_until(worker.is_listening)
    assert worker.stop() == 0


def test_a_worker_that_loses_redis_in_a_job_keeps_what_was_done_and_ends(
    settings: Settings,
    session: Session,
    outbox: Outbox,
    redis_server: RedisServer,
    start_worker: StartWorker,
) -> None:
    worker = start_worker()
    outbox_id = outbox.emit(seconds=1)
    make_relay(settings).dispatch(session)
    assert wait_until(lambda: len(worker.runs()) == 1)

    redis_server.kill()

    assert wait_until(lambda: outbox.is_done(outbox_id))
    assert wait_until(lambda: worker.process.poll() is not None, 30)
    assert worker.process.returncode == 1
