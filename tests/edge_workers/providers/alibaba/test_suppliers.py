"""Alibaba's answers in every shape that they were seen in, read into neutral values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.alibaba import AlibabaSupplier
from edge_workers.providers.contracts.suppliers import (
    FoundProduct,
    FreightOption,
    PriceTier,
    SupplierProduct,
    SupplierQuery,
    SupplierSeller,
    SupplierVariant,
)
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.contracts.peer import Heard, Peer, Said, peer
from tests.edge_workers.providers.supplier_peer import FixedTokens, platform_at, said, sent

QUERY = SupplierQuery(
    country="ZA", currency="USD", keyword="solar lamp", language="en", page=1, page_size=20
)
LINE = {
    "product_id": "1600000000001",
    "title": "Solar garden lamp",
    "price": "$0.88-1.05",
    "permalink": "//www.alibaba.com/product-detail/x_1600000000001.html",
    "image": {"main_image": "//s.alicdn.example/a.jpg"},
}
FOUND = FoundProduct(
    external_id="1600000000001",
    title="Solar garden lamp",
    price=Decimal("0.88"),
    currency="USD",
    rating=None,
    orders=None,
    category_path=(),
    image_url="https://s.alicdn.example/a.jpg",
)
SKU = {
    "sku_id": "100500001",
    "status": "ENABLED",
    "unit": "Piece",
    "image": "https://s.alicdn.example/s.jpg",
    "sku_attr_list": [
        {
            "attr_name_id": "191288010",
            "attr_name_desc": "Color",
            "attr_value_id": "3330",
            "attr_value_desc": "Black",
            "attr_value_image": "",
        }
    ],
    "ladder_price": [
        {"min_quantity": 10, "max_quantity": 99, "price": "1.20", "currency": "USD"},
        {"min_quantity": 100, "max_quantity": -1, "price": "0.95", "currency": "USD"},
    ],
}
DETAIL = {
    "product_id": "1600000000001",
    "title": "Solar garden lamp",
    "description": "<p>…</p>",
    "detail_url": "https://www.alibaba.com/product-detail/x.html",
    "main_image": "https://s.alicdn.example/a.jpg",
    "images": ["https://s.alicdn.example/a.jpg", "//s.alicdn.example/b.jpg"],
    "category_id": "100001",
    "category": "Garden lights",
    "supplier": "Example Lighting Co., Ltd.",
    "eCompanyId": "ec_dummy",
    "currency": "USD",
    "min_order_quantity": 10,
    "status": "PRODUCT_ONLINE",
    "mode_id": "m1",
    "wholesale_trade": {
        "min_order_quantity": 10,
        "unit_type": "Piece",
        "handling_time": 7,
        "price": "1.20",
        "deliver_periods": [{"quantity": 100, "process_period": 7}],
    },
    "skus": [SKU],
}
TIERS = (
    PriceTier(min_quantity=10, max_quantity=99, price=Decimal("1.20")),
    PriceTier(min_quantity=100, max_quantity=None, price=Decimal("0.95")),
)
PRODUCT = SupplierProduct(
    external_id="1600000000001",
    aliases=(),
    title="Solar garden lamp",
    description="<p>…</p>",
    category_id="100001",
    category_path=("100001",),
    category_name="Garden lights",
    status="selling",
    rating=None,
    review_count=None,
    order_count=None,
    currency="USD",
    variants=(
        SupplierVariant(
            external_id="100500001",
            attributes="191288010:3330",
            options=(("Color", "Black"),),
            price=Decimal("1.20"),
            bulk_price=Decimal("0.95"),
            bulk_quantity=100,
            stock=812,
            image_url="https://s.alicdn.example/s.jpg",
        ),
    ),
    image_urls=("https://s.alicdn.example/a.jpg", "https://s.alicdn.example/b.jpg"),
    weight_grams=None,
    dimensions_mm=None,
    delivery_days=7,
    seller=SupplierSeller(
        external_id="ec_dummy", name="Example Lighting Co., Ltd.", rating=None, country=None
    ),
    min_order_quantity=10,
    order_increment=1,
    tiers=TIERS,
    attributes=(),
)
INVENTORY = [
    {
        "shipping_from": "CN",
        "inventory_list": [
            {"sku_id": "100500001", "inventory_count": "800", "inventory_unit": "Piece"}
        ],
    },
    {
        "shipping_from": "CN-2",
        "inventory_list": [{"sku_id": 100500001, "inventory_count": 12, "inventory_unit": "Piece"}],
    },
]


def searched(data: Any) -> dict[str, Any]:
    return {"code": "0", "request_id": "21", "result": {"code": "200", "data": data}}


def described(change: Callable[[dict[str, Any]], Any] = lambda _body: None) -> dict[str, Any]:
    """A product's whole answer, changed by a test."""
    result = copy.deepcopy(DETAIL)
    change(result)
    return {
        "code": "0",
        "request_id": "21",
        "result": {"result_code": "200", "result_data": result},
    }


