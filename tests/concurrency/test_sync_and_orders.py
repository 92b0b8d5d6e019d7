"""A sync takes goods in while people buy, cancel, pay and edit them, and no piece is sold twice.

In a database of its own, where nobody but these threads is at work. The scarce goods are counted
the same in every run: whatever is bought of them, the supplier has no more. The others change
their counts, prices, names and variants from run to run.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from edge_workers.db import app_error
from edge_workers.errors import AppError
from tests.concurrency.conftest import broken_invariants, deadlocks
from tests.concurrency.shoppers import Admin
from tests.conftest import an_address
from tests.properties.people import People
from tests.properties.scratch import Scratch, scratch_database

GOODS, SCARCE, VARIANTS = 40, 10, 3
PIECES = 6
"""Of each variant of a scarce good."""
BUYERS, EDITORS = 6, 2
RACE_SECONDS = 10.0
SOAK_SECONDS = 600.0
ROUNDS = 3
"""Runs at least, however slow the machine is."""
BATCH = 15
SEED = 20261122

REFUSALS = frozenset(
    {
        "product_not_found",
        "product_not_sold_in_country",
        "stock_insufficient",
        "variant_not_found",
    }
)
"""What a buyer may be told while goods change under their hands."""

STAGE = """
insert into private.staged_products (
    run_id, external_id, title, description, category_path, status, rating, review_count,
    order_count, price, currency, stock, image_urls, variants, freight, weight_grams,
    seller_external_id, seller_name, seller_rating
)
select
    %(run_id)s, g.external_id, g.title, 'Bright at night.', '{11}', 'selling', 4.6, 90, 500,
    g.price, 'USD', g.stock, array['https://img.example/' || g.external_id || g.picture],
    g.variants,
    '[{"country": "ZA", "fee": 2, "currency": "USD"},
      {"country": "CM", "fee": 3, "currency": "USD"}]',
    300, g.seller, 'Shop ' || g.seller, 4.8
from jsonb_to_recordset(%(goods)s) as g (
    external_id text, title text, price numeric, stock integer, picture text, seller text,
    variants jsonb
)
"""
LISTINGS = """
select
    l.external_id, k.listing_id, k.on_hand, k.reserved,
    coalesce(sum(i.quantity) filter (where o.status = 'pending'), 0)::integer as pending,
    coalesce(sum(i.quantity) filter (where o.status = 'paid'), 0)::integer as paid
from private.supplier_listings as l
inner join public.product_stock as k on l.listing_id = k.listing_id
left join public.order_items as i on l.product_id = i.product_id
left join public.orders as o on i.order_id = o.id
group by l.external_id, k.listing_id, k.on_hand, k.reserved
"""
PIECES_OF_VARIANTS = """
select
    v.external_id, v.id, v.on_hand, v.reserved, v.is_active,
    coalesce(sum(i.quantity) filter (where o.status = 'pending'), 0)::integer as pending,
    coalesce(sum(i.quantity) filter (where o.status = 'paid'), 0)::integer as paid
