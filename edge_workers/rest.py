"""PostgREST as the caller: the shopper's own token, language and request id go along.

Requests are built with the `postgrest` library and sent by it, but its answers are not used: it
parses JSON into floats, which money must never become, and it drops the HTTP status and headers
of an error. Here the body stays the bytes that PostgREST wrote (`RawJson`, 12500.00 and not
12500.0), a refusal becomes an AppError, and nothing sleeps between retries inside a request.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

import httpx
from postgrest import SyncPostgrestClient
from postgrest.base_request_builder import RequestConfig

from edge_workers import exact_json
from edge_workers.db import error_of_sqlstate
from edge_workers.errors import (
    AppError,
    AuthenticationError,
    AuthorizationError,
    DataApiUnavailable,
    InternalError,
    TokenExpired,
    TokenInvalid,
    error_for,
)
from edge_workers.exact_json import RawJson

CONNECT_TIMEOUT_SECONDS: Final = 2.0
ANSWER_TIMEOUT_SECONDS: Final = 10.0
"""Above the 8 s after which Postgres cuts a signed-in caller's statement."""

_CONSTRAINT = re.compile(r'constraint "([^"]+)"')
_COLUMN = re.compile(r'column "([^"]+)"')


class Query(Protocol):
    """Any request that the postgrest library has built."""

    @property
    def request(self) -> RequestConfig[httpx.Client]:
        """What is to be sent."""


def new_http_client() -> httpx.Client:
    """The HTTP client for Supabase's services: bounded waits, a few kept connections."""
    return httpx.Client(
        timeout=httpx.Timeout(
            ANSWER_TIMEOUT_SECONDS,
            connect=CONNECT_TIMEOUT_SECONDS,
            pool=CONNECT_TIMEOUT_SECONDS,
        ),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=5.0),
        follow_redirects=False,
        trust_env=False,
    )


class DataApi:
    """PostgREST behind the project's gateway. Thread-safe."""

    def __init__(self, supabase_url: str, anon_key: str, http: httpx.Client) -> None:
        self._url = f"{supabase_url}/rest/v1"
        self._anon_key = anon_key
        self._http = http

    def as_caller(
        self,
        token: str | None = None,
        *,
        language: str | None = None,
        request_id: str | None = None,
    ) -> SyncPostgrestClient:
        """A client that speaks with the caller's own rights; without a token as anon."""
        headers = {
            "apikey": self._anon_key,
            "Authorization": f"Bearer {token or self._anon_key}",
            # What a gateway on the way has kept may be older than what is asked about here.
            "Cache-Control": "no-cache",
        }
        if language:
            headers["Accept-Language"] = language
        if request_id:
            headers["X-Request-ID"] = request_id
        return SyncPostgrestClient(
            self._url, headers=headers, http_client=self._http, retry_enabled=False
        )

    def rpc(
        self,
        client: SyncPostgrestClient,
        name: str,
        args: Mapping[str, Any],
        *,
        is_read: bool = False,
    ) -> RawJson:
        """Calls `public.<name>`; arguments that are None stay at the function's default.

        `is_read` sends GET, which only stable functions take and caches may hold.
        """
        given = {key: _argument(value) for key, value in args.items() if value is not None}
        return self.send(client.rpc(name, given, get=is_read))

    def send(self, query: Query) -> RawJson:
        """The body that PostgREST answered, byte for byte. Raises AppError on a refusal."""
        config = query.request
        try:
            response = _send(config)
        except httpx.TransportError as error:
            raise DataApiUnavailable(detail=type(error).__name__, retry_after=2) from error
        if response.is_success:
            return RawJson(response.content)
        raise _error(response, is_signed_in=not self._is_anonymous(config))

    def _is_anonymous(self, config: RequestConfig[httpx.Client]) -> bool:
        return bool(config.headers["Authorization"] == f"Bearer {self._anon_key}")


def _send(config: RequestConfig[httpx.Client]) -> httpx.Response:
    try:
        return config.send(httpx.Headers())
    except (httpx.RemoteProtocolError, httpx.ReadError):
        # A kept connection that the gateway had just closed: a read may go again, a write not.
        if config.http_method not in {"GET", "HEAD"}:
            raise
        return config.send(httpx.Headers())


def _argument(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return value


def _error(response: httpx.Response, *, is_signed_in: bool) -> AppError:
    try:
        body = exact_json.loads(response.content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return DataApiUnavailable(detail=f"HTTP {response.status_code}", retry_after=2)
    code: str = body["code"]
    message = body.get("message") or ""
    if code.startswith("PT") and body.get("hint"):
        return error_for(
            str(body["hint"]),
            response.status_code,
            body.get("details") or None,
            message=message or None,
            retry_after=_seconds(response.headers.get("Retry-After")),
        )
    if code.startswith("PGRST"):
        return _error_of_postgrest(code, message, response.status_code)
    if code == "42501" and not is_signed_in:
        return AuthenticationError()
    constraint = _CONSTRAINT.search(message)
    column = _COLUMN.search(message)
    return error_of_sqlstate(
        code,
        constraint=constraint.group(1) if constraint else None,
        column=column.group(1) if column else None,
        is_still_referenced="still referenced" in str(body.get("details")),
    )


def _error_of_postgrest(code: str, message: str, status: int) -> AppError:
    if code in {"PGRST000", "PGRST001", "PGRST002", "PGRST003"}:
        return DataApiUnavailable(detail=code, retry_after=2)
    if status == 401:
        return TokenExpired() if "expired" in message.lower() else TokenInvalid(detail=code)
    if status == 403:
        return AuthorizationError(detail=code)
    return InternalError(detail=f"{code} {message}"[:300])


def _seconds(value: str | None) -> int | None:
    return int(value) if value and value.isdigit() else None
