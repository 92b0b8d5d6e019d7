"""Every webhook is lost: the polls alone settle what was paid, at every gateway.

Time is moved, not waited for: attempts, their orders and their planned polls are set back step by
step, and each step lasts until every poll that is due then has been done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import redis
from psycopg import sql

from tests.concurrency.checkout import Checkout, Order
from tests.concurrency.conftest import Stock
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf, an_address, wait_until
from tests.faults.test_kills import persist

STEPS: Final = (15, 15, 30, *(60,) * 14)
"""Seconds of each step: fifteen minutes."""
AT_ONCE: Final = 8


@dataclass(frozen=True)
class Way:
    """One way to pay."""

    gateway: str
    country: str
    method: str
    phone: str | None = None
    slowest: int = 8
    """Minute in which the last customer pays: a prompt on a handset does not wait long."""


WAYS: Final = (
    Way("kora", "CM", "kora_checkout"),
    Way("orange", "CM", "orange_money", slowest=2),
    Way("mtn", "CM", "mtn_momo", phone="+237671112233", slowest=0),
    Way("paygate", "ZA", "card"),
    Way("payfast", "ZA", "eft"),
)


@dataclass(frozen=True)
class Attempt:
    """A payment at whose gateway the customer stands."""

    id: str
    order: Order
    way: Way
    reference: str
    minute: int
    """When the customer pays."""


@dataclass(frozen=True)
class Mall:
    """The shop's doors, its database and its clock."""

    checkout: Checkout
    admin: Admin

    def begin(self, shopper: Shopper, product: str, way: Way, minute: int) -> Attempt:
        """The shopper orders and comes to the gateway's page, or gets the push."""
        body = self.checkout.order_body(product) | {
            "country": way.country,
            "address": an_address(way.country),
        }
        order = self.checkout.send_order(shopper, body)
        wish = {"order_id": order.id, "method": way.method, "phone": way.phone}
        # A gateway that an earlier test silenced rests at the edge: the frontend asks again.
        answer = persist(
            lambda: self.checkout.edge.post(
                "/api/v1/payments/initialize",
                json={name: value for name, value in wish.items() if value is not None},
                headers=shopper.headers,
            )
        )
        assert answer.status_code == 200, answer.text
        action = answer.json()
        assert action["gateway"] == way.gateway
        self._open(action)
        payment = self.checkout.payment(order, action)
        return Attempt(payment.id, order, way, payment.reference, minute)

    def _open(self, action: Mapping[str, Any]) -> None:
        """What the shopper's browser does with the answer of initialize."""
        if action["action"] == "push":
            return
        if action["action"] == "form":
            fields = {field["name"]: field["value"] for field in action["fields"]}
            page = self.checkout.sandbox.post(action["url"], data=fields, follow_redirects=True)
        else:
            page = self.checkout.sandbox.get(action["url"], follow_redirects=True)
        assert page.status_code == 200, page.text

    def pay(self, attempt: Attempt) -> None:
        """The customer pays; the gateway's webhook is lost."""
        answer = self.checkout.sandbox.post(
            f"/_sandbox/payments/{attempt.way.gateway}/{attempt.reference}",
            json={"outcome": "paid", "notify": False},
        )
        assert answer.status_code == 200, answer.text

    def move(self, attempts: Sequence[Attempt], seconds: int) -> None:
        """So much time has passed for these attempts."""
        ids = [attempt.id for attempt in attempts]
        passed = f"{seconds} seconds"
        with self.admin.transaction():
            # Orders before payments, as everywhere: a poll that is due just now takes both.
            self.admin.execute(
                "select from public.orders where id in (select p.order_id "
                "  from public.payments as p where p.id = any(%s::uuid[])) order by id for update",
                [ids],
            )
            self.admin.execute(
                "update public.payments set created_at = created_at - %(passed)s::interval, "
                "expires_at = expires_at - %(passed)s::interval, "
                "next_check_at = next_check_at - %(passed)s::interval "
                "where id = any(%(ids)s::uuid[])",
                {"passed": passed, "ids": ids},
            )
            self.admin.execute(
                "update public.orders set expires_at = expires_at - %(passed)s::interval "
                "where id in (select p.order_id from public.payments as p "
                "  where p.id = any(%(ids)s::uuid[]))",
                {"passed": passed, "ids": ids},
            )
            self.admin.execute(
                "update private.outbox set available_at = available_at - %(passed)s::interval "
                "where job = 'reconcile_payments' and done_at is null and failed_at is null "
                "and attempts = 0 and (args ->> 'payment_id')::uuid = any(%(ids)s::uuid[])",
                {"passed": passed, "ids": ids},
            )

    def wait_polled(self, attempts: Sequence[Attempt], seconds: float) -> None:
        """Waits until no poll of these attempts is due or under way."""
        ids = [attempt.id for attempt in attempts]

        def is_quiet() -> bool:
            row = self.admin.execute(
                "select count(*) as due from private.outbox "
                "where job = 'reconcile_payments' and done_at is null and failed_at is null "
                "and (attempts > 0 or available_at <= now()) "
                "and (args ->> 'payment_id')::uuid = any(%s::uuid[])",
                [ids],
            ).fetchone()
            return row is not None and row["due"] == 0

        wait_until(is_quiet, seconds)

    def standing(self, attempts: Sequence[Attempt]) -> dict[tuple[str, str, bool], int]:
        """How many of these have an order and a payment of these states, and won."""
        rows = self.admin.execute(
            "select o.status as order_status, p.status, p.is_winner, count(*) as attempts "
            "from public.payments as p inner join public.orders as o on p.order_id = o.id "
            "where p.id = any(%s::uuid[]) group by 1, 2, 3",
            [[attempt.id for attempt in attempts]],
        ).fetchall()
        return {
            (row["order_status"], row["status"], row["is_winner"]): row["attempts"] for row in rows
        }

    def count(self, table: str, attempts: Sequence[Attempt]) -> int:
        """Rows of a private table about these attempts."""
        row = self.admin.execute(
            sql.SQL(
                "select count(*) as found from private.{} where payment_id = any(%s::uuid[])"
            ).format(sql.Identifier(table)),
            [[attempt.id for attempt in attempts]],
        ).fetchone()
        assert row is not None
        return int(row["found"])


