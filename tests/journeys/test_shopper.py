"""The shopper's journey, as `./scripts/run --journey` plays it, and what it leaves behind."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "journeys" / "shopper.journey.mjs"
LIMIT_SECONDS = 120
STEPS = 18


@pytest.fixture(scope="module")
def played(stack_env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One run of the journey, its output kept."""
    return subprocess.run(
        [stack_env["NODE"], str(SCRIPT)],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_journey_ends_with_two_paid_orders(played: subprocess.CompletedProcess[str]) -> None:
    output = played.stdout + played.stderr

    assert played.returncode == 0, output
    assert re.findall(r"^ +(\d+) .* ok ", played.stdout, re.MULTILINE) == [
        str(number) for number in range(1, STEPS + 1)
    ], output
    assert f"{STEPS} steps, two orders paid" in played.stdout, output


def test_journey_prints_no_secret(
    played: subprocess.CompletedProcess[str], stack_env: dict[str, str]
) -> None:
    secrets = [
        value
        for name, value in stack_env.items()
        if re.search(r"(KEY|SECRET|PASSWORD)$", name) and len(value) > 8
    ]

    assert [secret for secret in secrets if secret in played.stdout + played.stderr] == []


def test_journey_leaves_every_invariant_true(
    played: subprocess.CompletedProcess[str],
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
