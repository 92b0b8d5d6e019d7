"""A displayed price is the charged price: for every quantity, channel, variant and country.

A shop of chance (costs, rates, rules, breaks, prices by hand) is asked what a piece costs by every
door that shows a price, as somebody without an account, and then sells it. All doors must agree
with the order's line to the cent, and none may go under the floor. In between costs, rates and
rules move, and a shopper's quote and order are taken in the new shop.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import pytest
from psycopg import sql

from tests.concurrency.shoppers import Admin
from tests.conftest import an_address
from tests.properties.people import People
from tests.properties.scratch import Scratch, clear

CASES: Final = 10_000
LISTINGS: Final = 150
LINES_AN_ORDER: Final = 40
MOST_PIECES: Final = 120
UNITS: Final = {"CM": 0, "ZA": 2}

SHOWN: Final = """
select
    i.number,
    b.unit_price as on_page,
    (public.explain_price(
        i.product_id, i.channel, i.quantity, %(country)s, i.variant_id
    ) ->> 'unit_price')::numeric as explained
from json_to_recordset(%(items)s) as i (
    number integer, product_id uuid, channel public.product_channel, quantity integer,
    variant_id uuid
)
left join lateral public.price_breaks(
    i.product_id, i.channel, %(country)s, i.variant_id
) as b on i.quantity between b.min_quantity and b.max_quantity
"""
LISTED: Final = """
select s.product_id, s.price, s.min_order_quantity, s.cursor
from public.search_products(
    country => %(country)s, channel => %(channel)s, sort => 'price_asc', page_size => 100,
    cursor => %(cursor)s
) as s
"""
FLOORS: Final = """
select f.listing_id, f.amount
from private.price_floors as f
inner join public.product_prices as pp
    on f.listing_id = pp.listing_id and f.country = pp.country
