"""Givens of the faults: the same people, goods and books as in the races, and the processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pytest_socket import socket_allow_hosts

from tests.concurrency.conftest import (
    books_balance,
    checkout,
    crowd,
    edge_door,
    gateway,
    new_code,
    service,
    stock_of,
)
from tests.conftest import ROOT, wait_until
from tests.faults.processes import Processes
from tests.sandbox.running import free_port

__all__ = [
    "books_balance",
    "checkout",
    "crowd",
    "edge_door",
    "gateway",
    "new_code",
    "service",
    "stock_of",
]


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup() -> None:
    """Supervisor is reached over its unix socket; otherwise nothing leaves this machine."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def processes(stack_env: dict[str, str]) -> Processes:
    """What supervisor keeps running."""
    return Processes(stack_env["SUPERVISOR_SOCKET"])


@pytest.fixture
def gateway_faults(sandbox: httpx.Client) -> Iterator[httpx.Client]:
    """The sandbox, whose ordered faults end with the test."""
    yield sandbox
    sandbox.delete("/_sandbox/faults").raise_for_status()


@contextmanager
def running_edge(stack_env: dict[str, str], log: Path, **settings: str) -> Iterator[str]:
    """An edge of one process, served as the stack's own and on the same stack; its URL.

    What it learns of the gateways ends with it.
    """
    port = str(free_port())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--config", "scripts/local/gunicorn.conf.py"),
                "edge_workers.app:create_app()",
            ],
            cwd=ROOT,
            env={**os.environ, **stack_env, "PORT": port, "EDGE_WORKERS": "1", **settings},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/health/live", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(is_up, 30)
        yield url
    finally:
        process.terminate()
        process.wait(30)
