"""Mails as texts: templates, and how money, times and addresses read in each language.

`templates/<language>/<template>.txt` holds the subject and the plain text, the `.html` beside it
the same message for a screen. Amounts come in major units as `Decimal` and are never computed with.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.dates import format_datetime
from babel.numbers import format_decimal, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context

LANGUAGES = ("en", "fr")
TEMPLATES = (
    "welcome",
    "order_placed",
    "payment_received",
    "refund_sent",
    "exception_opened",
    "back_in_stock",
)

_SUBJECT_LIMIT = 150
_NAME_LIMIT = 40
_NO_BREAK_SPACE = "\u00a0"
_NARROW_NO_BREAK_SPACE = "\u202f"

# How people write the currency: Babel has the digits, but puts "FCFA" before an English amount and
# "ZAR" behind a French one.
_AMOUNT_PATTERNS = {
    ("XAF", "en"): f"XAF{_NO_BREAK_SPACE}{{}}",
    ("XAF", "fr"): f"{{}}{_NO_BREAK_SPACE}FCFA",
    ("ZAR", "en"): "R{}",
    ("ZAR", "fr"): f"R{_NO_BREAK_SPACE}{{}}",
}
_MOMENT_PATTERNS = {"en": "d MMMM y, HH:mm", "fr": "d MMMM y 'à' HH:mm"}


@dataclass(frozen=True)
class Message:
    """One mail, written out. The subject is a single line without control characters."""

    subject: str
    text: str
    html: str


def render(
    template: str,
    language: str,
    data: Mapping[str, Any],
    *,
    shop_url: str,
    page_url: str = "",
    picture_url: str = "",
) -> Message:
    """Write the mail `template` in `language`; `page_url` is the page of what it speaks of.

    `picture_url` shows it; most mails have none.

    Raises `KeyError` for an unknown template and `jinja2.UndefinedError` when `data` lacks a value
    that the template prints: a mail with a hole is not sent.
    """
    if template not in TEMPLATES:
        raise KeyError(template)
    language = language if language in LANGUAGES else "en"
    values = {
        "expires_at": None,
        "paid_at": None,
        "promo_code": None,
        "refund_items": None,
        **data,
        "title": data.get("title") or str(data.get("kind") or "").replace("_", " ").capitalize(),
        "first_name": spoken_name(str(data.get("first_name") or "")),
        "language": language,
        "shop_url": shop_url,
        "page_url": page_url or shop_url,
        "picture_url": picture_url,
    }
    environment = _environment()
    text = environment.get_template(f"{language}/{template}.txt")
    html = environment.get_template(f"{language}/{template}.html")
    subject = single_line("".join(text.blocks["subject"](text.new_context(values))))
    message = Message(
        subject=subject[:_SUBJECT_LIMIT],
        text=_without_blank_runs(text.render(values)),
        html=html.render({**values, "subject": subject}),
    )
    return _with_french_spaces(message) if language == "fr" else message


def preload() -> None:
    """Compile every template, so that a forked job process finds them ready."""
    for language in LANGUAGES:
        for template in TEMPLATES:
            _environment().get_template(f"{language}/{template}.txt")
            _environment().get_template(f"{language}/{template}.html")


def format_money(amount: Decimal | int, currency: str, language: str, minor_unit: int = 2) -> str:
    """The amount as read in `language`: `12 500 FCFA`, `XAF 12,500`, `R1,234.50`.

    `minor_unit` is the currency's number of decimals, all of them are shown.
    """
    digits = "#,##0" + ("." + "0" * minor_unit if minor_unit else "")
    number = format_decimal(Decimal(amount), format=digits, locale=language)
    pattern = _AMOUNT_PATTERNS.get((currency, language))
    if pattern is None:
        pattern = (
            f"{{}}{_NO_BREAK_SPACE}{currency}"
            if language == "fr"
            else f"{currency}{_NO_BREAK_SPACE}{{}}"
        )
    return pattern.format(number)


def format_moment(moment: datetime | str, language: str, country: str | None) -> str:
    """Day and time of day in the country's zone; in UTC, and saying so, where it has several."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    zone = _zone(country)
    spoken = format_datetime(
        moment, format=_MOMENT_PATTERNS[language], tzinfo=zone or UTC, locale=language
    )
    return spoken if zone else f"{spoken} UTC"


def format_address(address: Mapping[str, Any], language: str) -> Sequence[str]:
    """The lines of an address, without the parts that are not filled in."""
    country = str(address.get("country") or "")
    territory = Locale.parse(language).territories.get(country, country)
    area = ", ".join(
        single_line(str(address[part])) for part in ("district", "city") if address.get(part)
    )
    lines = [
        str(address.get("recipient_name") or ""),
        str(address.get("line1") or ""),
        str(address.get("landmark") or ""),
        area,
        territory,
        str(address.get("phone") or ""),
    ]
    return [single_line(line) for line in lines if line.strip()]


def single_line(text: str) -> str:
    """The text without line breaks and control characters, safe in a header."""
    printable = "".join(
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character
        for character in text
        if unicodedata.category(character) not in {"Cf", "Cs"}
    )
    return re.sub(r" {2,}", " ", printable).strip()


def spoken_name(name: str) -> str:
    """A first name fit to be greeted with, else nothing.

    Anyone can register somebody else's address under any "name". Only letters, spaces, hyphens and
    apostrophes are spoken, so that no link or offer is mailed in our name.
    """
    name = single_line(name)
    is_spoken = len(name) <= _NAME_LIMIT and all(
        character in " -'\u2019" or unicodedata.category(character)[0] in "LM" for character in name
    )
    return name if is_spoken else ""


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(("html",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["money"] = _money
    environment.filters["moment"] = _moment
    environment.filters["address_lines"] = _address_lines
    environment.filters["single_line"] = single_line
    return environment


@pass_context
def _money(context: Context, amount: Decimal, currency: str | None = None) -> str:
    # Read as text first: an amount that is missing raises UndefinedError there.
    major_units = Decimal(str(amount))
    currency = currency or str(context["currency"])
    minor_unit = context.get("minor_unit") if currency == context["currency"] else None
    if minor_unit is None:
        minor_unit = get_currency_precision(currency)
    return format_money(major_units, currency, context["language"], int(minor_unit))


@pass_context
def _moment(context: Context, moment: str) -> str:
    address = context.get("address") or {}
    return format_moment(moment, context["language"], address.get("country"))


@pass_context
def _address_lines(context: Context, address: Mapping[str, Any]) -> Sequence[str]:
    return format_address(address, context["language"])


@functools.cache
def _zone(country: str | None) -> tzinfo | None:
    zones = [
        name for name, territory in get_global("zone_territories").items() if territory == country
    ]
    return ZoneInfo(zones[0]) if len(zones) == 1 else None


def _without_blank_runs(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _with_french_spaces(message: Message) -> Message:
    """French puts a space before high punctuation, at which no line may break."""

    def spaced(text: str) -> str:
        text = re.sub(r" (?=[:»])", _NO_BREAK_SPACE, text)
        return re.sub(r" (?=[;!?])", _NARROW_NO_BREAK_SPACE, text)

    return Message(spaced(message.subject), spaced(message.text), spaced(message.html))
