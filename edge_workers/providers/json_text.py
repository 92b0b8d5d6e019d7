"""Writing JSON where every character of a number matters.

The standard encoder writes a Decimal only by way of a float. Here a number is written by a function
that the caller names: exactly (`dumps`), or as another language would (a signature over its text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_quote = json.encoder.py_encode_basestring
_lone_surrogate = re.compile("[\ud800-\udfff]")


def exact_number(value: int | Decimal) -> str:
    """A number in plain notation with no trailing zeros: 5000, 149.9, 0.05."""
    if isinstance(value, int):
        return str(value)
    if not value.is_finite():
        raise ValueError("JSON has no such number")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def quoted(text: str) -> str:
    """A JSON string: UTF-8 as it is, and half of a surrogate pair escaped, as ECMAScript does."""
    return _lone_surrogate.sub(lambda match: f"\\u{ord(match[0]):04x}", str(_quote(text)))


def write(
    value: Any,
    number: Callable[[Any], str],
    keys: Callable[[Mapping[str, Any]], list[str]] = list,
) -> str:
    """JSON without spaces; `number` writes int, float and Decimal, `keys` decides their order."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        members = (f"{quoted(key)}:{write(value[key], number, keys)}" for key in keys(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(write(item, number, keys) for item in value) + "]"
    return number(value)


def dumps(value: Any) -> bytes:
    """UTF-8 JSON whose numbers are exactly the Decimals given; a float is a TypeError."""
    return write(value, _strict_number).encode("utf-8")


def _strict_number(value: Any) -> str:
    if isinstance(value, (int, Decimal)):
        return exact_number(value)
    raise TypeError(f"{type(value).__name__} is not exact")


def loads(text: str) -> Any:
    """JSON with Decimals for fractions; ValueError for all that is not JSON, NaN included."""
    try:
        return _decoder.decode(text)
    except (RecursionError, ArithmeticError) as error:
        raise ValueError("nested too deeply, or an exponent beyond all bounds") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)
