"""What one order of three lines costs in things that noise cannot touch (P21).

HTTP calls, write transactions, nested statements, buffers and bytes of write-ahead log. The log is
given twice: without full-page images, as for any page written before since the last checkpoint,
and with them, for the first orders after a checkpoint, with the share that the images have.
"""

import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.bench import report
from tests.bench.report import Target
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
from tests.concurrency.checkout import Checkout
from tests.concurrency.shoppers import Admin, Shopper, sign_up

LINES = 3
SAMPLES = 60
AFTER_CHECKPOINT = 50
WAL_DATABASE = "bench_walinspect"
HTTP_CALLS, WRITE_TRANSACTIONS, WAL_BYTES, BUFFERS, PAGE_CALLS = 3, 1, 10_000, 400, 1

PLACE_ORDER = (
    "select * from public.place_order("
    "idempotency_key => 'bench-' || gen_random_uuid(), country => 'CM', address => %s::jsonb, "
    "items => %s::jsonb)"
)
ADDRESS = (
    '{"recipient_name": "Bench", "phone": "+237650000000", "city": "Douala", "landmark": "Akwa"}'
)


@dataclass(frozen=True)
class Buyer:
    """Calls the function as PostgREST does, on a connection of its own."""

    admin: Admin
    crowd: Crowd

    def order(self, number: int, prefix: str = "") -> list[dict[str, Any]]:
        """One order of the nth person; `prefix` is EXPLAIN or nothing."""
        items = [
            {
                "product_id": self.crowd.product(
                    (number * 7 + line * 331) % self.crowd.products_count + 1
                ),
                "channel": "retail",
                "quantity": 1,
            }
            for line in range(LINES)
        ]
        person = self.crowd.person(number % self.crowd.people_count + 1)
        claims = json.dumps({"sub": person, "role": "authenticated"})
        with self.admin.transaction():
            self.admin.execute(
                "select set_config('role', 'authenticated', true), "
                "set_config('request.jwt.claims', %s, true)",
                [claims],
            )
            return self.admin.execute(
                f"{prefix}{PLACE_ORDER}", [ADDRESS, json.dumps(items)]
            ).fetchall()

    def explained(self, number: int) -> dict[str, Any]:
        """The plan of one order, with what it touched."""
        rows = self.order(number, "explain (analyze, buffers, wal, format json) ")
        plan: dict[str, Any] = rows[0]["QUERY PLAN"][0]
        return plan

    def position(self) -> int:
        """Bytes of log written since the cluster began."""
        row = self.admin.execute(
            "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as at"
        ).fetchone()
        assert row is not None
        return int(row["at"])

    def nested(self) -> int:
        """Statements that ran inside functions, all in all."""
        row = self.admin.execute(
            "select coalesce(sum(s.calls), 0) as calls from extensions.pg_stat_statements as s "
            "inner join pg_database as d on s.dbid = d.oid and d.datname = current_database() "
            "where not s.toplevel"
        ).fetchone()
        assert row is not None
        return int(row["calls"])

    def transactions(self) -> int:
        """The next number that a writing transaction would get."""
        row = self.admin.execute(
            "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next"
        ).fetchone()
        assert row is not None
        return int(row["next"])


@contextmanager
def log_reader(environment: dict[str, str], admin: Admin) -> Iterator[Admin]:
    """A connection that can read the log, in a database of its own so that the shop's stays."""
    name = sql.Identifier(WAL_DATABASE)
    admin.execute(sql.SQL("drop database if exists {}").format(name))
    admin.execute(sql.SQL("create database {}").format(name))
    parts = urlsplit(environment["DATABASE_ADMIN_URL"])
    address = urlunsplit(parts._replace(path=f"/{WAL_DATABASE}"))
    try:
        with psycopg.connect(address, autocommit=True, row_factory=dict_row) as connection:
            connection.execute("create extension pg_walinspect")
            yield connection
    finally:
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