def stocked(rows: Any = INVENTORY) -> dict[str, Any]:
    return {"code": "0", "result": {"result_code": "200", "result_data": rows}}


def supplier_at(gateway: Peer) -> AlibabaSupplier:
    return AlibabaSupplier(platform_at(gateway.url, "alibaba"), FixedTokens())


def read_product(
    body: dict[str, Any], inventory: dict[str, Any] | None = None
) -> tuple[SupplierProduct, list[Heard]]:
    answers: list[Said] = [said(body), said(inventory or stocked())]
    with peer(*answers) as gateway:
        product = supplier_at(gateway).detail(
            "1601206892606", country="ZA", currency="USD", language="en"
        )
        return product, list(gateway.heard)


# Search


@pytest.mark.parametrize(
    "data",
    [
        {"pagination": {"total_product_count": 812}, "products": [LINE]},
        {"pagination": {"total_product_count": "812"}, "products": {"product": LINE}},
        {"total_product_count": 812, "products": [{**LINE, "product_id": 1600000000001}]},
        {"total_product_count": 812, "products": {"product": [LINE], "count": 1}},
        {"total_product_count": 812, "products": LINE},
    ],
)
def test_reads_a_search(data: Any) -> None:
    with peer(said(searched(data))) as gateway:
        page = supplier_at(gateway).search(QUERY)
        (heard,) = gateway.heard
    assert page.items == (FOUND,)
    assert (page.next_page, page.total) == (2, 812)
    given = sent(heard)
    assert (heard.method, heard.path) == ("POST", "/rest/eco/buyer/product/search")
    assert given["access_token"] == "test"
    assert given["param0"] == (
        '{"index":1,"size":20,"keyword":"solar lamp","shipToCountry":"ZA","currency":"USD",'
        '"language":"en-US"}'
    )


@pytest.mark.parametrize(
    ("shown", "price"),
    [
        ("$0.88-1.05", "0.88"),
        ("$1,200.00-1,400.00", "1200.00"),
        ("US$ 3.50", "3.50"),
        ("0.95", "0.95"),
        ("ask us", None),
        (None, None),
    ],
)
def test_the_price_of_a_line_is_the_lower_end(shown: Any, price: str | None) -> None:
    data = {"pagination": {"total_product_count": 1}, "products": [{**LINE, "price": shown}]}
    with peer(said(searched(data))) as gateway:
        (item,) = supplier_at(gateway).search(QUERY).items
    assert item.price == (None if price is None else Decimal(price))


@pytest.mark.parametrize("products", [..., None, []])
def test_nothing_found(products: Any) -> None:
    data = {"pagination": {"total_product_count": 0}}
    if products is not ...:
        data["products"] = products
    with peer(said(searched(data))) as gateway:
        page = supplier_at(gateway).search(QUERY)
    assert (page.items, page.next_page, page.total) == ((), None, 0)


@pytest.mark.parametrize("data", [{}, {"pagination": {"total_product_count": 3}}, {"x": [1]}])
def test_an_unknown_shape_is_no_empty_page(data: Any) -> None:
    with peer(said(searched(data))) as gateway, pytest.raises(Unavailable) as error:
        supplier_at(gateway).search(QUERY)
    assert error.value.code == "answer_malformed"


# Detail


def test_reads_the_documents_product_and_what_is_in_stock() -> None:
    product, heard = read_product(described())
    assert product == PRODUCT
    assert [one.path for one in heard] == [
        "/rest/eco/buyer/product/description",
        "/rest/eco/buyer/product/inventory",
    ]
    assert sent(heard[0])["query_req"] == (
        '{"product_id":1601206892606,"country":"ZA","currency":"USD","language":"en-US"}'
    )
    # The document's vector A2 is this call.
    assert sent(heard[0])["sign"] == (
        "5A2FB333A54838443DFE76D6857BDC8E04D036EB47E5E3879BDE375AA1E57CC1"
    )


