"""What the triggers on orders and order_items cost, beside the same rows inserted bare (P13).

Many orders of two lines each go in by one statement a table, in a transaction that is rolled back;
once as always, once with every trigger off, foreign keys' included. Each trigger's own share is
what EXPLAIN ANALYZE says.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from tests.concurrency.shoppers import Admin

ORDERS, LINES = 5_000, 2
P13_RATIO, P13_MICROSECONDS = 3.0, 15.0

INSERT_ORDERS = """
insert into public.orders (
    id, order_number, user_id, country, currency, language, subtotal_price, shipping_amount,
    tax_amount, shipping_tax_amount, total_price, shipping_address, expires_at
)
select
    (%(orders)s || lpad(n::text, 12, '0'))::uuid, %(orders)s || n,
    (%(people)s || lpad((n %% %(count)s + 1)::text, 12, '0'))::uuid,
    'CM', 'XAF', 'fr', 25000, 3500, 4601, 565, 28500,
    '{"recipient_name": "Bench", "phone": "+237650000000", "country": "CM", "city": "Douala"}',
    now() + interval '30 minutes'
from generate_series(1, %(rows)s) as n
"""
INSERT_LINES = """
insert into public.order_items (
    order_id, user_id, line_number, product_id, name, name_fr, quantity, unit_price, tax_amount,
    currency
)
select
    (%(orders)s || lpad(n::text, 12, '0'))::uuid,
    (%(people)s || lpad((n %% %(count)s + 1)::text, 12, '0'))::uuid,
    line,
    (%(products)s || lpad(((n * 7 + line * 331) %% %(goods)s + 1)::text, 12, '0'))::uuid,
    'Bench lamp', 'Lampe de banc', 1, 12500, 2018, 'XAF'
from generate_series(1, %(rows)s) as n, generate_series(1, %(lines)s) as line
"""


@dataclass(frozen=True)
class Batch:
    """One batch of orders."""

    admin: Admin
    crowd: Crowd

    @property
    def values(self) -> dict[str, Any]:
        """Arguments of both statements."""
        return {
            "orders": "be9c0000-0000-4000-a000-",
            "people": self.crowd.people,
            "products": self.crowd.products,
            "count": self.crowd.people_count,
            "goods": self.crowd.products_count,
            "rows": ORDERS,
            "lines": LINES,
        }

    def insert(self, *, with_triggers: bool) -> Measurement:
        """Inserts and rolls back; the time covers both statements."""
        with self.admin.transaction(force_rollback=True):
            if not with_triggers:
                self.admin.execute("set local session_replication_role = replica")
            started = time.perf_counter()
            self.admin.execute(INSERT_ORDERS, self.values)
            self.admin.execute(INSERT_LINES, self.values)
            seconds = time.perf_counter() - started
        each = 1000 * seconds / ORDERS
        return Measurement(ORDERS, seconds, p50_ms=each, p99_ms=each, max_ms=each)

    def explain(self) -> dict[str, float]:
        """Microseconds a row of each trigger, by table and name."""
        costs: dict[str, float] = {}
        with self.admin.transaction(force_rollback=True):
            for table, statement in (
                ("orders", INSERT_ORDERS),
                ("order_items", INSERT_LINES),
            ):
                row = self.admin.execute(
                    f"explain (analyze, format json) {statement}",
                    self.values,
                ).fetchone()
                assert row is not None
                for trigger in row["QUERY PLAN"][0].get("Triggers", []):
                    name = trigger.get("Constraint Name") or trigger["Trigger Name"]
                    costs[f"{table}: {name}"] = 1000 * trigger["Time"] / trigger["Calls"]
        return costs


def tell(one: Round) -> None:
    """One line a round."""
    say(
        f"  {one.number:>2} {one.side:<9} {1000 * one.measurement.p50_ms:7.1f} us an order  "
        f"cpu pressure {one.pressure:4.0%}  foreign {one.foreign:4.0%}"
        f"{'' if one.is_clean else '  (disturbed)'}"
    )


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="triggers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    roots = (programs.pid(), os.getpid())
    with connect(environment) as admin, programs.resting():
        crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], 200, 1_000)
        batch = Batch(admin, crowd)
        admin.execute("set pg_stat_statements.track = 'top'")
        batch.insert(with_triggers=True)
        settle(admin)
        sides: dict[str, Callable[[], Measurement]] = {
            "triggers": partial(batch.insert, with_triggers=True),
            "bare": partial(batch.insert, with_triggers=False),
        }
        done = rounds.interleave(sides, asked.rounds, roots, tell)
        explained = [batch.explain() for _ in range(asked.rounds)]
        clear(admin, crowd)
    used, is_clean = rounds.counted(done)
    # Rates: bare over triggers is how many times as long an order takes with them.
    times = rounds.ratios(used, "bare", "triggers")
    each = {
        name: round(statistics.median(one[name] for one in explained), 2) for name in explained[0]
    }
    conclude(used, times, each, done, is_undisturbed=is_clean)
    return 0


def conclude(
    used: list[Round],
    times: list[float],
    each: dict[str, float],
    done: list[Round],
    *,
    is_undisturbed: bool,
) -> None:
    """Table, targets, JSON."""
    micros = {
        side: 1000 * statistics.median(one.measurement.p50_ms for one in used if one.side == side)
        for side in ("triggers", "bare")
    }
    own = {name: cost for name, cost in each.items() if not name.endswith("_fkey")}
    keys = {name: cost for name, cost in each.items() if name.endswith("_fkey")}
    say()
    report.table(
        ["trigger", "us a row"],
        [[name, each[name]] for name in sorted(each, key=lambda name: -each[name])],
    )
    dearest = max(own, key=lambda name: own[name])
    targets = [
        Target.at_most(
            "P13", "cost with triggers / bare", round(statistics.median(times), 2), P13_RATIO
        ),
        Target.at_most(
            "P13", f"us a row, dearest trigger ({dearest})", own[dearest], P13_MICROSECONDS
        ),
        Target.at_most(
            "P13", "us a row, dearest foreign key", max(keys.values()), P13_MICROSECONDS
        ),
    ]
    report.conclude(
        "triggers",
        {
            "orders_in_batch": ORDERS,
            "lines_per_order": LINES,
            "us_per_order": {side: round(value, 1) for side, value in micros.items()},
            "ratio": round(statistics.median(times), 3),
            "ratio_range": [round(min(times), 3), round(max(times), 3)],
            "us_per_row": each,
            "is_undisturbed": is_undisturbed,
            "rounds": [one.as_json() for one in done],
        },
        targets,
    )


if __name__ == "__main__":
    sys.exit(main())
