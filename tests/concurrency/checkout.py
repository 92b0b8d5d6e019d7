"""The shopper's way through the doors: order by PostgREST, payment by the edge, at the sandbox."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from edge_workers.providers.kora import signature
from tests.concurrency.rush import Answer, Door
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import an_address, wait_until
from tests.contracts.peer import Heard


@dataclass(frozen=True)
class Order:
    """An order as place_order answered it."""

    id: str
    number: str
    total: Decimal
    shopper: Shopper


@dataclass(frozen=True)
class Payment:
    """An attempt that the gateway knows."""

    id: str
    order: Order
    reference: str
    url: str | None
    gateway: str = "kora"
    fields: tuple[tuple[str, str], ...] = ()
    """What the browser posts to `url`, where the action is a form."""


_NOT_SENT = frozenset({"host", "content-length", "connection", "accept-encoding"})


@dataclass(frozen=True)
class Notice:
    """A gateway's message on its way to the edge."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    @staticmethod
    def of(heard: Heard) -> "Notice":
        """As the gateway sent it."""
        kept = {n: v for n, v in heard.headers.items() if n not in _NOT_SENT}
        return Notice(heard.method, heard.path, tuple(sorted(kept.items())), heard.raw)

    @property
    def gateway(self) -> str:
        """Who sent it."""
        return self.path.split("/")[5]

    def send(self, door: Door) -> Answer:
        """What the edge says to it."""
        return door.send(self.method, self.path, self.raw, dict(self.headers))


@dataclass(frozen=True)
class Effects:
    """What a payment did, counted: each must have happened once or not at all."""

    order_status: str
    payment_status: str
    winning_payments: int
    placed_mails: int
    paid_mails: int
    statistics: int
    paid_events: int


SETTLED_SECONDS = 1.0

PAID_ONCE = Effects("paid", "paid", 1, 1, 1, 1, 1)


def put_off_polls(admin: Admin, payments: Sequence[Payment]) -> None:
    """Nobody asks about these payments but for a notice."""
    admin.execute(
        "update private.outbox set available_at = now() + interval '1 hour' "
        "where job = 'reconcile_payments' and done_at is null and failed_at is null "
        "and args ->> 'payment_id' = any(%s)",
        [[payment.id for payment in payments]],
    )


