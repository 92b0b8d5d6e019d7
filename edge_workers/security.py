"""Who is asking, from where, how often, and what a browser is told about the answer."""

import hashlib
import ipaddress
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from edge_workers import exact_json
from edge_workers.db import Caller
from edge_workers.errors import (
    AdminRequired,
    AuthenticationError,
    AuthUnavailable,
    RateLimitError,
    TokenExpired,
    TokenInvalid,
)
from edge_workers.parts import parts

# --- Tokens -----------------------------------------------------------------------------------

AUDIENCE: Final = "authenticated"
_SIGNING_ALGORITHMS: Final = ("ES256", "RS256")
_CLOCK_SKEW_SECONDS: Final = 5


@dataclass(frozen=True)
class Identity:
    """A person, proven by an access token; the token itself goes on to PostgREST."""

    user_id: str
    token: str


class TokenVerifier:
    """Checks access tokens of Supabase Auth: HS256 by secret or ES256/RS256 by published keys.

    The algorithm follows from the key that we hold, never from the token.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks_url: str | None = None,
        http: httpx.Client,
    ) -> None:
        if secret is None and jwks_url is None:
            raise ValueError("set SUPABASE_JWT_SECRET or SUPABASE_JWKS_URL")
        if secret is not None and len(secret.encode()) < 32:
            raise ValueError("SUPABASE_JWT_SECRET is shorter than 32 bytes")
        self._secret = secret
        self._keys = SigningKeys(jwks_url, http) if jwks_url else None

    def verify(self, token: str) -> Identity:
        """Raises TokenExpired or TokenInvalid (401), AuthUnavailable when keys cannot be had."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key = self._key_for(header)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "sub", "aud"]},
            )
            user_id = str(uuid.UUID(claims["sub"]))
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired from error
        except (jwt.PyJWTError, ValueError) as error:
            raise TokenInvalid(detail=type(error).__name__) from error
        return Identity(user_id, token)

    def _key_for(self, header: Mapping[str, Any]) -> tuple[str, Any]:
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._secret is not None:
            return "HS256", self._secret
        if algorithm in _SIGNING_ALGORITHMS and self._keys is not None:
            key = self._keys.find(str(header.get("kid")))
            if key is not None and key.algorithm_name == algorithm:
                return str(algorithm), key.key
        raise jwt.InvalidAlgorithmError("no key for this algorithm")


class SigningKeys:
    """The public keys at a JWKS address, kept for ten minutes.

    An unknown key id asks for them anew, but not more than every 30 seconds.
    """

    _KEEP_SECONDS = 600.0
    _ASK_AGAIN_SECONDS = 30.0

    def __init__(
        self, url: str, http: httpx.Client, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._loaded_at = float("-inf")

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id; None when there is none. Raises AuthUnavailable."""
        with self._lock:
            age = self._clock() - self._loaded_at
            is_stale = age > self._KEEP_SECONDS
            if is_stale or (key_id not in self._keys and age > self._ASK_AGAIN_SECONDS):
                self._load(must_succeed=not self._keys)
            return self._keys.get(key_id)

    def _load(self, *, must_succeed: bool) -> None:
        try:
            response = self._http.get(self._url)
            response.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(response.json()).keys
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            if must_succeed:
                raise AuthUnavailable(retry_after=2) from error
            keys = list(self._keys.values())
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._loaded_at = self._clock()


def identity() -> Identity | None:
    """The signed-in caller; None for nobody and for the project's anon key.

    A token that is there must be good: raises TokenExpired or TokenInvalid.
    """
    if "identity" not in g:
        g.identity = _read_identity()
    found: Identity | None = g.identity
    return found


def require_identity() -> Identity:
    """The signed-in caller. Raises AuthenticationError (401) when there is none."""
    found = identity()
    if found is None:
        raise AuthenticationError
    return found


def require_admin() -> Identity:
    """The signed-in administrator. Raises AuthenticationError (401) or AdminRequired (403).

    Spares anybody else the reading of a large body; whatever is then asked of SQL, SQL checks.
    """
    caller = require_identity()
    api = parts().data_api
    found = api.send(
        api.as_caller(caller.token).from_("users").select("is_admin").eq("id", caller.user_id)
    )
    if exact_json.loads(found) != [{"is_admin": True}]:
        raise AdminRequired
    return caller


def _read_identity() -> Identity | None:
    header = request.headers.get("Authorization", "")
    if not header:
        return None
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid(detail="scheme")
    if token == parts().settings.supabase_anon_key.get_secret_value():
        return None
    return parts().tokens.verify(token)


# --- Where from, how often --------------------------------------------------------------------


def trust_proxies(app: Flask, hops: int) -> None:
    """Takes the client's address from the last `hops` entries that our own proxies wrote."""
    if hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_prefix=0
        )


def ip_subject(address: str | None) -> str:
    """The rate-limit subject of an address; IPv6 counts by its /64, which one person holds."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "ip:unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return f"ip:{parsed.ipv4_mapped}"
        return f"ip:{ipaddress.ip_network((parsed, 64), strict=False).network_address}/64"
    return f"ip:{parsed}"


def client_subject() -> str:
    """The rate-limit subject of whoever sent this request."""
    return ip_subject(request.remote_addr)


def email_subject(email: str) -> str:
    """The rate-limit subject of an e-mail address, which the limiter need not know."""
    return "email:" + hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]


def require_rate_limit(database: Caller, action: str, *subjects: str) -> None:
    """Takes one use of `action` for each subject. Raises RateLimitError with the wait.

    Without the database it raises DatabaseUnavailable: these doors close rather than open.
    """
    for subject in subjects:
        taken = database.call("take_rate_limit", action=action, subject=subject)
        if not taken["allowed"]:
            raise RateLimitError(retry_after=int(taken["retry_after"]))


# --- What a browser is told -------------------------------------------------------------------

API_CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
DOCS_CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "0",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": API_CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CORS_METHODS: Final = "GET, POST, PUT, OPTIONS"
_CORS_REQUEST_HEADERS: Final = (
    "Accept-Language, Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
)
_CORS_RESPONSE_HEADERS: Final = "ETag, Location, Retry-After, X-Request-ID"


def harden(response: Response) -> Response:
    """Adds the security headers; a view that set one of them keeps its own."""
    given = {name.lower() for name, _ in response.headers}
    for name, value in SECURITY_HEADERS.items():
        if name.lower() not in given:
            response.headers.add(name, value)
    return response


def answer_preflight(origins: tuple[str, ...]) -> Response | None:
    """The answer to a browser's question whether it may call; None for any other request."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = Response(status=204)
    if request.headers.get("Origin") in origins:
        response.headers["Access-Control-Allow-Methods"] = _CORS_METHODS
        response.headers["Access-Control-Allow-Headers"] = _CORS_REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
    return response


def allow_origin(response: Response, origins: tuple[str, ...]) -> Response:
    """Lets a listed origin read the answer. Credentials are never allowed: tokens are headers."""
    if origins and "Vary" in response.headers:
        response.vary.add("Origin")
    elif origins:
        response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _CORS_RESPONSE_HEADERS
    return response
