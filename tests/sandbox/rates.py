"""Three sources of exchange rates over one table of rates for a euro, which a control sets.

`/openexchangerates/api/latest.json`, `/frankfurter/v2/rates` and
`/ecb/stats/eurofxref/eurofxref-daily.xml`. The bank does not quote the CFA franc; the two others
derive it from its peg.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.sandbox.world import World, answered

PEG = Decimal("655.957")
USUAL = {"USD": "1.1367", "CNY": "8.0100", "ZAR": "19.4600", "NGN": "1720.55", "GBP": "0.8651"}
TABLE = "rates.table"
SOURCES = ("openexchangerates", "frankfurter", "ecb")


class Rates:
    """What all three quote."""

    def __init__(self, world: World) -> None:
        self._world = world

    def blueprint(self) -> Blueprint:
        """The three sources and `PUT /_sandbox/rates`."""
        views = Blueprint("rates", __name__)

        def add(source: str, path: str, act: Callable[[], Response]) -> None:
            def view() -> Response:
                return answered(self._world, source, "latest", act)

            views.add_url_rule(f"/{source}{path}", source, view)

        add("openexchangerates", "/api/latest.json", self._paid)
        add("frankfurter", "/v2/rates", self._free)
        add("ecb", "/stats/eurofxref/eurofxref-daily.xml", self._bank)
        views.add_url_rule("/_sandbox/rates", "turn", self._turn, methods=["GET", "PUT"])
        return views

    def _paid(self) -> Response:
        if request.args.get("app_id") != self._world.settings.open_exchange_rates_app_id:
            body = {"error": True, "status": 401, "message": "invalid_app_id", "description": "…"}
            return _answer(body, 401)
        if request.args.get("base", "USD") != "USD":
            body = {"error": True, "status": 403, "message": "access_restricted"}
            return _answer(body, 403)
        rates = self._per("USD")
        symbols = [code for code in request.args.get("symbols", "").split(",") if code]
        shown = {code: float(rates[code]) for code in symbols or rates if code in rates}
        body = {
            "disclaimer": "…",
            "license": "…",
            "timestamp": int(self._quoted_at()),
            "base": "USD",
            "rates": shown,
        }
        return _answer(body)

    def _free(self) -> Response:
        base = request.args.get("base", "EUR")
        quotes = [code for code in request.args.get("quotes", "").split(",") if code]
        if base not in self._per("EUR") or not set(quotes) <= set(self._per("EUR")):
            return _answer({"message": "unknown currency"}, 422)
        rates = self._per(base)
        rows = [
            {"date": self._day(), "base": base, "quote": code, "rate": float(round(rates[code], 6))}
            for code in quotes or rates
            if code != base
        ]
        return _answer(rows)

    def _bank(self) -> Response:
        cubes = "".join(
            f'<Cube currency="{code}" rate="{rate}"/>' for code, rate in self._table().items()
        )
        return Response(
            '<?xml version="1.0" encoding="UTF-8"?>\n<gesmes:Envelope '
            'xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
            'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
            "<gesmes:subject>Reference rates</gesmes:subject>"
            f'<Cube><Cube time="{self._day()}">{cubes}</Cube></Cube></gesmes:Envelope>',
            200,
            mimetype="text/xml",
        )

    def _per(self, base: str) -> dict[str, Decimal]:
        per_euro = {"EUR": Decimal(1), "XAF": PEG}
        per_euro |= {code: Decimal(rate) for code, rate in self._table().items()}
        return {code: rate / per_euro[base] for code, rate in per_euro.items()}

    def _table(self) -> dict[str, str]:
        turned = (self._world.journal.get(TABLE, "table") or {}).get("per_euro", {})
        return {**USUAL, **turned}

    def _quoted_at(self) -> float:
        age = (self._world.journal.get(TABLE, "table") or {}).get("age_hours", 0)
        return time.time() - 3600 * float(age)

    def _day(self) -> str:
        """The last day whose rates were out by then, at 15:00 UTC."""
        return datetime.fromtimestamp(self._quoted_at() - 15 * 3600, UTC).date().isoformat()

    def _turn(self) -> Any:
        """`{per_euro?: {USD: "1.1367"}, age_hours?: 0}`; `{}` sets all back."""
        if request.method == "PUT":
            body = request.get_json(force=True, silent=True)
            if not isinstance(body, dict) or not set(body) <= {"per_euro", "age_hours"}:
                return jsonify({"error": "per_euro and age_hours are wanted"}), 400
            try:
                table = {
                    code: str(Decimal(str(rate))) for code, rate in body.get("per_euro", {}).items()
                }
                age = float(body.get("age_hours", 0))
            except (AttributeError, TypeError, ValueError, InvalidOperation):
                return jsonify({"error": "rates and ages are numbers"}), 400
            self._world.journal.put(TABLE, "table", {"per_euro": table, "age_hours": age})
        return jsonify({"per_euro": self._table(), "day": self._day()})


def _answer(body: Any, status: int = 200) -> Response:
    response: Response = jsonify(body)
    response.status_code = status
    return response
