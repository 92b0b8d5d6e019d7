"""How long a search takes as the shop grows: 10,000, 100,000 and 1,000,000 products.

Each question is a GET of PostgREST itself as anon, one at a time over one connection, no cache in
between. Frequent words are the hundred commonest of the goods, the others stand further down.
Afterwards the planner is asked how it goes about each kind of question, and the tables are asked
whether anybody has read them from end to end. At the largest size a part of the goods has vectors,
and so have some queries: what comes back then is compared with an exact search.
"""

# ruff: noqa: S608  # what is put into a statement is this module's own

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from psycopg.errors import Diagnostic

from tests.bench import report, search_goods
from tests.bench.report import Target
from tests.bench.rounds import percentile
from tests.bench.stand import Programs, connect, postgrest_url, read_environment, say
from tests.concurrency.shoppers import Admin

SIZES: Final = (10_000, 100_000, 1_000_000)
VECTORS: Final = 200_000
RPC: Final = "/rpc/search_products"
COUNTRY: Final = "ZA"
PAGE: Final = 24
TABLES: Final = (
    "public.products",
    "public.product_prices",
    "public.product_stock",
    "private.search_documents",
    "private.search_terms",
)
WARM_UP: Final = 5

Question = Mapping[str, str]


@dataclass(frozen=True)
class Answers:
    """What one kind of question took, in milliseconds."""

    kind: str
    size: int
    times: Sequence[float]
    empty: int
    core_ms: float
    """Core time of the database for one question, in milliseconds: what noise hardly touches."""

    @property
    def p50(self) -> float:
        return percentile(self.times, 0.5)

    @property
    def p95(self) -> float:
        return percentile(self.times, 0.95)


