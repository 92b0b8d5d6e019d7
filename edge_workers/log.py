"""Structured logs: JSON events with ids and durations, nothing secret, nothing personal.

`event` is `<noun>.<past participle>`. Every line passes the redactor: values under a private key
are dropped, and tokens, e-mail addresses, phone and card numbers inside any text are masked.
"""

import functools
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from edge_workers.card_numbers import MASK, redact_card_numbers

REDACTED: Final = "[redacted]"

_PRIVATE_KEYS: Final = frozenset(
    {
        "access_token",
        "address",
        "addresses",
        "anon_key",
        "api_key",
        "apikey",
        "authorization",
        "body",
        "card_number",
        "cookie",
        "cookies",
        "customer_email",
        "customer_name",
        "district",
        "email",
        "fields",
        "full_name",
        "gateway_session",
        "key",
        "landmark",
        "latitude",
        "line1",
        "longitude",
        "merchant_key",
        "msisdn",
        "notice",
        "notif_token",
        "otp",
        "passphrase",
        "password",
        "pay_token",
        "payout_account",
        "phone",
        "raw",
        "recipient",
        "recipient_name",
        "refresh_token",
        "saved_method_token",
        "secret",
        "service_role_key",
        "set-cookie",
        "set_cookie",
        "shipping_address",
        "signature",
        "token",
        "url_token",
        "webhook_token",
        "x-korapay-signature",
    }
)
_WRITTEN_HERE: Final = frozenset({"level", "logger", "module", "timestamp"})
"""Members of an event that no input reaches."""
_context: ContextVar[Mapping[str, Any]] = ContextVar("context", default=MappingProxyType({}))
_LEAST_CARD_NUMBER: Final = 10**12
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# One pass over the text; ids, times and IP addresses are kept, they only look like phone numbers.
_SENSITIVE: Final = re.compile(
    rf"""
      (?P<keep>\b{_UUID}\b|\b\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?
        |\b\d{{1,3}}(?:\.\d{{1,3}}){{3}}\b)
    | (?P<token>\beyJ[\w-]{{4,}}\.[\w-]+(?:\.[\w-]*)?
        |\b(?:sk|pk|rk)_(?:test|live)_\w+
        |(?i:\b(?:bearer|basic))\s+[\w.~+/=-]{{6,}})
    | (?P<url>(?<=://)[^\s/@]{{1,300}}@)
    | (?P<email>[\w.+%-]{{1,64}}@[\w-]+(?:\.[\w-]+)+)
    | (?P<phone>(?<![\w.-])\+?\d(?:[ ().-]?\d){{8,14}}(?![\w-]))
    """,
    re.VERBOSE,
)
_MIGHT_BE_SENSITIVE: Final = re.compile(r"@|eyJ|[kK]_|(?i:bearer|basic)|\d[ ().\d-]{7}")


def _mask(match: re.Match[str]) -> str:
    return match.group() if match.lastgroup == "keep" else f"[{match.lastgroup}]"


@functools.lru_cache(maxsize=1024)
def _is_private(key: str) -> bool:
    return key.lower() in _PRIVATE_KEYS


def redact(value: Any, key: str | None = None) -> Any:
    """`value` without what is secret or personal; containers are copied, never changed."""
    if key is not None and value is not None and _is_private(key):
        return REDACTED
    if isinstance(value, str):
        if not _MIGHT_BE_SENSITIVE.search(value):
            return value
        return _SENSITIVE.sub(_mask, redact_card_numbers(value))
    if isinstance(value, Mapping):
        return {redact_card_numbers(str(k)): redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, Decimal):
        return redact_card_numbers(str(value))
    if isinstance(value, int | float) and abs(value) >= _LEAST_CARD_NUMBER:
        return MASK if redact_card_numbers(f"{abs(value):.0f}") == MASK else value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    return value


def _redact_event(
    _logger: WrappedLogger, _name: str, event_dict: EventDict
) -> MutableMapping[str, Any]:
    return {
        key: value if key in _WRITTEN_HERE else redact(value, key)
        for key, value in event_dict.items()
    }


def _add_context(
    _logger: WrappedLogger, _name: str, event_dict: EventDict
) -> MutableMapping[str, Any]:
    return {**_context.get(), **event_dict}


def _as_json(event_dict: EventDict, default: Callable[[Any], Any]) -> str:
    """One line of JSON; what orjson does not take (half a surrogate pair) is escaped."""
    try:
        return orjson.dumps(event_dict, default=default).decode()
    except TypeError:
        return json.dumps(event_dict, default=default)


class _StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever stdout is at the time, as structlog's loggers do."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


class _Lines:
    """Writes each line to whatever stdout is at the time.

    A reader that went away fails no work: a mail that was sent must not count as unsent because
    saying so failed.
    """

    def msg(self, message: str) -> None:
        try:
            sys.stdout.write(message + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            return

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _shared_processors() -> list[Processor]:
    return [
        _add_context,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        _redact_event,
    ]


def configure_logging(level: str = "INFO") -> None:
    """Sends structlog's and the standard library's records to stdout, one JSON object a line.

    Called once by `create_app` and by a worker's start. Libraries speak from WARNING on.
    """
    number = logging.getLevelNamesMapping()[level]
    renderer = structlog.processors.JSONRenderer(serializer=_as_json)
    structlog.configure(
        processors=[*_shared_processors(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )
    handler = _StdoutHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_shared_processors(),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry `module: name`."""
    return cast(FilteringBoundLogger, structlog.get_logger(module=name))


def bind_request_id(request_id: str, **context: Any) -> None:
    """Starts a fresh context: every event of this thread carries `request_id` until the next."""
    _context.set({"request_id": request_id, **context})


def bind_context(**context: Any) -> None:
    """Adds ids to every later event of this request or job."""
    _context.set({**_context.get(), **context})
