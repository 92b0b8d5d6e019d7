"""Orange's HTTP conventions: a token for the application, JSON both ways, no envelope.

The token comes from another address than the API, by Basic authentication with the client's id and
secret; it lives as long as `expires_in` says (about 90 days, written as text or as a number).
Errors are `{"code": 23, "message": …, "description": …}` with a 4xx status.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edge_workers.providers import json_text
from edge_workers.providers.access_token import AccessToken, FetchedToken
from edge_workers.providers.contracts.money import amount_from
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.orange import mapping
from edge_workers.providers.transport import Transport

LONGEST_LIFE_SECONDS = 365 * 86400

_token = re.compile(r"[\x21-\x7e]{1,4096}\Z")


@dataclass(frozen=True)
class Reply:
    """A JSON object, the status it came with, and of an error what Orange says, fit for a log."""

    status: int
    body: Mapping[str, Any]
    reason: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether it is one of Orange's errors: a 4xx status, a code and a text."""
        return self.status >= 400 and ("code" in self.body or "message" in self.body)

    @property
    def is_duplicate(self) -> bool:
        """Whether the order id was used before: the session exists, its answer is lost."""
        return self.status == 409 or mapping.ORDER_TAKEN.search(self.reason) is not None

    @property
    def is_account_refused(self) -> bool:
        """Whether our merchant key, currency or base URL is not good here."""
        return self.status in (404, 405) or mapping.ACCOUNT_REFUSED.search(self.reason) is not None


class OrangeApi:
    """One merchant at one environment (`…/dev/v1` with OUV, or `…/cm/v1` with XAF)."""

    name = "orange"

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        merchant_key: str,
        token_url: str,
        base_url: str,
        currency: str,
        timeout_seconds: float,
    ) -> None:
        for value in (client_id, client_secret, merchant_key):
            if not value.strip() or not value.isascii() or not value.isprintable():
                raise Misconfigured("A credential of Orange is empty or not printable ASCII.")
        if ":" in client_id:
            raise Misconfigured("The client id of Orange has a colon.")
        self.merchant_key = merchant_key
        self.currency = currency
        self._basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._authority = Transport(
            provider=self.name, base_url=token_url, timeout_seconds=timeout_seconds
        )
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )
        self._access = AccessToken(self._fetch_token)

    @property
    def is_encrypted(self) -> bool:
        """Whether the base URL is https, so that addresses which Orange gives must be too."""
        return self._transport.base_url.startswith("https:")

    def post(self, operation: str, path: str, body: Mapping[str, Any]) -> Reply:
        """POST with the token, a second time with a fresh one when the first was refused."""
        content = json_text.dumps(body)
        answer = self._access.send(
            lambda token: self._transport.send(
                "POST",
                path,
                operation=operation,
                headers={
                    "authorization": f"Bearer {token}",
                    "accept": "application/json",
                    "content-type": "application/json",
                },
                content=content,
            )
        )
        if answer.status in (401, 403):
            raise Misconfigured("Orange does not accept our application.", code="key_refused")
        if answer.status == 408:
            raise Unavailable("Orange gave up on the call.", code="timed_out")
        data = answer.json()
        if not isinstance(data, dict):
            raise Unavailable("Orange's answer is not one of its own.", code="answer_malformed")
        return Reply(answer.status, data, self._reason(data))

    def _reason(self, body: Mapping[str, Any]) -> str:
        """The texts of an error, without our key."""
        texts = (body.get(name) for name in ("message", "description"))
        said = ": ".join(text for text in texts if isinstance(text, str) and text)
        return safe_text(said.replace(self.merchant_key, "…")) or "Orange refused it."

    def _fetch_token(self) -> FetchedToken:
        answer = self._authority.send(
            "POST",
            "",
            operation="token",
            headers={
                "authorization": f"Basic {self._basic}",
                "accept": "application/json",
                "content-type": "application/x-www-form-urlencoded",
            },
            content=b"grant_type=client_credentials",
        )
        if answer.status in (400, 401, 403):
            raise Misconfigured("Orange does not accept our client id.", code="key_refused")
        data = answer.json()
        body = data if isinstance(data, dict) else {}
        token = body.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not _token.match(token):
            raise Unavailable("Orange gave no token.", code="answer_malformed")
        return FetchedToken(token, _seconds(body.get("expires_in")))


def _seconds(value: object) -> float:
    """A token's life; one that is not said is none: the token serves one call."""
    seconds = amount_from(value)
    if seconds is None or seconds <= 0:
        return 0.0
    return float(min(seconds, Decimal(LONGEST_LIFE_SECONDS)))
