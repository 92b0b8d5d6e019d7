"""Rates come from the first source that gives good ones, and prices follow; nothing is lost."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.providers.errors import ProviderError
from tests.concurrency.shoppers import Admin
from tests.contracts.profiles import values_for
from tests.properties.scratch import Scratch, clear, scratch_database
from tests.sandbox.running import RunningSandbox, running_sandbox
from worker.jobs import prices
from worker.task import Task

SOURCES = ("openexchangerates", "frankfurter", "ecb")


@dataclass(frozen=True)
class RateShop:
    """A shop of the test's own, which no relay looks into, and the sources of rates."""

    admin: Admin
    session: Session
    settings: Settings
    sandbox: RunningSandbox

    def task(self, **changes: Any) -> Task:
        return Task(
            database=self.session,
            settings=self.settings.model_copy(update=changes),
            request_id="test",
        )

    def quote(self, age_hours: float = 0, **per_euro: str) -> None:
        """What all sources quote for a euro, beside the usual."""
        self.sandbox.client.put(
            f"{self.sandbox.url}/_sandbox/rates",
            json={"per_euro": per_euro, "age_hours": age_hours},
        ).raise_for_status()

    def rates(self) -> dict[str, tuple[Decimal, str]]:
        """The newest good rate of each currency, and who gave it."""
        rows = self.admin.execute(
            "select distinct on (quote_currency) quote_currency, rate, source "
            "from public.exchange_rates order by quote_currency, as_of desc"
        ).fetchall()
        return {row["quote_currency"]: (row["rate"], row["source"]) for row in rows}

    def count(self, statement: str) -> int:
        row = self.admin.execute(statement).fetchone()
        assert row is not None
        (value,) = row.values()
        return int(value)

    def stock(self, cost: Decimal) -> str:
        """Goods with a known cost; their id."""
        row = self.admin.execute(
            "with category as ("
            "  insert into public.categories (slug, name, name_fr) values (%s, 'Test', 'Essai')"
            "  returning id"
            "), product as ("
            "  insert into public.products (category_id, name, price_mallgram)"
            "  select id, 'Solar lamp', 20 from category returning id"
            ") insert into private.product_costs (product_id, cost, currency)"
            "  select id, %s, 'USD' from product returning product_id as id",
            [f"test-{uuid.uuid4().hex}", cost],
        ).fetchone()
        assert row is not None
        return str(row["id"])


@pytest.fixture(scope="module")
def own_scratch(stack_env: dict[str, str]) -> Iterator[Scratch]:
    with scratch_database(stack_env, f"mallgram_prices_{os.getpid()}") as made:
        yield made


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def rate_shop(
    own_scratch: Scratch, own_sandbox: RunningSandbox, stack_settings: Settings
) -> Iterator[RateShop]:
    values = values_for(own_sandbox)
    known = {
        one.name: getattr(values, one.name)
        for one in dataclasses.fields(values)
        if one.name in Settings.model_fields
    }
    settings = stack_settings.model_copy(
        update={
            **known,
            "database_url": SecretStr(own_scratch.service_url),
            "database_session_url": None,
            "redis_url": None,
        }
    )
    admin = own_scratch.connect()
    clear(admin)
    for table in ("public.exchange_rates", "private.refused_exchange_rates"):
        admin.execute(f"delete from {table}")  # noqa: S608  # a table of ours
    admin.execute("delete from private.pricing_rates where currency <> 'USD'")
    with Session.open(own_scratch.service_url) as session:
        opened = RateShop(admin, session, settings, own_sandbox)
        own_sandbox.clear_faults()
        opened.quote()
        yield opened
    admin.close()


def said(events: list[Any]) -> list[Any]:
    """What the job itself logged."""
    return [event for event in events if event["event"].startswith("rates.")]


def calls(shop: RateShop, source: str) -> int:
    return len(shop.sandbox.listed("calls", provider=source))


def test_the_first_source_is_enough(rate_shop: RateShop) -> None:
    before = {source: calls(rate_shop, source) for source in SOURCES}

    with capture_logs() as events:
        prices.refresh_rates(rate_shop.task())

    assert {source: calls(rate_shop, source) - before[source] for source in SOURCES} == {
        "openexchangerates": 1,
        "frankfurter": 0,
        "ecb": 0,
    }
    found = rate_shop.rates()
    assert {currency: source for currency, (_, source) in found.items()} == dict.fromkeys(
        ("CNY", "EUR", "XAF", "ZAR"), "openexchangerates"
    )
    assert round(found["ZAR"][0], 4) == Decimal("17.1197")
    assert round(found["XAF"][0], 4) == Decimal("577.0713")
    assert [event["event"] for event in said(events)] == ["rates.recorded"]