from public.product_variants as v
left join public.order_items as i on i.variant_id = v.id
left join public.orders as o on i.order_id = o.id
group by v.external_id, v.id, v.on_hand, v.reserved, v.is_active
"""


def external_id(number: int) -> str:
    return f"good-{number:03d}"


def told(number: int, chance: random.Random) -> dict[str, Any]:
    """A good as the supplier describes it in one run."""
    is_scarce = number < SCARCE
    base = 10 if is_scarce else chance.choice((10, 11, 12))
    kept = VARIANTS if is_scarce else chance.randint(2, VARIANTS)
    places = chance.sample(range(VARIANTS), kept)
    stocks = [PIECES if is_scarce else chance.randint(0, 40) for _ in places]
    variants = [
        {
            "external_id": f"{external_id(number)}-{place}",
            "price": base + place,
            "stock": stock,
            "options": [{"name": "Size", "value": str(place)}],
        }
        for place, stock in zip(places, stocks, strict=True)
    ]
    return {
        "external_id": external_id(number),
        "title": f"Lamp {uuid.UUID(int=number + 1)}, series {chance.randint(1, 3)}",
        "price": base + min(places),
        "stock": sum(stocks),
        "picture": f"-{chance.randint(1, 2)}.jpg",
        "seller": chance.choice(("s1", "s1", "s1", "s1", "s1", "s1", "s1", "s1", "s1", "s2")),
        "variants": variants,
    }


@dataclass
class Market:
    """One shop, and everybody at work in it."""

    scratch: Scratch
    admin: Admin
    buyers: list[str] = field(default_factory=list)
    goods: list[tuple[str, list[str]]] = field(default_factory=list)
    """Product and its variants, in the order of the supplier's numbers."""
    answers: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        """A shop with people and a first run taken in."""
        self.admin.execute(
            "select service.record_exchange_rates(%s, 'test', now())",
            [json.dumps({"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"})],
        )
        self.admin.execute("update private.sync_sources set change_limit = 1")
        self.admin.execute(
            "with category as ("
            "  insert into public.categories (slug, name, name_fr)"
            "  values ('lamps', 'Lamps', 'Lampes') returning id"
            ") insert into private.supplier_categories"
            "  (platform, external_id, name, status, category_id)"
            "  select 'aliexpress', '11', 'Lamps', 'mapped', id from category"
        )
        people = People(self.admin)
        self.buyers = [people.register("Chantal Mbarga", "CM") for _ in range(BUYERS)]
        self.sync(random.Random(SEED))  # noqa: S311 - goods, not secrets
        rows = self.admin.execute(
            "select p.id, array_agg(v.id order by v.external_id) as variants "
            "from private.supplier_listings as l "
            "inner join public.products as p on l.product_id = p.id "
            "inner join public.product_variants as v on v.product_id = p.id "
            "group by p.id, l.external_id order by l.external_id"
        ).fetchall()
        self.goods = [(str(row["id"]), [str(one) for one in row["variants"]]) for row in rows]
        assert len(self.goods) == GOODS

    def connect(self) -> Admin:
        return self.scratch.connect()

    def sync(self, chance: random.Random, connection: Admin | None = None) -> list[dict[str, Any]]:
        """One run from its start to its end: what the supplier told."""
        link = connection or self.admin
        goods = [told(number, chance) for number in range(GOODS)]
        run_id = value(link, "select private.start_sync('aliexpress')")
        link.execute(
            "insert into private.sync_items (run_id, external_id) select %s, unnest(%s::text[])",
            [run_id, [one["external_id"] for one in goods]],
        )
        link.execute(STAGE, {"run_id": run_id, "goods": json.dumps(goods)})
        value(link, "select service.record_sync_details(%s, '{}')", run_id)
        assert value(link, "select service.decide_sync(%s)", run_id)["status"] == "applying"
        while not value(link, "select service.apply_sync(%s, %s)", run_id, BATCH)["is_done"]:
            pass
        report = value(link, "select service.finish_sync(%s)", run_id)
        assert report["taken_in"] == GOODS, report
        self.runs += 1
        return goods

    def check_scarce(self) -> None:
        """Of what the supplier never has more, never more is sold."""
        for row in self.admin.execute(LISTINGS).fetchall():
            if row["external_id"] < external_id(SCARCE):
                assert row["pending"] + row["paid"] <= PIECES * VARIANTS, row
        for row in self.admin.execute(PIECES_OF_VARIANTS).fetchall():
            if row["external_id"] < external_id(SCARCE):
                assert row["pending"] + row["paid"] <= PIECES, row

    def keep_syncing(self, seconds: float) -> None:
        """Run after run, until the time is over."""
        chance = random.Random(SEED + 1)  # noqa: S311 - goods, not secrets
        deadline = time.monotonic() + seconds
        try:
            with self.connect() as link:
                while time.monotonic() < deadline or self.runs <= ROUNDS:
                    self.sync(chance, link)
                    self.check_scarce()
        finally:
            self.is_over.set()

    def keep_buying(self, place: int) -> None:
        """Baskets of variants in any order; some orders are cancelled, some paid, some both."""
        chance = random.Random(SEED + 100 + place)  # noqa: S311 - baskets, not secrets
        buyer = self.buyers[place]
        with self.connect() as link:
            people = People(link)
            while not self.is_over.is_set():
                order = self.attempt("placed", self.buy, people, buyer, chance)
                if order is None:
                    continue
                fate = chance.random()
                if fate < 0.4:
                    self.attempt("cancelled", cancel, people, buyer, order["id"])
                elif fate < 0.8:
                    self.attempt("paid", pay, link, buyer, order["id"])
                    if fate > 0.7:
                        self.attempt("given back", cancel, people, buyer, order["id"])

    def buy(self, people: People, buyer: str, chance: random.Random) -> dict[str, Any]:
        """One to four lines, the scarce ones more often than the others."""
        chosen = {
            (number, chance.randrange(VARIANTS))
            for number in chance.choices(
                range(GOODS), [3] * SCARCE + [1] * (GOODS - SCARCE), k=chance.randint(1, 4)
            )
        }
        lines = [
            {
                "product_id": self.goods[number][0],
                "channel": "retail",
                "variant_id": self.goods[number][1][variant],
                "quantity": chance.randint(1, 2),
            }
            for number, variant in chance.sample(sorted(chosen), len(chosen))
            if variant < len(self.goods[number][1])
        ] or [
            {
                "product_id": self.goods[0][0],
                "channel": "retail",
                "variant_id": self.goods[0][1][0],
                "quantity": 1,
            }
        ]
        return people.as_user(
            buyer,
            "select o.id from public.place_order(%s, 'CM', %s, null, %s) as o",
            uuid.uuid4().hex,
            json.dumps(an_address("CM")),
            json.dumps(lines),
        )

    def keep_editing(self, place: int) -> None:
        """By hand: names, off sale and on again; by jobs: pictures, and what search knows."""
        chance = random.Random(SEED + 200 + place)  # noqa: S311 - edits, not secrets
        with self.connect() as link:
            while not self.is_over.is_set():
                product = self.goods[chance.randrange(GOODS)][0]
                common = self.goods[chance.randrange(SCARCE, GOODS)][0]
                edit, on = chance.choice(
                    (
                        (rename, product),
                        (turn, common),
                        (let_go, product),
                        (show_pictures, ""),
                        (refresh_search, ""),
                    )
                )
                self.attempt("edited", edit, link, on)
                time.sleep(chance.uniform(0, 0.02))

    def attempt(self, what: str, act: Callable[..., Any], *given: Any) -> Any:
        """What the act answers; None when the shop refuses, which is counted."""
        try:
            answer = act(*given)
        except AppError as error:
            self.answers[error.code] += 1
            return None
        except psycopg.Error as error:
            self.answers[app_error(error).code] += 1
            return None
        self.answers[what] += 1
        return answer


