"""The worker's tests run on the real stack: its Postgres, its functions, a Redis of their own.

They keep to queues and jobs of their own (`relay_test`), so that the stack's relay and workers,
which run at the same time, leave their rows alone.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from edge_workers.config import Settings
from edge_workers.db import Session
from worker import jobs

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "relay_test"
JOB = "relay_test"


def wait_until(holds: Callable[[], object], seconds: float = 15.0) -> bool:
    """Whether something comes to hold within the time, asked 20 times a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


@dataclass
class RedisServer:
    """A Redis of this test's own, which it may stop, freeze and start again."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )

    def start(self) -> None:
        binary = shutil.which("redis-server")
        assert binary is not None
        self.process = subprocess.Popen(
            [
                *(binary, "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", str(self.directory), "--appendonly", "yes", "--save", ""),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert wait_until(self.answers)

    def answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.exceptions.RedisError:
            return False

    def kill(self) -> None:
        """As `kill -9`; started again it has what it wrote to its file."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait()


@dataclass(frozen=True)
class Outbox:
    """The outbox as the superuser sees it, for the rows of these tests."""

    connection: psycopg.Connection[dict[str, Any]]

    def emit(self, job: str = JOB, **args: Any) -> str:
        """A new row, due at once; its id."""
        row = self.connection.execute(
            "insert into private.outbox (job, args) values (%s, %s) returning id",
            [job, Jsonb(args)],
        ).fetchone()
        assert row is not None
        return str(row["id"])

    def read(self, outbox_id: str) -> dict[str, Any]:
        row = self.connection.execute(
            "select * from private.outbox where id = %s", [outbox_id]
        ).fetchone()
        assert row is not None
        return row

    def is_done(self, outbox_id: str) -> bool:
        return self.read(outbox_id)["done_at"] is not None

    def expire_lease(self, outbox_id: str) -> None:
        """Set the clock: the row's lease or back-off is over."""
        self.connection.execute(
            "update private.outbox set available_at = now() where id = %s", [outbox_id]
        )


class WorkerProcess:
    """A real worker process whose job `relay_test` writes a diary of its runs."""

    def __init__(self, settings: Settings, diary: Path) -> None:
        assert settings.redis_url is not None
        self.log = diary.with_suffix(".log")
        self.diary = diary
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.diary_worker", QUEUE, str(diary)],
                env={**os.environ, "REDIS_URL": settings.redis_url.get_secret_value()},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def runs(self) -> list[dict[str, Any]]:
        """What the job noted, oldest first: {event, outbox_id, pid}."""
        if not self.diary.exists():
            return []
        return [json.loads(line) for line in self.diary.read_text(encoding="utf-8").splitlines()]

    def is_listening(self) -> bool:
        return b"worker.started" in self.log.read_bytes()

    def stop(self) -> int:
        """Warm shutdown; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=20)


@pytest.fixture(scope="package", autouse=True)
def worker_environment(stack_env: dict[str, str]) -> Iterator[None]:
    """The environment of the stack's own worker processes, while these tests run."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stack_env.items():
            environment.setenv(name, value)
        jobs.process_settings.cache_clear()
        yield
    jobs.process_settings.cache_clear()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = RedisServer(tmp_path, port)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(stack_settings: Settings, redis_server: RedisServer) -> Settings:
    """Settings of the stack, with this test's Redis."""
    return stack_settings.model_copy(update={"redis_url": SecretStr(redis_server.url)})


@pytest.fixture
def outbox(admin: psycopg.Connection[dict[str, Any]]) -> Iterator[Outbox]:
    """The outbox with a job of these tests' own: three attempts, a queue nobody else listens on."""
    admin.execute(
        "insert into private.jobs (job, queue, max_attempts) values (%s, %s, 3) "
        "on conflict (job) do nothing",
        [JOB, QUEUE],
    )
    admin.execute("delete from private.outbox where job = %s", [JOB])
    yield Outbox(admin)
    admin.execute("delete from private.outbox where job = %s", [JOB])
    admin.execute("delete from private.jobs where job = %s", [JOB])


@pytest.fixture
def session(stack_settings: Settings) -> Iterator[Session]:
    """The worker's own kind of connection."""
    with Session.open(stack_settings.session_url, application_name="test") as opened:
        yield opened


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Gives the job of these tests a function, for runs inside this process."""

    def register(function: Callable[..., None]) -> None:
        monkeypatch.setitem(jobs.JOBS, JOB, function)

    return register


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], WorkerProcess]]:
    """Starts worker processes on the queue of these tests; the diary shows what they ran."""
    started: list[WorkerProcess] = []

    def start() -> WorkerProcess:
        worker = WorkerProcess(settings, tmp_path / f"diary-{uuid.uuid4().hex}")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.stop()
