"""Card numbers, which the shop never handles: found and masked wherever a text might bring one.

A card number (ISO/IEC 7812) is 13 to 19 digits that begin with 3, 4, 5 or 6, or 16 from 2221 to
2720, and end in a Luhn check digit. It stands alone: letters and further digits beside it make it
part of an id, and a UUID stays a UUID. Between its digits there may be spaces and hyphens, also as
a form's body writes them (`+`, `%20`), but it consists of whole groups: a longer number is never
cut down to one. The database has the same rule for what it refuses to keep.
"""

import re
from collections.abc import Iterator
from typing import Final

MASK: Final = "[card]"

_MOST_DIGITS: Final = 19
_FIRST_DIGITS: Final = "23456"
_NUMBER: Final = re.compile(
    r"[3-6][0-9]{12,18}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
)
_GAP: Final = "(?:[ +\u00a0\u2010-\u2015\u202f-]|%20|%2[Dd]|%C2%A0)"
# Nearly every text ends here: thirteen digits in a row are rare.
_MIGHT_HOLD_ONE: Final = re.compile(rf"[2-6](?:{_GAP}{{0,3}}[0-9]){{12}}")
_UUID_OR_GROUPS: Final = re.compile(
    rf"""
      (?<![0-9A-Za-z])[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}(?![0-9A-Za-z])
    | (?:(?<=%[0-9A-Fa-f]{{2}})|(?<![0-9A-Za-z])(?<![0-9]\.))
      (?=[0-9](?:{_GAP}{{0,3}}[0-9]){{12}})(?P<groups>[0-9]+(?:{_GAP}{{1,3}}[0-9]+)*)
    """,
    re.VERBOSE,
)
_LETTER: Final = re.compile("[A-Za-z]")
_GAP_OR_GROUP: Final = re.compile(rf"{_GAP}|(?P<group>[0-9]+)")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact_card_numbers(text: str) -> str:
    """`text` with `[card]` for each card number; the same object when there is none."""
    while _MIGHT_HOLD_ONE.search(text):
        kept: list[str] = []
        end = 0
        for first, last in _places(text):
            kept += text[end:first], MASK
            end = last
        if not kept:
            break
        # Again: what stood beside a number may have hidden the next one.
        text = "".join((*kept, text[end:]))
    return text


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand, from the left, none overlapping."""
    for match in _UUID_OR_GROUPS.finditer(text):
        if match["groups"] is None:
            continue
        groups = [
            found.span("group")
            for found in _GAP_OR_GROUP.finditer(text, *match.span("groups"))
            if found["group"]
        ]
        if _LETTER.match(text, match.end()):
            groups.pop()  # it goes on as an id
        next_group = 0
        for number, (first, _) in enumerate(groups):
            if number < next_group:
                continue
            starts = [first]
            if text[first - 1 : first] == "%":
                starts.append(first + 2)  # the two digits belong to what is escaped
            for start in starts:
                last = _last_group(text, groups, number, start)
                if last is not None:
                    next_group = last + 1
                    yield start, groups[last][1]
                    break


def _last_group(text: str, groups: list[tuple[int, int]], number: int, start: int) -> int | None:
    """The group that ends the longest card number which begins at `start`, in group `number`."""
    if text[start : start + 1] not in _FIRST_DIGITS:
        return None
    found = None
    digits = ""
    for last in range(number, len(groups)):
        first, end = groups[last]
        digits += text[max(first, start) : end]
        if len(digits) > _MOST_DIGITS:
            break
        if _NUMBER.fullmatch(digits) and _passes_luhn(digits):
            found = last
    return found


def _passes_luhn(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0
