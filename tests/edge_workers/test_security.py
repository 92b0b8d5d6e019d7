"""Tokens, addresses, limits, headers and origins."""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, request
from flask.testing import FlaskClient

from edge_workers.app import create_app
from edge_workers.errors import AuthUnavailable, RateLimitError, TokenExpired, TokenInvalid
from edge_workers.security import (
    SECURITY_HEADERS,
    SigningKeys,
    TokenVerifier,
    email_subject,
    ip_subject,
    require_rate_limit,
)
from tests.edge_workers.conftest import JWT_SECRET, offline_settings

USER = str(uuid.uuid4())
OTHER_SECRET = "another-secret-that-is-just-as-long-as-it"


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token; a change to None leaves the claim out."""
    good = {
        "sub": USER,
        "aud": "authenticated",
        "role": "authenticated",
        "exp": int(time.time()) + 3600,
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def token(secret: str = JWT_SECRET, **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm="HS256")


def unsigned(header: dict[str, Any], payload: dict[str, Any], signature: str = "") -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(payload)}.{signature}"


@pytest.fixture
def verifier() -> Iterator[TokenVerifier]:
    with httpx.Client() as http:
        yield TokenVerifier(secret=JWT_SECRET, http=http)


def test_a_good_token_names_its_person(verifier: TokenVerifier) -> None:
    good = token()
    found = verifier.verify(good)
    assert (found.user_id, found.token) == (USER, good)


def test_an_expired_token_says_so(verifier: TokenVerifier) -> None:
    with pytest.raises(TokenExpired) as refused:
        verifier.verify(token(exp=int(time.time()) - 60))
    assert (refused.value.code, refused.value.http_status) == ("token_expired", 401)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(token(exp=None), id="no exp"),
        pytest.param(token(sub=None), id="no sub"),
        pytest.param(token(aud=None), id="no aud"),
        pytest.param(token(sub="not-a-uuid"), id="sub is no uuid"),
        pytest.param(token(aud="anon"), id="wrong aud"),
        pytest.param(token(OTHER_SECRET), id="wrong key"),
        pytest.param(token(exp="soon"), id="exp is no number"),
        pytest.param(token(nbf=int(time.time()) + 600), id="not yet"),
        pytest.param(token() + "x", id="signature changed"),
        pytest.param(unsigned({"alg": "none"}, claims()), id="alg none"),
        pytest.param(unsigned({"alg": "None", "typ": "JWT"}, claims()), id="alg None"),
        pytest.param(
            jwt.encode(claims(), JWT_SECRET * 2, algorithm="HS512"), id="another algorithm"
        ),
        pytest.param(unsigned({"alg": "RS256"}, claims(), "abc"), id="asked for a key we lack"),
        pytest.param("garbage", id="garbage"),
        pytest.param("a.b.c", id="three parts of garbage"),
        pytest.param("", id="empty"),
        pytest.param("é.ü.ß", id="not ascii"),
        pytest.param("." * 5000, id="dots"),
    ],
)
def test_any_other_token_is_refused(verifier: TokenVerifier, bad: str) -> None:
    with pytest.raises(TokenInvalid) as refused:
        verifier.verify(bad)
    assert (refused.value.code, refused.value.http_status) == ("token_invalid", 401)


@pytest.mark.parametrize("secret", [None, "short"])
def test_an_edge_does_not_start_without_a_good_key(secret: str | None) -> None:
    with pytest.raises(ValueError, match="SUPABASE_JWT"):
        create_app(offline_settings(supabase_jwt_secret=secret))


# --- Published keys ---------------------------------------------------------------------------


class KeyServer:
    """A JWKS address: serves the keys it is given and counts who asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, key_id: str) -> ec.EllipticCurvePrivateKey:
        private = ec.generate_private_key(ec.SECP256R1())
        published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
        self.keys.append({**published, "kid": key_id, "alg": "ES256", "use": "sig"})
        return private


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.server.shutdown()
    server.server.server_close()


def signed(private: ec.EllipticCurvePrivateKey, key_id: str, **changes: Any) -> str:
    return jwt.encode(claims(**changes), private, algorithm="ES256", headers={"kid": key_id})


def test_a_token_signed_by_a_published_key_is_good(key_server: KeyServer) -> None:
    private = key_server.add("one")
    with httpx.Client() as http:
        verifier = TokenVerifier(jwks_url=key_server.url, http=http)
        for _ in range(3):
            assert verifier.verify(signed(private, "one")).user_id == USER
        with pytest.raises(TokenExpired):
            verifier.verify(signed(private, "one", exp=1))
        with pytest.raises(TokenInvalid):
            verifier.verify(token())
    assert key_server.asked == 1


def test_the_public_key_is_no_hmac_secret(key_server: KeyServer) -> None:
    private = key_server.add("one")
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    payload = unsigned({"alg": "HS256", "kid": "one"}, claims()).rpartition(".")[0]
    digest = hmac.new(pem, payload.encode(), hashlib.sha256).digest()
    forged = f"{payload}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    with httpx.Client() as http, pytest.raises(TokenInvalid):
        TokenVerifier(jwks_url=key_server.url, http=http).verify(forged)


