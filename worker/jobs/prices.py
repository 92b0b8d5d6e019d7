"""Prices: exchange rates come in, and every price follows what it is made of."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from edge_workers.log import get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.rates import RateProvider, RateSheet
from edge_workers.providers.errors import ProviderError
from worker.task import Task

BASE: Final = "USD"
"""What suppliers ask for, and what rates are kept against."""
QUOTES: Final = ("EUR", "ZAR", "CNY")
"""Currencies asked for. The CFA franc follows the euro by its peg, in the database."""
BATCH: Final = 500
"""Listings whose prices are made in one transaction."""
SECONDS: Final = 18.0
"""How long one run works; what is left is another job's."""

log = get_logger(__name__)


def refresh_rates(task: Task) -> None:
    """Ask the sources of exchange rates in their order until one gives rates that all hold.

    What a source quotes is checked by the database: a rate that jumps or is old is kept out, and
    the next source is asked. Raises the last `ProviderError` when none answered; the last good
    rates stay.
    """
    failure: ProviderError | None = None
    is_answered = False
    for source in registry.rate_providers(task.settings):
        try:
            sheet = task.ask(source.name, partial(_latest, source))
        except ProviderError as error:
            failure = error
            log.warning("rates.unavailable", source=source.name, code=error.code)
            continue
        is_answered = True
        if _record(task, sheet):
            break
    old: Sequence[str] = task.database.call("check_exchange_rates")["old"]
    if old:
        log.error("rates.old", currencies=list(old))
    if failure is not None and not is_answered:
        raise failure


def _latest(source: RateProvider) -> RateSheet:
    return source.latest(BASE, QUOTES)


def _record(task: Task, sheet: RateSheet) -> bool:
    """Whether all rates of the sheet were good."""
    answer: Mapping[str, list[Any]] = task.database.call(
        "record_exchange_rates",
        rates={currency: str(rate) for currency, rate in sheet.rates.items()},
        source=sheet.source,
        observed_at=sheet.observed_at,
    )
    log.info(
        "rates.recorded",
        source=sheet.source,
        observed_at=sheet.observed_at.isoformat(),
        recorded=answer["recorded"],
        adopted=answer["adopted"],
    )
    if answer["refused"]:
        log.error("rates.refused", source=sheet.source, currencies=answer["refused"])
    return not answer["refused"]


def reprice_products(task: Task) -> None:
    """Make prices anew where that was asked for, batch by batch, for at most `SECONDS`.

    How far it has come is a row: whoever is killed on the way loses nothing.
    """
    deadline = time.monotonic() + SECONDS
    priced = written = 0
    while True:
        answer: Mapping[str, Any] = task.database.call("reprice_products", batch=BATCH)
        priced += answer["priced"]
        written += answer["written"]
        if answer["is_done"]:
            break
        if time.monotonic() >= deadline:
            task.database.call("continue_repricing")
            break
    if priced:
        log.info("prices.made", priced=priced, written=written, is_done=answer["is_done"])
