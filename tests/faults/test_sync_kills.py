"""kill -9 of a sync at random points: the run ends as one that nobody disturbed.

The worker is a process of its own on the outbox of a database of its own, with the suppliers'
faults on all the while. Where it dies is drawn from a seed that is printed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_workers.config import Settings
from tests.conftest import ROOT
from tests.worker.jobs.supply import CALLS_PER_SECOND as NO_LIMIT
from tests.worker.jobs.supply import Expected, SupplyShop, supply_shop

ITEMS = 400
ITEMS_IN_SOAK = 20_000
KILLS = 5
CALLS_PER_SECOND = 250
"""Slow enough for all the kills to come before the end."""
PATIENCE_SECONDS = 150.0
FAULTS_SECONDS, FAULTS_SECONDS_IN_SOAK = 10.0, 45.0
"""Between two bad moments of the supplier."""


@pytest.fixture(scope="module")
def shop(
    stack_env: dict[str, str],
    stack_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SupplyShop]:
    with supply_shop(stack_env, stack_settings, tmp_path_factory.mktemp("supply")) as opened:
        # Pictures are another job's, and another test's.
        opened.admin.execute(
            "update private.jobs set queue = 'of_nobody' where job = 'copy_pictures'"
        )
        yield opened


def environment(
    shop: SupplyShop, stack_env: dict[str, str], calls_per_second: float
) -> dict[str, str]:
    """The shop's settings as a process reads them."""
    settings = shop.settings
    given: dict[str, Any] = {
        "DATABASE_URL": shop.scratch.service_url,
        "ALIEXPRESS_API_KEY": settings.aliexpress_api_key,
        "ALIEXPRESS_API_SECRET": settings.aliexpress_api_secret,
        "ALIEXPRESS_BASE_URL": settings.aliexpress_base_url,
        "ALIBABA_API_KEY": settings.alibaba_api_key,
        "ALIBABA_API_SECRET": settings.alibaba_api_secret,
        "ALIBABA_BASE_URL": settings.alibaba_base_url,
        "SUPPLIER_CALLS_PER_SECOND": calls_per_second,
    }
    plain = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in given.items()
    }
    inherited = {**os.environ, **stack_env}
    for name in ("DATABASE_SESSION_URL", "REDIS_URL"):
        inherited.pop(name, None)
    return {**inherited, **plain, "LOG_LEVEL": "ERROR"}


def start_worker(given: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.worker.jobs.supply_worker"],
            cwd=ROOT,
            env=given,
            stdout=output,
            stderr=output,
        )


def end_run(
    shop: SupplyShop,
    run_id: str,
    given: dict[str, str],
    log: Path,
    *,
    points: list[float],
    faults_seconds: float = FAULTS_SECONDS,
    seconds: float,
) -> tuple[dict[str, Any], list[str]]:
    """The run once it has ended, and what it was doing at each kill.

    `points`: seconds after each start of the worker; the last one counts from when taking in began.
    Without any nobody disturbs it.
    """
    deadline = time.monotonic() + seconds
    struck: list[str] = []
    worker = start_worker(given, log)
    faults_at = time.monotonic()
    strike_at = time.monotonic() + (points[0] if points else seconds)
    try:
        while time.monotonic() < deadline:
            row = shop.run_row(run_id)
            if row["status"] not in ("collecting", "applying"):
                return row, struck
            is_last = len(struck) == len(points) - 1
            if is_last and row["status"] == "collecting":
                strike_at = time.monotonic() + points[-1]
            if len(struck) < len(points) and time.monotonic() >= strike_at:
                worker.kill()
                worker.wait()
                struck.append(str(shop.run_row(run_id)["status"]))
                strike_at = time.monotonic() + points[min(len(struck), len(points) - 1)]
            # The next bad moment comes when the run has got over the last one.
            is_well = row["status"] == "collecting" and row["pauses"] == 0
            if points and is_well and time.monotonic() >= faults_at:
                order_faults(shop)
                faults_at = time.monotonic() + faults_seconds
            if worker.poll() is not None:
                worker = start_worker(given, log)
            time.sleep(0.005)
    finally:
        worker.kill()
        worker.wait()
    raise AssertionError(f"the run has not ended: {shop.run_row(run_id)}")