def count_log(reader: Admin, start: int, end: int) -> dict[str, int]:
    """Bytes between two positions: records, and full-page images in them."""
    row = reader.execute(
        "select coalesce(sum(record_size), 0) as records, coalesce(sum(fpi_size), 0) as images, "
        "coalesce(sum(combined_size), 0) as combined "
        "from pg_get_wal_stats('0/0'::pg_lsn + %s::numeric, '0/0'::pg_lsn + %s::numeric)",
        [start, end],
    ).fetchone()
    assert row is not None
    return {name: int(row[name]) for name in ("records", "images", "combined")}


def measure_database(environment: dict[str, str], admin: Admin, crowd: Crowd) -> dict[str, Any]:
    """Buffers, log, nested statements of orders through one warm session."""
    buyer = Buyer(admin, crowd)
    admin.execute("set pg_stat_statements.track = 'all'")
    for number in range(SAMPLES):
        buyer.order(number)
    settle(admin)
    # Plans are made anew after the fresh statistics, and every page is touched once more.
    for number in range(2 * SAMPLES):
        buyer.order(number)

    plans = [buyer.explained(number) for number in range(SAMPLES)]
    nested = buyer.nested()
    deltas = []
    for number in range(SAMPLES):
        before = buyer.position()
        buyer.order(number)
        deltas.append(buyer.position() - before)
    nested = buyer.nested() - nested

    with log_reader(environment, admin) as reader:
        admin.execute("checkpoint")
        start = buyer.position()
        for number in range(AFTER_CHECKPOINT):
            buyer.order(number)
        fresh = count_log(reader, start, buyer.position())

    tops = [plan["Plan"] for plan in plans]
    planning = [plan.get("Planning", {}) for plan in plans]

    def touched(node: dict[str, Any]) -> int:
        return int(node.get("Shared Hit Blocks", 0)) + int(node.get("Shared Read Blocks", 0))

    return {
        "buffers": statistics.median(touched(top) for top in tops),
        "buffers_planning": statistics.median(touched(node) for node in planning),
        "wal_bytes_of_call": statistics.median(top["WAL Bytes"] for top in tops),
        "wal_records_of_call": statistics.median(top["WAL Records"] for top in tops),
        "wal_full_pages_of_call": statistics.median(top["WAL FPI"] for top in tops),
        "wal_bytes_with_commit": statistics.median(deltas),
        "wal_after_checkpoint": {
            "orders": AFTER_CHECKPOINT,
            "bytes_per_order": round(fresh["combined"] / AFTER_CHECKPOINT),
            "of_which_full_pages": round(fresh["images"] / AFTER_CHECKPOINT),
            "without_full_pages": round(fresh["records"] / AFTER_CHECKPOINT),
        },
        "nested_statements": round(nested / SAMPLES, 1),
    }


def granted(response: httpx.Response) -> httpx.Response:
    """The response, which must be a success."""
    assert response.is_success, response.text
    return response


