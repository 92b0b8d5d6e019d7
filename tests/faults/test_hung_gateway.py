"""A gateway accepts calls and never answers: it holds up its own payers and nobody else (R9).

The edge is one of the test's own, so that what it learns of the gateways ends with the test.
"""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_workers.config import Settings
from edge_workers.providers.health import FAILURES, FIRST_PAUSE_SECONDS
from tests.concurrency.checkout import PAID_ONCE, Checkout, Order
from tests.concurrency.shoppers import Shopper
from tests.conftest import Shelf, wait_until
from tests.own_edge import running_edge

HANGING_SECONDS = 60
WAITING_SECONDS = 12
"""How long the edge waits for a gateway: long enough for all others to be served meanwhile, on a
busy machine too."""
BRIEFLY_SECONDS = 2
"""The same where nobody else is looked at."""
CROWD = 30
"""Payers at once: about twice as many as the edge has threads."""
OTHERS = 6
WIDTH: int = Settings.model_fields["payment_calls_at_once"].default
PATIENCE_SECONDS = 60.0

UNKNOWN = (503, "payment_outcome_unknown")
UNAVAILABLE = (503, "payment_gateway_unavailable")


@dataclass
class Edge:
    """The edge of the test, what it logs, and the gateway's dials."""

    checkout: Checkout
    url: str
    log: Path
    sandbox: httpx.Client

    def hang(self, gateway: str, operation: str) -> None:
        """From now on the gateway takes these calls and answers none."""
        self.sandbox.post(
            "/_sandbox/faults",
            json={
                "provider": gateway,
                "kind": "timeout",
                "operation": operation,
                "seconds": HANGING_SECONDS,
                "times": 1000,
            },
        ).raise_for_status()

    def heal(self) -> None:
        """From now on it answers."""
        self.sandbox.delete("/_sandbox/faults").raise_for_status()

    def heard(self, orders: list[Order], operation: str) -> int:
        """How many of the orders' payments the gateway was asked to begin."""
        references = {
            row["reference"]
            for row in self.checkout.admin.execute(
                "select reference from public.payments where order_id = any(%s::uuid[])",
                [[order.id for order in orders]],
            )
        }
        calls = self.sandbox.get("/_sandbox/calls").json()
        begun = [str(call["body"]) for call in calls if call["operation"] == operation]
        return sum(any(reference in body for body in begun) for reference in references)

    def pay(self, order: Order, method: str = "kora_checkout") -> httpx.Response:
        """One payer's wish, on a connection of its own."""
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False) as wire:
            return dataclasses.replace(self.checkout, edge=wire).ask_to_pay(order, method)

    def get(self, path: str) -> httpx.Response:
        """What anybody asks for, on a connection of its own."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS, trust_env=False)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The log's events of that name."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in events if line["event"] == event]


@pytest.fixture
def open_edge(
    stack_env: dict[str, str], gateway_faults: httpx.Client, checkout: Checkout, tmp_path: Path
) -> Iterator[Callable[[int], Edge]]:
    """Opens an edge that has not yet asked any gateway and waits so many seconds for each."""
    with ExitStack() as running:

        def start(seconds: int) -> Edge:
            log = tmp_path / "edge.log"
            url = running.enter_context(
                running_edge(stack_env, log, PAYMENT_TIMEOUT_SECONDS=str(seconds))
            )
            return Edge(checkout, url, log, gateway_faults)

        yield start


def kind(response: httpx.Response) -> tuple[int, str | None]:
    """Status and code."""
    return response.status_code, response.json().get("code")


def attempts(checkout: Checkout, order: Order) -> list[tuple[str, str, str | None]]:
    """Gateway, status and reason of an order's attempts, oldest first."""
    rows = checkout.admin.execute(
        "select gateway, status::text, failure_reason from public.payments "
        "where order_id = %s order by created_at",
        [order.id],
    ).fetchall()
    return [(row["gateway"], row["status"], row["failure_reason"]) for row in rows]


def hurry_checks(checkout: Checkout, orders: list[Order]) -> None:
    """Time passes for these orders' polls."""
    checkout.admin.execute(
        "update private.outbox as o set available_at = now() from public.payments as p "
        "where o.job = 'reconcile_payments' and o.done_at is null and o.failed_at is null "
        "and o.args ->> 'payment_id' = p.id::text and p.order_id = any(%s::uuid[])",
        [[order.id for order in orders]],
    )


