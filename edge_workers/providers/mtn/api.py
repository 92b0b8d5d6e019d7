"""MTN's HTTP conventions: one subscription key, API user and access token for each product.

A transaction is created under a UUID of ours, which is its name and the key that keeps it single:
202 without a body says it was taken, 409 that this UUID was taken before. Errors are JSON
`{code, message}` with MTN's own codes, or a page of the firewall before it.
Sources: momodeveloper.mtn.com, api-description and common-error-codes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from edge_workers.providers import json_text
from edge_workers.providers.access_token import AccessToken, FetchedToken
from edge_workers.providers.contracts.money import amount_from
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.mtn import mapping
from edge_workers.providers.transport import Answer, Transport

ProductName = Literal["collection", "disbursement"]

TEST_ENVIRONMENT = "sandbox"
"""MTN's own test environment: it knows euros only, which stand there for any currency of ours."""

_uuid4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_reference = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_msisdn = re.compile(r"[1-9][0-9]{7,14}\Z")
_token = re.compile(r"[\x21-\x7e]{1,8000}\Z")
_firewall = re.compile(rb"request rejected|requested url was rejected", re.IGNORECASE)


class MtnProduct:
    """Collection or disbursement of one MTN account. `currency` is what goes over the wire."""

    def __init__(
        self,
        product: ProductName,
        *,
        subscription_key: str,
        api_user: str,
        api_key: str,
        base_url: str,
        target_environment: str,
        currency: str,
        timeout_seconds: float,
    ) -> None:
        for secret in (subscription_key, api_user, api_key, target_environment):
            if not secret.strip() or not secret.isascii() or not secret.isprintable():
                raise Misconfigured("One of MTN's keys or names is empty or not ASCII.")
        self.product = product
        self.currency = currency
        self._subscription_key = subscription_key.strip()
        self._target_environment = target_environment.strip()
        self._basic = base64.b64encode(f"{api_user.strip()}:{api_key.strip()}".encode()).decode()
        self._transport = Transport(
            provider="mtn", base_url=base_url, timeout_seconds=timeout_seconds
        )
        self._token = AccessToken(self._fetch_token)

    def wire_currency(self, currency: str) -> str:
        """The currency as MTN is told it; `Rejected` for one that this account has not."""
        if currency != self.currency and self._target_environment != TEST_ENVIRONMENT:
            raise Rejected("MTN has no account in this currency.", code="currency_unsupported")
        return self.currency

    def shop_currency(self, given: object, asked: str | None) -> str | None:
        """The currency that an answer names, in our words; `asked` is the transaction's own."""
        if not isinstance(given, str) or not given:
            return None
        if self._target_environment == TEST_ENVIRONMENT and given == self.currency:
            return asked
        return safe_text(given, 3).upper()

    def create(
        self,
        operation: str,
        resource: str,
        reference_id: str,
        body: Mapping[str, Any],
        *,
        callback_url: str = "",
    ) -> bool:
        """Put a transaction to MTN under our UUID. False: something exists under it already.

        Raises `Rejected` or `Misconfigured` where MTN says that it took nothing, `Unavailable` for
        all else. A 503 is all else: MTN asks to send the same UUID again, which is safe only
        because it may have been taken, so it must not be put to anyone else.
        """
        extra = {"x-callback-url": callback_url} if callback_url else {}
        answer = self._send(
            operation, "POST", f"/v1_0/{resource}", reference_id, json_text.dumps(body), extra
        )
        if answer.status in (202, 409):
            return answer.status == 202
        raise _refusal(answer)

    def get(self, operation: str, resource: str, reference_id: str) -> dict[str, Any] | None:
        """What MTN has under our UUID; None when it never took anything under it."""
        answer = self._send(operation, "GET", f"/v1_0/{resource}/{_checked_id(reference_id)}")
        body = answer.json()
        if answer.status == 200 and isinstance(body, dict) and mapping.word(body.get("status")):
            return body
        if answer.status == 404 and _code(body) == "RESOURCE_NOT_FOUND":
            return None
        if answer.status in (401, 403):
            raise _refusal(answer)
        raise Unavailable("MTN did not say how the transaction stands.", code="answer_malformed")

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        reference_id: str | None = None,
        content: bytes | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {
            "ocp-apim-subscription-key": self._subscription_key,
            "x-target-environment": self._target_environment,
            "accept": "application/json",
            **(extra or {}),
        }
        if reference_id is not None:
            headers["x-reference-id"] = _checked_id(reference_id)
        if content is not None:
            headers["content-type"] = "application/json"
        return self._token.send(
            lambda token: self._transport.send(
                method,
                f"/{self.product}{path}",
                operation=operation,
                headers={**headers, "authorization": f"Bearer {token}"},
                content=content,
                readable_errors=(500,),
            )
        )

    def _fetch_token(self) -> FetchedToken:
        """Of this product alone. Nothing may be in the request's body."""
        answer = self._transport.send(
            "POST",
            f"/{self.product}/token/",
            operation="token",
            headers={
                "authorization": f"Basic {self._basic}",
                "ocp-apim-subscription-key": self._subscription_key,
            },
        )
        if answer.status in (400, 401, 403):
            raise Misconfigured("MTN does not accept our API user or key.", code="key_refused")
        body = answer.json()
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not _token.match(token):
            raise Unavailable("MTN gave no access token.", code="answer_malformed")
        seconds = amount_from(body.get("expires_in")) or Decimal(0)
        return FetchedToken(token, float(seconds))


