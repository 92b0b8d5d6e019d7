"""Taking 100,000 staged goods in, beside a bare COPY of the same rows (P11, P12).

In a database of its own on the stack's server. The bare COPY goes into a table with the staged
columns, no index and no constraint. What is compared with it is the one statement that puts the
goods into `products`, constraints, indexes and triggers of the shop included; beside it stands what
the whole taking in costs (sellers, links, stock, costs, freight, variants, pictures, prices), and
the same goods written one by one with executemany. Then the same run again, which must write no
row, and one in which every good has changed.
"""

import argparse
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from tests.bench import report
from tests.bench.report import Target
from tests.bench.stand import read_environment, say
from tests.concurrency.shoppers import Admin
from tests.properties.scratch import Scratch, scratch_database

GOODS = 100_000
ONE_BY_ONE = 5_000
BATCH = 5_000
ROUNDS = 3
COPY_SHARE, P11_PER_SECOND, P11_RATIO = 0.4, 50_000.0, 2.0
P12_WAL, P12_FASTER = 0.02, 1.5

CATALOGUE = (
    "public.products",
    "public.suppliers",
    "public.product_stock",
    "public.product_prices",
    "public.product_variants",
    "public.price_history",
    "private.product_variant_sources",
    "private.product_costs",
    "private.product_freights",
    "private.supplier_listings",
    "private.supplier_pictures",
    "private.search_documents",
    "private.search_queue",
)

GIVENS = """
insert into public.categories (slug, name, name_fr)
select 'bench-' || n, 'Bench ' || n, 'Banc ' || n from generate_series(1, 34) as n;
insert into private.supplier_categories (platform, external_id, name, status, category_id)
select 'aliexpress', 'c' || substring(c.slug from '\\d+'), c.name, 'mapped', c.id
from public.categories as c;
select service.record_exchange_rates(
    '{"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"}', 'bench', now()
);
update private.sync_sources set change_limit = 1;
"""
STAGE = """
insert into private.staged_products (
    run_id, external_id, title, description, description_fr, category_path, status, rating,
    review_count, order_count, price, currency, stock, image_urls, variants, freight,
    weight_grams, seller_external_id, seller_name, seller_rating
)
select
    %(run_id)s, '1005' || lpad(n::text, 12, '0'), 'Solar garden lamp number ' || n || %(mark)s,
    repeat('Bright at night, charged by day, made for rain and dust. ', 6),
    repeat('Claire la nuit, chargée le jour, faite pour la pluie. ', 6),
    array['c' || n %% 34 + 1], 'selling', 4 + (n %% 10) / 10.0, 50 + n %% 900, 200 + n %% 5000,
    round(5 + (n %% 4000) / 100.0 + %(more)s, 2), 'USD', 20 + n %% 300,
    array(select 'https://ae01.alicdn.example/' || n || '-' || i || '.jpg'
        from generate_series(1, 3) as i),
    (select jsonb_agg(jsonb_build_object(
        'external_id', '12000' || lpad((n * 4 + v)::text, 12, '0'), 'attributes', '14:' || v,
        'options', jsonb_build_array(jsonb_build_object('name', 'Color', 'value', 'Red ' || v)),
        'price', round(5 + (n %% 4000) / 100.0 + %(more)s, 2), 'stock', 10, 'image_url', null))
        from generate_series(1, 2) as v),
    '[{"country": "ZA", "fee": 2.50, "currency": "USD", "min_days": 9, "max_days": 18},
      {"country": "CM", "fee": 3.10, "currency": "USD", "min_days": 12, "max_days": 25}]',
    300, 's' || n %% 700, 'Shop ' || n %% 700, 4.7
from generate_series(1, %(goods)s) as n
"""
ITEMS = """
insert into private.sync_items (run_id, external_id, title_en, title_fr, is_fetched)
select s.run_id, s.external_id, s.title, 'Lampe solaire de jardin ' || s.external_id, true
from private.staged_products as s
where s.run_id = %s
"""
ONE = """
insert into public.products (
    id, external_id, category_id, name, name_fr, description, price_mallgram, seller_rating,
    review_count, weight_grams
)
values (gen_random_uuid(), %s, %s, %s, %s, %s, %s, 4.5, 50, 300)
on conflict (supplier_id, external_id) do update
set name = excluded.name, price_mallgram = excluded.price_mallgram
where (products.name, products.price_mallgram)
is distinct from (excluded.name, excluded.price_mallgram)
"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def value(admin: Admin, query: str, *parameters: object) -> Any:
    """The one value of a query."""
    row = admin.execute(query, parameters).fetchone()
    assert row is not None
    return next(iter(row.values()))


def prepare_run(admin: Admin, goods: int, mark: str = "", more: int = 0) -> str:
    """A run whose goods are staged and judged; its id."""
    run_id = str(value(admin, "select private.start_sync('aliexpress')"))
    given = {"run_id": run_id, "goods": goods, "mark": mark, "more": more}
    admin.execute(STAGE, given)
    admin.execute(ITEMS, [run_id])
    admin.execute("analyze private.staged_products, private.sync_items")
    decided = value(admin, "select service.decide_sync(%s)", run_id)
    while decided["status"] == "collecting":
        decided = value(admin, "select service.decide_sync(%s)", run_id)
    assert decided["status"] == "applying", decided
    return run_id


def copied(admin: Admin, goods_bytes: bytes) -> float:
    """Seconds for the same rows through COPY into a bare table."""
    admin.execute("drop table if exists bench_staged")
    admin.execute("create table bench_staged as table private.staged_products with no data")

    def run() -> None:
        with admin.cursor().copy("copy bench_staged from stdin") as stream:
            stream.write(goods_bytes)

    seconds, _ = timed(run)
    return seconds


def goods_of(admin: Admin, run_id: str) -> bytes:
    """The run's staged rows as COPY writes them."""
    out = io.BytesIO()
    query = sql.SQL(
        "copy (select * from private.staged_products where run_id = {}) to stdout"
    ).format(sql.Literal(run_id))
    with admin.cursor().copy(query) as stream:
        for chunk in stream:
            out.write(chunk)
    return out.getvalue()


