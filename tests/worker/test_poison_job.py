"""A job that always fails is tried so often and no more, then lies with the dead; others run on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_workers.config import Settings
from tests.worker.conftest import JOB, QUEUE, Outbox, WorkerProcess, wait_until
from worker import queues, relay

ATTEMPTS = 3
"""Of the job of these tests."""
GOOD = 12


@contextmanager
def relaying(settings: Settings) -> Iterator[None]:
    """A relay in a thread of its own, stopped and joined at the end."""
    stop = threading.Event()
    thread = threading.Thread(target=relay.Relay(settings, stop, [QUEUE]).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_poison_job_is_dead_after_exactly_its_attempts_and_holds_nobody_up(
    settings: Settings, outbox: Outbox, start_worker: Callable[[], WorkerProcess]
) -> None:
    worker = start_worker()
    queue = queues.open_queue(QUEUE, queues.connect_redis(settings))
    poison = outbox.emit(seconds="not a number")
    good = [outbox.emit(seconds=0) for _ in range(GOOD)]

    with relaying(settings):
        for attempt in range(1, ATTEMPTS + 1):

            def has_failed(attempt: int = attempt) -> bool:
                row = outbox.read(poison)
                return row["attempts"] == attempt and row["last_error"] is not None

            assert wait_until(has_failed, 20)
            if attempt < ATTEMPTS:
                assert outbox.read(poison)["failed_at"] is None
                outbox.connection.execute(
                    "update private.outbox set last_error = null, available_at = now() "
                    "where id = %s",
                    [poison],
                )
        assert wait_until(lambda: outbox.read(poison)["failed_at"] is not None)
        assert wait_until(lambda: all(outbox.is_done(row) for row in good), 30)
        assert wait_until(lambda: queue.failed_job_registry.get_job_ids() == [f"{JOB}-{poison}"])
        # Dead is dead, whatever the clock says.
        outbox.expire_lease(poison)
        after = outbox.emit(seconds=0)
        assert wait_until(lambda: outbox.is_done(after), 20)

    row = outbox.read(poison)
    assert (row["attempts"], row["done_at"]) == (ATTEMPTS, None)
    assert row["last_error"].startswith("ValueError")
    assert {outbox.read(id_)["attempts"] for id_ in good} == {1}
    assert [run["event"] for run in worker.runs()].count("begun") == ATTEMPTS + GOOD + 1
    assert queue.failed_job_registry.count == 1
