"""The catalogue's version: changes made at the same time all count, and none waits for another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.conftest import Shelf

PEOPLE = 16
ROUNDS = 25
PATIENCE = "-c lock_timeout=500"
"""Whoever waits for another's lock fails."""


def version(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("select private.catalogue_version()").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def url(stack_env: dict[str, str]) -> str:
    """The superuser's database."""
    return stack_env["DATABASE_ADMIN_URL"]


def test_changes_made_at_once_all_count(url: str, shelf: Shelf) -> None:
    products = [shelf.put() for _ in range(PEOPLE)]
    everybody = threading.Barrier(PEOPLE)
    before = version(url)

    def change(product_id: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            everybody.wait(30)
            for number in range(ROUNDS):
                connection.execute(
                    "update public.products set name = %s where id = %s",
                    [f"Lamp {number}", product_id],
                )

    with ThreadPoolExecutor(PEOPLE) as threads:
        for done in [threads.submit(change, product_id) for product_id in products]:
            done.result(60)

    assert version(url) - before >= PEOPLE * ROUNDS


def test_nobody_waits_for_a_change_that_is_under_way(url: str, shelf: Shelf) -> None:
    products = [shelf.put() for _ in range(3)]
    with (
        psycopg.connect(url, options=PATIENCE) as one,
        psycopg.connect(url, options=PATIENCE) as two,
        psycopg.connect(url, options=PATIENCE) as three,
    ):
        for connection, product_id in zip((one, two, three), products, strict=True):
            connection.execute(
                "update public.product_prices set amount = amount + 1 where listing_id = %s",
                [product_id],
            )
        # nothing of it is seen before it is done, and then each of them, whatever else changes
        before = version(url)
        for number, connection in enumerate((three, one, two), start=1):
            connection.commit()
            assert version(url) - before >= number


def test_a_change_that_is_taken_back_does_not_count(url: str, shelf: Shelf) -> None:
    product_id = shelf.put()
    statement = "update public.products set name = 'Renamed' where id = %s"
    with psycopg.connect(url) as connection:
        row = connection.execute("select private.catalogue_version()").fetchone()
        assert row is not None
        with connection.transaction(force_rollback=True):
            connection.execute(statement, [product_id])
        # and does not hide one that is made after it in the same transaction
        connection.execute(statement, [product_id])
        after = connection.execute("select private.catalogue_version()").fetchone()
        connection.rollback()
    assert after is not None
    assert int(after[0]) - int(row[0]) >= 1
