"""Texts from outside, made fit to be stored and logged."""

from __future__ import annotations

import re

_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_token = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")
_long_number = re.compile(r"\+?\d[\d \-]{5,}\d")
_address = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


def safe_text(value: object, limit: int = 200) -> str:
    """One line of at most `limit` characters without addresses, numbers of people, and tokens."""
    if not isinstance(value, str):
        return ""
    text = _control.sub(" ", value[: limit * 4])
    text = _long_number.sub("…", _token.sub("…", _address.sub("…", text)))
    return " ".join(text.split())[:limit]
