"""Money's digits survive every way in and out."""

import json
from decimal import Decimal

import pytest

from edge_workers import exact_json
from edge_workers.exact_json import RawJson


@pytest.mark.parametrize("digits", ["12500.00", "0.10", "199.90", "9999999999.99", "-3.50", "0"])
def test_numbers_keep_their_digits(digits: str) -> None:
    assert exact_json.dumps(exact_json.loads(f'{{"a":{digits}}}')) == f'{{"a":{digits}}}'.encode()


def test_fractions_are_decimals_and_whole_numbers_are_int() -> None:
    value = exact_json.loads('{"price": 12500.00, "count": 3}')
    assert value == {"price": Decimal("12500.00"), "count": 3}
    assert type(value["count"]) is int


def test_raw_json_goes_out_as_it_is() -> None:
    assert exact_json.dumps({"items": RawJson(b'[{"p": 1.50}]')}) == b'{"items":[{"p": 1.50}]}'


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "{", "", "[1,]", '{"a":01}'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        exact_json.loads(text)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object()])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        exact_json.dumps({"a": value})


def test_text_is_utf8() -> None:
    assert json.loads(exact_json.dumps({"n": "Aïcha"})) == {"n": "Aïcha"}
