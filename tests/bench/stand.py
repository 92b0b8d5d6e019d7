"""What a benchmark stands on: the running stack, its processes, people and goods in plenty."""

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psycopg
from psycopg.rows import dict_row
from supervisor.xmlrpc import SupervisorTransport

from tests.concurrency.shoppers import Admin, access_token

ROOT = Path(__file__).resolve().parents[2]
RESTING = (
    "relay",
    "worker-payments",
    "worker-mail",
    "worker-maintenance",
    "edge",
    "sandbox",
    "auth",
)
"""Programs that no order needs: they stand still while orders are measured."""


def say(text: str = "") -> None:
    """One line to the reader."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def read_environment() -> dict[str, str]:
    """The KEY=value file of the running stack. Raises SystemExit when there is none."""
    path = ROOT / os.environ.get("MALLGRAM_ENV_FILE", ".local/env")
    if not path.exists():
        raise SystemExit(f"no stack is running: {path} is missing")
    return dict(
        line.split("=", 1)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )


def connect(environment: dict[str, str]) -> Admin:
    """The superuser's connection, each statement its own transaction."""
    return psycopg.connect(environment["DATABASE_ADMIN_URL"], autocommit=True, row_factory=dict_row)


def postgrest_url(environment: dict[str, str]) -> str:
    """Where PostgREST itself listens, without the gateway before it."""
    told = environment.get("POSTGREST_URL")
    if told:
        return told
    file = Path(environment["STATE_DIR"]) / "config" / "postgrest.conf"
    port = re.search(r"^server-port = (\d+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    if port is None:
        raise SystemExit(f"{file} names no server-port")
    return f"http://127.0.0.1:{port[1]}"


@dataclass(frozen=True)
class Programs:
    """The stack's supervisor."""

    socket: str

    @contextmanager
    def _server(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            yield server.supervisor

    def pid(self) -> int:
        """Process id of supervisor itself: the root of the stack's processes."""
        with self._server() as supervisor:
            return int(supervisor.getPID())

    @contextmanager
    def resting(self, names: Sequence[str] = RESTING) -> Iterator[list[str]]:
        """The named programs that run are stopped during the block; yields their names."""
        with self._server() as supervisor:
            states = {info["name"]: info["statename"] for info in supervisor.getAllProcessInfo()}
            stopped = [name for name in names if states.get(name) == "RUNNING"]
            for name in stopped:
                supervisor.stopProcess(name)
        try:
            yield stopped
        finally:
            with self._server() as supervisor:
                for name in reversed(stopped):
                    try:
                        supervisor.startProcess(name)
                    except Fault as error:
                        say(f"{name} did not start again: {error.faultString}")


@dataclass(frozen=True)
class Crowd:
    """People and products whose ids can be counted: prefix, then the number in twelve digits."""

    people: str
    products: str
    people_count: int
    products_count: int
    tokens: Sequence[str]

    def person(self, number: int) -> str:
        """Id of the nth person, from 1."""
        return f"{self.people}{number:012d}"

    def product(self, number: int) -> str:
        """Id of the nth product, from 1."""
        return f"{self.products}{number:012d}"


def gather(admin: Admin, secret: str, people: int, products: int) -> Crowd:
    """Makes people in Cameroon without mail, and products that never run out."""
    run = secrets.token_hex(4)
    crowd = Crowd(
        people=f"{run}-0000-4000-8000-",
        products=f"{run}-0000-4000-9000-",
        people_count=people,
        products_count=products,
        tokens=[
            access_token(f"{run}-0000-4000-8000-{number:012d}", secret)
            for number in range(1, people + 1)
        ],
    )
    admin.execute(
        "insert into auth.users (id, raw_user_meta_data) "
        "select (%s || lpad(n::text, 12, '0'))::uuid, "
        '\'{"full_name": "Bench", "country": "CM", "language": "fr"}\' '
        "from generate_series(1, %s) as n",
        [crowd.people, people],
    )
    admin.execute(
        "with category as ("
        "  insert into public.categories (slug, name, name_fr)"
        "  values (%(slug)s, 'Bench', 'Banc') returning id"
        ") insert into public.products (id, category_id, name, name_fr, price_mallgram) "
        "select (%(prefix)s || lpad(n::text, 12, '0'))::uuid, category.id, "
        "'Bench lamp ' || n, 'Lampe de banc ' || n, 20 "
        "from category, generate_series(1, %(count)s) as n",
        {"slug": f"bench-{run}", "prefix": crowd.products, "count": products},
    )
    admin.execute(
        "insert into public.product_stock (product_id, on_hand) "
        "select id, 2000000000 from public.products where id::text like %(like)s "
        "on conflict (listing_id) do update set on_hand = excluded.on_hand",
        {"like": f"{crowd.products}%"},
    )
    admin.execute(
        "insert into public.product_prices (product_id, country, currency, amount) "
        "select id, 'CM', 'XAF', 12500 from public.products where id::text like %(like)s "
        "on conflict (listing_id, country) do update set amount = excluded.amount",
        {"like": f"{crowd.products}%"},
    )
    return crowd


def clear(admin: Admin, crowd: Crowd) -> None:
    """Takes the goods off sale and the crowd's waiting work from the outbox."""
    admin.execute(
        "update public.products set is_active = false where id::text like %s",
        [f"{crowd.products}%"],
    )
    admin.execute(
        "update private.outbox as o set done_at = now() from private.emails as e "
        "where o.done_at is null and o.failed_at is null and o.job = 'send_email' "
        "and (o.args ->> 'email_id')::uuid = e.id and e.user_id::text like %s",
        [f"{crowd.people}%"],
    )


def settle(admin: Admin) -> None:
    """Fresh statistics and a clean start of the log: plans of empty tables are forgotten."""
    admin.execute("vacuum analyze")
    admin.execute("checkpoint")
    time.sleep(0.5)
