"""The door for webhooks, before Flask.

Gateways send in bursts, and an answer that comes late counts as none. What Flask does for a browser
costs three times what a webhook needs. So a webhook that is addressed and sized as it should be is
taken and answered here, and told of in the log by the call that stored it. What is refused, and
whatever else comes, goes on to Flask, where the route for webhooks raises the refusal: all errors
look alike.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Final

from werkzeug.datastructures import EnvironHeaders

from edge_workers.inputs import MAX_BODY_BYTES
from edge_workers.log import bind_request_id
from edge_workers.parts import Parts
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.request_ids import request_id_of
from edge_workers.security import SECURITY_HEADERS
from edge_workers.webhook_intake import take_webhook

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REFUSAL: Final = "mallgram.webhook_refusal"
"""Where the WSGI environment holds what Flask's route is to raise."""

_ADDRESS: Final = re.compile(
    r"/api/v1/payments/webhook/(?P<gateway>[a-z0-9_]{1,40})(?:/(?P<token>[A-Za-z0-9_-]{1,200}))?"
)
_METHODS: Final = frozenset({"POST", "PUT"})
_LENGTH: Final = re.compile("[0-9]{1,7}")
_HEADERS: Final = tuple(SECURITY_HEADERS.items())


class WebhookDoor:
    """A WSGI application that takes webhooks and leaves all else to `following`."""

    def __init__(self, app: Parts, following: "WSGIApplication") -> None:
        self._app = app
        self._following = following

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        address = _ADDRESS.fullmatch(environ["PATH_INFO"])
        if address is None or environ["REQUEST_METHOD"] not in _METHODS:
            return self._following(environ, start_response)
        raw = _read(environ)
        if raw is None:
            return self._following(environ, start_response)
        webhook = WebhookRequest(
            raw=raw,
            headers=dict(EnvironHeaders(environ).items()),
            token=address["token"],
            remote_address=environ.get("REMOTE_ADDR"),
        )
        request_id = environ["HTTP_X_REQUEST_ID"] = request_id_of(environ)
        bind_request_id(request_id)
        try:
            answer = take_webhook(self._app, address["gateway"], webhook, request_id=request_id)
        except Exception as error:  # noqa: BLE001  # Flask's route raises it again
            environ[REFUSAL] = error
            return self._following(environ, start_response)
        body = answer.body.encode()
        start_response(
            f"{answer.status} {HTTPStatus(answer.status).phrase}",
            [
                ("Content-Type", answer.content_type),
                ("Content-Length", str(len(body))),
                ("X-Request-ID", request_id),
                *_HEADERS,
            ],
        )
        return [body]


def _read(environ: "WSGIEnvironment") -> bytes | None:
    """The body, where its length is told and allowed; None: Flask says what is wrong with it."""
    length = environ.get("CONTENT_LENGTH") or ""
    if (
        "HTTP_TRANSFER_ENCODING" in environ
        or not _LENGTH.fullmatch(length)
        or int(length) > MAX_BODY_BYTES
    ):
        return None
    try:
        raw: bytes = environ["wsgi.input"].read(int(length))
    except OSError:
        raw = b""  # the sender is gone
    if len(raw) == int(length):
        return raw
    environ["wsgi.input"] = BytesIO(raw)
    return None
