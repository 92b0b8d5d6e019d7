"""A month of webhooks, each delivered fifty times in random order while the processor dies (R4).

The same month is lived twice. First in order: each notice once, each handled before the next. Then
with the worker and the relay killed about every second: what payers do is told to a mailbox first,
and from there every notice is sent again and again, old ones after new ones. Nobody is asked but
for a notice. Both months must have the same books, kind by kind, account by account and order by
order; only ids and times may differ.
"""

import dataclasses
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench import report
from tests.bench.report import Target
from tests.concurrency.checkout import Checkout, Notice, Order, Payment, put_off_polls
from tests.concurrency.rush import Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import ROOT, Shelf, wait_until
from tests.contracts.peer import Peer
from tests.faults.processes import Processes, Victim, children, kill
from tests.own_edge import running_edge

PHONE = "+237671112233"
BETWEEN_KILLS = 1.0
HANDS = 3
"""Workers beside the stack's own, so that one is at work while others are being replaced."""
DELIVERERS = 8
REPLAYS = 50
NOTICES_SECONDS = 60.0
SETTLED_SECONDS = 240.0
LEAST_KILLS = 10
LEAST_KILLS_AT_WORK = 3

VICTIMS = (
    Victim("worker-payments", "child"),
    Victim("worker-payments"),
    Victim("relay"),
)


@dataclass(frozen=True)
class Script:
    """What one shopper does: attempts, and what becomes of each at its gateway, in order."""

    country: str
    attempts: tuple[tuple[str, str | None], ...]
    """(method, phone)."""
    events: tuple[tuple[int, Mapping[str, Any]], ...]
    """(which attempt, what is decided there)."""


PAID = {"outcome": "paid"}
SCRIPTS = (
    Script("CM", (("kora_checkout", None),), ((0, PAID),)),
    Script("CM", (("mtn_momo", PHONE),), ((0, PAID),)),
    Script("CM", (("orange_money", None),), ((0, PAID),)),
    Script("ZA", (("card", None),), ((0, PAID),)),
    Script("ZA", (("eft", None),), ((0, PAID),)),
    # Said to have failed, and paid after all.
    Script("CM", (("kora_checkout", None),), ((0, {"outcome": "failed"}), (0, PAID))),
    Script("CM", (("mtn_momo", PHONE),), ((0, {"outcome": "cancelled"}), (0, PAID))),
    # Another sum than was asked for.
    Script("ZA", (("card", None),), ((0, {"outcome": "paid", "amount": "20.00"}),)),
    # Nothing in the end.
    Script("CM", (("orange_money", None),), ((0, {"outcome": "failed"}),)),
    # Paid at two gateways: the second money goes back by itself.
    Script("CM", (("kora_checkout", None), ("mtn_momo", PHONE)), ((0, PAID), (1, PAID))),
)


@dataclass
class Month:
    """Orders of one month, and the books of each."""

    scripts: Sequence[Script]
    orders: list[Order]
    payments: list[list[Payment]]

    def ids(self) -> list[str]:
        """Of the orders."""
        return [order.id for order in self.orders]

    @property
    def events(self) -> int:
        """How much happens in it."""
        return sum(len(script.events) for script in self.scripts)

    def notices(self) -> Counter[str]:
        """How many notices there must be of each payment."""
        return Counter(
            payments[attempt].id
            for script, payments in zip(self.scripts, self.payments, strict=True)
            for attempt, _ in script.events
        )


@pytest.fixture
def eft_by_payfast(admin: Admin) -> Iterator[None]:
    """Transfers in rand go to the gateway that is second in line otherwise."""
    statement = (
        "update public.payment_routes set is_enabled = %s "
        "where country = 'ZA' and method = 'eft' and gateway = 'paygate'"
    )
    admin.execute(statement, [False])
    yield
    admin.execute(statement, [True])