def upserted(admin: Admin, run_id: str) -> tuple[float, int]:
    """Seconds for the one statement over all goods at once, undone afterwards; rows written."""
    batch = "row(%s, 'aliexpress', 'retail', '', '~')::private.sync_batch"
    with admin.transaction(force_rollback=True):
        admin.execute("select set_config('mallgram.sync_run_id', %s, true)", [run_id])
        admin.execute(f"select private.take_in_sellers({batch})", [run_id])
        seconds, rows = timed(
            lambda: value(
                admin,
                f"select cardinality(private.take_in_retail({batch}))",
                run_id,
            )
        )
    return seconds, int(rows)


def taken_in(admin: Admin, run_id: str) -> tuple[float, int]:
    """Seconds for the whole, batch after batch, and the bytes of WAL it wrote."""
    before = value(admin, "select pg_current_wal_insert_lsn()::text")

    def run() -> None:
        while not value(admin, "select service.apply_sync(%s, %s)", run_id, BATCH)["is_done"]:
            pass

    seconds, _ = timed(run)
    wal = value(admin, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", before)
    admin.execute("select service.finish_sync(%s)", [run_id])
    return seconds, int(wal)


def one_by_one(admin: Admin, goods: int) -> float:
    """Goods a second with executemany, undone afterwards."""
    category = value(admin, "select id from public.categories limit 1")
    rows = [
        (f"one-{n}", category, f"Solar lamp {n}", f"Lampe {n}", "Bright. " * 40, 10)
        for n in range(goods)
    ]
    with admin.transaction(force_rollback=True):
        seconds, _ = timed(lambda: admin.cursor().executemany(ONE, rows))
    return goods / seconds


def versions(admin: Admin) -> int:
    """Row versions written to the catalogue since the counters began."""
    admin.execute("select pg_stat_force_next_flush()")
    return int(
        value(
            admin,
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) "
            "from pg_stat_user_tables where schemaname || '.' || relname = any(%s)",
            list(CATALOGUE),
        )
    )


