"""What gateways send us. A webhook is a hint: verified, stored once, acknowledged, applied later.

Answers 404 for a gateway that is unknown or has no secret, 401 for one that is not genuine, and
5xx only when the event could not be verified or stored just now, so that the gateway sends it
again. What is stored holds no card number. Needs no Redis.
"""

import hashlib

from flask import Blueprint, Response, g, request

from edge_workers.card_numbers import redact_card_numbers
from edge_workers.errors import (
    AppError,
    NotFoundError,
    WebhookNotVerifiable,
    WebhookSignatureInvalid,
)
from edge_workers.inputs import raw_body
from edge_workers.log import bind_context, get_logger
from edge_workers.openapi import operation
from edge_workers.parts import Parts, parts
from edge_workers.providers.contracts.payments import (
    PaymentProvider,
    WebhookEvent,
    WebhookLocation,
    WebhookRequest,
)
from edge_workers.providers.errors import ProviderError, Unverified
from edge_workers.providers.registry import (
    configured_payment_gateways,
    payment_provider,
    recognise_gateway,
)
from edge_workers.security import client_subject

log = get_logger(__name__)

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1/payments/webhook")

_NOT_KEPT = frozenset({"authorization", "cookie", "proxy-authorization"})
_COME_AGAIN_SECONDS = 60
_ERRORS = (
    "webhook_signature_invalid",
    "not_found",
    "body_too_large",
    "webhook_not_verifiable",
    "database_unavailable",
)
_MEDIA = {
    "application/json": {
        "event": "charge.success",
        "data": {"reference": "mg-0123456789abcdef01234567", "status": "success"},
    },
    "application/x-www-form-urlencoded": {
        "REFERENCE": "mg-0123456789abcdef01234567",
        "TRANSACTION_STATUS": "1",
    },
}


@blueprint.route("", methods=["POST"])
@operation(
    tag="webhooks",
    media=_MEDIA,
    answers={200: None},
    errors=_ERRORS,
)
def receive_unnamed() -> Response:
    """A gateway's notification; the gateway is found by its own marks.

    Each gateway has its own form of body; answered as that gateway expects.
    """
    webhook = _read(None)
    gateway = recognise_gateway(webhook, parts().settings)
    if gateway is None:
        raise NotFoundError("payment_gateway_unknown")
    return _receive(gateway, webhook)


@blueprint.route("/<gateway>", methods=["POST", "PUT"])
@blueprint.route("/<gateway>/<token>", methods=["POST", "PUT"])
@operation(
    tag="webhooks",
    media=_MEDIA,
    answers={200: None},
    errors=_ERRORS,
)
def receive(gateway: str, token: str | None = None) -> Response:
    """A gateway's notification, in that gateway's own form.

    The token, where there is one, belongs to one payment and was told to the gateway alone.
    Answered as that gateway expects: with exactly what makes it stop repeating.
    """
    return _receive(gateway, _read(token))


def _read(token: str | None) -> WebhookRequest:
    # The raw bytes first: what is signed is what was sent, not what a parser makes of it.
    return WebhookRequest(
        raw=raw_body(),
        headers=dict(request.headers),
        token=token,
        remote_address=request.remote_addr,
    )


def _receive(gateway: str, webhook: WebhookRequest) -> Response:
    app = parts()
    if gateway not in configured_payment_gateways(app.settings):
        raise NotFoundError("payment_gateway_unknown")
    bind_context(gateway=gateway)
    provider = payment_provider(gateway, app.settings)
    location = provider.locate(webhook)
    try:
        provider.verify(webhook, _secrets(app, gateway, location))
    except Unverified as error:
        _report_unverified(app, error)
        raise WebhookSignatureInvalid from error
    except ProviderError as error:
        log.error("webhook.not_verified", code=error.code, reason=str(error))
        raise WebhookNotVerifiable(retry_after=error.retry_after or _COME_AGAIN_SECONDS) from error
    event = _parse(provider, webhook, location)
    event_type = _kept_word(event.event_type)
    (stored,) = app.database.call(
        "record_webhook_events",
        events=[
            {
                "gateway": gateway,
                "dedupe_key": _kept_key(event.dedupe_key),
                "event_type": event_type,
                "kind": event.kind,
                "payment_references": list(event.references),
                "webhook_token": event.token,
                "raw": _kept_body(webhook.raw),
                "headers": _kept_headers(webhook),
                "request_id": g.request_id,
            }
        ],
    )
    log.info(
        "webhook.stored",
        event_id=stored["event_id"],
        event_type=event_type,
        is_new=stored["is_new"],
    )
    reply = provider.answer(event)
    return Response(reply.body, reply.status, content_type=reply.content_type)


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


def _kept_headers(webhook: WebhookRequest) -> dict[str, str]:
    return {
        name: redact_card_numbers(value)
        for name, value in webhook.headers.items()
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


def _report_unverified(app: Parts, error: Unverified) -> None:
    """Says so in the log, but only so often for one sender: forgeries must not flood it."""
    try:
        taken = app.database.call(
            "take_rate_limit", action="webhook_unverified", subject=client_subject()
        )
    except AppError:
        taken = {"allowed": True}
    if taken["allowed"]:
        log.warning("webhook.refused", code=error.code, ip=request.remote_addr)
