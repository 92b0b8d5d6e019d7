"""Exchange rates of a public or paid source, brought to one form.

A source that quotes against the euro is turned around here. The CFA franc of Central Africa is not
quoted by the European Central Bank and not floating: it is computed from its peg.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext
from typing import Final, Protocol

from edge_workers.providers.contracts.money import amount_from

XAF_PER_EUR: Final = Decimal("655.957")
"""The peg of the CFA franc of Central Africa."""
_PLACES: Final = Decimal("0.00000001")
"""What the database keeps of a rate."""


@dataclass(frozen=True, kw_only=True)
class RateSheet:
    """Units of each currency for one of `base`, as of one moment."""

    source: str
    base: str
    observed_at: datetime
    """When the source says that it quoted them; a day without an hour is 15:00 UTC,
    when the reference rates of a day are out."""
    rates: Mapping[str, Decimal]
    """By ISO 4217, at 8 decimals, the base left out."""


class RateProvider(Protocol):
    """A source of rates. Raises only what `providers.errors` names."""

    @property
    def name(self) -> str:
        """For logs and for `exchange_rates.source`."""

    def latest(self, base: str, quotes: Collection[str]) -> RateSheet:
        """The newest rates. `Rejected` (`currency_unsupported`) when it has not all of them."""


def rate_from(value: object) -> Decimal | None:
    """A rate that a source wrote as a number or as text; None for nothing, 0 and less."""
    rate = amount_from(value)
    return rate if rate is not None and rate > 0 else None


def published_at(day: str) -> datetime:
    """When the reference rates of an ISO date are out, 16:00 CET; ValueError for what is none."""
    return datetime.combine(date.fromisoformat(day), time(15), UTC)


def against(
    base: str, quotes: Collection[str], per_unit: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Rates for one of `base`, out of rates for one of any currency (that one included as 1).

    XAF comes from the euro by its peg wherever a euro rate is there. KeyError for a currency that
    can be had neither way.
    """
    known = dict(per_unit)
    if "EUR" in known:
        known["XAF"] = known["EUR"] * XAF_PER_EUR
    with localcontext() as context:
        context.prec = 40
        return {
            quote: (known[quote] / known[base]).quantize(_PLACES)
            for quote in quotes
            if quote != base
        }
