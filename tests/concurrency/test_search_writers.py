"""Search follows changes made at the same time: nobody waits for another's, and none is lost."""

import uuid

import psycopg
import pytest

from tests.conftest import Shelf, wait_until

PATIENCE = "-c lock_timeout=500"
"""Whoever waits for another's lock fails."""
RENAME = "update public.products set name = %s where id = %s"
QUEUE = "insert into private.search_queue (listing_id) values (%s)"
QUEUED = "select count(*) from private.search_queue where listing_id = %s"
REFRESH = "select service.refresh_search(100000)"
COUNT = "select service.count_search(1000000)"
# As a change of many goods: its rows are written, its documents left to the job.
UNSEEN = "set local session_replication_role = replica"


@pytest.fixture
def url(stack_env: dict[str, str]) -> str:
    """The superuser's database."""
    return stack_env["DATABASE_ADMIN_URL"]


@pytest.fixture
def word() -> str:
    """A word that no other goods have."""
    return "zu" + uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghjklmnpqr"))[:12]


def finds(url: str, word: str) -> set[str]:
    """The ids of what search knows by this word."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "select d.listing_id::text from private.search_documents as d "
            "where (d.search_en || d.search_fr) @@ private.read_query(%s)",
            [word],
        ).fetchall()
    return {str(row[0]) for row in rows}


def is_learnt(url: str, word: str) -> bool:
    """Whether misspelt words are compared with this one."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "select exists (select from private.search_terms where word = %s)", [word]
        ).fetchone()
    assert row is not None
    return bool(row[0])


def test_nobody_waits_for_another_who_brings_the_same_new_words(
    url: str, shelf: Shelf, word: str
) -> None:
    products = [shelf.put() for _ in range(4)]
    with (
        psycopg.connect(url, options=PATIENCE) as one,
        psycopg.connect(url, options=PATIENCE) as two,
    ):
        one.execute(RENAME, [f"{word}b", products[0]])
        two.execute(RENAME, [f"{word}a", products[1]])
        one.execute(RENAME, [f"{word}a", products[2]])
        two.execute(RENAME, [f"{word}b {word}c", products[3]])
        two.commit()
        one.commit()

    assert finds(url, f"{word}a") == {products[1], products[2]}
    assert finds(url, f"{word}b") == {products[0], products[3]}
    assert is_learnt(url, f"{word}b")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(REFRESH)
    wait_until(lambda: is_learnt(url, f"{word}c"))


def test_a_change_queued_beside_the_job_is_not_lost(url: str, shelf: Shelf, word: str) -> None:
    product_id = shelf.put()
    with psycopg.connect(url, autocommit=True, options=PATIENCE) as job:
        job.execute(QUEUE, [product_id])
        with psycopg.connect(url, options=PATIENCE) as change:
            change.execute(UNSEEN)
            change.execute(RENAME, [word, product_id])
            change.execute("set local session_replication_role = origin")
            change.execute(QUEUE, [product_id])
            job.execute(REFRESH)
        assert finds(url, word) == set()
        job.execute(REFRESH)
    wait_until(lambda: finds(url, word) == {product_id})


def test_the_job_leaves_what_is_being_changed_and_nobody_waits_for_it(
    url: str, shelf: Shelf, word: str
) -> None:
    changed, other = shelf.put(), shelf.put()
    with (
        psycopg.connect(url, options=PATIENCE) as change,
        psycopg.connect(url, options=PATIENCE) as job,
    ):
        job.execute(UNSEEN)
        job.execute(RENAME, [f"{word}a", other])
        job.execute("set local session_replication_role = origin")
        job.execute(QUEUE, [changed])
        job.execute(QUEUE, [other])
        job.commit()
        change.execute(RENAME, [f"{word}b", changed])
        job.execute(REFRESH)
        assert job.execute(QUEUED, [changed]).fetchone() == (1,)
        change.execute(RENAME, [f"{word}c", changed])
        change.commit()
        job.commit()
    wait_until(lambda: finds(url, f"{word}a") == {other})
    assert finds(url, f"{word}c") == {changed}


def test_a_word_that_an_open_change_has_is_not_forgotten(url: str, shelf: Shelf, word: str) -> None:
    product_id = shelf.put()
    with psycopg.connect(url, autocommit=True) as job:
        job.execute("insert into private.search_terms (word) values (%s)", [word])
        with psycopg.connect(url) as change:
            change.execute(RENAME, [word, product_id])
            job.execute(COUNT)
    assert finds(url, word) == {product_id}
    assert is_learnt(url, word)


def test_a_category_renamed_beside_a_change_of_its_goods_is_found(
    url: str, shelf: Shelf, word: str
) -> None:
    product_id = shelf.put()
    with (
        psycopg.connect(url, autocommit=True, options=PATIENCE) as admin,
        psycopg.connect(url, options=PATIENCE) as change,
    ):
        change.execute(
            "update public.categories set name = %s "
            "where id = (select category_id from public.products where id = %s)",
            [word, product_id],
        )
        admin.execute(RENAME, ["Lamp anew", product_id])
        change.commit()
        admin.execute(REFRESH)
        wait_until(lambda: product_id in finds(url, word))
        admin.execute(
            "update public.categories set name = 'Lamps' "
            "where id = (select category_id from public.products where id = %s)",
            [product_id],
        )
        admin.execute(REFRESH)
