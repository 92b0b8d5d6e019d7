"""Givens of the jobs' tests: a shopper's order on the real database, a sandbox of their own.

The stack's own workers know nothing of that sandbox and leave these payments alone: their first
check is due fifteen seconds after the payment began.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import StartPayment
from tests.sandbox.running import (
    KORA_SECRET_KEY,
    SMTP_PASSWORD,
    SMTP_USER,
    RunningSandbox,
    running_sandbox,
)
from worker.task import Task

Admin = psycopg.Connection[dict[str, Any]]
GATEWAY = "kora"


@dataclass(frozen=True)
class Shopper:
    """Somebody in Cameroon with a confirmed address."""

    id: str
    email: str


@dataclass(frozen=True)
class Payment:
    """An attempt that the gateway accepted."""

    id: str
    order_id: str
    reference: str
    amount: Decimal


@dataclass(frozen=True)
class Shop:
    """The database as its people see it, and the gateway."""

    admin: Admin
    session: Session
    settings: Settings
    sandbox: RunningSandbox

    def read(self, statement: str, *values: object) -> dict[str, Any]:
        """The one row of a query."""
        rows = self.admin.execute(statement, values).fetchall()
        assert len(rows) == 1
        return rows[0]

    def register(self, full_name: str = "Chantal Mbarga", language: str = "fr") -> Shopper:
        """A shopper of this test's own."""
        shopper = Shopper(str(uuid.uuid4()), f"{uuid.uuid4().hex}@shopper.example")
        profile = {"full_name": full_name, "country": "CM", "language": language}
        self.admin.execute(
            "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
            [shopper.id, shopper.email, json.dumps(profile)],
        )
        return shopper

    def stock(self, amount: int = 12500, on_hand: int = 10) -> str:
        """A product at `amount` XAF; its id."""
        slug = f"test-{uuid.uuid4().hex}"
        row = self.read(
            "with category as ("
            "  insert into public.categories (slug, name, name_fr) values (%s, 'Test', 'Essai')"
            "  returning id"
            "), product as ("
            "  insert into public.products (category_id, name, name_fr, price_mallgram)"
            "  select id, 'Solar lamp', 'Lampe solaire', 20 from category returning id"
            "), stock as ("
            "  insert into public.product_stock (product_id, on_hand)"
            "  select id, %s from product returning product_id"
            ") insert into public.product_prices (product_id, country, currency, amount)"
            "  select product_id, 'CM', 'XAF', %s from stock returning product_id as id",
            slug,
            on_hand,
            amount,
        )
        return str(row["id"])

    def place_order(self, shopper: Shopper, product_id: str, quantity: int = 2) -> dict[str, Any]:
        """The shopper's order, placed through the RPC as the shopper."""
        with self.admin.transaction():
            self.admin.execute(
                "select set_config('request.jwt.claims', %s, true)",
                [json.dumps({"sub": shopper.id, "role": "authenticated"})],
            )
            self.admin.execute("set local role authenticated")
            return self.read(
                "select * from public.place_order(%s, 'CM', %s, items => %s)",
                uuid.uuid4().hex,
                json.dumps(
                    {
                        "recipient_name": "Chantal Mbarga",
                        "phone": "+237677123456",
                        "country": "CM",
                        "city": "Yaoundé",
                        "district": "Bastos",
                        "landmark": "Derrière la pharmacie",
                    }
                ),
                json.dumps([{"product_id": product_id, "channel": "retail", "quantity": quantity}]),
            )

    def begin_payment(self, shopper: Shopper, order_id: str) -> Payment:
        """An attempt begun in the database, of which the gateway knows nothing yet."""
        begun = self.session.call(
            "begin_payment",
            actor_id=shopper.id,
            order_id=order_id,
            method="kora_checkout",
            phone=None,
            gateways=[GATEWAY],
            excluded=[],
        )
        return Payment(begun["payment_id"], order_id, begun["reference"], begun["amount"])

    def start_payment(self, shopper: Shopper, order_id: str) -> Payment:
        """An attempt that the gateway accepted, as the edge starts it."""
        payment = self.begin_payment(shopper, order_id)
        started = registry.payment_provider(GATEWAY, self.settings).start(
            StartPayment(
                reference=payment.reference,
                method="kora_checkout",
                amount=payment.amount,
                currency="XAF",
                country="CM",
                language="fr",
                customer_email=shopper.email,
            )
        )
        self.session.call(
            "record_payment_started",
            payment_id=payment.id,
            gateway_transaction_id=started.gateway_transaction_id,
            action=started.action.as_json(),
            expires_at=started.expires_at,
        )
        return payment

    def order(self, order_id: str) -> dict[str, Any]:
        return self.read("select * from public.orders where id = %s", order_id)

    def payment(self, payment: Payment) -> dict[str, Any]:
        return self.read("select * from public.payments where id = %s", payment.id)

    def next_check(self, payment: Payment) -> int | None:
        """Seconds until the next planned question, to the nearest five; None when none is."""
        row = self.read(
            "select round(extract(epoch from next_check_at - now()) / 5) * 5 as seconds "
            "from public.payments where id = %s",
            payment.id,
        )
        return None if row["seconds"] is None else int(row["seconds"])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """The outside world, for one module."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def sandbox_settings(stack_settings: Settings, sandbox: RunningSandbox) -> Settings:
    """The stack's settings with this module's sandbox as the outside world."""
    return stack_settings.model_copy(
        update={
            "kora_pay_secret_key": SecretStr(KORA_SECRET_KEY),
            "kora_pay_base_url": f"{sandbox.url}/kora",
            "payment_timeout_seconds": 2.0,
            "smtp_host": "127.0.0.1",
            "smtp_port": sandbox.smtp_port,
            "smtp_user": SMTP_USER,
            "smtp_password": SecretStr(SMTP_PASSWORD),
            "smtp_ca_file": str(sandbox.ca_file),
            "from_email": "Mallgram <shop@mallgram.example>",
        }
    )


@pytest.fixture
def shop(
    admin: Admin, session: Session, sandbox_settings: Settings, sandbox: RunningSandbox
) -> Iterator[Shop]:
    """The shop, with no faults left behind."""
    yield Shop(admin, session, sandbox_settings, sandbox)
    sandbox.clear_faults()


@pytest.fixture
def make_task(shop: Shop) -> Callable[..., Task]:
    """A task as `run` makes it, with a clock that the test may set."""

    def make(now: datetime | None = None) -> Task:
        return Task(
            database=shop.session,
            settings=shop.settings,
            request_id="test",
            now=(lambda: now) if now else (lambda: datetime.now(UTC)),
        )

    return make