def test_a_hung_gateway_holds_few_threads_its_payers_get_a_clear_answer_and_the_poll_settles(
    open_edge: Callable[[int], Edge],
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    checkout: Checkout,
) -> None:
    shop = open_edge(WAITING_SECONDS)
    product = shelf.put(stock=1000)
    payers = [checkout.place(shopper, product) for shopper in crowd(CROWD, with_mail=True)]
    others = [checkout.place(shopper, product) for shopper in crowd(OTHERS, with_mail=True)]
    later = [checkout.place(shopper, product) for shopper in crowd(OTHERS, with_mail=True)]
    shop.hang("kora", "initialize")

    with ThreadPoolExecutor(CROWD + 2 * OTHERS) as threads:
        asked: dict[Future[httpx.Response], Order] = {
            threads.submit(shop.pay, order): order for order in payers
        }
        wait_until(lambda: shop.heard(payers, "initialize") == WIDTH)
        # Those that the gateway may not hold are told so while the first still wait …
        held_back = wait_until(
            lambda: (
                [future for future in asked if future.done()][: CROWD - WIDTH]
                if sum(future.done() for future in asked) >= CROWD - WIDTH
                else []
            )
        )
        # … and so is everybody else: another gateway's payers, and who only looks.
        elsewhere = [threads.submit(shop.pay, order, "orange_money") for order in others]
        looking = [threads.submit(shop.get, "/api/v1/products") for _ in range(OTHERS)]
        done = wait(elsewhere + looking, timeout=PATIENCE_SECONDS)
        hanging = [future for future in asked if not future.done()]
        assert len(hanging) == WIDTH
        assert not done.not_done
    answers = {future: future.result() for future in asked}

    assert {future.result().status_code for future in looking} == {200}
    assert {future.result().json().get("gateway") for future in elsewhere} == {"orange"}
    assert Counter(kind(answers[future]) for future in held_back) == {UNAVAILABLE: CROWD - WIDTH}
    assert Counter(kind(answers[future]) for future in hanging) == {UNKNOWN: WIDTH}
    for future in hanging:
        assert int(answers[future].headers["Retry-After"]) > 0
        assert attempts(checkout, asked[future]) == [("kora", "pending", "timed_out")]

    # Five calls in a row without an answer: nobody else has to find out.
    assert FAILURES <= WIDTH <= 10
    assert {kind(shop.pay(order)) for order in later} == {UNAVAILABLE}
    assert shop.heard(later, "initialize") == 0
    assert {tuple(attempts(checkout, order)) for order in later} == {
        (("kora", "failed", "breaker_open"),)
    }
    assert [event["operation"] for event in shop.told("provider.breaker_opened")] == ["start"]

    # It answers again, and the shop finds out by one payer's call.
    shop.heal()
    deadline = time.monotonic() + 4 * FIRST_PAUSE_SECONDS + PATIENCE_SECONDS
    payers_after = cycle(later)
    while shop.pay(next(payers_after)).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert len(shop.told("provider.breaker_closed")) == 1

    # Who paid on the page that the shop never saw has paid: the poll asks the gateway.
    unheard = [asked[future] for future in hanging]
    for future in hanging:
        action = {"payment_id": answers[future].json()["payment_id"]}
        checkout.pay(checkout.payment(asked[future], action), notify=False)
    hurry_checks(checkout, unheard)
    for order in unheard:
        checkout.wait_paid(order)
    checkout.wait_effects(unheard, dataclasses.replace(PAID_ONCE, statistics=0))


def test_while_one_gateway_hangs_the_next_of_the_method_takes_its_payers(
    open_edge: Callable[[int], Edge],
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    checkout: Checkout,
) -> None:
    shop = open_edge(BRIEFLY_SECONDS)
    product = shelf.put(stock=1000)
    orders = [
        checkout.place(shopper, product, country="ZA")
        for shopper in crowd(FAILURES + 5, with_mail=True, country="ZA")
    ]
    shop.hang("paygate", "initiate")

    with ThreadPoolExecutor(FAILURES) as threads:
        first = list(threads.map(lambda order: shop.pay(order, "card"), orders[:FAILURES]))
    # What may have been taken is never put to another gateway.
    assert Counter(kind(answer) for answer in first) == {UNKNOWN: FAILURES}
    assert {tuple(attempts(checkout, order)) for order in orders[:FAILURES]} == {
        (("paygate", "pending", "timed_out"),)
    }

    for order in orders[FAILURES:]:
        answer = shop.pay(order, "card")
        assert (answer.status_code, answer.json().get("gateway")) == (200, "payfast")
        assert attempts(checkout, order) == [
            ("paygate", "failed", "breaker_open"),
            ("payfast", "processing", None),
        ]
    assert shop.heard(orders[FAILURES:], "initiate") == 0
