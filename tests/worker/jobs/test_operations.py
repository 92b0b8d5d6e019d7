"""What has served its time goes, and nothing else."""

from collections.abc import Callable

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
