"""JSON that never turns money into a float.

Numbers with a fraction are read as Decimal and written digit for digit as they were read:
12500.00 stays 12500.00.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NewType

import orjson
from pydantic import BaseModel

RawJson = NewType("RawJson", bytes)
"""JSON text from a source that we trust to be valid (PostgREST); it is written as it is."""


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, with Decimal for every number that has a fraction.

    Raises ValueError (json.JSONDecodeError) when the text is not JSON; NaN and Infinity are not.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ArithmeticError, RecursionError) as error:
        raise ValueError("a number or the nesting is beyond reason") from error


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. Decimal and RawJson are written digit for digit."""
    return orjson.dumps(value, default=_write)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _write(value: object) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise TypeError("not a finite number")
        return orjson.Fragment(str(value))
    if isinstance(value, bytes):
        return orjson.Fragment(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