def measure(scratch: Scratch, goods: int, rounds: int) -> dict[str, Any]:
    """All figures, in one database."""
    admin = scratch.connect()
    admin.execute("set statement_timeout = 0")
    for statement in GIVENS.split(";\n"):
        if statement.strip():
            admin.execute(statement)
    run_id = prepare_run(admin, goods)
    data = goods_of(admin, run_id)
    copies: list[float] = []
    upserts: list[float] = []
    for _ in range(rounds):
        copies.append(copied(admin, data))
        seconds, rows = upserted(admin, run_id)
        assert rows == goods, f"{rows} of {goods} goods were written"
        upserts.append(seconds)
        admin.execute("vacuum public.products, private.search_queue, public.suppliers")
    singly = one_by_one(admin, min(ONE_BY_ONE, goods))
    first, first_wal = taken_in(admin, run_id)
    admin.execute("delete from private.staged_products")
    admin.execute("vacuum analyze")

    again = prepare_run(admin, goods)
    before = versions(admin)
    idle, idle_wal = taken_in(admin, again)
    written = versions(admin) - before
    admin.execute("delete from private.staged_products")
    admin.execute("vacuum analyze")

    changed = prepare_run(admin, goods, " anew", 1)
    full, full_wal = taken_in(admin, changed)
    copy, upsert = statistics.median(copies), statistics.median(upserts)
    admin.close()
    return {
        "goods": goods,
        "megabytes": len(data) / 1e6,
        "copy_per_second": goods / copy,
        "upsert_per_second": goods / upsert,
        "one_by_one_per_second": singly,
        "first_run_per_second": goods / first,
        "first_run_wal": first_wal,
        "idle_run_per_second": goods / idle,
        "idle_run_wal": idle_wal,
        "idle_run_row_versions": written,
        "changed_run_per_second": goods / full,
        "changed_run_wal": full_wal,
    }


def main() -> int:
    """Exit status 1 when a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goods", type=int, default=GOODS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    environment = read_environment()
    with scratch_database(environment, f"mallgram_bench_{os.getpid()}") as scratch:
        found = measure(scratch, asked.goods, asked.rounds)
    report.table(
        ["what", "goods/s", "WAL MB"],
        [
            ["bare COPY of the staged rows", found["copy_per_second"], ""],
            ["upsert into products, one statement", found["upsert_per_second"], ""],
            ["the same with executemany", found["one_by_one_per_second"], ""],
            [
                "whole taking in, all new",
                found["first_run_per_second"],
                found["first_run_wal"] / 1e6,
            ],
            [
                "whole taking in, nothing new",
                found["idle_run_per_second"],
                found["idle_run_wal"] / 1e6,
            ],
            [
                "whole taking in, all changed",
                found["changed_run_per_second"],
                found["changed_run_wal"] / 1e6,
            ],
        ],
    )
    targets = [
        Target.at_least(
            "sync",
            "upsert by bare COPY",
            found["upsert_per_second"] / found["copy_per_second"],
            COPY_SHARE,
        ),
        Target.at_least(
            "P11", "goods a second, upsert", found["upsert_per_second"], P11_PER_SECOND
        ),
        Target.at_least(
            "P11",
            "upsert by executemany",
            found["upsert_per_second"] / found["one_by_one_per_second"],
            P11_RATIO,
        ),
        Target.at_most("P12", "row versions of an idle run", found["idle_run_row_versions"], 0),
        Target.at_most(
            "P12",
            "WAL of an idle by a full run",
            found["idle_run_wal"] / found["changed_run_wal"],
            P12_WAL,
        ),
        Target.at_least(
            "P12",
            "idle by full run, speed",
            found["idle_run_per_second"] / found["changed_run_per_second"],
            P12_FASTER,
        ),
    ]
    report.conclude("sync", found, targets)
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (psycopg.Error, OSError) as error:
        say(f"sync: {error}")
        sys.exit(1)
