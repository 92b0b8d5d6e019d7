"""People and goods, and what people do through the RPCs, as themselves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from edge_workers.db import app_error
from tests.concurrency.shoppers import Admin
from tests.conftest import an_address


@dataclass(frozen=True)
class People:
    """Whoever is needed."""

    admin: Admin

    def as_user(self, user_id: str, statement: str, *values: object) -> dict[str, Any]:
        """The one row of an RPC, called as a signed-in person. Raises AppError."""
        try:
            with self.admin.transaction():
                self.admin.execute(
                    "select set_config('request.jwt.claims', %s, true), "
                    "set_config('role', 'authenticated', true)",
                    [json.dumps({"sub": user_id, "role": "authenticated"})],
                )
                row = self.admin.execute(statement, values).fetchone()
        except psycopg.Error as error:
            raise app_error(error) from error
        assert row is not None
        return row

    def register(self, full_name: str, country: str) -> str:
        """Somebody with a confirmed address; their id."""
        user_id = str(uuid.uuid4())
        profile = {"full_name": full_name, "country": country, "language": "fr"}
        self.admin.execute(
            "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
            [user_id, f"{user_id}@shopper.example", json.dumps(profile)],
        )
        return user_id

    def appoint(self, user_id: str) -> None:
        """Makes somebody an admin."""
        self.admin.execute("insert into public.admins (user_id) values (%s)", [user_id])

    def put_on_sale(self, francs: int, rand: str, on_hand: int) -> str:
        """A product; its id."""
        row = self.admin.execute(
            "with category as ("
            "  insert into public.categories (slug, name, name_fr) values (%s, 'Test', 'Essai')"
            "  returning id"
            "), product as ("
            "  insert into public.products (category_id, name, name_fr, price_mallgram)"
            "  select id, 'Solar lamp', 'Lampe solaire', 20 from category returning id"
            "), stock as ("
            "  insert into public.product_stock (product_id, on_hand)"
            "  select id, %s from product returning product_id as id"
            ") insert into public.product_prices (product_id, country, currency, amount)"
            "  select s.id, x.country, x.currency, x.amount from stock as s, "
            "  (values ('CM', 'XAF', %s::numeric), ('ZA', 'ZAR', %s::numeric))"
            "  as x (country, currency, amount)"
            "  returning product_id as id",
            [f"test-{uuid.uuid4().hex}", on_hand, francs, Decimal(rand)],
        ).fetchone()
        assert row is not None
        return str(row["id"])

    def offer_code(self, owner_id: str, limit: int, uses_a_payout: int) -> tuple[str, str]:
        """A promo code of an affiliate: its text and its id."""
        row = self.admin.execute(
            "with affiliate as ("
            "  insert into public.affiliates (user_id, status, threshold_uses)"
            "  values (%s, 'approved', %s) returning id"
            ") insert into public.promo_codes (code, affiliate_id, discount_percent, usage_limit)"
            "  select %s, id, 7.5, %s from affiliate returning code, id",
            [owner_id, uses_a_payout, f"PROP{uuid.uuid4().hex[:8]}".upper(), limit],
        ).fetchone()
        assert row is not None
        return str(row["code"]), str(row["id"])

    def place_order(
        self, user_id: str, country: str, pieces: Mapping[str, int], code: str | None
    ) -> dict[str, Any]:
        """The order as place_order answers it. Raises AppError."""
        return self.as_user(
            user_id,
            "select o.id, o.status from public.place_order(%s, %s, %s, %s, %s) as o",
            uuid.uuid4().hex,
            country,
            json.dumps(an_address(country)),
            code,
            json.dumps(
                [
                    {"product_id": product, "channel": "retail", "quantity": quantity}
                    for product, quantity in pieces.items()
                ]
            ),
        )
