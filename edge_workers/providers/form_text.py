"""Form bodies (`A=1&B=2`) where the order of the fields and every byte of a value can be signed.

Texts are UTF-8. A byte that is none is carried along as Python's `surrogateescape` does, so that
`octets` gives back exactly what came and a signature over it can be computed whatever the sender's
character set was.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

MAX_BODY_BYTES = 32_000
"""Gateways' forms are about a kilobyte."""
MAX_FIELDS = 200

Fields = tuple[tuple[str, str], ...]
"""Names and values in the order of the wire; a name may stand twice."""


def octets(text: str) -> bytes:
    """The bytes of a text: UTF-8, and what `parse` carried along as it came."""
    return text.encode("utf-8", "surrogateescape")


def encoded(text: str) -> str:
    """A text as PHP's urlencode writes it.

    A space becomes `+`; letters, digits and `-_.` stay; all else is `%XX` in upper case, the tilde
    too.
    """
    return quote(octets(text), safe=" ").replace("~", "%7E").replace(" ", "+")


def write(fields: Iterable[tuple[str, str]]) -> str:
    """The body of a form, in the order given, blank values included."""
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, value in fields)


def parse(raw: bytes) -> Fields:
    """The decoded fields of a body in their order; blank values and repeated names are kept.

    ValueError for more than `MAX_BODY_BYTES` or `MAX_FIELDS`. A `%` that leads no two hexadecimal
    digits stands for itself, as PHP has it.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise ValueError("too large")
    parts = [part for part in raw.split(b"&") if part]
    if len(parts) > MAX_FIELDS:
        raise ValueError("too many fields")
    pairs = (part.partition(b"=") for part in parts)
    return tuple((_decoded(name), _decoded(value)) for name, _, value in pairs)


def by_name(fields: Fields) -> dict[str, str]:
    """The fields as a mapping.

    ValueError when a name stands twice: what one reader verifies and another uses could differ.
    """
    named = dict(fields)
    if len(named) != len(fields):
        raise ValueError("a field stands twice")
    return named


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode("utf-8", "surrogateescape")
