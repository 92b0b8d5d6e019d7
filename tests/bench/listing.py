"""Lists of 20 products beside a bare read of 20 rows of one table, and what caches make of them.

All sides take turns in one run, on the same database and rows: PostgREST's plain answer, the
shop's first page and a category's through PostgREST, and the first page from the gateway's cache.
Then one product by its id beside pgbench running the transaction that PostgREST runs (P1), and
signed in beside anonymous (P2).
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench import report, rounds
from tests.bench.place_order import POSTGRES_BIN, run, tell
from tests.bench.report import Target
from tests.bench.rounds import Measurement, Round, Summary
from tests.bench.stand import (
    Crowd,
    Programs,
    clear,
    connect,
    gather,
    postgrest_url,
    read_environment,
    say,
    settle,
)
from tests.concurrency.shoppers import Admin

HERE = Path(__file__).resolve().parent
CLIENTS: Final = 8
PRODUCTS: Final = 20_000
COLUMNS: Final = "id,name,name_fr,price_mallgram,currency,seller_rating,review_count,created_at"
LIST: Final = "/rpc/search_products?country=CM&language=en&page_size=20"
WARM_UP_SECONDS: Final = 4
LIST_RATIO, CACHE_RATIO, P1_RATIO, P2_RATIO = 0.5, 10.0, 0.17, 0.85

# What PostgREST 12 sends for one read, in the order in which it sends it.
DETAIL: Final = """\
\\set product random(1, {products})
begin isolation level read committed read only;
select set_config('search_path', '"public", "public", "extensions"', true),
    set_config('statement_timeout', '3s', true),
    set_config('role', 'anon', true),
    set_config('request.jwt.claims', '{{"role":"anon"}}', true),
    set_config('request.method', 'GET', true),
    set_config('request.path', '/products', true),
    set_config('request.headers', '{{"host":"127.0.0.1"}}', true),
    set_config('request.cookies', '{{}}', true);
with pgrst_source as (
    select {columns}
    from "public"."products"
    where "public"."products"."id" = ('{prefix}' || lpad(:product::text, 12, '0'))::uuid
)
select null::bigint as total_result_set, pg_catalog.count(_postgrest_t) as page_total,
    coalesce(json_agg(_postgrest_t), '[]') as body,
    nullif(current_setting('response.headers', true), '') as response_headers,
    nullif(current_setting('response.status', true), '') as response_status