@pytest.mark.parametrize("kind", ["error", "malformed", "timeout"])
def test_a_source_that_fails_gives_way_to_the_next(rate_shop: RateShop, kind: str) -> None:
    rate_shop.sandbox.order_fault("openexchangerates", kind, times=10)

    with capture_logs() as events:
        prices.refresh_rates(rate_shop.task(rate_timeout_seconds=0.5))

    assert {source for _, source in rate_shop.rates().values()} == {"frankfurter"}
    assert said(events)[0]["event"] == "rates.unavailable"


def test_without_a_key_the_public_sources_are_asked(rate_shop: RateShop) -> None:
    before = calls(rate_shop, "openexchangerates")

    prices.refresh_rates(rate_shop.task(open_exchange_rates_app_id=None))

    assert calls(rate_shop, "openexchangerates") == before
    assert {source for _, source in rate_shop.rates().values()} == {"frankfurter"}


def test_when_no_source_answers_the_last_rates_stay_and_the_job_is_tried_again(
    rate_shop: RateShop,
) -> None:
    prices.refresh_rates(rate_shop.task())
    kept = rate_shop.rates()
    for source in SOURCES:
        rate_shop.sandbox.order_fault(source, "error", times=10)

    with pytest.raises(ProviderError):
        prices.refresh_rates(rate_shop.task())

    assert rate_shop.rates() == kept


def test_rates_that_jump_are_kept_out_and_every_source_is_heard(rate_shop: RateShop) -> None:
    rate_shop.quote(age_hours=1)
    prices.refresh_rates(rate_shop.task())
    kept = rate_shop.rates()
    before = {source: calls(rate_shop, source) for source in SOURCES}
    rate_shop.quote(ZAR="25.0000")

    with capture_logs() as events:
        prices.refresh_rates(rate_shop.task())

    assert rate_shop.rates()["ZAR"] == kept["ZAR"]
    assert calls(rate_shop, "frankfurter") == before["frankfurter"] + 1
    assert ("rates.refused", "error") in [(e["event"], e["log_level"]) for e in events]
    desk = rate_shop.admin.execute(
        "select currency from private.payment_exceptions where kind = 'exchange_rate_refused'"
    ).fetchall()
    assert [row["currency"] for row in desk] == ["ZAR"]


def test_rates_of_last_week_are_not_taken(rate_shop: RateShop) -> None:
    rate_shop.quote(age_hours=24 * 7)

    with capture_logs() as events:
        prices.refresh_rates(rate_shop.task())

    assert rate_shop.rates() == {}
    assert events[-1]["event"] == "rates.old"
    assert events[-1]["currencies"] == ["CNY", "EUR", "XAF", "ZAR"]


def test_prices_follow_rates_batch_by_batch(
    rate_shop: RateShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "BATCH", 2)
    ids = [rate_shop.stock(Decimal(cost)) for cost in (3, 10, 30, 80, 200)]
    prices.refresh_rates(rate_shop.task())
    assert (
        rate_shop.count("select count(*) from private.outbox where job = 'reprice_products'") == 1
    )

    prices.reprice_products(rate_shop.task())

    assert rate_shop.count("select count(*) from public.product_prices") == 2 * len(ids)
    assert rate_shop.count("select count(*) from private.invariant_prices") == 0
    written = rate_shop.count("select count(*) from public.price_history")
    prices.reprice_products(rate_shop.task())
    assert rate_shop.count("select count(*) from public.price_history") == written


def test_what_time_does_not_allow_is_another_jobs(
    rate_shop: RateShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "BATCH", 2)
    monkeypatch.setattr(prices, "SECONDS", 0.0)
    for cost in (3, 10, 30):
        rate_shop.stock(Decimal(cost))
    prices.refresh_rates(rate_shop.task())
    jobs: Callable[[], int] = lambda: rate_shop.count(  # noqa: E731
        "select count(*) from private.outbox where job = 'reprice_products'"
    )

    prices.reprice_products(rate_shop.task())
    assert (rate_shop.count("select count(*) from public.product_prices"), jobs()) == (4, 2)

    prices.reprice_products(rate_shop.task())
    assert (rate_shop.count("select count(*) from public.product_prices"), jobs()) == (6, 2)
