"""A thousand webhooks of five gateways, some forged, each genuine one five times, all at once.

The gateways themselves write the genuine ones: the payments are begun by an edge that calls itself
by another address, where the notices are kept until they are let loose on the running edge. A
forged one differs from a genuine one in a single digit of what proves it.

And what an edge acknowledged is stored, whichever of its processes and connections died then.
"""

import dataclasses
import http.client
import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from edge_workers.providers.kora import signature
from tests.concurrency.checkout import Checkout, Notice, Order, Payment, put_off_polls
from tests.concurrency.conftest import Stock
from tests.concurrency.rush import Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf, wait_until
from tests.contracts.peer import Heard, Peer
from tests.faults.processes import children, kill
from tests.own_edge import running_edge
from tests.properties.scratch import Scratch, clear
from tests.properties.shop import Notice as Genuine
from tests.properties.shop import forge

EACH = 36
"""Payments of each gateway."""
TIMES = 5
FORGED = 100
AT_ONCE = 32
PAYERS = 4
"""Who begin to pay at a time: fewer than a gateway may hold threads of the one edge."""
SETTLED_SECONDS = 240.0
STRIKES = 8
BETWEEN = 60
"""Acknowledgements between two of them."""


@dataclass(frozen=True)
class Way:
    """How a payment of a gateway is begun."""

    gateway: str
    country: str
    method: str
    phone: str | None = None
    switched_off: tuple[str, ...] = ()
    """Settings without which the gateways that would come first are not there."""


WAYS = (
    Way("kora", "CM", "kora_checkout"),
    Way("mtn", "CM", "mtn_momo", phone="+237677000099"),
    Way("orange", "CM", "orange_money"),
    Way("paygate", "ZA", "card"),
    Way("payfast", "ZA", "card", switched_off=("PAYGATE_KEY",)),
)


def forged(notice: Notice) -> Notice:
    """The same with one digit of its proof changed."""
    heard = Heard(notice.method, notice.path, dict(notice.headers), notice.raw)
    return Notice.of(forge(Genuine(notice.gateway, heard)))


def begin(
    way: Way, checkout: Checkout, sandbox: httpx.Client, product: str, code: str, shopper: Shopper
) -> Payment:
    """An order whose payer has done at the gateway's page what leads to paying."""
    order = checkout.place(shopper, product, code=code, country=way.country)
    payment = checkout.initialize(order, way.method, way.phone)
    assert payment.gateway == way.gateway
    if payment.fields:
        sandbox.post(payment.url or "", data=dict(payment.fields), follow_redirects=True)
    elif payment.url is not None:
        sandbox.get(payment.url, follow_redirects=True)
    return payment


def outcomes(admin: Admin, payments: Sequence[Payment]) -> Counter[str | None]:
    """How the stored notices of these payments ended; None: not yet."""
    rows = admin.execute(
        "select outcome, count(*) as n from private.webhook_events "
        "where payment_id = any(%s::uuid[]) group by outcome",
        [[payment.id for payment in payments]],
    ).fetchall()
    return Counter({row["outcome"]: int(row["n"]) for row in rows})


def text_of(notice: Notice) -> str:
    """The body as the inbox keeps it."""
    return notice.raw.decode("utf-8", "backslashreplace")


def paid_once(admin: Admin, orders: Sequence[Order]) -> int:
    """How many of the orders have every effect of being paid, and each once."""
    row = admin.execute(
        "select count(*) as n from public.orders as o "
        "where o.id = any(%s::uuid[]) and o.status = 'paid' and o.payment_status = 'paid' "
        "and (select count(*) from public.payments as p "
        "  where p.order_id = o.id and p.is_winner) = 1 "
        "and (select count(*) from public.order_events as e "
        "  where e.order_id = o.id and e.to_status = 'paid') = 1 "
        "and (select count(*) from private.emails as e "
        "  where e.order_id = o.id and e.template = 'payment_received') = 1 "
        "and (select count(*) from public.affiliate_stats as s where s.order_id = o.id) = 1 "
        "and (select count(*) from private.ledger_transactions as t "
        "  where t.order_id = o.id and t.kind = 'sale') = 1 "
        "and array(select e.amount from private.ledger_transactions as t "
        "  inner join private.ledger_entries as e on e.transaction_id = t.id "
        "  where t.order_id = o.id and t.kind = 'receipt' "
        "  and e.account = 'gateway_receivable') = array[o.total_price]",
        [[order.id for order in orders]],
    ).fetchone()
    assert row is not None
    return int(row["n"])