def test_an_unknown_key_id_asks_at_most_every_half_minute(key_server: KeyServer) -> None:
    key_server.add("one")
    now = [0.0]
    with httpx.Client() as http:
        keys = SigningKeys(key_server.url, http, clock=lambda: now[0])
        assert keys.find("two") is None
        assert keys.find("two") is None
        assert key_server.asked == 1
        key_server.add("two")
        now[0] = 31.0
        assert keys.find("two") is not None
        assert key_server.asked == 2


def test_known_keys_outlive_their_server(key_server: KeyServer) -> None:
    key_server.add("one")
    now = [0.0]
    with httpx.Client() as http:
        keys = SigningKeys(key_server.url, http, clock=lambda: now[0])
        assert keys.find("one") is not None
        key_server.status = 500
        now[0] = 601.0
        assert keys.find("one") is not None


def test_without_any_key_the_answer_is_not_a_refusal(key_server: KeyServer) -> None:
    key_server.status = 500
    with httpx.Client() as http, pytest.raises(AuthUnavailable):
        SigningKeys(key_server.url, http).find("one")


# --- Requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "authentication_required"),
        ("Bearer the-anon-key", "authentication_required"),
        ("Basic dXNlcjpwYXNz", "token_invalid"),
        ("Bearer", "token_invalid"),
        ("Bearer garbage", "token_invalid"),
        (f"Bearer {token(exp=1)}", "token_expired"),
    ],
)
def test_a_door_for_the_signed_in_says_why_it_stays_closed(
    offline: FlaskClient, header: str | None, code: str
) -> None:
    response = offline.get("/api/v1/orders", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["code"] == code
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_token_is_refused_where_none_is_needed(offline: FlaskClient) -> None:
    response = offline.get("/api/v1/products", headers={"Authorization": "Bearer garbage"})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("203.0.113.7", "ip:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "ip:203.0.113.7"),
        ("not an address", "ip:unknown"),
        (None, "ip:unknown"),
    ],
)
def test_limits_count_by_address_and_ipv6_by_network(address: str | None, subject: str) -> None:
    assert ip_subject(address) == subject


def test_limits_know_an_email_only_by_its_hash() -> None:
    assert email_subject(" Aicha@Exemple.cm ") == email_subject("aicha@exemple.cm")
    assert "aicha" not in email_subject("aicha@exemple.cm")


@pytest.mark.parametrize(
    ("hops", "forwarded", "seen"),
    [
        (0, "198.51.100.1", "127.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
    ],
)
def test_only_our_own_proxies_say_where_a_request_comes_from(
    hops: int, forwarded: str, seen: str
) -> None:
    app = create_app(offline_settings(trusted_proxy_hops=hops))
    addresses: list[str | None] = []

    @app.get("/where")
    def where() -> str:
        addresses.append(request.remote_addr)
        return ""

    app.test_client().get("/where", headers={"X-Forwarded-For": forwarded})
    assert addresses == [seen]


def test_a_limit_refuses_with_the_wait() -> None:
    class Limiter:
        def call(self, name: str, /, **args: Any) -> Any:
            assert (name, args["action"]) == ("take_rate_limit", "login")
            return {"allowed": args["subject"] == "ip:a", "retry_after": 42}

    with pytest.raises(RateLimitError) as refused:
        require_rate_limit(Limiter(), "login", "ip:a", "email:b")
    assert refused.value.retry_after == 42


def test_without_the_database_a_limited_door_stays_closed(offline: FlaskClient) -> None:
    response = offline.post(
        "/api/v1/auth/login", json={"email": "a@mallgram.test", "password": "x"}
    )
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["code"] == "database_unavailable"
    assert response.headers["Retry-After"] == "2"


# --- Headers ----------------------------------------------------------------------------------


def test_the_security_headers_are_these() -> None:
    assert SECURITY_HEADERS == {
        "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-XSS-Protection": "0",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", "/api/v1/orders", "/openapi.json"])
def test_every_answer_carries_the_security_headers(offline: FlaskClient, path: str) -> None:
    response = offline.get(path)
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_a_listed_origin_may_read_the_answer(offline: FlaskClient) -> None:
    response = offline.get("/health/live", headers={"Origin": "http://localhost:5173"})
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "http://localhost:5174", "https://www.mallgram.test.evil.test", "null"],
)
def test_any_other_origin_may_not(offline: FlaskClient, origin: str) -> None:
    response = offline.get("/health/live", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in response.headers
    preflight = offline.options(
        "/api/v1/orders", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 204
    assert not [name for name, _ in preflight.headers if name.startswith("Access-Control")]


def test_a_browser_may_ask_first(offline: FlaskClient) -> None:
    response = offline.options(
        "/api/v1/orders",
        headers={
            "Origin": "https://www.mallgram.test",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://www.mallgram.test"
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed.split(", "))
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, OPTIONS"


def test_errors_may_be_read_by_a_listed_origin_too(offline: FlaskClient) -> None:
    response = offline.get("/nowhere", headers={"Origin": "https://www.mallgram.test"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://www.mallgram.test"


@pytest.mark.usefixtures("no_rate_limits")
def test_limits_of_the_database_hold(app: Flask) -> None:
    database = app.extensions["mallgram"].database
    subject = f"ip:test-{uuid.uuid4()}"
    for _ in range(10):
        require_rate_limit(database, "login", subject)
    with pytest.raises(RateLimitError) as refused:
        require_rate_limit(database, "login", subject)
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 30
