"""A thousand webhooks of five gateways, some forged, each genuine one five times, all at once.

The gateways themselves write the genuine ones: the payments are begun by an edge that calls itself
by another address, where the notices are kept until they are let loose on the running edge.
"""

import dataclasses
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.concurrency.checkout import Checkout, Order, Payment
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf, wait_until
from tests.contracts.peer import Heard, Peer, peer
from tests.own_edge import running_edge

EACH = 36
"""Payments of each gateway."""
TIMES = 5
FORGED = 100
AT_ONCE = 32
PAYERS = 4
"""Who begin to pay at a time: fewer than a gateway may hold threads of the one edge."""
SETTLED_SECONDS = 240.0

_OTHER_DIGITS = bytes.maketrans(b"0123456789", b"1234567890")
_NOT_SENT = frozenset({"host", "content-length", "connection", "accept-encoding"})


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


@dataclass(frozen=True)
class Notice:
    """One message on its way to the edge."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    @staticmethod
    def of(heard: Heard) -> "Notice":
        """As the gateway sent it."""
        kept = {n: v for n, v in heard.headers.items() if n not in _NOT_SENT}
        return Notice(heard.method, heard.path, tuple(sorted(kept.items())), heard.raw)

    def forged(self) -> "Notice":
        """Of the same form, with none of its secrets and other facts."""
        address, _, _token = self.path.rpartition("/")
        headers = tuple((n, v[::-1] if "signature" in n else v) for n, v in self.headers)
        raw = self.raw.translate(_OTHER_DIGITS)
        return Notice(self.method, f"{address}/{uuid.uuid4().hex}", headers, raw)

    def send(self, door: Door) -> Answer:
        """What the edge says to it."""
        return door.send(self.method, self.path, self.raw, dict(self.headers))


@pytest.fixture
def mailbox_of_the_shop() -> Iterator[Peer]:
    """Where the gateways' notices arrive and are kept."""
    with peer() as listening:
        yield listening


def begin(
    way: Way, checkout: Checkout, sandbox: httpx.Client, product: str, shopper: Shopper
) -> Payment:
    """An order whose payer has done at the gateway's page what leads to paying."""
    order = checkout.place(shopper, product, country=way.country)
    payment = checkout.initialize(order, way.method, way.phone)
    assert payment.gateway == way.gateway
    if payment.fields:
        sandbox.post(payment.url or "", data=dict(payment.fields), follow_redirects=True)
    elif payment.url is not None:
        sandbox.get(payment.url, follow_redirects=True)
    return payment


def put_off_polls(admin: Admin, payments: Sequence[Payment]) -> None:
    """Nobody asks about these payments but for a notice."""
    admin.execute(
        "update private.outbox set available_at = now() + interval '1 hour' "
        "where job = 'reconcile_payments' and done_at is null and failed_at is null "
        "and args ->> 'payment_id' = any(%s)",
        [[payment.id for payment in payments]],
    )


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
    """How many of the orders were paid, by one payment, in one move."""
    row = admin.execute(
        "select count(*) as n from public.orders as o "
        "where o.id = any(%s::uuid[]) and o.status = 'paid' and o.payment_status = 'paid' "
        "and (select count(*) from public.payments as p "
        "  where p.order_id = o.id and p.is_winner) = 1 "
        "and (select count(*) from public.order_events as e "
        "  where e.order_id = o.id and e.to_status = 'paid') = 1",
        [[order.id for order in orders]],
    ).fetchone()
    assert row is not None
    return int(row["n"])


@pytest.mark.timeout(600)
def test_a_thousand_webhooks_of_all_gateways_in_any_order_are_each_applied_once_or_refused(
    stack_env: dict[str, str],
    tmp_path: Path,
    mailbox_of_the_shop: Peer,
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    checkout: Checkout,
    sandbox: httpx.Client,
    admin: Admin,
    edge_door: Callable[[], Door],
) -> None:
    product = shelf.put(stock=10_000)
    payments: list[Payment] = []
    with ExitStack() as running, ThreadPoolExecutor(PAYERS) as threads:
        for way in WAYS:
            url = running.enter_context(
                running_edge(
                    stack_env,
                    tmp_path / f"{way.gateway}.log",
                    PUBLIC_URL=mailbox_of_the_shop.url,
                    **dict.fromkeys(way.switched_off, ""),
                )
            )
            wire = running.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))
            elsewhere = dataclasses.replace(checkout, edge=wire)
            shoppers = crowd(EACH, with_mail=True, country=way.country)
            payments += threads.map(partial(begin, way, elsewhere, sandbox, product), shoppers)
        put_off_polls(admin, payments)
        list(threads.map(checkout.pay, payments))
        heard = mailbox_of_the_shop.wait_for(len(payments), 60)
    genuine = list(dict.fromkeys(Notice.of(one) for one in heard))
    by_gateway = Counter(notice.path.split("/")[5] for notice in genuine)
    assert by_gateway == {way.gateway: EACH for way in WAYS}

    order = random.Random(5)  # noqa: S311  # an order, the same each time
    forged = [notice.forged() for notice in order.sample(genuine, FORGED)]
    flood = [*genuine * TIMES, *forged]
    assert len(flood) == 1000
    order.shuffle(flood)
    answers = rush(edge_door, [notice.send for notice in flood], AT_ONCE)

    told = Counter(
        (notice in forged, answer.status) for notice, answer in zip(flood, answers, strict=True)
    )
    assert told == {(False, 200): len(genuine) * TIMES, (True, 401): FORGED}

    wait_until(lambda: outcomes(admin, payments)[None] == 0, SETTLED_SECONDS)
    # A poll that was under way may have been faster for one or the other.
    ends = outcomes(admin, payments)
    assert ends["applied"] + ends["unchanged"] == ends.total() == len(payments)
    assert ends["applied"] > 0
    assert paid_once(admin, [payment.order for payment in payments]) == len(payments)
    kept = admin.execute(
        "select count(*) as n from private.webhook_events where raw = any(%s)",
        [[text_of(notice) for notice in forged if notice.raw not in {one.raw for one in genuine}]],
    ).fetchone()
    assert kept == {"n": 0}
