"""Orders a second through PostgREST, beside the same function called by pgbench (P3).

Both sides take turns, on the same database, people and products: A wrk posting to PostgREST, B
pgbench running the transaction that PostgREST runs. Two lines an order, a new key each time.
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench import report, rounds
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
POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
CLIENTS = (16, 8)
"""The first is the one that `ratio` speaks of."""
LINES = 2
PEOPLE, PRODUCTS = 200, 1_000
WARM_UP_SECONDS = 4
P3_RATIO, P3_P99_MS = 0.5, 60.0
R15_EXECUTIONS = 1.01

# What PostgREST 12 sends for one call, in the order in which it sends it.
TRANSACTION = """\
\\set person random(1, {people})
\\set first random(1, {products})
\\set second ((:first + 331) % {products}) + 1
begin isolation level read committed read write;
select set_config('search_path', '"public", "public", "extensions"', true),
    set_config('statement_timeout', '8s', true),
    set_config('role', 'authenticated', true),
    set_config('request.jwt.claims', '{{"aud":"authenticated","exp":{expiry},\
"role":"authenticated","sub":"{people_prefix}' || lpad(:person::text, 12, '0') || '"}}', true),
    set_config('request.method', 'POST', true),
    set_config('request.path', '/rpc/place_order', true),
    set_config('request.headers', '{{"host":"127.0.0.1","content-type":"application/json"}}', true),
    set_config('request.cookies', '{{}}', true);
select * from public.place_order(
    idempotency_key => 'bench-' || gen_random_uuid(),
    country => 'CM',
    address => '{{"recipient_name":"Bench","phone":"+237650000000","city":"Douala",\
"landmark":"Akwa"}}',
    items => ('[{{"product_id":"{product_prefix}' || lpad(:first::text, 12, '0')
        || '","channel":"retail","quantity":1}},{{"product_id":"{product_prefix}'
        || lpad(:second::text, 12, '0') || '","channel":"retail","quantity":2}}]')::jsonb
);
commit;
"""


@dataclass(frozen=True)
class Load:
    """Both generators, ready to run against one crowd."""

    folder: Path
    crowd: Crowd
    database_url: str
    rest_url: str
    gateway_url: str
    anon_key: str

    @staticmethod
    def prepare(folder: Path, crowd: Crowd, environment: dict[str, str]) -> "Load":
        """Writes the files that the generators read."""
        (folder / "tokens").write_text("\n".join(crowd.tokens) + "\n", encoding="ascii")
        products = [crowd.product(number) for number in range(1, crowd.products_count + 1)]
        (folder / "products").write_text("\n".join(products) + "\n", encoding="ascii")
        (folder / "order.sql").write_text(
            TRANSACTION.format(
                people=crowd.people_count,
                products=crowd.products_count,
                people_prefix=crowd.people,
                product_prefix=crowd.products,
                expiry=4102444800,
            ),
            encoding="utf-8",
        )
        return Load(
            folder,
            crowd,
            environment["DATABASE_ADMIN_URL"],
            postgrest_url(environment),
            f"{environment['SUPABASE_URL']}/rest/v1",
            environment["SUPABASE_ANON_KEY"],
        )

    def wrk(self, clients: int, seconds: int, *, url: str | None = None) -> Measurement:
        """Orders over HTTP, `clients` connections that each wait for their answer."""
        output = run(
            [
                "wrk",
                "--threads=2",
                f"--connections={clients}",
                f"--duration={seconds}s",
                "--timeout=30s",
                f"--script={HERE / 'place_order.lua'}",
                url or self.rest_url,
                "--",
                str(self.folder / "tokens"),
                str(self.folder / "products"),
                str(LINES),
                secrets.token_hex(8),
                self.anon_key,
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

    def pgbench(self, clients: int, seconds: int) -> Measurement:
        """The same transactions over `clients` database connections."""
        address = urlsplit(self.database_url)
        logs = Path(tempfile.mkdtemp(dir=self.folder))
        run(
            [
                str(POSTGRES_BIN / "pgbench"),
                "--no-vacuum",
                "--protocol=prepared",
                f"--client={clients}",
                "--jobs=2",
                f"--time={seconds}",
                f"--file={self.folder / 'order.sql'}",
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


def run(command: Sequence[str], **environment: str) -> str:
    """Standard output of a program. Raises SystemExit with its errors when it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def tell(one: Round) -> None:
    """One line a round."""
    seen = one.measurement
    say(
        f"  {one.number:>2} {one.side:<9} {seen.rate:8.0f}/s  p50 {seen.p50_ms:6.1f} ms  "
        f"p99 {seen.p99_ms:6.1f} ms  core {one.core_ms:4.2f} ms  cpu pressure {one.pressure:4.0%}  "
        f"foreign {one.foreign:4.0%}{'' if one.is_clean else '  (disturbed)'}"
    )


def executions(admin: Admin) -> int:
    """How often the function ran, whoever called it."""
    row = admin.execute(
        "select coalesce(sum(s.calls), 0) as calls from extensions.pg_stat_statements as s "
        "inner join pg_database as d on s.dbid = d.oid and d.datname = current_database() "
        "where s.toplevel and s.query ilike '%%pgrst_call%%place_order%%'"
    ).fetchone()
    return int(row["calls"]) if row else 0


