"""A sandbox for the whole suite, and adapters that lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_workers.providers import registry
from tests.contracts.peer import Peer, peer
from tests.contracts.profiles import ProviderValues, values_for
from tests.sandbox.running import RunningSandbox, running_sandbox


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """One sandbox on free ports."""
    with running_sandbox(Path(tmp_path_factory.mktemp("sandbox"))) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def fresh_adapters() -> None:
    """No connection and no access token of an earlier test: a peer's port may come back."""
    for maker in vars(registry).values():
        if hasattr(maker, "cache_clear"):
            maker.cache_clear()


@pytest.fixture
def sandbox(sandbox_process: RunningSandbox) -> RunningSandbox:
    """The sandbox without faults of earlier tests."""
    sandbox_process.clear_faults()
    return sandbox_process


@pytest.fixture
def values(sandbox: RunningSandbox) -> ProviderValues:
    """Settings that lead to the sandbox."""
    return values_for(sandbox)


@pytest.fixture
def shop() -> Iterator[Peer]:
    """Where the gateway's webhooks arrive; answers 200."""
    with peer() as listening:
        yield listening
