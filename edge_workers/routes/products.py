"""The catalogue, through PostgREST as the caller; anonymous answers are cached.

All four routes answer `{items, recommendations, next_cursor}`. Prices are PostgREST's own digits.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, g
from postgrest import SyncPostgrestClient
from pydantic import BaseModel, Field, StringConstraints

from edge_workers import exact_json
from edge_workers.answers import PUBLIC_SECONDS, answer, public_answer
from edge_workers.errors import AppError, NotFoundError
from edge_workers.inputs import (
    Channel,
    Country,
    Language,
    Line,
    Money,
    Parameters,
    read_id,
    read_parameters,
)
from edge_workers.log import get_logger
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.problems import reader_language
from edge_workers.security import Identity, identity

log = get_logger(__name__)

blueprint = Blueprint("products", __name__, url_prefix="/api/v1/products")

RECOMMENDATIONS: Final = 4
PAGE_SIZE: Final = 24
# Arguments with few values: answers to these alone are worth a place in Redis.
_SHARED_ARGUMENTS: Final = frozenset(
    {"category", "country", "language", "channel", "in_stock", "sort", "page_size"}
)
_RECOMMENDATION_SECONDS: Final = 300

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
Sort = Literal["relevance", "price_asc", "price_desc", "newest", "rating"]
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/=_-]{1,512}$")]


class ListParameters(Parameters):
    """What to list: `country` decides the prices, `cursor` is the last answer's next_cursor."""

    category: Slug | None = None
    country: Country | None = None
    language: Language | None = None
    channel: Channel | None = None
    min_price: Money | None = None
    max_price: Money | None = None
    min_rating: Annotated[Decimal, Field(ge=0, le=5)] | None = None
    in_stock: bool | None = None
    sort: Sort | None = None
    cursor: Cursor | None = None
    page_size: Annotated[int, Field(ge=1, le=100)] = PAGE_SIZE


class SearchParameters(ListParameters):
    """The same with words to look for, in English or French."""

    query: Annotated[Line, Field(max_length=200)]


class WholesaleParameters(Parameters):
    """As the list, of wholesale goods only."""

    category: Slug | None = None
    country: Country | None = None
    language: Language | None = None
    min_price: Money | None = None
    max_price: Money | None = None
    min_rating: Annotated[Decimal, Field(ge=0, le=5)] | None = None
    in_stock: bool | None = None
    sort: Sort | None = None
    cursor: Cursor | None = None
    page_size: Annotated[int, Field(ge=1, le=100)] = PAGE_SIZE


class ProductParameters(Parameters):
    """Whose prices: without a country those of all."""

    country: Country | None = None
    language: Language | None = None


class ProductListing(BaseModel):
    """A product in a list."""

    product_id: str
    channel: Channel
    name: str
    category: str
    price: float
    currency: str
    country: str
    rating: float | None
    review_count: int
    min_order_quantity: int
    in_stock: bool
    image: str | None
    created_at: str
    relevance: float
    cursor: str


class ProductList(BaseModel):
    """A page of products; next_cursor is null on the last one."""

    items: list[ProductListing]
    recommendations: list[ProductListing]
    next_cursor: str | None


class ProductVariant(BaseModel):
    """What there is to choose of a product: its price is that of the country, null if not sold."""

    variant_id: str
    options: list[dict[str, str]]
    country: str
    currency: str | None
    price: float | None
    available: int
    in_stock: bool
    image: str | None


class ProductDetail(BaseModel):
    """A product with its pictures, its price in each country and its wholesale breaks.

    `options` and `variants` are in the language asked for; variants are priced for the country
    asked for, else the caller's. Empty where there is nothing to choose. `category` is null while
    the shop does not show it.
    """

    id: str
    channel: Channel
    name: str
    name_fr: str | None
    description: str | None
    description_fr: str | None
    seller_rating: float | None
    review_count: int
    min_order_quantity: int
    order_increment: int
    max_order_quantity: int
    available: int
    category: dict[str, Any] | None
    media: list[dict[str, Any]]
    prices: list[dict[str, Any]]
    tiers: list[dict[str, Any]]
    options: list[dict[str, Any]]
    variants: list[ProductVariant]
    bulk_discount_percent: float | None = None
    bulk_min_quantity: int | None = None
    weight_grams: int | None
    created_at: str
    updated_at: str