@dataclass
class Shop:
    """Everything that both months need."""

    admin: Admin
    checkout: Checkout
    shelf: Shelf
    products: list[str] = field(default_factory=list)

    def open(
        self,
        shoppers: Mapping[str, list[Shopper]],
        scripts: Sequence[Script],
        checkout: Checkout,
    ) -> Month:
        """Orders of these scripts, each with its attempts begun and its pages open."""
        while len(self.products) < len(scripts):
            place = len(self.products)
            prices = {"ZA": f"{100 + place}.90", "CM": str(1000 + 7 * place)}
            self.products.append(self.shelf.put(stock=10, prices=prices))
        month = Month(scripts, [], [])
        for place, script in enumerate(scripts):
            shopper = shoppers[script.country][place]
            order = checkout.place(shopper, self.products[place], country=script.country)
            month.orders.append(order)
            month.payments.append(
                [_begin(checkout, order, method, phone) for method, phone in script.attempts]
            )
        return month

    def put_off_polls(self, month: Month) -> None:
        """Nobody asks about the month's payments but for a notice."""
        put_off_polls(self.admin, [one for attempts in month.payments for one in attempts])

    def happen(self, payment: Payment, decision: Mapping[str, Any]) -> None:
        """A payer does something; the gateway tells of it."""
        answer = self.checkout.sandbox.post(
            f"/_sandbox/payments/{payment.gateway}/{payment.reference}", json=dict(decision)
        )
        assert answer.status_code == 200, answer.text

    def is_settled(self, month: Month, events: int) -> bool:
        """Whether `events` notices came, all were handled, and all refunds have ended."""
        row = self.admin.execute(
            "with mine as ("
            "  select p.id from public.payments as p where p.order_id = any(%(orders)s::uuid[])"
            ") select"
            "  (select count(*) from private.webhook_events as e"
            "   where e.payment_id in (select id from mine) and e.kind = 'payment') as events,"
            "  (select count(*) from private.webhook_events as e"
            "   where e.payment_id in (select id from mine) and e.handled_at is null) as unhandled,"
            "  (select count(*) from public.refunds as r"
            "   where r.payment_id in (select id from mine)"
            "   and r.status in ('pending', 'processing')) as returning",
            {"orders": month.ids()},
        ).fetchone()
        assert row is not None
        return bool(row["events"] == events and row["unhandled"] == 0 and row["returning"] == 0)

    def notices(self, month: Month) -> Counter[str]:
        """How many notices there are of each of the month's payments."""
        rows = self.admin.execute(
            "select e.payment_id::text, count(*) as n from private.webhook_events as e "
            "inner join public.payments as p on e.payment_id = p.id "
            "where p.order_id = any(%s::uuid[]) and e.kind = 'payment' group by e.payment_id",
            [month.ids()],
        ).fetchall()
        return Counter({row["payment_id"]: int(row["n"]) for row in rows})

    def is_working(self, month: Month) -> bool:
        """Whether one of the month's notices is being handled at this moment, or is to be."""
        row = self.admin.execute(
            "select exists (select from private.webhook_events as e "
            "  inner join public.payments as p on e.payment_id = p.id "
            "  where p.order_id = any(%s::uuid[]) and e.handled_at is null) as is_working",
            [month.ids()],
        ).fetchone()
        assert row is not None
        return bool(row["is_working"])

    def release_leases(self) -> None:
        """The leases of what was killed run out at once."""
        self.admin.execute(
            "update private.outbox as o set available_at = now() "
            "where o.done_at is null and o.failed_at is null and o.attempts > 0 "
            "and o.job in ('handle_webhook', 'send_refund', 'check_refund') "
            "and o.available_at > now()"
        )

    def books(self, month: Month) -> list[list[tuple[str, str, str, str]]]:
        """(kind, account, currency, amount) of each order's entries, whenever they were posted."""
        rows = self.admin.execute(
            "select t.order_id::text, t.kind, e.account, e.currency, e.amount::text "
            "from private.ledger_transactions as t "
            "inner join private.ledger_entries as e on t.id = e.transaction_id "
            "where t.order_id = any(%s::uuid[])",
            [month.ids()],
        ).fetchall()
        of_order: dict[str, list[tuple[str, str, str, str]]] = {one: [] for one in month.ids()}
        for row in rows:
            of_order[row["order_id"]].append(
                (row["kind"], row["account"], row["currency"], row["amount"])
            )
        return [sorted(of_order[one]) for one in month.ids()]


def _begin(checkout: Checkout, order: Order, method: str, phone: str | None) -> Payment:
    payment = checkout.initialize(order, method, phone)
    if payment.fields:
        page = checkout.sandbox.post(
            str(payment.url), data=dict(payment.fields), follow_redirects=True
        )
        assert page.status_code == 200, page.text
    return payment


