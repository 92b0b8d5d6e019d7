"""Supabase Auth through the `supabase` client: one client a request, our errors out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from pydantic import ValidationError as UnreadableAnswer
from supabase.lib.client_options import SyncClientOptions
from supabase_auth.errors import AuthError, AuthRetryableError

from edge_workers.errors import (
    AppError,
    AuthenticationError,
    AuthorizationError,
    AuthUnavailable,
    EmailNotConfirmed,
    FieldError,
    InvalidCredentials,
    RateLimitError,
    ValidationError,
    ValueMalformed,
    VerificationCodeInvalid,
    WeakPassword,
)
from supabase import Client, create_client

ANSWER_TIMEOUT_SECONDS: Final = 10.0
"""Room for bcrypt and for a mail server that takes its time."""
_MAIL_WAIT_SECONDS: Final = 60
_POSTGRES_TIME: Final = re.compile(
    rb'"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)(?::?(\d\d))?"'
)


def new_auth_http_client() -> httpx.Client:
    """The HTTP client for Supabase Auth, shared by all requests."""
    return httpx.Client(
        transport=_IsoTimes(httpx.HTTPTransport(trust_env=False)),
        timeout=httpx.Timeout(ANSWER_TIMEOUT_SECONDS, connect=2.0, pool=2.0),
        trust_env=False,
    )


class _IsoTimes(httpx.BaseTransport):
    """Puts times as Postgres writes them (2026-11-22 19:53:06+00) into ISO 8601.

    Hosted Auth answers ISO; the local auth server hands out Postgres' own text, which the
    `supabase` client cannot read.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        body = response.read()
        response.close()
        headers = response.headers.copy()
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            headers.pop(name, None)
        return httpx.Response(
            response.status_code,
            headers=headers,
            content=_POSTGRES_TIME.sub(_as_iso, body),
            extensions={"http_version": response.extensions.get("http_version", b"HTTP/1.1")},
        )

    def close(self) -> None:
        self._inner.close()


def _as_iso(match: re.Match[bytes]) -> bytes:
    day, time, hours, minutes = match.groups()
    return b'"%sT%s%s:%s"' % (day, time, hours, minutes or b"00")


def auth_client(
    supabase_url: str, anon_key: str, http: httpx.Client, *, request_id: str, language: str
) -> Client:
    """A client for one request: the library keeps the session of whoever signs in with it."""
    return create_client(
        supabase_url,
        anon_key,
        SyncClientOptions(
            auto_refresh_token=False,
            persist_session=False,
            flow_type="implicit",
            httpx_client=http,
            headers={"X-Request-ID": request_id, "Accept-Language": language},
        ),
    )


def is_too_soon(error: AuthError) -> bool:
    """Whether Auth mailed this address a moment ago: true for an account that exists alone."""
    return error.code == "over_email_send_rate_limit" and "only request this after" in str(error)


@contextmanager
def auth_errors(
    refusal: type[AppError], *, ignored: tuple[str, ...] = (), hides_accounts: bool = False
) -> Iterator[None]:
    """Turns what Auth refuses into our errors; `refusal` is what a bare 4xx means here.

    Codes in `ignored` end the block without an error, and so does, where `hides_accounts`, a
    refusal that only an address with an account can meet.
    """
    try:
        yield
    except AuthError as error:
        if error.code not in ignored and not (hides_accounts and is_too_soon(error)):
            raise app_error(error, refusal) from error
    except (httpx.HTTPError, UnreadableAnswer) as error:
        raise AuthUnavailable(detail=type(error).__name__, retry_after=2) from error


def app_error(error: AuthError, refusal: type[AppError]) -> AppError:
    """Our error for one of Auth's."""
    code = error.code or ""
    status = getattr(error, "status", None) or 500
    match code:
        case "invalid_credentials":
            return InvalidCredentials()
        case "email_not_confirmed":
            return EmailNotConfirmed()
        case "weak_password" | "same_password":
            return WeakPassword(errors=[FieldError("password", WeakPassword.code)])
        case "otp_expired" | "otp_disabled":
            return VerificationCodeInvalid(
                errors=[FieldError("code", VerificationCodeInvalid.code)]
            )
        case "over_request_rate_limit" | "over_email_send_rate_limit":
            return RateLimitError(retry_after=_MAIL_WAIT_SECONDS)
        case "email_address_invalid" | "email_address_not_authorized":
            return ValidationError(errors=[FieldError("email", ValueMalformed.code)])
        case "signup_disabled" | "email_provider_disabled" | "user_banned":
            return AuthorizationError(detail=code)
    if isinstance(error, AuthRetryableError) or status >= 500:
        return AuthUnavailable(detail=code or error.name, retry_after=2)
    if status == 429:
        return RateLimitError(retry_after=_MAIL_WAIT_SECONDS)
    if status == 401 and not issubclass(refusal, AuthenticationError):
        return AuthenticationError(detail=code)
    return refusal(detail=code or error.name)
