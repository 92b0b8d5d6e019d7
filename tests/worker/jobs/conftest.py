"""Givens of the jobs' tests: a shopper's order on the real database, a sandbox of their own.

The stack's own workers know nothing of that sandbox and leave these payments alone: their first
check is due fifteen seconds after the payment began. Refunds, which are due at once, need
`own_refunds`.
"""

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from edge_workers.config import Settings
from edge_workers.db import Session
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import StartedPayment, StartPayment
from tests.conftest import an_address
from tests.contracts.profiles import NOBODY, values_for
from tests.sandbox.running import RunningSandbox, running_sandbox
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
    currency: str
    gateway: str


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
        """A product at `amount` XAF, and at R199.90; its id."""
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
        self.admin.execute(
            "insert into public.product_prices (product_id, country, currency, amount) "
            "values (%s, 'ZA', 'ZAR', 199.90)",
            [row["id"]],
        )
        return str(row["id"])

    def place_order(
        self, shopper: Shopper, product_id: str, quantity: int = 2, country: str = "CM"
    ) -> dict[str, Any]:
        """The shopper's order, placed through the RPC as the shopper."""
        with self.admin.transaction():
            self.admin.execute(
                "select set_config('request.jwt.claims', %s, true)",
                [json.dumps({"sub": shopper.id, "role": "authenticated"})],
            )
            self.admin.execute("set local role authenticated")
            return self.read(
                "select * from public.place_order(%s, %s, %s, items => %s)",
                uuid.uuid4().hex,
                country,
                json.dumps(an_address(country)),
                json.dumps([{"product_id": product_id, "channel": "retail", "quantity": quantity}]),
            )

    def begin_payment(
        self,
        shopper: Shopper,
        order_id: str,
        method: str = "kora_checkout",
        gateway: str = GATEWAY,
        *,
        phone: str | None = None,
        save_method: bool = False,
    ) -> Payment:
        """An attempt begun in the database, of which the gateway knows nothing yet."""
        begun = self.session.call(
            "begin_payment",
            actor_id=shopper.id,
            order_id=order_id,
            method=method,
            phone=phone,
            gateways=[gateway],
            excluded=[],
            save_method=save_method,
        )
        return Payment(
            id=begun["payment_id"],
            order_id=order_id,
            reference=begun["reference"],
            amount=begun["amount"],
            currency=begun["currency"],
            gateway=gateway,
        )

    def start_payment(
        self,
        shopper: Shopper,
        order_id: str,
        method: str = "kora_checkout",
        gateway: str = GATEWAY,
        *,
        phone: str | None = None,
        notify_url: str = f"{NOBODY}/notice",
        save_method: bool = False,
    ) -> Payment:
        """An attempt that the gateway accepted, as the edge starts it, and its page is open."""
        payment = self.begin_payment(
            shopper, order_id, method, gateway, phone=phone, save_method=save_method
        )
        started = registry.payment_provider(gateway, self.settings).start(
            StartPayment(
                payment_id=payment.id,
                reference=payment.reference,
                method=method,
                amount=payment.amount,
                currency=payment.currency,
                country="CM" if payment.currency == "XAF" else "ZA",
                language="fr",
                customer_email=shopper.email,
                phone=phone,
                notify_url=notify_url,
                return_url=f"{NOBODY}/return",
                cancel_url=f"{NOBODY}/return",
                save_method=save_method,
            )
        )
        self.session.call(
            "record_payment_started",
            payment_id=payment.id,
            gateway_transaction_id=started.gateway_transaction_id,
            action=started.action.as_json(),
            expires_at=started.expires_at,
            webhook_token=started.webhook_token,
            gateway_session=started.gateway_session,
        )
        self._open_page(started)
        return payment

    def _open_page(self, started: StartedPayment) -> None:
        action = started.action
        if action.kind == "form":
            assert action.url is not None
            self.sandbox.post_form(action.url, action.fields).raise_for_status()

    def pay(self, payment: Payment) -> None:
        """The customer pays and the poll finds it."""
        self.sandbox.decide(payment.gateway, payment.reference, "paid", notify=False)
        self.session.call(
            "apply_payment_result",
            payment_id=payment.id,
            status="paid",
            amount=payment.amount,
            currency=payment.currency,
            gateway_transaction_id=None,
            reason=None,
            fee=None,
            source="poll",
            request_id="test",
        )

    def begin_refund(self, payment: Payment, amount: Decimal | None = None) -> str:
        """A refund that an admin asked for, all that is left by default; its id."""
        admin_id = self.register("Amina Bello").id
        self.admin.execute("insert into public.admins (user_id) values (%s)", [admin_id])
        refund = self.read(
            "select service.begin_refund(%s, %s, %s, null, 'Returned', %s) ->> 'refund_id' as id",
            admin_id,
            payment.id,
            amount,
            uuid.uuid4().hex,
        )
        self.admin.execute("delete from public.admins where user_id = %s", [admin_id])
        return str(refund["id"])

    def refund(self, refund_id: str) -> dict[str, Any]:
        return self.read("select * from public.refunds where id = %s", refund_id)

    def planned_refund_checks(self, refund_id: str) -> int:
        """Checks of a refund that wait in the outbox."""
        row = self.read(
            "select count(*) as checks from private.outbox "
            "where job = 'check_refund' and done_at is null and args ->> 'refund_id' = %s",
            refund_id,
        )
        return int(row["checks"])

    def exceptions(self, payment: Payment) -> list[str]:
        """Kinds of the open rows of the exception desk about a payment and its refunds."""
        rows = self.admin.execute(
            "select kind from private.payment_exceptions "
            "where payment_id = %s and resolved_at is null order by kind",
            [payment.id],
        ).fetchall()
        return [str(row["kind"]) for row in rows]

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
    values = values_for(sandbox)
    known = {
        one.name: getattr(values, one.name)
        for one in dataclasses.fields(values)
        if one.name in Settings.model_fields and one.name != "public_url"
    }
    return stack_settings.model_copy(update={**known, "payment_timeout_seconds": 2.0})


@pytest.fixture
def shop(
    admin: Admin, session: Session, sandbox_settings: Settings, sandbox: RunningSandbox
) -> Iterator[Shop]:
    """The shop, with no faults left behind."""
    yield Shop(admin, session, sandbox_settings, sandbox)
    sandbox.clear_faults()


@pytest.fixture
def own_refunds(admin: Admin) -> Iterator[None]:
    """The stack's own worker, whose sandbox is another, leaves refunds alone for this test."""
    queue = "update private.jobs set queue = %s where job in ('send_refund', 'check_refund')"
    row = admin.execute("select now() as began_at").fetchone()
    assert row is not None
    admin.execute(queue, ["of_this_test"])
    yield
    admin.execute(
        "update private.outbox set done_at = now() "
        "where job in ('send_refund', 'check_refund') and done_at is null and failed_at is null "
        "and created_at > %s",
        [row["began_at"]],
    )
    admin.execute(
        "update public.refunds set status = 'cancelled', next_check_at = null "
        "where status = 'pending' and way <> 'manual' and created_at > %s",
        [row["began_at"]],
    )
    admin.execute(queue, ["payments"])


@pytest.fixture
def make_task(shop: Shop) -> Callable[..., Task]:
    """A task as `run` makes it, with a clock that the test may set and settings it may change."""

    def make(now: datetime | None = None, **changes: Any) -> Task:
        return Task(
            database=shop.session,
            settings=shop.settings.model_copy(update=changes),
            request_id="test",
            now=(lambda: now) if now else (lambda: datetime.now(UTC)),
        )

    return make
