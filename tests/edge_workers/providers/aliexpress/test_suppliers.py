"""AliExpress' answers in every shape that they were seen in, read into neutral values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.aliexpress import AliExpressSupplier
from edge_workers.providers.contracts.suppliers import (
    FoundProduct,
    FreightOption,
    PriceTier,
    SupplierCategory,
    SupplierProduct,
    SupplierQuery,
    SupplierSeller,
    SupplierVariant,
)
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.contracts.peer import Peer, peer
from tests.edge_workers.providers.supplier_peer import (
    FixedTokens,
    platform_at,
    refused,
    said,
    sent,
)

QUERY = SupplierQuery(
    country="ZA", currency="EUR", language="fr", keyword="lampe solaire", page=1, page_size=1
)
# The document's samples, as they came over the wire.
LINE = {
    "itemId": "1005000000000001",
    "title": "Lampe solaire de jardin",
    "type": "search",
    "itemMainPic": "https://ae01.alicdn.example/a.jpg",
    "itemUrl": "//www.aliexpress.com/item/1005000000000001.html?skuId=12000000000000001",
    "cateId": "15,100006664,200003691,200003700",
    "score": "4.5",
    "evaluateRate": "89.2",
    "orders": "5,000+",
    "discount": "0%",
    "originalPrice": "73.61",
    "originalPriceCurrency": "CNY",
    "salePrice": "25.76",
    "salePriceCurrency": "CNY",
    "targetSalePrice": "3.29",
    "targetOriginalPrice": "9.40",
    "targetOriginalPriceCurrency": "EUR",
    "salePriceFormat": "3,29€",
    "originMinPrice": '{"cent":329,"currencyCode":"EUR","formatPrice":"3,29€"}',
}
FOUND = FoundProduct(
    external_id="1005000000000001",
    title="Lampe solaire de jardin",
    price=Decimal("3.29"),
    currency="EUR",
    rating=Decimal("4.5"),
    orders=5000,
    category_path=("15", "100006664", "200003691", "200003700"),
    image_url="https://ae01.alicdn.example/a.jpg",
)
FEED_LINE = {
    "product_id": 1005000000000001,
    "product_title": "Lampe solaire de jardin",
    "product_main_image_url": "//ae01.alicdn.example/a.jpg",
    "target_sale_price": "3.29",
    "target_sale_price_currency": "EUR",
    "evaluate_rate": "90%",
    "lastest_volume": 5000,
    "first_level_category_id": 15,
    "second_level_category_id": 200003700,
}
SKU = {
    "sku_id": "12000000000000001",
    "sku_attr": "14:29#Bear;183:200007741",
    "id": "14:29#Bear;183:200007741",
    "sku_price": "22.23",
    "offer_sale_price": "8.01",
    "offer_bulk_sale_price": "7.50",
    "sku_bulk_order": 2,
    "currency_code": "USD",
    "price_include_tax": False,
    "sku_available_stock": 27,
    "ae_sku_property_dtos": {
        "ae_sku_property_d_t_o": [
            {
                "sku_property_id": 14,
                "sku_property_name": "Color",
                "property_value_id": 29,
                "sku_property_value": "White",
                "property_value_definition_name": "Bear",
                "sku_image": "https://ae01.alicdn.example/sku.jpg",
            },
            {
                "sku_property_id": 183,
                "sku_property_name": "Ships From",
                "property_value_id": 200007741,
                "sku_property_value": "China",
            },
        ]
    },
}
DETAIL = {
    "ae_item_base_info_dto": {
        "product_id": 1005000000000001,
        "subject": "Solar garden lamp",
        "detail": "<div>…</div>",
        "category_id": 154002,
        "product_status_type": "onSelling",
        "avg_evaluation_rating": "4.6",
        "evaluation_count": "1446",
        "sales_count": "5000+",
        "currency_code": "CNY",
    },
    "ae_item_sku_info_dtos": {"ae_item_sku_info_d_t_o": [SKU]},
    "ae_multimedia_info_dto": {
        "image_urls": "https://ae01.alicdn.example/1.jpg;https://ae01.alicdn.example/2.jpg"
    },
    "package_info_dto": {
        "package_length": 39,
        "package_width": 27,
        "package_height": 7,
        "gross_weight": "0.213",
        "package_type": False,
        "product_unit": 100000015,
    },
    "logistics_info_dto": {"delivery_time": 7, "ship_to_country": "ZA"},
    "ae_store_info": {
        "store_id": 1100000001,
        "store_name": "Shop 1",
        "store_country_code": "CN",
        "item_as_described_rating": "4.5",
        "communication_rating": "4.6",
        "shipping_speed_rating": "4.7",
    },
    "ae_item_properties": {
        "ae_item_property": [
            {
                "attr_name_id": 2,
                "attr_name": "Brand Name",
                "attr_value_id": 201512802,
                "attr_value": "NONE",
            }
        ]
    },
    "product_id_converter_result": {
        "main_product_id": 1005000000000001,
        "sub_product_id": '{"US":3256800000000001}',
    },
    "has_whole_sale": False,
}
PRODUCT = SupplierProduct(
    external_id="1005000000000001",
    aliases=("3256800000000001",),
    title="Solar garden lamp",
    description="<div>…</div>",
    category_id="154002",
    category_path=("154002",),
    category_name=None,
    status="selling",
    rating=Decimal("4.6"),
    review_count=1446,
    order_count=5000,
    currency="USD",
    variants=(
        SupplierVariant(
            external_id="12000000000000001",
            attributes="14:29#Bear;183:200007741",
            options=(("Color", "Bear"), ("Ships From", "China")),
            price=Decimal("8.01"),
            bulk_price=Decimal("7.50"),
            bulk_quantity=2,
            stock=27,
            image_url="https://ae01.alicdn.example/sku.jpg",
        ),
    ),
    image_urls=("https://ae01.alicdn.example/1.jpg", "https://ae01.alicdn.example/2.jpg"),
    weight_grams=213,
    dimensions_mm=(390, 270, 70),
    delivery_days=7,
    seller=SupplierSeller(
        external_id="1100000001", name="Shop 1", rating=Decimal("4.60"), country="CN"
    ),
    min_order_quantity=1,
    order_increment=1,
    tiers=(),
    attributes=(("Brand Name", "NONE"),),
)
OPTION = {
    "code": "CAINIAO_FULFILLMENT_STD",
    "company": "AliExpress Selection Standard",
    "shipping_fee_cent": "1.99",
    "shipping_fee_currency": "EUR",
    "shipping_fee_format": "1,99€",
    "free_shipping": False,
    "mayHavePFS": True,
    "free_shipping_threshold": "0,00€",
    "min_delivery_days": 6,
    "max_delivery_days": 8,
    "guaranteed_delivery_days": "60",
    "delivery_date_desc": "avr. 27 - 29",
    "ship_from_country": "CN",
    "tracking": True,
    "available_stock": "76",
}


def searched(products: Any, **more: Any) -> dict[str, Any]:
    """A search's whole answer."""
    data = {"totalCount": 3984, "pageIndex": 1, "pageSize": 1, "products": products, **more}
    return {
        "aliexpress_ds_text_search_response": {
            "code": "00",
            "request_id": "2101000000000001",
            "_trace_id_": "2140000000000001",
            "data": {name: value for name, value in data.items() if value is not ...},
        }
    }


