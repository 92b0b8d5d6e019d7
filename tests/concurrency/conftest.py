"""Givens of the races: a crowd, open doors, and what must hold whatever happened."""

import functools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from psycopg import sql

from edge_workers.db import Session
from tests.concurrency.checkout import Checkout
from tests.concurrency.rush import Door
from tests.concurrency.shoppers import Admin, Shopper, sign_up, withdraw_work
from tests.contracts.peer import Peer, peer
from tests.properties.conftest import scratch

__all__ = ["scratch"]


@pytest.fixture
def crowd(stack_env: dict[str, str], admin: Admin) -> Iterator[Callable[..., list[Shopper]]]:
    """Makes people; what still waits to be done for them goes with them."""
    made: list[Shopper] = []

    def make(count: int, *, with_mail: bool = False, country: str = "CM") -> list[Shopper]:
        shoppers = sign_up(
            admin,
            stack_env["SUPABASE_JWT_SECRET"],
            count,
            with_mail=with_mail,
            country=country,
        )
        made.extend(shoppers)
        return shoppers

    yield make
    withdraw_work(admin, made)


@pytest.fixture(scope="session")
def gateway(stack_env: dict[str, str]) -> Callable[[], Door]:
    """Opens a connection to the Supabase gateway, as supabase-js has one."""
    key = {"apikey": stack_env["SUPABASE_ANON_KEY"]}
    return functools.partial(Door, stack_env["SUPABASE_URL"], key)


@pytest.fixture(scope="session")
def edge_door(stack_env: dict[str, str]) -> Callable[[], Door]:
    """Opens a connection to the edge."""
    return functools.partial(Door, stack_env["EDGE_URL"])


@pytest.fixture(scope="session")
def checkout(
    stack_env: dict[str, str],
    admin: Admin,
    supabase: httpx.Client,
    edge: httpx.Client,
    sandbox: httpx.Client,
) -> Checkout:
    """A shopper's way from order to payment."""
    return Checkout(admin, supabase, edge, sandbox, kora_secret=stack_env["KORA_PAY_SECRET_KEY"])


@pytest.fixture
def letters_to_the_shop() -> Iterator[Peer]:
    """Where notices arrive, and are kept, of payments that an edge began under this address."""
    with peer() as listening:
        yield listening


@pytest.fixture
def service(stack_env: dict[str, str]) -> Iterator[Callable[[], Session]]:
    """Opens connections of the login role mallgram_service."""
    opened: list[Session] = []

    def connect() -> Session:
        session = Session.open(stack_env["DATABASE_URL"], application_name="race")
        opened.append(session)
        return session

    yield connect
    for session in opened:
        session.close()


@dataclass(frozen=True)
class Stock:
    """Pieces of one product."""

    on_hand: int
    reserved: int
    ordered: int
    """Pieces in lines of orders that are pending or paid."""


@pytest.fixture(scope="session")
def stock_of(admin: Admin) -> Callable[[str], Stock]:
    """Counts a product's pieces on the shelf and in the orders."""

    def count(product_id: str) -> Stock:
        row = admin.execute(
            "select s.on_hand, s.reserved, coalesce(sum(i.quantity), 0) as ordered "
            "from public.product_stock as s "
            "left join (public.order_items as i inner join public.orders as o "
            "  on i.order_id = o.id and o.status <> 'cancelled') "
            "  on coalesce(i.product_id, i.retailer_product_id) = s.listing_id "
            "where s.listing_id = %s group by s.on_hand, s.reserved",
            [product_id],
        ).fetchone()
        assert row is not None
        return Stock(int(row["on_hand"]), int(row["reserved"]), int(row["ordered"]))

    return count


@pytest.fixture
def new_code(admin: Admin, crowd: Callable[..., list[Shopper]]) -> Callable[..., str]:
    """Makes a promo code of an approved affiliate; the code."""

    def make(
        usage_limit: int | None = 100, per_user_limit: int | None = None, percent: str = "10"
    ) -> str:
        owner = crowd(1)[0]
        code = f"RACE{uuid.uuid4().hex[:10]}".upper()
        admin.execute(
            "with affiliate as ("
            "  insert into public.affiliates (user_id, status) values (%s, 'approved') returning id"
            ") insert into public.promo_codes "
            "(code, affiliate_id, discount_percent, usage_limit, per_user_limit) "
            "select %s, id, %s, %s, %s from affiliate",
            [owner.id, code, Decimal(percent), usage_limit, per_user_limit],
        )
        return code

    return make


def broken_invariants(admin: Admin) -> list[dict[str, Any]]:
    """Every row of every view that must have none."""
    views = admin.execute(
        "select viewname from pg_views where schemaname = 'private' and viewname like %s",
        ["invariant\\_%"],
    ).fetchall()
    assert views, "the invariant views are missing"
    return [
        row
        for view in views
        for row in admin.execute(
            sql.SQL("select * from private.{}").format(sql.Identifier(view["viewname"]))
        ).fetchall()
    ]


def deadlocks(admin: Admin) -> int:
    """Deadlocks of this database since its statistics began."""
    row = admin.execute(
        "select deadlocks from pg_stat_database where datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row["deadlocks"])


@pytest.fixture(autouse=True)
def books_balance(admin: Admin) -> Iterator[None]:
    """After every race no invariant is broken and nobody was killed in a deadlock."""
    before = deadlocks(admin)
    yield
    assert broken_invariants(admin) == []
    assert deadlocks(admin) == before
