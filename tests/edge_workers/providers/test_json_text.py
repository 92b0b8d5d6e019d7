"""JSON is written digit for digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import json_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal(5000), b"5000"),
        (Decimal("5000.00"), b"5000"),
        (Decimal("149.90"), b"149.9"),
        (Decimal("0.05"), b"0.05"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("1E-7"), b"0.0000001"),
        (Decimal("-0.0"), b"0"),
        (Decimal("0.1") + Decimal("0.2"), b"0.3"),
        (Decimal("12345678901234567.89"), b"12345678901234567.89"),
        (7, b"7"),
    ],
)
def test_a_number_is_written_exactly(number: Any, text: bytes) -> None:
    assert json_text.dumps(number) == text


def test_a_body_is_compact_utf8_in_the_order_given() -> None:
    body = {"b": 'Aïcha "\\\n/\u2028', "a": [None, True, False, {"x": Decimal("1.50")}], "ü": {}}
    assert json_text.dumps(body) == (
        '{"b":"Aïcha \\"\\\\\\n/\u2028","a":[null,true,false,{"x":1.5}],"ü":{}}'.encode()
    )


@pytest.mark.parametrize("value", [1.5, float("nan"), {"a": 0.1}, b"bytes", {1, 2}])
def test_what_is_not_exact_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        json_text.dumps(value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN")])
def test_what_is_no_number_is_a_value_error(value: Decimal) -> None:
    with pytest.raises(ValueError, match="no such number"):
        json_text.dumps(value)


def test_fractions_are_read_as_decimals() -> None:
    assert json_text.loads('{"a":10.00,"b":5}') == {"a": Decimal("10.00"), "b": 5}
    assert str(json_text.loads("10.00")) == "10.00"


@pytest.mark.parametrize(
    "text", ["", "NaN", "[Infinity]", "{", "[" * 100_000, "1e99999999999999999999", "9" * 5000]
)
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        json_text.loads(text)