class ProductDetailList(BaseModel):
    """One product, in the shape of the lists."""

    items: list[ProductDetail]
    recommendations: list[ProductListing]
    next_cursor: None = None


_COLUMNS: Final = (
    "id,name,name_fr,description,description_fr,seller_rating,review_count,max_order_quantity,"
    "weight_grams,created_at,updated_at,category:categories(id,slug,name,name_fr),"
    "media:product_media(storage_path,alt,alt_fr,width,height,position),"
    "prices:product_prices(country,currency,amount),stock:product_stock(available),"
    "is_active,variants:product_variants(id)"
)
_WHOLESALE_COLUMNS: Final = (
    f"{_COLUMNS},min_order_quantity,order_increment,bulk_discount_percent,bulk_min_quantity,"
    "tiers:price_tiers(quantities,discount_percent)"
)


@blueprint.get("")
@operation(
    tag="products",
    access="optional",
    parameters=ListParameters,
    answers={200: ProductList, 304: None},
    errors=("input_invalid", "data_api_unavailable"),
)
def list_products() -> Response:
    """List products."""
    return _list(read_parameters(ListParameters).model_dump())


@blueprint.get("/search")
@operation(
    tag="products",
    access="optional",
    parameters=SearchParameters,
    answers={200: ProductList, 304: None},
    errors=("input_invalid", "data_api_unavailable"),
)
def search() -> Response:
    """Search products in English and French."""
    return _list(read_parameters(SearchParameters).model_dump())


@blueprint.get("/retailer")
@operation(
    tag="products",
    access="optional",
    parameters=WholesaleParameters,
    answers={200: ProductList, 304: None},
    errors=("input_invalid", "data_api_unavailable"),
)
def list_wholesale() -> Response:
    """List wholesale products."""
    return _list({**read_parameters(WholesaleParameters).model_dump(), "channel": "wholesale"})


@blueprint.get("/<product_id>")
@operation(
    tag="products",
    access="optional",
    parameters=ProductParameters,
    answers={200: ProductDetailList, 304: None},
    errors=("input_invalid", "not_found", "data_api_unavailable"),
)
def show(product_id: str) -> Response:
    """One product, retail or wholesale."""
    checked_id = read_id("product_id", product_id)
    asked = read_parameters(ProductParameters)
    caller = identity()
    language = _language(asked.language, caller)
    if caller is not None:
        return answer(_detail(_client(caller, language), checked_id, asked.country, language))
    return _cached(
        f"product:{checked_id}:{asked.country}:{language}",
        lambda: exact_json.dumps(
            _detail(_client(None, language), checked_id, asked.country, language)
        ),
    )


def _list(args: dict[str, Any]) -> Response:
    caller = identity()
    args["language"] = _language(args["language"], caller)
    if caller is not None:
        return answer(_page(_client(caller, args["language"]), args))
    given = {key: str(value) for key, value in sorted(args.items()) if value is not None}
    return _cached(
        f"products:{urlencode(given)}",
        lambda: exact_json.dumps(_page(_client(None, args["language"]), args)),
        is_shared=_SHARED_ARGUMENTS.issuperset(given) and args["page_size"] == PAGE_SIZE,
    )


def _cached(key: str, build: Callable[[], bytes], *, is_shared: bool = True) -> Response:
    app = parts()
    return public_answer(
        app.cache.fetch(
            key,
            build,
            version=app.catalogue_version.current(),
            seconds=PUBLIC_SECONDS,
            is_shared=is_shared,
        )
    )


def _client(caller: Identity | None, language: str | None) -> SyncPostgrestClient:
    return parts().data_api.as_caller(
        caller.token if caller else None, language=language, request_id=g.request_id
    )


def _language(asked: str | None, caller: Identity | None) -> str | None:
    """The language asked for; None leaves it to SQL, which knows the signed-in person's."""
    return asked or reader_language() or (None if caller else "en")


