"""AliExpress' Dropshipping API over the synthetic catalogue of `supplier_catalogue.py`.

Lists are plain with `simplify=true` and wrapped in their type's name without it. The fault `shape`
gives the wrapped form whatever was asked, with numbers as texts, members that nobody knows and,
where there is one thing in a list, the thing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.sandbox import supplier_catalogue as catalogue
from tests.sandbox.open_platform import (
    OpenPlatform,
    Refusal,
    oddly,
    page_of,
    wanted,
    wanted_object,
    without_nulls,
    wrapped,
)
from tests.sandbox.supplier_catalogue import Item, Sku

PER_DOLLAR = {
    "USD": Decimal(1),
    "CNY": Decimal("7.05"),
    "EUR": Decimal("0.8797"),
    "ZAR": Decimal("17.12"),
    "XAF": Decimal("577.07"),
}
LARGEST_PAGE = 50
SORTS: dict[str, tuple[Callable[[Item], Any], bool]] = {
    "min_price,asc": (lambda one: one.price, False),
    "min_price,desc": (lambda one: one.price, True),
    "orders,desc": (lambda one: one.orders or 0, True),
    "comments,desc": (lambda one: one.reviews or 0, True),
}


class AliExpress(OpenPlatform):
    """The buyer's side of the API."""

    name = "aliexpress"

    def methods(self) -> dict[str, tuple[str, Callable[[dict[str, str]], dict[str, Any]]]]:
        """Dotted names at `/sync`."""
        return {
            "aliexpress.ds.text.search": ("search", self._search),
            "aliexpress.ds.product.get": ("detail", self._detail),
            "aliexpress.ds.category.get": ("categories", self._categories),
            "aliexpress.ds.freight.query": ("freight", self._freight),
        }

    def _search(self, given: dict[str, str]) -> dict[str, Any]:
        for name in ("local", "countryCode", "currency"):
            wanted(given, name)
        category = given.get("categoryId", "")
        if not given.get("keyWord") and not category:
            raise Refusal("ISV", "MissingParameter", "The parameter keyWord is missing")
        shelf, currency = self.shelf.read(), _currency(given["currency"])
        ids = catalogue.listed(
            shelf["day"],
            shelf["items"],
            int(category) if category.isdigit() else None,
            given.get("keyWord", ""),
        )
        if given.get("sortBy") in SORTS:
            key, is_descending = SORTS[given["sortBy"]]
            ids = tuple(sorted(ids, key=lambda id_: key(self._item(id_)), reverse=is_descending))
        page, size = page_of(given.get("pageIndex"), 1), page_of(given.get("pageSize"), 20)
        size = min(size, LARGEST_PAGE)
        shown = ids[(page - 1) * size : page * size]
        is_french = given["local"].startswith("fr")
        rows = [self._line(id_, currency, is_french=is_french) for id_ in shown]
        data = {
            "totalCount": len(ids),
            "pageIndex": page,
            "pageSize": size,
            "products": self._list(given, "selection_search_product", rows),
        }
        return self._said("aliexpress.ds.text.search", {"code": "00", "data": without_nulls(data)})

    def _line(self, id_: str, currency: str, *, is_french: bool) -> dict[str, Any]:
        one = self._item(id_)
        price, list_price = _in(currency, one.price), _in(currency, one.list_price)
        line: dict[str, Any] = {
            "itemId": id_,
            "title": one.title_fr if is_french else one.title,
            "type": "search",
            "itemUrl": f"//www.aliexpress.com/item/{id_}.html?skuId={one.skus[0].id}",
            "cateId": ",".join(map(str, one.path)),
            "discount": "0%",
            "originalPrice": str(_in("CNY", one.list_price)),
            "originalPriceCurrency": "CNY",
            "salePrice": str(_in("CNY", one.price)),
            "salePriceCurrency": "CNY",
            "targetSalePrice": str(price),
            "targetOriginalPrice": str(list_price),
            "targetOriginalPriceCurrency": currency,
            "salePriceFormat": f"{price} {currency}",
            "originMinPrice": json.dumps({"cent": int(price * 100), "currencyCode": currency}),
        }
        if one.pictures:
            line["itemMainPic"] = self.picture_url(one.pictures[0])
        if one.rating is not None and one.reviews is not None and one.orders is not None:
            line |= {
                "score": f"{one.rating:.1f}",
                "evaluateRate": f"{one.rating * 20:.1f}%",
                "orders": _shown_count(one.orders),
            }
        return line

    def _detail(self, given: dict[str, str]) -> dict[str, Any]:
        method, country = "aliexpress.ds.product.get", wanted(given, "ship_to_country")
        id_ = wanted(given, "product_id")
        shelf = self.shelf.read()
        number = catalogue.number_of(id_, shelf["items"])
        if number is None or (one := catalogue.item(number, shelf["day"])).status == "missing":
            return self._said(method, {"rsp_code": 605, "rsp_msg": "ITEM_ID_NOT_FOUND"})
        if country not in one.ships_to:
            return self._said(
                method, {"rsp_code": 602, "rsp_msg": "The item is not sold to this country"}
            )
        currency = _currency(given.get("target_currency") or "USD")
        result = self._product(one, id_, country, currency, given)
        return self._said(method, {"rsp_code": 200, "rsp_msg": "Call succeeds", "result": result})

    def _product(
        self, one: Item, id_: str, country: str, currency: str, given: dict[str, str]
    ) -> dict[str, Any]:
        is_french = given.get("target_language", "en").startswith("fr")
        title = one.title_fr if is_french else one.title
        material = one.material[1 if is_french else 0]
        skus = [self._sku(sku, currency, given, is_french=is_french) for sku in one.skus]
        base: dict[str, Any] = {
            "product_id": int(id_),
            "subject": title,
            "detail": f"<div><p>{title}</p><p>{material}</p><script>track()</script></div>",
            "mobile_detail": '{"version":"2.0.0","moduleList":[]}',
            "category_id": one.category.id,
            "product_status_type": "onSelling" if one.status == "selling" else "offline",
            "separated_listing": False,
            "sl_product": False,
            "currency_code": "CNY",
        }
        if one.rating is not None and one.reviews is not None and one.orders is not None:
            base |= {
                "avg_evaluation_rating": f"{one.rating:.1f}",
                "evaluation_count": str(one.reviews),
                "sales_count": _shown_count(one.orders).replace(",", ""),
            }
        rating = one.seller.rating
        length, width, height = one.sides_cm
        pictures = ";".join(self.picture_url(number) for number in one.pictures)
        return without_nulls(
            {
                "ae_item_base_info_dto": base,
                "ae_item_sku_info_dtos": self._list(given, "ae_item_sku_info_d_t_o", skus),
                "ae_multimedia_info_dto": {"image_urls": pictures},
                "package_info_dto": {
                    "package_length": length,
                    "package_width": width,
                    "package_height": height,
                    "gross_weight": f"{Decimal(one.grams) / 1000:.3f}",
                    "package_type": False,
                    "product_unit": 100000015,
                },
                "logistics_info_dto": {
                    "delivery_time": one.delivery_days,
                    "ship_to_country": country,
                },
                "ae_store_info": {
                    "store_id": one.seller.id,
                    "store_name": one.seller.name,
                    "store_country_code": one.seller.country,
                    "item_as_described_rating": f"{rating:.1f}",
                    "communication_rating": f"{rating:.1f}",
                    "shipping_speed_rating": f"{rating:.1f}",
                },
                "ae_item_properties": self._list(
                    given,
                    "ae_item_property",
                    [
                        {"attr_name_id": 2, "attr_name": "Brand Name", "attr_value": "NONE"},
                        {"attr_name_id": 10, "attr_name": "Material", "attr_value": material},
                    ],
                ),
                "product_id_converter_result": {
                    "main_product_id": int(one.id),
                    "sub_product_id": json.dumps({"US": int(one.alias)}) if one.alias else "{}",
                },
                "has_whole_sale": False,
            }
        )

    def _sku(
        self, sku: Sku, currency: str, given: dict[str, str], *, is_french: bool
    ) -> dict[str, Any]:
        price = _in(currency, sku.price)
        options: list[dict[str, Any]] = []
        if sku.colour is not None:
            option = {
                "sku_property_id": 14,
                "sku_property_name": "Couleur" if is_french else "Color",
                "property_value_id": sku.colour[0],
                "sku_property_value": sku.colour[2 if is_french else 1],
                "sku_image": self.picture_url(8_000_000 + sku.colour[0] % 1000),
            }
            if sku.own_name:
                option["property_value_definition_name"] = sku.own_name
            options.append(option)
        if sku.size is not None:
            options.append(
                {
                    "sku_property_id": 5,
                    "sku_property_name": "Taille" if is_french else "Size",
                    "property_value_id": sku.size[0],
                    "sku_property_value": sku.size[1],
                }
            )
        return without_nulls(
            {
                "sku_id": sku.id,
                "sku_attr": sku.attributes,
                "id": sku.attributes,
                "sku_price": str((price * Decimal("1.6")).quantize(Decimal("0.01"))),
                "offer_sale_price": str(price),
                "offer_bulk_sale_price": str((price * Decimal("0.95")).quantize(Decimal("0.01"))),
                "sku_bulk_order": 10,
                "currency_code": currency,
                "price_include_tax": False,
                "sku_available_stock": sku.stock,
                "ae_sku_property_dtos": self._list(given, "ae_sku_property_d_t_o", options),
            }
        )

    def _categories(self, given: dict[str, str]) -> dict[str, Any]:
        is_french = given.get("language", "en").startswith("fr")
        rows = [
            without_nulls(
                {
                    "category_id": node.id,
                    "category_name": node.name_fr if is_french else node.name,
                    "parent_category_id": node.parent_id,
                }
            )
            for node in catalogue.CATEGORIES.values()
        ]
        result = {
            "total_result_count": len(rows),
            "categories": self._list(given, "category", rows),
        }
        return self._said(
            "aliexpress.ds.category.get",
            {"resp_result": {"resp_code": 200, "resp_msg": "Call succeeds", "result": result}},
        )

    def _freight(self, given: dict[str, str]) -> dict[str, Any]:
        method, asked = "aliexpress.ds.freight.query", wanted_object(given, "queryDeliveryReq")
        shelf = self.shelf.read()
        number = catalogue.number_of(str(asked.get("productId")), shelf["items"])
        one = None if number is None else catalogue.item(number, shelf["day"])
        known = {sku.id for sku in one.skus} if one is not None else set()
        if one is None or one.status != "selling" or asked.get("selectedSkuId") not in known:
            return self._said(
                method, {"result": {"success": False, "code": 501, "msg": "DELIVERY_INFO_EMPTY"}}
            )
        if asked.get("shipToCountry") not in one.ships_to:
            return self._said(
                method,
                {
                    "result": {
                        "success": False,
                        "code": 505,
                        "msg": "DELIVERY_NOT_AVAILABLE_TO_YOUR_ADDRESS",
                    }
                },
            )
        currency = _currency(str(asked.get("currency") or "USD"))
        weight = Decimal(max(one.grams, 100) * int(asked.get("quantity") or 1)) / 1000
        rows = []
        for code, company, per_kg, days in (
            ("CAINIAO_FULFILLMENT_STD", "AliExpress Selection Standard", Decimal(9), 0),
            ("CAINIAO_EXPRESS", "AliExpress Selection Express", Decimal(21), -4),
        ):
            fee = _in(currency, Decimal("1.49") + per_kg * weight)
            least = max(3, one.delivery_days + days)
            rows.append(
                {
                    "code": code,
                    "company": company,
                    "shipping_fee_cent": str(fee),
                    "shipping_fee_currency": currency,
                    "shipping_fee_format": f"{fee} {currency}",
                    "free_shipping": False,
                    "mayHavePFS": True,
                    "free_shipping_threshold": "0,00€",
                    "min_delivery_days": least,
                    "max_delivery_days": least + 6,
                    "guaranteed_delivery_days": "60",
                    "ship_from_country": "CN",
                    "tracking": True,
                    "available_stock": str(one.stock),
                }
            )
        result = {
            "success": True,
            "code": 200,
            "msg": "Call succeeds",
            "delivery_options": self._list(given, "delivery_option_d_t_o", rows),
        }
        return self._said(method, {"result": result})

    def _item(self, id_: str) -> Item:
        number = catalogue.number_of(id_)
        if number is None:
            raise Refusal("ISP", "ServiceTimeout", "The item vanished while it was looked for")
        return catalogue.item(number, self.shelf.day)

    def _list(self, given: dict[str, str], name: str, rows: list[Any]) -> Any:
        return wrapped(name, rows, is_simple=given.get("simplify") == "true" and not self.is_odd)

    def _said(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """The envelope: the method's name with underscores."""
        shaped = oddly(body) if self.is_odd else body
        inner = {**shaped, "request_id": "2101000000000001", "_trace_id_": "2140000000000001"}
        return {f"{method.replace('.', '_')}_response": inner}


def _currency(code: str) -> str:
    if code not in PER_DOLLAR:
        raise Refusal("ISV", "InvalidParameter", "The currency is invalid")
    return code


def _in(currency: str, dollars: Decimal) -> Decimal:
    return (dollars * PER_DOLLAR[currency]).quantize(Decimal("0.01"))


def _shown_count(count: int) -> str:
    """As a page shows it: exactly while it is small, then rounded down with a plus."""
    return str(count) if count < 100 else f"{count // 100 * 100:,}+"