def detailed(change: Callable[[dict[str, Any]], Any] = lambda _body: None) -> dict[str, Any]:
    """A product's whole answer, changed by a test."""
    result = copy.deepcopy(DETAIL)
    change(result)
    return {
        "aliexpress_ds_product_get_response": {
            "rsp_code": 200,
            "rsp_msg": "Call succeeds",
            "request_id": "2101000000000002",
            "result": result,
        }
    }


def delivered(options: Any, **more: Any) -> dict[str, Any]:
    """A freight query's whole answer."""
    result = {"success": True, "code": 200, "msg": "ok", "delivery_options": options, **more}
    return {"aliexpress_ds_freight_query_response": {"result": result, "request_id": "21"}}


def supplier_at(gateway: Peer, tokens: FixedTokens | None = None) -> AliExpressSupplier:
    return AliExpressSupplier(platform_at(gateway.url, "aliexpress"), tokens or FixedTokens())


def read_product(body: dict[str, Any]) -> SupplierProduct:
    with peer(said(body)) as gateway:
        return supplier_at(gateway).detail(
            "1005000000000001", country="ZA", currency="USD", language="en"
        )


# Search


@pytest.mark.parametrize(
    "products",
    [
        {"selection_search_product": [LINE]},
        [LINE],
        {"selection_search_product": LINE},
        {"selection_search_product": [LINE], "unknown_member": None},
        LINE,
        [{**LINE, "score": Decimal("4.5").__float__(), "newField": {"x": 1}, "icon": None}],
        {"selection_search_product": [LINE], "count": 1, "isLast": "false"},
        {"selection_search_product": LINE, "count": 1},
        {**LINE, "newField": {"x": 1}},
        {**LINE, "tags": [{"name": "choice"}]},
    ],
    ids=[
        "wrapped",
        "simplified",
        "one as an object",
        "odd member",
        "bare",
        "other types",
        "counted",
        "one counted",
        "bare with an object in it",
        "bare with a list in it",
    ],
)
def test_reads_a_search_in_every_wrapping(products: Any) -> None:
    with peer(said(searched(products))) as gateway:
        page = supplier_at(gateway).search(QUERY)
    assert page.items == (FOUND,)
    assert (page.next_page, page.total) == (2, 3984)


