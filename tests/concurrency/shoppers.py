"""People in numbers: rows in auth.users and access tokens as Supabase Auth would sign them."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import psycopg

Admin = psycopg.Connection[dict[str, Any]]

TOKEN_SECONDS = 6 * 3600


@dataclass(frozen=True)
class Shopper:
    """Somebody who is signed in."""

    id: str
    token: str
    email: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return {"Authorization": f"Bearer {self.token}"}


def access_token(user_id: str, secret: str, seconds: int = TOKEN_SECONDS) -> str:
    """A token with the claims that the local auth server writes, good for `seconds`."""
    now = int(time.time())
    claims = {
        "sub": user_id,
        "role": "authenticated",
        "aud": "authenticated",
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def sign_up(
    admin: Admin, secret: str, count: int, *, with_mail: bool = False, country: str = "CM"
) -> list[Shopper]:
    """People of this run's own. Without mail they have no address and nobody writes to them."""
    shoppers = []
    for _ in range(count):
        user_id = str(uuid.uuid4())
        email = f"crowd-{user_id}@mallgram.test" if with_mail else None
        shoppers.append(Shopper(user_id, access_token(user_id, secret), email))
    profile = {"full_name": "Chantal Mbarga", "country": country, "language": "fr"}
    with admin.cursor() as cursor:
        cursor.executemany(
            "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
            [(shopper.id, shopper.email, json.dumps(profile)) for shopper in shoppers],
        )
    return shoppers


def withdraw_work(admin: Admin, shoppers: Sequence[Shopper]) -> None:
    """Takes these people's mails and polls from the outbox, so that the next test's do not wait."""
    ids = [shopper.id for shopper in shoppers]
    admin.execute(
        "update private.outbox as o set done_at = now() from private.emails as e "
        "where o.job = 'send_email' and o.done_at is null and o.failed_at is null "
        "and (o.args ->> 'email_id')::uuid = e.id and e.user_id = any(%s::uuid[])",
        [ids],
    )
    admin.execute(
        "update private.outbox as o set done_at = now() from public.payments as p "
        "where o.job = 'reconcile_payments' and o.done_at is null and o.failed_at is null "
        "and (o.args ->> 'payment_id')::uuid = p.id and p.paid_at is not null "
        "and p.user_id = any(%s::uuid[])",
        [ids],
    )
