"""What one checkout may cost, in counts that no noisy machine can change (P21).

An order of three lines goes through the RPC as PostgREST calls it: WAL and buffers are read off
around it, statements and transactions off the statistics. Nothing is timed.
"""

import json
import secrets
import statistics
import sys
from typing import Any

from tests.bench import report
from tests.bench.report import Target
from tests.bench.stand import Crowd, Programs, clear, connect, gather, read_environment, say, settle
from tests.concurrency.shoppers import Admin

LINES, ORDERS = 3, 60
P21_CALLS, P21_TRANSACTIONS, P21_WAL_BYTES, P21_BUFFERS = 3, 1, 10_000, 400
CHECKOUT = (
    "POST /rest/v1/rpc/quote_cart",
    "POST /rest/v1/rpc/place_order",
    "POST /api/v1/payments/initialize",
)
"""What a frontend sends from the cart to the gateway's page; the journey sends the same."""

PLACE_ORDER = """
select public.place_order(
    %(key)s, 'CM',
    '{"recipient_name": "Bench", "phone": "+237650000000", "city": "Douala", "landmark": "Akwa"}',
    null, %(items)s::jsonb
)
"""


def one_order(admin: Admin, crowd: Crowd, number: int) -> dict[str, float]:
    """WAL bytes, full-page images, buffers and transactions of one order."""
    arguments = {
        "key": f"bench-{secrets.token_hex(8)}",
        "items": json.dumps(
            [
                {
                    "product_id": crowd.product((number * 31 + line * 211) % 900 + 1),
                    "channel": "retail",
                    "quantity": line,
                }
                for line in range(1, LINES + 1)
            ]
        ),
    }
    claims = json.dumps({"sub": crowd.person(number % 200 + 1), "role": "authenticated"})
    before = counters(admin)
    with admin.transaction():
        admin.execute(
            "select set_config('role', 'authenticated', true), "
            "set_config('request.jwt.claims', %s, true)",
            [claims],
        )
        row = admin.execute(
            f"explain (analyze, buffers, format json) {PLACE_ORDER}", arguments
        ).fetchone()
    after = counters(admin)
    assert row is not None
    plan = row["QUERY PLAN"][0]["Plan"]
    return {
        "wal_bytes": after["lsn"] - before["lsn"],
        "buffers": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "write_transactions": after["xids"] - before["xids"],
    }


def counters(admin: Admin) -> dict[str, int]:
    """Where the log and the transaction ids stand."""
    row: dict[str, Any] | None = admin.execute(
        "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as lsn, "
        "txid_snapshot_xmax(txid_current_snapshot()) as xids"
    ).fetchone()
    assert row is not None
    return {name: int(value) for name, value in row.items()}


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    with connect(environment) as admin, programs.resting():
        crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], 200, 1_000)
        for number in range(ORDERS):
            one_order(admin, crowd, number)
        settle(admin)
        # The first touch of a page after a checkpoint logs the whole page: told apart.
        first = [one_order(admin, crowd, number) for number in range(ORDERS)]
        again = [one_order(admin, crowd, number) for number in range(ORDERS)]
        clear(admin, crowd)
    medians = {name: statistics.median(one[name] for one in again) for name in again[0]}
    say(f"median of {ORDERS} orders of {LINES} lines, pages touched since the checkpoint")
    report.conclude(
        "budgets",
        {
            "lines_per_order": LINES,
            "orders": ORDERS,
            "checkout_calls": list(CHECKOUT),
            "median": medians,
            "worst": {name: max(one[name] for one in again) for name in again[0]},
            "wal_bytes_with_full_pages": statistics.median(one["wal_bytes"] for one in first),
        },
        [
            Target.at_most("P21", "HTTP calls of a checkout", len(CHECKOUT), P21_CALLS),
            Target.at_most(
                "P21",
                "write transactions of an order",
                medians["write_transactions"],
                P21_TRANSACTIONS,
            ),
            Target.at_most("P21", "WAL bytes of an order", medians["wal_bytes"], P21_WAL_BYTES),
            Target.at_most("P21", "buffers of an order", medians["buffers"], P21_BUFFERS),
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
