"""The relay: every due row reaches its queue, once an attempt, whatever is away meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from rq import Callback, Worker
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from edge_workers.config import Settings
from edge_workers.db import Session
from tests.worker.conftest import JOB, QUEUE, Outbox, RedisServer, WorkerProcess, wait_until
from worker import jobs, queues, relay

StartWorker = Callable[[], WorkerProcess]


def make_relay(settings: Settings) -> relay.Relay:
    return relay.Relay(settings, queue_names=[QUEUE])


def waiting_jobs(settings: Settings) -> list[tuple[str, list[object]]]:
    """(id, arguments) of what waits in the queue, first in line first."""
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))
    return [(job.id, list(job.args or ())) for job in queue.get_jobs()]


@contextmanager
def running(settings: Settings, relays: int = 1) -> Iterator[None]:
    """Relays in threads of their own, stopped and joined at the end."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=relay.Relay(settings, stop, [QUEUE]).run) for _ in range(relays)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_a_due_row_is_queued_under_job_and_row_id(
    settings: Settings, session: Session, outbox: Outbox
) -> None:
    outbox_id = outbox.emit(seconds=0)

    assert make_relay(settings).dispatch(session) == 1

    assert waiting_jobs(settings) == [(f"{JOB}-{outbox_id}", [outbox_id, 1])]
    assert outbox.read(outbox_id)["attempts"] == 1


def test_an_expired_lease_is_queued_again_as_the_next_attempt_once(
    settings: Settings, session: Session, outbox: Outbox
) -> None:
    outbox_id = outbox.emit()
    make_relay(settings).dispatch(session)
    a_worker_lives(settings)
    outbox.expire_lease(outbox_id)

    assert make_relay(settings).dispatch(session) == 1

    assert waiting_jobs(settings) == [(f"{JOB}-{outbox_id}", [outbox_id, 2])]


@pytest.mark.parametrize("status", [JobStatus.STARTED, JobStatus.FAILED, JobStatus.FINISHED])
def test_what_a_lost_attempt_left_in_redis_does_not_block_the_next(
    settings: Settings, session: Session, outbox: Outbox, status: JobStatus
) -> None:
    outbox_id = outbox.emit()
    make_relay(settings).dispatch(session)
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))
    left_over = queue.get_jobs()[0]
    queue.connection.rpoplpush(queue.key, queue.intermediate_queue_key)
    left_over.set_status(status)
    outbox.expire_lease(outbox_id)

    assert make_relay(settings).dispatch(session) == 1

    assert waiting_jobs(settings) == [(f"{JOB}-{outbox_id}", [outbox_id, 2])]
    assert queue.intermediate_queue.get_job_ids() == []
    assert queue.get_jobs()[0].get_status() == JobStatus.QUEUED


def test_the_same_attempt_is_not_queued_twice(
    settings: Settings, session: Session, outbox: Outbox
) -> None:
    outbox_id = outbox.emit()
    make_relay(settings).dispatch(session)
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))

    assert not queues.enqueue(queue, job=JOB, outbox_id=outbox_id, attempt=1)

    assert queue.count == 1


def test_an_older_attempt_does_not_replace_a_newer_one(settings: Settings) -> None:
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))
    queues.enqueue(queue, job=JOB, outbox_id="a", attempt=2)

    assert not queues.enqueue(queue, job=JOB, outbox_id="a", attempt=1)

    assert waiting_jobs(settings) == [(f"{JOB}-a", ["a", 2])]


def test_two_relays_hand_each_row_over_once(
    settings: Settings, outbox: Outbox, start_worker: StartWorker
) -> None:
    worker = start_worker()
    rows = [outbox.emit() for _ in range(40)]

    with running(settings, relays=2):
        assert wait_until(lambda: all(outbox.is_done(row) for row in rows), 30)

    assert [run["event"] for run in worker.runs()].count("begun") == 40
    assert {outbox.read(row)["attempts"] for row in rows} == {1}


