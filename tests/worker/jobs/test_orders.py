"""Unpaid orders give back what they held, each on its own."""

from collections.abc import Callable

from tests.worker.jobs.conftest import Shop
from worker.jobs import orders
from worker.task import Task

MakeTask = Callable[..., Task]


def reserved(shop: Shop, product_id: str) -> int:
    row = shop.read("select reserved from public.product_stock where product_id = %s", product_id)
    return int(row["reserved"])


def expire(shop: Shop, order_id: str) -> None:
    shop.admin.execute(
        "update public.orders set expires_at = now() - interval '1 second' where id = %s",
        [order_id],
    )


def test_an_expired_order_is_cancelled_and_its_goods_are_free(
    shop: Shop, make_task: MakeTask
) -> None:
    product_id = shop.stock(on_hand=10)
    shopper = shop.register()
    expired = shop.place_order(shopper, product_id, quantity=3)
    live = shop.place_order(shopper, product_id, quantity=2)
    assert reserved(shop, product_id) == 5
    expire(shop, expired["id"])

    orders.release_holds(make_task())

    assert shop.order(expired["id"])["status"] == "cancelled"
    assert shop.order(expired["id"])["cancel_reason"] == "payment_expired"
    assert shop.order(live["id"])["status"] == "pending"
    assert reserved(shop, product_id) == 2


def test_more_orders_than_a_batch_are_released_in_one_run(shop: Shop, make_task: MakeTask) -> None:
    product_id = shop.stock(on_hand=100)
    shopper = shop.register()
    placed = [shop.place_order(shopper, product_id, quantity=1)["id"] for _ in range(7)]
    for order_id in placed:
        expire(shop, order_id)
    whole_batch, orders.BATCH = orders.BATCH, 3  # type: ignore[misc]
    try:
        orders.release_holds(make_task())
    finally:
        orders.BATCH = whole_batch  # type: ignore[misc]

    assert {shop.order(order_id)["status"] for order_id in placed} == {"cancelled"}
    assert reserved(shop, product_id) == 0
