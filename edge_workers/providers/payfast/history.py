"""The transaction history: a table of money that came and went, read by its headings.

PayFast documents it as CSV with one row a movement (`Type` and `Sign` say which way), amounts in
rand with two decimals. The CSV comes plain or as a text in JSON; a list of objects with the same
names is taken as well. Columns may come, go and move.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edge_workers.providers.contracts.money import amount_from
from edge_workers.providers.contracts.payments import PaymentResult
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Unavailable
from edge_workers.providers.payfast import mapping
from edge_workers.providers.payfast.api import Reply


@dataclass(frozen=True)
class Movement:
    """One row about a payment: money that came in, or that went back."""

    reference: str
    transaction_id: str
    kind: str
    gross: Decimal | None
    """Positive; None when it cannot be read, which is not the same as no payment."""
    is_credit: bool
    fee: Decimal | None
    currency: str


@dataclass(frozen=True)
class Page:
    """The movements of one answer, and how many rows of any sort it had."""

    movements: tuple[Movement, ...]
    rows: int


def read(reply: Reply) -> Page:
    """The table of an answer. `Unavailable` for anything that is none."""
    if not reply.is_accepted:
        raise Unavailable(
            reply.message or "PayFast did not give its history.", code="status_refused"
        )
    rows = _rows(reply)
    movements = (_movement(row) for row in rows)
    return Page(tuple(found for found in movements if found is not None), len(rows))


def result(
    movements: Sequence[Movement], reference: str, transaction_id: str | None
) -> PaymentResult | None:
    """How the payment stands by its movements, None when there is none of it.

    Of several payments of one form it is the one asked for, or the first one made. `refunded` once
    all of it went back.
    """
    payments = [
        movement
        for movement in movements
        if movement.is_credit
        and movement.kind == mapping.HISTORY_PAYMENT
        and movement.reference == reference
        and transaction_id in (None, movement.transaction_id)
    ]
    if not payments:
        return None
    # PayFast's ids rise; the order of the rows is not promised.
    paid = min(payments, key=lambda one: (len(one.transaction_id), one.transaction_id))
    went_back = [
        movement
        for movement in movements
        if not movement.is_credit
        and movement.transaction_id == paid.transaction_id
        and movement.kind.startswith(mapping.HISTORY_PAYMENT)
    ]
    gone = sum((movement.gross or Decimal(0) for movement in went_back), Decimal(0))
    is_gone = paid.gross is not None and gone >= paid.gross
    return PaymentResult(
        status="refunded" if is_gone else "paid",
        amount=paid.gross,
        currency=paid.currency,
        gateway_transaction_id=paid.transaction_id,
        fee=paid.fee,
        reason=went_back[-1].kind if is_gone else None,
        gateway_status=(went_back[-1] if is_gone else paid).kind,
    )


def _rows(reply: Reply) -> list[dict[str, str]]:
    table = _table(reply)
    if not table:
        return []
    headings = [_heading(cell) for cell in table[0]]
    needed = {mapping.HISTORY_COLUMNS[name] for name in mapping.HISTORY_NEEDED}
    if not needed <= set(headings):
        raise Unavailable("PayFast's history has other columns.", code="answer_malformed")
    return [dict(zip(headings, row, strict=False)) for row in table[1:] if any(map(str.strip, row))]


def _table(reply: Reply) -> list[list[str]]:
    """Headings and rows; empty when PayFast says that there is nothing."""
    content = reply.response
    if content is None:
        content = reply.answer.content.decode("utf-8-sig", "replace")
        if not content.strip():
            raise Unavailable("PayFast's history is empty altogether.", code="answer_malformed")
    if isinstance(content, list):
        return _listed(content)
    if not isinstance(content, str):
        raise Unavailable("PayFast's history is no table.", code="answer_malformed")
    try:
        return [row for row in csv.reader(io.StringIO(content)) if row]
    except csv.Error as error:
        raise Unavailable("PayFast's history is no CSV.", code="answer_malformed") from error


def _listed(entries: list[Any]) -> list[list[str]]:
    if not entries:
        return []
    if not all(isinstance(entry, dict) for entry in entries):
        raise Unavailable("PayFast's history is no table.", code="answer_malformed")
    headings = list(dict.fromkeys(name for entry in entries for name in entry))
    cells = [[_cell(entry.get(name)) for name in headings] for entry in entries]
    return [headings, *cells]


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _heading(cell: str) -> str:
    return " ".join(cell.replace("_", " ").lower().split())


def _movement(row: dict[str, str]) -> Movement | None:
    """A row about a transaction; others (a payout, a total) are of no interest."""

    def cell(name: str) -> str:
        return row.get(mapping.HISTORY_COLUMNS[name], "").strip()

    gross = _amount(cell("gross"))
    if gross == 0 or not cell("transaction_id"):
        return None
    fee = _amount(cell("fee"))
    sign = cell("sign").lower()
    return Movement(
        reference=cell("reference"),
        transaction_id=cell("transaction_id")[:100],
        kind=_heading(safe_text(cell("kind"), 60)),
        gross=None if gross is None else abs(gross),
        is_credit=sign != "debit" and (gross is None or gross > 0),
        fee=None if fee is None else abs(fee),
        currency=(cell("currency") or mapping.CURRENCY).upper()[:3],
    )


def _amount(text: str) -> Decimal | None:
    """An amount that may have commas between its thousands."""
    return amount_from(text.replace(",", ""))
