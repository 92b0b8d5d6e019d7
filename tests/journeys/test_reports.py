"""The reports of sql/reports, asked of what the journeys left in the books and the catalogue."""

import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.local.settings import POSTGRES_BIN
from tests.journeys.conftest import ROOT, Played

pytestmark = pytest.mark.timeout(900)

REPORTS = sorted((ROOT / "sql" / "reports").glob("*.sql"))
# What differs is for statements and the desk, what is missing for who buys, prices move with what
# suppliers ask: after a good journey there may be none.
MAY_BE_EMPTY = {
    "open_exceptions",
    "price_changes",
    "reconciliation",
    "searches_without_result",
    "wished_and_missing",
}


@pytest.fixture(params=REPORTS, ids=lambda path: str(path.stem))
def report(request: pytest.FixtureRequest) -> Path:
    """Each report in its turn."""
    path: Path = request.param
    return path


@pytest.fixture
def books(play: Callable[[str], Played]) -> None:
    """Money of every rail has come, and some of it has gone back; a supplier's goods are in."""
    assert play("payments").returncode == 0
    assert play("discovery").returncode == 0


def test_there_are_reports() -> None:
    assert REPORTS


def test_report_begins_with_its_question(report: Path) -> None:
    first, *_ = report.read_text(encoding="utf-8").splitlines()

    assert first.startswith("-- ")
    assert "?" in first, first


@pytest.mark.usefixtures("books")
def test_report_has_an_answer(report: Path, admin: psycopg.Connection[dict[str, Any]]) -> None:
    rows = admin.execute(report.read_bytes()).fetchall()

    assert rows or report.stem in MAY_BE_EMPTY


@pytest.mark.usefixtures("books")
def test_psql_runs_report(report: Path, stack_env: dict[str, str]) -> None:
    psql = [str(POSTGRES_BIN / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", str(report)]
    said = subprocess.run(
        [*psql, stack_env["DATABASE_ADMIN_URL"]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr
    assert "row" in said.stdout


@pytest.mark.usefixtures("books")
def test_takings_name_every_gateway(admin: psycopg.Connection[dict[str, Any]]) -> None:
    takings = (ROOT / "sql" / "reports" / "daily_takings.sql").read_bytes()
    rows = admin.execute(takings).fetchall()

    assert {"mtn", "orange", "paygate", "payfast"} <= {row["gateway"] for row in rows}
    for row in rows:
        assert row["net"] == row["collected"] - row["refunded"] - row["fees"]


@pytest.mark.usefixtures("books")
def test_each_currency_balances(admin: psycopg.Connection[dict[str, Any]]) -> None:
    balance = (ROOT / "sql" / "reports" / "trial_balance.sql").read_bytes()
    ends = [row for row in admin.execute(balance).fetchall() if row["account"] == "balance"]

    assert {row["currency"] for row in ends} >= {"XAF", "ZAR"}
    assert {row["balance"] for row in ends} == {Decimal(0)}
