"""Paying, cancelling and running out of time meet on one order; one of them happens."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from edge_workers.db import Session
from tests.concurrency.checkout import Checkout, Order
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import Answer, Door, rush, together
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf

PAID = ("paid", True, None)
CANCELLED = ("cancelled", False, "late_payment")
CANCELLED_AND_REFUNDED = ("cancelled", True, None)


def test_initialize_ten_times_at_once_is_one_attempt_at_the_gateway(
    crowd: Callable[..., list[Shopper]],
    edge_door: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    (shopper,) = crowd(1, with_mail=True)
    order = checkout.place(shopper, shelf.put(stock=10))

    def initialize(door: Door) -> Answer:
        body = f'{{"order_id":"{order.id}","method":"kora_checkout"}}'.encode()
        return door.post("/api/v1/payments/initialize", body, shopper.headers)

    answers = rush(edge_door, [initialize] * 10)

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["payment_id"] for answer in answers}) == 1
    assert len({answer.json["url"] for answer in answers}) == 1
    rows = admin.execute(
        "select status, reference from public.payments where order_id = %s", [order.id]
    ).fetchall()
    assert [row["status"] for row in rows] == ["processing"]
    calls = checkout.sandbox.get("/_sandbox/calls", params={"provider": "kora"}).json()
    begun = [
        call
        for call in calls
        if call["operation"] == "initialize" and rows[0]["reference"] in str(call["body"])
    ]
    assert len(begun) == 1


@dataclass(frozen=True)
class Attempt:
    """A payment that began at the database alone: no gateway is asked about it."""

    id: str
    amount: Any
    currency: str


@dataclass(frozen=True)
class Ring:
    """Where two sides meet on one order, each with a connection of its own."""

    admin: Admin
    checkout: Checkout
    opener: Session
    payer: Session
    other: Session
    product: str

    def open(self, shopper: Shopper) -> tuple[Order, Attempt]:
        """An order of one piece, and an attempt to pay it."""
        order = self.checkout.place(shopper, self.product)
        payment = self.opener.call(
            "begin_payment",
            actor_id=shopper.id,
            order_id=order.id,
            method="kora_checkout",
            phone=None,
            gateways=["kora"],
            excluded=[],
        )
        return order, Attempt(payment["payment_id"], payment["amount"], payment["currency"])

    def pay(self, attempt: Attempt) -> Any:
        """The gateway's answer arrives: it was paid."""
        return self.payer.call(
            "apply_payment_result",
            payment_id=attempt.id,
            status="paid",
            amount=attempt.amount,
            currency=attempt.currency,
            gateway_transaction_id=f"KPY-{attempt.id}",
            reason=None,
            fee=None,
            source="poll",
            request_id=None,
        )["outcome"]

    def end(self, order: Order, attempt: Attempt) -> tuple[str, bool, str | None]:
        """The order's status, whether the payment won it, and what lies before a person."""
        row = self.admin.execute(
            "select o.status, p.status as payment, p.is_winner, "
            "(select string_agg(e.kind, ',') from private.payment_exceptions as e "
            "  where e.payment_id = p.id and e.refund_id is null) as exception "
            "from public.payments as p inner join public.orders as o on p.order_id = o.id "
            "where p.id = %s and o.id = %s",
            [attempt.id, order.id],
        ).fetchone()
        assert row is not None
        assert row["payment"] == "paid"
        return row["status"], row["is_winner"], row["exception"]


@pytest.fixture
def ring(admin: Admin, checkout: Checkout, service: Callable[[], Session], shelf: Shelf) -> Ring:
    return Ring(admin, checkout, service(), service(), service(), shelf.put(stock=100_000))


def test_cancelling_against_paying_always_cancels_and_never_keeps_the_money(
    ring: Ring, crowd: Callable[..., list[Shopper]], stock_of: Callable[[str], Stock]
) -> None:
    for shopper in crowd(40):
        order, attempt = ring.open(shopper)

        def cancel(order: Order = order) -> Any:
            response = ring.checkout.supabase.post(
                "/rest/v1/rpc/cancel_order",
                json={"order_id": order.id},
                headers=order.shopper.headers,
            )
            return response.json().get("hint") or response.json()["status"]

        said, outcome = together(cancel, partial(ring.pay, attempt))

        assert (said, outcome) == ("cancelled", "applied")
        assert ring.end(order, attempt) in [CANCELLED, CANCELLED_AND_REFUNDED]
        refunds = ring.admin.execute(
            "select sum(amount) as amount from public.refunds where payment_id = %s", [attempt.id]
        ).fetchone()
        assert refunds == {"amount": attempt.amount}
    assert stock_of(ring.product) == Stock(100_000, 0, 0)


def test_two_payments_of_one_order_at_once_pay_it_once_and_show_the_other_to_a_person(
    ring: Ring, crowd: Callable[..., list[Shopper]], stock_of: Callable[[str], Stock]
) -> None:
    for shopper in crowd(20):
        order, first = ring.open(shopper)
        # A second attempt on another route, as after a change of mind at the gateway's page.
        payment = ring.opener.call(
            "begin_payment",
            actor_id=shopper.id,
            order_id=order.id,
            method="mtn_momo",
            phone="+237670000009",
            gateways=["kora"],
            excluded=[],
        )
        second = Attempt(payment["payment_id"], payment["amount"], payment["currency"])
        other = Ring(ring.admin, ring.checkout, ring.opener, ring.other, ring.other, ring.product)

        together(partial(ring.pay, first), partial(other.pay, second))

        assert sorted([ring.end(order, first), ring.end(order, second)], key=str) == sorted(
            [PAID, ("paid", False, "duplicate_payment")], key=str
        )
    assert stock_of(ring.product) == Stock(100_000 - 20, 0, 20)
