"""PayWeb3's HTTP conventions: forms both ways, errors as `ERROR=…` with the status 200.

Source: docs.paygate.co.za, initiate-request and query-transaction-status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_workers.providers import form_text
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.paygate import signature
from edge_workers.providers.transport import Transport

_account = re.compile(r"[0-9]{5,20}\Z")
_error = re.compile(r"[A-Z_]{1,40}\Z")


@dataclass(frozen=True)
class Reply:
    """The fields of an answer in their order, and by name; `error` is PayGate's word for it."""

    fields: form_text.Fields
    named: dict[str, str]
    error: str | None


class PayGateApi:
    """One PayGate account; `key` signs what is sent and what comes."""

    name = "paygate"

    def __init__(
        self, *, paygate_id: str, key: str, base_url: str, merchant_url: str, timeout_seconds: float
    ) -> None:
        """`merchant_url` is where the shop is reached: its host goes along as the Referer."""
        if not _account.match(paygate_id):
            raise Misconfigured("The PayGate ID is not a number.")
        if not key or key != key.strip():
            raise Misconfigured("PayGate's key is empty or has spaces around it.")
        self.paygate_id = paygate_id
        self.key = key
        self._referer = urlsplit(merchant_url).netloc
        self._transport = Transport(
            provider=self.name, base_url=base_url, timeout_seconds=timeout_seconds
        )

    @property
    def process_url(self) -> str:
        """Where the payer's browser posts its form."""
        return f"{self._transport.base_url}/process.trans"

    def post(self, operation: str, path: str, fields: Sequence[tuple[str, str]]) -> Reply:
        """Sign and send. `Unavailable` (outcome unknown) for an answer that is no form."""
        answer = self._transport.send(
            "POST",
            path,
            operation=operation,
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "referer": self._referer,
            },
            content=form_text.write(signature.signed(fields, self.key)).encode("ascii"),
        )
        if answer.status in (401, 403):
            raise Misconfigured("PayGate does not let us in.", code="key_refused")
        try:
            parsed = form_text.parse(answer.content.strip())
            named = form_text.by_name(parsed)
        except ValueError as error:
            raise malformed() from error
        error_word = named.get("ERROR")
        if answer.status != 200 or (error_word is not None and not _error.match(error_word)):
            raise malformed()
        return Reply(parsed, named, error_word)


def malformed() -> Unavailable:
    """The error for an answer that cannot be PayGate's."""
    return Unavailable("PayGate's answer is not one of its own.", code="answer_malformed")
