"""`/v2/rates` of Frankfurter: a flat list of pairs. Source: frankfurter.dev."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from edge_workers.providers.contracts.rates import RateSheet, against, published_at, rate_from
from edge_workers.providers.errors import Rejected, Unavailable
from edge_workers.providers.transport import Transport


class Frankfurter:
    """Fulfils `RateProvider`."""

    name = "frankfurter"

    def __init__(self, *, base_url: str, timeout_seconds: float) -> None:
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )

    def latest(self, base: str, quotes: Collection[str]) -> RateSheet:
        """The rates of the last working day."""
        wanted = sorted({*quotes, "EUR"} - {"XAF", base})
        query = urlencode({"base": base, "quotes": ",".join(wanted)}, safe=",")
        answer = self._transport.send("GET", f"/v2/rates?{query}", operation="latest")
        if answer.status == 422:
            raise Rejected("A currency is not quoted.", code="currency_unsupported")
        rows = answer.json()
        if answer.status != 200 or not isinstance(rows, list):
            raise _malformed()
        per_base: dict[str, Decimal] = {base: Decimal(1)}
        days: set[str] = set()
        for row in rows:
            rate = _rate(row, base)
            if rate is not None:
                per_base[row["quote"]] = rate
                days.add(str(row.get("date")))
        if not days:
            raise _malformed()
        try:
            rates = against(base, quotes, per_base)
            # Pairs may be of several days: the sheet is as old as its oldest.
            observed_at = published_at(min(days))
        except KeyError as error:
            raise Rejected("A currency is not quoted.", code="currency_unsupported") from error
        except ValueError as error:
            raise _malformed() from error
        return RateSheet(source=self.name, base=base, observed_at=observed_at, rates=rates)


def _rate(row: Any, base: str) -> Decimal | None:
    if not isinstance(row, dict) or row.get("base") != base:
        return None
    return rate_from(row.get("rate")) if isinstance(row.get("quote"), str) else None


def _malformed() -> Unavailable:
    return Unavailable("Frankfurter gave no rates.", code="answer_malformed")
