"""The suite that every source of exchange rates passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.rates import RateProvider
from edge_workers.providers.errors import Rejected, Unavailable
from tests.contracts.profiles import ProviderValues
from tests.sandbox.running import RunningSandbox

SOURCES = ("openexchangerates", "frankfurter", "ecb")
QUOTES = ("ZAR", "XAF", "CNY", "NGN")
CENT = Decimal("0.0001")


@pytest.fixture(params=SOURCES)
def source(
    request: pytest.FixtureRequest, sandbox: RunningSandbox, values: ProviderValues
) -> Iterator[RateProvider]:
    """A source, its rates as they are at first."""
    reset(sandbox)
    yield next(one for one in registry.rate_providers(values) if one.name == request.param)
    reset(sandbox)


def reset(sandbox: RunningSandbox, **body: object) -> None:
    sandbox.client.put(f"{sandbox.url}/_sandbox/rates", json=body).raise_for_status()


def test_the_chain_begins_with_what_is_paid_for(values: ProviderValues) -> None:
    assert tuple(one.name for one in registry.rate_providers(values)) == SOURCES
    free = replace(values, open_exchange_rates_app_id=None)
    assert tuple(one.name for one in registry.rate_providers(free)) == SOURCES[1:]


def test_all_say_the_same(source: RateProvider) -> None:
    sheet = source.latest("USD", QUOTES)
    assert (sheet.source, sheet.base) == (source.name, "USD")
    assert {code: rate.quantize(CENT) for code, rate in sheet.rates.items()} == {
        "ZAR": Decimal("17.1197"),
        "XAF": sheet.rates["XAF"].quantize(CENT),
        "CNY": Decimal("7.0467"),
        "NGN": sheet.rates["NGN"].quantize(CENT),
    }
    assert abs(sheet.rates["XAF"] - Decimal("577.0713")) < Decimal("0.001")
    assert all(rate.as_tuple().exponent == -8 for rate in sheet.rates.values())


def test_rates_know_their_age(source: RateProvider, sandbox: RunningSandbox) -> None:
    now = datetime.now(UTC)
    assert now - timedelta(hours=30) < source.latest("USD", QUOTES).observed_at <= now
    reset(sandbox, age_hours=96)
    age = now - source.latest("USD", QUOTES).observed_at
    assert timedelta(hours=95) < age < timedelta(hours=125)


def test_rates_move(source: RateProvider, sandbox: RunningSandbox) -> None:
    reset(sandbox, per_euro={"ZAR": "21.00"})
    rate = source.latest("USD", ("ZAR",)).rates["ZAR"]
    assert rate.quantize(CENT) == Decimal("18.4745")


def test_another_base(source: RateProvider) -> None:
    sheet = source.latest("CNY", ("XAF",))
    assert abs(sheet.rates["XAF"] - Decimal("81.8923")) < Decimal("0.001")


def test_an_unknown_currency_is_a_refusal(source: RateProvider) -> None:
    with pytest.raises(Rejected) as error:
        source.latest("USD", ("ZAR", "XYZ"))
    assert error.value.code == "currency_unsupported"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("error", "server_error"), ("malformed", "answer_malformed"), ("rate_limit", "rate_limited")],
)
def test_a_fault_leaves_the_next_source_to_be_asked(
    source: RateProvider, sandbox: RunningSandbox, kind: str, code: str
) -> None:
    sandbox.order_fault(source.name, kind)
    with pytest.raises(Unavailable) as error:
        source.latest("USD", QUOTES)
    assert error.value.code == code
    assert source.latest("USD", QUOTES).rates