def hashed(books: Sequence[Any]) -> str:
    """One hash for a month's books."""
    return hashlib.sha256(json.dumps(books).encode()).hexdigest()


@dataclass
class Crew:
    """Workers beside the stack's own: when one is killed, others go on and a new one comes."""

    stack_env: Mapping[str, str]
    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def hire(self) -> None:
        """Starts one more worker of the queue in which webhooks are handled."""
        with self.log.open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "worker.queues", "payments"],
                    cwd=ROOT,
                    env={**os.environ, **self.stack_env},
                    stdout=output,
                    stderr=output,
                )
            )

    def lose(self, dice: random.Random) -> None:
        """Kills one, with what it is just doing or without, and starts another."""
        process = self.processes.pop(dice.randrange(len(self.processes)))
        horses = children(process.pid)
        for pid in horses if dice.random() < 0.5 else []:
            kill(pid)
        process.kill()
        process.wait()
        self.hire()

    def dismiss(self) -> None:
        """Ends them all."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


@dataclass
class Kills:
    """Who was killed, in order, and how often while there was work."""

    killed: list[str] = field(default_factory=list)
    at_work: int = 0


Processor = Callable[[Callable[[], bool]], AbstractContextManager[Kills]]
"""What handles webhooks, dying all the time; it is told how to find out whether there is work."""


@contextmanager
def dying(
    processes: Processes, stack_env: Mapping[str, str], log: Path, is_working: Callable[[], bool]
) -> Iterator[Kills]:
    """About every second one of the processor's processes is killed."""
    kills = Kills()
    is_over = threading.Event()
    dice = random.Random(4)  # noqa: S311  # victims, not secrets
    crew = Crew(stack_env, log)
    for _ in range(HANDS):
        crew.hire()

    def strike() -> None:
        while not is_over.wait(BETWEEN_KILLS):
            kills.at_work += is_working()
            crew.lose(dice)
            kills.killed.append("worker")

    def strike_stack() -> None:
        # Supervisor takes its time to put others in their places.
        while not is_over.wait(BETWEEN_KILLS):
            victim = dice.choice(VICTIMS)
            try:
                victim.strike(processes)
            except ProcessLookupError:
                continue  # it was just being replaced
            kills.killed.append(str(victim))

    killers = [threading.Thread(target=one, daemon=True) for one in (strike, strike_stack)]
    for killer in killers:
        killer.start()
    try:
        yield kills
    finally:
        is_over.set()
        for killer in killers:
            killer.join()
        crew.dismiss()
        for program in ("worker-payments", "relay"):
            processes.pid(program)


def live_in_order(shop: Shop, month: Month) -> None:
    """Each notice once, and handled before the next of its payment."""
    for turn in range(max(len(script.events) for script in month.scripts)):
        for script, payments in zip(month.scripts, month.payments, strict=True):
            for attempt, decision in script.events[turn : turn + 1]:
                shop.happen(payments[attempt], decision)
        expected = sum(min(len(script.events), turn + 1) for script in month.scripts)
        wait_until(partial(shop.is_settled, month, expected), SETTLED_SECONDS)


def in_disorder(notices: Sequence[Notice], dice: random.Random) -> list[Notice]:
    """Each for the first time at any moment, old ones after new ones, and again ever after."""
    timed: list[tuple[float, Notice]] = []
    for notice in notices:
        first = dice.random()
        again = [dice.uniform(first, 1) for _ in range(REPLAYS - 1)]
        timed += [(moment, notice) for moment in (first, *again)]
    return [notice for _, notice in sorted(timed, key=itemgetter(0))]