@pytest.mark.parametrize(
    "envelope",
    [
        lambda data: data,
        lambda data: {"result": data},
        lambda data: {"x_response": {"resp_result": {"resp_code": "200", "result": data}}},
        lambda data: {"x_response": {"result": data}},
    ],
    ids=["none", "result", "resp_result", "result in a response"],
)
def test_reads_a_search_in_every_envelope(envelope: Callable[[Any], Any]) -> None:
    data = {"totalCount": "1", "products": {"product": [LINE]}}
    with peer(said(envelope(data))) as gateway:
        page = supplier_at(gateway).search(QUERY)
    assert page.items == (FOUND,)
    assert (page.next_page, page.total) == (None, 1)


def test_reads_a_line_of_the_affiliate_family() -> None:
    body = {
        "aliexpress_ds_recommend_feed_get_response": {
            "result": {
                "products": {"traffic_product_d_t_o": [FEED_LINE]},
                "total_record_count": 1,
                "current_record_count": 1,
            }
        }
    }
    with peer(said(body)) as gateway:
        (item,) = supplier_at(gateway).search(QUERY).items
    assert item == FoundProduct(
        external_id="1005000000000001",
        title="Lampe solaire de jardin",
        price=Decimal("3.29"),
        currency="EUR",
        rating=Decimal("4.50"),
        orders=5000,
        category_path=("15", "200003700"),
        image_url="https://ae01.alicdn.example/a.jpg",
    )


def test_what_a_new_item_does_not_have_is_unknown_and_not_zero() -> None:
    line = {
        name: value
        for name, value in LINE.items()
        if name not in ("score", "evaluateRate", "orders", "cateId", "itemMainPic")
    }
    with peer(said(searched([line]))) as gateway:
        (item,) = supplier_at(gateway).search(QUERY).items
    assert (item.rating, item.orders, item.category_path, item.image_url) == (None, None, (), None)


def test_the_share_of_good_ratings_stands_in_for_missing_stars() -> None:
    with peer(said(searched([{**LINE, "score": None, "evaluateRate": "97.8%"}]))) as gateway:
        (item,) = supplier_at(gateway).search(QUERY).items
    assert item.rating == Decimal("4.89")


def test_yuan_are_never_taken_for_the_buyers_price() -> None:
    line = {name: value for name, value in LINE.items() if name != "targetSalePrice"}
    with peer(said(searched([line]))) as gateway:
        (item,) = supplier_at(gateway).search(QUERY).items
    assert item.price is None


def test_asks_as_the_vector_has_it() -> None:
    query = SupplierQuery(
        country="ZA", currency="USD", keyword="téléphone été", order="orders", page=1, page_size=20
    )
    with peer(said(searched([LINE]))) as gateway:
        supplier_at(gateway).search(query)
        (heard,) = gateway.heard
    given = sent(heard)
    assert heard.path == "/sync"
    assert given.pop("sign")
    assert given == {
        "app_key": "12345678",
        "timestamp": "1517820392000",
        "sign_method": "sha256",
        "session": "test",
        "method": "aliexpress.ds.text.search",
        "format": "json",
        "simplify": "true",
        "keyWord": "téléphone été",
        "countryCode": "ZA",
        "currency": "USD",
        "local": "en_US",
        "pageIndex": "1",
        "pageSize": "20",
        "sortBy": "orders,desc",
    }


