"""Counts that must be exact: R1, R2, R3 by the long races, R12 and R15 by the catalogue.

The races are the soak forms of tests/concurrency, run once here (`./scripts/test soak` repeats R1
twenty times); they assert the exact numbers. R12 tries every move of every status as every role.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import psycopg
from psycopg import sql

from tests.bench import report
from tests.bench.report import Target
from tests.bench.stand import (
    ROOT,
    clear,
    connect,
    gather,
    read_environment,
    say,
)
from tests.concurrency.shoppers import Admin

RACES: Final = (
    (
        "R1",
        "10,000 redemptions of a code of 100 uses: exactly 100",
        (
            "test_promo_codes.py::"
            "test_ten_thousand_attempts_at_a_code_of_a_hundred_uses_succeed_a_hundred_times[0]"
        ),
    ),
    (
        "R1",
        "500 people x 20 attempts at one use each: 1 each",
        (
            "test_promo_codes.py::"
            "test_five_hundred_people_use_a_code_once_each_however_often_they_try[0]"
        ),
    ),
    (
        "R2",
        "5,000 mixed baskets for 50 pieces: 50 held, 0 deadlocks",
        "test_stock.py::test_five_thousand_mixed_baskets_share_fifty_pieces_without_a_deadlock",
    ),
    (
        "R3",
        "1,000 keys x 20 sends: 1,000 orders, equal answers; other bodies refused",
        "test_idempotency.py::test_a_thousand_keys_sent_twenty_times_are_a_thousand_orders",
    ),
)

# Whatever could raise 40001 or ask for more than READ COMMITTED: PostgREST 12 retries for ever.
RETRIED: Final = re.compile(
    r"40001|serialization_failure|serializable|repeatable\s+read|transaction_isolation",
    re.IGNORECASE,
)

MONEY_ARRIVED: Final = ("paid", "partially_refunded", "refunded")


@dataclass(frozen=True)
class Moves:
    """Tried moves of one status column by one role."""

    subject: str
    role: str
    legal: int
    legal_refused: int
    illegal: int
    illegal_accepted: int


@dataclass(frozen=True)
class Machine:
    """A status column: its values, its table of moves, and how a row is put into a state."""

    subject: str
    table: str
    column: str
    values: tuple[str, ...]
    legal: frozenset[tuple[str, str]]
    needs_evidence: frozenset[tuple[str, str]]
    row_id: str

    def settings(self, value: str, *, with_evidence: bool = True) -> dict[str, Any]:
        """Columns that the CHECKs tie to the status, for a row in this state."""
        if self.subject == "orders.status":
            is_cancelled = value == "cancelled"
            return {
                "status": value,
                "paid_at": "now",
                "shipped_at": "now",
                "delivered_at": "now",
                "cancelled_at": "now" if is_cancelled else None,
                "cancel_reason": "bench" if is_cancelled else None,
            }
        if self.subject == "orders.payment_status":
            return {"payment_status": value}
        return {
            "status": value,
            "paid_at": "now" if value in MONEY_ARRIVED else None,
            "is_winner": False,
            "evidence_at": "now" if with_evidence else None,
        }


def update(
    admin: Admin, machine: Machine, settings: dict[str, Any]
) -> psycopg.Cursor[dict[str, Any]]:
    """Writes columns of the machine's row; `now` is the transaction's time."""
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(
            sql.Identifier(name), sql.SQL("now()") if value == "now" else sql.Literal(value)
        )
        for name, value in settings.items()
    )
    return admin.execute(
        sql.SQL("update {} set {} where id = {}").format(
            sql.SQL(machine.table), assignments, sql.Literal(machine.row_id)
        )
    )


def is_accepted(
    admin: Admin, machine: Machine, role: str, claims: str, start: str, settings: dict[str, Any]
) -> bool:
    """Whether the role may move the row from `start` to what the settings say."""
    with admin.transaction(force_rollback=True):
        admin.execute("set local session_replication_role = replica")
        update(admin, machine, machine.settings(start))
        admin.execute("set local session_replication_role = origin")
        try:
            with admin.transaction():
                admin.execute(
                    "select set_config('request.jwt.claims', %s, true), "
                    "set_config('role', %s, true)",
                    [claims, role],
                )
                moved = update(admin, machine, settings).rowcount
                # What waits for the commit is part of the answer.
                admin.execute("set constraints all immediate")
                return moved == 1
        except psycopg.Error:
            return False


def try_moves(admin: Admin, machine: Machine, role: str, claims: str, *, is_owner: bool) -> Moves:
    """Every pair of the machine's values. Only the tables' owner may move anything at all."""
    legal = illegal = legal_refused = illegal_accepted = 0
    for start in machine.values:
        for end in machine.values:
            if start == end:
                continue
            pair = (start, end)
            variants = [True, False] if pair in machine.needs_evidence else [True]
            for with_evidence in variants:
                settings = machine.settings(end, with_evidence=with_evidence)
                accepted = is_accepted(admin, machine, role, claims, start, settings)
                if is_owner and pair in machine.legal and with_evidence:
                    legal += 1
                    legal_refused += not accepted
                else:
                    illegal += 1
                    illegal_accepted += accepted
    return Moves(machine.subject, role, legal, legal_refused, illegal, illegal_accepted)


def values_of(admin: Admin, type_name: str) -> tuple[str, ...]:
    """The values of an enum."""
    rows = admin.execute(
        sql.SQL("select unnest(enum_range(null::{}))::text as value").format(sql.SQL(type_name))
    ).fetchall()
    return tuple(row["value"] for row in rows)


def machines(admin: Admin, order_id: str, payment_id: str) -> list[Machine]:
    """The three machines, their legal moves read from their tables."""
    orders = admin.execute(
        "select from_status::text, to_status::text from private.order_transitions"
    ).fetchall()
    payments = admin.execute(
        "select subject, from_status::text, to_status::text, needs_evidence "
        "from private.payment_transitions"
    ).fetchall()

    def pairs(rows: Sequence[dict[str, Any]]) -> frozenset[tuple[str, str]]:
        return frozenset((row["from_status"], row["to_status"]) for row in rows)

    of_orders = [row for row in payments if row["subject"] == "order"]
    of_payments = [row for row in payments if row["subject"] == "payment"]
    statuses = values_of(admin, "public.payment_status")
    return [
        Machine(
            "orders.status",
            "public.orders",
            "status",
            values_of(admin, "public.order_status"),
            pairs(orders),
            frozenset(),
            order_id,
        ),
        Machine(
            "orders.payment_status",
            "public.orders",
            "payment_status",
            statuses,
            pairs(of_orders),
            frozenset(),
            order_id,
        ),
        Machine(
            "payments.status",
            "public.payments",
            "status",
            statuses,
            pairs(of_payments),
            pairs([row for row in of_payments if row["needs_evidence"]]),
            payment_id,
        ),
    ]


def try_all_moves(environment: dict[str, str], admin: Admin) -> list[Moves]:
    """R12: every machine by every role; the rows are gone afterwards."""
    crowd = gather(admin, environment["SUPABASE_JWT_SECRET"], 2, 2)
    owner, admin_user = crowd.person(1), crowd.person(2)
    tried: list[Moves] = []
    with admin.transaction(force_rollback=True):
        admin.execute("insert into public.admins (user_id) values (%s)", [admin_user])
        ids = admin.execute(
            "with placed as ("
            "  insert into public.orders (user_id, country, currency, language, subtotal_price,"
            "    total_price, shipping_address, expires_at)"
            "  values (%s, 'CM', 'XAF', 'fr', 100, 100, '{}', now() + interval '1 hour')"
            "  returning id, user_id"
            ") insert into public.payments "
            "(order_id, user_id, gateway, method, reference, amount, currency) "
            "select id, user_id, 'kora', 'kora_checkout', 'bench-reference', 100, 'XAF' "
            "from placed returning id, order_id",
            [owner],
        ).fetchone()
        assert ids is not None
        roles = (
            ("postgres", ""),
            ("anon", '{"role": "anon"}'),
            ("authenticated", f'{{"sub": "{owner}", "role": "authenticated"}}'),
            ("authenticated", f'{{"sub": "{admin_user}", "role": "authenticated"}}'),
            ("service_role", '{"role": "service_role"}'),
            ("mallgram_service", ""),
        )
        for machine in machines(admin, str(ids["order_id"]), str(ids["id"])):
            tried += [
                try_moves(admin, machine, role, claims, is_owner=role == "postgres")
                for role, claims in roles
            ]
    clear(admin, crowd)
    return tried


def scan_functions(admin: Admin) -> tuple[int, list[str]]:
    """R15: functions looked at, and those that could make PostgREST retry."""
    rows = admin.execute(
        "select p.oid::regprocedure::text as name, "
        "concat_ws(' ', p.prosrc, p.prosqlbody::text, p.proconfig::text) as source "
        "from pg_proc as p inner join pg_namespace as n on p.pronamespace = n.oid "
        "where n.nspname in ('public', 'private', 'service') "
        "and not exists (select from pg_depend as d "
        "  where d.objid = p.oid and d.deptype = 'e')"
    ).fetchall()
    found = [row["name"] for row in rows if RETRIED.search(row["source"])]
    settings = admin.execute(
        "select s.setconfig::text as settings from pg_db_role_setting as s"
    ).fetchall()
    found += [row["settings"] for row in settings if RETRIED.search(row["settings"])]
    return len(rows), found


def race(ids: Sequence[str]) -> dict[str, bool]:
    """Runs the races; whether each passed, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "races.xml"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-m",
                "soak",
                "--timeout=0",
                "-q",
                f"--junitxml={result}",
                *(f"tests/concurrency/{id_}" for id_ in ids),
            ],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        if not result.exists():
            raise SystemExit(f"the races did not run: {done.stdout[-800:]}{done.stderr[-400:]}")
        passed = {
            case.attrib["name"]: not list(case)
            for case in ET.parse(result).iter("testcase")  # noqa: S314  # our own file
        }
    if not all(passed.values()):
        say(done.stdout[-3000:])
    return passed


