"""A gateway's statement as it was downloaded: CSV in, lines out, each fault with its place.

Takes UTF-8 (with or without a byte order mark) and what spreadsheets call Latin-1 (Windows-1252),
commas or semicolons, quoted cells with line breaks. The first line that is not blank names the
columns, in the gateway's own words: what they mean is for the database to know. Card numbers are
masked before anything is kept.
"""

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_workers.card_numbers import redact_card_numbers
from edge_workers.errors import (
    FieldError,
    StatementColumnInvalid,
    StatementInvalid,
    StatementLineUneven,
    StatementQuoteInvalid,
    ValueMalformed,
    ValueMissing,
    ValueOutOfRange,
)

MAX_STATEMENT_BYTES: Final = 4 * 1024 * 1024
MAX_LINES: Final = 5_000
MAX_COLUMNS: Final = 200
MAX_NAME_CHARACTERS: Final = 100
MAX_CELL_CHARACTERS: Final = 2_000
_MOST_FAULTS: Final = 20
"""So many faults are told at once; a wrong file would have one in each line."""
_DELIMITERS: Final = (",", ";")
_BREAKS: Final = frozenset("\t\n\r")


@dataclass(frozen=True)
class Statement:
    """The lines of a statement, and where each stands in the file."""

    lines: list[dict[str, str]]
    """One a line: the column's name to the cell's text, without surrounding spaces."""
    line_numbers: list[int]
    """Where each begins, counted from 1 as editors do."""

    def located(self, error: StatementInvalid) -> StatementInvalid:
        """A refusal of these lines, which counts them from 1, with the place in the file."""
        facts = error.facts or {}
        number = facts.get("line")
        if isinstance(number, int) and 0 < number <= len(self.line_numbers):
            number = self.line_numbers[number - 1]
        fault = _fault(error.code, number, facts.get("column"), facts)
        return StatementInvalid(detail=error.detail, message=error.message, errors=[fault])


def read_statement(raw: bytes) -> Statement:
    """The statement in `raw`. Raises StatementInvalid (400) that names each line and column."""
    text = _decoded(raw)
    rows = _rows(text, _delimiter(text))
    header_number, header = next(rows, (1, []))
    columns = _columns(header_number, header)
    statement = Statement([], [])
    faults: list[FieldError] = []
    for number, cells in rows:
        found = _faults(number, cells, columns)
        faults += found
        if len(faults) >= _MOST_FAULTS:
            break
        if not found:
            statement.line_numbers.append(number)
            statement.lines.append(
                {
                    column: redact_card_numbers(cell)
                    for column, cell in zip(columns, cells, strict=False)
                }
            )
        if len(statement.lines) > MAX_LINES:
            faults.append(_fault(ValueOutOfRange.code, number, None, {"most_lines": MAX_LINES}))
            break
    if not statement.lines and not faults:
        faults.append(_fault(ValueMissing.code, header_number + 1, None))
    if faults:
        raise StatementInvalid(errors=faults)
    return statement


def _decoded(raw: bytes) -> str:
    """The text. Windows-1252 is what "Latin-1" means in practice; it leaves five bytes open."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise StatementInvalid(errors=[_fault(ValueMalformed.code, number, None)]) from error


def _delimiter(text: str) -> str:
    """The one of the two that splits the first line into more cells."""

    def count(delimiter: str) -> int:
        try:
            return len(next(_rows(text, delimiter), (1, []))[1])
        except StatementInvalid:
            return 0

    return max(_DELIMITERS, key=count)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not blank. Raises StatementInvalid."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        is_too_long = "field larger than field limit" in str(error)
        code = ValueOutOfRange.code if is_too_long else StatementQuoteInvalid.code
        raise StatementInvalid(errors=[_fault(code, number, None)]) from error


def _columns(number: int, header: list[str]) -> list[str]:
    """The columns' names. Raises StatementInvalid for one that is missing, doubled or no name."""
    while header and not header[-1]:
        header.pop()
    if len(header) > MAX_COLUMNS:  # before they are compared with each other
        fault = _fault(ValueOutOfRange.code, number, None, {"most_columns": MAX_COLUMNS})
        raise StatementInvalid(errors=[fault])
    faults = []
    for place, column in enumerate(header, 1):
        is_name = 0 < len(column) <= MAX_NAME_CHARACTERS and column.isprintable()
        if not is_name or column in header[: place - 1]:
            where = column if is_name else place
            faults.append(_fault(StatementColumnInvalid.code, number, where))
    if not header:
        faults.append(_fault(ValueMissing.code, number, None))
    if faults:
        raise StatementInvalid(errors=faults[:_MOST_FAULTS])
    return header


def _faults(number: int, cells: list[str], columns: list[str]) -> list[FieldError]:
    """What is wrong with one line."""
    if len(cells) < len(columns):
        return [_fault(StatementLineUneven.code, number, columns[len(cells)])]
    if any(cells[len(columns) :]):
        return [_fault(StatementLineUneven.code, number, len(columns) + 1)]
    return [
        _fault(
            ValueOutOfRange.code if len(cell) > MAX_CELL_CHARACTERS else ValueMalformed.code,
            number,
            column,
        )
        for column, cell in zip(columns, cells, strict=False)
        if len(cell) > MAX_CELL_CHARACTERS or not _is_text(cell)
    ]


def _is_text(cell: str) -> bool:
    return cell.isprintable() or all(
        char in _BREAKS or unicodedata.category(char) not in {"Cc", "Cs"} for char in cell
    )


def _fault(
    code: str, line: object, column: object, facts: Mapping[str, Any] | None = None
) -> FieldError:
    """What is wrong where. A column without a name is named by its place."""
    place = [part for part in ("lines", line, column) if part is not None]
    return FieldError(
        ".".join(str(part) for part in place),
        code,
        {**(facts or {}), "line": line, "column": column},
    )
