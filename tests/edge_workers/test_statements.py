"""Statements as gateways and spreadsheets write them, and faults that name line and column."""

import csv
import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_workers import statements
from edge_workers.errors import StatementInvalid
from edge_workers.statements import read_statement

ROW = {"Reference": "mg-1", "Amount": "12,50", "Note": "Café"}


def faults_of(raw: bytes) -> list[tuple[str, str, Any]]:
    """(field, code, details) of each fault."""
    with pytest.raises(StatementInvalid) as refusal:
        read_statement(raw)
    return [(e.field, e.code, e.details) for e in refusal.value.errors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_of_all_kinds_are_read(encoding: str, newline: str) -> None:
    text = newline.join(["Reference;Amount;Note", 'mg-1;12,50;"Café"', ""])
    assert read_statement(text.encode(encoding)).lines == [ROW]


@pytest.mark.parametrize(
    "text",
    [
        'Reference,Amount,Note\nmg-1,"12,50",Café\n',
        '"Reference";"Amount";"Note"\n"mg-1";"12,50";"Café"',
        "Reference;Amount;Note\nmg-1;12,50;Café",
        '\n\n  \nReference , Amount , Note\n\n mg-1 ,"12,50", Café \n\n',
        "Reference;Amount;Note;;\nmg-1;12,50;Café;;\n;;;;\n",
        "Reference;Amount;Note\nmg-1;12,50;Café;;",
    ],
)
def test_commas_semicolons_quotes_and_blanks_make_no_difference(text: str) -> None:
    assert read_statement(text.encode()).lines == [ROW]


def test_a_cell_may_hold_delimiters_quotes_and_line_breaks() -> None:
    raw = b'id,note\n1,"two\nlines, a ""word"" and; more"\n2,\n'
    statement = read_statement(raw)
    assert statement.lines == [
        {"id": "1", "note": 'two\nlines, a "word" and; more'},
        {"id": "2", "note": ""},
    ]
    assert statement.line_numbers == [2, 4]


def test_card_numbers_are_not_kept() -> None:
    raw = b"id,card\n1,4111 1111 1111 1111\n2,411111******1111\n"
    assert [line["card"] for line in read_statement(raw).lines] == ["[card]", "411111******1111"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", [("lines.1", "value_missing", {"line": 1, "column": None})]),
        (b"\n\n", [("lines.1", "value_missing", {"line": 1, "column": None})]),
        (b"a;b\n", [("lines.2", "value_missing", {"line": 2, "column": None})]),
        (b"a;b;a\n1;2;3", [("lines.1.a", "statement_column_invalid", {"line": 1, "column": "a"})]),
        (b"a;;c\n1;2;3", [("lines.1.2", "statement_column_invalid", {"line": 1, "column": 2})]),
        (b"a;b\n1\n", [("lines.2.b", "statement_line_uneven", {"line": 2, "column": "b"})]),
        (b"a;b\n1;2;3", [("lines.2.3", "statement_line_uneven", {"line": 2, "column": 3})]),
        (b'a,b\n"1,2\n', [("lines.2", "statement_quote_invalid", {"line": 2, "column": None})]),
        (
            b'a,b\n1,2\n"x"y,2\n',
            [("lines.3", "statement_quote_invalid", {"line": 3, "column": None})],
        ),
        (b"a,b\n1,x\0y", [("lines.2.b", "value_malformed", {"line": 2, "column": "b"})]),
        (b"a,b\n1,2\n\x81,\xe9", [("lines.3", "value_malformed", {"line": 3, "column": None})]),
        (
            b"a,b\n1," + b"x" * 2001,
            [("lines.2.b", "value_out_of_range", {"line": 2, "column": "b"})],
        ),
        (
            b"a,b\n1," + b"x" * 200_000,
            [("lines.2", "value_out_of_range", {"line": 2, "column": None})],
        ),
        (
            b"x" * 101 + b",b\n1,2",
            [("lines.1.1", "statement_column_invalid", {"line": 1, "column": 1})],
        ),
    ],
)
def test_a_fault_names_its_line_and_column(raw: bytes, expected: Any) -> None:
    assert faults_of(raw) == expected


def test_several_faults_are_told_at_once_but_not_thousands() -> None:
    assert [f[0] for f in faults_of(b"a,b\n1\n1,2\n\n3\n")] == ["lines.2.b", "lines.5.b"]
    assert len(faults_of(b"a,b\n" + b"1\n" * 5000)) == 20


def test_a_spreadsheet_in_utf_16_is_refused() -> None:
    assert {f[1] for f in faults_of("a;b\n1;2".encode("utf-16"))} == {"statement_column_invalid"}


def test_more_lines_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_LINES", 3)
    assert len(read_statement(b"a,b\n" + b"1,2\n" * 3).lines) == 3
    assert faults_of(b"a,b\n" + b"1,2\n" * 9) == [
        ("lines.5", "value_out_of_range", {"line": 5, "column": None, "most_lines": 3})
    ]


def test_more_columns_than_the_limit_are_refused() -> None:
    header = b",".join(b"c%d" % n for n in range(201))
    ((field, code, details),) = faults_of(header + b"\n")
    assert (field, code, details["most_columns"]) == ("lines.1", "value_out_of_range", 200)


def test_a_refusal_of_the_database_gets_the_line_of_the_file() -> None:
    statement = read_statement(b'id,gross\n\n1,"a\nb"\n2,x\n')
    refusal = StatementInvalid(detail='{"line": 2, "column": "gross"}')
    (fault,) = statement.located(refusal).errors
    assert (fault.field, fault.code) == ("lines.5.gross", "statement_invalid")
    assert fault.details == {"line": 5, "column": "gross"}


@pytest.mark.parametrize("detail", [None, "", '{"line": null}', '{"line": 9}', "{broken"])
def test_a_refusal_without_a_place_stays_one(detail: str | None) -> None:
    (fault,) = read_statement(b"a,b\n1,2").located(StatementInvalid(detail=detail)).errors
    assert fault.field in {"lines", "lines.9"}


cells = st.text(st.characters(exclude_categories=["C"]), max_size=20).map(str.strip)


@given(
    st.lists(st.tuples(cells, cells.filter(bool), cells), min_size=1, max_size=5),
    st.sampled_from([",", ";"]),
)
def test_what_a_spreadsheet_writes_is_what_is_read(
    rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["one", "two", "three"])
    writer.writerows(rows)
    read = read_statement(text.getvalue().encode()).lines
    assert [tuple(line.values()) for line in read] == rows


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        lines = len(read_statement(raw).lines)
    except StatementInvalid as refusal:
        lines = len(refusal.errors)
    assert lines > 0


def test_the_largest_statement_is_read_within_seconds() -> None:
    row = b"mg-0123456789abcdef01234567;78705178;499.00;14.47;484.53;ZAR;" + b"x" * 700
    raw = b"reference;id;gross;fee;net;currency;note\n" + b"\n".join([row] * 5_000)
    assert len(raw) < statements.MAX_STATEMENT_BYTES
    began = time.perf_counter()
    assert len(read_statement(raw).lines) == 5_000
    assert time.perf_counter() - began < 20
