"""What was received, in order, without keys, phone numbers and addresses."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

KEPT = 5000

# Alone, not inside an id or a reference.
_number = re.compile(r"(?<![\w-])\+?\d{8,}(?![\w-])")
_address = re.compile(r"([^\s@\"<>])[^\s@\"<>]*@")
_HIDDEN_FIELDS = (
    "merchant_key",
    "pay_token",
    "checksum",
    "vault_id",
    "signature",
    "sign",
    "session",
    "access_token",
    "refresh_token",
    "code",
    "app_id",
)
_hidden_query = re.compile(rf"([?&](?:{'|'.join(_HIDDEN_FIELDS)})=)[^&]*")
_FORM = "application/x-www-form-urlencoded"
_SHOWN_HEADERS = ("content-type", "accept", "user-agent", "idempotency-key")


class Calls:
    """The newest calls of every provider."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def record(
        self,
        *,
        provider: str,
        operation: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        """Note a call before it is answered; `status` and `fault` are filled in afterwards."""
        shown = {name: headers[name] for name in _SHOWN_HEADERS if name in headers}
        if "authorization" in headers:
            shown["authorization"] = headers["authorization"].split(" ")[0] + " …"
        call: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "provider": provider,
            "operation": operation,
            "method": method,
            "path": redacted(_hidden_query.sub(r"\1…", path)),
            "headers": shown,
            "body": _shown_body(body, is_form=headers.get("content-type", "").startswith(_FORM)),
            "status": None,
            "fault": None,
        }
        with self._lock:
            self._calls.append(call)
        return call

    def listed(self, provider: str | None = None) -> list[dict[str, Any]]:
        """Oldest first."""
        with self._lock:
            return [dict(call) for call in self._calls if provider in (None, call["provider"])]


def redacted(text: str) -> str:
    """Long numbers keep their last two digits, addresses their first letter."""
    return _address.sub(r"\1…@", _number.sub(lambda found: f"…{found[0][-2:]}", text))


def _shown_body(body: bytes, *, is_form: bool) -> Any:
    if not body:
        return None
    if is_form:
        fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return _shown(dict(fields))
    try:
        return _shown(json.loads(body))
    except ValueError:
        return redacted(body.decode("utf-8", "replace"))[:2000]


def _shown(value: Any) -> Any:
    """A JSON value with its texts redacted; references keep their form, they are ids."""
    if isinstance(value, dict):
        return {key: _shown_member(key.lower(), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


def _shown_member(key: str, value: Any) -> Any:
    if key in _HIDDEN_FIELDS:
        return "…"
    return value if key.endswith("reference") else _shown(value)
