"""Givens of the faults: the same people, goods and books as in the races, and the processes."""

from collections.abc import Iterator

import httpx
import pytest
from pytest_socket import socket_allow_hosts

from tests.concurrency.conftest import (
    books_balance,
    checkout,
    crowd,
    edge_door,
    gateway,
    letters_to_the_shop,
    new_code,
    service,
    stock_of,
)
from tests.faults.processes import Processes

__all__ = [
    "books_balance",
    "checkout",
    "crowd",
    "edge_door",
    "gateway",
    "letters_to_the_shop",
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
