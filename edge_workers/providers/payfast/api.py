"""PayFast's two servers: the site (form and confirmation) and the API (signed headers).

API answers are `{code, status, data: {response, message}}`, but for the transaction history, which
is CSV, and some that come without the envelope. Bodies go out as forms, whose texts are exactly
what is signed; a value that PHP calls empty is never sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from edge_workers.providers import form_text
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.payfast import signature
from edge_workers.providers.transport import Answer, Transport

VERSION = "v1"
SOUTH_AFRICA = timezone(timedelta(hours=2))
"""PayFast's clock: no daylight saving."""

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Account:
    """One PayFast merchant. The key goes through the payer's browser, the passphrase nowhere."""

    merchant_id: str
    merchant_key: str = field(repr=False)
    passphrase: str = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What the API said. `is_accepted`: a 2xx status and no envelope that says otherwise."""

    is_accepted: bool
    is_success: bool
    """Whether the envelope says `success` in so many words."""
    message: str
    data: Any
    """The envelope's `data`, or the whole body where there is none."""
    answer: Answer

    @property
    def response(self) -> Any:
        """`data.response`, or the whole body where there is no envelope."""
        if isinstance(self.data, dict) and "response" in self.data:
            return self.data["response"]
        return self.data

    @property
    def is_confirmed(self) -> bool:
        """Whether it says `success` and its `response` is positive: both are needed."""
        response = self.response
        if isinstance(response, str):
            is_positive = response.strip().lower() in ("true", "1", "success")
        elif isinstance(response, (bool, int)):
            is_positive = response > 0
        else:
            is_positive = isinstance(response, dict) and bool(response)
        return self.is_accepted and self.is_success and is_positive


class PayfastApi:
    """One account at both servers."""

    name = "payfast"

    def __init__(
        self,
        account: Account,
        *,
        base_url: str,
        api_base_url: str,
        is_testing: bool,
        timeout_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.account = account
        self.clock = clock
        self._is_testing = is_testing
        self._site = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )
        self._api = Transport(
            provider=self.name, base_url=api_base_url, timeout_seconds=timeout_seconds
        )

    @property
    def process_url(self) -> str:
        """Where the payer's browser posts the form."""
        return f"{self._site.base_url}/eng/process"

    def confirm(self, parameters: str) -> bool:
        """Whether PayFast says that it sent a notice of these parameters.

        Raises `Unavailable` for any answer that is neither VALID nor INVALID.
        """
        answer = self._site.send(
            "POST",
            "/eng/query/validate",
            operation="validate",
            headers={"content-type": _FORM},
            content=parameters.encode("utf-8"),
        )
        first_line = answer.content.strip()[:20].partition(b"\n")[0].strip()
        if answer.status != 200 or first_line not in (b"VALID", b"INVALID"):
            raise Unavailable(
                "PayFast did not say whether the notice is its own.", code="answer_malformed"
            )
        return first_line == b"VALID"

    def get(self, operation: str, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """GET with signed headers; `path` is complete and escaped."""
        return self._call(operation, "GET", path, dict(query or {}), {})

    def post(self, operation: str, path: str, body: Mapping[str, str]) -> Reply:
        """POST of a form with signed headers."""
        return self._call(operation, "POST", path, {}, dict(body))

    def _call(
        self, operation: str, method: str, path: str, query: dict[str, str], body: dict[str, str]
    ) -> Reply:
        headers = {
            "merchant-id": self.account.merchant_id,
            "version": VERSION,
            "timestamp": self.clock().astimezone(SOUTH_AFRICA).strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        headers["signature"] = signature.api_signature(
            {**headers, **query, **body}, self.account.passphrase
        )
        if self._is_testing:
            query = {**query, "testing": "true"}  # never signed
        if body:
            headers["content-type"] = _FORM
        target = f"{path}?{form_text.write(query.items())}" if query else path
        content = form_text.write(body.items()).encode("utf-8") if body else None
        answer = self._api.send(
            method, target, operation=operation, headers=headers, content=content
        )
        if answer.status in (401, 403):
            raise Misconfigured(
                "PayFast does not accept our signature or address.", code="key_refused"
            )
        return _reply(answer)


def _reply(answer: Answer) -> Reply:
    envelope = answer.json()
    is_2xx = 200 <= answer.status < 300
    if not isinstance(envelope, dict) or "status" not in envelope or "data" not in envelope:
        return Reply(is_2xx, False, "", envelope, answer)
    data = envelope["data"]
    is_success = envelope["status"] == "success"
    message = data.get("message") if isinstance(data, dict) else None
    return Reply(is_2xx and is_success, is_success, safe_text(message), data, answer)
