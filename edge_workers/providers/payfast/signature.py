"""PayFast's three signatures: MD5 in lower-case hex over `name=value` pairs, a passphrase last.

They differ in what is signed: the form's non-blank fields in the documented order, a notice's
fields as they were posted with blank ones too, and of an API call everything sorted by name.
Values are encoded as PHP's urlencode does. Sources: PayFast's PHP SDK and developers' pages.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

from edge_workers.providers import form_text
from edge_workers.providers.errors import Misconfigured

_passphrase = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def form_signature(fields: Iterable[tuple[str, str]], passphrase: str) -> str:
    """Of a form: `fields` in the documented order, blank ones are passed over."""
    trimmed = ((name, value.strip()) for name, value in fields)
    signed = form_text.write((name, value) for name, value in trimmed if value)
    return _md5(_salted(signed, passphrase))


def notice_signature(fields: Iterable[tuple[str, str]], passphrase: str) -> str:
    """Of a notice: its fields as posted, blank ones included, without `signature`."""
    return _md5(_salted(form_text.write(fields), passphrase))


def api_signature(parameters: Mapping[str, str], passphrase: str) -> str:
    """Of an API call: headers, query and body together, the passphrase sorted in among them."""
    _check(passphrase)
    everything = {**parameters, "passphrase": passphrase}
    return _md5(form_text.write(sorted(everything.items())))


def is_same(given: str, computed: str) -> bool:
    """Whether two signatures are equal; takes the same time wherever they differ."""
    return hmac.compare_digest(form_text.octets(given), computed.encode("ascii"))


def _salted(text: str, passphrase: str) -> str:
    """The text with the account's passphrase behind it; an account may have none."""
    if not passphrase:
        return text
    _check(passphrase)
    return f"{text}&passphrase={form_text.encoded(passphrase)}"


def _check(passphrase: str) -> None:
    """PayFast's own programs encode other characters once or twice: they would never fit."""
    if _passphrase.match(passphrase) is None:
        raise Misconfigured(
            "PayFast's passphrase may only have letters, digits and _ . - in it.",
            code="passphrase_unusable",
        )


def _md5(text: str) -> str:
    """PayFast asks for MD5; the passphrase is what makes it a proof."""
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()
