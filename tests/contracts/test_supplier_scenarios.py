"""The suite that every supplier platform passes, spoken to over its own wire protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.suppliers import (
    SupplierPage,
    SupplierProduct,
    SupplierQuery,
)
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.contracts.profiles import ProviderValues
from tests.contracts.suppliers import Connection
from tests.sandbox import supplier_catalogue as catalogue
from tests.sandbox.running import RunningSandbox

QUERY = SupplierQuery(country="ZA", currency="USD", keyword="speakers", page_size=20)
ALL = SupplierQuery(country="ZA", currency="USD", keyword="lights", page_size=50)


@pytest.fixture(params=registry.SUPPLIERS)
def platform(
    request: pytest.FixtureRequest, sandbox: RunningSandbox, values: ProviderValues
) -> Iterator[Connection]:
    """A platform whose dials and catalogue are as they are at first."""
    name = str(request.param)
    reset(sandbox, name)
    yield Connection(name, values)
    reset(sandbox, name)


def reset(sandbox: RunningSandbox, name: str) -> None:
    put(sandbox, f"dials/{name}")
    put(sandbox, "suppliers")


def put(sandbox: RunningSandbox, what: str, **body: object) -> None:
    sandbox.client.put(f"{sandbox.url}/_sandbox/{what}", json=body).raise_for_status()


def detail(platform: Connection, external_id: str, language: str = "en") -> SupplierProduct:
    return platform.supplier.detail(
        external_id,
        country="ZA",
        currency="USD",
        language="fr" if language == "fr" else "en",
    )


def found(platform: Connection, query: SupplierQuery = QUERY) -> SupplierPage:
    return platform.supplier.search(query)


def sold_here(platform: Connection) -> list[str]:
    """Ids of a page that are sold to South Africa and have nothing wrong with them."""
    ids: list[str] = []
    for item in found(platform).items:
        if platform.name == "aliexpress":
            number = catalogue.number_of(item.external_id)
            assert number is not None
            one: catalogue.Item | catalogue.Lot = catalogue.item(number)
        else:
            number = catalogue.lot_number_of(item.external_id)
            assert number is not None
            one = catalogue.lot(number)
        if one.flaw is None and "ZA" in one.ships_to:
            ids.append(item.external_id)
    assert ids
    return ids


# Looking


def test_pages_lead_through_all_that_is_found_once(platform: Connection) -> None:
    pages = [found(platform, ALL)]
    while (number := pages[-1].next_page) is not None:
        pages.append(found(platform, replace(ALL, page=number)))
    ids = [item.external_id for page in pages for item in page.items]
    assert len(pages) > 1
    assert {page.total for page in pages} == {len(ids)} == {len(set(ids))}


def test_titles_come_in_the_language_asked_for(platform: Connection) -> None:
    english = found(platform).items
    french = found(platform, replace(QUERY, language="fr")).items
    assert [item.external_id for item in english] == [item.external_id for item in french]
    assert all(one.title != other.title for one, other in zip(english, french, strict=True))


def test_nothing_found_is_an_empty_page(platform: Connection) -> None:
    page = found(platform, replace(QUERY, keyword="unobtainium"))
    assert (page.items, page.next_page, page.total) == ((), None, 0)


def test_a_product_is_read_in_full(platform: Connection) -> None:
    product = detail(platform, sold_here(platform)[0])
    assert product.status == "selling"
    assert product.title
    assert product.currency == "USD"
    assert product.category_id is not None
    assert product.image_urls
    assert product.seller is not None
    assert product.min_order_quantity >= (1 if platform.name == "aliexpress" else 2)
    for variant in product.variants:
        assert variant.external_id
        assert variant.price > 0
        assert variant.stock is not None


def test_tiers_never_overlap_and_fall(platform: Connection) -> None:
    for external_id in sold_here(platform)[:10]:
        tiers = detail(platform, external_id).tiers
        for one, other in pairwise(tiers):
            assert one.max_quantity == other.min_quantity - 1
            assert one.price > other.price
        assert not tiers or tiers[-1].max_quantity is None


def test_pictures_are_there(platform: Connection, sandbox: RunningSandbox) -> None:
    product = detail(platform, sold_here(platform)[0])
    answers = [sandbox.client.get(url) for url in product.image_urls]
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert any(answer.content.startswith(b"\x89PNG") for answer in answers)


def test_freight_is_known_for_what_is_sold(platform: Connection) -> None:
    product = detail(platform, sold_here(platform)[0])
    options = platform.supplier.freight(
        product.external_id,
        variant_id=product.variants[0].external_id,
        quantity=product.min_order_quantity,
        country="ZA",
        currency="USD",
        language="en",
    )
    assert [option.fee for option in options] == sorted(option.fee for option in options)
    assert options[0].fee > Decimal(0)
    assert options[0].currency == "USD"
    assert not options[0].duties_paid


def test_nothing_goes_where_nothing_is_sold(platform: Connection) -> None:
    product = detail(platform, sold_here(platform)[0])
    options = platform.supplier.freight(
        product.external_id,
        variant_id=product.variants[0].external_id,
        quantity=product.min_order_quantity,
        country="AQ",
        currency="USD",
        language="en",
    )
    assert options == ()


def test_what_never_was_is_gone(platform: Connection) -> None:
    with pytest.raises(Rejected) as error:
        detail(platform, "999")
    assert error.value.code == "product_gone"


def test_what_is_not_sold_here_says_so(platform: Connection) -> None:
    external_id = sold_here(platform)[0]
    with pytest.raises(Rejected) as error:
        platform.supplier.detail(external_id, country="AQ", currency="USD", language="en")
    assert error.value.code == "not_sold_here"


def test_a_day_later_prices_move_and_goods_leave(
    platform: Connection, sandbox: RunningSandbox
) -> None:
    before = {item.external_id: item.price for item in found(platform, ALL).items}
    put(sandbox, "suppliers", day=12)
    after = {item.external_id: item.price for item in found(platform, ALL).items}
    assert before.keys() != after.keys()
    assert any(before[id_] != after[id_] for id_ in before.keys() & after.keys())


# Tokens


def test_a_token_says_when_it_ends(platform: Connection, sandbox: RunningSandbox) -> None:
    put(sandbox, f"dials/{platform.name}", token_seconds=3600, refresh_seconds=7200)
    now = datetime.now(UTC)
    token = platform.authority.create_token("sandbox-consent", now)
    assert token.access_expires_at == now + timedelta(hours=1)
    assert token.refresh_expires_at == now + timedelta(hours=2)
    assert token.account_id == "100001"


def test_a_person_consents_once(platform: Connection, sandbox: RunningSandbox) -> None:
    page = f"{platform.authority.consent_page('https://shop.example/admin?x=1')}&state=s-1"
    answer = sandbox.client.get(page)
    assert answer.status_code == 303
    back = urlsplit(answer.headers["location"])
    query = parse_qs(back.query)
    assert (back.netloc, query["x"], query["state"]) == ("shop.example", ["1"], ["s-1"])
    assert platform.authority.create_token(query["code"][0], datetime.now(UTC)).access_token
    with pytest.raises(Misconfigured) as error:
        platform.authority.create_token(query["code"][0], datetime.now(UTC))
    assert error.value.code == "consent_needed"


def test_a_refresh_token_is_good_once(platform: Connection) -> None:
    token = platform.tokens.token
    assert platform.refreshed(token).access_token != token.access_token
    with pytest.raises(Misconfigured) as error:
        platform.refreshed(token)
    assert error.value.code == "consent_needed"


def test_a_token_that_ended_early_is_renewed(platform: Connection, sandbox: RunningSandbox) -> None:
    sandbox.forget_tokens(platform.name)
    assert found(platform).items
    assert platform.tokens.renewals == 1


def test_a_token_that_is_refused_once_is_renewed(
    platform: Connection, sandbox: RunningSandbox
) -> None:
    sandbox.order_fault(platform.name, "expired", operation="search")
    assert found(platform).items
    assert platform.tokens.renewals == 1


def test_a_token_that_is_refused_twice_is_for_a_person(
    platform: Connection, sandbox: RunningSandbox
) -> None:
    sandbox.order_fault(platform.name, "expired", times=2, operation="search")
    with pytest.raises(Misconfigured) as error:
        found(platform)
    assert error.value.code == "token_refused"


# Faults


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("error", "server_error"),
        ("malformed", "answer_malformed"),
        ("empty", "answer_malformed"),
        ("timeout", "timed_out"),
    ],
)
@pytest.mark.parametrize("operation", ["search", "detail", "freight"])
def test_a_fault_is_worth_another_try(
    platform: Connection,
    sandbox: RunningSandbox,
    values: ProviderValues,
    kind: str,
    code: str,
    operation: str,
) -> None:
    external_id = sold_here(platform)[0]
    hasty = Connection(platform.name, replace(values, supplier_timeout_seconds=0.5))
    sandbox.order_fault(platform.name, kind, seconds=1.0, operation=operation)

    def ask() -> object:
        if operation == "search":
            return found(hasty)
        if operation == "detail":
            return detail(hasty, external_id)
        return hasty.supplier.freight(
            external_id,
            variant_id=None,
            quantity=100,
            country="ZA",
            currency="USD",
            language="en",
        )

    with pytest.raises(Unavailable) as error:
        ask()
    assert error.value.code == code
    ask()


def test_a_limit_says_how_long_to_wait(platform: Connection, sandbox: RunningSandbox) -> None:
    sandbox.order_fault(platform.name, "rate_limit", seconds=77)
    with pytest.raises(Unavailable) as error:
        found(platform)
    assert (error.value.code, error.value.retry_after) == ("rate_limited", 77)
    assert error.value.outcome == "nothing_created"
    assert platform.line.rests == [77]


def test_calls_beyond_the_limit_are_banned(platform: Connection, sandbox: RunningSandbox) -> None:
    put(sandbox, f"dials/{platform.name}", calls_per_second=2, ban_seconds=30)
    codes: list[str] = []
    for _ in range(4):
        try:
            found(platform)
            codes.append("")
        except Unavailable as error:
            codes.append(error.code)
    assert codes == ["", "", "rate_limited", "rate_limited"]


def test_another_shape_says_the_same(platform: Connection, sandbox: RunningSandbox) -> None:
    external_id = sold_here(platform)[0]
    usual = found(platform), detail(platform, external_id), platform.supplier.categories("fr")
    sandbox.order_fault(platform.name, "shape", times=10)
    odd = found(platform), detail(platform, external_id), platform.supplier.categories("fr")
    assert odd == usual


def test_every_kind_of_product_is_read(platform: Connection) -> None:
    read, refusals = 0, []
    for item in found(platform, ALL).items:
        try:
            product = detail(platform, item.external_id, "fr")
        except Rejected as error:
            refusals.append(error.code)
            continue
        read += 1
        assert product.external_id == item.external_id
        assert min(variant.bulk_price or variant.price for variant in product.variants) <= (
            item.price or Decimal(0)
        )
    assert read > 40
    assert set(refusals) == {"not_sold_here"}
