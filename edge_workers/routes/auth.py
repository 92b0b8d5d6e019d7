"""Accounts, through the `supabase` client: Supabase Auth hashes, mails and signs, we pass on.

Nothing here tells whether an address has an account: register and reset answer the same either way.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response, g
from pydantic import BaseModel, Field, StringConstraints
from supabase_auth import SyncGoTrueClient
from supabase_auth.types import AuthResponse, Session

from edge_workers import exact_json
from edge_workers.answers import answer
from edge_workers.auth_client import auth_client, auth_errors
from edge_workers.errors import (
    AppError,
    InvalidCredentials,
    TokenInvalid,
    ValidationError,
    VerificationCodeInvalid,
)
from edge_workers.inputs import Body, Country, Email, Language, Line, Phone, read_body
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.problems import reader_language
from edge_workers.security import (
    client_subject,
    email_subject,
    require_identity,
    require_rate_limit,
)

blueprint = Blueprint("auth", __name__, url_prefix="/api/v1/auth")

# bcrypt reads 72 bytes and no more; how weak is too weak is for Supabase Auth to say.
Password = Annotated[str, StringConstraints(min_length=1, max_length=72, pattern=r"^[^\x00]+$")]
Code = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9_-]{6,128}$")]


class Register(Body):
    """A new account."""

    email: Email
    password: Password
    full_name: Annotated[Line, Field(max_length=120)]
    phone: Phone | None = None
    country: Country | None = None
    language: Language | None = None


class Login(Body):
    """An e-mail address and its password."""

    email: Email
    password: Password


class Verify(Body):
    """The code from a mail: signup confirms an address, recovery proves it for a new password."""

    email: Email
    code: Code
    type: Literal["signup", "recovery"] = "signup"


class Refresh(Body):
    """The refresh token of the session."""

    refresh_token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{8,2048}$")]


class Logout(Body):
    """Which sessions end: this one, or all of this person."""

    scope: Literal["local", "global"] = "local"


class ResetPassword(Body):
    """Whose password was forgotten."""

    email: Email


class ConfirmReset(Body):
    """The code from the reset mail and the new password."""

    email: Email
    code: Code
    password: Password


class MailSent(BaseModel):
    """The answer to register and reset, the same whether the address was known or not."""

    status: Literal["mail_sent"]


class SessionUser(BaseModel):
    """Whose session it is."""

    id: UUID
    email: str | None


class SessionTokens(BaseModel):
    """A session. The access token goes into `Authorization: Bearer`."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    expires_at: int | None
    user: SessionUser


class Profile(BaseModel):
    """The signed-in person."""

    id: UUID
    email: str | None
    full_name: str | None
    phone: str | None
    country: str | None
    language: Literal["en", "fr"]
    is_admin: bool
    is_affiliate: bool
    created_at: str


@blueprint.post("/register")
@operation(
    tag="auth",
    body=Register,
    answers={202: MailSent},
    errors=(
        "input_invalid",
        "weak_password",
        "rate_limit_exceeded",
        "auth_unavailable",
    ),
)
def register() -> Response:
    """Sign up; a code is mailed to confirm the address."""
    body = read_body(Register)
    require_rate_limit(parts().database, "register", client_subject())
    profile = body.model_dump(exclude={"email", "password"}, exclude_none=True)
    profile.setdefault("language", reader_language() or "en")
    with auth_errors(
        ValidationError, ignored=("user_already_exists", "email_exists"), hides_accounts=True
    ):
        _auth().sign_up(
            {
                "email": body.email,
                "password": body.password,
                "options": {"data": profile},
            }
        )
    return answer({"status": "mail_sent"}, 202)


@blueprint.post("/verify")
@operation(
    tag="auth",
    body=Verify,
    answers={200: SessionTokens},
    errors=("input_invalid", "verification_code_invalid", "rate_limit_exceeded"),
)
def verify() -> Response:
    """Prove an address with the mailed code; answers a session."""
    body = read_body(Verify)
    _limit_guessing("verify", body.email)
    with auth_errors(VerificationCodeInvalid):
        verified = _auth().verify_otp({"email": body.email, "token": body.code, "type": body.type})
    return _session_answer(verified, VerificationCodeInvalid)


