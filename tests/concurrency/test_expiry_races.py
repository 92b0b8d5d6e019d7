"""An order's time runs out in the moment in which its money arrives (R11).

Two connections, one barrier: one applies the gateway's word that it was paid, the other gives the
order up. It ends paid, or it ends given up and the money goes back or stands before a person; never
both, never neither. In a database of the tests' own, so that no worker sends the money back while
it is being looked at.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest

from edge_workers.db import Session
from tests.bench import report
from tests.bench.report import Target
from tests.concurrency.rush import together
from tests.concurrency.shoppers import Admin
from tests.properties.books import Books, forgotten_payments
from tests.properties.people import People
from tests.properties.scratch import Scratch, clear

ROUTES = (
    ("CM", "kora_checkout", "kora"),
    ("CM", "mtn_momo", "mtn"),
    ("CM", "orange_money", "orange"),
    ("ZA", "card", "paygate"),
    ("ZA", "eft", "payfast"),
)
"""One of each gateway: some give money back by themselves, for some a person has to."""
PIECES = 1_000_000
LOOKS = 100
"""Races after which the whole books are looked at."""
LONGEST_HEAD_START = 0.0015
"""Seconds: about what either side takes, so that each of their steps meets each of the other's."""

PAID = "paid"
RETURNED = "given up, money queued to go back"
DESK = "given up, money before a person"
WRONG = "in no way or in two"

_GIVEN_UP = {"status": "cancelled", "is_released": True, "is_winner": False}
ENDS: Mapping[str, Mapping[str, object]] = {
    PAID: {"status": "paid", "is_released": False, "is_winner": True, "returning": 0, "waiting": 0},
    RETURNED: {**_GIVEN_UP, "returning": 1, "waiting": 0},
    DESK: {**_GIVEN_UP, "returning": 0, "waiting": 1},
}
"""What each end looks like. Of money on its way back a person may know, and can do nothing."""
MOVES_MONEY = ("refund", "accept", "retry", "pay_out", "mark_refunded")
"""What a person may do about money that is not on its way."""


