"""A month of webhooks, each delivered fifty times in random order while the processor dies (R4).

The same month is lived twice. First in order: each notice once, each handled before the next. Then
with the worker and the relay killed about every second, and every notice sent again and again, old
ones after new ones. Both months must have the same books, kind by kind, account by account and
order by order; only ids and times may differ.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.bench import report
from tests.bench.report import Target
from tests.concurrency.checkout import Checkout, Order, Payment
from tests.concurrency.rush import Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import ROOT, Shelf, wait_until
from tests.faults.processes import Processes, Victim, children, kill

PHONE = "+237671112233"
BETWEEN_KILLS = 1.0
HANDS = 3
"""Workers beside the stack's own, so that one is at work while others are being replaced."""
DELIVERERS = 8
REPLAYS = 50
SETTLED_SECONDS = 240.0

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


@dataclass(frozen=True)
class Notice:
    """A webhook as it went over the wire."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Deliveries:
    """The notices that the sandbox sends, read from its own journal."""

    journal: Path
    read_up_to: int = 0
    found: dict[str, Notice] = field(default_factory=dict)

    def skip(self) -> None:
        """What was sent so far is of no interest."""
        self.read_up_to = self.journal.stat().st_size

    def read(self) -> list[Notice]:
        """All since then, oldest first."""
        with self.journal.open("rb") as file:
            file.seek(self.read_up_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.read_up_to += len(line)
                self._note(json.loads(line))
        return list(self.found.values())

    def _note(self, entry: Mapping[str, Any]) -> None:
        value = entry["value"]
        if entry["kind"] == "delivery" and not value["is_forged"]:
            path = urlsplit(value["url"]).path
            headers = {name.title(): text for name, text in value["headers"].items()}
            self.found[entry["id"]] = Notice(path, headers, value["body"].encode())


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

    def open(self, shoppers: Mapping[str, list[Shopper]], scripts: Sequence[Script]) -> Month:
        """Orders of these scripts, each with its attempts begun and its pages open."""
        while len(self.products) < len(scripts):
            place = len(self.products)
            prices = {"ZA": f"{100 + place}.90", "CM": str(1000 + 7 * place)}
            self.products.append(self.shelf.put(stock=10, prices=prices))
        month = Month(scripts, [], [])
        for place, script in enumerate(scripts):
            shopper = shoppers[script.country][place]
            order = self.checkout.place(shopper, self.products[place], country=script.country)
            month.orders.append(order)
            month.payments.append(
                [self._begin(order, method, phone) for method, phone in script.attempts]
            )
        return month

    def _begin(self, order: Order, method: str, phone: str | None) -> Payment:
        payment = self.checkout.initialize(order, method, phone)
        if payment.fields:
            page = self.checkout.sandbox.post(
                str(payment.url), data=dict(payment.fields), follow_redirects=True
            )
            assert page.status_code == 200, page.text
        return payment

    def happen(self, payment: Payment, decision: Mapping[str, Any]) -> None:
        """A payer does something; the gateway tells of it."""
        answer = self.checkout.sandbox.post(
            f"/_sandbox/payments/{payment.gateway}/{payment.reference}", json=dict(decision)
        )
        assert answer.status_code == 200, answer.text

    def is_settled(self, month: Month, events: int = 0) -> bool:
        """Whether `events` notices came, all are handled, and all refunds have ended."""
        row = self.admin.execute(
            "with mine as ("
            "  select p.id from public.payments as p where p.order_id = any(%(orders)s::uuid[])"
            ") select"
            "  (select count(*) from private.webhook_events as e"
            "   where e.payment_id in (select id from mine)) as events,"
            "  (select count(*) from private.webhook_events as e"
            "   where e.payment_id in (select id from mine) and e.handled_at is null) as unhandled,"
            "  (select count(*) from public.refunds as r"
            "   where r.payment_id in (select id from mine)"
            "   and r.status in ('pending', 'processing')) as returning",
            {"orders": month.ids()},
        ).fetchone()
        assert row is not None
        return bool(row["events"] >= events and row["unhandled"] == 0 and row["returning"] == 0)

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


@contextmanager
def dying(processes: Processes, stack_env: Mapping[str, str], log: Path) -> Iterator[list[str]]:
    """About every second one of the processor's processes is killed; who, in order."""
    killed: list[str] = []
    is_over = threading.Event()
    dice = random.Random(4)  # noqa: S311  # victims, not secrets
    crew = Crew(stack_env, log)
    for _ in range(HANDS):
        crew.hire()

    def strike() -> None:
        while not is_over.wait(BETWEEN_KILLS):
            crew.lose(dice)
            killed.append("worker")

    def strike_stack() -> None:
        # Supervisor takes its time to put others in their places.
        while not is_over.wait(BETWEEN_KILLS):
            victim = dice.choice(VICTIMS)
            try:
                victim.strike(processes)
            except ProcessLookupError:
                continue  # it was just being replaced
            killed.append(str(victim))

    killers = [threading.Thread(target=one, daemon=True) for one in (strike, strike_stack)]
    for killer in killers:
        killer.start()
    try:
        yield killed
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


