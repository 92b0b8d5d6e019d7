"""A shop that suppliers fill: a database of its own, the sandbox's catalogue, and runs driven here.

No relay and no worker looks into it: what happens is what a test does.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from edge_workers.config import Settings
from edge_workers.db import Session
from tests.concurrency.shoppers import Admin
from tests.contracts.profiles import values_for
from tests.properties.scratch import Scratch, scratch_database
from tests.sandbox import supplier_catalogue as catalogue
from tests.sandbox.running import RunningSandbox, running_sandbox
from worker.jobs.sync import sync_products
from worker.task import Task

CALLS_PER_SECOND = 100_000.0
COUNTRIES = ("CM", "ZA")
MONEY = {"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"}

# What a sync writes, and what it works with.
_CATALOGUE = (
    "public.product_variants",
    "private.product_variant_sources",
    "public.product_media",
    "private.supplier_pictures",
    "private.picture_leftovers",
    "private.product_freights",
    "private.product_costs",
    "public.price_tiers",
    "public.product_prices",
    "public.product_stock",
    "private.supplier_listings",
    "public.products",
    "public.products_retailer",
    "public.suppliers",
)
_LEFT_BEHIND = (
    *_CATALOGUE,
    "public.price_history",
    "private.price_floors",
    "private.supplier_refused",
    "private.staged_products",
    "private.sync_items",
    "private.sync_pages",
    "private.sync_runs",
    "private.search_documents",
    "private.search_queue",
    "private.supplier_freight",
    "private.supplier_categories",
    "private.sync_keywords",
    "private.payment_exceptions",
    "private.outbox",
    "public.categories",
)


@dataclass
class SupplyShop:
    """The database, the suppliers and the clockwork of the syncs."""

    scratch: Scratch
    admin: Admin
    session: Session
    settings: Settings
    sandbox: RunningSandbox
    leaf_categories: dict[str, str] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return Task(database=self.session, settings=self.settings, request_id="test")

    def read(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        return self.admin.execute(query, parameters).fetchall()

    def value(self, query: str, *parameters: object) -> Any:
        (row,) = self.read(query, *parameters)
        (found,) = row.values()
        return found

    def set_catalogue(self, **shelf: int) -> None:
        """`day`, `items`, `wholesale_items` of the suppliers."""
        answer = self.sandbox.client.put(f"{self.sandbox.url}/_sandbox/suppliers", json=shelf)
        answer.raise_for_status()

    def consent(self) -> None:
        """A person has let the shop use its accounts anew."""
        self.admin.execute("delete from private.supplier_tokens")
        self.admin.execute(
            "insert into private.supplier_tokens (platform, consent_code) values "
            "('aliexpress', 'sandbox-consent'), ('alibaba', 'sandbox-consent')"
        )

    def map_categories(self) -> None:
        """Each leaf of the suppliers' trees is a category of the shop."""
        for leaf in catalogue.LEAVES:
            row = self.admin.execute(
                "insert into public.categories (slug, name, name_fr) values (%s, %s, %s) "
                "returning id",
                [f"leaf-{leaf.id}", leaf.name, leaf.name_fr],
            ).fetchone()
            assert row is not None
            for platform in ("aliexpress", "alibaba"):
                self.admin.execute(
                    "insert into private.supplier_categories "
                    "(platform, external_id, name, status, category_id) "
                    "values (%s, %s, %s, 'mapped', %s)",
                    [platform, str(leaf.id), leaf.name, row["id"]],
                )
            self.admin.execute(
                "insert into private.sync_keywords (platform, keyword) values ('alibaba', %s) "
                "on conflict do nothing",
                [leaf.name],
            )

    def start(self, platform: str = "aliexpress") -> str:
        """A new run; its id."""
        return str(self.value("select private.start_sync(%s)", platform))

    def run(self, platform: str = "aliexpress", *, seconds: float = 600) -> dict[str, Any]:
        """A run from its start until it ends or waits for a person."""
        return self.go_on(self.start(platform), seconds=seconds)

    def go_on(self, run_id: str, *, seconds: float = 600) -> dict[str, Any]:
        """Slice after slice, without the pauses between."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            sync_products(self.task, run_id=run_id)
            row = self.run_row(run_id)
            if row["status"] not in ("collecting", "applying"):
                return row
        raise AssertionError(f"the run has not ended: {self.run_row(run_id)}")

    def run_row(self, run_id: str) -> dict[str, Any]:
        (row,) = self.read("select * from private.sync_runs where id = %s", run_id)
        return row

    def on_sale(self, table: str = "products") -> set[str]:
        """Suppliers' ids of what is on the shelf."""
        column = "product_id" if table == "products" else "retailer_product_id"
        rows = self.read(
            f"select l.external_id from private.supplier_listings as l "  # noqa: S608
            f"inner join public.{table} as p on l.{column} = p.id where p.is_active"
        )
        return {str(row["external_id"]) for row in rows}

    def shelf(self) -> list[dict[str, Any]]:
        """All that a run has made, by the suppliers' ids: two shops are alike when these are."""
        return self.read(
            """
            select
                l.platform, l.external_id, l.absences, l.delisted_at is not null as is_delisted,
                coalesce(p.name, r.name) as name, coalesce(p.name_fr, r.name_fr) as name_fr,
                coalesce(p.description, r.description) as description,
                coalesce(p.price_mallgram, r.price_mallgram) as base_price,
                coalesce(p.is_active, r.is_active) as is_active,
                coalesce(p.category_id, r.category_id) as category_id,
                coalesce(p.review_count, r.review_count) as reviews,
                r.min_order_quantity, s.name as seller, k.on_hand, c.cost, c.currency,
                (
                    select jsonb_agg(
                        jsonb_build_array(v.external_id, v.price_ratio, v.on_hand, v.is_active)
                        order by v.external_id
                    )
                    from public.product_variants as v where v.listing_id = l.listing_id
                ) as variants,
                (
                    select jsonb_object_agg(a.country, a.amount)
                    from public.product_prices as a where a.listing_id = l.listing_id
                ) as prices,
                (
                    select jsonb_object_agg(f.country, f.fee)
                    from private.product_freights as f where f.listing_id = l.listing_id
                ) as freights,
                (
                    select jsonb_agg(
                        jsonb_build_array(t.quantities::text, t.discount_percent)
                        order by t.quantities
                    )
                    from public.price_tiers as t where t.retailer_product_id = l.listing_id
                ) as tiers,
                (
                    select jsonb_agg(
                        -- the sandbox's port is another each time
                        regexp_replace(x.source_url, '^.*/', '') order by x.position
                    )
                    from private.supplier_pictures as x where x.listing_id = l.listing_id
                ) as pictures
            from private.supplier_listings as l
            left join public.products as p on l.product_id = p.id
            left join public.products_retailer as r on l.retailer_product_id = r.id
            left join public.suppliers as s on coalesce(p.supplier_id, r.supplier_id) = s.id
            left join public.product_stock as k on l.listing_id = k.listing_id
            left join private.product_costs as c on l.listing_id = c.listing_id
            order by l.platform, l.external_id
            """
        )

    def row_versions(self) -> dict[str, Any]:
        """Where each row of the catalogue stands and which transaction wrote it."""
        return {
            table: self.value(
                "select md5(coalesce(string_agg("  # noqa: S608
                "t.ctid::text || t.xmin::text || t.xmax::text, ',' order by t.ctid), '')) "
                f"from {table} as t"
            )
            for table in _CATALOGUE
        }

    def clear(self) -> None:
        """Forget all that happened."""
        with self.admin.transaction():
            self.admin.execute("set local session_replication_role = replica")
            for table in _LEFT_BEHIND:
                self.admin.execute(f"delete from {table}")  # noqa: S608
            self.admin.execute(
                "update private.sync_sources set change_limit = 0.3, is_enabled = true, "
                "page_limit = 50, next_run_at = now() + interval '1 day'"
            )
        self.sandbox.clear_faults()
        self.set_catalogue()
        self.consent()


