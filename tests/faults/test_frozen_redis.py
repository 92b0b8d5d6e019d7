"""Redis stands still: nothing that a shopper or a gateway asks for needs it."""

import time
from collections.abc import Callable

from tests.concurrency.checkout import PAID_ONCE, Checkout
from tests.concurrency.conftest import Stock
from tests.concurrency.shoppers import Shopper
from tests.conftest import Shelf
from tests.faults.processes import Processes

FROZEN_SECONDS = 5.0
LONGEST_SECONDS = 3.0
"""What one call may take at most while Redis does not answer."""


def test_orders_payments_and_webhooks_succeed_while_redis_is_frozen(
    processes: Processes,
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    product, code = shelf.put(stock=10), new_code()
    shoppers = crowd(5, with_mail=True)
    orders = []
    slowest = 0.0
    with processes.frozen("redis"):
        began = time.monotonic()
        for shopper in shoppers:
            started = time.monotonic()
            order = checkout.place(shopper, product, code=code)
            payment = checkout.initialize(order)
            checkout.pay(payment, notify=False)
            body, headers = checkout.webhook(payment)
            answer = checkout.edge.post(
                "/api/v1/payments/webhook/kora", content=body, headers=headers
            )
            assert answer.status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            orders.append(order)
        assert {checkout.status(order) for order in orders} == {"pending"}
        time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - began)))

    assert slowest < LONGEST_SECONDS
    checkout.wait_effects(orders, PAID_ONCE)
    assert stock_of(product) == Stock(on_hand=5, reserved=0, ordered=5)
