"""Goods of a supplier platform: looked for, read in full, and what it costs to have them sent.

Money is Decimal in major units beside an ISO 4217 code, ids are text whatever the platform writes
(an id can be beyond 2^53), ratings are stars from 0 to 5. None always means that the platform did
not say: unknown is not zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeVar

ProductStatus = Literal["selling", "gone"]
Language = Literal["en", "fr"]
SearchOrder = Literal["best", "price_asc", "price_desc", "orders"]

Reply = TypeVar("Reply")


@dataclass(frozen=True, kw_only=True)
class SupplierCategory:
    """One category of the platform's own tree; a root has no parent."""

    id: str
    name: str
    parent_id: str | None


@dataclass(frozen=True, kw_only=True)
class SupplierQuery:
    """What is looked for. Prices are asked for in `currency`, goods for the buyer's `country`."""

    country: str
    """Where the goods shall go, ISO 3166 alpha-2."""
    currency: str
    language: Language = "en"
    keyword: str = ""
    category_id: str | None = None
    """Of the platform's tree; one that has no such filter looks for the keyword alone."""
    order: SearchOrder = "best"
    page: int = 1
    """From 1."""
    page_size: int = 50


@dataclass(frozen=True, kw_only=True)
class FoundProduct:
    """A line of a search: enough to decide whether the product is worth a question of its own."""

    external_id: str
    title: str
    price: Decimal | None
    """Of the cheapest variant; never billed from."""
    currency: str
    rating: Decimal | None
    orders: int | None
    category_path: tuple[str, ...]
    """Ids from the root to the leaf; empty when the platform does not say."""
    image_url: str | None


@dataclass(frozen=True, kw_only=True)
class SupplierPage:
    """A page of a search."""

    items: tuple[FoundProduct, ...]
    next_page: int | None
    """None after the last page."""
    total: int | None


@dataclass(frozen=True, kw_only=True)
class PriceTier:
    """The price of one piece for a range of quantities."""

    min_quantity: int
    max_quantity: int | None
    """The last quantity of the tier; None for no end."""
    price: Decimal


@dataclass(frozen=True, kw_only=True)
class SupplierVariant:
    """One thing that can be ordered: a colour, a size."""

    external_id: str
    """The platform's sku id: what freight and stock are asked for with."""
    attributes: str
    """What an order names the variant by (AliExpress: sku_attr); empty for goods of one variant."""
    options: tuple[tuple[str, str], ...]
    """Names and values as a shopper reads them: ("Color", "Bear")."""
    price: Decimal
    """Of one piece, or of one from the least quantity on, in the product's currency."""
    bulk_price: Decimal | None = None
    """Of one piece from `bulk_quantity` on."""
    bulk_quantity: int | None = None
    stock: int | None = None
    image_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class SupplierSeller:
    """Who sells on the platform."""

    external_id: str
    name: str
    rating: Decimal | None
    """Stars. Alibaba gives none at all."""
    country: str | None


@dataclass(frozen=True, kw_only=True)
class SupplierProduct:
    """A product in full."""

    external_id: str
    aliases: tuple[str, ...]
    """Other ids under which the platform shows the same thing, its main one included."""
    title: str
    description: str
    """HTML as the seller wrote it: not to be shown before it was cleaned."""
    category_id: str | None
    """The leaf."""
    category_path: tuple[str, ...]
    """Ids from the root to the leaf as far as the answer has them; at least the leaf when known."""
    category_name: str | None
    """The leaf's, where the platform shows no tree to look it up in."""
    status: ProductStatus
    rating: Decimal | None
    review_count: int | None
    order_count: int | None
    currency: str
    """Of every price here."""
    variants: tuple[SupplierVariant, ...]
    image_urls: tuple[str, ...]
    weight_grams: int | None
    """Of one piece as it is packed."""
    dimensions_mm: tuple[int, int, int] | None
    """Length, width and height of that parcel."""
    delivery_days: int | None
    """The platform's own estimate to the country that was asked for."""
    seller: SupplierSeller | None
    min_order_quantity: int
    """1 for retail goods."""
    order_increment: int
    """Quantities go up in these steps from the least one."""
    tiers: tuple[PriceTier, ...]
    """Of the whole product, ascending, without overlap; empty when there is one price."""
    attributes: tuple[tuple[str, str], ...]
    """Names and values of its description: brand, material, …"""


