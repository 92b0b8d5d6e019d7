"""`latest.json` of Open Exchange Rates. Its free plan quotes against USD alone.

Source: docs.openexchangerates.org.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from edge_workers.providers.contracts.rates import RateSheet, against, rate_from
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.transport import Answer, Transport

_LATEST_MOMENT: Final = 253_402_300_800
"""The year 10000 in seconds: beyond it nothing is a date."""
_MISCONFIGURED: Final = {
    "missing_app_id": "app_key_refused",
    "invalid_app_id": "app_key_refused",
    "access_restricted": "permission_missing",
    "not_allowed": "permission_missing",
    "invalid_base": "request_refused",
}


class OpenExchangeRates:
    """Fulfils `RateProvider`."""

    name = "openexchangerates"

    def __init__(self, *, app_id: str, base_url: str, timeout_seconds: float) -> None:
        self._app_id = app_id
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )

    def latest(self, base: str, quotes: Collection[str]) -> RateSheet:
        """The rates of this hour."""
        # The euro comes along, since the franc's peg is to it.
        wanted = sorted({*quotes, base, "EUR"} - {"XAF"})
        query = urlencode({"app_id": self._app_id, "symbols": ",".join(wanted)}, safe=",")
        answer = self._transport.send("GET", f"/api/latest.json?{query}", operation="latest")
        body = answer.json()
        if not isinstance(body, dict) or answer.status != 200 or body.get("error"):
            raise _refusal(answer, body)
        listed, observed_at = body.get("rates"), _moment(body.get("timestamp"))
        if not isinstance(listed, dict) or observed_at is None or body.get("base") != "USD":
            raise Unavailable("Open Exchange Rates gave no rates.", code="answer_malformed")
        per_dollar = {code: rate for code, value in listed.items() if (rate := rate_from(value))}
        per_dollar["USD"] = Decimal(1)
        try:
            rates = against(base, quotes, per_dollar)
        except KeyError as error:
            raise Rejected("A currency is not quoted.", code="currency_unsupported") from error
        return RateSheet(
            source=self.name,
            base=base,
            observed_at=observed_at,
            rates=rates,
        )


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not 0 < seconds < _LATEST_MOMENT:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _refusal(answer: Answer, body: Any) -> ProviderError:
    message = body.get("message") if isinstance(body, dict) else None
    if isinstance(message, str) and message in _MISCONFIGURED:
        return Misconfigured(
            f"Open Exchange Rates refused: {message}.", code=_MISCONFIGURED[message]
        )
    if answer.status in (401, 403):
        return Misconfigured("Open Exchange Rates refused the app id.", code="app_key_refused")
    return Unavailable("Open Exchange Rates gave no rates.", code="answer_malformed")