def replay(
    month: Month,
    shop: Shop,
    sent: Deliveries,
    edge_door: Callable[[], Door],
    dice: random.Random,
) -> int:
    """All that happens in the month, in any order, and every notice fifty times; how many came."""
    sent.skip()
    events = [
        (place, number)
        for place, script in enumerate(month.scripts)
        for number in range(len(script.events))
    ]
    expected = len(events)
    # What one payer does comes in its order; what several do, does not.
    turns = [place for place, _ in events]
    dice.shuffle(turns)
    done: dict[int, int] = {}
    for place in turns:
        number = done.get(place, 0)
        done[place] = number + 1
        attempt, decision = month.scripts[place].events[number]
        shop.happen(month.payments[place][attempt], decision)
    notices = wait_until(lambda: found if len(found := sent.read()) >= expected else [], 60.0)
    again = [notice for notice in notices for _ in range(REPLAYS)]
    dice.shuffle(again)

    def deliver(notice: Notice, door: Door) -> int:
        return door.post(notice.path, notice.body, notice.headers).status

    answers = rush(edge_door, [partial(deliver, notice) for notice in again], DELIVERERS)
    assert set(answers) == {200}
    return len(answers)


def live_twice(
    count: int,
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    processor: Callable[[], AbstractContextManager[list[str]]],
    sent: Deliveries,
    edge_door: Callable[[], Door],
) -> None:
    """The month in order, then the month in disorder: the books are the same."""
    scripts = [SCRIPTS[place % len(SCRIPTS)] for place in range(count)]
    shoppers = {country: crowd(count, with_mail=True, country=country) for country in ("CM", "ZA")}
    reference = shop.open(shoppers, scripts)
    live_in_order(shop, reference)
    month = shop.open(shoppers, scripts)
    with processor() as killed:
        deliveries = replay(
            month,
            shop,
            sent,
            edge_door,
            random.Random(4),  # noqa: S311  # an order, not a secret
        )
    shop.release_leases()
    wait_until(partial(shop.is_settled, month), SETTLED_SECONDS)

    expected, found = shop.books(reference), shop.books(month)
    differing = [place for place in range(count) if expected[place] != found[place]]
    assert not differing, [(scripts[n], expected[n], found[n]) for n in differing[:3]]
    assert hashed(expected) == hashed(found)
    assert sum(map(len, expected)) > 0
    assert killed, "nothing was killed"
    report.write(
        "webhook_replay",
        {
            "payments": sum(map(len, month.payments)),
            "deliveries": deliveries,
            "kills": len(killed),
            "hash": hashed(found),
        },
        [Target.at_most("R4", "payments whose books differ from the reference", len(differing), 0)],
    )


@pytest.fixture
def shop(admin: Admin, checkout: Checkout, shelf: Shelf) -> Shop:
    return Shop(admin, checkout, shelf)


@pytest.fixture
def processor(
    processes: Processes, stack_env: dict[str, str], tmp_path: Path
) -> Callable[[], AbstractContextManager[list[str]]]:
    """What handles webhooks, dying all the time."""
    return partial(dying, processes, stack_env, tmp_path / "workers.log")


@pytest.fixture
def sent(stack_env: dict[str, str]) -> Deliveries:
    return Deliveries(Path(stack_env["STATE_DIR"]) / "sandbox" / "journal.jsonl")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("eft_by_payfast", "no_rate_limits")
def test_a_month_of_webhooks_in_disorder_leaves_the_books_of_one_in_order(
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    processor: Callable[[], AbstractContextManager[list[str]]],
    sent: Deliveries,
    edge_door: Callable[[], Door],
) -> None:
    live_twice(50, shop, crowd, processor, sent, edge_door)


@pytest.mark.soak
@pytest.mark.usefixtures("eft_by_payfast", "no_rate_limits")
def test_a_thousand_payments_in_disorder_leave_the_books_of_those_in_order(
    shop: Shop,
    crowd: Callable[..., list[Shopper]],
    processor: Callable[[], AbstractContextManager[list[str]]],
    sent: Deliveries,
    edge_door: Callable[[], Door],
) -> None:
    live_twice(1_000, shop, crowd, processor, sent, edge_door)