@dataclass(frozen=True)
class Checkout:
    """One client of everything, as a frontend is."""

    admin: Admin
    supabase: httpx.Client
    edge: httpx.Client
    sandbox: httpx.Client
    kora_secret: str

    def order_body(
        self,
        *products: str,
        quantity: int = 1,
        code: str | None = None,
        key: str | None = None,
        country: str = "CM",
    ) -> dict[str, Any]:
        """Arguments of place_order: one line a product, each of `quantity` pieces."""
        return {
            "idempotency_key": key or f"race-{uuid.uuid4().hex}",
            "country": country,
            "address": an_address(country),
            "promo_code": code,
            "items": [
                {"product_id": product, "channel": "retail", "quantity": quantity}
                for product in products
            ],
        }

    def place(
        self, shopper: Shopper, *products: str, code: str | None = None, country: str = "CM"
    ) -> Order:
        """Places an order; it must be granted."""
        return self.send_order(shopper, self.order_body(*products, code=code, country=country))

    def send_order(self, shopper: Shopper, body: dict[str, Any]) -> Order:
        """Sends the arguments of place_order; it must be granted."""
        response = self.supabase.post(
            "/rest/v1/rpc/place_order", json=body, headers=shopper.headers
        )
        assert response.status_code == 200, response.text
        row = json.loads(response.text, parse_float=Decimal)
        return Order(row["id"], row["order_number"], Decimal(row["total_price"]), shopper)

    def initialize(
        self, order: Order, method: str = "kora_checkout", phone: str | None = None
    ) -> Payment:
        """Starts a payment at the gateway; it must begin."""
        response = self.ask_to_pay(order, method, phone)
        assert response.status_code == 200, response.text
        return self.payment(order, response.json())

    def ask_to_pay(
        self, order: Order, method: str = "kora_checkout", phone: str | None = None
    ) -> httpx.Response:
        """What the edge answers to the wish to pay an order."""
        return self.edge.post(
            "/api/v1/payments/initialize",
            json={"order_id": order.id, "method": method, "phone": phone},
            headers=order.shopper.headers,
        )

    def payment(self, order: Order, action: dict[str, Any]) -> Payment:
        """The attempt behind an answer of initialize."""
        row = self.admin.execute(
            "select reference from public.payments where id = %s", [action["payment_id"]]
        ).fetchone()
        assert row is not None
        return Payment(
            action["payment_id"],
            order,
            row["reference"],
            action.get("url"),
            gateway=action.get("gateway", "kora"),
            fields=tuple((field["name"], field["value"]) for field in action.get("fields") or ()),
        )

    def pay(self, payment: Payment, *, notify: bool = True) -> None:
        """The customer pays; with `notify` false the gateway's webhook is lost."""
        response = self.sandbox.post(
            f"/_sandbox/payments/{payment.gateway}/{payment.reference}",
            json={"outcome": "paid", "notify": notify},
        )
        assert response.status_code == 200, response.text

    def webhook(self, payment: Payment) -> tuple[bytes, dict[str, str]]:
        """The genuine notice of a paid charge: body and headers."""
        data = {
            "reference": f"KPY-PAY-{payment.reference}",
            "payment_reference": payment.reference,
            "currency": "XAF",
            "amount": int(payment.order.total),
            "fee": 0,
            "status": "success",
        }
        text = json.dumps(data, separators=(",", ":"))
        headers = {
            "Content-Type": "application/json",
            "x-korapay-signature": signature.sign(text, self.kora_secret),
        }
        return f'{{"event":"charge.success","data":{text}}}'.encode(), headers

    def effects(self, order: Order) -> Effects:
        """What is in the database and in the mailbox of an order."""
        row = self.admin.execute(
            "select o.status, o.payment_status, "
            "(select count(*) from public.payments as p "
            "  where p.order_id = o.id and p.is_winner) as winners, "
            "(select count(*) from public.affiliate_stats as s "
            "  where s.order_id = o.id) as statistics, "
            "(select count(*) from public.order_events as e "
            "  where e.order_id = o.id and e.to_status = 'paid') as paid_events, "
            "array(select e.message_id from private.emails as e "
            "  where e.order_id = o.id and e.template = 'order_placed') as placed, "
            "array(select e.message_id from private.emails as e "
            "  where e.order_id = o.id and e.template = 'payment_received') as received "
            "from public.orders as o where o.id = %s",
            [order.id],
        ).fetchone()
        assert row is not None
        sent = self._sent(order.shopper)
        return Effects(
            row["status"],
            row["payment_status"],
            row["winners"],
            sum(sent.count(message_id) for message_id in row["placed"]),
            sum(sent.count(message_id) for message_id in row["received"]),
            row["statistics"],
            row["paid_events"],
        )

    def _sent(self, shopper: Shopper) -> list[str]:
        response = self.sandbox.get("/_sandbox/mail", params={"to": shopper.email or "nobody"})
        response.raise_for_status()
        return [message["message_id"] for message in response.json()]

    def wait_paid(self, order: Order, seconds: float = 180.0) -> None:
        """Waits until the order is paid."""
        wait_until(lambda: self.status(order) == "paid", seconds)

    def status(self, order: Order) -> str:
        """The order's status now."""
        row = self.admin.execute(
            "select status from public.orders where id = %s", [order.id]
        ).fetchone()
        assert row is not None
        return str(row["status"])

    def wait_effects(
        self, orders: Sequence[Order], wanted: Effects, seconds: float = 180.0
    ) -> None:
        """Waits until each order has exactly these effects, then a moment for one too many."""
        deadline = time.monotonic() + seconds
        for order in orders:
            while self.effects(order) != wanted and time.monotonic() < deadline:
                time.sleep(0.1)
        time.sleep(SETTLED_SECONDS)
        for order in orders:
            assert self.effects(order) == wanted