def live_in_disorder(
    shop: Shop,
    month: Month,
    letters: Peer,
    processor: Processor,
    edge_door: Callable[[], Door],
    dice: random.Random,
) -> Kills:
    """All has happened before the first notice arrives; what of it arrives when, is chance."""
    # What one payer does comes in its order; what several do, does not.
    turns = [place for place, script in enumerate(month.scripts) for _ in script.events]
    dice.shuffle(turns)
    following = [iter(script.events) for script in month.scripts]
    for place in turns:
        attempt, decision = next(following[place])
        shop.happen(month.payments[place][attempt], decision)
    heard = letters.wait_for(month.events, NOTICES_SECONDS)
    assert len(heard) == month.events
    shop.put_off_polls(month)
    sending = [one.send for one in in_disorder([Notice.of(one) for one in heard], dice)]
    with processor(partial(shop.is_working, month)) as kills:
        answers = rush(edge_door, sending, DELIVERERS)
        assert {answer.status for answer in answers} == {200}
        wait_until(lambda: len(kills.killed) >= LEAST_KILLS, SETTLED_SECONDS)
    shop.release_leases()
    wait_until(partial(shop.is_settled, month, month.events), SETTLED_SECONDS)
    return kills


def live_twice(
    count: int,
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    letters: Peer,
    elsewhere: Checkout,
    processor: Processor,
    edge_door: Callable[[], Door],
) -> None:
    """The month in order, then the month in disorder: the books are the same."""
    scripts = [SCRIPTS[place % len(SCRIPTS)] for place in range(count)]
    shoppers = {country: crowd(count, with_mail=True, country=country) for country in ("CM", "ZA")}
    reference = shop.open(shoppers, scripts, shop.checkout)
    live_in_order(shop, reference)
    month = shop.open(shoppers, scripts, elsewhere)
    shop.put_off_polls(month)
    dice = random.Random(4)  # noqa: S311  # an order, not a secret
    kills = live_in_disorder(shop, month, letters, processor, edge_door, dice)

    expected, found = shop.books(reference), shop.books(month)
    differing = [place for place in range(count) if expected[place] != found[place]]
    report.write(
        "webhook_replay",
        {
            "payments": sum(map(len, month.payments)),
            "deliveries": month.events * REPLAYS,
            "kills": len(kills.killed),
            "kills_at_work": kills.at_work,
            "hash": hashed(found),
        },
        [Target.at_most("R4", "payments whose books differ from the reference", len(differing), 0)],
    )
    assert not differing, [(scripts[n], expected[n], found[n]) for n in differing[:3]]
    assert hashed(expected) == hashed(found)
    for script, entries in zip(scripts, expected, strict=True):
        is_paid = any(decision["outcome"] == "paid" for _, decision in script.events)
        assert bool(entries) == is_paid, script
    # Each notice is there once, and the work was hit while there was some.
    assert shop.notices(reference) == reference.notices()
    assert shop.notices(month) == month.notices()
    assert kills.at_work >= LEAST_KILLS_AT_WORK, kills


@pytest.fixture
def shop(admin: Admin, checkout: Checkout, shelf: Shelf) -> Shop:
    return Shop(admin, checkout, shelf)


@pytest.fixture
def processor(processes: Processes, stack_env: dict[str, str], tmp_path: Path) -> Processor:
    return partial(dying, processes, stack_env, tmp_path / "workers.log")


@pytest.fixture
def elsewhere(
    checkout: Checkout, letters_to_the_shop: Peer, stack_env: dict[str, str], tmp_path: Path
) -> Iterator[Checkout]:
    """The way to pay by an edge whose payments' notices are kept until they are let loose."""
    log, public_url = tmp_path / "edge.log", letters_to_the_shop.url
    with (
        running_edge(stack_env, log, PUBLIC_URL=public_url) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as wire,
    ):
        yield dataclasses.replace(checkout, edge=wire)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("eft_by_payfast", "no_rate_limits")
def test_a_month_of_webhooks_in_disorder_leaves_the_books_of_one_in_order(
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    letters_to_the_shop: Peer,
    elsewhere: Checkout,
    processor: Processor,
    edge_door: Callable[[], Door],
) -> None:
    live_twice(50, shop, crowd, letters_to_the_shop, elsewhere, processor, edge_door)


@pytest.mark.soak
@pytest.mark.usefixtures("eft_by_payfast", "no_rate_limits")
def test_a_thousand_payments_in_disorder_leave_the_books_of_those_in_order(
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    letters_to_the_shop: Peer,
    elsewhere: Checkout,
    processor: Processor,
    edge_door: Callable[[], Door],
) -> None:
    live_twice(1_000, shop, crowd, letters_to_the_shop, elsewhere, processor, edge_door)
