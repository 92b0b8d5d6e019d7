"""A database of the tests' own beside the stack's, made by the same migrations on the same server.

No relay and no worker looks into it: what happens there is what a test does, and nothing else, so
that every row and every sum can be foretold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from edge_workers import exact_json
from scripts.local import migrations, postgres
from tests.concurrency.shoppers import Admin

BOOTSTRAP = postgres.HERE / "bootstrap_database.sql"

# What shoppers, admins and gateways leave behind; the schema's own rows stay.
_LEFT_BEHIND = (
    "private.saved_payment_method_tokens",
    "public.saved_payment_methods",
    "private.gateway_statement_lines",
    "private.gateway_statements",
    "private.ledger_entries",
    "private.ledger_transactions",
    "private.payment_exceptions",
    "private.payment_events",
    "private.webhook_events",
    "private.payment_tokens",
    "private.emails",
    "private.outbox",
    "private.idempotency_keys",
    "public.notifications",
    "public.refund_items",
    "public.refunds",
    "public.payments",
    "public.affiliate_stats",
    "public.affiliate_payouts",
    "public.order_events",
    "public.order_items",
    "public.orders",
    "public.promo_codes",
    "public.affiliates",
    "public.admins",
    "private.query_embeddings",
    "private.product_embeddings",
    "private.searches",
    "private.search_terms",
    "private.search_documents",
    "private.search_queue",
    "private.listing_counts",
    "public.product_views",
    "public.wishlist_items",
    "public.product_reviews",
    "public.product_ratings",
    "public.product_media",
    "public.product_stock",
    "private.product_variant_sources",
    "public.product_variants",
    "public.price_history",
    "public.price_tiers",
    "private.price_floors",
    "private.product_freights",
    "private.product_costs",
    "public.product_prices",
    "public.products",
    "public.products_retailer",
    "public.categories",
    "public.addresses",
    "public.carts",
    "public.users",
    "auth.users",
)


@dataclass(frozen=True)
class Scratch:
    """The database's three doors."""

    admin_url: str
    migration_url: str
    service_url: str

    def connect(self) -> Admin:
        """A superuser's connection, which reads numbers exactly."""
        connection: Admin = psycopg.connect(self.admin_url, autocommit=True, row_factory=dict_row)
        set_json_loads(exact_json.loads, connection)
        return connection


@contextmanager
def scratch_database(stack_env: Mapping[str, str], name: str) -> Iterator[Scratch]:
    """An empty shop on the stack's server; gone afterwards."""
    scratch = Scratch(
        *(
            _named(stack_env[door], name)
            for door in ("DATABASE_ADMIN_URL", "DATABASE_MIGRATION_URL", "DATABASE_URL")
        )
    )
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    create = sql.SQL("create database {} template template0").format(sql.Identifier(name))
    with psycopg.connect(stack_env["DATABASE_ADMIN_URL"], autocommit=True) as server:
        server.execute(drop)
        server.execute(create)
        try:
            postgres.psql(scratch.admin_url, "bootstrap of a scratch database", file=BOOTSTRAP)
            auth = Path(stack_env["STATE_DIR"]) / "auth_schema.sql"
            postgres.psql(scratch.admin_url, "auth schema of a scratch database", file=auth)
            shop = "".join(text for _, text in sorted(migrations.build().items()))
            postgres.psql(scratch.migration_url, "migrations", command=shop)
            yield scratch
        finally:
            server.execute(drop)


def clear(admin: Admin) -> None:
    """Forget all that happened. No trigger and no reference hinders it."""
    with admin.transaction():
        admin.execute("set local session_replication_role = replica")
        for table in _LEFT_BEHIND:
            admin.execute(sql.SQL("delete from {}").format(sql.Identifier(*table.split("."))))


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
