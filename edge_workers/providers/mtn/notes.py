"""Texts that MTN shows to payer and payee: apostrophes and accents can make it refuse a request."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 160

_no_decomposition = str.maketrans(
    {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ß": "ss", "ł": "l", "Ł": "L"}
)
_not_plain = re.compile(r"[^A-Za-z0-9]+")


def note(text: str) -> str:
    """At most 160 ASCII letters, digits and single spaces; `Été n° 5` becomes `Ete n 5`."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_no_decomposition))
    letters = "".join(one for one in decomposed if not unicodedata.combining(one))
    return _not_plain.sub(" ", letters)[: MOST_CHARACTERS + 1].strip()[:MOST_CHARACTERS].rstrip()