def main() -> int:
    """Exit status: 0 every count is exact, 1 one is not."""
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__)
    parser.add_argument("--no-races", action="store_true", help="R12 and R15 only")
    asked = parser.parse_args()
    environment = read_environment()
    targets: list[Target] = []
    races: list[dict[str, Any]] = []
    if not asked.no_races:
        say("races (some minutes)")
        started = time.monotonic()
        passed = race([id_ for _, _, id_ in RACES])
        for id_, figure, node in RACES:
            exact = passed.get(node.split("::")[1], False)
            races.append({"id": id_, "figure": figure, "is_exact": exact})
            targets.append(Target.at_most(id_, figure, 0 if exact else 1, 0))
        say(f"  {time.monotonic() - started:.0f} s")
    with connect(environment) as admin:
        tried = try_all_moves(environment, admin)
        looked, found = scan_functions(admin)
    say()
    report.table(
        ["status", "role", "legal", "refused", "illegal", "accepted"],
        [
            [m.subject, m.role, m.legal, m.legal_refused, m.illegal, m.illegal_accepted]
            for m in tried
        ],
    )
    targets += [
        Target.at_most("R12", "illegal moves accepted", sum(m.illegal_accepted for m in tried), 0),
        Target.at_most("R12", "legal moves refused", sum(m.legal_refused for m in tried), 0),
        Target.at_most("R15", f"of {looked} functions could be retried", len(found), 0),
    ]
    report.conclude(
        "reliability",
        {
            "races": races,
            "moves": [vars(m) for m in tried],
            "functions_scanned": looked,
            "functions_found": found,
        },
        targets,
        note="races: 0 = every number as asserted",
    )
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