def value(link: Admin, query: str, *parameters: object) -> Any:
    """The one value of a query."""
    row = link.execute(query, parameters).fetchone()
    assert row is not None
    return next(iter(row.values()))


def cancel(people: People, buyer: str, order_id: str) -> dict[str, Any]:
    return people.as_user(buyer, "select o.id from public.cancel_order(%s) as o", order_id)


def pay(link: Admin, buyer: str, order_id: str) -> Any:
    """The gateway says that the whole is paid."""
    begun = value(
        link,
        "select service.begin_payment(%s, %s, 'kora_checkout', null, array['kora'])",
        buyer,
        order_id,
    )
    return value(
        link,
        "select service.apply_payment_result("
        "  p.id, 'paid', p.amount, p.currency, null, null, null, 'webhook', null"
        ") from public.payments as p where p.id = %s",
        begun["payment_id"],
    )


def rename(link: Admin, product: str) -> None:
    """By hand: from now on the name is held."""
    link.execute(
        "update public.products set name = 'By hand ' || random() where id = %s", [product]
    )


def turn(link: Admin, product: str) -> None:
    """Off sale by hand, or on sale again."""
    link.execute("update public.products set is_active = not is_active where id = %s", [product])


def let_go(link: Admin, product: str) -> None:
    """What was held by hand is the supplier's again."""
    link.execute(
        "update private.supplier_listings set held_columns = '{}' where listing_id = %s", [product]
    )


def show_pictures(link: Admin, _product: str) -> None:
    """What the job of the pictures records."""
    for one in value(link, "select service.claim_pictures(5)"):
        value(
            link,
            "select service.record_picture(%s, %s, %s, %s, 800, 600, 9000, %s)",
            one["listing_id"],
            one["position"],
            one["source_url"],
            f"products/sync/{one['listing_id']}/{uuid.uuid4().hex}.jpg",
            uuid.uuid4().hex * 2,
        )


def refresh_search(link: Admin, _product: str) -> None:
    """What the job of the search does."""
    value(link, "select service.refresh_search(50)")


@pytest.fixture
def market(stack_env: dict[str, str]) -> Iterator[Market]:
    with scratch_database(stack_env, f"mallgram_sync_race_{os.getpid()}") as scratch:
        opened = Market(scratch, scratch.connect())
        opened.open()
        yield opened
        opened.admin.close()


def race(market: Market, seconds: float) -> None:
    before = deadlocks(market.admin)
    with ThreadPoolExecutor(max_workers=1 + BUYERS + EDITORS) as pool:
        work = [
            pool.submit(market.keep_syncing, seconds),
            *(pool.submit(market.keep_buying, place) for place in range(BUYERS)),
            *(pool.submit(market.keep_editing, place) for place in range(EDITORS)),
        ]
    for one in work:
        one.result()

    assert set(market.answers) <= REFUSALS | {"placed", "cancelled", "paid", "given back", "edited"}
    assert min(market.answers[done] for done in ("placed", "cancelled", "paid", "edited")) > 0
    assert market.runs > ROUNDS
    assert deadlocks(market.admin) == before
    market.check_scarce()

    # A last run in quiet: every count is the supplier's less what is paid here.
    last = {one["external_id"]: one for one in market.sync(random.Random(SEED + 9))}  # noqa: S311
    for row in market.admin.execute(LISTINGS).fetchall():
        counted = last[row["external_id"]]["stock"]
        assert row["reserved"] == row["pending"], row
        assert row["on_hand"] == max(counted - row["paid"], row["reserved"], 0), row
    counts = {one["external_id"]: one for good in last.values() for one in good["variants"]}
    for row in market.admin.execute(PIECES_OF_VARIANTS).fetchall():
        assert row["reserved"] == row["pending"], row
        assert row["is_active"] == (row["external_id"] in counts), row
        if row["is_active"]:
            assert row["on_hand"] == max(counts[row["external_id"]]["stock"] - row["paid"], 0), row
    assert broken_invariants(market.admin) == []


def test_a_sync_and_a_crowd_of_buyers_agree_on_every_piece(market: Market) -> None:
    race(market, RACE_SECONDS)


@pytest.mark.soak
def test_ten_minutes_of_syncs_and_buyers_agree_on_every_piece(market: Market) -> None:
    race(market, SOAK_SECONDS)
