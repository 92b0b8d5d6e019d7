"""Alibaba.com's buyer API over the wholesale part of the synthetic catalogue.

Each path takes one JSON parameter of its own name; search counts pages from 1. There is no rating
of anything and no tree of categories, as there.
"""

from __future__ import annotations

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
)
from tests.sandbox.supplier_catalogue import Lot, Sku

LARGEST_PAGE = 50


class Alibaba(OpenPlatform):
    """The buyer's side of the API."""

    name = "alibaba"

    def methods(self) -> dict[str, tuple[str, Callable[[dict[str, str]], dict[str, Any]]]]:
        """Paths under `/rest`."""
        return {
            "/eco/buyer/product/search": ("search", self._search),
            "/eco/buyer/product/description": ("detail", self._detail),
            "/eco/buyer/product/inventory": ("inventory", self._inventory),
            "/shipping/freight/calculate": ("freight", self._freight),
        }

    def _search(self, given: dict[str, str]) -> dict[str, Any]:
        asked = wanted_object(given, "param0")
        if not asked.get("keyword"):
            raise Refusal("ISV", "MissingParameter", "The parameter keyword is missing")
        shelf = self.shelf.read()
        ids = catalogue.lots_listed(shelf["day"], shelf["wholesale_items"], str(asked["keyword"]))
        page = page_of(asked.get("index"), 1)
        size = min(page_of(asked.get("size"), 20), LARGEST_PAGE)
        is_french = str(asked.get("language", "en")).startswith("fr")
        rows = [
            self._line(id_, shelf["day"], is_french=is_french)
            for id_ in ids[(page - 1) * size : page * size]
        ]
        data = {
            "pagination": {"total_product_count": len(ids)},
            "products": None if self.is_odd and not rows else rows,
        }
        return self._said({"code": "200", "data": without_nulls(data)})

    def _line(self, id_: str, day: int, *, is_french: bool) -> dict[str, Any]:
        one = catalogue.lot(catalogue.lot_number_of(id_) or 0, day)
        dearest, cheapest = one.ladder[0][1], one.ladder[-1][1]
        price = f"${cheapest}" if dearest == cheapest else f"${cheapest}-{dearest}"
        line: dict[str, Any] = {
            "product_id": id_,
            "title": one.title_fr if is_french else one.title,
            "price": price,
            "permalink": f"//www.alibaba.com/product-detail/x_{id_}.html",
        }
        if one.pictures:
            line["image"] = {"main_image": self.picture_url(one.pictures[0])}
        return line

    def _detail(self, given: dict[str, str]) -> dict[str, Any]:
        asked = wanted_object(given, "query_req")
        one = self._lot(asked.get("product_id"))
        country = asked.get("country") or asked.get("ship_to_country")
        if not country:
            raise Refusal("ISV", "MissingParameter", "The parameter country is missing")
        if one is None or one.status == "missing":
            return self._said({"result_code": "130106", "result_msg": "product offline"})
        if country not in one.ships_to:
            return self._said({"result_code": "120019", "result_msg": "cannot ship there"})
        is_french = str(asked.get("language", "en")).startswith("fr")
        title = one.title_fr if is_french else one.title
        pictures = [self.picture_url(number) for number in one.pictures]
        detail = {
            "product_id": one.id,
            "title": title,
            "description": f"<p>{title}</p>",
            "detail_url": f"https://www.alibaba.com/product-detail/x_{one.id}.html",
            "main_image": pictures[0] if pictures else None,
            "images": pictures,
            "category_id": str(one.category.id),
            "category": one.category.name_fr if is_french else one.category.name,
            "supplier": one.company.name,
            "eCompanyId": f"ec_{one.company.id}",
            "currency": "USD",
            "min_order_quantity": one.least,
            "status": "PRODUCT_ONLINE" if one.status == "selling" else "PRODUCT_OFFLINE",
            "mode_id": "m1",
            "wholesale_trade": {
                "min_order_quantity": one.least,
                "unit_type": "Piece",
                "handling_time": 7,
                "price": str(one.ladder[0][1]),
                "deliver_periods": [{"quantity": 100, "process_period": 7}],
            },
            "skus": [self._sku(one, sku, is_french=is_french) for sku in one.skus],
        }
        return self._said({"result_code": "200", "result_data": without_nulls(detail)})

    def _sku(self, one: Lot, sku: Sku, *, is_french: bool) -> dict[str, Any]:
        ladder = []
        for index, (quantity, price) in enumerate(one.ladder):
            is_last = index + 1 == len(one.ladder)
            ladder.append(
                {
                    "min_quantity": quantity,
                    "max_quantity": -1 if is_last else one.ladder[index + 1][0] - 1,
                    "price": str((price + sku.price).quantize(Decimal("0.01"))),
                    "currency": "USD",
                }
            )
        colour = sku.colour or (0, "", "")
        return {
            "sku_id": sku.id,
            "status": "ENABLED",
            "unit": "Piece",
            "image": self.picture_url(9_000_000 + colour[0] % 1000),
            "sku_attr_list": [
                {
                    "attr_name_id": "191288010",
                    "attr_name_desc": "Couleur" if is_french else "Color",
                    "attr_value_id": str(colour[0]),
                    "attr_value_desc": colour[2 if is_french else 1],
                    "attr_value_image": "",
                }
            ],
            "ladder_price": ladder,
        }

    def _inventory(self, given: dict[str, str]) -> dict[str, Any]:
        asked = wanted_object(given, "inv_req")
        one = self._lot(asked.get("product_id"))
        if one is None or one.status == "missing":
            return self._said({"result_code": "130106", "result_msg": "product offline"})
        rows = [
            {"sku_id": sku.id, "inventory_count": sku.stock, "inventory_unit": "Piece"}
            for sku in one.skus
        ]
        place = {"shipping_from": "CN", "inventory_list": rows}
        return self._said({"result_code": "200", "result_data": [place]})

    def _freight(self, given: dict[str, str]) -> dict[str, Any]:
        one = self._lot(wanted(given, "product_id"))
        quantity = int(wanted(given, "quantity"))
        country = wanted(given, "destination_country")
        if one is None or one.status != "selling":
            return {"code": "130106", "result_msg": "product offline"}
        if quantity < one.least:
            return {"code": "410006", "result_msg": "below the least quantity"}
        if country not in one.ships_to:
            return {"code": "120019", "result_msg": "cannot ship there"}
        kilograms = Decimal(max(one.category.grams, 100) * quantity) / 1000
        value = [
            {
                "vendor_code": code,
                "vendor_name": name,
                "shipping_type": "EXPRESS",
                "trade_term": "DAP",
                "dispatch_country": "CN",
                "destination_country": country,
                "delivery_time": days,
                "fee": {
                    "amount": str((start + per_kg * kilograms).quantize(Decimal("0.01"))),
                    "currency": "USD",
                },
            }
            for code, name, start, per_kg, days in (
                ("SEMI_MANAGED_EXPRESS", "Alibaba.com Express", Decimal(18), Decimal(9), "7~12"),
                ("SEMI_MANAGED_STANDARD", "Alibaba.com Standard", Decimal(11), Decimal(6), "10~15"),
            )
        ]
        return {"code": "0", "value": oddly(value) if self.is_odd else value}

    def _lot(self, id_: Any) -> Lot | None:
        shelf = self.shelf.read()
        number = catalogue.lot_number_of(str(id_), shelf["wholesale_items"])
        return None if number is None else catalogue.lot(number, shelf["day"])

    def _said(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"code": "0", "result": oddly(result) if self.is_odd else result}
