"""Other gateways' payers and other endpoints while one gateway hangs, beside the same without (R9).

Both sides have the same crowd at the edge: payers of Kora, who are not measured, payers of Orange,
and people who look. On side `hung` Kora takes every call and answers none. The edge is started anew
before each round, so that its processes know nothing of Kora yet.
"""

import argparse
import itertools
import os
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from tests.bench import report, rounds
from tests.bench.report import Target
from tests.bench.rounds import Measurement, Round
from tests.bench.stand import (
    Crowd,
    Programs,
    clear,
    connect,
    gather,
    read_environment,
    say,
    settle,
)
from tests.concurrency.rush import Answer, Door
from tests.concurrency.shoppers import Admin, Shopper, sign_up
from tests.conftest import an_address

RESTING = ("relay", "worker-payments", "worker-mail", "worker-maintenance")
PEOPLE, PRODUCTS = 300, 100
HUNG_PAYERS, OTHER_PAYERS, LOOKERS = 16, 4, 4
PAUSE_SECONDS = 0.5
"""How long a payer of Kora waits after an answer before the next tries."""
HANGING_SECONDS = 60
HANG = {
    "provider": "kora",
    "kind": "timeout",
    "operation": "initialize",
    "seconds": HANGING_SECONDS,
    "times": 100_000,
}
R9_RATIO = 2.0


@dataclass
class Seen:
    """Milliseconds that each measured call took, and how each of Kora's payers was answered."""

    checkouts: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    failed: int = 0
    hung_answers: dict[str, int] = field(default_factory=dict)