def test_more_rows_than_fit_wait_in_the_outbox_without_losing_an_attempt(
    settings: Settings, session: Session, outbox: Outbox
) -> None:
    rows = [outbox.emit() for _ in range(10)]
    a_worker_lives(settings)
    one_relay = make_relay(settings)

    claimed = [one_relay.dispatch(session) for _ in range(3)]

    assert claimed == [relay.WAITING_PER_WORKER, 0, 0]
    assert len(waiting_jobs(settings)) == relay.WAITING_PER_WORKER
    assert sum(outbox.read(row)["attempts"] for row in rows) == relay.WAITING_PER_WORKER


def test_nothing_more_is_claimed_for_a_queue_whose_workers_are_gone(
    settings: Settings, session: Session, outbox: Outbox
) -> None:
    first = outbox.emit()
    make_relay(settings).dispatch(session)
    second = outbox.emit()
    outbox.expire_lease(first)

    assert make_relay(settings).dispatch(session) == 0

    assert outbox.read(first)["attempts"] == 1
    assert outbox.read(second)["attempts"] == 0


def test_a_lease_covers_the_wait_behind_others(
    settings: Settings, session: Session, outbox: Outbox, admin: psycopg.Connection[dict[str, int]]
) -> None:
    for _ in range(3):
        outbox.emit()

    make_relay(settings).dispatch(session)

    leases = admin.execute(
        "select round(extract(epoch from available_at - now()) / 5) * 5 as seconds "
        "from private.outbox where job = %s order by 1",
        [JOB],
    ).fetchall()
    assert [lease["seconds"] for lease in leases] == [
        relay.LEASE_SECONDS,
        relay.WAITING_LEASE_SECONDS,
        relay.WAITING_LEASE_SECONDS,
    ]


@pytest.mark.parametrize("is_frozen", [False, True], ids=["killed", "frozen"])
def test_while_redis_is_away_no_attempt_is_used_up(
    settings: Settings,
    session: Session,
    outbox: Outbox,
    redis_server: RedisServer,
    is_frozen: bool,
) -> None:
    one_relay = make_relay(settings)
    one_relay.dispatch(session)
    outbox_id = outbox.emit()
    redis_server.freeze() if is_frozen else redis_server.kill()

    started = time.monotonic()
    assert one_relay.dispatch(session) == 0

    assert time.monotonic() - started < 5
    assert outbox.read(outbox_id)["attempts"] == 0
    redis_server.thaw() if is_frozen else redis_server.start()
    assert wait_until(lambda: one_relay.dispatch(session) == 1)
    assert waiting_jobs(settings) == [(f"{JOB}-{outbox_id}", [outbox_id, 1])]


def test_what_was_claimed_when_redis_went_away_is_handed_over_when_it_is_back(
    settings: Settings, session: Session, outbox: Outbox, redis_server: RedisServer
) -> None:
    outbox_id = outbox.emit()

    class Killing:
        """A session during whose claim Redis dies."""

        def call(self, name: str, /, **args: object) -> object:
            answer = session.call(name, **args)
            redis_server.kill()
            return answer

    one_relay = make_relay(settings)
    assert one_relay.dispatch(Killing()) == 0  # type: ignore[arg-type]
    redis_server.start()

    assert wait_until(lambda: one_relay.dispatch(session) == 0 and waiting_jobs(settings))

    assert waiting_jobs(settings) == [(f"{JOB}-{outbox_id}", [outbox_id, 1])]


