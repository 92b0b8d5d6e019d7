"""The catalogue is counted when it has changed, and only then."""

from collections.abc import Callable

from structlog.testing import capture_logs

from tests.conftest import wait_until
from tests.worker.jobs.conftest import Shop
from worker.jobs import catalogue
from worker.task import Task


def test_a_new_product_is_counted_and_an_unchanged_catalogue_is_not(
    shop: Shop, make_task: Callable[..., Task]
) -> None:
    def counted() -> int:
        row = shop.admin.execute(
            "select coalesce(sum(listings), 0) as listings from private.listing_counts "
            "where country = 'CM'"
        ).fetchone()
        assert row is not None
        return int(row["listings"])

    catalogue.count_catalogue(make_task())
    before = counted()
    shop.stock()

    catalogue.count_catalogue(make_task())
    assert counted() == before + 1
    wrong = shop.admin.execute("select * from private.invariant_category_counts").fetchall()
    assert wrong == []

    def rests() -> bool:
        with capture_logs() as events:
            catalogue.count_catalogue(make_task())
        (told,) = (event for event in events if event["event"] == "catalogue.counted")
        return (told["is_counted"], told["changed"]) == (False, 0)

    # Whatever the stack itself changed meanwhile is soon counted.
    wait_until(rests)
