"""What has served its time goes, and nothing else; what does not add up is said."""

from collections.abc import Callable

from structlog.testing import capture_logs

from tests.worker.conftest import Outbox
from tests.worker.jobs.conftest import Shop
from worker.jobs import operations
from worker.task import Task


def test_rows_past_their_retention_go_and_younger_ones_stay(
    shop: Shop, outbox: Outbox, make_task: Callable[..., Task]
) -> None:
    old, young, waiting = (outbox.emit() for _ in range(3))
    for outbox_id, age in ((old, "8 days"), (young, "6 days")):
        shop.admin.execute(
            "update private.outbox set done_at = now() - %s::interval where id = %s",
            [age, outbox_id],
        )

    operations.archive(make_task())

    left = shop.admin.execute(
        "select id from private.outbox where id = any(%s::uuid[])", [[old, young, waiting]]
    ).fetchall()
    assert {str(row["id"]) for row in left} == {young, waiting}


def test_what_does_not_add_up_is_said_row_by_row(
    shop: Shop, make_task: Callable[..., Task]
) -> None:
    product_id = shop.stock()
    shop.place_order(shop.register(), product_id, quantity=2)
    change = "update public.product_stock set reserved = reserved + %s where product_id = %s"
    shop.admin.execute(change, [1, product_id])

    try:
        with capture_logs() as events:
            operations.check_invariants(make_task())
    finally:
        shop.admin.execute(change, [-1, product_id])

    ours = [event for event in events if event.get("subject_id") == product_id]
    assert [(event["event"], event["log_level"], event["check"]) for event in ours] == [
        ("invariant.violated", "error", "stock")
    ]
    assert events[-1]["event"] == "invariants.checked"