@dataclass(frozen=True, kw_only=True)
class FreightOption:
    """A way to have goods sent, for the quantity and country that were asked for."""

    code: str
    """What an order names it by."""
    name: str
    fee: Decimal
    currency: str
    min_days: int | None
    max_days: int | None
    is_tracked: bool | None
    ships_from: str | None
    duties_paid: bool
    """Whether the fee has import duties and taxes in it; else the receiver owes them."""


@dataclass(frozen=True, kw_only=True)
class SupplierToken:
    """What a platform gives for a buyer's consent. Times are absolute."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None when the answer has none: then the old one stays."""
    access_expires_at: datetime
    refresh_expires_at: datetime | None
    account_id: str
    """The buyer's account over there; empty when the answer does not name it."""


class SupplierLine(Protocol):
    """How calls to one platform leave: each in its turn, none while the platform rests."""

    def send(self, call: Callable[[], Reply]) -> Reply:
        """What the call gives. Waits for its turn first.

        `Unavailable` with `nothing_created` and `retry_after` when the turn is too far away: the
        platform banned us for a while, or has not answered lately.
        """

    def rest(self, seconds: int | None) -> None:
        """Nobody calls for that long: the platform said so.

        None when it named a limit and no time: then longer at each further one in a row.
        """

    def go_on(self) -> None:
        """The platform took a call: its next limit is the first in a row."""


class SupplierTokens(Protocol):
    """Where the adapter has its access token from."""

    def value(self) -> str:
        """A token that is still good. `Misconfigured` (`consent_needed`) when there is none."""

    def renewed(self, refused: str) -> str:
        """A newer token than the one that was refused."""


class SupplierAuthority(Protocol):
    """The token endpoint of a platform. Raises only what `providers.errors` names."""

    def consent_page(self, redirect_uri: str) -> str:
        """Where a person goes to let the shop act for them; `&state=` is to be added."""

    def create_token(self, code: str, now: datetime) -> SupplierToken:
        """The first token for the code of a consent; a code is good once and for minutes.

        `Misconfigured` (`consent_needed`) when the code is spent.
        """

    def refresh_token(self, refresh_token: str, now: datetime) -> SupplierToken:
        """The next token. `Misconfigured` (`consent_needed`) when a person must consent anew."""


class SupplierProvider(Protocol):
    """A supplier platform. Raises only what `providers.errors` names.

    `Unavailable` is worth another try after `retry_after`; `rate_limited` and `supplier_resting`
    say that the platform was not bothered any more. `Misconfigured` will not mend by itself.
    """

    @property
    def name(self) -> str:
        """`aliexpress` or `alibaba`, as `suppliers.platform` has it."""

    def search(self, query: SupplierQuery) -> SupplierPage:
        """A page of goods."""

    def detail(
        self, external_id: str, *, country: str, currency: str, language: Language
    ) -> SupplierProduct:
        """A product in full.

        `Rejected`: `product_gone` (it exists no more), `not_sold_here` (not sold to the country).
        A product that is off sale comes back with status `gone`.
        """

    def categories(self, language: Language) -> tuple[SupplierCategory, ...]:
        """The platform's whole tree; empty for a platform that does not show one."""

    def freight(
        self,
        external_id: str,
        *,
        variant_id: str | None,
        quantity: int,
        country: str,
        currency: str,
        language: Language,
    ) -> tuple[FreightOption, ...]:
        """The ways to have it sent, cheapest first; empty when nothing goes there."""
