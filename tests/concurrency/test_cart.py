"""One cart, many tabs."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.concurrency.checkout import Checkout
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf


def lines_of(admin: Admin, shopper: Shopper) -> dict[str, int]:
    rows = admin.execute(
        "select product_id, quantity from public.cart_items where user_id = %s", [shopper.id]
    ).fetchall()
    return {str(row["product_id"]): row["quantity"] for row in rows}


def test_parallel_edits_of_one_cart_all_count_and_none_is_doubled(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    admin: Admin,
) -> None:
    (shopper,) = crowd(1)
    products = [shelf.put(name=f"Lamp {n}") for n in range(10)]

    def put(product: str, quantity: int, door: Door) -> Answer:
        return door.rpc(
            "add_to_cart", shopper, product_id=product, channel="retail", quantity=quantity
        )

    answers = rush(
        gateway,
        [partial(put, product, quantity) for product in products for quantity in (1, 2, 3, 4)],
    )

    assert {answer.status for answer in answers} == {200}
    lines = lines_of(admin, shopper)
    assert set(lines) == set(products)
    assert set(lines.values()) <= {1, 2, 3, 4}
    carts = admin.execute(
        "select count(*) from public.carts where user_id = %s", [shopper.id]
    ).fetchone()
    assert carts == {"count": 1}

    def take(product: str, door: Door) -> Answer:
        return door.rpc("remove_from_cart", shopper, product_id=product, channel="retail")

    removed = rush(gateway, [partial(take, product) for product in products[:5]] * 2)
    assert {answer.status for answer in removed} == {200}
    assert set(lines_of(admin, shopper)) == set(products[5:])


def test_one_cart_ordered_ten_times_at_once_is_one_order(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    (shopper,) = crowd(1)
    for n in range(3):
        response = checkout.supabase.post(
            "/rest/v1/rpc/add_to_cart",
            json={
                "product_id": shelf.put(name=f"Lamp {n}"),
                "channel": "retail",
                "quantity": n + 1,
            },
            headers=shopper.headers,
        )
        assert response.status_code == 200, response.text

    def order(door: Door) -> Answer:
        body = {**checkout.order_body(), "items": None}
        return door.rpc("place_order", shopper, **body)

    answers = rush(gateway, [order] * 10)

    kinds = Counter(answer.kind for answer in answers)
    assert kinds == {(200, None): 1, (400, "cart_empty"): 9}
    assert lines_of(admin, shopper) == {}
