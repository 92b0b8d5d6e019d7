"""PayWeb3's checksum: MD5 over the values without any separator, and the account's key behind them.

Two weaknesses are PayGate's own, and what is done about them:

* a suffix key under MD5 proves little, so a notice is never more than a reason to ask;
* where a value ends is not signed, and payers see the checksums of two other messages (that of the
  form they post, that of their way back). A notice must therefore look like one in every field:
  neither of those texts holds a currency and an amount. See `is_notice`.

Source: docs.paygate.co.za, security-and-checksum-validation.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

from edge_workers.providers import form_text

CHECKSUM = "CHECKSUM"

_checksum_form = re.compile(r"[0-9a-f]{32}\Z")

NOTICE_FORM: dict[str, re.Pattern[str]] = {
    "PAYGATE_ID": re.compile(r"[0-9]{1,20}\Z"),
    "PAY_REQUEST_ID": re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z"),
    "REFERENCE": re.compile(r"[A-Za-z0-9._-]{1,110}\Z"),
    "TRANSACTION_STATUS": re.compile(r"[0-9]{1,3}\Z"),
    "RESULT_CODE": re.compile(r"[0-9]{0,11}\Z"),
    "CURRENCY": re.compile(r"[A-Z]{3}\Z"),
    "AMOUNT": re.compile(r"[0-9]{1,11}\Z"),
}
"""What every notice has, and how it looks; the rest may be blank."""


def checksum(values: Iterable[str], key: str) -> str:
    """The checksum of un-encoded values in their order: 32 lower-case hexadecimal digits."""
    text = form_text.octets("".join(values) + key)
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def signed(fields: Iterable[tuple[str, str]], key: str) -> form_text.Fields:
    """The fields that are not blank, trimmed, in their order, and their checksum behind them."""
    filled = [(name, value.strip()) for name, value in fields if value.strip()]
    return (*filled, (CHECKSUM, checksum((value for _, value in filled), key)))


def is_genuine(fields: form_text.Fields, key: str) -> bool:
    """Whether the checksum fits the other values in the order in which they came.

    An AUTH_CODE of the text `null` counts as empty, as in PayGate's own plugins. False without a
    checksum, with two, and without a key.
    """
    given = [value for name, value in fields if name == CHECKSUM]
    if not key or len(given) != 1 or _checksum_form.match(given[0]) is None:
        return False
    values = (
        "" if (name, value) == ("AUTH_CODE", "null") else value
        for name, value in fields
        if name != CHECKSUM
    )
    return hmac.compare_digest(checksum(values, key), given[0])


def is_notice(named: Mapping[str, str]) -> bool:
    """Whether every field that a notice cannot lack is there and looks as it must."""
    return all(form.match(named.get(name, "")) for name, form in NOTICE_FORM.items())
