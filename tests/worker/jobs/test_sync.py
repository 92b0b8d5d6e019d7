"""The catalogue fills itself: against the sandbox's suppliers, in a database of its own."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from edge_workers.config import Settings
from tests.conftest import wait_until
from tests.sandbox import supplier_catalogue as catalogue
from tests.worker.jobs.supply import Expected, SupplyShop, ships_here, supply_shop
from worker.jobs import sync
from worker.jobs.sync import sync_products

ITEMS = 480
"""Enough for ten and more in each category, as the price rule wants."""
LOTS = 120


@pytest.fixture(scope="module")
def opened(
    stack_env: dict[str, str],
    stack_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SupplyShop]:
    with supply_shop(stack_env, stack_settings, tmp_path_factory.mktemp("supply")) as shop:
        yield shop


@pytest.fixture
def shop(opened: SupplyShop) -> SupplyShop:
    """An empty shop whose categories are mapped, and suppliers of a few hundred goods."""
    opened.clear()
    opened.map_categories()
    opened.set_catalogue(items=ITEMS, wholesale_items=LOTS)
    return opened


def sold(shop: SupplyShop) -> list[frozenset[str]]:
    """What is on the shelf, each thing with all its ids."""
    on_sale = shop.on_sale()
    return [family & on_sale for family in Expected.of(ITEMS).families]


def test_each_good_is_taken_in_once_and_every_other_has_its_reason(shop: SupplyShop) -> None:
    run = shop.run()

    expected = Expected.of(ITEMS)
    counts = run["counts"]
    assert run["status"] == "done"
    assert counts["rejected"] == expected.reasons
    assert counts["found"] == len(expected.families) + sum(expected.reasons.values())
    assert counts["accepted"] == counts["new"] == len(expected.families)
    assert [len(found) for found in sold(shop)] == [1] * len(expected.families)
    assert len(shop.on_sale()) == len(expected.families)
    assert counts["pages_open"] == counts["pages_given_up"] == counts["absent"] == 0
    rejected = shop.read(
        "select reason, reasons, duplicate_of from private.sync_items where run_id = %s "
        "and reason is not null",
        run["id"],
    )
    assert Counter(str(row["reason"]) for row in rejected) == expected.reasons
    assert all(row["reasons"][0] == row["reason"] for row in rejected)


def test_what_is_taken_in_is_what_the_supplier_has(shop: SupplyShop) -> None:
    shop.run()

    rows = {row["external_id"]: row for row in shop.shelf()}
    for number in range(ITEMS):
        one = catalogue.item(number)
        row = rows.get(one.id)
        if row is None:
            continue
        assert row["name"] == one.title
        assert row["name_fr"] == one.title_fr
        assert row["description"].splitlines() == [one.title, one.material[0]]
        assert row["cost"] == one.price
        assert row["on_hand"] == one.stock
        assert row["seller"] == one.seller.name
        assert row["reviews"] == (one.reviews or 0)
        assert len(row["variants"]) == len(one.skus)
        assert row["base_price"] > one.price
        assert set(row["prices"] or {}) == {
            country for country in ("CM", "ZA") if country in one.ships_to
        }
        assert all(price > 0 for price in (row["prices"] or {}).values())
        assert row["pictures"][: len(one.pictures)] == [f"{key}.png" for key in one.pictures]


def test_a_second_run_writes_no_row(shop: SupplyShop) -> None:
    shop.run()
    before = shop.row_versions()

    again = shop.run()

    assert again["status"] == "done"
    assert shop.row_versions() == before
    assert {again["counts"][name] for name in ("new", "changed", "repriced", "restocked")} == {0}


def test_days_move_prices_and_take_off_what_stays_away(shop: SupplyShop) -> None:
    shop.admin.execute("update private.sync_sources set change_limit = 1")
    shop.run()
    first = {row["external_id"]: row for row in shop.shelf()}

    shop.set_catalogue(day=9)
    second_run = shop.run()
    shop.admin.execute(
        "update private.supplier_listings set missed_at = missed_at - interval '1 day'"
    )
    shop.set_catalogue(day=10)
    third_run = shop.run()

    rows = {row["external_id"]: row for row in shop.shelf()}
    away = {
        id_
        for id_ in first
        if all(catalogue.item(number_of(id_), day).status != "selling" for day in (9, 10))
    }
    assert away
    assert {id_ for id_, row in rows.items() if row["is_delisted"]} == away
    assert second_run["counts"]["delisted"] == 0
    assert third_run["counts"]["delisted"] == len(away)
    assert shop.on_sale() == set(rows) - away
    moved = 0
    for id_, row in rows.items():
        now = catalogue.item(number_of(id_), 10)
        if now.status == "selling" and row["absences"] == 0:
            assert (row["cost"], row["on_hand"]) == (now.price, now.stock)
            moved += id_ in first and first[id_]["cost"] != row["cost"]
    assert moved > len(first) // 4


def test_what_comes_back_is_put_back(shop: SupplyShop) -> None:
    shop.run()
    id_ = min(shop.on_sale())
    shop.admin.execute(
        "update private.supplier_listings set absences = 2, delisted_at = now(), "
        "delist_reason = 'vanished' where external_id = %s",
        [id_],
    )
    shop.admin.execute("set mallgram.sync_run_id = 'test'")
    shop.admin.execute("update public.products set is_active = false where external_id = %s", [id_])
    shop.admin.execute("set mallgram.sync_run_id = ''")

    run = shop.run()

    (row,) = [row for row in shop.shelf() if row["external_id"] == id_]
    assert run["counts"]["seen_again"] == 1
    assert (row["is_active"], row["absences"], row["is_delisted"]) == (True, 0, False)


def test_what_a_person_has_changed_stays(shop: SupplyShop) -> None:
    shop.run()
    named, hidden, priced = sorted(shop.on_sale())[:3]
    shop.admin.execute(
        "update public.products set name = 'By hand', weight_grams = 7 where external_id = %s",
        [named],
    )
    shop.admin.execute(
        "update public.products set is_active = false where external_id = %s", [hidden]
    )
    shop.admin.execute(
        "update public.product_prices as p set amount = 999999, source = 'manual' "
        "from public.products as g where p.product_id = g.id and g.external_id = %s "
        "and p.country = 'CM'",
        [priced],
    )

    run = shop.run()

    assert run["status"] == "done"
    assert shop.value("select name from public.products where external_id = %s", named) == "By hand"
    assert shop.value(
        "select held_columns from private.supplier_listings where external_id = %s", named
    ) == ["name", "weight_grams"]
    assert hidden not in shop.on_sale()
    assert (
        shop.value(
            "select p.amount from public.product_prices as p inner join public.products as g "
            "on p.product_id = g.id where g.external_id = %s and p.country = 'CM'",
            priced,
        )
        == 999999
    )


def test_what_a_person_changes_while_it_is_taken_in_stays(shop: SupplyShop) -> None:
    shop.run()
    shop.admin.execute("update private.sync_sources set change_limit = 1")
    shop.set_catalogue(day=9)
    id_ = min(
        id_
        for id_ in shop.on_sale()
        if (one := catalogue.item(number_of(id_), 9)).status == "selling"
        and one.stock
        and one.price != catalogue.item(number_of(id_)).price
    )
    run_id = shop.start()
    with closing(shop.scratch.connect()) as person, ThreadPoolExecutor(1) as sync:
        with person.transaction():
            person.execute(
                "update public.products set name = 'By hand', is_active = false "
                "where external_id = %s",
                [id_],
            )
            run = sync.submit(shop.go_on, run_id)
            assert wait_until(
                lambda: shop.value("select exists (select from pg_locks where not granted)")
            ), "the sync waits for whoever is changing it"
        assert run.result()["status"] == "done"

    (row,) = [row for row in shop.shelf() if row["external_id"] == id_]
    assert (row["name"], row["is_active"]) == ("By hand", False)
    assert row["cost"] == catalogue.item(number_of(id_), 9).price
    assert shop.value(
        "select held_columns from private.supplier_listings where external_id = %s", id_
    ) == ["is_active", "name"]


def test_sold_out_goods_stay_on_the_shelf_with_nothing_to_sell(shop: SupplyShop) -> None:
    shop.run()
    first = shop.on_sale()

    shop.set_catalogue(day=3)
    shop.admin.execute("update private.sync_sources set change_limit = 1")
    shop.run()

    out = {
        id_
        for id_ in first
        if (one := catalogue.item(number_of(id_), 3)).status == "selling" and one.stock == 0
    }
    assert out
    rows = {row["external_id"]: row for row in shop.shelf()}
    assert {rows[id_]["on_hand"] for id_ in out} == {0}
    assert {rows[id_]["is_active"] for id_ in out} == {True}


def test_a_run_that_changes_too_much_waits_for_a_person(shop: SupplyShop) -> None:
    shop.run()
    before = shop.shelf()
    shop.admin.execute("update private.sync_sources set change_limit = 0.001")
    shop.set_catalogue(day=2)

    run = shop.run()

    assert run["status"] == "waiting"
    assert 0 < run["change_share"] < 1
    assert shop.shelf() == before
    assert (
        shop.value(
            "select count(*) from private.payment_exceptions where kind = 'sync_waiting' "
            "and subject_id = %s and resolved_at is null",
            run["id"],
        )
        == 1
    )
    sync_products(shop.task, run_id=str(run["id"]))
    assert shop.run_row(str(run["id"]))["status"] == "waiting"


def test_faults_lose_and_double_nothing(shop: SupplyShop) -> None:
    for kind, times in (
        ("error", 9),
        ("malformed", 5),
        ("empty", 5),
        ("shape", 80),
        ("rate_limit", 6),
        ("expired", 1),
    ):
        shop.sandbox.order_fault("aliexpress", kind, times)

    run = shop.run()

    expected = Expected.of(ITEMS)
    assert run["status"] == "done"
    assert run["counts"]["rejected"] == expected.reasons
    assert [len(found) for found in sold(shop)] == [1] * len(expected.families)
    assert not shop.sandbox.listed("faults")


def test_a_good_that_no_row_can_hold_stops_no_other(shop: SupplyShop) -> None:
    shop.run()
    first = shop.on_sale()
    refused = min(first)
    shop.admin.execute(
        "alter table private.staged_products add constraint staged_products_refuses_one "
        f"check (external_id <> '{refused}')"
    )
    try:
        run = shop.run()
    finally:
        shop.admin.execute(
            "alter table private.staged_products drop constraint staged_products_refuses_one"
        )

    assert run["status"] == "done"
    assert run["counts"]["rejected"]["not_answered"] == 1
    assert run["counts"]["accepted"] == len(first) - 1
    assert run["counts"]["absent"] == 0
    assert shop.on_sale() == first
    assert shop.value(
        "select reasons from private.sync_items where run_id = %s and external_id = %s",
        run["id"],
        refused,
    ) == ["not_answered", "not_kept"]


def test_a_line_that_no_row_can_hold_costs_its_page_alone(shop: SupplyShop) -> None:
    refused = min(Expected.of(ITEMS).families[0])
    shop.admin.execute(
        "alter table private.sync_items add constraint sync_items_refuses_one "
        f"check (external_id <> '{refused}')"
    )
    try:
        run = shop.run()
    finally:
        shop.admin.execute("alter table private.sync_items drop constraint sync_items_refuses_one")

    assert run["status"] == "done"
    assert run["counts"]["pages_given_up"] == 1
    assert run["counts"]["pages_open"] == 0
    assert 0 < run["counts"]["new"] < len(Expected.of(ITEMS).families)


def test_what_a_search_no_longer_shows_is_asked_for_by_its_id(
    shop: SupplyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run()
    first = shop.on_sale()
    shop.admin.execute("update private.sync_sources set page_limit = 1, change_limit = 0.1")
    monkeypatch.setattr(sync, "PAGE_SIZE", 2)

    run = shop.run()

    searched = shop.value("select sum(found) from private.sync_pages where run_id = %s", run["id"])
    assert searched < len(first)
    assert run["status"] == "done"
    assert run["counts"]["absent"] == 0
    assert shop.on_sale() == first


def test_a_run_that_has_nothing_to_read_fails(shop: SupplyShop) -> None:
    shop.run()
    first = shop.on_sale()
    shop.admin.execute(
        "update private.supplier_categories set status = 'ignored', category_id = null"
    )

    run = shop.run()

    assert run["status"] == "failed"
    assert run["failure"].startswith("nothing_planned")
    assert shop.on_sale() == first


def test_what_never_answers_is_neither_there_nor_gone(shop: SupplyShop) -> None:
    shop.run()
    id_ = min(shop.on_sale())
    run_id = shop.start()
    while not shop.value(
        "select exists (select from private.sync_items where run_id = %s)", run_id
    ):
        sync_products(shop.task, run_id=run_id)
    shop.admin.execute(
        "update private.sync_items set is_fetched = false, reason = 'not_answered', "
        "reasons = '{not_answered}' where run_id = %s and external_id = %s",
        [run_id, id_],
    )
    shop.admin.execute(
        "delete from private.staged_products where run_id = %s and external_id = %s", [run_id, id_]
    )

    run = shop.go_on(run_id)

    assert run["counts"]["rejected"]["not_answered"] == 1
    assert run["counts"]["absent"] == 0
    assert id_ in shop.on_sale()


def test_categories_that_nobody_has_mapped_wait_and_are_not_sold(shop: SupplyShop) -> None:
    shop.admin.execute(
        "update private.supplier_categories set status = 'waiting', category_id = null "
        "where external_id = %s",
        [str(catalogue.LEAVES[0].id)],
    )
    shop.admin.execute(
        "update private.supplier_categories set status = 'ignored', category_id = null "
        "where external_id = %s",
        [str(catalogue.LEAVES[1].id)],
    )

    run = shop.run()

    assert run["counts"]["rejected"]["category_unmapped"] > 0
    assert "category_ignored" not in run["counts"]["rejected"]  # it is not even looked for
    leaves = {catalogue.item(number_of(id_)).category.id for id_ in shop.on_sale()}
    assert leaves.isdisjoint({catalogue.LEAVES[0].id, catalogue.LEAVES[1].id})
    assert run["counts"]["categories_waiting"] >= 1


def test_wholesale_goods_come_with_their_breaks(shop: SupplyShop) -> None:
    run = shop.run("alibaba")

    assert run["status"] == "done"
    rows = {row["external_id"]: row for row in shop.shelf()}
    good = {
        one.id: one
        for number in range(LOTS)
        if (one := catalogue.lot(number)).status == "selling"
        and one.flaw is None
        and any(country in one.ships_to for country in ("CM", "ZA"))
        and any(sku.stock for sku in one.skus)
    }
    assert set(rows) == set(good)
    for id_, row in rows.items():
        one = good[id_]
        assert row["min_order_quantity"] == max(one.least, 2)
        assert row["on_hand"] == sum(sku.stock for sku in one.skus)
        breaks = [start for start, _ in one.ladder[1:] if start <= 10_000]
        assert len(row["tiers"] or []) == len(breaks)
    before = shop.row_versions()
    assert shop.run("alibaba")["counts"]["changed"] == 0
    assert shop.row_versions() == before


def test_a_refused_key_ends_the_run_and_a_person_is_told(shop: SupplyShop) -> None:
    shop.admin.execute("delete from private.supplier_tokens")

    run = shop.run()

    assert run["status"] == "failed"
    assert run["failure"].startswith("consent_needed")
    assert (
        shop.value(
            "select count(*) from private.payment_exceptions where kind = 'sync_failed' "
            "and subject_id = %s",
            run["id"],
        )
        == 1
    )


def test_the_tick_starts_what_is_due_and_takes_up_what_was_lost(shop: SupplyShop) -> None:
    shop.admin.execute(
        "update private.sync_sources set next_run_at = now() where platform = 'aliexpress'"
    )

    sync_products(shop.task)
    sync_products(shop.task)

    (run,) = shop.read("select * from private.sync_runs")
    assert (run["platform"], run["status"]) == ("aliexpress", "collecting")
    jobs = "select count(*) from private.outbox where job = 'sync_products' and done_at is null"
    assert shop.value(jobs) == 1
    shop.admin.execute("update private.outbox set failed_at = now() where job = 'sync_products'")
    sync_products(shop.task)
    assert shop.value(f"{jobs} and failed_at is null") == 1


def test_an_attempt_thought_dead_plans_nothing(shop: SupplyShop) -> None:
    run_id = shop.start()
    older = shop.session.call("begin_sync_slice", run_id=run_id)
    newer = shop.session.call("begin_sync_slice", run_id=run_id)

    assert shop.session.call("continue_sync", run_id=run_id, slice=older["slice"]) == {
        "is_active": False
    }
    assert shop.session.call("continue_sync", run_id=run_id, slice=newer["slice"])["is_active"]


def number_of(external_id: str) -> int:
    """The item behind an id of the sandbox's catalogue."""
    number = catalogue.number_of(external_id)
    assert number is not None
    assert ships_here(catalogue.item(number))
    return number
