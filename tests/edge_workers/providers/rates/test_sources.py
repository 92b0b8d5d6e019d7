"""Each source of exchange rates by its documented answers, and the sums that unite them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers.contracts.rates import (
    RateProvider,
    against,
    published_at,
    rate_from,
)
from edge_workers.providers.ecb import EuropeanCentralBank
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.frankfurter import Frankfurter
from edge_workers.providers.openexchangerates import OpenExchangeRates
from tests.contracts.peer import Said, peer

# The document's samples.
XML = (
    b'<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
    b'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube><Cube time="2026-09-01">'
    b'<Cube currency="USD" rate="1.1367"/><Cube currency="CNY" rate="8.0100"/>'
    b'<Cube currency="ZAR" rate="19.4600"/></Cube></Cube></gesmes:Envelope>'
)
PAID: dict[str, Any] = {
    "disclaimer": "…",
    "license": "…",
    "timestamp": 1790000000,
    "base": "USD",
    "rates": {"CNY": 7.05, "EUR": 0.8797, "XAF": 577.07, "ZAR": 17.12},
}
FREE: list[dict[str, Any]] = [
    {"date": "2026-09-01", "base": "USD", "quote": "ZAR", "rate": 17.1197},
    {"date": "2026-08-31", "base": "USD", "quote": "EUR", "rate": 0.879739},
    {"date": "2026-09-01", "base": "USD", "quote": "CNY", "rate": "7.0467"},
]
QUOTES = ("ZAR", "XAF", "CNY")


def said(body: Any, status: int = 200) -> Said:
    return Said(status, body if isinstance(body, bytes) else json.dumps(body).encode())


def paid_at(url: str) -> RateProvider:
    return OpenExchangeRates(app_id="app", base_url=url, timeout_seconds=5)


def free_at(url: str) -> RateProvider:
    return Frankfurter(base_url=url, timeout_seconds=5)


def bank_at(url: str) -> RateProvider:
    return EuropeanCentralBank(base_url=url, timeout_seconds=5)


# Sums


@pytest.mark.parametrize(
    ("base", "quote", "wanted"),
    [("USD", "XAF", "577.0713"), ("CNY", "XAF", "81.8923"), ("USD", "ZAR", "17.1197")],
)
def test_the_documents_vectors(base: str, quote: str, wanted: str) -> None:
    per_euro = {
        "EUR": Decimal(1),
        "USD": Decimal("1.1367"),
        "CNY": Decimal("8.0100"),
        "ZAR": Decimal("19.4600"),
    }
    rate = against(base, (quote,), per_euro)[quote]
    assert rate.quantize(Decimal("0.0001")) == Decimal(wanted)
    assert rate.as_tuple().exponent == -8


def test_the_franc_is_by_its_peg_even_where_it_is_quoted() -> None:
    known = {"USD": Decimal(1), "EUR": Decimal("0.8797"), "XAF": Decimal(999)}
    assert against("USD", ("XAF",), known) == {"XAF": Decimal("577.04537290")}
    assert against("EUR", ("XAF",), {"EUR": Decimal(1)}) == {"XAF": Decimal("655.95700000")}
    assert against("XAF", ("EUR",), {"EUR": Decimal(1)}) == {"EUR": Decimal("0.00152449")}


def test_without_a_euro_the_franc_is_as_it_is_quoted() -> None:
    known = {"USD": Decimal(1), "XAF": Decimal("577.07")}
    assert against("USD", ("XAF", "USD"), known) == {"XAF": Decimal("577.07000000")}
    with pytest.raises(KeyError):
        against("USD", ("XAF",), {"USD": Decimal(1)})


@pytest.mark.parametrize("value", [0, -1, "", None, True, "NaN", "1e5"])
def test_what_is_no_rate(value: Any) -> None:
    assert rate_from(value) is None


def test_a_days_rates_are_out_in_the_afternoon() -> None:
    assert published_at("2026-09-01") == datetime(2026, 9, 1, 15, tzinfo=UTC)
    with pytest.raises(ValueError, match="isoformat"):
        published_at("1/9/2026")


# Sources


def test_the_bank() -> None:
    with peer(said(XML)) as source:
        sheet = bank_at(source.url).latest("USD", QUOTES)
        (heard,) = source.heard
    assert heard.path == "/stats/eurofxref/eurofxref-daily.xml"
    assert (sheet.source, sheet.base) == ("ecb", "USD")
    assert sheet.observed_at == datetime(2026, 9, 1, 15, tzinfo=UTC)
    assert sheet.rates == {
        "ZAR": Decimal("17.11973256"),
        "XAF": Decimal("577.07134688"),
        "CNY": Decimal("7.04671417"),
    }


def test_the_banks_quotes_may_be_single() -> None:
    with peer(said(XML.replace(b'"', b"'"))) as source:
        assert bank_at(source.url).latest("USD", ("ZAR",)).rates == {"ZAR": Decimal("17.11973256")}


def test_the_free_source() -> None:
    with peer(said(FREE)) as source:
        sheet = free_at(source.url).latest("USD", QUOTES)
        (heard,) = source.heard
    assert heard.path == "/v2/rates?base=USD&quotes=CNY,EUR,ZAR"
    assert (sheet.source, sheet.base) == ("frankfurter", "USD")
    # As old as the oldest of its pairs.
    assert sheet.observed_at == datetime(2026, 8, 31, 15, tzinfo=UTC)
    assert sheet.rates == {
        "ZAR": Decimal("17.11970000"),
        "XAF": Decimal("577.07095522"),
        "CNY": Decimal("7.04670000"),
    }


def test_the_paid_source() -> None:
    with peer(said(PAID)) as source:
        sheet = paid_at(source.url).latest("USD", QUOTES)
        (heard,) = source.heard
    assert heard.path == "/api/latest.json?app_id=app&symbols=CNY,EUR,USD,ZAR"
    assert (sheet.source, sheet.base) == ("openexchangerates", "USD")
    assert sheet.observed_at == datetime.fromtimestamp(1790000000, UTC)
    assert sheet.rates == {
        "ZAR": Decimal("17.12000000"),
        "XAF": Decimal("577.04537290"),
        "CNY": Decimal("7.05000000"),
    }


def test_another_base_is_computed() -> None:
    with peer(said(PAID)) as source:
        sheet = paid_at(source.url).latest("ZAR", ("USD",))
    assert sheet.rates == {"USD": Decimal("0.05841121")}


@pytest.mark.parametrize(
    ("body", "status", "class_", "code"),
    [
        ({"error": True, "message": "missing_app_id"}, 401, Misconfigured, "app_key_refused"),
        ({"error": True, "message": "invalid_app_id"}, 401, Misconfigured, "app_key_refused"),
        ({"error": True, "message": "access_restricted"}, 403, Misconfigured, "permission_missing"),
        ({"error": True, "message": "invalid_base"}, 400, Misconfigured, "request_refused"),
        ({"error": True, "message": "not_allowed"}, 429, Unavailable, "rate_limited"),
        ({"error": True, "message": "not_found"}, 404, Unavailable, "answer_malformed"),
        (b"<html>", 401, Misconfigured, "app_key_refused"),
        (b"<html>", 200, Unavailable, "answer_malformed"),
        (b"<html>", 502, Unavailable, "server_error"),
        ({**PAID, "base": "EUR"}, 200, Unavailable, "answer_malformed"),
        ({**PAID, "timestamp": "now"}, 200, Unavailable, "answer_malformed"),
        ({**PAID, "timestamp": 10**30}, 200, Unavailable, "answer_malformed"),
        ({**PAID, "rates": {"EUR": 0.88}}, 200, Rejected, "currency_unsupported"),
    ],
)
def test_what_the_paid_source_refuses(
    body: Any, status: int, class_: type[ProviderError], code: str
) -> None:
    with peer(said(body, status)) as source, pytest.raises(class_) as error:
        paid_at(source.url).latest("USD", QUOTES)
    assert error.value.code == code
    assert "app_id=" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "status", "class_", "code"),
    [
        ({"message": "unknown"}, 422, Rejected, "currency_unsupported"),
        ([], 200, Unavailable, "answer_malformed"),
        ({}, 200, Unavailable, "answer_malformed"),
        ([{**FREE[0], "base": "EUR"}], 200, Unavailable, "answer_malformed"),
        ([FREE[0]], 200, Rejected, "currency_unsupported"),
        ([{**row, "date": "today"} for row in FREE], 200, Unavailable, "answer_malformed"),
        ([{**row, "rate": 0} for row in FREE], 200, Unavailable, "answer_malformed"),
    ],
)
def test_what_the_free_source_refuses(
    body: Any, status: int, class_: type[ProviderError], code: str
) -> None:
    with peer(said(body, status)) as source, pytest.raises(class_) as error:
        free_at(source.url).latest("USD", QUOTES)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("raw", "class_", "code"),
    [
        (b"", Unavailable, "answer_malformed"),
        (b"<html>maintenance</html>", Unavailable, "answer_malformed"),
        (XML.replace(b'rate="19.4600"', b'rate="0"'), Rejected, "currency_unsupported"),
        (XML.replace(b"2026-09-01", b"2026-13-01"), Unavailable, "answer_malformed"),
        (XML + XML, Unavailable, "answer_malformed"),
        (XML.replace(b"USD", b"GBP"), Rejected, "currency_unsupported"),
    ],
)
def test_what_the_bank_does_not_say(raw: bytes, class_: type[ProviderError], code: str) -> None:
    with peer(said(raw)) as source, pytest.raises(class_) as error:
        bank_at(source.url).latest("USD", QUOTES)
    assert error.value.code == code