where f.country = %s and not pp.is_held
"""


@dataclass(frozen=True)
class Listing:
    """Goods of chance."""

    id: str
    channel: str
    least: int
    step: int
    most: int
    edges: tuple[int, ...]
    """Where a price could change."""
    variants: tuple[tuple[str | None, Decimal], ...]
    """Id and price ratio; (None, 1) is a line without a choice."""


class ChanceShop:
    """A shop whose every figure is drawn from one generator."""

    def __init__(self, admin: Admin, chance: random.Random) -> None:
        self.admin = admin
        self.chance = chance
        self.people = People(admin)
        self.shoppers = {
            country: self.people.register("Chantal Mbarga", country) for country in UNITS
        }
        self.categories = self._make_categories()
        self.move_rates()
        self.listings = [self._make_listing(number) for number in range(LISTINGS)]
        self.move_rules()
        self.reprice()
        for listing in chance.sample(self.listings, LISTINGS // 6):
            self._set_by_hand(listing)

    def _make_categories(self) -> list[str]:
        ids: list[str] = []
        for _ in range(6):
            parent = self.chance.choice([None, *ids])
            row = self.admin.execute(
                "insert into public.categories (slug, name, name_fr, parent_id) "
                "values (%s, 'Test', 'Essai', %s) returning id",
                [f"test-{uuid.uuid4().hex}", parent],
            ).fetchone()
            assert row is not None
            ids.append(str(row["id"]))
        return ids

    def _make_listing(self, number: int) -> Listing:
        chance = self.chance
        is_retail = number % 2 == 0
        least = 1 if is_retail else chance.randint(2, 40)
        step = 1 if is_retail else chance.choice([1, 1, 2, 5, 7])
        most = chance.randint(least, MOST_PIECES)
        values: dict[str, Any] = {
            "category_id": chance.choice(self.categories),
            "name": f"Goods {number}",
            "price_mallgram": 10,
            "weight_grams": chance.choice([None, chance.randint(1, 5_000)]),
            "max_order_quantity": most,
        }
        edges = {least, most}
        if not is_retail:
            bulk = chance.randint(least + 1, MOST_PIECES + 100)
            edges.add(bulk)
            values |= {
                "min_order_quantity": least,
                "order_increment": step,
                "bulk_min_quantity": bulk,
                "bulk_discount_percent": chance.choice([0, self._cents(1, 90)]),
            }
        table, column = ("products", "product_id") if is_retail else ("products_retailer", None)
        column = column or "retailer_product_id"
        listing_id = self._insert("public", table, values)
        self._insert("public", "product_stock", {column: listing_id, "on_hand": 100_000_000})
        self._insert(
            "private",
            "product_costs",
            {
                column: listing_id,
                "cost": self._cost(),
                "currency": chance.choice(["USD", "USD", "CNY", "ZAR"]),
                "duty_percent": chance.choice([None, self._cents(0, 60)]),
            },
        )
        if chance.random() < 0.3:
            country = chance.choice(list(UNITS))
            fee = {"fee": self._cents(0, 30), "currency": chance.choice(["USD", "CNY"])}
            self._insert(
                "private",
                "product_freights",
                {"listing_id": listing_id, "country": country, "is_served": True, **fee},
            )
        if not is_retail:
            edges |= self._make_tiers(listing_id, least)
        return Listing(
            id=listing_id,
            channel="retail" if is_retail else "wholesale",
            least=least,
            step=step,
            most=most,
            edges=tuple(sorted(edges)),
            variants=self._make_variants(column, listing_id),
        )

    def _make_tiers(self, listing_id: str, least: int) -> set[int]:
        starts = sorted(
            self.chance.sample(range(least + 1, MOST_PIECES + 2), self.chance.randint(0, 4))
        )
        edges: set[int] = set()
        for start, following in zip(starts, [*starts[1:], None], strict=False):
            end = following if self.chance.random() < 0.7 else start + 1
            self.admin.execute(
                "insert into public.price_tiers (retailer_product_id, quantities, "
                "discount_percent) values (%s, int4range(%s, %s), %s)",
                [listing_id, start, end, self._cents(1, 90)],
            )
            edges |= {start, end or MOST_PIECES}
        return edges

    def _make_variants(
        self, column: str, listing_id: str
    ) -> tuple[tuple[str | None, Decimal], ...]:
        """What can be ordered: where one is dearer than the listing, none is not among them."""
        made: list[tuple[str | None, Decimal]] = []
        for number in range(self.chance.choice([0, 0, 2])):
            ratio = Decimal(self.chance.randint(10_000, 30_000)) / 10_000
            variant_id = self._insert(
                "public",
                "product_variants",
                {
                    column: listing_id,
                    "external_id": str(number),
                    "position": number,
                    "options": json.dumps([{"name": "Size", "value": str(number)}]),
                    "price_ratio": ratio,
                },
            )
            made.append((variant_id, ratio))
        is_required = any(ratio > 1 for _, ratio in made)
        return tuple(made if is_required else [(None, Decimal(1)), *made])

    def _set_by_hand(self, listing: Listing) -> None:
        """A price at its floor or somewhat above it."""
        self.admin.execute(
            "update public.product_prices as pp "
            "set source = 'manual', amount = private.round_money("
            "  f.amount * %s + 1, f.currency) "
            "from private.price_floors as f "
            "where f.listing_id = pp.listing_id and f.country = pp.country "
            "and pp.listing_id = %s",
            [Decimal(self.chance.randint(100, 300)) / 100, listing.id],
        )

    def _insert(self, schema: str, table: str, values: dict[str, Any]) -> str:
        row = self.admin.execute(
            sql.SQL("insert into {} ({}) values ({}) returning *").format(
                sql.Identifier(schema, table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join([sql.Placeholder()] * len(values)),
            ),
            list(values.values()),
        ).fetchone()
        assert row is not None
        return str(row.get("id") or row["listing_id"])

    def _cost(self) -> Decimal:
        return self._cents(*self.chance.choice([(0, 2), (2, 40), (40, 300)])) + Decimal("0.01")

    def _cents(self, low: int, high: int) -> Decimal:
        return Decimal(self.chance.randint(low * 100, high * 100)) / 100

    def move_rates(self) -> None:
        """Other rates, as prices are made with."""
        for currency, low, high in (("XAF", 500, 700), ("ZAR", 12, 25), ("CNY", 6, 9)):
            self.admin.execute(
                "insert into private.pricing_rates (currency, per_dollar, quoted_at, source) "
                "values (%s, %s, now(), 'chance') on conflict (currency) do update "
                "set per_dollar = excluded.per_dollar",
                [currency, Decimal(self.chance.randint(low * 10**6, high * 10**6)) / 10**6],
            )

    def move_rules(self) -> None:
        """Other rules of a category, a country or a channel, beside the shop's own."""
        self.admin.execute("delete from private.price_rules where note = 'chance'")
        for component in ("duty", "exchange_buffer", "payment_fee", "margin", "floor"):
            self.admin.execute(
                "insert into private.price_rules "
                "(component, channel, country, category_id, costs, percent, note) "
                "values (%s, %s, %s, %s, numrange(%s, null), %s, 'chance')",
                [
                    component,
                    self.chance.choice([None, "retail", "wholesale"]),
                    self.chance.choice([None, *UNITS]),
                    self.chance.choice(self.categories),
                    self.chance.choice([0, self._cents(0, 50)]),
                    self._cents(0, 20),
                ],
            )

    def move_costs(self) -> None:
        """Other costs for some goods; prices by hand may be overtaken by their floors."""
        for listing in self.chance.sample(self.listings, LISTINGS // 3):
            self.admin.execute(
                "update private.product_costs set cost = %s where listing_id = %s",
                [self._cost(), listing.id],
            )

    def reprice(self) -> None:
        """Every price anew."""
        self.admin.execute(
            "select private.set_prices(array(select listing_id from private.product_costs))"
        )

    def on_sale(self, country: str) -> dict[str, Decimal]:
        """Floors of what has a live price in the country."""
        rows = self.admin.execute(FLOORS, [country]).fetchall()
        return {str(row["listing_id"]): row["amount"] for row in rows}

    def as_guest(self, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """What somebody without an account is shown."""
        with self.admin.transaction():
            self.admin.execute("select set_config('role', 'anon', true)")
            return self.admin.execute(statement, values).fetchall()

    def some_quantity(self, listing: Listing) -> int:
        """One that can be ordered: at or beside an edge as often as anywhere else."""
        near = self.chance.choice(listing.edges) + self.chance.randint(-1, 1)
        anywhere = self.chance.randint(listing.least, listing.most)
        wanted = min(max(self.chance.choice([near, anywhere]), listing.least), listing.most)
        return listing.least + (wanted - listing.least) // listing.step * listing.step


@pytest.fixture
def chance_shop(scratch: Scratch, request: pytest.FixtureRequest) -> Iterator[ChanceShop]:
    """The shop of chance; its seed stands in the report of the test that fails."""
    seed = random.SystemRandom().randrange(10**9)
    request.node.add_report_section("setup", "seed", str(seed))
    admin = scratch.connect()
    clear(admin)
    yield ChanceShop(admin, random.Random(seed))  # noqa: S311
    clear(admin)
    admin.execute("delete from private.price_rules where note = 'chance'")
    admin.close()


@pytest.mark.timeout(900)
def test_a_displayed_price_is_the_charged_price(chance_shop: ChanceShop) -> None:
    cases = 0
    while cases < CASES:
        for country in UNITS:
            floors = chance_shop.on_sale(country)
            check_lists(chance_shop, country, floors)
            wanted = [one for one in chance_shop.listings if one.id in floors]
            chance_shop.chance.shuffle(wanted)
            for start in range(0, len(wanted), LINES_AN_ORDER):
                cases += sell(chance_shop, country, wanted[start : start + LINES_AN_ORDER], floors)
        chance_shop.move_costs()
        chance_shop.move_rates()
        chance_shop.move_rules()
        chance_shop.reprice()
    broken = chance_shop.admin.execute("select * from private.invariant_prices").fetchall()
    assert broken == []


def check_lists(shop: ChanceShop, country: str, floors: dict[str, Decimal]) -> None:
    """A list shows what one piece costs at the least quantity, of all that is on sale."""
    shown: dict[str, tuple[Decimal, int]] = {}
    for channel in ("retail", "wholesale"):
        cursor = None
        while True:
            rows = shop.as_guest(LISTED, {"country": country, "channel": channel, "cursor": cursor})
            shown |= {str(r["product_id"]): (r["price"], r["min_order_quantity"]) for r in rows}
            if len(rows) < 100:
                break
            cursor = rows[-1]["cursor"]
    assert shown.keys() == floors.keys()
    items = [
        {"number": 0, "product_id": one.id, "channel": one.channel, "quantity": one.least}
        for one in shop.listings
        if one.id in floors
    ]
    explained = shop.as_guest(
        "select i.product_id, i.quantity, (public.explain_price("
        "i.product_id, i.channel, i.quantity, %(country)s) ->> 'unit_price')::numeric as price "
        "from json_to_recordset(%(items)s) as i (product_id uuid, "
        "channel public.product_channel, quantity integer)",
        {"country": country, "items": json.dumps(items)},
    )
    assert {str(r["product_id"]): (r["price"], r["quantity"]) for r in explained} == shown


def sell(
    shop: ChanceShop, country: str, listings: list[Listing], floors: dict[str, Decimal]
) -> int:
    """One order of many lines, seen from every door before; how many cases that were."""
    chance, shopper = shop.chance, shop.shoppers[country]
    items: list[dict[str, Any]] = []
    ratios: list[Decimal] = []
    for number, listing in enumerate(listings):
        variant_id, ratio = chance.choice(listing.variants)
        ratios.append(ratio)
        items.append(
            {
                "number": number,
                "product_id": listing.id,
                "channel": listing.channel,
                "quantity": shop.some_quantity(listing),
                **({"variant_id": variant_id} if variant_id else {}),
            }
        )
    shown = {
        row["number"]: (row["on_page"], row["explained"])
        for row in shop.as_guest(SHOWN, {"country": country, "items": json.dumps(items)})
    }
    cart = json.dumps(items)
    shop.people.as_user(shopper, "select count(*) from public.merge_cart(%s)", cart)
    quote = shop.people.as_user(shopper, "select public.quote_cart(%s) as quote", country)["quote"]
    quoted = {
        (line["product_id"], line.get("variant_id")): line["unit_price"] for line in quote["lines"]
    }
    order = shop.people.as_user(
        shopper,
        "select o.id from public.place_order(%s, %s, %s, expected_total => %s) as o",
        uuid.uuid4().hex,
        country,
        json.dumps(an_address(country)),
        quote["total"],
    )
    lines = shop.admin.execute(
        "select coalesce(i.product_id, i.retailer_product_id) as id, i.variant_id, i.unit_price "
        "from public.order_items as i where i.order_id = %s",
        [order["id"]],
    ).fetchall()
    charged = {(str(r["id"]), r["variant_id"] and str(r["variant_id"])): r for r in lines}
    assert len(charged) == len(items)
    unit = Decimal(1).scaleb(-UNITS[country])
    for item, ratio in zip(items, ratios, strict=True):
        key = (item["product_id"], item.get("variant_id"))
        price = charged[key]["unit_price"]
        assert (*shown[item["number"]], quoted[key]) == (price, price, price), (country, item)
        floor = floors[str(item["product_id"])]
        # Whole money of a floor that is a multiple, as a price is: rounded, never cut.
        least = min((floor * ratio).quantize(unit), (floor * ratio).quantize(unit, ROUND_CEILING))
        assert price >= least, (country, item, price, least)
    return len(items)
