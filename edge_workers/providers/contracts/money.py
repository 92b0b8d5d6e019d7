"""Amounts as they cross the border: Decimal in major units beside an ISO 4217 code."""

from __future__ import annotations

import re
from decimal import Decimal

from edge_workers.providers.errors import Rejected

MINOR_UNITS: dict[str, int] = {"XAF": 0, "XOF": 0, "ZAR": 2, "NGN": 2, "KES": 2, "GHS": 2}
"""Decimal places by ISO 4217; a currency that is not listed is refused before anything is sent."""

_MOST_DIGITS = 15

_plain_number = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?\Z")


def checked_amount(amount: Decimal, currency: str) -> Decimal:
    """The amount without trailing zeros, when the currency can express it exactly.

    Raises `Rejected` (`currency_unsupported`, `amount_invalid`) for anything else: a fraction of a
    franc, zero, a negative or non-finite number. Nothing is ever rounded here.
    """
    places = MINOR_UNITS.get(currency)
    if places is None:
        raise Rejected("The currency is not known here.", code="currency_unsupported")
    if not amount.is_finite() or amount <= 0:
        raise Rejected("The amount is not a positive decimal number.", code="amount_invalid")
    if amount.adjusted() >= _MOST_DIGITS or amount != round(amount, places):
        raise Rejected(f"The amount has more than {places} decimals.", code="amount_invalid")
    return Decimal(round(amount)) if amount == round(amount) else amount.normalize()


def amount_from(value: object) -> Decimal | None:
    """An amount that a provider wrote as a JSON number or as text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    if isinstance(value, str) and not _plain_number.match(value):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount.adjusted() < _MOST_DIGITS else None