@contextmanager
def supply_shop(
    stack_env: Mapping[str, str], stack_settings: Settings, directory: Path
) -> Iterator[SupplyShop]:
    """A shop and its suppliers, empty; gone afterwards."""
    name = f"mallgram_supply_{os.getpid()}"
    with scratch_database(stack_env, name) as scratch, running_sandbox(directory) as sandbox:
        for platform in ("aliexpress", "alibaba"):
            sandbox.client.put(
                f"{sandbox.url}/_sandbox/dials/{platform}", json={"calls_per_second": 1_000_000}
            ).raise_for_status()
        values = values_for(sandbox)
        known = {
            one.name: getattr(values, one.name)
            for one in dataclasses.fields(values)
            if one.name in Settings.model_fields and one.name != "public_url"
        }
        settings = stack_settings.model_copy(
            update={
                **known,
                "database_url": SecretStr(scratch.service_url),
                "database_session_url": None,
                "redis_url": None,
                "supplier_calls_per_second": CALLS_PER_SECOND,
                "supplier_picture_hosts": ("127.0.0.1",),
                "log_level": "ERROR",
            }
        )
        admin = scratch.connect()
        with Session.open(settings.session_url, application_name="test") as session:
            shop = SupplyShop(scratch, admin, session, settings, sandbox)
            session.call(
                "record_exchange_rates", rates=MONEY, source="test", observed_at=_now(admin)
            )
            yield shop
        admin.close()