@dataclass
class Shop:
    """The doors, the people, and one round's load."""

    environment: dict[str, str]
    admin: Admin
    crowd: Crowd
    programs: Programs
    shoppers: Sequence[Shopper]
    seen: dict[tuple[str, int], Seen] = field(default_factory=dict)

    def measure(self, side: str, seconds: float) -> Measurement:
        """One round; the measurement is of the other gateway's checkouts."""
        seen = Seen()
        self.seen[side, sum(one == side for one, _ in self.seen) + 1] = seen
        self.admin.execute("delete from private.rate_limits")
        with self.programs.resting(("edge",)):
            pass
        self._await_edge()
        self._warm_up()
        if side == "hung":
            self._sandbox("POST", HANG)
        until = time.monotonic() + seconds
        acts: list[Callable[[], None]] = [
            *[partial(self._pay_hung, seen, until, number) for number in range(HUNG_PAYERS)],
            *[partial(self._pay_other, seen, until, number) for number in range(OTHER_PAYERS)],
            *[partial(self._look, seen, until) for _ in range(LOOKERS)],
        ]
        threads = [threading.Thread(target=act, daemon=True) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._sandbox("DELETE", None)
        taken = seen.checkouts
        return Measurement(
            requests=len(taken),
            seconds=seconds,
            p50_ms=statistics.median(taken),
            p99_ms=rounds.percentile(taken, 0.99),
            max_ms=max(taken),
            failed=seen.failed,
        )

    def _pay_hung(self, seen: Seen, until: float, number: int) -> None:
        for shopper in itertools.islice(itertools.cycle(self.shoppers), number * 17, None):
            if time.monotonic() >= until:
                return
            _, answer = self._checkout(shopper, "kora_checkout")
            kind = answer.code or "started"
            seen.hung_answers[kind] = seen.hung_answers.get(kind, 0) + 1
            time.sleep(min(PAUSE_SECONDS, max(0.0, until - time.monotonic())))

    def _pay_other(self, seen: Seen, until: float, number: int) -> None:
        for shopper in itertools.islice(itertools.cycle(self.shoppers), number * 61, None):
            if time.monotonic() >= until:
                return
            taken, answer = self._checkout(shopper, "orange_money")
            seen.checkouts.append(taken)
            seen.failed += answer.status != 200

    def _look(self, seen: Seen, until: float) -> None:
        with Door(self.environment["EDGE_URL"]) as edge:
            while time.monotonic() < until:
                for path in ("/api/v1/products", f"/api/v1/products/{self.crowd.product(1)}"):
                    began = time.perf_counter()
                    answer = edge.get(path)
                    seen.looks.append(1000 * (time.perf_counter() - began))
                    seen.failed += answer.status != 200
                time.sleep(0.02)

    def _checkout(self, shopper: Shopper, method: str) -> tuple[float, Answer]:
        """Milliseconds that the edge took to begin paying a new order, and its answer.

        A connection of its own each time: a payer comes to any process of the edge.
        """
        order_id = self._place(shopper)
        body = f'{{"order_id":"{order_id}","method":"{method}"}}'.encode()
        with Door(self.environment["EDGE_URL"]) as edge:
            began = time.perf_counter()
            answer = edge.post("/api/v1/payments/initialize", body, shopper.headers)
            return 1000 * (time.perf_counter() - began), answer

    def _place(self, shopper: Shopper) -> str:
        key = {"apikey": self.environment["SUPABASE_ANON_KEY"]}
        with Door(self.environment["SUPABASE_URL"], key) as gateway:
            answer = gateway.rpc(
                "place_order",
                shopper,
                idempotency_key=f"bench-{uuid.uuid4().hex}",
                country="CM",
                address=an_address("CM"),
                items=[{"product_id": self.crowd.product(1), "channel": "retail", "quantity": 1}],
            )
        assert answer.status == 200, answer.body
        return str(answer.json["id"])

    def _sandbox(self, method: str, body: dict[str, Any] | None) -> None:
        httpx.request(
            method,
            f"{self.environment['SANDBOX_URL']}/_sandbox/faults",
            json=body,
            trust_env=False,
        ).raise_for_status()

    def _await_edge(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(
                    f"{self.environment['EDGE_URL']}/health/ready", trust_env=False
                ).raise_for_status()
                return
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _warm_up(self) -> None:
        """Both processes have their connections and plans before anything is measured."""
        for number in range(24):
            self._checkout(self.shoppers[number], "orange_money")
            self._checkout(self.shoppers[number], "kora_checkout")
        self.admin.execute("delete from private.rate_limits")


def tell(one: Round) -> None:
    """One line a round."""
    seen = one.measurement
    say(
        f"  {one.number:>2} {one.side:<5} {seen.rate:6.1f} checkouts/s  p50 {seen.p50_ms:6.1f} ms  "
        f"p99 {seen.p99_ms:6.1f} ms  failed {seen.failed}  cpu pressure {one.pressure:4.0%}  "
        f"foreign {one.foreign:4.0%}{'' if one.is_clean else '  (disturbed)'}"
    )


def ratios(shop: Shop, used: Sequence[Round], kind: str) -> list[float]:
    """p99 while Kora hung over p99 without, round by round."""
    p99 = {key: rounds.percentile(getattr(seen, kind), 0.99) for key, seen in shop.seen.items()}
    return [p99["hung", one.number] / p99["calm", one.number] for one in used if one.side == "hung"]


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="gateway_hang", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15)
    asked = parser.parse_args()
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    roots = (programs.pid(), os.getpid())
    with connect(environment) as admin, programs.resting(RESTING) as rested:
        say(f"at rest meanwhile: {', '.join(rested)}")
        secret = environment["SUPABASE_JWT_SECRET"]
        crowd = gather(admin, secret, 1, PRODUCTS)
        shoppers = sign_up(admin, secret, PEOPLE, with_mail=True)
        shop = Shop(environment, admin, crowd, programs, shoppers)
        settle(admin)
        sides = {
            "calm": partial(shop.measure, "calm", asked.seconds),
            "hung": partial(shop.measure, "hung", asked.seconds),
        }
        done = rounds.interleave(sides, asked.rounds, roots, tell)
        admin.execute(
            "update private.outbox set done_at = now() where done_at is null and failed_at is null"
        )
        clear(admin, crowd)
    conclude(shop, done)
    return 0


def conclude(shop: Shop, done: list[Round]) -> None:
    """Table, targets, JSON."""
    used, is_clean = rounds.counted(done)
    of_checkouts, of_looks = ratios(shop, used, "checkouts"), ratios(shop, used, "looks")
    answered: dict[str, int] = {}
    for (side, _), seen in shop.seen.items():
        if side == "hung":
            for kind, count in seen.hung_answers.items():
                answered[kind] = answered.get(kind, 0) + count
    say()
    report.table(
        ["what", "side", "p50 ms", "p99 ms"],
        [
            [
                kind,
                side,
                statistics.median(
                    statistics.median(getattr(shop.seen[side, one.number], kind))
                    for one in used
                    if one.side == side
                ),
                statistics.median(
                    rounds.percentile(getattr(shop.seen[side, one.number], kind), 0.99)
                    for one in used
                    if one.side == side
                ),
            ]
            for kind in ("checkouts", "looks")
            for side in ("calm", "hung")
        ],
    )
    say(f"payers of the hung gateway were told: {answered}")
    report.conclude(
        "gateway_hang",
        {
            "checkouts_ratio": round(statistics.median(of_checkouts), 3),
            "checkouts_ratio_range": [round(min(of_checkouts), 3), round(max(of_checkouts), 3)],
            "looks_ratio": round(statistics.median(of_looks), 3),
            "looks_ratio_range": [round(min(of_looks), 3), round(max(of_looks), 3)],
            "answers_to_the_hung_gateways_payers": answered,
            "is_undisturbed": is_clean,
            "rounds": [one.as_json() for one in done],
        },
        [
            Target.at_most(
                "R9",
                "p99 of another gateway's checkouts, hung / calm",
                round(statistics.median(of_checkouts), 2),
                R9_RATIO,
            ),
            Target.at_most(
                "R9",
                "p99 of other endpoints, hung / calm",
                round(statistics.median(of_looks), 2),
                R9_RATIO,
            ),
            Target.at_most(
                "R9", "calls of others that failed", sum(s.failed for s in shop.seen.values()), 0
            ),
        ],
        note="" if is_clean else "too few undisturbed rounds, all are counted: see foreign_cpu",
    )


if __name__ == "__main__":
    sys.exit(main())