def test_no_page_is_larger_than_what_is_known_to_work() -> None:
    query = SupplierQuery(country="ZA", currency="USD", category_id="15", page_size=500)
    with peer(said(searched([LINE]))) as gateway:
        supplier_at(gateway).search(query)
        given = sent(gateway.heard[0])
    assert given["pageSize"] == "50"
    assert "keyWord" not in given


@pytest.mark.parametrize(
    ("body", "total"),
    [
        (searched([], totalCount=0), 0),
        (searched(..., totalCount="0"), 0),
        (searched(None, totalCount=0), 0),
        ({"x_response": {"resp_result": {"resp_code": 405, "resp_msg": "empty"}}}, None),
        (searched(..., totalCount=...), None),
        (searched(None, totalCount=None, pageIndex="1"), None),
        ({"code": "00", "data": {"pageIndex": 1, "pageSize": 1}}, None),
        (
            {"x_response": {"resp_result": {"resp_code": 200, "result": {"current_page_no": 1}}}},
            None,
        ),
    ],
)
def test_an_empty_list_may_be_missing(body: dict[str, Any], total: int | None) -> None:
    with peer(said(body)) as gateway:
        page = supplier_at(gateway).search(QUERY)
    assert (page.items, page.next_page, page.total) == ((), None, total)


@pytest.mark.parametrize(
    "body",
    [
        {"aliexpress_ds_text_search_response": {"code": "00"}},
        {"aliexpress_ds_text_search_response": {"code": "00", "data": {}}},
        {"aliexpress_ds_text_search_response": {"data": {"pageIndex": 1, "pageSize": 1}}},
        {"aliexpress_ds_text_search_response": {"code": "15", "data": {"pageIndex": 1}}},
        {
            "x_response": {
                "code": "0",
                "resp_result": {"resp_code": 500, "result": {"pageIndex": 1}},
            }
        },
        searched(..., totalCount=..., pageIndex="x"),
        searched(...),
        searched([{"name": "no id"}]),
        searched({"count": 1}),
        {"something": "else"},
    ],
)
def test_an_unknown_shape_is_no_empty_page(body: dict[str, Any]) -> None:
    with peer(said(body)) as gateway, pytest.raises(Unavailable) as error:
        supplier_at(gateway).search(QUERY)
    assert error.value.code == "answer_malformed"


def test_a_line_without_an_id_is_left_out() -> None:
    with peer(said(searched([{"title": "nothing"}, LINE]))) as gateway:
        assert supplier_at(gateway).search(QUERY).items == (FOUND,)


@pytest.mark.parametrize(
    ("page", "rows", "total", "next_page"),
    [(1, 2, 5, 2), (3, 1, 5, None), (1, 2, None, 2), (2, 1, None, None), (9, 0, 5, None)],
)
def test_the_next_page(page: int, rows: int, total: int | None, next_page: int | None) -> None:
    query = SupplierQuery(country="ZA", currency="EUR", keyword="x", page=page, page_size=2)
    lines = [{**LINE, "itemId": str(number + 1)} for number in range(rows)]
    more = {"totalCount": total, "pageSize": 2}
    with peer(said(searched(lines, **more))) as gateway:
        assert supplier_at(gateway).search(query).next_page == next_page


# Detail


def test_reads_the_documents_product() -> None:
    assert read_product(detailed()) == PRODUCT


def test_asks_for_a_product_without_what_the_account_would_get_off() -> None:
    with peer(said(detailed())) as gateway:
        supplier_at(gateway).detail("1005006361450153", country="CM", currency="USD", language="fr")
        given = sent(gateway.heard[0])
    assert {name: given[name] for name in given if "_" in name and name != "app_key"} == {
        "sign_method": "sha256",
        "product_id": "1005006361450153",
        "ship_to_country": "CM",
        "target_currency": "USD",
        "target_language": "fr",
        "remove_personal_benefit": "true",
    }


def simplified(result: dict[str, Any]) -> None:
    sku = copy.deepcopy(SKU)
    sku["ae_sku_property_dtos"] = SKU["ae_sku_property_dtos"]["ae_sku_property_d_t_o"]  # type: ignore[index]
    result["ae_item_sku_info_dtos"] = [sku]
    result["ae_item_properties"] = result["ae_item_properties"]["ae_item_property"]


def single(result: dict[str, Any]) -> None:
    result["ae_item_sku_info_dtos"] = {"ae_item_sku_info_d_t_o": copy.deepcopy(SKU)}
    result["ae_item_properties"] = {
        "ae_item_property": result["ae_item_properties"]["ae_item_property"][0]
    }