@pytest.mark.timeout(600)
def test_a_thousand_webhooks_of_all_gateways_in_any_order_are_each_applied_once_or_refused(
    stack_env: dict[str, str],
    tmp_path: Path,
    letters_to_the_shop: Peer,
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    stock_of: Callable[[str], Stock],
    shelf: Shelf,
    checkout: Checkout,
    sandbox: httpx.Client,
    admin: Admin,
    edge_door: Callable[[], Door],
) -> None:
    product = shelf.put(stock=10_000)
    code = new_code(usage_limit=None)
    payments: list[Payment] = []
    with ExitStack() as running, ThreadPoolExecutor(PAYERS) as threads:
        for way in WAYS:
            url = running.enter_context(
                running_edge(
                    stack_env,
                    tmp_path / f"{way.gateway}.log",
                    PUBLIC_URL=letters_to_the_shop.url,
                    **dict.fromkeys(way.switched_off, ""),
                )
            )
            wire = running.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))
            elsewhere = dataclasses.replace(checkout, edge=wire)
            shoppers = crowd(EACH, with_mail=True, country=way.country)
            start = partial(begin, way, elsewhere, sandbox, product, code)
            payments += threads.map(start, shoppers)
        put_off_polls(admin, payments)
        list(threads.map(checkout.pay, payments))
        heard = letters_to_the_shop.wait_for(len(payments), 60)
    genuine = list(dict.fromkeys(Notice.of(one) for one in heard))
    assert Counter(notice.gateway for notice in genuine) == {way.gateway: EACH for way in WAYS}

    order = random.Random(5)  # noqa: S311  # an order, the same each time
    forgeries = [forged(notice) for notice in order.sample(genuine, FORGED)]
    flood = [*genuine * TIMES, *forgeries]
    assert len(flood) == 1000
    order.shuffle(flood)
    answers = rush(edge_door, [notice.send for notice in flood], AT_ONCE)

    told = Counter(
        (notice in forgeries, answer.status) for notice, answer in zip(flood, answers, strict=True)
    )
    assert told == {(False, 200): len(genuine) * TIMES, (True, 401): FORGED}

    wait_until(lambda: outcomes(admin, payments)[None] == 0, SETTLED_SECONDS)
    # A poll that was under way may have been faster for one or the other.
    ends = outcomes(admin, payments)
    assert ends["applied"] + ends["unchanged"] == ends.total() == len(payments)
    assert ends["applied"] > 0
    sold = len(payments)
    assert paid_once(admin, [payment.order for payment in payments]) == sold
    assert stock_of(product) == Stock(on_hand=10_000 - sold, reserved=0, ordered=sold)
    uses = admin.execute(
        "select reserved_count, usage_count from public.promo_codes where code = %s", [code]
    ).fetchone()
    assert uses == {"reserved_count": 0, "usage_count": sold}
    kept = admin.execute(
        "select count(*) as n from private.webhook_events where raw = any(%s)",
        [[text_of(one) for one in forgeries if one.raw not in {other.raw for other in genuine}]],
    ).fetchone()
    assert kept == {"n": 0}


@dataclass
class Sender:
    """A gateway that writes one notice after the other, and remembers which were taken."""

    url: str
    secret: str
    told: list[str] = field(default_factory=list)
    """What was answered 200."""
    unanswered: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def send(self, numbers: Iterator[int]) -> None:
        """One at a time over one connection, over another when that breaks, to the end."""
        while not self.is_over.is_set():
            try:
                with Door(self.url) as door:
                    self._send_over(door, numbers)
            except (OSError, http.client.HTTPException):
                self.unanswered += 1

    def _send_over(self, door: Door, numbers: Iterator[int]) -> None:
        while not self.is_over.is_set():
            notice = self._write(next(numbers))
            if notice.send(door).status == 200:
                self.told.append(text_of(notice))

    def _write(self, number: int) -> Notice:
        data = f'{{"reference":"KPY-PAY-{number}","status":"success","amount":{number}}}'
        return Notice(
            "POST",
            "/api/v1/payments/webhook/kora",
            (
                ("content-type", "application/json"),
                ("x-korapay-signature", signature.sign(data, self.secret)),
            ),
            f'{{"event":"charge.success","data":{data}}}'.encode(),
        )


@pytest.fixture
def empty_shop(scratch: Scratch) -> Iterator[Admin]:
    """A database that only this test's own edge looks into."""
    with scratch.connect() as admin:
        clear(admin)
        yield admin
        clear(admin)


@pytest.mark.timeout(300)
def test_what_was_answered_200_is_stored_whichever_process_or_connection_dies(
    stack_env: dict[str, str],
    tmp_path: Path,
    checkout: Checkout,
    scratch: Scratch,
    empty_shop: Admin,
) -> None:
    before = children(os.getpid())
    settings = {"DATABASE_URL": scratch.service_url, "EDGE_WORKERS": "2"}
    with (
        running_edge(stack_env, tmp_path / "edge.log", **settings) as url,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        (edge,) = set(children(os.getpid())) - set(before)
        sender, numbers = Sender(url, checkout.kora_secret), itertools.count()

        def is_under_way(taken: int) -> bool:
            return len(sender.told) >= taken and len(children(edge)) == 2

        sending = [threads.submit(sender.send, numbers) for _ in range(AT_ONCE)]
        try:
            for strike in range(STRIKES):
                wait_until(partial(is_under_way, strike * BETWEEN + BETWEEN), 60)
                if strike % 2:
                    empty_shop.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where datname = current_database() and pid <> pg_backend_pid()"
                    )
                else:
                    kill(children(edge)[0])
            wait_until(partial(is_under_way, STRIKES * BETWEEN + BETWEEN), 60)
        finally:
            sender.is_over.set()
        for one in sending:
            one.result()

    assert sender.unanswered > 0
    rows = empty_shop.execute(
        "select e.raw, exists (select from private.outbox as o where o.job = 'handle_webhook' "
        "and o.args ->> 'event_id' = e.id::text) as is_worked_on from private.webhook_events as e"
    ).fetchall()
    assert set(sender.told) - {row["raw"] for row in rows if row["is_worked_on"]} == set()
