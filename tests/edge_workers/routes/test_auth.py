"""Accounts through the edge: real Auth, real mail, and nothing that tells who has an account."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from supabase_auth.errors import AuthApiError, AuthRetryableError

from edge_workers.auth_client import app_error, auth_errors
from edge_workers.errors import (
    AppError,
    AuthenticationError,
    AuthorizationError,
    AuthUnavailable,
    EmailNotConfirmed,
    InvalidCredentials,
    RateLimitError,
    TokenInvalid,
    ValidationError,
    VerificationCodeInvalid,
    WeakPassword,
)
from edge_workers.routes.auth import Profile, SessionTokens
from tests.conftest import Mailbox, Person

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]
PASSWORD = "correct-horse-7"


def register(client: FlaskClient, email: str, **changes: Any) -> Any:
    return client.post(
        "/api/v1/auth/register",
        json={
            "email": email,
            "password": PASSWORD,
            "full_name": "Aïcha Ngono",
            "phone": "+237677123456",
            "country": "CM",
            **changes,
        },
    )


def new_email() -> str:
    return f"edge-{uuid.uuid4().hex[:12]}@mallgram.test"


def test_a_person_registers_confirms_and_is_known(client: FlaskClient, mailbox: Mailbox) -> None:
    email = new_email()
    registered = client.post(
        "/api/v1/auth/register",
        headers={"Accept-Language": "fr"},
        json={
            "email": email.upper(),
            "password": PASSWORD,
            "full_name": "  Aïcha Ngono ",
            "phone": "+237 677 12 34 56",
            "country": "CM",
        },
    )
    assert (registered.status_code, registered.json) == (202, {"status": "mail_sent"})

    early = client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert early.status_code == 403
    assert early.json is not None
    assert early.json["code"] == "email_not_confirmed"

    verified = client.post(
        "/api/v1/auth/verify", json={"email": email, "code": mailbox.code(email)}
    )
    assert verified.status_code == 200
    assert verified.json is not None
    session = SessionTokens.model_validate(verified.json)
    assert session.user.email == email
    assert session.expires_in == 604800

    me = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {session.access_token}"})
    assert me.status_code == 200
    assert me.json is not None
    profile = Profile.model_validate(me.json)
    assert (str(profile.id), profile.email) == (str(session.user.id), email)
    assert (profile.full_name, profile.phone) == ("Aïcha Ngono", "+237677123456")
    assert (profile.country, profile.language) == ("CM", "fr")
    assert (profile.is_admin, profile.is_affiliate) == (False, False)
    assert set(me.json) == set(Profile.model_fields)


def test_register_answers_the_same_for_an_address_that_is_taken(
    client: FlaskClient, shopper: Person, admin: Admin
) -> None:
    taken, fresh = register(client, shopper.email), register(client, new_email())
    assert (
        (taken.status_code, taken.data)
        == (fresh.status_code, fresh.data)
        == (
            202,
            b'{"status":"mail_sent"}\n'.strip(),
        )
    )
    row = admin.execute("select full_name from public.users where id = %s", [shopper.id]).fetchone()
    assert row == {"full_name": "Thandi Mbeki"}


def test_a_weak_password_is_refused_by_name(client: FlaskClient) -> None:
    response = register(client, new_email(), password="short")
    assert response.status_code == 400
    assert response.json["code"] == "weak_password"
    assert [e["field"] for e in response.json["errors"]] == ["password"]


def test_nobody_registers_as_admin(client: FlaskClient) -> None:
    response = register(client, new_email(), is_admin=True)
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == "is_admin"


def test_login_answers_a_session_that_works(client: FlaskClient, shopper: Person) -> None:
    response = client.post(
        "/api/v1/auth/login", json={"email": shopper.email, "password": shopper.password}
    )
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json is not None
    session = SessionTokens.model_validate(response.json)
    assert str(session.user.id) == shopper.id
    orders = client.get(
        "/api/v1/orders", headers={"Authorization": f"Bearer {session.access_token}"}
    )
    assert orders.status_code == 200


def test_a_wrong_password_and_an_unknown_address_answer_alike(
    client: FlaskClient, shopper: Person
) -> None:
    answers = [
        client.post("/api/v1/auth/login", json={"email": email, "password": "wrong-horse-7"})
        for email in (shopper.email, new_email())
    ]
    for response in answers:
        assert response.status_code == 401
        assert response.json is not None
        assert response.json["code"] == "invalid_credentials"
    bodies = [{**(r.json or {}), "request_id": ""} for r in answers]
    assert bodies[0] == bodies[1]


def test_passwords_are_not_guessed_for_long(client: FlaskClient, shopper: Person) -> None:
    statuses = [
        client.post(
            "/api/v1/auth/login",
            json={"email": shopper.email, "password": f"guess-{n}"},
            environ_base={"REMOTE_ADDR": f"198.51.100.{n}"},
        )
        for n in range(11)
    ]
    assert [r.status_code for r in statuses] == [401] * 10 + [429]
    last = statuses[-1]
    assert last.json is not None
    assert last.json["code"] == "rate_limit_exceeded"
    assert 1 <= int(last.headers["Retry-After"]) <= 300


def test_a_refresh_token_gives_a_new_session_once(
    client: FlaskClient, new_person: Callable[..., Person]
) -> None:
    person = new_person()
    response = client.post("/api/v1/auth/refresh", json={"refresh_token": person.refresh_token})
    assert response.status_code == 200
    assert response.json is not None
    assert str(SessionTokens.model_validate(response.json).user.id) == person.id
    unknown = client.post("/api/v1/auth/refresh", json={"refresh_token": "no-such-token-1"})
    assert unknown.status_code == 401
    assert unknown.json is not None
    assert unknown.json["code"] == "token_invalid"


def test_after_logout_the_session_is_over(
    client: FlaskClient, new_person: Callable[..., Person]
) -> None:
    person = new_person()
    assert client.get("/api/v1/auth/me", headers=person.headers).status_code == 200
    assert client.post("/api/v1/auth/logout", headers=person.headers).status_code == 204
    assert client.post("/api/v1/auth/logout", headers=person.headers).status_code == 204
    me = client.get("/api/v1/auth/me", headers=person.headers)
    assert me.status_code == 401
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refreshed.status_code == 401


def test_a_forgotten_password_is_replaced_by_mail(
    client: FlaskClient, new_person: Callable[..., Person], mailbox: Mailbox
) -> None:
    person = new_person()
    asked = client.post("/api/v1/auth/password/reset", json={"email": person.email})
    unknown = client.post("/api/v1/auth/password/reset", json={"email": new_email()})
    assert (asked.status_code, asked.data) == (unknown.status_code, unknown.data)
    assert asked.status_code == 202

    def confirm(code: str, password: str) -> Any:
        return client.post(
            "/api/v1/auth/password/reset/confirm",
            json={"email": person.email, "code": code, "password": password},
        )

    wrong = confirm("000000", "another-horse-8")
    assert (wrong.status_code, wrong.json["code"]) == (400, "verification_code_invalid")
    done = confirm(mailbox.code(person.email, 2), "another-horse-8")
    assert done.status_code == 200, done.text
    for password, status in (("another-horse-8", 200), (person.password, 401)):
        login = client.post(
            "/api/v1/auth/login", json={"email": person.email, "password": password}
        )
        assert login.status_code == status


def test_a_wrong_code_confirms_nothing(client: FlaskClient) -> None:
    email = new_email()
    register(client, email)
    response = client.post("/api/v1/auth/verify", json={"email": email, "code": "000000"})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "verification_code_invalid"


def test_codes_are_not_guessed_for_long(client: FlaskClient) -> None:
    email = new_email()
    statuses = [
        client.post("/api/v1/auth/verify", json={"email": email, "code": f"{n:06}"}).status_code
        for n in range(11)
    ]
    assert statuses == [400] * 10 + [429]


def test_me_needs_a_token(client: FlaskClient) -> None:
    assert client.get("/api/v1/auth/me").status_code == 401


def test_without_auth_the_answer_is_503(app_with: Callable[..., Flask]) -> None:
    client = app_with(supabase_url="http://127.0.0.1:9").test_client()
    response = client.post("/api/v1/auth/login", json={"email": new_email(), "password": PASSWORD})
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["code"] == "auth_unavailable"


# --- What Auth may answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "refusal", "expected"),
    [
        (AuthApiError("x", 400, "invalid_credentials"), TokenInvalid, InvalidCredentials),
        (AuthApiError("x", 400, "email_not_confirmed"), InvalidCredentials, EmailNotConfirmed),
        (AuthApiError("x", 422, "weak_password"), ValidationError, WeakPassword),
        (AuthApiError("x", 422, "same_password"), ValidationError, WeakPassword),
        (AuthApiError("x", 403, "otp_expired"), ValidationError, VerificationCodeInvalid),
        (AuthApiError("x", 429, "over_request_rate_limit"), InvalidCredentials, RateLimitError),
        (AuthApiError("x", 429, None), InvalidCredentials, RateLimitError),
        (AuthApiError("x", 422, "email_address_invalid"), ValidationError, ValidationError),
        (AuthApiError("x", 422, "signup_disabled"), ValidationError, AuthorizationError),
        (AuthApiError("x", 400, "user_banned"), InvalidCredentials, AuthorizationError),
        (AuthApiError("x", 400, None), InvalidCredentials, InvalidCredentials),
        (AuthApiError("x", 403, "session_not_found"), TokenInvalid, TokenInvalid),
        (AuthApiError("x", 401, "no_authorization"), ValidationError, AuthenticationError),
        (AuthApiError("x", 500, "unexpected_failure"), InvalidCredentials, AuthUnavailable),
        (AuthRetryableError("x", 0), InvalidCredentials, AuthUnavailable),
        (AuthRetryableError("x", 502), InvalidCredentials, AuthUnavailable),
    ],
)
def test_what_auth_refuses_has_our_code(
    error: AuthApiError, refusal: type[AppError], expected: type[AppError]
) -> None:
    assert type(app_error(error, refusal)) is expected


def test_what_would_tell_of_an_account_ends_quietly() -> None:
    too_soon = "For security purposes, you can only request this after 59 seconds."
    for error in (
        AuthApiError("x", 422, "user_already_exists"),
        AuthApiError(too_soon, 429, "over_email_send_rate_limit"),
    ):
        with auth_errors(ValidationError, ignored=("user_already_exists",), hides_accounts=True):
            raise error


def test_a_limit_for_everybody_is_told() -> None:
    error = AuthApiError("email rate limit exceeded", 429, "over_email_send_rate_limit")
    with pytest.raises(RateLimitError), auth_errors(ValidationError, hides_accounts=True):
        raise error


def test_an_answer_that_cannot_be_read_is_a_503() -> None:
    with pytest.raises(AuthUnavailable), auth_errors(ValidationError):
        raise httpx.ReadTimeout("x")
