"""What gateways send us. A webhook is a hint: verified, stored once, acknowledged, applied later.

Answers 404 for a gateway that is unknown or has no secret, 401 for one that is not genuine, and
5xx only when the event could not be stored, so that the gateway sends it again. Needs no Redis.
"""

import hashlib

from flask import Blueprint, Response, g, request

from edge_workers.errors import AppError, NotFoundError, WebhookSignatureInvalid
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


@blueprint.route("", methods=["POST"])
@operation(
    tag="webhooks",
    answers={200: None},
    errors=(
        "webhook_signature_invalid",
        "not_found",
        "body_too_large",
        "database_unavailable",
    ),
)
def receive_unnamed() -> Response:
    """A gateway's notification; the gateway is found by its own marks."""
    webhook = _read(None)
    gateway = recognise_gateway(webhook, parts().settings)
    if gateway is None:
        raise NotFoundError("payment_gateway_unknown")
    return _receive(gateway, webhook)


@blueprint.route("/<gateway>", methods=["POST", "PUT"])
@blueprint.route("/<gateway>/<token>", methods=["POST", "PUT"])
@operation(
    tag="webhooks",
    answers={200: None},
    errors=(
        "webhook_signature_invalid",
        "not_found",
        "body_too_large",
        "database_unavailable",
    ),
)
def receive(gateway: str, token: str | None = None) -> Response:
    """A gateway's notification."""
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
    event = _parse(provider, webhook, location)
    stored = app.database.call(
        "record_webhook_event",
        gateway=gateway,
        dedupe_key=event.dedupe_key,
        event_type=event.event_type,
        payment_references=list(event.references),
        raw=webhook.raw.decode("utf-8"),
        headers={k: v for k, v in webhook.headers.items() if k.lower() not in _NOT_KEPT},
        request_id=g.request_id,
    )
    log.info(
        "webhook.stored",
        event_id=stored["event_id"],
        event_type=event.event_type,
        is_new=stored["is_new"],
    )
    reply = provider.answer(event)
    return Response(reply.body, reply.status, content_type=reply.content_type)


def _secrets(app: Parts, gateway: str, location: WebhookLocation) -> tuple[str, ...]:
    if not location.needs_secrets:
        return ()
    rows = app.database.call(
        "webhook_secrets", gateway=gateway, references=list(location.references)
    )
    return tuple(row["webhook_token"] for row in rows or ())


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
