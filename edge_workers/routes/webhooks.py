"""What gateways send us. A webhook is a hint: verified, stored once, acknowledged, applied later.

Answers 404 for a gateway that is unknown or has no secret, 401 for one that is not genuine, and
5xx only when the event could not be verified or stored just now, so that the gateway sends it
again. What is stored holds no card number. Needs no Redis.
"""

from flask import Blueprint, Response, g, request

from edge_workers.errors import NotFoundError
from edge_workers.inputs import raw_body
from edge_workers.log import bind_context
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.registry import recognise_gateway
from edge_workers.webhook_door import REFUSAL
from edge_workers.webhook_intake import take_webhook

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1/payments/webhook")

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
    refusal = request.environ.pop(REFUSAL, None)
    if refusal is not None:
        bind_context(gateway=gateway)
        try:
            raise refusal
        finally:
            del refusal  # it holds this frame: what was sent would stay until the next full sweep
    return _receive(gateway, _read(token))


def _read(token: str | None) -> WebhookRequest:
    # The raw bytes first: what is signed is what was sent, not what a parser makes of it.
    return WebhookRequest(
        raw=raw_body(),
        headers=dict(request.headers.items()),
        token=token,
        remote_address=request.remote_addr,
    )


def _receive(gateway: str, webhook: WebhookRequest) -> Response:
    answer = take_webhook(parts(), gateway, webhook, request_id=g.request_id)
    return Response(answer.body, answer.status, content_type=answer.content_type)