@pytest.mark.parametrize(
    "inventory",
    [
        stocked([]),
        {"code": "0", "result": {"result_code": "10005", "result_msg": "SKU invalid"}},
        {"type": "ISV", "code": "InvalidParameter", "message": "no", "request_id": "1"},
    ],
)
def test_stock_that_alibaba_does_not_tell_is_unknown(inventory: dict[str, Any]) -> None:
    product, _heard = read_product(described(), inventory)
    assert [variant.stock for variant in product.variants] == [None]


@pytest.mark.parametrize(
    ("places", "stock"), [(INVENTORY[0], 800), ({"place": INVENTORY, "count": 2}, 812)]
)
def test_stock_in_another_wrapping(places: Any, stock: int) -> None:
    product, _heard = read_product(described(), stocked(places))
    assert [variant.stock for variant in product.variants] == [stock]


def test_what_left_is_not_asked_for_its_stock() -> None:
    def change(result: dict[str, Any]) -> None:
        result["status"] = "PRODUCT_OFFLINE"

    product, heard = read_product(described(change))
    assert product.status == "gone"
    assert len(heard) == 1


@pytest.mark.parametrize("end", [-1, "-1", None, "", 0])
def test_a_ladder_without_an_end(end: Any) -> None:
    def change(result: dict[str, Any]) -> None:
        result["skus"][0]["ladder_price"][1]["max_quantity"] = end

    product, _heard = read_product(described(change))
    assert product.tiers == TIERS


def test_steps_never_overlap_whatever_they_say() -> None:
    def change(result: dict[str, Any]) -> None:
        result["skus"][0]["ladder_price"][0]["max_quantity"] = 5000
        result["skus"][0]["ladder_price"].reverse()

    product, _heard = read_product(described(change))
    assert product.tiers == TIERS


def test_the_products_ladder_is_the_dearest_variants() -> None:
    def change(result: dict[str, Any]) -> None:
        other = copy.deepcopy(SKU)
        other |= {
            "sku_id": "100500002",
            "ladder_price": [
                {"min_quantity": 10, "max_quantity": 49, "price": "1.10", "currency": "USD"},
                {"min_quantity": 50, "max_quantity": -1, "price": "1.00", "currency": "USD"},
            ],
        }
        result["skus"].append(other)

    product, _heard = read_product(described(change))
    assert product.tiers == (
        PriceTier(min_quantity=10, max_quantity=99, price=Decimal("1.20")),
        PriceTier(min_quantity=100, max_quantity=None, price=Decimal("1.00")),
    )
    assert [variant.price for variant in product.variants] == [Decimal("1.20"), Decimal("1.10")]


def test_the_least_quantity_is_the_greater_of_two() -> None:
    def change(result: dict[str, Any]) -> None:
        result["min_order_quantity"] = "5"
        result["wholesale_trade"]["min_order_quantity"] = 20

    product, _heard = read_product(described(change))
    assert product.min_order_quantity == 20


def test_goods_without_variants_are_their_own() -> None:
    def change(result: dict[str, Any]) -> None:
        del result["skus"]

    no_sku = [{"shipping_from": "CN", "inventory_list": [{"inventory_count": 7}]}]
    product, _heard = read_product(described(change), stocked(no_sku))
    (variant,) = product.variants
    assert (variant.external_id, variant.price, variant.stock) == (
        "1600000000001",
        Decimal("1.20"),
        7,
    )


def test_a_disabled_variant_is_not_offered() -> None:
    def change(result: dict[str, Any]) -> None:
        result["skus"].append({**SKU, "sku_id": "2", "status": "DISABLED"})

    product, _heard = read_product(described(change))
    assert [variant.external_id for variant in product.variants] == ["100500001"]


def test_prices_in_two_currencies_are_not_mixed() -> None:
    def change(result: dict[str, Any]) -> None:
        result["skus"][0]["ladder_price"][1]["currency"] = "CNY"

    with pytest.raises(Unavailable, match="several currencies"):
        read_product(described(change))