def counted(result: dict[str, Any]) -> None:
    (sku,) = result["ae_item_sku_info_dtos"]["ae_item_sku_info_d_t_o"]
    sku["ae_sku_property_dtos"] |= {"total": 2, "more": False}
    result["ae_item_sku_info_dtos"] |= {"total": 1}
    result["ae_item_properties"] |= {"total": "1"}


def bare(result: dict[str, Any]) -> None:
    (result["ae_item_sku_info_dtos"],) = result["ae_item_sku_info_dtos"]["ae_item_sku_info_d_t_o"]
    (result["ae_item_properties"],) = result["ae_item_properties"]["ae_item_property"]


def as_texts(result: dict[str, Any]) -> None:
    text = json.dumps(result)
    for number in ("1005000000000001", "154002", "27", "39", "7", "2", "1100000001"):
        text = text.replace(f": {number},", f': "{number}",').replace(
            f": {number}}}", f': "{number}"}}'
        )
    result.update(json.loads(text))


def as_object(result: dict[str, Any]) -> None:
    result["product_id_converter_result"]["sub_product_id"] = {"US": 3256800000000001}


@pytest.mark.parametrize("change", [simplified, single, counted, bare, as_texts, as_object])
def test_reads_a_product_in_every_shape(change: Callable[[dict[str, Any]], None]) -> None:
    assert read_product(detailed(change)) == PRODUCT


def test_a_product_of_one_kind_has_no_attributes() -> None:
    def change(result: dict[str, Any]) -> None:
        sku = {"sku_id": "12000000000000001", "sku_attr": "", "offer_sale_price": "8.01"}
        result["ae_item_sku_info_dtos"] = [{**sku, "currency_code": "USD"}]

    (variant,) = read_product(detailed(change)).variants
    assert (variant.attributes, variant.options, variant.stock) == ("", (), None)


def test_new_goods_have_no_rating() -> None:
    def change(result: dict[str, Any]) -> None:
        base = result["ae_item_base_info_dto"]
        base |= {"avg_evaluation_rating": "0.0", "evaluation_count": "0"}
        del base["sales_count"]

    product = read_product(detailed(change))
    assert (product.rating, product.review_count, product.order_count) == (None, 0, None)


@pytest.mark.parametrize("status", ["offline", "auditing", "", None, "OnSelling"])
def test_only_what_is_on_sale_sells(status: str | None) -> None:
    def change(result: dict[str, Any]) -> None:
        result["ae_item_base_info_dto"]["product_status_type"] = status

    assert read_product(detailed(change)).status == "gone"


def test_what_left_may_have_no_variants_any_more() -> None:
    def change(result: dict[str, Any]) -> None:
        result["ae_item_base_info_dto"]["product_status_type"] = "offline"
        del result["ae_item_sku_info_dtos"]

    product = read_product(detailed(change))
    assert (product.status, product.variants, product.currency) == ("gone", (), "CNY")


@pytest.mark.parametrize(
    ("code", "class_", "ours"),
    [
        (602, Rejected, "not_sold_here"),
        ("605", Rejected, "product_gone"),
        (404, Unavailable, "server_error"),
        (200, Unavailable, "answer_malformed"),
        (None, Unavailable, "answer_malformed"),
    ],
)
def test_why_there_is_no_product(code: Any, class_: type[Exception], ours: str) -> None:
    body = {"aliexpress_ds_product_get_response": {"rsp_code": code, "rsp_msg": "x"}}
    with pytest.raises(class_) as error:
        read_product(body)
    assert getattr(error.value, "code", None) == ours


def test_a_product_on_sale_without_a_price_is_not_read() -> None:
    def change(result: dict[str, Any]) -> None:
        result["ae_item_sku_info_dtos"] = [{"sku_id": "1", "offer_sale_price": "0.00"}]

    with pytest.raises(Unavailable, match="no variant with a price"):
        read_product(detailed(change))


def test_prices_in_two_currencies_are_not_mixed() -> None:
    def change(result: dict[str, Any]) -> None:
        other = {**SKU, "sku_id": "2", "currency_code": "CNY"}
        result["ae_item_sku_info_dtos"] = [SKU, other]

    with pytest.raises(Unavailable, match="several currencies"):
        read_product(detailed(change))


