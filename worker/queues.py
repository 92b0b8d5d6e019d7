"""RQ as this shop uses it: one queue a process, JSON, no retries of its own.

`python -m worker.queues <queue>` is one worker process. A row of the outbox is the only retry
layer: an RQ job is a hint that an attempt is due, and may be lost or run twice without harm.

A worker outlives a Redis that goes away, asking again at least every five seconds. Where it
cannot go on, it ends with a non-zero status and its supervisor starts it again.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from resource import struct_rusage
from types import FrameType
from typing import Final

import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from edge_workers.config import Settings
from edge_workers.errors import AppError
from edge_workers.log import configure_logging, get_logger
from worker import jobs

QUEUES: Final = ("payments", "mail", "maintenance", "supply")

JOB_TIMEOUT_SECONDS: Final = 30
"""No attempt runs longer: the worker ends it."""

_RUN: Final = "worker.jobs.run"
_FAILURE_TTL_SECONDS: Final = 7 * 24 * 3600
_WORKER_TTL_SECONDS: Final = 30
_MAINTENANCE_SECONDS: Final = 60
_MONITORING_SECONDS: Final = 5
_REDIS_PATIENCE_SECONDS: Final = 60.0

log = get_logger("worker.queues")


def connect_redis(settings: Settings, *, timeout_seconds: float = 2.0, retries: int = 0) -> Redis:
    """A client that gives up after `timeout_seconds` a command and repeats it `retries` times.

    Raises LookupError without REDIS_URL. Opens no connection yet.
    """
    if settings.redis_url is None:
        raise LookupError("REDIS_URL is not set")
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries),
    )


def open_queue(name: str, connection: Redis) -> Queue:
    """The queue of that name, its jobs as JSON."""
    return Queue(
        name,
        connection=connection,
        serializer=JSONSerializer,
        default_timeout=JOB_TIMEOUT_SECONDS,
    )


def enqueue(queue: Queue, *, job: str, outbox_id: str, attempt: int) -> bool:
    """Puts one attempt into the queue under the id `<job>-<outbox_id>`; whether it did.

    It does not when this attempt or a newer one waits or runs already. Whatever else is left under
    the id (a job of a killed worker, a failed one, an older attempt that still waits) gives way.
    Raises redis.exceptions.RedisError; then the attempt may or may not be in the queue.
    """
    job_id = f"{job}-{outbox_id}"

    is_queued = False

    def replace(pipeline: Pipeline) -> None:
        nonlocal is_queued
        old = _find_job(job_id, queue.connection)
        is_queued = old is None or not _is_under_way(old, queue, attempt)
        if not is_queued:
            return
        pipeline.multi()
        if old is not None:
            old.delete(pipeline=pipeline)
        pipeline.lrem(queue.intermediate_queue_key, 0, job_id)
        pipeline.delete(queue.intermediate_queue.get_first_seen_key(job_id))
        queue.enqueue_call(
            _RUN,
            args=[outbox_id, attempt],
            job_id=job_id,
            result_ttl=0,
            failure_ttl=_FAILURE_TTL_SECONDS,
            description=job_id,
            pipeline=pipeline,
        )

    queue.connection.transaction(replace, Job.key_for(job_id), queue.key)
    return is_queued


def count_live_workers(queue: Queue) -> int:
    """Workers of the queue that gave a sign of life within their time to live (90 s)."""
    keys = Worker.all_keys(queue=queue)
    return int(queue.connection.exists(*keys)) if keys else 0


def _find_job(job_id: str, connection: Redis) -> Job | None:
    try:
        return Job.fetch(job_id, connection=connection, serializer=JSONSerializer)
    except NoSuchJobError:
        return None


def _is_under_way(job: Job, queue: Queue, attempt: int) -> bool:
    if _attempt_of(job) < attempt:
        return False
    status = job.get_status(refresh=False)
    return status == JobStatus.STARTED or (
        status == JobStatus.QUEUED and queue.get_job_position(job) is not None
    )


def _attempt_of(job: Job) -> int:
    arguments = job.args or ()
    return int(arguments[1]) if len(arguments) > 1 else 0


class QueueWorker(Worker):
    """An RQ worker that soon asks a lost Redis again and knows whether it was told to stop."""

    max_connection_wait_time = 5.0
    is_told_to_stop = False

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Runs our own entry point and nothing else: who writes to Redis chooses no code."""
        # RQ's public properties would import what they name, which is what must not happen.
        callbacks = (
            job._success_callback_name,  # noqa: SLF001
            job._failure_callback_name,  # noqa: SLF001
            job._stopped_callback_name,  # noqa: SLF001
        )
        if job.func_name != _RUN or any(callbacks):
            log.error("job.foreign", job_id=job.id)
            job.delete()
            return
        super().execute_job(job, queue)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ends after the job in hand (warm shutdown)."""
        self.is_told_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def work(queue_name: str, settings: Settings) -> bool:
    """Works on one queue until told to stop; false when it had to end for another reason.

    Told to stop before it began, it ends the process with status 0.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    connection = connect_redis(settings, timeout_seconds=3.0, retries=1)
    if not _await_redis(connection):
        log.error("redis.missing", waited_seconds=_REDIS_PATIENCE_SECONDS)
        return False

    def report_killed_horse(job: Job, _pid: int, status: int, _usage: struct_rusage | None) -> None:
        outbox_id = str(job.args[0])
        log.error("job.killed", outbox_id=outbox_id, wait_status=status)
        try:
            jobs.report_killed(settings, outbox_id, _attempt_of(job))
        except AppError as error:  # the lease runs out and the row is handed out again
            log.error("job.unreported", outbox_id=outbox_id, code=error.code)

    worker = QueueWorker(
        [open_queue(queue_name, connection)],
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL_SECONDS,
        maintenance_interval=_MAINTENANCE_SECONDS,
        job_monitoring_interval=_MONITORING_SECONDS,
        work_horse_killed_handler=report_killed_horse,
        log_job_description=False,
    )
    worker.log_result_lifespan = False
    log.info("worker.started", queue=queue_name)
    try:
        worker.work(logging_level="WARNING")
    except redis.exceptions.RedisError as error:  # went away between two jobs
        log.error("redis.lost", error=type(error).__name__)
    log.info("worker.stopped", queue=queue_name, is_told_to_stop=worker.is_told_to_stop)
    return worker.is_told_to_stop


def _await_redis(connection: Redis) -> bool:
    deadline = time.monotonic() + _REDIS_PATIENCE_SECONDS
    is_reported = False
    while True:
        try:
            connection.ping()
            return True
        except redis.exceptions.RedisError as error:
            if time.monotonic() >= deadline:
                return False
            if not is_reported:
                log.warning("redis.awaited", error=type(error).__name__)
                is_reported = True
            time.sleep(0.5)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 told to stop, 1 could not go on, 2 wrong arguments or settings."""
    if len(arguments) != 1 or arguments[0] not in QUEUES:
        sys.stderr.write(f"usage: python -m worker.queues {{{'|'.join(QUEUES)}}}\n")
        return 2
    settings = jobs.process_settings()
    configure_logging(settings.log_level)
    if settings.redis_url is None:
        log.error("settings.missing", name="REDIS_URL")
        return 2
    jobs.preload(settings)
    return 0 if work(arguments[0], settings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
