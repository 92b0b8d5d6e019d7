"""Nobody buys what is not there."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from tests.concurrency.checkout import Checkout
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Shopper
from tests.conftest import Shelf

GRANTED = (200, None)
SOLD_OUT = (409, "stock_insufficient")


def test_two_hundred_buyers_of_fifty_pieces_buy_exactly_fifty(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    product = shelf.put(stock=50)

    def buy(shopper: Shopper, door: Door) -> Answer:
        return door.rpc("place_order", shopper, **checkout.order_body(product))

    answers = rush(gateway, [partial(buy, shopper) for shopper in crowd(200)])

    assert Counter(answer.kind for answer in answers) == {GRANTED: 50, SOLD_OUT: 150}
    assert stock_of(product) == Stock(on_hand=50, reserved=50, ordered=50)


def sell_fifty_in_mixed_baskets(
    orders: int,
    at_once: int,
    shoppers: list[Shopper],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    """Baskets in every order of lines, each with one piece of what there are fifty of."""
    chance = random.Random(20261122)  # noqa: S311  # baskets, not secrets
    scarce = shelf.put(name="Scarce lamp", stock=50)
    plentiful = [shelf.put(name=f"Lamp {n}", stock=100_000) for n in range(10)]
    baskets = []
    for _ in range(orders):
        basket = [scarce, *chance.sample(plentiful, chance.randint(1, 3))]
        chance.shuffle(basket)
        baskets.append(basket)

    def buy(shopper: Shopper, basket: list[str], door: Door) -> Answer:
        return door.rpc("place_order", shopper, **checkout.order_body(*basket))

    answers = rush(
        gateway,
        [
            partial(buy, shoppers[place % len(shoppers)], basket)
            for place, basket in enumerate(baskets)
        ],
        at_once,
    )

    assert Counter(answer.kind for answer in answers) == {GRANTED: 50, SOLD_OUT: orders - 50}
    sold = Counter(
        product
        for basket, answer in zip(baskets, answers, strict=True)
        if answer.kind == GRANTED
        for product in basket
    )
    assert stock_of(scarce) == Stock(on_hand=50, reserved=50, ordered=50)
    for product in plentiful:
        assert stock_of(product) == Stock(100_000, sold[product], sold[product])


def test_five_hundred_mixed_baskets_share_fifty_pieces_without_a_deadlock(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    sell_fifty_in_mixed_baskets(500, 32, crowd(50), gateway, shelf, checkout, stock_of)


@pytest.mark.soak
def test_five_thousand_mixed_baskets_share_fifty_pieces_without_a_deadlock(
    crowd: Callable[..., list[Shopper]],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    sell_fifty_in_mixed_baskets(5_000, 32, crowd(200), gateway, shelf, checkout, stock_of)