def prepare(shop: SupplyShop, items: int) -> None:
    shop.clear()
    shop.map_categories()
    shop.set_catalogue(items=items)


def without_ids(shelf: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two shops can have in common: categories have another id in each."""
    return [{key: value for key, value in row.items() if key != "category_id"} for row in shelf]


def order_faults(shop: SupplyShop) -> None:
    """A bad moment of the supplier: never so long that the run takes a long rest."""
    for kind, operation, times in (
        ("error", "search", 1),
        ("rate_limit", "search", 1),
        ("error", "detail", 2),
        ("malformed", "freight", 2),
        ("empty", "detail", 2),
        ("shape", "detail", 20),
    ):
        shop.sandbox.order_fault("aliexpress", kind, times, operation=operation)


def play(
    shop: SupplyShop,
    given: dict[str, str],
    tmp_path: Path,
    *,
    items: int,
    longest: float,
    faults_seconds: float,
    seconds: float,
) -> None:
    """A run with faults and kills, then one in quiet that must find nothing to write."""
    prepare(shop, items)
    log = tmp_path / "worker.log"
    seed = random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)  # noqa: S311 - a seed to play again, no secret
    points = [*(chance.uniform(0.8, longest) for _ in range(KILLS - 1)), chance.uniform(0, 0.3)]
    run, struck = end_run(
        shop,
        shop.start(),
        given,
        log,
        points=points,
        faults_seconds=faults_seconds,
        seconds=seconds,
    )

    played = f"seed {seed}, killed while {struck}"
    assert run["status"] == "done", f"{played}: {run}"
    assert len(struck) == KILLS, played
    expected = Expected.of(items)
    counts = run["counts"]
    assert counts["rejected"] == expected.reasons, played
    assert counts["found"] == len(expected.families) + sum(expected.reasons.values()), played
    taken = {name: counts[name] for name in ("accepted", "new", "taken_in")}
    assert taken == dict.fromkeys(taken, len(expected.families)), played
    assert counts["absent"] == counts["delisted"] == 0, played
    on_sale = shop.on_sale()
    assert [len(family & on_sale) for family in expected.families] == [1] * len(expected.families)
    assert len(on_sale) == len(expected.families), played

    before = shop.row_versions()
    shop.sandbox.clear_faults()
    again, _ = end_run(shop, shop.start(), given, log, points=[], seconds=seconds)
    assert again["status"] == "done", f"{played}: {again}"
    assert again["counts"]["accepted"] == len(expected.families), played
    assert shop.row_versions() == before, played


@pytest.mark.timeout(600)
def test_a_run_killed_five_times_ends_as_one_that_was_not(
    shop: SupplyShop, stack_env: dict[str, str], tmp_path: Path
) -> None:
    prepare(shop, ITEMS)
    assert shop.run(seconds=PATIENCE_SECONDS)["status"] == "done"
    undisturbed = without_ids(shop.shelf())

    play(
        shop,
        environment(shop, stack_env, CALLS_PER_SECOND),
        tmp_path,
        items=ITEMS,
        longest=1.6,
        faults_seconds=FAULTS_SECONDS,
        seconds=PATIENCE_SECONDS,
    )

    assert without_ids(shop.shelf()) == undisturbed


@pytest.mark.soak
def test_a_run_over_twenty_thousand_goods_killed_five_times(
    shop: SupplyShop, stack_env: dict[str, str], tmp_path: Path
) -> None:
    play(
        shop,
        environment(shop, stack_env, NO_LIMIT),
        tmp_path,
        items=ITEMS_IN_SOAK,
        longest=60.0,
        faults_seconds=FAULTS_SECONDS_IN_SOAK,
        seconds=3 * 3600,
    )
