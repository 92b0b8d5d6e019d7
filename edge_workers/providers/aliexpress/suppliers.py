"""AliExpress' goods: `aliexpress.ds.text.search`, `product.get`, `category.get`, `freight.query`.

Each method has a success mark of its own, so none is asked for: what was wanted is there or it is
not. Only a search that lists nothing must call itself well done, for a list may be left out when it
is empty. Prices are those of the buyer's currency (`targetSalePrice`, the variant's own currency),
never `salePrice` or the product's base currency, which may be yuan whatever was asked.
Sources: openservice.aliexpress.com documents 1304, 1579, 1597, 1695 and that of product.get.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import structlog

from edge_workers.providers import json_text
from edge_workers.providers.aliexpress import mapping
from edge_workers.providers.contracts.suppliers import (
    FoundProduct,
    FreightOption,
    Language,
    PriceTier,
    SearchOrder,
    SupplierCategory,
    SupplierPage,
    SupplierProduct,
    SupplierQuery,
    SupplierSeller,
    SupplierTokens,
    SupplierVariant,
)
from edge_workers.providers.errors import Rejected, Unavailable
from edge_workers.providers.open_platform import (
    OpenPlatform,
    absolute_url,
    as_list,
    first_of,
    id_of,
    layers,
    money,
    prose_of,
    share_as_stars,
    stars,
    text_of,
    whole_number,
    with_token,
)

LOCALES: Final[Mapping[Language, str]] = {"en": "en_US", "fr": "fr_FR"}
SORTS: Final[Mapping[SearchOrder, str]] = {
    "best": "",
    "price_asc": "min_price,asc",
    "price_desc": "min_price,desc",
    "orders": "orders,desc",
}
LARGEST_PAGE: Final = 50
"""What others ask for without harm; the cap is not documented."""

_ITEM_IDS: Final = ("itemId", "product_id", "productId")

_log = structlog.get_logger(__name__)


class AliExpressSupplier:
    """One buyer's account with the app. Fulfils `SupplierProvider`."""

    name = "aliexpress"

    def __init__(self, platform: OpenPlatform, tokens: SupplierTokens) -> None:
        self._platform = platform
        self._tokens = tokens

    def search(self, query: SupplierQuery) -> SupplierPage:
        """A page of goods, priced for the country that was asked for."""
        size = min(max(query.page_size, 1), LARGEST_PAGE)
        body = self._call(
            "search",
            "aliexpress.ds.text.search",
            {
                "keyWord": query.keyword,
                "local": LOCALES[query.language],
                "countryCode": query.country,
                "currency": query.currency,
                "categoryId": query.category_id or "",
                "sortBy": SORTS[query.order],
                "pageIndex": str(query.page),
                "pageSize": str(size),
            },
        )
        return page_from(body, query, size)

    def detail(
        self, external_id: str, *, country: str, currency: str, language: Language
    ) -> SupplierProduct:
        """A product in full, without what the account alone would get off its price."""
        body = self._call(
            "detail",
            "aliexpress.ds.product.get",
            {
                "product_id": external_id,
                "ship_to_country": country,
                "target_currency": currency,
                "target_language": language,
                "remove_personal_benefit": "true",
            },
        )
        return product_from(body, external_id)

    def categories(self, language: Language) -> tuple[SupplierCategory, ...]:
        """The whole tree, flat; a root has no parent."""
        body = self._call("categories", "aliexpress.ds.category.get", {"language": language})
        found = first_of(body, "categories")
        rows = as_list(found, "category_id")
        if not rows:
            raise _malformed("no categories")
        return tuple(
            SupplierCategory(
                id=id_,
                name=name,
                parent_id=id_of(row.get("parent_category_id")) or None,
            )
            for row in rows
            if (id_ := id_of(row.get("category_id")))
            and (name := text_of(row.get("category_name")))
        )

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
        """The ways to have it sent; without the variant's id AliExpress says that nothing goes."""
        asked = {
            "quantity": str(quantity),
            "shipToCountry": country,
            "productId": external_id,
            "selectedSkuId": variant_id or "",
            "language": LOCALES[language],
            "locale": LOCALES[language],
            "currency": currency,
        }
        body = self._call(
            "freight",
            "aliexpress.ds.freight.query",
            {"queryDeliveryReq": json_text.dumps(asked).decode()},
        )
        return freight_from(body, currency)

    def _call(self, operation: str, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        return with_token(
            self._tokens,
            lambda token: self._platform.call_method(
                operation, method, {**parameters, "session": token}
            ),
        )


def page_from(body: Mapping[str, Any], query: SupplierQuery, size: int) -> SupplierPage:
    """A search's answer in any of its shapes."""
    total = whole_number(first_of(body, "totalCount", "total_record_count", "total_count"))
    size = whole_number(first_of(body, "pageSize", "current_record_count")) or size
    listed = first_of(body, "products")
    if listed is None and total is None and not _is_empty(body):
        raise _malformed("neither products nor their number")
    if listed is None and total is not None and total > (query.page - 1) * size:
        raise _malformed("products were counted and not listed")
    rows = as_list(listed, *_ITEM_IDS)
    items = tuple(item for row in rows if (item := _found(row, query)) is not None)
    if len(items) < len(rows):
        _log.warning("supplier.shape_unknown", provider="aliexpress", rows=len(rows) - len(items))
    if rows and not items:
        raise _malformed("no line of the search has an id")
    has_more = total > query.page * size if total is not None else len(rows) >= size
    return SupplierPage(
        items=items, next_page=query.page + 1 if has_more and rows else None, total=total
    )


def _is_empty(body: Mapping[str, Any]) -> bool:
    """Whether a search without a list and a total found nothing.

    It says so, or it calls itself well done and tells which page it is: less is no answer.
    """
    replies = {text_of(layer.get("resp_code")) for layer in layers(body)} - {""}
    if mapping.EMPTY_RESULT in replies:
        return True
    codes = replies | {text_of(layer.get("code")) for layer in layers(body)} - {""}
    page = whole_number(first_of(body, "pageIndex", "current_page_no"))
    return page is not None and bool(codes) and codes <= mapping.WELL_DONE


def _found(row: Mapping[str, Any], query: SupplierQuery) -> FoundProduct | None:
    """One line; the families of methods spell the same members in different ways."""
    external_id = id_of(next((row[name] for name in _ITEM_IDS if row.get(name)), None))
    title = text_of(row.get("title") or row.get("product_title") or row.get("subject"))
    if not external_id or not title:
        return None
    currency = text_of(
        row.get("targetOriginalPriceCurrency") or row.get("target_sale_price_currency")
    )
    path = text_of(row.get("cateId")).split(",")
    if path == [""]:
        path = [
            text_of(row.get("first_level_category_id")),
            text_of(row.get("second_level_category_id")),
        ]
    orders = row.get("orders")
    if orders is None:
        # The vendor's own spelling.
        orders = row.get("lastest_volume", row.get("volume"))
    return FoundProduct(
        external_id=external_id,
        title=title,
        price=money(row.get("targetSalePrice", row.get("target_sale_price"))),
        currency=currency or query.currency,
        rating=stars(row.get("score"))
        or share_as_stars(row.get("evaluateRate", row.get("evaluate_rate"))),
        orders=whole_number(orders),
        category_path=tuple(part.strip() for part in path if id_of(part.strip())),
        image_url=absolute_url(row.get("itemMainPic") or row.get("product_main_image_url")),
    )


def product_from(body: Mapping[str, Any], external_id: str) -> SupplierProduct:
    """A product's answer. Raises `Rejected` for what is gone or not sold to the country."""
    base = first_of(body, "ae_item_base_info_dto")
    if not isinstance(base, dict):
        raise _missing_product(body)
    found_id = id_of(base.get("product_id")) or external_id
    leaf = id_of(base.get("category_id"))
    variants = _variants(first_of(body, "ae_item_sku_info_dtos"))
    status = mapping.product_status(base.get("product_status_type"))
    if status == "selling" and not variants:
        raise _malformed("a product on sale has no variant with a price")
    currencies = {currency for currency, _ in variants}
    if len(currencies) > 1:
        raise _malformed("variants are priced in several currencies")
    currency = next(iter(currencies), text_of(base.get("currency_code")))
    package = _object(first_of(body, "package_info_dto"))
    logistics = _object(first_of(body, "logistics_info_dto"))
    pictures = text_of(_object(first_of(body, "ae_multimedia_info_dto")).get("image_urls"))
    return SupplierProduct(
        external_id=found_id,
        aliases=_aliases(_object(first_of(body, "product_id_converter_result")), found_id),
        title=text_of(base.get("subject")),
        description=prose_of(base.get("detail")),
        category_id=leaf or None,
        category_path=(leaf,) if leaf else (),
        category_name=None,
        status=status,
        rating=stars(base.get("avg_evaluation_rating")),
        review_count=whole_number(base.get("evaluation_count")),
        order_count=whole_number(base.get("sales_count")),
        currency=currency,
        variants=tuple(variant for _, variant in variants),
        image_urls=tuple(
            url for part in re.split("[;,]", pictures) if (url := absolute_url(part)) is not None
        ),
        weight_grams=_scaled(package.get("gross_weight"), 1000),
        dimensions_mm=_dimensions(package),
        delivery_days=whole_number(logistics.get("delivery_time")),
        seller=_seller(_object(first_of(body, "ae_store_info"))),
        min_order_quantity=1,
        order_increment=1,
        tiers=_tiers(first_of(body, "wholesale_price_tiers")),
        attributes=tuple(
            (name, value)
            for row in as_list(first_of(body, "ae_item_properties"), "attr_name")
            if (name := text_of(row.get("attr_name"))) and (value := text_of(row.get("attr_value")))
        ),
    )


def _missing_product(body: Mapping[str, Any]) -> Rejected | Unavailable:
    for layer in layers(body):
        code = text_of(layer.get("rsp_code"))
        if code in mapping.REFUSED_PRODUCTS:
            return Rejected(
                f"AliExpress does not show the product: {code}.",
                code=mapping.REFUSED_PRODUCTS[code],
            )
        if code == mapping.SYSTEM_ERROR:
            return Unavailable("AliExpress had an error of its own.", code="server_error")
    return _malformed("no product")


def _variants(node: Any) -> list[tuple[str, SupplierVariant]]:
    """Variants with the currency each is priced in; one without a price cannot be ordered."""
    found: list[tuple[str, SupplierVariant]] = []
    for row in as_list(node, "sku_id"):
        external_id = id_of(row.get("sku_id"))
        price = money(row.get("offer_sale_price")) or money(row.get("sku_price"))
        if not external_id or not price:
            continue
        options = as_list(row.get("ae_sku_property_dtos"), "sku_property_name")
        bulk_quantity = whole_number(row.get("sku_bulk_order"))
        bulk_price = money(row.get("offer_bulk_sale_price"))
        has_bulk = bool(bulk_price) and bulk_quantity is not None and bulk_quantity > 1
        found.append(
            (
                text_of(row.get("currency_code")),
                SupplierVariant(
                    external_id=external_id,
                    attributes=text_of(row.get("sku_attr")),
                    options=tuple(_option(option) for option in options),
                    price=price,
                    bulk_price=bulk_price if has_bulk else None,
                    bulk_quantity=bulk_quantity if has_bulk else None,
                    stock=whole_number(row.get("sku_available_stock")),
                    image_url=next(
                        (
                            url
                            for option in options
                            if (url := absolute_url(option.get("sku_image")))
                        ),
                        None,
                    ),
                ),
            )
        )
    return found


def _option(row: Mapping[str, Any]) -> tuple[str, str]:
    """The seller's own word for a value, where there is one, before the platform's."""
    return (
        text_of(row.get("sku_property_name")),
        text_of(row.get("property_value_definition_name"))
        or text_of(row.get("sku_property_value")),
    )


def _aliases(converter: Mapping[str, Any], own_id: str) -> tuple[str, ...]:
    """The product's main id and its ids in other markets, which come as JSON or as its text."""
    markets = converter.get("sub_product_id")
    if isinstance(markets, str):
        try:
            markets = json_text.loads(markets)
        except ValueError:
            markets = None
    ids = [id_of(converter.get("main_product_id"))]
    if isinstance(markets, dict):
        ids += [id_of(value) for value in markets.values()]
    return tuple(dict.fromkeys(id_ for id_ in ids if id_ and id_ != own_id))


def _seller(store: Mapping[str, Any]) -> SupplierSeller | None:
    external_id, name = id_of(store.get("store_id")), text_of(store.get("store_name"))
    if not external_id:
        return None
    ratings = [
        rating
        for kind in ("item_as_described_rating", "communication_rating", "shipping_speed_rating")
        if (rating := stars(store.get(kind))) is not None
    ]
    return SupplierSeller(
        external_id=external_id,
        name=name or external_id,
        rating=(sum(ratings, Decimal(0)) / len(ratings)).quantize(Decimal("0.01"))
        if ratings
        else None,
        country=text_of(store.get("store_country_code")) or None,
    )


def _tiers(node: Any) -> tuple[PriceTier, ...]:
    """Wholesale prices by their first quantity; each ends where the next begins."""
    starts = sorted(
        {
            quantity: price
            for row in as_list(node, "min_quantity")
            if (quantity := whole_number(row.get("min_quantity")))
            and (price := money(row.get("wholesale_price")))
        }.items()
    )
    return tuple(
        PriceTier(
            min_quantity=quantity,
            max_quantity=starts[index + 1][0] - 1 if index + 1 < len(starts) else None,
            price=price,
        )
        for index, (quantity, price) in enumerate(starts)
    )


def _dimensions(package: Mapping[str, Any]) -> tuple[int, int, int] | None:
    sides = [_scaled(package.get(f"package_{side}"), 10) for side in ("length", "width", "height")]
    length, width, height = sides
    return None if None in sides else (length or 0, width or 0, height or 0)


def _scaled(value: Any, factor: int) -> int | None:
    """A measure in a smaller unit, at least 1; None for nothing and for 0."""
    measure = money(value)
    return max(1, round(measure * factor)) if measure else None


def freight_from(body: Mapping[str, Any], currency: str) -> tuple[FreightOption, ...]:
    """The ways to have it sent. A listed fee is charged even where the answer calls it free."""
    rows = as_list(first_of(body, "delivery_options"), "code")
    if not rows:
        if any(text_of(layer.get("code")) in mapping.NOTHING_SHIPS for layer in layers(body)):
            return ()
        raise _malformed("no ways of delivery and no reason")
    options = [option for row in rows if (option := _freight_option(row, currency)) is not None]
    return tuple(sorted(options, key=lambda option: (option.fee, option.max_days or 999)))


def _freight_option(row: Mapping[str, Any], currency: str) -> FreightOption | None:
    code = text_of(row.get("code"))
    # Called cents, and written in major units.
    listed = row.get("shipping_fee_cent")
    fee = Decimal(0) if not text_of(listed) and _is_free(row) else money(listed)
    if not code or fee is None:
        return None
    return FreightOption(
        code=code,
        name=text_of(row.get("company")) or code,
        fee=fee,
        currency=text_of(row.get("shipping_fee_currency")) or currency,
        min_days=whole_number(row.get("min_delivery_days")),
        max_days=whole_number(row.get("max_delivery_days")),
        is_tracked=mapping.is_true(row.get("tracking"))
        if row.get("tracking") is not None
        else None,
        ships_from=text_of(row.get("ship_from_country")) or None,
        duties_paid=mapping.is_true(row.get("ddpIncludeVATTax")),
    )


def _is_free(row: Mapping[str, Any]) -> bool:
    """Whether it is sent for nothing: at once, or from a sum on that is 0."""
    if mapping.is_true(row.get("free_shipping")):
        return True
    return mapping.is_true(row.get("mayHavePFS")) and money(row.get("free_shipping_threshold")) == 0


def _object(node: Any) -> Mapping[str, Any]:
    return node if isinstance(node, dict) else {}


def _malformed(what: str) -> Unavailable:
    return Unavailable(f"AliExpress answered in no known shape: {what}.", code="answer_malformed")
