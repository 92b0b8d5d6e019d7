"""The application factory. Importing this module does nothing."""

import time

from flask import Flask, Response, g, request

from edge_workers.auth_client import new_auth_http_client
from edge_workers.cache import Cache
from edge_workers.catalogue_version import CatalogueVersion
from edge_workers.config import Settings, load_settings
from edge_workers.db import Database
from edge_workers.errors import ErrorTexts
from edge_workers.inbox import Inbox
from edge_workers.inputs import MAX_BODY_BYTES
from edge_workers.log import bind_request_id, configure_logging, get_logger
from edge_workers.parts import EXTENSION, Parts, parts
from edge_workers.problems import register_problems
from edge_workers.providers.health import GatewayHealth
from edge_workers.providers.registry import (
    PAYMENT_GATEWAYS,
    configured_payment_gateways,
)
from edge_workers.request_ids import request_id_of
from edge_workers.rest import DataApi, new_http_client
from edge_workers.routes import auth, docs, health, orders, payments, products, webhooks
from edge_workers.security import (
    TokenVerifier,
    allow_origin,
    answer_preflight,
    harden,
    trust_proxies,
)
from edge_workers.webhook_door import WebhookDoor

log = get_logger(__name__)


def create_app(settings: Settings | None = None) -> Flask:
    """The edge as a WSGI app; without `settings` they come from the environment.

    Connections open on first use in the process that serves, so a server may fork after this.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    app = Flask("edge_workers", static_folder=None)
    # A redirect would name the host that the request claims.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.extensions[EXTENSION] = _build_parts(settings)
    app.wsgi_app = WebhookDoor(  # type: ignore[method-assign]
        app.extensions[EXTENSION], app.wsgi_app
    )
    trust_proxies(app, settings.trusted_proxy_hops)
    app.before_request(_begin_request)
    app.after_request(_finish_request)
    register_problems(app)
    for blueprint in (
        health.blueprint,
        docs.blueprint,
        auth.blueprint,
        products.blueprint,
        orders.blueprint,
        payments.blueprint,
        webhooks.blueprint,
    ):
        app.register_blueprint(blueprint)
    _report_gateways(settings)
    return app


def _build_parts(settings: Settings) -> Parts:
    http = new_http_client()
    database = Database(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
    )
    secret = settings.supabase_jwt_secret
    return Parts(
        settings=settings,
        database=database,
        data_api=DataApi(
            settings.supabase_url, settings.supabase_anon_key.get_secret_value(), http
        ),
        http=http,
        auth_http=new_auth_http_client(),
        cache=Cache(settings.redis_url.get_secret_value() if settings.redis_url else None),
        catalogue_version=CatalogueVersion(
            lambda: int(database.call("catalogue_version")["version"])
        ),
        tokens=TokenVerifier(
            secret=secret.get_secret_value() if secret else None,
            jwks_url=settings.supabase_jwks_url,
            http=http,
        ),
        texts=ErrorTexts(lambda: database.call("error_catalogue")),
        inbox=Inbox(database),
        gateway_health=GatewayHealth(calls_at_once=settings.payment_calls_at_once),
    )


def _report_gateways(settings: Settings) -> None:
    configured = configured_payment_gateways(settings)
    for name in PAYMENT_GATEWAYS:
        if name not in configured:
            log.warning("gateway.disabled", gateway=name, reason="no secret is set")


def _begin_request() -> Response | None:
    g.started_at = time.perf_counter()
    g.request_id = request_id_of(request.environ)
    bind_request_id(g.request_id)
    return answer_preflight(_origins()) if request.method == "OPTIONS" else None


def _finish_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    allow_origin(harden(response), _origins())
    rule = request.url_rule
    log.info(
        "request.handled",
        method=request.method,
        route=rule.rule if rule else None,
        status=response.status_code,
        code=g.get("error_code"),
        duration_ms=round((time.perf_counter() - g.started_at) * 1000, 1),
    )
    return response


def _origins() -> tuple[str, ...]:
    return parts().settings.cors_origins