@blueprint.post("/login")
@operation(
    tag="auth",
    body=Login,
    answers={200: SessionTokens},
    errors=(
        "input_invalid",
        "invalid_credentials",
        "email_not_confirmed",
        "rate_limit_exceeded",
        "auth_unavailable",
    ),
)
def login() -> Response:
    """Sign in."""
    body = read_body(Login)
    _limit_guessing("login", body.email)
    with auth_errors(InvalidCredentials):
        signed_in = _auth().sign_in_with_password({"email": body.email, "password": body.password})
    return _session_answer(signed_in, InvalidCredentials)


@blueprint.post("/refresh")
@operation(
    tag="auth",
    body=Refresh,
    answers={200: SessionTokens},
    errors=("input_invalid", "token_invalid"),
)
def refresh() -> Response:
    """Exchange a refresh token for a new session."""
    body = read_body(Refresh)
    with auth_errors(TokenInvalid):
        refreshed = _auth().refresh_session(body.refresh_token)
    return _session_answer(refreshed, TokenInvalid)


@blueprint.post("/logout")
@operation(
    tag="auth",
    access="signed_in",
    body=Logout,
    answers={204: None},
    errors=("authentication_required",),
)
def logout() -> Response:
    """End the session."""
    caller = require_identity()
    body = read_body(Logout)
    # A session that is gone already is what was asked for.
    with auth_errors(
        TokenInvalid,
        ignored=("session_not_found", "session_expired", "user_not_found", "bad_jwt"),
    ):
        _auth().admin.sign_out(caller.token, body.scope)
    return Response(status=204)


@blueprint.post("/password/reset")
@operation(
    tag="auth",
    body=ResetPassword,
    answers={202: MailSent},
    errors=("input_invalid", "rate_limit_exceeded", "auth_unavailable"),
)
def reset_password() -> Response:
    """Mail a code to whoever forgot the password."""
    body = read_body(ResetPassword)
    _limit_guessing("password_reset", body.email)
    with auth_errors(ValidationError, ignored=("user_not_found",), hides_accounts=True):
        _auth().reset_password_for_email(body.email)
    return answer({"status": "mail_sent"}, 202)


@blueprint.post("/password/reset/confirm")
@operation(
    tag="auth",
    body=ConfirmReset,
    answers={200: SessionTokens},
    errors=(
        "input_invalid",
        "verification_code_invalid",
        "weak_password",
        "rate_limit_exceeded",
    ),
)
def confirm_reset() -> Response:
    """Set a new password with the mailed code; answers a session."""
    body = read_body(ConfirmReset)
    _limit_guessing("verify", body.email)
    auth = _auth()
    with auth_errors(VerificationCodeInvalid):
        verified = auth.verify_otp({"email": body.email, "token": body.code, "type": "recovery"})
    with auth_errors(ValidationError):
        auth.update_user({"password": body.password})
    return _session_answer(verified, VerificationCodeInvalid)


@blueprint.get("/me")
@operation(
    tag="auth",
    access="signed_in",
    answers={200: Profile},
    errors=("authentication_required", "token_expired", "token_invalid"),
)
def me() -> Response:
    """Who is signed in."""
    caller = require_identity()
    app = parts()
    with auth_errors(TokenInvalid):
        # Auth knows whether the session was ended; the token alone does not.
        _auth().get_user(caller.token)
    rows = exact_json.loads(
        app.data_api.send(
            app.data_api.as_caller(caller.token, request_id=g.request_id)
            .from_("users")
            .select(",".join(Profile.model_fields))
            .eq("id", caller.user_id)
        )
    )
    if not rows:
        raise TokenInvalid(detail="no profile")
    return answer(rows[0])


def _auth() -> SyncGoTrueClient:
    app = parts()
    return auth_client(
        app.settings.supabase_url,
        app.settings.supabase_anon_key.get_secret_value(),
        app.auth_http,
        request_id=g.request_id,
        language=reader_language() or "en",
    ).auth


def _limit_guessing(action: str, email: str) -> None:
    """A password or code may be guessed at neither from one place nor for one address."""
    require_rate_limit(parts().database, f"{action}_address", client_subject())
    require_rate_limit(parts().database, action, email_subject(email))


def _session_answer(response: AuthResponse, missing: type[AppError]) -> Response:
    session = response.session
    if session is None:
        raise missing()
    return answer(_session_tokens(session))


def _session_tokens(session: Session) -> dict[str, Any]:
    return {
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
        "token_type": session.token_type,
        "expires_in": session.expires_in,
        "expires_at": session.expires_at,
        "user": {"id": session.user.id, "email": session.user.email},
    }
