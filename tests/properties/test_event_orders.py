"""Five answers of a gateway about one attempt, in every order: one end (R5).

The answers are what `fetch` gave at different times, applied late and out of order by workers of
which one is slow. Whatever comes last, the money that came is there once, has bought the order
once, and that the gateway took it back stands before a person.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.db import Session
from tests.bench import report
from tests.bench.report import Target
from tests.concurrency.shoppers import Admin
from tests.contracts.profiles import PROFILES
from tests.properties.books import Balance, Books, Snapshot
from tests.properties.people import People
from tests.properties.scratch import Scratch, clear

ANSWERS = ("pending", "paid", "failed", "cancelled", "refunded")
"""All that an adapter may say (contracts.payments.PaymentStatus)."""
ORDERS = 120
WAYS = {
    "kora": ("CM", "kora_checkout"),
    "mtn": ("CM", "mtn_momo"),
    "orange": ("CM", "orange_money"),
    "paygate": ("ZA", "card"),
    "payfast": ("ZA", "eft"),
}
SOLD = ("sales", "shipping_income", "vat_payable")
"""Accounts of which an order is made."""


@dataclass(frozen=True)
class End:
    """What is left when all has been said."""

    order: str
    payment: str
    is_winner: bool
    on_hand: int
    reserved: int
    asked: Decimal
    balance: tuple[tuple[str, str | None, Decimal], ...]
    desk: tuple[str, ...]


@dataclass
class Attempts:
    """Attempts at one gateway, each on an order of its own."""

    gateway: str
    people: People
    session: Session
    books: Books
    shopper: str
    product: str

    def begin(self) -> dict[str, Any]:
        """An attempt that the gateway took."""
        country, method = WAYS[self.gateway]
        order = self.people.place_order(self.shopper, country, {self.product: 1}, None)
        begun: dict[str, Any] = self.session.call(
            "begin_payment",
            actor_id=self.shopper,
            order_id=order["id"],
            method=method,
            phone="+237671112233",
            gateways=[self.gateway],
            excluded=[],
        )
        self.session.call(
            "record_payment_started",
            payment_id=begun["payment_id"],
            gateway_transaction_id=None,
            action={"action": "push"},
            expires_at=None,
        )
        return begun

    def say(self, begun: dict[str, Any], answer: str) -> str:
        """One of the gateway's answers is applied; the outcome."""
        is_money = answer in ("paid", "refunded")
        applied = self.session.call(
            "apply_payment_result",
            payment_id=begun["payment_id"],
            status=answer,
            amount=begun["amount"] if is_money else None,
            currency=begun["currency"] if is_money else None,
            gateway_transaction_id=f"T-{begun['reference']}" if is_money else None,
            reason=None if is_money else answer,
            fee=None,
            source="poll",
            request_id=None,
        )
        return str(applied["outcome"])

    def play(self, answers: Sequence[str]) -> End:
        """The end to which the answers lead in this order."""
        before = self.books.read()
        begun = self.begin()
        was_paid = False
        for answer in answers:
            self.say(begun, answer)
            was_paid = was_paid or answer == "paid"
            self.check_step(begun, answer, was_paid=was_paid)
        # Said again, nothing of it changes anything.
        end = self.end_of(begun, before)
        for answer in answers:
            assert self.say(begun, answer) in ("unchanged", "quarantined")
        assert self.end_of(begun, before) == end
        assert self.books.broken() == []
        return end

    def check_step(self, begun: dict[str, Any], answer: str, *, was_paid: bool) -> None:
        """Paid from the moment in which the gateway said so, and never before."""
        row = self.people.admin.execute(
            "select p.paid_at is not null as is_received, o.status = 'paid' as is_bought "
            "from public.payments as p inner join public.orders as o on p.order_id = o.id "
            "where p.id = %s",
            [begun["payment_id"]],
        ).fetchone()
        assert row == {"is_received": was_paid, "is_bought": was_paid}, answer

    def end_of(self, begun: dict[str, Any], before: Snapshot) -> End:
        """What this attempt left behind."""
        now = self.books.read()
        payment = now.payments[begun["payment_id"]]
        on_hand, reserved = now.stock[self.product]
        had, held = before.stock[self.product]
        return End(
            order=now.orders[payment["order_id"]]["status"],
            payment=payment["status"],
            is_winner=payment["is_winner"],
            on_hand=on_hand - had,
            reserved=reserved - held,
            asked=begun["amount"],
            balance=moved(before.balance, now.balance),
            desk=tuple(
                sorted(
                    row["kind"]
                    for row in now.exceptions.values()
                    if row["payment_id"] == payment["id"] and row["resolved_at"] is None
                )
            ),
        )


def moved(before: Balance, now: Balance) -> tuple[tuple[str, str | None, Decimal], ...]:
    """What changed on each account."""
    keys = sorted(before.keys() | now.keys(), key=str)
    changes = {key: now.get(key, Decimal(0)) - before.get(key, Decimal(0)) for key in keys}
    return tuple((key[0], key[1], change) for key, change in changes.items() if change)


@pytest.fixture(scope="module")
def empty_shop(scratch: Scratch) -> Iterator[Admin]:
    """The scratch database with nothing in it."""
    with scratch.connect() as admin:
        clear(admin)
        yield admin
        clear(admin)


@pytest.fixture(scope="module")
def attempts_at(scratch: Scratch, empty_shop: Admin) -> Iterator[Any]:
    """Makes attempts at a gateway."""
    people = People(empty_shop)
    with Session.open(scratch.service_url, application_name="orders") as session:

        def at(gateway: str) -> Attempts:
            clear(empty_shop)
            return Attempts(
                gateway,
                people,
                session,
                Books.of(empty_shop),
                people.register("Chantal Mbarga", "CM"),
                people.put_on_sale(12500, "199.90", 10 * ORDERS),
            )

        yield at


@pytest.fixture(scope="module")
def ends() -> Iterator[dict[str, Counter[End]]]:
    """The ends of every gateway; reported when all are there."""
    found: dict[str, Counter[End]] = {}
    yield found
    if len(found) == len(PROFILES):
        most = max(len(counted) for counted in found.values())
        played = sum(sum(counted.values()) for counted in found.values())
        report.write(
            "event_orders",
            {"played": played, "gateways": sorted(found)},
            [Target.at_most("R5", "ends of 120 orders of 5 answers, a gateway", most, 1)],
        )


@pytest.mark.parametrize("gateway", sorted(PROFILES))
def test_every_order_of_the_gateways_answers_leads_to_one_end(
    gateway: str, attempts_at: Any, ends: dict[str, Counter[End]]
) -> None:
    attempts = attempts_at(gateway)
    found: Counter[End] = Counter()
    examples: dict[End, Sequence[str]] = {}
    # Fewer than five answers are the beginnings of these: each step is looked at.
    for answers in itertools.permutations(ANSWERS):
        end = attempts.play(answers)
        found[end] += 1
        examples.setdefault(end, answers)
    ends[gateway] = found

    assert sum(found.values()) == ORDERS
    assert len(found) == 1, {examples[end]: end for end in found}
    (end,) = found
    assert (end.order, end.payment, end.is_winner) == ("paid", "paid", True)
    assert (end.on_hand, end.reserved) == (-1, 0)
    assert end.desk == ("reversed_by_gateway",)
    # The money stands at the gateway, and is the price of what was sold.
    assert ("gateway_receivable", gateway, end.asked) in end.balance
    assert {account for account, _, _ in end.balance} == {"gateway_receivable", *SOLD}
    assert sum(change for _, _, change in end.balance) == 0