def test_wholesale_tiers_end_where_the_next_begins() -> None:
    def change(result: dict[str, Any]) -> None:
        result["wholesale_price_tiers"] = [
            {"min_quantity": "50", "wholesale_price": '"6.50"', "discount": "19"},
            {"min_quantity": 10, "wholesale_price": "7.20", "discount": "10"},
            {"min_quantity": 5, "wholesale_price": "not a price"},
        ]

    assert read_product(detailed(change)).tiers == (
        PriceTier(min_quantity=10, max_quantity=49, price=Decimal("7.20")),
        PriceTier(min_quantity=50, max_quantity=None, price=Decimal("6.50")),
    )


def test_an_alias_names_its_main_product() -> None:
    def change(result: dict[str, Any]) -> None:
        result["ae_item_base_info_dto"]["product_id"] = 3256800000000001

    product = read_product(detailed(change))
    assert product.external_id == "3256800000000001"
    assert product.aliases == ("1005000000000001",)


@pytest.mark.parametrize(
    ("package", "grams", "sides"),
    [
        ({"gross_weight": "0.213"}, 213, None),
        ({"gross_weight": "0"}, None, None),
        ({"gross_weight": 1, "package_length": 1, "package_width": 2}, 1000, None),
        (
            {"package_length": "10.5", "package_width": 2, "package_height": 0.1},
            None,
            (105, 20, 1),
        ),
        ({}, None, None),
    ],
)
def test_measures(package: dict[str, Any], grams: int | None, sides: Any) -> None:
    def change(result: dict[str, Any]) -> None:
        result["package_info_dto"] = package

    product = read_product(detailed(change))
    assert (product.weight_grams, product.dimensions_mm) == (grams, sides)


def test_what_is_missing_around_a_product_is_unknown() -> None:
    def change(result: dict[str, Any]) -> None:
        for name in list(result):
            if name not in ("ae_item_base_info_dto", "ae_item_sku_info_dtos"):
                del result[name]

    product = read_product(detailed(change))
    assert (product.seller, product.image_urls, product.aliases) == (None, (), ())
    assert (product.weight_grams, product.delivery_days, product.attributes) == (None, None, ())


# Categories


@pytest.mark.parametrize(
    "categories",
    [
        {
            "category": [
                {"category_id": 15, "category_name": "Home & Garden"},
                {
                    "category_id": 100006664,
                    "category_name": "Home Textile",
                    "parent_category_id": 15,
                },
            ]
        },
        [
            {"category_id": "15", "category_name": "Home & Garden", "parent_category_id": 0},
            {
                "category_id": "100006664",
                "category_name": "Home Textile",
                "parent_category_id": "15",
            },
            {"category_id": None, "category_name": "nothing"},
        ],
        {
            "count": 2,
            "category": [
                {"category_id": 15, "category_name": "Home & Garden"},
                {
                    "category_id": 100006664,
                    "category_name": "Home Textile",
                    "parent_category_id": 15,
                },
            ],
        },
    ],
)
def test_reads_the_tree(categories: Any) -> None:
    result = {"total_result_count": 2, "categories": categories}
    body = {
        "aliexpress_ds_category_get_response": {
            "resp_result": {"resp_code": 200, "resp_msg": "Call succeeds", "result": result}
        }
    }
    with peer(said(body)) as gateway:
        assert supplier_at(gateway).categories("en") == (
            SupplierCategory(id="15", name="Home & Garden", parent_id=None),
            SupplierCategory(id="100006664", name="Home Textile", parent_id="15"),
        )


def test_no_tree_is_no_answer() -> None:
    with peer(said({"x_response": {"resp_result": {}}})) as gateway, pytest.raises(Unavailable):
        supplier_at(gateway).categories("en")


# Freight


def freight(body: dict[str, Any]) -> tuple[FreightOption, ...]:
    with peer(said(body)) as gateway:
        return supplier_at(gateway).freight(
            "1005006361450153",
            variant_id="12000036893609536",
            quantity=1,
            country="ZA",
            currency="USD",
            language="en",
        )


STANDARD = FreightOption(
    code="CAINIAO_FULFILLMENT_STD",
    name="AliExpress Selection Standard",
    fee=Decimal("1.99"),
    currency="EUR",
    min_days=6,
    max_days=8,
    is_tracked=True,
    ships_from="CN",
    duties_paid=False,
)