@pytest.mark.parametrize(
    ("code", "class_", "ours"),
    [
        ("130106", Rejected, "product_gone"),
        ("120019", Rejected, "not_sold_here"),
        ("4015", Rejected, "not_sold_here"),
        ("110001", Misconfigured, "permission_missing"),
        ("500", Unavailable, "server_error"),
        ("400007", Rejected, "request_refused"),
        (480006, Rejected, "request_refused"),
    ],
)
def test_business_codes(code: Any, class_: type[Exception], ours: str) -> None:
    body = {"code": "0", "result": {"result_code": code, "result_msg": "no"}}
    with pytest.raises(class_) as error:
        read_product(body)
    assert getattr(error.value, "code", None) == ours


def test_well_without_a_product_is_no_answer() -> None:
    with pytest.raises(Unavailable) as error:
        read_product({"code": "0", "result": {"result_code": "200"}})
    assert error.value.code == "answer_malformed"


@pytest.mark.parametrize("external_id", ["", "abc", "1.5", "9" * 20, "1;2"])
def test_an_id_that_alibaba_cannot_have_is_not_asked_for(external_id: str) -> None:
    with peer(said({})) as gateway:
        with pytest.raises(Rejected) as error:
            supplier_at(gateway).detail(external_id, country="ZA", currency="USD", language="en")
        assert gateway.heard == []
    assert error.value.code == "product_gone"


def test_there_is_no_tree() -> None:
    with peer(said({})) as gateway:
        assert supplier_at(gateway).categories("en") == ()
        assert gateway.heard == []


# Freight

OPTION = {
    "vendor_code": "SEMI_MANAGED_STANDARD",
    "vendor_name": "Alibaba.com Standard",
    "shipping_type": "EXPRESS",
    "trade_term": "DAP",
    "dispatch_country": "CN",
    "destination_country": "ZA",
    "delivery_time": "10~15",
    "fee": {"amount": "25.30", "currency": "USD"},
}


def freight(body: dict[str, Any]) -> tuple[FreightOption, ...]:
    with peer(said(body)) as gateway:
        options = supplier_at(gateway).freight(
            "1600000000001",
            variant_id="100500001",
            quantity=10,
            country="ZA",
            currency="USD",
            language="en",
        )
        (heard,) = gateway.heard
    assert heard.path == "/rest/shipping/freight/calculate"
    assert sent(heard)["quantity"] == "10"
    return options


def test_reads_ways_of_delivery() -> None:
    dear = {**OPTION, "vendor_code": "EXPRESS", "fee": {"amount": 40, "currency": "USD"}}
    nothing = {**OPTION, "fee": None}
    options = freight({"code": "0", "value": [dear, OPTION, nothing]})
    assert options[0] == FreightOption(
        code="SEMI_MANAGED_STANDARD",
        name="Alibaba.com Standard",
        fee=Decimal("25.30"),
        currency="USD",
        min_days=10,
        max_days=15,
        is_tracked=None,
        ships_from="CN",
        duties_paid=False,
    )
    assert [option.code for option in options] == ["SEMI_MANAGED_STANDARD", "EXPRESS"]


@pytest.mark.parametrize(
    ("shown", "days"),
    [("10~15", (10, 15)), ("7-9", (7, 9)), ("12", (12, 12)), ("soon", (None, None))],
)
def test_days_of_delivery(shown: str, days: tuple[int | None, int | None]) -> None:
    (option,) = freight({"code": "0", "value": [{**OPTION, "delivery_time": shown}]})
    assert (option.min_days, option.max_days) == days


@pytest.mark.parametrize("code", ["120019", "4015", "10010", "130602", "410006", "130703"])
def test_nothing_ships(code: str) -> None:
    assert freight({"code": code, "result_msg": "no"}) == ()


@pytest.mark.parametrize("value", [OPTION, {"option": OPTION, "count": 1}])
def test_reads_the_only_way_of_delivery(value: Any) -> None:
    (option,) = freight({"code": "0", "value": value})
    assert (option.code, option.fee) == ("SEMI_MANAGED_STANDARD", Decimal("25.30"))


def test_no_way_and_no_reason_is_no_answer() -> None:
    with pytest.raises(Unavailable) as error:
        freight({"code": "0"})
    assert error.value.code == "answer_malformed"
