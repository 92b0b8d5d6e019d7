"""What a supplier platform would say, and an adapter that hears it without a line or a database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from edge_workers.providers.open_platform import OpenPlatform
from edge_workers.providers.transport import Transport
from tests.contracts.peer import Heard, Said

NOW = datetime.fromtimestamp(1_517_820_392, UTC)
"""The moment of the documentation's vectors."""
APP_KEY, APP_SECRET = "12345678", "helloworld"

Reply = TypeVar("Reply")


class OpenLine:
    """A line without a queue, which remembers for how long it was told to rest."""

    def __init__(self) -> None:
        self.rests: list[int | None] = []
        self.calls = 0
        self.calls_taken = 0

    def send(self, call: Callable[[], Reply]) -> Reply:
        """At once."""
        self.calls += 1
        return call()

    def rest(self, seconds: int | None) -> None:
        """Noted."""
        self.rests.append(seconds)

    def go_on(self) -> None:
        """Counted."""
        self.calls_taken += 1


class FixedTokens:
    """Tokens in the order they are given out; the last one for ever."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens) or ["test"]
        self.refused: list[str] = []

    def value(self) -> str:
        """The present one."""
        return self.tokens[0]

    def renewed(self, refused: str) -> str:
        """The next one."""
        self.refused.append(refused)
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.tokens[0]


def platform_at(url: str, provider: str, line: OpenLine | None = None) -> OpenPlatform:
    """A platform whose clock stands at the vectors' moment."""
    return OpenPlatform(
        provider=provider,
        app_key=APP_KEY,
        app_secret=APP_SECRET,
        transport=Transport(
            provider=provider, base_url=url, timeout_seconds=5, max_answer_bytes=2_000_000
        ),
        line=line or OpenLine(),
        now=lambda: NOW,
    )


def said(body: Any, status: int = 200) -> Said:
    """A JSON answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Said(status, raw, {"content-type": "application/json"})


def sent(heard: Heard) -> dict[str, str]:
    """The parameters of a call."""
    return dict(parse_qsl(heard.raw.decode(), keep_blank_values=True, strict_parsing=True))


def refused(code: str, message: str = "no", type_: str = "ISV", **more: str) -> dict[str, Any]:
    """An error of `/sync`."""
    error = {"type": type_, "code": code, "msg": message, "request_id": "2101abcd00000001"}
    return {"error_response": {**error, **more}}