@dataclass
class Arena:
    """Where the two sides meet: each has a connection of its own."""

    admin: Admin
    people: People
    opener: Session
    payer: Session
    clock: Session
    books: Books
    shopper: str
    product: str
    code: str
    dice: Random
    ends: Counter[str] = field(default_factory=Counter)
    released: int = 0
    pieces: int = 0
    """Pieces of the orders that were not given up."""
    lost: int = 0
    """Captured money without an order, a refund or a person, whenever it was looked at."""
    wrong: list[object] = field(default_factory=list)
    """What was found where a race ended as none may."""

    def race(self, place: int) -> None:
        """One order, one attempt, both sides at once."""
        country, method, gateway = ROUTES[place % len(ROUTES)]
        pieces = 1 + place % 3
        order = self.people.place_order(
            self.shopper, country, {self.product: pieces}, self.code if place % 2 else None
        )
        attempt = self.opener.call(
            "begin_payment",
            actor_id=self.shopper,
            order_id=order["id"],
            method=method,
            phone="+237671112233",
            gateways=[gateway],
            excluded=[],
        )
        self.admin.execute(
            "update public.orders set expires_at = now() - interval '1 second' where id = %s",
            [order["id"]],
        )
        # One side has a head start of up to what the other takes.
        wait = self.dice.uniform(-LONGEST_HEAD_START, LONGEST_HEAD_START)
        outcome, released = together(
            partial(self._pay, attempt, max(wait, 0.0)),
            partial(self._release, order["id"], max(-wait, 0.0)),
        )
        assert outcome == "applied"
        end = self._end_of(order["id"], attempt["payment_id"], is_released=released)
        self.ends[end] += 1
        self.released += released
        self.pieces += 0 if released else pieces

    def _pay(self, attempt: dict[str, Any], wait: float) -> Any:
        time.sleep(wait)
        return self.payer.call(
            "apply_payment_result",
            payment_id=attempt["payment_id"],
            status="paid",
            amount=attempt["amount"],
            currency=attempt["currency"],
            gateway_transaction_id=f"T-{attempt['reference']}",
            reason=None,
            fee=None,
            source="poll",
            request_id=None,
        )["outcome"]

    def _release(self, order_id: str, wait: float) -> Any:
        time.sleep(wait)
        return self.clock.call("release_order_hold", order_id=order_id)["released"]

    def _end_of(self, order_id: str, payment_id: str, *, is_released: bool) -> str:
        """Exactly one of the three, or what was found is kept as wrong."""
        row = self.admin.execute(
            "select o.status, p.status as payment, p.is_winner, "
            "coalesce(p.collected_amount = p.amount, false) as is_whole, "
            "(select count(*) from public.refunds as r inner join private.outbox as w "
            "  on w.job = 'send_refund' and w.args ->> 'refund_id' = r.id::text "
            "  where r.payment_id = p.id and r.status = 'pending' and w.done_at is null "
            "  and r.amount = p.collected_amount) as returning, "
            "(select count(*) from private.payment_exceptions as e "
            "  where e.payment_id = p.id and e.resolved_at is null "
            "  and private.safe_actions(e) && %s) as waiting "
            "from public.payments as p inner join public.orders as o on p.order_id = o.id "
            "where p.id = %s and o.id = %s",
            [list(MOVES_MONEY), payment_id, order_id],
        ).fetchone()
        assert row is not None
        found = {**row, "is_released": is_released}
        for end, must in ENDS.items():
            if found == {"payment": "paid", "is_whole": True, **must}:
                return end
        self.wrong.append(found)
        return WRONG

    def check(self) -> None:
        """The books, the shelf and the code are as the ends say."""
        assert self.books.broken() == []
        now = self.books.read()
        assert now.stock[self.product] == [PIECES - self.pieces, 0]
        assert [reserved for reserved, _ in now.codes.values()] == [0]
        self.lost += len(forgotten_payments(now))


@pytest.fixture
def arena(scratch: Scratch) -> Iterator[Arena]:
    admin = scratch.connect()
    clear(admin)
    people = People(admin)
    opener, payer, clock = (
        Session.open(scratch.service_url, application_name="race") for _ in range(3)
    )
    code, _ = people.offer_code(people.register("Paul Ndi", "CM"), PIECES, PIECES)
    yield Arena(
        admin,
        people,
        opener,
        payer,
        clock,
        Books.of(admin),
        people.register("Chantal Mbarga", "CM"),
        people.put_on_sale(12500, "199.90", PIECES),
        code,
        Random(11),  # noqa: S311  # head starts, not secrets
    )
    for session in (opener, payer, clock):
        session.close()
    clear(admin)
    admin.close()


def race_expiry(races: int, arena: Arena, look_every: int) -> None:
    """So many races; every end is one that may be, and the sums agree with their number."""
    for place in range(races):
        arena.race(place)
        if place % look_every == look_every - 1:
            arena.check()
    arena.check()
    ends = arena.ends
    report.write(
        "expiry_races",
        {"races": races, "ends": dict(ends)},
        [
            Target.at_most("R11", f"of {races} races: in no or in two ways", ends[WRONG], 0),
            Target.at_most(
                "R11", "captured money without order, refund or exception", arena.lost, 0
            ),
        ],
    )
    assert arena.wrong == []
    assert arena.lost == 0
    assert ends[PAID] + ends[RETURNED] + ends[DESK] == races
    # Both sides come first often enough for the races to be races.
    assert min(ends[PAID], arena.released) >= races // 20, ends


def test_expiry_against_late_success_ends_in_exactly_one_way(arena: Arena) -> None:
    race_expiry(500, arena, LOOKS)


@pytest.mark.soak
def test_ten_thousand_expiries_against_late_success_end_in_exactly_one_way(arena: Arena) -> None:
    race_expiry(10_000, arena, 10 * LOOKS)
