"""A floor that rises and a price that is set at the same moment: neither slips past the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.concurrency.shoppers import Admin
from tests.conftest import wait_until
from tests.properties.people import People
from tests.properties.scratch import Scratch, clear

LATER_COST = Decimal(40)


class Bench:
    """One product whose cost is known, and two people at work on its price."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.admin = scratch.connect()
        clear(self.admin)
        self.admin.execute(
            "insert into private.pricing_rates (currency, per_dollar, quoted_at, source) "
            "values ('XAF', 600, now(), 'test'), ('ZAR', 18, now(), 'test') on conflict do nothing"
        )
        self.product_id = People(self.admin).put_on_sale(900_000, "9000.00", 10)
        self.admin.execute(
            "insert into private.product_costs (product_id, cost, currency) values (%s, 10, 'USD')",
            [self.product_id],
        )
        self.reprice(self.admin)

    def reprice(self, connection: Admin) -> None:
        connection.execute("select private.set_prices(array[%s]::uuid[])", [self.product_id])

    def raise_cost(self, connection: Admin) -> None:
        connection.execute(
            "update private.product_costs set cost = %s where product_id = %s",
            [LATER_COST, self.product_id],
        )
        self.reprice(connection)

    def set_at_floor(self, connection: Admin) -> None:
        connection.execute(
            "update public.product_prices as pp set amount = %s "
            "where pp.product_id = %s and pp.country = 'CM'",
            [self.floor, self.product_id],
        )

    @property
    def floor(self) -> Decimal:
        return Decimal(self.row()["floor"])

    def row(self) -> dict[str, Any]:
        row = self.admin.execute(
            "select pp.amount, pp.is_held, f.amount as floor from public.product_prices as pp "
            "inner join private.price_floors as f "
            "on f.listing_id = pp.listing_id and f.country = pp.country "
            "where pp.product_id = %s and pp.country = 'CM'",
            [self.product_id],
        ).fetchone()
        assert row is not None
        return row

    def waits(self, connection: Admin) -> bool:
        row = self.admin.execute(
            "select cardinality(pg_blocking_pids(%s)) > 0 as waits",
            [connection.info.backend_pid],
        ).fetchone()
        return bool(row and row["waits"])


@pytest.fixture
def bench(scratch: Scratch) -> Iterator[Bench]:
    made = Bench(scratch)
    yield made
    clear(made.admin)
    made.admin.close()


def race(bench: Bench, first: Any, second: Any) -> Future[None]:
    """`first` is done but not committed when `second` begins; it commits once that waits."""
    one, two = bench.scratch.connect(), bench.scratch.connect()
    with ThreadPoolExecutor(max_workers=1) as pool:
        with one.transaction():
            first(one)
            done = pool.submit(second, two)
            wait_until(lambda: bench.waits(two))
        done.exception(timeout=20)
    one.close()
    two.close()
    return done


def test_a_price_set_while_its_floor_rises_is_refused(bench: Bench) -> None:
    done = race(bench, bench.raise_cost, bench.set_at_floor)

    error = done.exception()
    assert isinstance(error, psycopg.Error)
    assert error.diag.message_hint == "price_below_floor"
    row = bench.row()
    assert row["floor"] <= row["amount"]
    assert not row["is_held"]


def test_a_floor_that_rises_while_a_price_is_set_holds_it(bench: Bench) -> None:
    low = bench.floor

    done = race(bench, bench.set_at_floor, bench.raise_cost)

    assert done.exception() is None
    row = bench.row()
    assert (row["amount"], row["is_held"]) == (low, True)
    assert low < row["floor"]
    broken = bench.admin.execute("select * from private.invariant_prices").fetchall()
    assert broken == []
