"""Givens of the properties: a database, a sandbox and a mailbox of their own."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from pydantic import SecretStr

from edge_workers.app import create_app
from edge_workers.config import Settings
from edge_workers.parts import EXTENSION
from edge_workers.providers import registry
from tests.conftest import ROOT
from tests.contracts.peer import Peer, peer
from tests.contracts.profiles import values_for
from tests.properties.books import Books
from tests.properties.people import People
from tests.properties.rail import Rail
from tests.properties.scratch import Scratch, scratch_database
from tests.properties.shop import Shop
from tests.sandbox.running import RunningSandbox, running_sandbox

set_hypothesis_home_dir(ROOT / ".local" / "hypothesis")

NEVER_SECONDS = 1e6
"""Nothing ends by itself over there: the tests say when."""


@pytest.fixture(scope="session")
def scratch(stack_env: dict[str, str]) -> Iterator[Scratch]:
    """An empty shop beside the stack's."""
    with scratch_database(stack_env, f"mallgram_properties_{os.getpid()}") as made:
        yield made


@pytest.fixture
def letterbox() -> Iterator[Peer]:
    """Where all webhooks arrive, to be delivered when a test says so."""
    with peer() as listening:
        yield listening


@pytest.fixture
def patient_sandbox(tmp_path: Path, letterbox: Peer) -> Iterator[RunningSandbox]:
    """Gateways at which nothing ends before the test says so."""
    with running_sandbox(tmp_path, step_seconds=NEVER_SECONDS, public_url=letterbox.url) as started:
        yield started


@pytest.fixture
def shop(
    stack_settings: Settings, scratch: Scratch, letterbox: Peer, patient_sandbox: RunningSandbox
) -> Iterator[Shop]:
    """The shop with all its doors."""
    values = values_for(patient_sandbox)
    known = {
        one.name: getattr(values, one.name)
        for one in dataclasses.fields(values)
        if one.name in Settings.model_fields
    }
    settings = stack_settings.model_copy(
        update={
            **known,
            "public_url": letterbox.url,
            "database_url": SecretStr(scratch.service_url),
            "database_session_url": None,
            "redis_url": None,
            "log_level": "ERROR",
        }
    )
    for maker in vars(registry).values():
        if hasattr(maker, "cache_clear"):
            maker.cache_clear()
    app = create_app(settings)
    opened = Shop(
        people=People(scratch.connect()),
        locker=scratch.connect(),
        scratch=scratch,
        settings=settings,
        sandbox=patient_sandbox,
        letterbox=letterbox,
        edge=app.test_client(),
        rail=Rail.of(patient_sandbox),
    )
    yield opened
    opened.close()
    app.extensions[EXTENSION].close()


@pytest.fixture
def books(shop: Shop) -> Books:
    """What the database says."""
    return Books.of(shop.admin)