from (select * from pgrst_source) as _postgrest_t;
commit;
"""


@dataclass(frozen=True)
class Load:
    """The generators, ready to run against one crowd."""

    folder: Path
    database_url: str
    rest_url: str
    gateway_url: str
    anon_key: str
    token: str

    @staticmethod
    def prepare(folder: Path, crowd: Crowd, category: str, environment: dict[str, str]) -> "Load":
        """Writes the files that the generators read."""
        chance = random.Random(20261122)  # noqa: S311  # products to look at, not secrets
        numbers = [chance.randint(1, crowd.products_count) for _ in range(2_000)]
        paths = {
            "bare": [f"/products?select={COLUMNS}&limit=20"],
            "list": [LIST],
            "category": [f"{LIST}&category={category}"],
            "detail": [f"/products?select={COLUMNS}&id=eq.{crowd.product(n)}" for n in numbers],
        }
        for name, asked in paths.items():
            (folder / name).write_text("\n".join(asked) + "\n", encoding="ascii")
        (folder / "detail.sql").write_text(
            DETAIL.format(products=crowd.products_count, prefix=crowd.products, columns=COLUMNS),
            encoding="utf-8",
        )
        return Load(
            folder,
            environment["DATABASE_ADMIN_URL"],
            postgrest_url(environment),
            f"{environment['SUPABASE_URL']}/rest/v1",
            environment["SUPABASE_ANON_KEY"],
            crowd.tokens[0],
        )

    def wrk(
        self, paths: str, seconds: int, *, gateway: bool = False, token: str = "-"
    ) -> Measurement:
        """Reads of the named paths over `CLIENTS` connections."""
        output = run(
            [
                "wrk",
                "--threads=2",
                f"--connections={CLIENTS}",
                f"--duration={seconds}s",
                "--timeout=30s",
                f"--script={HERE / 'listing.lua'}",
                self.gateway_url if gateway else self.rest_url,
                "--",
                str(self.folder / paths),
                self.anon_key,
                token,
            ]
        )
        seen = json.loads(output.strip().splitlines()[-1])
        return Measurement(
            requests=seen["requests"],
            seconds=seen["seconds"],
            p50_ms=seen["p50_ms"],
            p99_ms=seen["p99_ms"],
            max_ms=seen["max_ms"],
            failed=seen["failed"] + seen["broken"],
        )

    def pgbench(self, seconds: int) -> Measurement:
        """The same reads of one product over as many database connections."""
        address = urlsplit(self.database_url)
        logs = Path(tempfile.mkdtemp(dir=self.folder))
        run(
            [
                str(POSTGRES_BIN / "pgbench"),
                "--no-vacuum",
                "--protocol=prepared",
                f"--client={CLIENTS}",
                "--jobs=2",
                f"--time={seconds}",
                f"--file={self.folder / 'detail.sql'}",
                "--log",
                f"--log-prefix={logs / 'log'}",
                "--host=127.0.0.1",
                f"--port={address.port}",
                f"--username={address.username}",
                address.path.removeprefix("/"),
            ],
            PGPASSWORD=address.password or "",
        )
        taken = [
            int(line.split()[2]) / 1000
            for log in logs.iterdir()
            for line in log.read_text(encoding="ascii").splitlines()
        ]
        shutil.rmtree(logs)
        return Measurement(
            requests=len(taken),
            seconds=seconds,
            p50_ms=statistics.median(taken),
            p99_ms=rounds.percentile(taken, 0.99),
            max_ms=max(taken),
        )

    def read(self, path: str) -> tuple[int, Any]:
        """Status and body of one plain request to PostgREST."""
        request = urllib.request.Request(f"{self.rest_url}{path}")  # noqa: S310  # our own address
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, json.loads(response.read())


def require_twenty(load: Load, category: str) -> None:
    """Every side reads twenty rows. Raises SystemExit when one does not."""
    for path in (
        f"/products?select={COLUMNS}&limit=20",
        LIST,
        f"{LIST}&category={category}",
    ):
        status, rows = load.read(path)
        if status != 200 or len(rows) != 20:
            raise SystemExit(f"{path} answered {status} with {len(rows)} rows")


def compare(
    sides: dict[str, Callable[[], Measurement]], count: int, roots: Sequence[int]
) -> dict[str, Any]:
    """The sides in turns: their summaries, and the rounds for the file."""
    done = rounds.interleave(sides, count, roots, tell)
    used, is_clean = rounds.counted(done)
    return {
        "sides": {side: Summary.of(used, side) for side in sides},
        "used": used,
        "is_undisturbed": is_clean,
        "rounds": [one.as_json() for one in done],
    }


def ratio(result: dict[str, Any], above: str, below: str) -> float:
    """Median over the rounds of one side's rate over the other's."""
    used: list[Round] = result["used"]
    return round(statistics.median(rounds.ratios(used, above, below)), 3)


def busiest_category(admin: Admin) -> str:
    """The seed's category with most listings in Cameroon."""
    row = admin.execute(
        "select c.slug from public.categories as c "
        "inner join public.product_prices as pp on c.id = pp.category_id "
        "where pp.country = 'CM' and pp.is_listed and c.slug not like 'bench-%%' "
        "group by c.slug order by count(*) desc limit 1"
    ).fetchone()
    if row is None:
        raise SystemExit("the seed has no product in Cameroon")
    return str(row["slug"])