@pytest.fixture
def mall(checkout: Checkout, admin: Admin) -> Iterator[Mall]:
    """The shop, which takes EFT through PayFast first for the length of the test."""
    route = "update public.payment_routes set is_enabled = %s where method = 'eft' and gateway = %s"
    admin.execute(route, [False, "paygate"])
    yield Mall(checkout, admin)
    admin.execute(route, [True, "paygate"])


def begin_all(
    mall: Mall, shoppers: Sequence[Shopper], product: str, ways: Sequence[Way], slowest: int = 0
) -> list[Attempt]:
    """One attempt a shopper, in turns by each way; paid between now and the slowest minute."""

    def begin(place: int) -> Attempt:
        way = ways[place % len(ways)]
        minute = place // len(ways) % (min(slowest, way.slowest) + 1)
        return mall.begin(shoppers[place], product, way, minute)

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        return list(crowd.map(begin, range(len(shoppers))))


# A thousand take minutes of real time as well, which their clocks count too: they pay early.
@pytest.mark.parametrize(
    ("count", "slowest"), [(50, 8), pytest.param(1_000, 1, marks=pytest.mark.soak)]
)
def test_payments_whose_webhooks_are_all_lost_are_settled_within_fifteen_minutes(
    count: int,
    slowest: int,
    mall: Mall,
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    stock_of: Callable[[str], Stock],
) -> None:
    product = shelf.put(stock=count)
    attempts = begin_all(mall, crowd(count, with_mail=True), product, WAYS, slowest)
    waiting = list(attempts)
    passed = 0

    for seconds in STEPS:
        for attempt in [one for one in waiting if one.minute * 60 <= passed]:
            mall.pay(attempt)
            waiting.remove(attempt)
        mall.move(attempts, seconds)
        passed += seconds
        mall.wait_polled(attempts, seconds=120 + count)

    assert (passed, waiting) == (15 * 60, [])
    assert mall.standing(attempts) == {("paid", "paid", True): count}
    assert mall.count("webhook_events", attempts) == 0
    assert mall.count("payment_exceptions", attempts) == 0
    assert stock_of(product) == Stock(on_hand=0, reserved=0, ordered=count)


@pytest.fixture
def rested_gateways(stack_env: dict[str, str]) -> Iterator[redis.Redis]:
    """Redis of the stack, in which no gateway rests before and after the test."""
    with redis.Redis.from_url(stack_env["REDIS_URL"]) as connection:

        def forget() -> None:
            for key in connection.scan_iter("gateway-*"):
                connection.delete(key)

        forget()
        yield connection
        forget()


def test_a_gateway_that_hangs_does_not_keep_the_polls_of_others_waiting(
    mall: Mall,
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    gateway_faults: httpx.Client,
    rested_gateways: redis.Redis,
) -> None:
    kora, orange = WAYS[:2]
    attempts = begin_all(mall, crowd(16, with_mail=True), shelf.put(stock=16), [kora, orange])
    hanging = [attempt for attempt in attempts if attempt.way == kora]
    others = [attempt for attempt in attempts if attempt.way == orange]
    for attempt in attempts:
        mall.pay(attempt)
    gateway_faults.post(
        "/_sandbox/faults",
        json={
            "provider": "kora",
            "kind": "timeout",
            "operation": "status",
            "seconds": 60,
            "times": 100,
        },
    ).raise_for_status()

    # The polls of the hanging gateway come first; each would wait for ten seconds, eighty together.
    mall.move(hanging, 20)
    mall.move(others, 16)
    mall.wait_polled(others, seconds=180)

    assert mall.standing(others) == {("paid", "paid", True): len(others)}
    assert mall.standing(hanging) == {("pending", "processing", False): len(hanging)}
    assert rested_gateways.exists("gateway-silences:kora") == 1

    gateway_faults.delete("/_sandbox/faults").raise_for_status()
    rested_gateways.delete("gateway-rest:kora")
    mall.wait_polled(hanging, seconds=120)
    mall.move(hanging, 60)
    mall.wait_polled(hanging, seconds=120)
    assert mall.standing(hanging) == {("paid", "paid", True): len(hanging)}
