"""Alibaba.com's goods: the buyer's product APIs, each with a parameter name of its own.

There is no rating of products or suppliers and no tree of categories: None and nothing, never a
guess. Prices of a search are display texts of a range; only the ladder of a variant is a price.
Sources: openapi.alibaba.com buyer and dropshipping guides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from edge_workers.providers import json_text
from edge_workers.providers.alibaba import mapping
from edge_workers.providers.contracts.suppliers import (
    FoundProduct,
    FreightOption,
    Language,
    PriceTier,
    SupplierCategory,
    SupplierPage,
    SupplierProduct,
    SupplierQuery,
    SupplierSeller,
    SupplierTokens,
    SupplierVariant,
)
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.open_platform import (
    OpenPlatform,
    absolute_url,
    as_list,
    first_of,
    id_of,
    layers,
    money,
    prose_of,
    text_of,
    whole_number,
    with_token,
)

LOCALES: Final[Mapping[Language, str]] = {"en": "en-US", "fr": "fr-FR"}
LARGEST_PAGE: Final = 50
DISPATCH_COUNTRY: Final = "CN"

_range = re.compile(r"[^0-9]{0,6}([0-9][0-9.,]*)\s*(?:-|~)")
_days = re.compile(r"([0-9]{1,3})\s*(?:~|-)\s*([0-9]{1,3})|([0-9]{1,3})")


class AlibabaSupplier:
    """One buyer's account with the app. Fulfils `SupplierProvider`."""

    name = "alibaba"

    def __init__(self, platform: OpenPlatform, tokens: SupplierTokens) -> None:
        self._platform = platform
        self._tokens = tokens

    def search(self, query: SupplierQuery) -> SupplierPage:
        """A page of goods by keyword; there is no filter by category and no order to choose."""
        size = min(max(query.page_size, 1), LARGEST_PAGE)
        body = self._call(
            "search",
            "/eco/buyer/product/search",
            "param0",
            {
                "index": query.page,
                "size": size,
                "keyword": query.keyword,
                "shipToCountry": query.country,
                "currency": query.currency,
                "language": LOCALES[query.language],
            },
        )
        return page_from(body, query, size)

    def detail(
        self, external_id: str, *, country: str, currency: str, language: Language
    ) -> SupplierProduct:
        """A product in full, with what its variants have in stock where Alibaba tells."""
        body = self._call(
            "detail",
            "/eco/buyer/product/description",
            "query_req",
            {
                "product_id": _number(external_id),
                "country": country,
                "currency": currency,
                "language": LOCALES[language],
            },
        )
        product = _described(body)
        status = mapping.product_status(product.get("status"))
        stock = self._stock(external_id) if status == "selling" else {}
        return product_from(product, external_id, currency, stock)

    def categories(self, language: Language) -> tuple[SupplierCategory, ...]:  # noqa: ARG002
        """Nothing: Alibaba shows no tree; a product names its leaf."""
        return ()

    def freight(
        self,
        external_id: str,
        *,
        variant_id: str | None,  # noqa: ARG002  # it is the product that is weighed
        quantity: int,
        country: str,
        currency: str,  # noqa: ARG002  # each way names its own
        language: Language,  # noqa: ARG002
    ) -> tuple[FreightOption, ...]:
        """The ways to have so many sent from China. Duties are the receiver's, as the terms say."""
        body = with_token(
            self._tokens,
            lambda token: self._platform.call_path(
                "freight",
                "/shipping/freight/calculate",
                {
                    "access_token": token,
                    "product_id": external_id,
                    "quantity": str(quantity),
                    "destination_country": country,
                    "dispatch_location": DISPATCH_COUNTRY,
                },
            ),
        )
        return freight_from(body)

    def _stock(self, external_id: str) -> dict[str, int]:
        """Pieces by variant, in all places together; empty when Alibaba does not know."""
        try:
            body = self._call(
                "inventory",
                "/eco/buyer/product/inventory",
                "inv_req",
                {"product_id": _number(external_id), "shipping_from": DISPATCH_COUNTRY},
            )
        except Rejected:
            return {}
        return stock_from(body)

    def _call(
        self, operation: str, path: str, parameter: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        asked = json_text.dumps(fields).decode()
        return with_token(
            self._tokens,
            lambda token: self._platform.call_path(
                operation, path, {"access_token": token, parameter: asked}
            ),
        )


def _number(external_id: str) -> int:
    """Alibaba's own ids are whole numbers; `Rejected` for anything else."""
    if not re.fullmatch(r"[0-9]{1,19}", external_id):
        raise Rejected("Alibaba has no product of such an id.", code="product_gone")
    return int(external_id)


def page_from(body: Mapping[str, Any], query: SupplierQuery, size: int) -> SupplierPage:
    """A search's answer."""
    _check(body)
    paging = first_of(body, "pagination")
    total = whole_number(
        paging.get("total_product_count")
        if isinstance(paging, dict)
        else first_of(body, "total_product_count", "result_total")
    )
    listed = first_of(body, "products")
    if listed is None and (total is None or total > (query.page - 1) * size):
        raise _malformed("neither products nor that there are none")
    rows = as_list(listed, "product_id")
    items = tuple(item for row in rows if (item := _found(row, query)) is not None)
    if rows and not items:
        raise _malformed("no line of the search has an id")
    has_more = total > query.page * size if total is not None else len(rows) >= size
    return SupplierPage(
        items=items, next_page=query.page + 1 if has_more and rows else None, total=total
    )


def _found(row: Mapping[str, Any], query: SupplierQuery) -> FoundProduct | None:
    external_id, title = id_of(row.get("product_id")), text_of(row.get("title"))
    if not external_id or not title:
        return None
    image = row.get("image")
    category = id_of(row.get("category_id"))
    return FoundProduct(
        external_id=external_id,
        title=title,
        price=_least(text_of(row.get("price"))),
        currency=query.currency,
        rating=None,
        orders=None,
        category_path=(category,) if category else (),
        image_url=absolute_url(image.get("main_image") if isinstance(image, dict) else image),
    )


def _least(shown: str) -> Decimal | None:
    """The lower end of a range that is written for people: `$0.88-1.05`."""
    found = _range.match(shown)
    return money(found[1] if found else shown)


def _described(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The product's own object, or what its absence means."""
    _check(body)
    for layer in layers(body):
        if layer.get("product_id") is not None or layer.get("skus") is not None:
            return layer
    raise _malformed("no product")


def product_from(
    product: Mapping[str, Any], external_id: str, currency: str, stock: Mapping[str, int]
) -> SupplierProduct:
    """A product in our words. `stock`: pieces by variant, empty for unknown."""
    trade = product.get("wholesale_trade")
    trade = trade if isinstance(trade, dict) else {}
    status = mapping.product_status(product.get("status"))
    least = max(
        whole_number(product.get("min_order_quantity")) or 1,
        whole_number(trade.get("min_order_quantity")) or 1,
    )
    skus = [
        sku
        for sku in as_list(product.get("skus"), "sku_id")
        if text_of(sku.get("status")) != "DISABLED"
    ]
    ladders = [(sku, _ladder(sku)) for sku in skus]
    variants = tuple(
        _variant(sku, ladder, stock)
        for sku, ladder in ladders
        if ladder and id_of(sku.get("sku_id"))
    )
    own_price = money(trade.get("price"))
    if not variants and own_price:
        # Goods of one kind may come without any variant: the product is its own.
        variants = (
            SupplierVariant(
                external_id=id_of(product.get("product_id")) or external_id,
                attributes="",
                options=(),
                price=own_price,
                stock=stock.get(""),
            ),
        )
    if status == "selling" and not variants:
        raise _malformed("a product on sale has no price")
    leaf = id_of(product.get("category_id"))
    company = id_of(product.get("eCompanyId"))
    images = product.get("images")
    pictures = [product.get("main_image"), *(images if isinstance(images, list) else [])]
    return SupplierProduct(
        external_id=id_of(product.get("product_id")) or external_id,
        aliases=(),
        title=text_of(product.get("title")),
        description=prose_of(product.get("description")),
        category_id=leaf or None,
        category_path=(leaf,) if leaf else (),
        category_name=text_of(product.get("category")) or None,
        status=status,
        rating=None,
        review_count=None,
        order_count=None,
        currency=_currency(product, ladders) or currency,
        variants=variants,
        image_urls=tuple(dict.fromkeys(url for one in pictures if (url := absolute_url(one)))),
        weight_grams=None,
        dimensions_mm=None,
        delivery_days=whole_number(trade.get("handling_time")),
        seller=SupplierSeller(
            external_id=company,
            name=text_of(product.get("supplier")) or company,
            rating=None,
            country=None,
        )
        if company
        else None,
        min_order_quantity=least,
        order_increment=1,
        tiers=_common_ladder([ladder for _, ladder in ladders if ladder]),
        attributes=(),
    )


def _currency(
    product: Mapping[str, Any], ladders: Sequence[tuple[Mapping[str, Any], Sequence[PriceTier]]]
) -> str:
    """The one currency of all prices; `Unavailable` when there are several."""
    named = {
        text_of(step.get("currency"))
        for sku, ladder in ladders
        if ladder
        for step in as_list(sku.get("ladder_price"), "min_quantity")
    } - {""}
    if len(named) > 1:
        raise _malformed("variants are priced in several currencies")
    return next(iter(named), text_of(product.get("currency")))


def _ladder(sku: Mapping[str, Any]) -> tuple[PriceTier, ...]:
    """A variant's prices by quantity. Without an upper end, or with -1, a step has none."""
    steps: dict[int, tuple[int | None, Decimal]] = {}
    for row in as_list(sku.get("ladder_price"), "min_quantity"):
        start, price = whole_number(row.get("min_quantity")), money(row.get("price"))
        if start is None or not price:
            continue
        end = whole_number(row.get("max_quantity"))
        steps[max(start, 1)] = (end if end and end >= start else None, price)
    starts = sorted(steps)
    return tuple(
        PriceTier(
            min_quantity=start,
            # A step never reaches into the next one, whatever it says of its end.
            max_quantity=starts[index + 1] - 1 if index + 1 < len(starts) else steps[start][0],
            price=steps[start][1],
        )
        for index, start in enumerate(starts)
    )


def _common_ladder(ladders: Sequence[Sequence[PriceTier]]) -> tuple[PriceTier, ...]:
    """One ladder for the product: at each quantity the dearest variant's price, so none is lost."""
    starts = sorted({step.min_quantity for ladder in ladders for step in ladder})
    prices = [max(_price_at(ladder, start) for ladder in ladders) for start in starts]
    kept = [
        (start, price)
        for index, (start, price) in enumerate(zip(starts, prices, strict=True))
        if index == 0 or price != prices[index - 1]
    ]
    return tuple(
        PriceTier(
            min_quantity=start,
            max_quantity=kept[index + 1][0] - 1 if index + 1 < len(kept) else None,
            price=price,
        )
        for index, (start, price) in enumerate(kept)
    )


def _price_at(ladder: Sequence[PriceTier], quantity: int) -> Decimal:
    reached = [step.price for step in ladder if step.min_quantity <= quantity]
    return reached[-1] if reached else ladder[0].price


def _variant(
    sku: Mapping[str, Any], ladder: Sequence[PriceTier], stock: Mapping[str, int]
) -> SupplierVariant:
    external_id = id_of(sku.get("sku_id"))
    attributes = as_list(sku.get("sku_attr_list"), "attr_name_id", "attr_name_desc")
    last = ladder[-1]
    pictures = [sku.get("image"), *(row.get("attr_value_image") for row in attributes)]
    return SupplierVariant(
        external_id=external_id,
        attributes=";".join(
            f"{text_of(row.get('attr_name_id'))}:{text_of(row.get('attr_value_id'))}"
            for row in attributes
        ),
        options=tuple(
            (text_of(row.get("attr_name_desc")), text_of(row.get("attr_value_desc")))
            for row in attributes
        ),
        price=ladder[0].price,
        bulk_price=last.price if len(ladder) > 1 else None,
        bulk_quantity=last.min_quantity if len(ladder) > 1 else None,
        stock=stock.get(external_id),
        image_url=next((url for one in pictures if (url := absolute_url(one))), None),
    )


def stock_from(body: Mapping[str, Any]) -> dict[str, int]:
    """Pieces by variant; under the empty id those of a product without variants."""
    places = first_of(body, "inventory", "result_data", "data", "value")
    if places is None:
        places = first_of(body, "result")
    found: dict[str, int] = {}
    for place in as_list(places, "inventory_list"):
        for row in as_list(place.get("inventory_list"), "inventory_count"):
            count = whole_number(row.get("inventory_count"))
            if count is not None:
                id_ = id_of(row.get("sku_id"))
                found[id_] = found.get(id_, 0) + count
    return found


def freight_from(body: Mapping[str, Any]) -> tuple[FreightOption, ...]:
    """The ways to have it sent, cheapest first."""
    for layer in layers(body):
        if _business_code(layer) in mapping.NOTHING_SHIPS:
            return ()
    _check(body)
    listed = first_of(body, "value", "result_data", "data")
    if listed is None:
        raise _malformed("no ways of delivery and no reason")
    rows = as_list(listed, "vendor_code")
    options = [option for row in rows if (option := _freight_option(row)) is not None]
    return tuple(sorted(options, key=lambda option: (option.fee, option.max_days or 999)))


def _freight_option(row: Mapping[str, Any]) -> FreightOption | None:
    fee = row.get("fee")
    amount = money(fee.get("amount")) if isinstance(fee, dict) else None
    code = text_of(row.get("vendor_code"))
    if not isinstance(fee, dict) or amount is None or not code:
        return None
    min_days, max_days = _span(text_of(row.get("delivery_time")))
    return FreightOption(
        code=code,
        name=text_of(row.get("vendor_name")) or code,
        fee=amount,
        currency=text_of(fee.get("currency")),
        min_days=min_days,
        max_days=max_days,
        is_tracked=None,
        ships_from=text_of(row.get("dispatch_country")) or None,
        duties_paid=text_of(row.get("trade_term")) == "DDP",
    )


def _span(shown: str) -> tuple[int | None, int | None]:
    """Days as `10~15` or `12`."""
    found = _days.search(shown)
    if found is None:
        return None, None
    least, most, exact = found.groups()
    return (int(exact), int(exact)) if exact else (int(least), int(most))


def _business_code(layer: Mapping[str, Any]) -> str:
    return text_of(layer.get("result_code")) or text_of(layer.get("code"))


def _check(body: Mapping[str, Any]) -> None:
    """Raise what the inner code says; "0", "200" and none are well."""
    for layer in layers(body):
        code = _business_code(layer)
        if code not in ("", "0", "00", "200"):
            raise _refused(code)


def _refused(code: str) -> ProviderError:
    says = f"Alibaba refused: {code}."
    if code == mapping.ACCOUNT_REFUSED:
        return Misconfigured(says, code="permission_missing")
    if code in mapping.REFUSED_PRODUCTS:
        return Rejected(says, code=mapping.REFUSED_PRODUCTS[code])
    if code.startswith("5") and len(code) == 3:
        return Unavailable(says, code="server_error")
    return Rejected(says, code="request_refused")


def _malformed(what: str) -> Unavailable:
    return Unavailable(f"Alibaba answered in no known shape: {what}.", code="answer_malformed")