def measure_calls(environment: dict[str, str], admin: Admin, crowd: Crowd) -> dict[str, Any]:
    """HTTP calls of a checkout and of a product page; write transactions of an order."""
    sent: list[str] = []

    def note(request: httpx.Request) -> None:
        sent.append(f"{request.method} {request.url.path}")

    (shopper,) = sign_up(admin, environment["SUPABASE_JWT_SECRET"], 1, with_mail=True)
    hooks = {"request": [note]}
    key = {"apikey": environment["SUPABASE_ANON_KEY"]}
    with (
        httpx.Client(
            base_url=environment["SUPABASE_URL"], headers=key, event_hooks=hooks, trust_env=False
        ) as supabase,
        httpx.Client(
            base_url=environment["EDGE_URL"], event_hooks=hooks, timeout=30, trust_env=False
        ) as edge,
        httpx.Client(base_url=environment["SANDBOX_URL"], trust_env=False) as sandbox,
    ):
        checkout = Checkout(
            admin, supabase, edge, sandbox, kora_secret=environment["KORA_PAY_SECRET_KEY"]
        )
        products = [crowd.product(number) for number in (1, 2, 3)]
        body = checkout.order_body(*products)
        fill = {"items": body["items"]}
        granted(supabase.post("/rest/v1/rpc/merge_cart", json=fill, headers=shopper.headers))
        sent.clear()
        # From the full cart to the gateway's page.
        ask = {"country": "CM", "promo_code": None}
        granted(supabase.post("/rest/v1/rpc/quote_cart", json=ask, headers=shopper.headers))
        order = checkout.send_order(shopper, {**body, "items": None})
        payment = checkout.initialize(order)
        calls = list(sent)
        checkout.pay(payment)
        checkout.wait_paid(order)
        sent.clear()
        page = granted(
            supabase.get(
                "/rest/v1/products",
                params={
                    "id": f"eq.{products[0]}",
                    "select": "id,name,name_fr,description,seller_rating,categories(slug,name),"
                    "product_prices(country,currency,amount),product_stock(available),"
                    "product_media(storage_path,alt)",
                },
            )
        )
        assert page.json()[0]["product_prices"], "the page has no price"
        return {
            "checkout_http_calls": calls,
            "product_page_http_calls": list(sent),
            "write_transactions": count_transactions(checkout, admin, crowd, shopper),
        }


def count_transactions(
    checkout: Checkout, admin: Admin, crowd: Crowd, shopper: Shopper
) -> dict[str, float]:
    """Transactions that wrote, for one call, with the workers at rest."""
    buyer = Buyer(admin, crowd)
    placed, begun = [], []
    for _ in range(5):
        before = buyer.transactions()
        order = checkout.place(shopper, *[crowd.product(number) for number in (1, 2, 3)])
        between = buyer.transactions()
        checkout.initialize(order)
        placed.append(between - before)
        begun.append(buyer.transactions() - between)
    return {
        "place_order": statistics.median(placed),
        "initialize_payment": statistics.median(begun),
    }


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    with connect(environment) as admin:
        crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], 200, 1_000)
        calls = measure_calls(environment, admin, crowd)
        with programs.resting():
            database = measure_database(environment, admin, crowd)
        clear(admin, crowd)
    after = database["wal_after_checkpoint"]
    say(f"checkout: {', '.join(calls['checkout_http_calls'])}")
    say(
        f"write transactions: place_order {calls['write_transactions']['place_order']:g}, "
        f"initialize payment {calls['write_transactions']['initialize_payment']:g}"
    )
    say(f"statements inside the call: {database['nested_statements']:g}")
    say(
        f"log of an order: {database['wal_bytes_of_call']:,.0f} bytes in "
        f"{database['wal_records_of_call']:g} records without full-page images, "
        f"{database['wal_bytes_with_commit']:,.0f} with the commit; first "
        f"{after['orders']} orders after a checkpoint {after['bytes_per_order']:,} each, of which "
        f"{after['of_which_full_pages']:,} are full-page images"
    )
    targets = [
        Target.at_most(
            "P21", "HTTP calls of a checkout", len(calls["checkout_http_calls"]), HTTP_CALLS
        ),
        Target.at_most(
            "P21",
            "write transactions of an order",
            calls["write_transactions"]["place_order"],
            WRITE_TRANSACTIONS,
        ),
        Target.at_most(
            "P21",
            "log bytes of an order (no full-page images)",
            database["wal_bytes_with_commit"],
            WAL_BYTES,
        ),
        Target.at_most(
            "P21",
            "buffers of an order",
            database["buffers"] + database["buffers_planning"],
            BUFFERS,
        ),
        Target.at_most(
            "P21",
            "HTTP calls of a product page",
            len(calls["product_page_http_calls"]),
            PAGE_CALLS,
        ),
    ]
    report.conclude("budgets", {"lines": LINES, **calls, **database}, targets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
