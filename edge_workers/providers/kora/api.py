"""Kora's HTTP conventions: bearer key, JSON both ways, one envelope around every answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edge_workers.providers import json_text
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.transport import Transport

PREFIX = "/merchant/api/v1"

_reference = re.compile(r"[A-Za-z0-9._:/-]{1,100}\Z")
_reference_taken = re.compile(r"duplicate .*reference|reference .*(already|exist|used|duplicate)")
_thing_missing = re.compile(
    r"\b(charge|transaction|payment|refund|payout|transfer|disbursement|reference)\b.* not found"
)


@dataclass(frozen=True)
class Reply:
    """What an envelope held. `is_accepted`: a 2xx status and `status: true`, both."""

    status: int
    is_accepted: bool
    message: str
    code: str
    data: Any

    @property
    def is_duplicate(self) -> bool:
        """Whether the reference was used before: the thing exists, its answer is lost."""
        return (
            self.status == 409
            or self.code == "AA021"
            or _reference_taken.search(self.message.lower()) is not None
        )

    @property
    def is_missing(self) -> bool:
        """Whether Kora does not know the thing asked for; a missing page is something else."""
        return _thing_missing.search(self.message.lower()) is not None


class KoraApi:
    """One Kora account. `secret_key` also signs its webhooks."""

    name = "kora"

    def __init__(self, *, secret_key: str, base_url: str, timeout_seconds: float) -> None:
        if not secret_key.strip() or not secret_key.isascii():
            raise Misconfigured("Kora's secret key is empty or not ASCII.")
        self.secret_key = secret_key
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )

    @property
    def is_encrypted(self) -> bool:
        """Whether the base URL is https, so that addresses which Kora gives must be too."""
        return self._transport.base_url.startswith("https:")

    def get(self, operation: str, path: str, *parts: str) -> Reply:
        """GET; `parts` are added to the path, escaped."""
        target = "/".join([path, *(quote(part, safe="") for part in parts)])
        return self._call(operation, "GET", target, None)

    def post(self, operation: str, path: str, body: Mapping[str, Any]) -> Reply:
        """POST; Decimals go out exactly as they are."""
        return self._call(operation, "POST", path, json_text.dumps(body))

    def _call(self, operation: str, method: str, path: str, content: bytes | None) -> Reply:
        headers = {"authorization": f"Bearer {self.secret_key}", "accept": "application/json"}
        if content is not None:
            headers["content-type"] = "application/json"
        answer = self._transport.send(
            method, PREFIX + path, operation=operation, headers=headers, content=content
        )
        if answer.status in (401, 403):
            raise Misconfigured("Kora does not accept our key or address.", code="key_refused")
        envelope = answer.json()
        if not isinstance(envelope, dict) or not isinstance(envelope.get("status"), bool):
            raise Unavailable("Kora's answer is not one of its own.", code="answer_malformed")
        reply = Reply(
            status=answer.status,
            is_accepted=200 <= answer.status < 300 and envelope["status"],
            message=safe_text(envelope.get("message")),
            code=safe_text(envelope.get("code"), 20),
            data=envelope.get("data"),
        )
        if reply.code == "AA001" or _is_key_refused(reply):
            raise Misconfigured("Kora does not accept our key.", code="key_refused")
        return reply


def _is_key_refused(reply: Reply) -> bool:
    return not reply.is_accepted and "invalid authorization key" in reply.message.lower()


def member(data: Any, *path: str) -> Any:
    """The value at a path of object members, None where it breaks off."""
    for key in path:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data


def text_member(data: Any, *path: str) -> str | None:
    """As `member`, for a text that is not empty and fits a column."""
    value = member(data, *path)
    return value if isinstance(value, str) and 0 < len(value) <= 2000 else None


def reference_member(data: Any, *path: str) -> str | None:
    """As `member`, for a reference: plain characters only, at most 100."""
    value = member(data, *path)
    return value if isinstance(value, str) and _reference.match(value) else None