def _now(admin: Admin) -> Any:
    row = admin.execute("select now() as now").fetchone()
    assert row is not None
    return row["now"]


def ships_here(one: catalogue.Item) -> bool:
    """Whether any of the shop's countries is served."""
    return any(country in one.ships_to for country in COUNTRIES)


def reason_of(one: catalogue.Item) -> str | None:
    """Why an AliExpress product found for the first time is not taken in, by its one flaw."""
    by_flaw = {
        "no_image": "image_missing",
        "banned_word": "title_banned",
        "few_orders": "orders_few",
        "no_stock": "stock_out",
        "low_rating": "rating_low",
        "low_seller_rating": "seller_rating_low",
        "price_outlier": "price_odd",
    }
    # What a line of a search tells comes first, then the rules in their order.
    if one.flaw in ("no_image", "banned_word", "few_orders"):
        return by_flaw[one.flaw]
    if not ships_here(one):
        return "not_shipped"
    if one.stock == 0:
        return "stock_out"
    return by_flaw.get(one.flaw or "")


def is_folded(one: catalogue.Item, day: int) -> bool:
    """Whether a copy and its original are good and alike enough to be one thing."""
    if one.copy_of is None:
        return False
    original = catalogue.item(one.copy_of, day)
    if original.status != "selling" or reason_of(original) or reason_of(one):
        return False
    least, most = sorted((one.price, original.price))
    return most <= least * Decimal("1.1")


@dataclass
class Expected:
    """What a first run over the AliExpress catalogue has to make of it."""

    reasons: dict[str, int]
    families: list[frozenset[str]]
    """Ids of one thing each: exactly one of them is on sale."""

    @classmethod
    def of(cls, items: int, day: int = 0) -> Expected:
        reasons: dict[str, int] = {}
        families: dict[int, set[str]] = {}
        for number in range(items):
            one = catalogue.item(number, day)
            if one.status != "selling":
                continue
            ids = {one.id, *([one.alias] if one.alias else [])}
            reason = reason_of(one)
            if reason is not None:
                reasons[reason] = reasons.get(reason, 0) + len(ids)
                continue
            families[number] = ids
            if is_folded(one, day) and one.copy_of is not None:
                families[one.copy_of] |= families.pop(number)
        doubled = sum(len(ids) - 1 for ids in families.values())
        if doubled:
            reasons["duplicate"] = doubled
        return cls(reasons, [frozenset(ids) for ids in families.values()])
