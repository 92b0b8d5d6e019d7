"""Kora's webhook signature: HMAC-SHA256 over `JSON.stringify(body.data)`, lower-case hex.

Two texts are tried: the bytes of the top-level `data` exactly as they came, and those re-written
as ECMAScript's JSON.stringify would write them. The second is what is documented; the first equals
it whenever the body came compact, and they differ for numbers such as `10.00`.
"""

from __future__ import annotations

import functools
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edge_workers.providers import json_text

MAX_BODY_BYTES = 32_000
"""Kora's are about a kilobyte; re-writing a large one would cost a forger nothing and us much."""

_decoder = json.JSONDecoder()
_signature_form = re.compile(r"[0-9a-f]{64}\Z")
_WHITESPACE = " \t\r\n"
_array_index = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_MAX_ARRAY_INDEX = 2**32 - 2


@dataclass(frozen=True)
class Body:
    """A webhook's body taken apart: its members, and the text of `data` as it stood."""

    event: Any
    data: Any
    data_text: str


@functools.lru_cache(maxsize=64)  # a webhook is located, verified and parsed
def read(raw: bytes) -> Body:
    """Take a body apart.

    ValueError unless it is one UTF-8 JSON object that has `data` once: with two of them what is
    verified and what is used could differ.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise ValueError("too large")
    text = raw.decode("utf-8")
    body = json_text.loads(text)
    if not isinstance(body, dict) or "data" not in body:
        raise ValueError("not an object with data")
    return Body(body.get("event"), body["data"], _member_text(text, "data"))


def _member_text(text: str, name: str) -> str:
    """The exact text of a top-level member of an object that is known to be valid JSON."""
    found: dict[str, str] = {}
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        key, position = _decoder.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)
        _, position = _decoder.raw_decode(text, start)
        if key in found:
            raise ValueError("a member stands twice")
        found[key] = text[start:position]
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found[name]


def _skip(text: str, position: int) -> int:
    while text[position] in _WHITESPACE:
        position += 1
    return position


def sign(text: str, secret: str) -> str:
    """The signature of a text."""
    return hmac.digest(secret.encode(), text.encode("utf-8"), "sha256").hex()


def is_genuine(body: Body, signature: str, secret: str) -> bool:
    """Whether the signature fits either text; each is compared in constant time."""
    if not secret or _signature_form.match(signature) is None:
        return False
    given = signature.encode("utf-8", "replace")
    return hmac.compare_digest(sign(body.data_text, secret).encode(), given) or (
        hmac.compare_digest(sign(stringify(body.data), secret).encode(), given)
    )


def stringify(value: Any) -> str:
    """A parsed value (Decimals for fractions) as ECMAScript's JSON.stringify writes it."""
    return json_text.write(value, number, _property_order)


def number(value: int | Decimal) -> str:
    """A number as ECMAScript writes it, after it went through a double: `10.00` gives `10`."""
    try:
        double = float(value)
    except OverflowError:
        return "null"
    if double in (float("inf"), float("-inf")):
        return "null"
    if double == 0:
        return "0"
    sign_text = "-" if double < 0 else ""
    # repr gives the shortest digits that lead back to the double, as ECMAScript demands
    _, digit_tuple, exponent = Decimal(repr(abs(double))).as_tuple()
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    stripped = digits.rstrip("0")
    point = len(digits) + int(exponent)  # the value is 0.digits times ten to this power
    return sign_text + _place_point(stripped, point)


def _place_point(digits: str, point: int) -> str:
    """Number::toString of ECMA-262, from the significant digits and where the point goes."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = point - 1
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"


def _property_order(members: Mapping[str, Any]) -> list[str]:
    """The order of an ECMAScript object: array indices first, rising, then as they came."""
    indices = [key for key in members if _is_array_index(key)]
    if not indices:
        return list(members)
    rest = [key for key in members if not _is_array_index(key)]
    return sorted(indices, key=int) + rest


def _is_array_index(key: str) -> bool:
    return _array_index.match(key) is not None and int(key) <= _MAX_ARRAY_INDEX
