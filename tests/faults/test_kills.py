"""kill -9 of any one process while a shopper buys: restarted, and the order is paid once.

The shopper's side does what a frontend does: what got no answer is sent again, the order under
the same key. Time is set, not waited for: where a minute or a lease must pass, it is moved.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.concurrency.checkout import PAID_ONCE, Checkout, Order, Payment
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import together
from tests.concurrency.shoppers import Shopper
from tests.conftest import Shelf, wait_until
from tests.faults.processes import Processes, Victim

PATIENCE_SECONDS = 120.0
"""How long a frontend goes on sending."""

VICTIMS = [
    Victim("worker-payments"),
    Victim("worker-payments", "whole"),
    Victim("relay"),
    Victim("edge"),
    Victim("edge", "child"),
    Victim("postgrest"),
    Victim("redis"),
    Victim("worker-mail"),
    Victim("nginx"),
    Victim("sandbox"),
]


def persist(
    send: Callable[[], httpx.Response], between: Callable[[httpx.Response], None] | None = None
) -> httpx.Response:
    """The first answer below 500; what was not answered is sent again, ever more slowly."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.2
    while True:
        try:
            response = send()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        else:
            if response.status_code < 500 or time.monotonic() > deadline:
                return response
            if between is not None:
                between(response)
        time.sleep(pause)
        pause = min(pause * 1.5, 6.0)  # a shopper may start twenty payments in five minutes


@dataclass(frozen=True)
class Journey:
    """One shopper's purchase, step by step."""

    checkout: Checkout
    shopper: Shopper
    body: dict[str, Any]

    def place(self) -> Order:
        """Places the order, under one key however often it is sent."""
        response = persist(
            lambda: self.checkout.supabase.post(
                "/rest/v1/rpc/place_order", json=self.body, headers=self.shopper.headers
            )
        )
        assert response.status_code == 200, response.text
        row = response.json()
        return Order(row["id"], row["order_number"], row["total_price"], self.shopper)

    def initialize(self, order: Order) -> Payment:
        """Starts the payment, again until there is a page to pay on."""
        response = persist(
            lambda: self.checkout.edge.post(
                "/api/v1/payments/initialize",
                json={"order_id": order.id, "method": "kora_checkout"},
                headers=self.shopper.headers,
            ),
            lambda _answer: self._let_a_minute_pass(order),
        )
        assert response.status_code == 200, response.text
        return self.checkout.payment(order, response.json())

    def _let_a_minute_pass(self, order: Order) -> None:
        # An attempt whose start nobody answered makes room for another after a minute.
        self.checkout.admin.execute(
            "update public.payments set created_at = created_at - interval '1 minute' "
            "where order_id = %s and action is null",
            [order.id],
        )

    def pay(self, payment: Payment) -> None:
        """The customer pays on the gateway's page."""
        response = persist(
            lambda: self.checkout.sandbox.post(
                f"/_sandbox/payments/kora/{payment.reference}", json={"outcome": "paid"}
            )
        )
        assert response.status_code == 200, response.text

    def wait_noticed(self, payment: Payment) -> None:
        """Waits until the webhook is stored."""
        wait_until(
            lambda: self.checkout.admin.execute(
                "select from private.webhook_events where payment_id = %s", [payment.id]
            ).fetchall()
        )

    def wait_paid_once(self, order: Order) -> None:
        """Waits for the one effect of each kind; leases of what was killed are made to run out."""
        deadline = time.monotonic() + 20
        while self._effects(order) != PAID_ONCE and time.monotonic() < deadline:
            time.sleep(0.1)
        self.checkout.admin.execute(
            "update private.outbox as o set available_at = now() "
            "where o.done_at is null and o.failed_at is null and o.attempts > 0 "
            "and (o.args ->> 'email_id' in ("
            "    select e.id::text from private.emails as e where e.order_id = %(order_id)s)"
            "  or o.args ->> 'event_id' in ("
            "    select w.id::text from private.webhook_events as w"
            "    inner join public.payments as p on w.payment_id = p.id"
            "    where p.order_id = %(order_id)s))",
            {"order_id": order.id},
        )
        self.checkout.wait_effects([order], PAID_ONCE)

    def _effects(self, order: Order) -> object:
        try:
            return self.checkout.effects(order)
        except httpx.TransportError:
            return None


def slow_status(faults: httpx.Client, seconds: float) -> None:
    """The gateway takes its time over the next status question."""
    faults.post(
        "/_sandbox/faults",
        json={
            "provider": "kora",
            "kind": "slow",
            "operation": "status",
            "seconds": seconds,
            "times": 1,
        },
    ).raise_for_status()


@pytest.mark.parametrize("victim", VICTIMS, ids=str)
def test_killed_at_each_step_of_the_purchase_the_order_is_paid_once(
    victim: Victim,
    processes: Processes,
    gateway_faults: httpx.Client,
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    shelf: Shelf,
    checkout: Checkout,
    stock_of: Callable[[str], Stock],
) -> None:
    product = shelf.put(stock=10)
    (shopper,) = crowd(1, with_mail=True)
    journey = Journey(checkout, shopper, checkout.order_body(product, code=new_code()))

    def strike() -> Any:
        return victim.strike(processes)

    # While the order is being placed, while the payment begins, …
    pid, order = together(strike, journey.place)
    victim.wait_replaced(processes, pid)
    pid, payment = together(strike, lambda: journey.initialize(order))
    victim.wait_replaced(processes, pid)
    # … and after the webhook was accepted, before it is applied: the gateway is still being asked.
    slow_status(gateway_faults, 1.5)
    journey.pay(payment)
    journey.wait_noticed(payment)
    assert checkout.status(order) == "pending"
    pid = victim.strike(processes)
    victim.wait_replaced(processes, pid)

    journey.wait_paid_once(order)
    assert stock_of(product) == Stock(on_hand=9, reserved=0, ordered=1)
