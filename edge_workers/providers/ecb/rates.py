"""The bank's daily XML: rates for one euro, about 16:00 CET on working days. Source: ecb.europa.eu.

Read with a pattern and not with an XML parser: three attributes are wanted, and a document type or
an entity in such a file would be nobody's friend.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

from edge_workers.providers.contracts.rates import RateSheet, against, published_at, rate_from
from edge_workers.providers.errors import Rejected, Unavailable
from edge_workers.providers.transport import Transport

_day = re.compile(r"<Cube\s+time=[\"']([0-9]{4}-[0-9]{2}-[0-9]{2})[\"']")
_rate = re.compile(r"<Cube\s+currency=[\"']([A-Z]{3})[\"']\s+rate=[\"']([0-9.]{1,20})[\"']\s*/>")


class EuropeanCentralBank:
    """Fulfils `RateProvider`."""

    name = "ecb"

    def __init__(self, *, base_url: str, timeout_seconds: float) -> None:
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )

    def latest(self, base: str, quotes: Collection[str]) -> RateSheet:
        """The rates of the last working day; XAF by its peg, since the bank does not quote it."""
        answer = self._transport.send(
            "GET", "/stats/eurofxref/eurofxref-daily.xml", operation="latest"
        )
        text = answer.content.decode("utf-8", "replace")
        days = _day.findall(text)
        per_euro = {code: rate for code, value in _rate.findall(text) if (rate := rate_from(value))}
        if answer.status != 200 or len(days) != 1 or not per_euro:
            raise Unavailable("The ECB gave no rates.", code="answer_malformed")
        per_euro["EUR"] = Decimal(1)
        try:
            rates = against(base, quotes, per_euro)
            observed_at = published_at(days[0])
        except KeyError as error:
            raise Rejected("A currency is not quoted.", code="currency_unsupported") from error
        except ValueError as error:
            raise Unavailable("The ECB gave no day.", code="answer_malformed") from error
        return RateSheet(source=self.name, base=base, observed_at=observed_at, rates=rates)