def checked_reference(reference: str) -> str:
    """Our reference as `externalId`; `Rejected` when it is not one of ours."""
    if not _reference.match(reference):
        raise Rejected("The reference has characters of its own.", code="reference_invalid")
    return reference


def msisdn(number: str | None, code: str) -> str:
    """A handset's number in international digits without the plus, or `Rejected` with the code."""
    digits = (number or "").removeprefix("+")
    if not _msisdn.match(digits):
        raise Rejected("The phone number is not an international one.", code=code)
    return digits


def reason_of(body: Mapping[str, Any]) -> str:
    """The reason of a failure, which is a text or an object with a code; "" without one."""
    reason = body.get("reason")
    if isinstance(reason, Mapping):
        reason = reason.get("code")
    return safe_text(mapping.word(reason), 60)


def identifier(value: object) -> str | None:
    """An id that MTN writes as a text or a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _reference.match(value) else None


def check_is(body: Mapping[str, Any], reference: str) -> None:
    """Raise `Unavailable` when an answer is about another transaction of ours."""
    if body.get("externalId") is not None and identifier(body["externalId"]) != reference:
        raise Unavailable("MTN answered about something else.", code="answer_malformed")


def _checked_id(reference_id: str) -> str:
    if not _uuid4.match(reference_id):
        raise Rejected("MTN takes only UUIDs of version 4.", code="reference_invalid")
    return reference_id


def _code(body: object) -> str:
    return mapping.word(body.get("code")) if isinstance(body, dict) else ""


def _refusal(answer: Answer) -> ProviderError:
    """What an answer other than the wanted one means."""
    if _firewall.search(answer.content[:5000]):
        # It stands before MTN's own service, but does not say whether it kept back the request.
        return Misconfigured(
            "MTN's firewall refused us.", code="firewall_refused", outcome="unknown"
        )
    body = answer.json()
    code = _code(body)
    message = safe_text(body.get("message")) if isinstance(body, dict) else ""
    if answer.status == 401:
        return Misconfigured("MTN does not accept our keys.", code="key_refused")
    if answer.status == 403:
        return Misconfigured("MTN does not accept our address.", code="address_refused")
    if answer.status == 500 and code in mapping.OUR_SETTINGS:
        return Misconfigured(message or code, code=mapping.OUR_SETTINGS[code])
    if answer.status == 500 and code in mapping.NEVER_CREATED:
        return Rejected(message or code, code=mapping.NEVER_CREATED[code])
    if answer.status == 400:
        return Rejected(message or "MTN found a fault in the request.", code="request_refused")
    if answer.status == 404 and code == "RESOURCE_NOT_FOUND":
        return Rejected(message or "MTN does not know it.", code="not_found")
    problem = "server_error" if answer.status == 500 else "answer_malformed"
    return Unavailable(f"MTN answered {answer.status}.", code=problem)