@dataclass
class Shop:
    """The shop at one size."""

    admin: Admin
    client: httpx.Client
    size: int
    words: Mapping[int, str]
    chance: random.Random = field(default_factory=lambda: random.Random(20261123))  # noqa: S311

    def some(self, first: int, count: int) -> list[str]:
        """Words from that rank on."""
        return [self.words[rank] for rank in range(first, first + count)]

    def kinds(self, count: int) -> dict[str, list[Question]]:
        """The questions of each kind."""
        frequent = [self.words[rank % 100] for rank in range(count)]
        median = self.some(2_000, count)
        rare = self.rare(count)
        shelves = [f"bench-{8 + number % 40}" for number in range(count)]
        return {
            "frequent word": [{"query": word} for word in frequent],
            "median word": [{"query": word} for word in median],
            "rare word": [{"query": word} for word in rare],
            "two words": [
                {"query": f"{one} {two}"} for one, two in zip(frequent, median, strict=True)
            ],
            "two frequent words": [
                {"query": f"{one} {frequent[(place * 7 + 3) % len(frequent)]}"}
                for place, one in enumerate(frequent)
            ],
            "typo": [{"query": misspelt(word)} for word in median],
            "browse category": [{"category": shelf} for shelf in shelves],
            "browse all": [
                {"sort": sort}
                for _, sort in zip(
                    range(count),
                    _round("newest", "price_asc", "price_desc", "rating"),
                    strict=False,
                )
            ],
            "browse, filters": [
                {
                    "category": f"bench-{number % 8}",
                    "min_price": "100",
                    "max_price": "400",
                    "min_rating": "4",
                    "in_stock": "true",
                }
                for number in range(count)
            ],
            "frequent, category": [
                {"query": word, "category": shelf}
                for word, shelf in zip(frequent, shelves, strict=True)
            ],
            "frequent, price": [{"query": word, "max_price": "100"} for word in frequent],
            "frequent, by price": [{"query": word, "sort": "price_asc"} for word in frequent],
            "median, by price": [
                {"query": word, "sort": "price_asc"} for word in self.some(300, count)
            ],
            "page 1": [{"sort": "newest"} for _ in range(count)],
            "page at rank 90 %": [
                {"sort": "newest", "cursor": cursor} for cursor in self.cursors(count)
            ],
        }

    def rare(self, count: int) -> list[str]:
        """Numbers that stand in one name each, as a shopper copies them."""
        return [f"kx{20 * self.chance.randint(1, self.size // 20)}" for _ in range(count)]

    def cursors(self, count: int) -> list[str]:
        """Cursors of rows about nine tenths down the list of the newest."""
        rows = self.admin.execute(
            "select translate(encode(convert_to(jsonb_build_object("
            "'s', 'newest', 'k', -extract(epoch from f.listed_at), 'i', f.listing_id"
            ")::text, 'utf8'), 'base64'), e'\\n', '') as cursor from ("
            "  select pp.listed_at, pp.listing_id from public.product_prices as pp"
            "  where pp.country = %s and pp.is_listed"
            "  order by pp.listed_at desc, pp.listing_id desc offset %s limit %s"
            ") as f",
            [COUNTRY, self.size * 9 // 10, count],
        ).fetchall()
        return [str(row["cursor"]) for row in rows]

    def ask(self, kind: str, questions: Sequence[Question]) -> Answers:
        """Puts the questions one after the other. Raises SystemExit for a refusal."""
        times: list[float] = []
        empty, before = 0, 0.0
        for number, question in enumerate([*questions[:WARM_UP], *questions]):
            if number == WARM_UP:
                before = sessions_ms(self.admin)
            asked = {**question, "country": COUNTRY, "language": "en", "page_size": str(PAGE)}
            started = time.perf_counter()
            answer = self.client.get(RPC, params=asked)
            spent = 1000 * (time.perf_counter() - started)
            if answer.status_code != 200:
                raise SystemExit(f"{kind}: {answer.status_code} {answer.text[:300]}")
            if number >= WARM_UP:
                times.append(spent)
                empty += answer.json() == []
        spent_ms = sessions_ms(self.admin) - before
        return Answers(kind, self.size, times, empty, spent_ms / len(times))

    def offset(self, count: int) -> Answers:
        """The baseline that keyset paging is compared with: PostgREST's own offset."""
        times = []
        before = sessions_ms(self.admin)
        for _ in range(count):
            started = time.perf_counter()
            answer = self.client.get(
                "/product_prices",
                params={
                    "select": "listing_id,amount",
                    "country": f"eq.{COUNTRY}",
                    "is_listed": "is.true",
                    "order": "listed_at.desc,listing_id.desc",
                    "offset": str(self.size * 9 // 10),
                    "limit": str(PAGE),
                },
            )
            times.append(1000 * (time.perf_counter() - started))
            if answer.status_code not in (200, 206):
                raise SystemExit(f"offset: {answer.status_code} {answer.text[:300]}")
        spent_ms = sessions_ms(self.admin) - before
        return Answers("offset at rank 90 %", self.size, times, 0, spent_ms / count)


def _round(*values: str) -> Iterator[str]:
    while True:
        yield from values


def sessions_ms(admin: Admin) -> float:
    """Milliseconds that PostgREST's sessions have had of a core so far."""
    rows = admin.execute(
        "select pid from pg_stat_activity "
        "where usename = 'authenticator' and datname = current_database()"
    ).fetchall()
    spent = 0.0
    for row in rows:
        with contextlib.suppress(OSError):
            schedule = Path(f"/proc/{row['pid']}/schedstat").read_text(encoding="ascii")
            spent += int(schedule.split()[0]) / 1e6
    return spent


def misspelt(word: str) -> str:
    """The word without its third letter."""
    return word[:2] + word[3:]


def whole_reads(admin: Admin) -> dict[str, int]:
    """How often each table was read from end to end."""
    admin.execute("select pg_stat_clear_snapshot()")
    rows = admin.execute(
        "select schemaname || '.' || relname as name, seq_scan from pg_stat_user_tables "
        "where schemaname || '.' || relname = any(%s)",
        [list(TABLES)],
    ).fetchall()
    return {str(row["name"]): int(row["seq_scan"]) for row in rows}


def scanning_plans(admin: Admin, kinds: Mapping[str, Sequence[Question]]) -> dict[str, list[str]]:
    """Kinds of questions whose plans, of all statements within, read a large table whole."""
    plans: list[str] = []

    def hear(diagnostic: Diagnostic) -> None:
        plans.append(diagnostic.message_primary or "")

    found: dict[str, list[str]] = {}
    admin.add_notice_handler(hear)
    try:
        with admin.transaction(force_rollback=True):
            admin.execute("load 'auto_explain'")
            for setting, value in (
                ("auto_explain.log_min_duration", "0"),
                ("auto_explain.log_nested_statements", "on"),
                ("client_min_messages", "log"),
            ):
                admin.execute("select set_config(%s, %s, true)", [setting, value])
            for kind, questions in kinds.items():
                plans.clear()
                given = ", ".join(f"{name} => %({name})s" for name in questions[0])
                admin.execute(
                    f"select * from public.search_products({given}, country => %(country)s)",
                    {**questions[0], "country": COUNTRY},
                )
                scans = [
                    line.strip()
                    for plan in plans
                    for line in plan.splitlines()
                    if any(f"Seq Scan on {table.split('.')[1]} " in f"{line} " for table in TABLES)
                ]
                if not plans:
                    raise SystemExit("auto_explain said nothing")
                if scans:
                    found[kind] = scans
    finally:
        admin.remove_notice_handler(hear)
    return found


EMBED: Final = (
    "select setseed(0.25)",
    """
    create table bench.bases as
    select n as number, array_agg(
        (case when random() < 0.5 then -1 else 1 end) * (0.1 + 0.9 * random())
    )::extensions.halfvec(384) as base
    from generate_series(0, 1999) as n
    cross join generate_series(1, 384)
    group by n
    """,
    "alter table bench.bases add primary key (number)",
    """
    insert into private.product_embeddings (listing_id, embedding, model, text_hash)
    select
        bench.listing(n),
        a.base operator(extensions.+) (b.base operator(extensions.*) m.factor), 'bench', ''
    from generate_series(1, %(vectors)s::bigint) as n
    inner join bench.bases as a on a.number = (n * 31) %% 2000
    inner join bench.bases as b on b.number = (n * 17 + n / 2000) %% 2000
    cross join (select array_fill(0.5, array[384])::extensions.halfvec(384) as factor) as m
    """,
    """
    insert into private.query_embeddings (query, embedding, model)
    select
        w.en, a.base operator(extensions.+) (b.base operator(extensions.*) m.factor), 'bench'
    from bench.words as w
    inner join bench.bases as a on a.number = (w.number * 7) % 2000
    inner join bench.bases as b on b.number = (w.number * 11 + 5) % 2000
    cross join (select array_fill(0.4, array[384])::extensions.halfvec(384) as factor) as m
    where w.number between 1000 and 1999
    """,
    "analyze private.product_embeddings, private.query_embeddings",
)
NEAREST: Final = (
    "select array_agg(f.listing_id::text) as ids from ("
    "  select e.listing_id from private.product_embeddings as e, private.query_embeddings as q"
    "  where q.query = %s and e.model = 'bench'"
    "  order by e.embedding operator(extensions.<=>) q.embedding limit 24"
    ") as f"
)
NEAR: Final = (
    "select (private.near_listings(q.embedding, q.model, null, 100))[:24]::text[] as ids "
    "from private.query_embeddings as q where q.query = %s"
)


def embed(admin: Admin, vectors: int) -> None:
    """Gives the first of the goods vectors, and a thousand queries."""
    index = "private.product_embeddings_embedding_idx"
    row = admin.execute("select pg_get_indexdef(%s::regclass) as def", [index]).fetchone()
    assert row is not None
    admin.execute(f"drop index {index}")
    admin.execute("set maintenance_work_mem = '1GB'")
    try:
        for statement in EMBED:
            admin.execute(statement, {"vectors": vectors} if "%(" in statement else None)
    finally:
        admin.execute(row["def"])
    admin.execute("vacuum analyze private.product_embeddings")


def recall(admin: Admin, words: Sequence[str]) -> float:
    """Share of the exact twenty-four nearest that the index gives, over all the words."""
    hits = wanted = 0
    for word in words:
        with admin.transaction(force_rollback=True):
            near = admin.execute(NEAR, [word]).fetchone()
            admin.execute("set local enable_indexscan = off")
            exact = admin.execute(NEAREST, [word]).fetchone()
        assert near is not None
        assert exact is not None
        hits += len(set(near["ids"] or ()) & set(exact["ids"]))
        wanted += len(exact["ids"])
    return hits / wanted


def measure(
    admin: Admin, client: httpx.Client, sizes: Sequence[int], count: int, vectors: int
) -> tuple[list[Answers], dict[str, Any]]:
    """Every kind of question at every size; and what else was seen."""
    search_goods.prepare(admin)
    words = {
        int(row["number"]): str(row["en"])
        for row in admin.execute("select number, en from bench.words").fetchall()
    }
    answers: list[Answers] = []
    seen: dict[str, Any] = {"built_seconds": {}, "other_documents": {}, "whole_reads": {}}
    before = 0
    for size in sizes:
        started = time.monotonic()
        say(f"{size:,} products")
        search_goods.grow(admin, before + 1, size)
        before = size
        seen["built_seconds"][size] = round(time.monotonic() - started, 1)
        seen["other_documents"][size] = search_goods.differing(admin, size)
        say(f"  made in {seen['built_seconds'][size]} s")
        shop = Shop(admin, client, size, words)
        kinds = shop.kinds(count)
        reads = whole_reads(admin)
        for kind, questions in kinds.items():
            answers.append(shop.ask(kind, questions))
            tell(answers[-1])
        time.sleep(1.5)  # a session tells its counts within a second of its last statement
        client.get(RPC, params={"country": COUNTRY})
        time.sleep(0.5)
        seen["whole_reads"][size] = {
            name: reads_now - reads[name]
            for name, reads_now in whole_reads(admin).items()
            if reads_now != reads[name]
        }
        seen["scanning_plans"] = scanning_plans(admin, kinds)
        answers.append(shop.offset(min(count, 20)))
        tell(answers[-1])
    if vectors:
        started = time.monotonic()
        embed(admin, min(vectors, before))
        say(f"  {min(vectors, before):,} vectors in {time.monotonic() - started:.1f} s")
        asked = [words[rank] for rank in range(1_000, 1_000 + count)]
        shop = Shop(admin, client, before, words)
        answers.append(shop.ask("hybrid", [{"query": word} for word in asked]))
        tell(answers[-1])
        seen["recall"] = round(recall(admin, asked), 4)
    return answers, seen


def tell(one: Answers) -> None:
    """One line."""
    say(
        f"  {one.kind:<22} p50 {one.p50:8.2f} ms  p95 {one.p95:8.2f} ms  "
        f"core {one.core_ms:8.2f} ms  empty {one.empty}"
    )


def targets(answers: Sequence[Answers], seen: Mapping[str, Any]) -> list[Target]:
    """The figures against what they must reach; those of the largest size."""
    largest = max(one.size for one in answers)
    smallest = min(one.size for one in answers)
    at = {one.kind: one.p95 for one in answers if one.size == largest}
    first = {one.kind: one.p95 for one in answers if one.size == smallest}
    limits = (
        ("P8", "rare word", 15.0),
        ("P8", "median word", 20.0),
        ("P8", "frequent word", 80.0),
        ("issue", "frequent word", 50.0),
        ("P9", "typo", 150.0),
        ("issue", "typo", 100.0),
    )
    result = [
        Target.at_most(name, f"{kind}, p95 ms at {largest:,}", at[kind], limit)
        for name, kind, limit in limits
    ]
    result.append(
        Target.at_most(
            "P7", "page at rank 90 % over page 1, p95", at["page at rank 90 %"] / at["page 1"], 2.0
        )
    )
    if largest > smallest:
        result += [
            Target.at_most(
                "growth",
                f"{kind}, p95 at {largest:,} over {smallest:,}",
                at[kind] / first[kind],
                3.0,
            )
            for kind in ("frequent word", "median word", "rare word", "two words", "typo")
        ]
    if "hybrid" in at:
        result.append(Target.at_most("P10", "hybrid, p95 ms", at["hybrid"], 50.0))
        result.append(Target.at_least("P10", "recall of 24 against exact", seen["recall"], 0.95))
    result.append(
        Target.at_most("plans", "kinds that read a table whole", len(seen["scanning_plans"]), 0)
    )
    result.append(
        Target.at_most(
            "plans",
            "tables read whole while asked, largest size",
            len(seen["whole_reads"][largest]),
            0,
        )
    )
    return result


def conclude(answers: Sequence[Answers], seen: Mapping[str, Any]) -> None:
    """Prints the table and writes the results."""
    sizes = sorted({one.size for one in answers})
    cells: dict[str, dict[int, Answers]] = {}
    for one in answers:
        cells.setdefault(one.kind, {})[one.size] = one
    say()
    report.table(
        [
            "question",
            *[f"{name} at {size:,}" for size in sizes for name in ("p50", "p95", "core")],
        ],
        [
            [
                kind,
                *[
                    f"{value:.2f}" if value is not None else "-"
                    for size in sizes
                    for one in [by_size.get(size)]
                    for value in ((one.p50, one.p95, one.core_ms) if one else (None,) * 3)
                ],
            ]
            for kind, by_size in cells.items()
        ],
    )
    report.conclude(
        "search",
        {
            "milliseconds": [
                {
                    "question": one.kind,
                    "products": one.size,
                    "asked": len(one.times),
                    "p50": round(one.p50, 3),
                    "p95": round(one.p95, 3),
                    "max": round(max(one.times), 3),
                    "core": round(one.core_ms, 3),
                    "empty": one.empty,
                }
                for one in answers
            ],
            **json.loads(json.dumps(seen, default=str)),
        },
        targets(answers, seen),
        note=f"documents of the sample that search itself would write otherwise: "
        f"{seen['other_documents']}; load of the machine at the end: {os.getloadavg()[0]:.1f}",
    )


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="search", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="rising, by commas")
    parser.add_argument("--count", type=int, default=100, help="questions of each kind")
    parser.add_argument("--vectors", type=int, default=VECTORS, help="0: no vectors")
    asked = parser.parse_args()
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    with (
        connect(environment) as admin,
        httpx.Client(
            base_url=postgrest_url(environment),
            headers={"Accept-Profile": "public"},
            timeout=30.0,
            trust_env=False,
        ) as client,
        programs.resting(),
    ):
        try:
            answers, seen = measure(
                admin, client, [int(n) for n in asked.sizes.split(",")], asked.count, asked.vectors
            )
        finally:
            search_goods.clear(admin)
    conclude(answers, seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