@pytest.mark.parametrize(
    "options",
    [
        {"delivery_option_d_t_o": [OPTION]},
        [OPTION],
        {"delivery_option_d_t_o": OPTION},
        {"delivery_option_d_t_o": [OPTION], "count": 1},
        {**OPTION, "provider": {"name": "x"}},
        [{**OPTION, "min_delivery_days": "6", "max_delivery_days": "8", "tracking": "true"}],
    ],
)
def test_a_listed_fee_is_charged_in_major_units(options: Any) -> None:
    assert freight(delivered(options)) == (STANDARD,)


def test_asks_for_freight_as_the_vector_has_it() -> None:
    with peer(said(delivered([OPTION]))) as gateway:
        supplier_at(gateway).freight(
            "1005006361450153",
            variant_id="12000036893609536",
            quantity=1,
            country="ZA",
            currency="USD",
            language="en",
        )
        given = sent(gateway.heard[0])
    assert given["queryDeliveryReq"] == (
        '{"quantity":"1","shipToCountry":"ZA","productId":"1005006361450153",'
        '"selectedSkuId":"12000036893609536","language":"en_US","locale":"en_US",'
        '"currency":"USD"}'
    )


def test_free_is_free_only_without_a_listed_fee() -> None:
    free = {**OPTION, "free_shipping": True, "code": "FREE", "shipping_fee_cent": None}
    dear = {**OPTION, "free_shipping": True}
    unknown = {**OPTION, "code": "UNKNOWN", "shipping_fee_cent": None, "mayHavePFS": False}
    options = freight(delivered([dear, free, unknown]))
    assert [(option.code, option.fee) for option in options] == [
        ("FREE", Decimal(0)),
        ("CAINIAO_FULFILLMENT_STD", Decimal("1.99")),
    ]


@pytest.mark.parametrize(
    ("more", "fee"),
    [
        ({}, "0"),
        ({"mayHavePFS": "true", "free_shipping_threshold": 0}, "0"),
        ({"shipping_fee_cent": ""}, "0"),
        ({"shipping_fee_cent": "1.99"}, "1.99"),
        ({"shipping_fee_cent": "soon"}, None),
        ({"mayHavePFS": False}, None),
        ({"free_shipping_threshold": "10,00€"}, None),
        ({"free_shipping_threshold": "soon"}, None),
        ({"free_shipping_threshold": None}, None),
    ],
)
def test_what_is_free_from_nothing_on_is_free(more: dict[str, Any], fee: str | None) -> None:
    row = {name: value for name, value in OPTION.items() if name != "shipping_fee_cent"}
    options = freight(delivered([{**row, **more}]))
    assert [option.fee for option in options] == ([] if fee is None else [Decimal(fee)])


def test_duties_are_the_receivers_unless_said() -> None:
    (option,) = freight(delivered([{**OPTION, "ddpIncludeVATTax": True}]))
    assert option.duties_paid


@pytest.mark.parametrize(
    "result",
    [
        {"success": False, "code": 501, "msg": "DELIVERY_INFO_EMPTY"},
        {"success": False, "code": "505", "msg": "DELIVERY_NOT_AVAILABLE_TO_YOUR_ADDRESS"},
    ],
)
def test_nothing_ships(result: dict[str, Any]) -> None:
    assert freight({"aliexpress_ds_freight_query_response": {"result": result}}) == ()


def test_no_way_and_no_reason_is_no_answer() -> None:
    with pytest.raises(Unavailable) as error:
        freight(delivered([]))
    assert error.value.code == "answer_malformed"


# Tokens


def test_a_refused_token_is_renewed_and_the_question_put_again() -> None:
    tokens = FixedTokens("old", "new")
    with peer(said(refused("IllegalAccessToken")), said(detailed())) as gateway:
        product = supplier_at(gateway, tokens).detail(
            "1005000000000001", country="ZA", currency="USD", language="en"
        )
        sessions = [sent(heard)["session"] for heard in gateway.heard]
    assert product == PRODUCT
    assert sessions == ["old", "new"]


def test_a_missing_permission_is_nobodys_retry() -> None:
    with peer(said(refused("InsufficientPermission"))) as gateway:
        with pytest.raises(Misconfigured) as error:
            supplier_at(gateway).search(QUERY)
        assert len(gateway.heard) == 1
    assert error.value.code == "permission_missing"
