"""A supplier catalogue that is computed: the same number and day give the same thing, everywhere.

Nothing is stored. `item(number, day)` is one AliExpress product, `lot(number, day)` one Alibaba
product; what is wrong with it, if anything, stands in `flaw`, so that a test can count what a sync
must reject without asking the sandbox. Days count from 0:

* about one price in twelve moves a day, by 12 % at most either way;
* about one in fifty is sold out for a few days, and back;
* about one in twenty-five leaves for good on some day from 1 to 30 (half of them stay readable as
  `offline`, half are unknown from then on), one in a hundred is away on a single day;
* about one in fifty comes only on some day from 1 to 10.

One in forty has a second id under which search shows it again (`alias`), one in seventy is another
seller's copy of the one before it: same title and picture, another price (`copy_of`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

from tests.sandbox import supplier_goods as goods

ITEMS = 21_000
WHOLESALE_ITEMS = 3_000
FIRST_ID = 1_005_000_000_000_001
FIRST_ALIAS = 1_005_900_000_000_001
FIRST_SKU = 12_000_000_000_000_001
FIRST_LOT = 1_600_000_000_001
FIRST_LOT_SKU = 100_500_001
SKUS_EACH = 32
_MASK = (1 << 64) - 1

Flaw = Literal[
    "no_image",
    "no_stock",
    "low_rating",
    "low_seller_rating",
    "few_orders",
    "not_shipped",
    "banned_word",
    "price_outlier",
    "no_weight",
]
Status = Literal["selling", "offline", "missing"]

# In so many of ten thousand; what is left of them has no flaw.
FLAWS: tuple[tuple[Flaw, int], ...] = (
    ("no_image", 100),
    ("no_stock", 150),
    ("low_rating", 250),
    ("low_seller_rating", 200),
    ("few_orders", 200),
    ("not_shipped", 200),
    ("banned_word", 80),
    ("price_outlier", 70),
    ("no_weight", 50),
)


@dataclass(frozen=True)
class Category:
    """A node of the tree; a root has no parent."""

    id: int
    name: str
    name_fr: str
    parent_id: int | None
    dollars: Decimal
    grams: int
    nouns: tuple[goods.Noun, ...]


@dataclass(frozen=True)
class Sku:
    """A variant."""

    id: str
    attributes: str
    colour: tuple[int, str, str] | None
    size: tuple[int, str] | None
    own_name: str | None
    price: Decimal
    stock: int


@dataclass(frozen=True)
class Seller:
    """A shop over there."""

    id: int
    name: str
    rating: Decimal
    country: str = "CN"


@dataclass(frozen=True)
class Item:
    """One product on one day, prices in US dollars."""

    number: int
    id: str
    alias: str | None
    copy_of: int | None
    category: Category
    path: tuple[int, ...]
    title: str
    title_fr: str
    material: tuple[str, str]
    status: Status
    flaw: Flaw | None
    price: Decimal
    """Of the cheapest variant."""
    list_price: Decimal
    skus: tuple[Sku, ...]
    pictures: tuple[int, ...]
    """Numbers of the pictures, the main one first."""
    rating: Decimal | None
    reviews: int | None
    orders: int | None
    seller: Seller
    grams: int
    sides_cm: tuple[int, int, int]
    delivery_days: int
    ships_to: tuple[str, ...]

    @property
    def stock(self) -> int:
        """Pieces of all variants."""
        return sum(sku.stock for sku in self.skus)


@dataclass(frozen=True)
class Lot:
    """One wholesale product on one day, prices in US dollars a piece."""

    number: int
    id: str
    category: Category
    title: str
    title_fr: str
    status: Status
    flaw: Flaw | None
    least: int
    ladder: tuple[tuple[int, Decimal], ...]
    """First quantity and price, ascending."""
    skus: tuple[Sku, ...]
    """Their price is what is added to each step of the ladder."""
    pictures: tuple[int, ...]
    company: Seller
    ships_to: tuple[str, ...]


def _dice(what: str, *numbers: int) -> int:
    """A number from 0 to 2^31 - 1 that hangs on nothing but what was asked (splitmix64)."""
    state = _salt(what)
    for number in numbers:
        state = (state ^ (number + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9 & _MASK
        state ^= state >> 29
    state = state * 0x94D049BB133111EB & _MASK
    return (state ^ state >> 31) >> 33


@lru_cache(maxsize=256)
def _salt(what: str) -> int:
    return int.from_bytes(blake2b(what.encode(), digest_size=8).digest(), "big")


def _tree() -> tuple[dict[int, Category], tuple[Category, ...]]:
    nodes: dict[int, Category] = {}
    leaves: list[Category] = []
    for root_id, name, name_fr, children in goods.ROOTS:
        nodes[root_id] = Category(root_id, name, name_fr, None, Decimal(0), 0, ())
        for id_, child, child_fr, dollars, grams, nouns in children:
            leaf = Category(id_, child, child_fr, root_id, Decimal(str(dollars)), grams, nouns)
            nodes[id_] = leaf
            leaves.append(leaf)
    return nodes, tuple(leaves)


CATEGORIES, LEAVES = _tree()


@lru_cache(maxsize=40_000)
def item(number: int, day: int = 0) -> Item:
    """The AliExpress product of that number on that day."""
    copy_of = _copy_of(number)
    shown = number if copy_of is None else copy_of
    leaf = _leaf_of(number)
    flaw = _flaw("item", number)
    title, title_fr = _titles("item", shown, leaf)
    if flaw == "banned_word":
        word = goods.BANNED[_dice("banned", number) % len(goods.BANNED)]
        title, title_fr = f"{word} {title}", f"{word} {title_fr}"
    skus = _skus(number, leaf, flaw, day)
    price = min(sku.price for sku in skus)
    is_new = flaw is None and _dice("new", number) % 100 < 3
    reviews = 12 + _dice("reviews", number) % 4000
    rating = Decimal(430 + _dice("rating", number) % 68) / 100
    orders = 110 + _dice("orders", number) % 20_000
    seller_rating = Decimal(440 + _dice("seller", number % 700) % 55) / 100
    if flaw == "low_rating":
        rating = Decimal(210 + _dice("rating", number) % 150) / 100
    if flaw == "few_orders":
        orders, reviews = _dice("orders", number) % 5, _dice("reviews", number) % 3
    if flaw == "low_seller_rating":
        seller_rating = Decimal(250 + _dice("seller", number) % 120) / 100
    seller_number = number % 700 + (10_000 if flaw == "low_seller_rating" else 0)
    sides = sorted((4 + _dice("side", number, side) % 38 for side in range(3)), reverse=True)
    return Item(
        number=number,
        id=str(FIRST_ID + number),
        alias=_alias_of(number),
        copy_of=copy_of,
        category=leaf,
        path=(leaf.parent_id or 0, leaf.id),
        title=title,
        title_fr=title_fr,
        material=goods.MATERIALS[_dice("material", shown) % len(goods.MATERIALS)],
        status=_status("item", number, day),
        flaw=flaw,
        price=price,
        list_price=(price * Decimal("1.6")).quantize(Decimal("0.01")),
        skus=skus,
        pictures=()
        if flaw == "no_image"
        else tuple(shown * 10 + index for index in range(1 + _dice("pictures", shown) % 4)),
        rating=None if is_new else rating,
        reviews=None if is_new else reviews,
        orders=None if is_new else orders,
        seller=Seller(
            1_100_000_001 + seller_number, f"Shop {1_100_001 + seller_number} Store", seller_rating
        ),
        grams=0
        if flaw == "no_weight"
        else max(20, leaf.grams + _dice("grams", number) % 200 - 100),
        sides_cm=(sides[0], sides[1], sides[2]),
        delivery_days=6 + _dice("days", number) % 25,
        ships_to=() if flaw == "not_shipped" else _ships_to("item", number),
    )


@lru_cache(maxsize=10_000)
def lot(number: int, day: int = 0) -> Lot:
    """The Alibaba product of that number on that day."""
    leaf = LEAVES[number % len(LEAVES)]
    flaw = _flaw("lot", number)
    if flaw not in ("no_image", "no_stock", "not_shipped", "banned_word"):
        flaw = None  # Alibaba tells no ratings, so none can be bad.
    title, title_fr = _titles("lot", number, leaf)
    if flaw == "banned_word":
        word = goods.BANNED[_dice("lot-banned", number) % len(goods.BANNED)]
        title, title_fr = f"{word} {title}", f"{word} {title_fr}"
    least = (2, 5, 10, 20, 50, 100)[_dice("least", number) % 6]
    price = _cents(leaf.dollars * Decimal("0.45") * _factor("lot", number, day))
    steps = 1 + _dice("steps", number) % 4
    ladder = tuple(
        (least * 5**step, _cents(price * (Decimal(100 - 9 * step) / 100))) for step in range(steps)
    )
    colours = 1 + _dice("lot-colours", number) % 4
    skus = tuple(
        Sku(
            id=str(FIRST_LOT_SKU + number * SKUS_EACH + index),
            attributes="",
            colour=goods.COLOURS[(number + index) % len(goods.COLOURS)],
            size=None,
            own_name=None,
            price=Decimal(index % 2) / 10,
            stock=0
            if flaw == "no_stock" or _is_sold_out("lot", number, day)
            else 200 + _dice("lot-stock", number, index, day // 4) % 5000,
        )
        for index in range(colours)
    )
    company = number % 150
    return Lot(
        number=number,
        id=str(FIRST_LOT + number),
        category=leaf,
        title=title,
        title_fr=title_fr,
        status=_status("lot", number, day),
        flaw=flaw,
        least=least,
        ladder=ladder,
        skus=skus,
        pictures=()
        if flaw == "no_image"
        else tuple(
            5_000_000 + number * 10 + index for index in range(1 + _dice("lot-pics", number) % 3)
        ),
        company=Seller(5_000_001 + company, f"Example Trading {company} Co., Ltd.", Decimal(0)),
        ships_to=() if flaw == "not_shipped" else _ships_to("lot", number),
    )


def number_of(external_id: str, items: int = ITEMS) -> int | None:
    """The item that an id or an alias names; None for one that was never sold."""
    if not external_id.isascii() or not external_id.isdigit():
        return None
    value = int(external_id)
    number = value - FIRST_ID
    if value >= FIRST_ALIAS:
        number = value - FIRST_ALIAS
        if 0 <= number < items and _alias_of(number) is None:
            return None
    return number if 0 <= number < items else None


def lot_number_of(external_id: str, lots: int = WHOLESALE_ITEMS) -> int | None:
    """The wholesale product that an id names."""
    if not external_id.isascii() or not external_id.isdigit():
        return None
    number = int(external_id) - FIRST_LOT
    return number if 0 <= number < lots else None


@lru_cache(maxsize=64)
def listed(day: int, items: int, category_id: int | None, keyword: str) -> tuple[str, ...]:
    """Ids as the search of a day shows them, aliases included, those of one category at a time."""
    wanted = _words(keyword)
    ids: list[str] = []
    for number in range(items):
        leaf = _leaf_of(number)
        if category_id is not None and category_id not in (leaf.id, leaf.parent_id):
            continue
        if _status("item", number, day) != "selling":
            continue
        if wanted and not wanted <= _words_of_item(number):
            continue
        ids.append(str(FIRST_ID + number))
        alias = _alias_of(number)
        if alias is not None:
            ids.append(alias)
    return tuple(ids)


@lru_cache(maxsize=64)
def lots_listed(day: int, lots: int, keyword: str) -> tuple[str, ...]:
    """Ids of wholesale products whose title or category has all words."""
    wanted = _words(keyword)
    return tuple(
        one.id
        for number in range(lots)
        if (one := lot(number, day)).status == "selling" and wanted <= _words_of_lot(number)
    )


def expectations(day: int, items: int = ITEMS, country: str = "ZA") -> dict[str, int]:
    """What a sync of the whole AliExpress catalogue has to find on a day, by kind.

    `listed` ids in search, `aliases` among them, `products` behind them; of these `copies` (sound
    ones of another seller's goods), `flawless`, `sold_out` (flawless, nothing in stock today),
    `unrated`, and each flaw by its name; `not_shipped` includes those that go elsewhere alone.
    """
    counts = {"listed": 0, "aliases": 0, "products": 0, "copies": 0, "flawless": 0}
    counts |= {"sold_out": 0, "unrated": 0} | {flaw: 0 for flaw, _ in FLAWS}
    for number in range(items):
        one = item(number, day)
        if one.status != "selling":
            continue
        counts["products"] += 1
        counts["listed"] += 1 + (one.alias is not None)
        counts["aliases"] += one.alias is not None
        flaw = one.flaw
        if flaw is None and country not in one.ships_to:
            flaw = "not_shipped"
        if flaw is not None:
            counts[flaw] += 1
            continue
        counts["flawless"] += 1
        counts["copies"] += one.copy_of is not None
        counts["sold_out"] += one.stock == 0
        counts["unrated"] += one.rating is None
    return counts


def wholesale_expectations(
    day: int, lots: int = WHOLESALE_ITEMS, country: str = "ZA"
) -> dict[str, int]:
    """The same for Alibaba: `products`, `flawless`, `sold_out`, and each flaw."""
    counts = {"products": 0, "flawless": 0, "sold_out": 0}
    counts |= {"no_image": 0, "no_stock": 0, "not_shipped": 0, "banned_word": 0}
    for number in range(lots):
        one = lot(number, day)
        if one.status != "selling":
            continue
        counts["products"] += 1
        flaw = one.flaw or ("not_shipped" if country not in one.ships_to else None)
        if flaw is not None:
            counts[flaw] += 1
            continue
        counts["flawless"] += 1
        counts["sold_out"] += all(sku.stock == 0 for sku in one.skus)
    return counts


def _leaf_of(number: int) -> Category:
    copy_of = _copy_of(number)
    return LEAVES[(number if copy_of is None else copy_of) % len(LEAVES)]


def _alias_of(number: int) -> str | None:
    return str(FIRST_ALIAS + number) if _dice("alias", number) % 40 == 0 else None


def _copy_of(number: int) -> int | None:
    """The one before it, where a copy is not itself copied and both are without a flaw."""
    if number == 0 or _dice("copy", number) % 70 or _dice("copy", number - 1) % 70 == 0:
        return None
    if _flaw("item", number) or _flaw("item", number - 1):
        return None
    return number - 1


def _flaw(kind: str, number: int) -> Flaw | None:
    drawn = _dice(f"flaw-{kind}", number) % 10_000
    for flaw, share in FLAWS:
        if drawn < share:
            return flaw
        drawn -= share
    return None


def _status(kind: str, number: int, day: int) -> Status:
    drawn = _dice(f"life-{kind}", number)
    if drawn % 25 == 0 and day >= 1 + drawn // 25 % 30:
        return "offline" if drawn // 1000 % 2 else "missing"
    if drawn % 100 == 1 and day == 1 + drawn // 100 % 10:
        return "missing"
    if drawn % 50 == 2 and day < 1 + drawn // 50 % 10:
        return "missing"
    return "selling"


def _is_sold_out(kind: str, number: int, day: int) -> bool:
    return _dice(f"out-{kind}", number, day // 3) % 50 == 0


def _factor(kind: str, number: int, day: int) -> Decimal:
    """What a price is of its category's usual one, with the moves of all days so far."""
    factor = Decimal(60 + _dice(f"price-{kind}", number) % 90) / 100
    move = f"move-{kind}"
    for passed in range(1, day + 1):
        drawn = _dice(move, number, passed)
        if drawn % 12 == 0:
            factor *= Decimal(88 + drawn // 12 % 25) / 100
    return factor


def _skus(number: int, leaf: Category, flaw: Flaw | None, day: int) -> tuple[Sku, ...]:
    base = leaf.dollars * _factor("item", number, day)
    if flaw == "price_outlier":
        base = leaf.dollars * (Decimal(12) if number % 2 else Decimal("0.05"))
    is_out = flaw == "no_stock" or _is_sold_out("item", number, day)
    is_worn = leaf.parent_id in (3, 200000343)
    colours = _dice("colours", number) % 5
    sizes = 1 + _dice("sizes", number) % len(goods.SIZES) if is_worn else 0
    if colours == 0 and sizes == 0:
        stock = 0 if is_out else 1 + _dice("stock", number, day // 2) % 900
        return (
            Sku(str(FIRST_SKU + number * SKUS_EACH), "", None, None, None, _cents(base), stock),
        )
    skus: list[Sku] = []
    for colour_index in range(max(colours, 1)):
        for size_index in range(max(sizes, 1)):
            colour = (
                goods.COLOURS[(number + colour_index) % len(goods.COLOURS)] if colours else None
            )
            size = goods.SIZES[size_index] if sizes else None
            own_name = "Bear" if colour is not None and number % 7 == 0 else None
            parts = []
            if colour is not None:
                parts.append(f"14:{colour[0]}" + (f"#{own_name}" if own_name else ""))
            if size is not None:
                parts.append(f"5:{size[0]}")
            index = colour_index * len(goods.SIZES) + size_index
            skus.append(
                Sku(
                    id=str(FIRST_SKU + number * SKUS_EACH + index),
                    attributes=";".join(parts),
                    colour=colour,
                    size=size,
                    own_name=own_name,
                    price=_cents(base * (100 + 3 * size_index) / 100),
                    stock=0
                    if is_out or (_dice("gone", number, index) % 12 == 0 and index)
                    else 1 + _dice("stock", number, index, day // 2) % 300,
                )
            )
    return tuple(skus)


def _titles(kind: str, number: int, leaf: Category) -> tuple[str, str]:
    noun, noun_fr = leaf.nouns[_dice(f"noun-{kind}", number) % len(leaf.nouns)]
    quality, quality_fr = goods.QUALITIES[_dice(f"quality-{kind}", number) % len(goods.QUALITIES)]
    model = f"{chr(65 + number % 26)}{100 + number // 26}"
    return f"{quality} {noun} {model}", f"{noun_fr} {quality_fr} {model}"


def _ships_to(kind: str, number: int) -> tuple[str, ...]:
    """Most go to both countries, some to one of them."""
    drawn = _dice(f"ships-{kind}", number) % 100
    if drawn < 6:
        return ("ZA",)
    return ("CM",) if drawn < 9 else ("CM", "ZA")


def _cents(amount: Decimal) -> Decimal:
    return max(Decimal("0.05"), amount.quantize(Decimal("0.01")))


def _words(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(
        character if character.isalnum() else " "
        for character in plain
        if not unicodedata.combining(character)
    )
    return frozenset(letters.split())


@lru_cache(maxsize=40_000)
def _words_of_item(number: int) -> frozenset[str]:
    copy_of, leaf = _copy_of(number), _leaf_of(number)
    title, title_fr = _titles("item", number if copy_of is None else copy_of, leaf)
    return _words(f"{title} {title_fr} {leaf.name} {leaf.name_fr}")


@lru_cache(maxsize=10_000)
def _words_of_lot(number: int) -> frozenset[str]:
    leaf = LEAVES[number % len(LEAVES)]
    title, title_fr = _titles("lot", number, leaf)
    return _words(f"{title} {title_fr} {leaf.name} {leaf.name_fr}")
