"""The journeys that `./scripts/run --journey` plays, and what they leave behind."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.journeys.conftest import Played

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Journey:
    """A journey and how it ends when all went well."""

    name: str
    steps: int
    summary: str


JOURNEYS = [
    Journey("payments", 38, "every rail ends the same with its notice and without"),
    Journey("shopper", 18, "two orders paid"),
    Journey("discovery", 18, "every price as it was shown"),
]


@pytest.fixture(params=JOURNEYS, ids=lambda journey: str(journey.name))
def journey(request: pytest.FixtureRequest) -> Journey:
    """Each journey in its turn."""
    chosen: Journey = request.param
    return chosen


@pytest.fixture
def played(journey: Journey, play: Callable[[str], Played]) -> Played:
    """Its one run, the output kept."""
    return play(journey.name)


def test_every_step_is_as_it_should_be(journey: Journey, played: Played) -> None:
    output = played.stdout + played.stderr

    assert played.returncode == 0, output
    assert re.findall(r"^ +(\d+) .* ok ", played.stdout, re.MULTILINE) == [
        str(number) for number in range(1, journey.steps + 1)
    ], output
    assert f"{journey.steps} steps, {journey.summary}" in played.stdout, output


def test_journey_prints_no_secret(played: Played, stack_env: dict[str, str]) -> None:
    secrets = [
        value
        for name, value in stack_env.items()
        if re.search(r"(KEY|SECRET|PASSWORD|PASSPHRASE)$", name) and len(value) > 8
    ]

    assert [secret for secret in secrets if secret in played.stdout + played.stderr] == []


def test_journey_leaves_every_invariant_true(
    played: Played,
    admin: psycopg.Connection[dict[str, Any]],
    subtests: pytest.Subtests,
) -> None:
    assert played.returncode == 0
    views = admin.execute(
        "select c.relname from pg_catalog.pg_class as c"
        " where c.relnamespace = 'private'::regnamespace and c.relname like 'invariant\\_%'"
    ).fetchall()

    assert views
    for view in views:
        name = view["relname"]
        with subtests.test(name):
            query = sql.SQL("select * from private.{}").format(sql.Identifier(name))
            assert admin.execute(query).fetchall() == []
