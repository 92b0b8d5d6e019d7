"""The catalogue through the edge: exact prices, pages, caching for those who are nobody."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from edge_workers import exact_json
from edge_workers.answers import PUBLIC_CACHE_CONTROL
from edge_workers.config import Settings
from edge_workers.parts import EXTENSION
from edge_workers.routes.products import ProductDetailList, ProductList
from tests.conftest import Person, Shelf, wait_until

Admin = psycopg.Connection[dict[str, Any]]


def read(client: FlaskClient, path: str, **headers: str) -> dict[str, Any]:
    response = client.get(path, headers=headers)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = exact_json.loads(response.data)
    return body


@pytest.fixture
def fresh(app_with: Callable[..., Flask]) -> FlaskClient:
    """An edge whose cache has seen nothing yet."""
    return app_with(redis_url=None).test_client()


def test_a_list_has_the_prices_of_its_country_digit_for_digit(
    fresh: FlaskClient, shelf: Shelf
) -> None:
    category = shelf.category()
    product_id = shelf.put(
        category_id=category["id"], prices={"CM": "12500", "ZA": "199.90"}, name_fr="Théière"
    )
    for country, digits in (("CM", "12500.00"), ("ZA", "199.90")):
        response = fresh.get(
            f"/api/v1/products?category={category['slug']}&country={country}&language=fr"
        )
        body = exact_json.loads(response.data)
        ProductList.model_validate_json(response.data)
        (item,) = body["items"]
        assert item["product_id"] == product_id
        assert item["name"] == "Théière"
        assert str(item["price"]) == digits
        assert f'"price":{digits}' in response.text
        assert body["next_cursor"] is None


def test_pages_follow_each_other_without_gap_or_repeat(fresh: FlaskClient, shelf: Shelf) -> None:
    category = shelf.category()
    expected = {
        shelf.put(category_id=category["id"], prices={"ZA": f"{100 + n % 3}.00"}) for n in range(7)
    }
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        body = read(
            fresh,
            f"/api/v1/products?category={category['slug']}&country=ZA&page_size=3&sort=price_asc"
            + (f"&cursor={cursor}" if cursor else ""),
        )
        seen += [item["product_id"] for item in body["items"]]
        pages += 1
        if body["next_cursor"] is None:
            break
        cursor = body["next_cursor"].replace("+", "%2B").replace("=", "%3D")
    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == expected
    assert pages == 3


def test_search_finds_by_either_language(fresh: FlaskClient, shelf: Shelf) -> None:
    word = f"zx{uuid.uuid4().hex[:10]}"
    product_id = shelf.put(name="Plain kettle", name_fr=f"Bouilloire {word}")
    body = read(fresh, f"/api/v1/products/search?query={word}&country=CM")
    assert [item["product_id"] for item in body["items"]] == [product_id]
    assert body["items"][0]["price"] == Decimal("12500.00")


def test_wholesale_has_a_list_of_its_own(fresh: FlaskClient, shelf: Shelf) -> None:
    category = shelf.category()
    shelf.put(category_id=category["id"])
    wholesale = shelf.put(category_id=category["id"], channel="wholesale")
    body = read(fresh, f"/api/v1/products/retailer?category={category['slug']}&country=ZA")
    assert [(i["product_id"], i["channel"]) for i in body["items"]] == [(wholesale, "wholesale")]


def test_recommendations_are_the_best_rated_others_of_the_category(
    fresh: FlaskClient, shelf: Shelf
) -> None:
    category = shelf.category()
    ids = {
        rating: shelf.put(category_id=category["id"], rating=rating, stock=stock)
        for rating, stock in (("3.0", 5), ("5.0", 5), ("4.0", 0), ("4.5", 5))
    }
    body = read(fresh, f"/api/v1/products/{ids['3.0']}?country=ZA")
    recommended = [item["product_id"] for item in body["recommendations"]]
    assert recommended == [ids["5.0"], ids["4.5"]]


def test_a_product_is_shown_though_its_category_is_not(
    fresh: FlaskClient, shelf: Shelf, admin: Admin
) -> None:
    category = shelf.category()
    product_id = shelf.put(category_id=category["id"])
    admin.execute("update public.categories set is_active = false where id = %s", [category["id"]])
    response = fresh.get(f"/api/v1/products/{product_id}")
    ProductDetailList.model_validate_json(response.data)
    body = exact_json.loads(response.data)
    assert (body["items"][0]["category"], body["recommendations"]) == (None, [])


@pytest.mark.parametrize("channel", ["retail", "wholesale"])
def test_a_product_is_found_in_both_tables(
    fresh: FlaskClient, shelf: Shelf, admin: Admin, channel: str
) -> None:
    product_id = shelf.put(channel=channel, stock=7, prices={"CM": "12500", "ZA": "199.90"})
    column = "product_id" if channel == "retail" else "retailer_product_id"
    admin.execute(
        f"insert into public.product_media ({column}, position, storage_path) "  # noqa: S608
        "values (%s, 1, 'products/second.png'), (%s, 0, 'products/first.png')",
        [product_id, product_id],
    )
    response = fresh.get(f"/api/v1/products/{product_id}")
    ProductDetailList.model_validate_json(response.data)
    body = exact_json.loads(response.data)
    (product,) = body["items"]
    assert (product["id"], product["channel"], product["available"]) == (product_id, channel, 7)
    assert [p["storage_path"] for p in product["media"]] == [
        "products/first.png",
        "products/second.png",
    ]
    assert [(p["country"], p["currency"], str(p["amount"])) for p in product["prices"]] == [
        ("CM", "XAF", "12500.00"),
        ("ZA", "ZAR", "199.90"),
    ]
    assert product["min_order_quantity"] == (1 if channel == "retail" else 2)
    assert body["next_cursor"] is None
    one = read(fresh, f"/api/v1/products/{product_id}?country=ZA")
    assert [p["country"] for p in one["items"][0]["prices"]] == ["ZA"]


@pytest.mark.parametrize("channel", ["retail", "wholesale"])
def test_a_product_shows_what_there_is_to_choose_as_its_page_does(
    fresh: FlaskClient, shelf: Shelf, admin: Admin, supabase: httpx.Client, channel: str
) -> None:
    product_id = shelf.put(channel=channel, stock=50, prices={"CM": "12500", "ZA": "199.90"})
    column = "product_id" if channel == "retail" else "retailer_product_id"
    for place, (size, ratio, on_hand, is_active) in enumerate(
        [("38", "1", 4, True), ("44", "1.25", None, True), ("50", "1", 9, False)]
    ):
        admin.execute(
            f"insert into public.product_variants ({column}, external_id, position, options, "  # noqa: S608
            "options_fr, price_ratio, on_hand, is_active) values (%s, %s, %s, "
            "jsonb_build_array(jsonb_build_object('name', 'Size', 'value', %s::text)), "
            "jsonb_build_array(jsonb_build_object('name', 'Taille', 'value', %s::text)), "
            "%s, %s, %s)",
            [product_id, size, place, size, size, Decimal(ratio), on_hand, is_active],
        )
    path = f"/api/v1/products/{product_id}"
    response = fresh.get(f"{path}?country=ZA&language=fr")
    ProductDetailList.model_validate_json(response.data)
    (product,) = exact_json.loads(response.data)["items"]
    assert product["options"] == [{"name": "Taille", "values": ["38", "44"]}]
    assert [
        (v["options"], v["country"], v["currency"], str(v["price"]), v["available"], v["in_stock"])
        for v in product["variants"]
    ] == [
        ([{"name": "Taille", "value": "38"}], "ZA", "ZAR", "199.90", 4, True),
        ([{"name": "Taille", "value": "44"}], "ZA", "ZAR", "249.90", 50, True),
    ]
    page = supabase.get(
        "/rest/v1/rpc/product_page", params={"product_id": product_id, "country": "CM"}
    ).json()
    (shown,) = read(fresh, f"{path}?country=CM&language=en")["items"]
    assert [
        {key: value for key, value in v.items() if key not in {"country", "currency"}}
        for v in shown["variants"]
    ] == page["variants"]
    (plain,) = read(fresh, f"/api/v1/products/{shelf.put(channel=channel)}")["items"]
    assert (plain["options"], plain["variants"]) == ([], [])
    assert "is_active" not in plain


def test_a_product_that_is_not_on_sale_is_not_found(fresh: FlaskClient, shelf: Shelf) -> None:
    product_id = shelf.put()
    shelf.clear()
    for unknown in (product_id, str(uuid.uuid4())):
        response = fresh.get(f"/api/v1/products/{unknown}")
        assert response.status_code == 404
        assert response.json is not None
        assert response.json["code"] == "product_not_found"


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("category=no-such-category", 404, "category_not_found", "category"),
        ("country=FR", 400, "country_unknown", "country"),
        ("cursor=bm90LWEtY3Vyc29y", 400, "cursor_invalid", "cursor"),
    ],
)
def test_what_sql_refuses_names_its_parameter(
    fresh: FlaskClient, query: str, status: int, code: str, field: str
) -> None:
    response = fresh.get(f"/api/v1/products?{query}")
    assert response.status_code == status
    assert response.json is not None
    assert response.json["code"] == code
    assert [e["field"] for e in response.json["errors"]] == [field]


# --- Caching ----------------------------------------------------------------------------------


def test_an_anonymous_answer_may_be_kept_and_asked_about_again(
    fresh: FlaskClient, shelf: Shelf
) -> None:
    path = f"/api/v1/products/{shelf.put()}"
    first = fresh.get(path)
    assert first.headers["Cache-Control"] == PUBLIC_CACHE_CONTROL
    assert {"Accept-Language", "Authorization", "Origin"} <= set(first.vary)
    tag = first.headers["ETag"]
    again = fresh.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    other = fresh.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)


def test_both_doors_say_the_same_of_how_long_an_answer_is_good(
    fresh: FlaskClient, shelf: Shelf, supabase: httpx.Client
) -> None:
    shelf.put()
    direct = supabase.get("/rest/v1/rpc/search_products", params={"country": "ZA"})
    through_the_edge = fresh.get("/api/v1/products?country=ZA")
    assert direct.headers["Cache-Control"] == through_the_edge.headers["Cache-Control"]


def test_an_anonymous_answer_comes_from_memory(fresh: FlaskClient, shelf: Shelf) -> None:
    path = f"/api/v1/products/{shelf.put()}"
    first, second = fresh.get(path), fresh.get(path)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert second.data == first.data


def test_a_change_is_seen_within_about_a_second(
    fresh: FlaskClient, shelf: Shelf, admin: Admin
) -> None:
    product_id = shelf.put(name="Kettle")
    paths = (
        f"/api/v1/products/{product_id}?language=en",
        "/api/v1/products?country=ZA&language=en&sort=newest",
    )

    def names(path: str) -> set[str]:
        return {item["name"] for item in read(fresh, path)["items"]}

    assert all("Kettle" in names(path) for path in paths)
    new_name = f"Kettle {uuid.uuid4().hex}"
    admin.execute("update public.products set name = %s where id = %s", [new_name, product_id])
    # Far less than the thirty seconds for which an answer is good by time alone.
    wait_until(lambda: all(new_name in names(path) for path in paths), seconds=5)


def test_a_listing_that_runs_out_is_seen_too(
    fresh: FlaskClient, shelf: Shelf, admin: Admin
) -> None:
    category = shelf.category()
    product_id = shelf.put(category_id=category["id"], stock=5)
    path = f"/api/v1/products?category={category['slug']}&country=ZA"
    assert read(fresh, path)["items"][0]["in_stock"] is True
    admin.execute(
        "update public.product_stock set reserved = on_hand where listing_id = %s", [product_id]
    )
    wait_until(lambda: read(fresh, path)["items"][0]["in_stock"] is False, seconds=5)
    admin.execute(
        "update public.product_stock set reserved = 0 where listing_id = %s", [product_id]
    )


def test_another_edge_finds_the_answer_in_redis(
    app_with: Callable[..., Flask], stack_settings: Settings, shelf: Shelf
) -> None:
    path = f"/api/v1/products/{shelf.put()}"
    one, other = (app_with().test_client() for _ in range(2))
    assert stack_settings.redis_url is not None
    made, found = one.get(path), other.get(path)
    assert (made.headers["X-Cache"], found.headers["X-Cache"]) == ("MISS", "HIT")
    assert found.data == made.data


def test_the_last_answer_stands_in_while_postgrest_is_away(
    app_with: Callable[..., Flask], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with(redis_url=None)
    client, parts = app.test_client(), app.extensions[EXTENSION]
    known, unknown = (f"/api/v1/products/{shelf.put()}" for _ in range(2))
    first = client.get(known)
    monkeypatch.setattr(parts.data_api, "_url", "http://127.0.0.1:9/rest/v1")
    # the catalogue changes, and what it is now cannot be asked
    version = parts.catalogue_version.current()
    monkeypatch.setattr(parts.catalogue_version, "current", lambda: version + 1)
    stale = client.get(known)
    assert (stale.status_code, stale.headers["X-Cache"]) == (200, "STALE")
    assert stale.data == first.data
    assert stale.headers["Cache-Control"] == "public, max-age=1"
    assert client.get(unknown).status_code == 503


def test_what_a_gateway_has_kept_is_not_asked_for(
    app_with: Callable[..., Flask], shelf: Shelf, supabase: httpx.Client, admin: Admin
) -> None:
    category = shelf.category()
    product_id = shelf.put(category_id=category["id"], name="Kettle")
    # what the edge will ask, word for word, so that the gateway has it
    asked = {"category": category["slug"], "country": "ZA", "language": "en", "page_size": "24"}
    headers = {"Accept": "application/json", "Accept-Language": "en"}
    kept = [
        supabase.get("/rest/v1/rpc/search_products", params=asked, headers=headers)
        for _ in range(2)
    ][-1]
    assert kept.headers["X-Cache"] == "HIT"
    admin.execute("update public.products set name = 'Renamed' where id = %s", [product_id])
    fresh = app_with(redis_url=None).test_client()
    path = f"/api/v1/products?category={category['slug']}&country=ZA&language=en"
    assert [item["name"] for item in read(fresh, path)["items"]] == ["Renamed"]


def test_languages_and_countries_are_kept_apart(fresh: FlaskClient, shelf: Shelf) -> None:
    category = shelf.category()
    shelf.put(category_id=category["id"], name="Kettle", name_fr="Bouilloire")
    path = f"/api/v1/products?category={category['slug']}"
    names = {
        (language, country): read(
            fresh, f"{path}&country={country}", **{"Accept-Language": language}
        )["items"][0]
        for language in ("en", "fr")
        for country in ("ZA", "CM")
    }
    assert {key: (item["name"], item["currency"]) for key, item in names.items()} == {
        ("en", "ZA"): ("Kettle", "ZAR"),
        ("en", "CM"): ("Kettle", "XAF"),
        ("fr", "ZA"): ("Bouilloire", "ZAR"),
        ("fr", "CM"): ("Bouilloire", "XAF"),
    }


def test_a_signed_in_answer_is_kept_by_nobody(
    fresh: FlaskClient, shelf: Shelf, acheteuse: Person, admin: Admin
) -> None:
    category = shelf.category()
    product_id = shelf.put(category_id=category["id"], name="Kettle", name_fr="Bouilloire")
    path = f"/api/v1/products?category={category['slug']}"
    response = fresh.get(path, headers=acheteuse.headers)
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    # no parameter and no header said so: the person is French-speaking and in Cameroon
    (item,) = exact_json.loads(response.data)["items"]
    assert (item["name"], item["country"]) == ("Bouilloire", "CM")
    admin.execute("update public.products set name_fr = 'Cafetière' where id = %s", [product_id])
    (item,) = exact_json.loads(fresh.get(path, headers=acheteuse.headers).data)["items"]
    assert item["name"] == "Cafetière"


def test_the_anon_key_is_nobody(
    fresh: FlaskClient, shelf: Shelf, stack_env: dict[str, str]
) -> None:
    response = fresh.get(
        f"/api/v1/products/{shelf.put()}",
        headers={"Authorization": f"Bearer {stack_env['SUPABASE_ANON_KEY']}"},
    )
    assert response.status_code == 200
    assert response.headers["Cache-Control"].startswith("public")


def test_without_postgrest_the_answer_is_503(offline: FlaskClient) -> None:
    response = offline.get("/api/v1/products")
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["code"] == "data_api_unavailable"
    assert response.headers["Cache-Control"] == "no-store"
