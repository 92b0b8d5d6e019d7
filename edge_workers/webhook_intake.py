"""Taking a webhook in: verified, stored once, acknowledged. It is applied later, by a job."""

import hashlib
import time
from collections.abc import Mapping
from typing import Final

from edge_workers.card_numbers import redact_card_numbers
from edge_workers.errors import (
    AppError,
    NotFoundError,
    WebhookNotVerifiable,
    WebhookSignatureInvalid,
)
from edge_workers.log import bind_context, get_logger
from edge_workers.parts import Parts
from edge_workers.providers.contracts.payments import (
    PaymentProvider,
    WebhookAnswer,
    WebhookEvent,
    WebhookLocation,
    WebhookRequest,
)
from edge_workers.providers.errors import Misconfigured, ProviderError, Unverified
from edge_workers.providers.registry import payment_provider
from edge_workers.security import ip_subject

log = get_logger(__name__)

_NOT_KEPT: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_COME_AGAIN_SECONDS: Final = 60
_MOST_QUIET_SENDERS: Final = 1_000


def take_webhook(
    app: Parts, gateway: str, webhook: WebhookRequest, *, request_id: str
) -> WebhookAnswer:
    """What the gateway wants to hear, once the event is stored.

    Raises NotFoundError (404) for a gateway that is unknown or has no secret,
    WebhookSignatureInvalid (401) for what is not genuine, WebhookNotVerifiable (503) when that
    cannot be told just now, and what `Database.call` raises when it could not be stored.
    """
    try:
        provider = payment_provider(gateway, app.settings)
    except Misconfigured as error:
        raise NotFoundError("payment_gateway_unknown") from error
    bind_context(gateway=gateway)
    location = provider.locate(webhook)
    try:
        provider.verify(webhook, _secrets(app, gateway, location))
    except Unverified as error:
        _report_unverified(app, webhook, error)
        raise WebhookSignatureInvalid from error
    except ProviderError as error:
        log.error("webhook.not_verified", code=error.code, reason=str(error))
        raise WebhookNotVerifiable(retry_after=error.retry_after or _COME_AGAIN_SECONDS) from error
    event = _parse(provider, webhook, location)
    app.inbox.record(
        {
            "gateway": gateway,
            "dedupe_key": _kept_key(event.dedupe_key),
            "event_type": _kept_word(event.event_type),
            "kind": event.kind,
            "payment_references": list(event.references),
            "webhook_token": event.token,
            "raw": _kept_body(webhook.raw),
            "headers": _kept_headers(webhook.headers),
            "request_id": request_id,
        }
    )
    return provider.answer(event)


def _secrets(app: Parts, gateway: str, location: WebhookLocation) -> tuple[str, ...]:
    if not (location.needs_secrets and (location.references or location.tokens)):
        return ()
    rows = app.database.call(
        "webhook_secrets",
        gateway=gateway,
        references=list(location.references),
        tokens=list(location.tokens),
    )
    return tuple(row["webhook_token"] for row in rows or ())


def _kept_body(raw: bytes) -> str:
    """The body as text; bytes that are no UTF-8, and NUL, are written as escapes."""
    return redact_card_numbers(raw.decode("utf-8", "backslashreplace").replace("\0", r"\x00"))


def _kept_word(word: str) -> str:
    """A word of the notice; a card number in it is masked, also one written with underscores."""
    spaced = word.replace("_", " ")
    masked = redact_card_numbers(spaced)
    return word if masked == spaced else masked


def _kept_key(key: str) -> str:
    """The key of the event; its hash where a gateway's id looks like a card number."""
    return key if _kept_word(key) == key else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: redact_card_numbers(value)
        for name, value in headers.items()
        if name.lower() not in _NOT_KEPT
    }


def _parse(
    provider: PaymentProvider, webhook: WebhookRequest, location: WebhookLocation
) -> WebhookEvent:
    try:
        return provider.parse(webhook)
    except ProviderError as error:
        # Genuine but unreadable: kept for a person to read, under the hash of its bytes.
        log.error("webhook.unreadable", code=error.code)
        return WebhookEvent(
            event_type="unreadable",
            dedupe_key=f"sha256:{hashlib.sha256(webhook.raw).hexdigest()}",
            kind="other",
            references=location.references,
        )


def _report_unverified(app: Parts, webhook: WebhookRequest, error: Unverified) -> None:
    """Says so in the log, but only so often for one sender: forgeries must not flood it.

    Nor the database: while a sender may not be told of, it is not asked about them.
    """
    subject = ip_subject(webhook.remote_address)
    if time.monotonic() < app.quiet_senders.get(subject, 0.0):
        return
    try:
        taken = app.database.call("take_rate_limit", action="webhook_unverified", subject=subject)
    except AppError:
        taken = {"allowed": True}
    if taken["allowed"]:
        log.warning("webhook.refused", code=error.code, ip=webhook.remote_address)
        return
    if len(app.quiet_senders) >= _MOST_QUIET_SENDERS:
        app.quiet_senders.clear()
    app.quiet_senders[subject] = time.monotonic() + float(taken["retry_after"])
