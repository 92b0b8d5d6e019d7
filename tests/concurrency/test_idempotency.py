"""A key is an order: however often it is sent, at once or later."""

import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.concurrency.checkout import Checkout
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf

SENDS = 20


def send(shopper: Shopper, body: dict[str, Any], door: Door) -> Answer:
    return door.rpc("place_order", shopper, **body)


def count_orders(admin: Admin, shoppers: list[Shopper]) -> int:
    row = admin.execute(
        "select count(*) from public.orders where user_id = any(%s::uuid[])",
        [[shopper.id for shopper in shoppers]],
    ).fetchone()
    assert row is not None
    return int(row["count"])


def test_one_key_twenty_times_at_once_is_one_order_with_one_answer(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
    stock_of: Callable[[str], Stock],
) -> None:
    (shopper,) = crowd(1)
    product = shelf.put(stock=100)
    body = checkout.order_body(product, quantity=3)

    answers = rush(gateway, [partial(send, shopper, body)] * SENDS)

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert count_orders(admin, [shopper]) == 1
    assert stock_of(product) == Stock(on_hand=100, reserved=3, ordered=3)


def test_one_key_with_twenty_bodies_at_once_is_one_order_and_nineteen_refusals(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    (shopper,) = crowd(1)
    product, key = shelf.put(stock=1_000), f"race-{uuid.uuid4().hex}"
    bodies = [
        checkout.order_body(product, quantity=quantity, key=key) for quantity in range(1, SENDS + 1)
    ]

    answers = rush(gateway, [partial(send, shopper, body) for body in bodies])

    kinds = Counter(answer.kind for answer in answers)
    assert kinds == {(200, None): 1, (409, "idempotency_key_reused"): SENDS - 1}
    assert count_orders(admin, [shopper]) == 1


def test_the_same_key_of_two_people_is_two_orders(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    shoppers = crowd(2)
    body = checkout.order_body(shelf.put(stock=10))

    answers = rush(gateway, [partial(send, shopper, body) for shopper in shoppers])

    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json["id"] != answers[1].json["id"]
    assert count_orders(admin, shoppers) == 2


def replay_keys(
    keys: int,
    shoppers: list[Shopper],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    """Each key sent twenty times side by side, then once with another body."""
    products = [shelf.put(name=f"Lamp {n}", stock=100_000) for n in range(20)]
    bodies = [checkout.order_body(products[n % 20], products[(n + 7) % 20]) for n in range(keys)]
    senders = [shoppers[n % len(shoppers)] for n in range(keys)]

    answers = rush(
        gateway,
        [
            partial(send, sender, body)
            for sender, body in zip(senders, bodies, strict=True)
            for _ in range(SENDS)
        ],
        at_once=2 * SENDS,
    )

    assert Counter(answer.kind for answer in answers) == {(200, None): keys * SENDS}
    for place in range(keys):
        assert len({answer.body for answer in answers[place * SENDS : (place + 1) * SENDS]}) == 1
    assert len({answer.body for answer in answers}) == keys
    assert count_orders(admin, shoppers) == keys

    others = [{**body, "items": body["items"][:1]} for body in bodies]
    refusals = rush(
        gateway,
        [partial(send, sender, body) for sender, body in zip(senders, others, strict=True)],
        at_once=SENDS,
    )
    assert Counter(answer.kind for answer in refusals) == {(409, "idempotency_key_reused"): keys}
    assert count_orders(admin, shoppers) == keys


def test_fifty_keys_sent_twenty_times_are_fifty_orders(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    replay_keys(50, crowd(10), gateway, shelf, checkout, admin)


@pytest.mark.soak
def test_a_thousand_keys_sent_twenty_times_are_a_thousand_orders(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    replay_keys(1_000, crowd(100), gateway, shelf, checkout, admin)