def test_jobs_run_again_after_redis_was_killed_and_started_empty(
    settings: Settings, outbox: Outbox, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    workers = [start_worker()]

    def is_done_under_a_supervisor(outbox_id: str) -> bool:
        # Where a worker cannot go on without its Redis it ends, and is started again.
        if workers[-1].process.poll() is not None:
            workers.append(start_worker())
        return outbox.is_done(outbox_id)

    with running(settings):
        before = outbox.emit()
        assert wait_until(lambda: outbox.is_done(before) and worker_states(settings) == ["idle"])
        redis_server.kill()
        for file in redis_server.directory.glob("appendonlydir/*"):
            file.unlink()
        during = outbox.emit()
        time.sleep(1)
        redis_server.start()

        assert wait_until(lambda: is_done_under_a_supervisor(during), 60)

    assert outbox.read(during)["attempts"] == 1
    assert [worker.process.poll() for worker in workers] == [1] * (len(workers) - 1) + [None]


@pytest.mark.parametrize("way_in", ["function", "callback"])
def test_a_job_that_names_other_code_is_thrown_away(
    way_in: str,
    settings: Settings,
    outbox: Outbox,
    tmp_path: Path,
    redis_server: RedisServer,
    start_worker: StartWorker,
) -> None:
    trace = tmp_path / "ran"
    queue = queues.open_queue(QUEUE, redis_server.client())
    touch = f"touch {trace}"
    if way_in == "function":
        queue.enqueue_call("os.system", args=[touch])
    else:
        queue.enqueue_call("worker.jobs.run", args=[touch, 1], on_failure=Callback("os.system"))
    worker = start_worker()
    assert wait_until(lambda: b"job.foreign" in worker.log.read_bytes())

    with running(settings):
        genuine = outbox.emit()
        assert wait_until(lambda: outbox.is_done(genuine))

    assert not trace.exists()
    assert queue.failed_job_registry.count == 0


def test_a_notification_wakes_the_relay_before_its_sweep(
    settings: Settings,
    outbox: Outbox,
    admin: psycopg.Connection[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "SWEEP_SECONDS", 6.0)
    with running(settings):
        time.sleep(1)
        outbox_id = outbox.emit()
        time.sleep(0.5)
        assert outbox.read(outbox_id)["attempts"] == 0
        admin.execute("notify outbox")
        assert wait_until(lambda: outbox.read(outbox_id)["attempts"] == 1, 3)


def test_the_relay_returns_after_its_connection_was_cut(
    settings: Settings, outbox: Outbox, admin: psycopg.Connection[dict[str, int]]
) -> None:
    def relay_backends() -> set[int]:
        rows = admin.execute(
            "select pid from pg_stat_activity where application_name = 'mallgram-relay'"
        ).fetchall()
        return {row["pid"] for row in rows}

    of_the_stack = relay_backends()
    with running(settings):
        assert wait_until(lambda: len(relay_backends() - of_the_stack) == 1)
        for backend in relay_backends() - of_the_stack:
            admin.execute("select pg_terminate_backend(%s)", [backend])
        outbox_id = outbox.emit()

        assert wait_until(lambda: outbox.read(outbox_id)["attempts"] == 1)


@pytest.mark.usefixtures("outbox")
def test_due_schedules_become_rows_once_with_two_relays(
    settings: Settings, admin: psycopg.Connection[dict[str, int]]
) -> None:
    admin.execute(
        "insert into private.schedules (job, every, next_run_at) "
        "values (%s, '1 hour', now() - interval '90 minutes')",
        [JOB],
    )
    try:
        with running(settings, relays=2):
            time.sleep(2.5)
        rows = admin.execute(
            "select dedupe_key from private.outbox where job = %s", [JOB]
        ).fetchall()
        assert len(rows) == 2
    finally:
        admin.execute("delete from private.schedules where job = %s", [JOB])


def worker_states(settings: Settings) -> list[str]:
    """What the registered workers of the queue do."""
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))
    return [str(worker.get_state()) for worker in Worker.all(queue=queue)]


def a_worker_lives(settings: Settings) -> None:
    """Given: a worker of the queue has registered and is between two jobs."""
    connection = queues.connect_redis(settings)
    worker = Worker(
        [queues.open_queue(QUEUE, connection)], connection=connection, serializer=JSONSerializer
    )
    worker.register_birth()  # type: ignore[no-untyped-call]


def test_every_job_of_the_database_has_a_function_and_a_process(
    admin: psycopg.Connection[dict[str, str]],
) -> None:
    rows = admin.execute("select job, queue from private.jobs where job <> %s", [JOB]).fetchall()

    assert {row["job"] for row in rows} == set(jobs.JOBS)
    assert {row["queue"] for row in rows} == set(queues.QUEUES)