def main() -> int:
    """Exit status: 0 measured (whatever the figures), 2 a tool is missing."""
    parser = argparse.ArgumentParser(prog="listing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=15)
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        say("wrk is missing: apt-get install wrk")
        return 2

    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    roots = (programs.pid(), os.getpid())
    seconds = asked.seconds
    with connect(environment) as admin, tempfile.TemporaryDirectory() as folder:
        category = busiest_category(admin)
        crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], 1, PRODUCTS)
        load = Load.prepare(Path(folder), crowd, category, environment)
        with programs.resting() as rested:
            say(f"at rest meanwhile: {', '.join(rested)}")
            require_twenty(load, category)
            settle(admin)
            for paths in ("bare", "list", "category", "detail"):
                load.wrk(paths, WARM_UP_SECONDS)
            say(f"\nlists of 20, {CLIENTS} clients, {asked.rounds} rounds of {seconds} s")
            lists = compare(
                {
                    "bare": partial(load.wrk, "bare", seconds),
                    "list": partial(load.wrk, "list", seconds),
                    "category": partial(load.wrk, "category", seconds),
                    "cached": partial(load.wrk, "list", seconds, gateway=True),
                },
                asked.rounds,
                roots,
            )
            say(f"\none product by its id, {CLIENTS} clients, {asked.rounds} rounds")
            details = compare(
                {
                    "postgrest": partial(load.wrk, "detail", seconds),
                    "pgbench": partial(load.pgbench, seconds),
                    "signed in": partial(load.wrk, "detail", seconds, token=load.token),
                },
                asked.rounds,
                roots,
            )
        clear(admin, crowd)
    conclude(lists, details)
    return 0


def conclude(lists: dict[str, Any], details: dict[str, Any]) -> None:
    """Targets, table, JSON."""
    targets = [
        Target.at_least(
            "issue", "list of 20 over a bare read", ratio(lists, "list", "bare"), LIST_RATIO
        ),
        Target.at_least(
            "issue",
            "list of 20 from the gateway's cache over a bare read",
            ratio(lists, "cached", "bare"),
            CACHE_RATIO,
        ),
        Target.at_least(
            "P1",
            "one product, PostgREST over pgbench",
            ratio(details, "postgrest", "pgbench"),
            P1_RATIO,
        ),
        Target.at_least(
            "P2",
            "one product, signed in over anonymous",
            ratio(details, "signed in", "postgrest"),
            P2_RATIO,
        ),
    ]
    say()
    report.table(
        ["side", "reads/s", "least", "most", "p50 ms", "p99 ms", "core ms", "failed"],
        [
            [
                side,
                round(one.rate),
                round(one.rate_least),
                round(one.rate_most),
                round(one.p50_ms, 2),
                round(one.p99_ms, 2),
                round(one.core_ms, 2),
                one.failed,
            ]
            for result in (lists, details)
            for side, one in result["sides"].items()
        ],
    )
    unsure = [
        name
        for name, result in (("lists", lists), ("details", details))
        if not result["is_undisturbed"]
    ]
    core = {side: one.core_ms for side, one in lists["sides"].items()}
    say(
        f"\ncore time a read, which others cannot touch: bare {core['bare']:.2f} ms, "
        f"list {core['list']:.2f} ms, from the cache {core['cached']:.3f} ms "
        f"({core['bare'] / core['cached']:.0f} times less than bare)"
    )
    report.conclude(
        "listing",
        {
            "clients": CLIENTS,
            "products": PRODUCTS,
            "list_core_ratio": round(core["bare"] / core["list"], 3),
            "cached_core_ratio": round(core["bare"] / core["cached"], 2),
            "category_over_bare": ratio(lists, "category", "bare"),
            **{
                name: {
                    "sides": {side: asdict(one) for side, one in result["sides"].items()},
                    "is_undisturbed": result["is_undisturbed"],
                    "rounds": result["rounds"],
                }
                for name, result in (("lists", lists), ("details", details))
            },
        },
        targets,
        note=(
            f"too few undisturbed rounds of {', '.join(unsure)}, all are counted: see foreign_cpu"
            if unsure
            else ""
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