def compare(
    load: Load, clients: int, count: int, seconds: int, roots: Sequence[int]
) -> dict[str, Any]:
    """PostgREST beside pgbench with that many clients."""
    say(f"\n{clients} clients, {LINES} lines an order, {count} rounds of {seconds} s")
    sides: dict[str, Callable[[], Measurement]] = {
        "postgrest": partial(load.wrk, clients, seconds),
        "pgbench": partial(load.pgbench, clients, seconds),
    }
    done = rounds.interleave(sides, count, roots, tell)
    used, is_clean = rounds.counted(done)
    by_round = rounds.ratios(used, "postgrest", "pgbench")
    return {
        "clients": clients,
        "ratio": round(statistics.median(by_round), 3),
        "ratio_range": [round(min(by_round), 3), round(max(by_round), 3)],
        "postgrest": asdict(Summary.of(used, "postgrest")),
        "pgbench": asdict(Summary.of(used, "pgbench")),
        "rounds_counted": len(used) // 2,
        "rounds_thrown_away": (len(done) - len(used)) // 2,
        "is_undisturbed": is_clean,
        "rounds": [one.as_json() for one in done],
    }


def main() -> int:
    """Exit status: 0 measured (whatever the figures), 2 a tool is missing."""
    parser = argparse.ArgumentParser(prog="place_order", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=15)
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        say("wrk is missing: apt-get install wrk")
        return 2

    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    roots = (programs.pid(), os.getpid())
    with connect(environment) as admin, tempfile.TemporaryDirectory() as folder:
        crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], PEOPLE, PRODUCTS)
        load = Load.prepare(Path(folder), crowd, environment)
        with programs.resting() as rested:
            say(f"at rest meanwhile: {', '.join(rested)}")
            load.wrk(CLIENTS[0], WARM_UP_SECONDS)
            load.pgbench(CLIENTS[0], WARM_UP_SECONDS)
            settle(admin)
            # What waited before the fresh statistics is planned anew within a second of load.
            load.wrk(CLIENTS[0], WARM_UP_SECONDS)
            before = executions(admin)
            results = [
                compare(load, clients, asked.rounds, asked.seconds, roots) for clients in CLIENTS
            ]
            ran = executions(admin) - before
            through_gateway = rounds.measure(
                "gateway",
                1,
                partial(load.wrk, CLIENTS[0], asked.seconds, url=load.gateway_url),
                roots,
            )
            say("\nthe same through nginx, once")
            tell(through_gateway)
        clear(admin, crowd)
    conclude(results, through_gateway, ran)
    return 0


def conclude(results: Sequence[dict[str, Any]], gateway: Round, ran: int) -> None:
    """Targets, table, JSON."""
    main_result = results[0]
    sent = sum(
        one["requests"]
        for result in results
        for one in result["rounds"]
        if one["side"] == "postgrest"
    )
    # wrk does not count what was under way when the time was up: one a connection and round.
    unanswered = sum(
        result["clients"]
        for result in results
        for one in result["rounds"]
        if one["side"] == "postgrest"
    )
    a_call = max(0, ran - unanswered) / sent
    targets = [
        target
        for result in results
        for target in (
            Target.at_least("P3", f"ratio, {result['clients']} clients", result["ratio"], P3_RATIO),
            Target.at_most(
                "P3",
                f"p99 ms through PostgREST, {result['clients']} clients",
                round(result["postgrest"]["p99_ms"], 1),
                P3_P99_MS,
            ),
        )
    ]
    targets.append(
        Target.at_most("R15", "executions for one HTTP call", round(a_call, 3), R15_EXECUTIONS)
    )
    say()
    report.table(
        ["clients", "side", "orders/s", "least", "most", "p50 ms", "p99 ms", "core ms", "failed"],
        [
            [
                result["clients"],
                side,
                round(result[side]["rate"]),
                round(result[side]["rate_least"]),
                round(result[side]["rate_most"]),
                round(result[side]["p50_ms"], 1),
                round(result[side]["p99_ms"], 1),
                round(result[side]["core_ms"], 2),
                result[side]["failed"],
            ]
            for result in results
            for side in ("postgrest", "pgbench")
        ],
    )
    unsure = [r["clients"] for r in results if not r["is_undisturbed"]]
    report.conclude(
        "place_order",
        {
            "ratio": main_result["ratio"],
            "ratio_range": main_result["ratio_range"],
            "orders_per_second": round(main_result["postgrest"]["rate"], 1),
            "p50_ms": round(main_result["postgrest"]["p50_ms"], 2),
            "p99_ms": round(main_result["postgrest"]["p99_ms"], 2),
            "lines_per_order": LINES,
            "runs": results,
            "through_gateway": gateway.as_json(),
            "executions": ran,
            "http_calls": sent,
        },
        targets,
        note=(
            f"too few undisturbed rounds with {unsure} clients, all are counted: see foreign_cpu"
            if unsure
            else ""
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