def _page(client: SyncPostgrestClient, args: dict[str, Any]) -> dict[str, Any]:
    items = parts().data_api.rpc(client, "search_products", args, is_read=True)
    rows = exact_json.loads(items)
    is_full = len(rows) == args["page_size"]
    shown = {row["product_id"] for row in rows}
    is_first_page_of_category = bool(rows) and bool(args["category"]) and not args["cursor"]
    return {
        "items": items,
        "recommendations": _recommend(
            args["category"],
            rows[0]["country"],
            args["channel"],
            args["language"],
            shown,
        )
        if is_first_page_of_category
        else [],
        "next_cursor": rows[-1]["cursor"] if is_full else None,
    }


def _detail(
    client: SyncPostgrestClient,
    product_id: str,
    country: str | None,
    language: str | None,
) -> dict[str, Any]:
    product = _find(client, "retail", product_id, country) or _find(
        client, "wholesale", product_id, country
    )
    if product is None:
        raise NotFoundError("product_not_found")
    product |= _choice(client, product, country, language)
    return {
        "items": [product],
        "recommendations": _recommend(
            product["category"]["slug"],
            country or next((price["country"] for price in product["prices"]), None),
            product["channel"],
            language,
            {product_id},
        )
        if product["category"]
        else [],
        "next_cursor": None,
    }


def _find(
    client: SyncPostgrestClient, channel: Channel, product_id: str, country: str | None
) -> dict[str, Any] | None:
    table, columns = {
        "retail": ("products", _COLUMNS),
        "wholesale": ("products_retailer", _WHOLESALE_COLUMNS),
    }[channel]
    query = (
        client.from_(table)
        .select(columns)
        .eq("id", product_id)
        .order("position", foreign_table="media")
        .order("country", foreign_table="prices")
        .eq("variants.is_active", "true")
        .limit(1, foreign_table="variants")
    )
    if country is not None:
        query = query.eq("prices.country", country)
    rows = exact_json.loads(parts().data_api.send(query))
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    stock = row.pop("stock")
    return {
        "min_order_quantity": 1,
        "order_increment": 1,
        "tiers": [],
        **row,
        "channel": channel,
        "available": sum(line["available"] for line in _as_list(stock)),
    }


def _choice(
    client: SyncPostgrestClient, product: dict[str, Any], country: str | None, language: str | None
) -> dict[str, Any]:
    """What there is to choose; asked for where something is, of what is on sale.

    Prices of variants are SQL's: the listed price times their ratio ends as prices of the
    currency do.
    """
    has_variants, is_on_sale = bool(product.pop("variants")), product.pop("is_active")
    if not (has_variants and is_on_sale):
        return {"options": [], "variants": []}
    args = {"product_id": product["id"], "country": country, "language": language}
    page = exact_json.loads(parts().data_api.rpc(client, "product_page", args, is_read=True))
    priced_for = {"country": page["country"], "currency": page["currency"]}
    return {
        "options": page["options"],
        "variants": [{**variant, **priced_for} for variant in page["variants"]],
    }


def _as_list(embedded: Any) -> list[dict[str, Any]]:
    """PostgREST embeds one row as an object where a key is unique, else as an array."""
    if embedded is None:
        return []
    return embedded if isinstance(embedded, list) else [embedded]


def _recommend(
    category: str,
    country: str | None,
    channel: str | None,
    language: str | None,
    shown: set[str],
) -> list[dict[str, Any]]:
    """The best rated of the same category that are in stock; an extra, so never an error.

    They are the same for everybody: asked for anonymously and kept for five minutes.
    """
    app = parts()
    args = {
        "category": category,
        "country": country,
        "channel": channel,
        "language": language,
        "sort": "rating",
        "in_stock": True,
        "page_size": RECOMMENDATIONS * 3,
    }
    try:
        body = app.cache.fetch(
            f"recommendations:{urlencode({k: str(v) for k, v in args.items() if v is not None})}",
            lambda: app.data_api.rpc(
                _client(None, language), "search_products", args, is_read=True
            ),
            version=app.catalogue_version.current(),
            seconds=_RECOMMENDATION_SECONDS,
        ).body
    except AppError as error:
        log.warning("recommendations.skipped", code=error.code)
        return []
    rows: list[dict[str, Any]] = exact_json.loads(body)
    return [row for row in rows if row["product_id"] not in shown][:RECOMMENDATIONS]
