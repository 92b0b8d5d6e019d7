"""Orders, through PostgREST as the caller: SQL prices, holds stock and decides."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from flask import Blueprint, Response, g
from postgrest import SyncPostgrestClient
from pydantic import BaseModel, Field, RootModel, StringConstraints

from edge_workers import exact_json
from edge_workers.answers import answer
from edge_workers.errors import (
    AppError,
    CursorInvalid,
    FieldError,
    NotFoundError,
)
from edge_workers.inputs import (
    IDEMPOTENCY_KEY_HEADER,
    Body,
    Channel,
    Country,
    IdempotencyKey,
    Line,
    Money,
    Parameters,
    Phone,
    Quantity,
    read_body,
    read_id,
    read_idempotency_key,
    read_parameters,
)
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.payment_start import PaymentChoice, start_payment
from edge_workers.problems import problem_of, reader_language
from edge_workers.security import Identity, require_identity, require_rate_limit

blueprint = Blueprint("orders", __name__, url_prefix="/api/v1/orders")


class Item(Body):
    """A product, or one of its variants, and how many. Prices come from the database alone."""

    product_id: UUID
    channel: Channel
    quantity: Quantity
    variant_id: UUID | None = None


class Address(Body):
    """Either the id of a saved address or the fields; no postcode is needed."""

    id: UUID | None = None
    label: Annotated[Line, Field(max_length=60)] | None = None
    recipient_name: Annotated[Line, Field(max_length=120)] | None = None
    phone: Phone | None = None
    country: Country | None = None
    city: Annotated[Line, Field(max_length=120)] | None = None
    district: Annotated[Line, Field(max_length=120)] | None = None
    landmark: Annotated[Line, Field(max_length=200)] | None = None
    line1: Annotated[Line, Field(max_length=200)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None


class PlaceOrder(Body):
    """An order of `items`, or of the cart when they are left out.

    The idempotency key may stand here or in the header Idempotency-Key.
    """

    idempotency_key: IdempotencyKey | None = None
    country: Country
    address: Address
    promo_code: Annotated[Line, Field(max_length=64)] | None = None
    items: Annotated[list[Item], Field(max_length=500)] | None = None
    expected_total: Money | None = None
    payment: PaymentChoice | None = None


class ChangeAddress(Body):
    """Send an unpaid order elsewhere in its country."""

    action: Literal["address"]
    address: Address


class CancelOrder(Body):
    """Cancel an unpaid order."""

    action: Literal["cancel"]
    reason: Annotated[Line, Field(max_length=300)] | None = None


class UpdateOrder(RootModel[Annotated[ChangeAddress | CancelOrder, Field(discriminator="action")]]):
    """One change of an order."""


class ListOrders(Parameters):
    """A page of the caller's orders, newest first."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]{1,256}$")] | None = None
    page_size: Annotated[int, Field(ge=1, le=100)] = 24


class Order(BaseModel):
    """An order; every amount is in `currency`, tax included."""

    id: UUID
    order_number: str
    status: Literal["pending", "paid", "shipped", "delivered", "cancelled"]
    payment_status: str
    country: str
    currency: str
    language: str
    subtotal_price: float
    discount_amount: float
    shipping_amount: float
    duty_amount: float
    tax_amount: float
    total_price: float
    promo_code: str | None
    shipping_address: dict[str, Any]
    tracking_number: str | None
    expires_at: str | None
    cancel_reason: str | None
    paid_at: str | None
    shipped_at: str | None
    delivered_at: str | None
    cancelled_at: str | None
    created_at: str
    updated_at: str


class OrderWithDetails(Order):
    """An order with its lines, its history and the attempts to pay it."""

    items: list[dict[str, Any]]
    events: list[dict[str, Any]]
    payments: list[dict[str, Any]]


class OrderList(BaseModel):
    """A page of orders; next_cursor is null on the last one."""

    items: list[Order]
    next_cursor: str | None


class PlacedOrder(BaseModel):
    """The order; `payment` is what to do next, or `payment_problem` why there is nothing yet."""

    order: Order
    payment: dict[str, Any] | None
    payment_problem: dict[str, Any] | None = None


_COLUMNS: Final = ",".join(Order.model_fields)
_DETAILS: Final = (
    f"{_COLUMNS},"
    "items:order_items(line_number,product_id,retailer_product_id,variant_id,channel,name,name_fr,"
    "quantity,unit_price,subtotal,discount_amount,tax_amount,currency),"
    "events:order_events(kind,from_status,to_status,actor_type,note,created_at),"
    "payments(id,gateway,method,status,amount,currency,action,failure_reason,expires_at,paid_at,"
    "created_at)"
)


@blueprint.post("")
@operation(
    tag="orders",
    access="signed_in",
    body=PlaceOrder,
    headers={IDEMPOTENCY_KEY_HEADER: False},
    answers={201: PlacedOrder},
    errors=(
        "input_invalid",
        "idempotency_key_required",
        "authentication_required",
        "conflict",
        "data_api_unavailable",
    ),
)
def place() -> Response:
    """Place an order, and start its payment when one is asked for."""
    caller = require_identity()
    body = read_body(PlaceOrder)
    sent = body.model_dump(mode="json", exclude_unset=True)
    try:
        row = parts().data_api.rpc(
            _client(caller),
            "place_order",
            {
                "idempotency_key": read_idempotency_key(body.idempotency_key),
                "country": body.country,
                "address": sent["address"],
                "promo_code": body.promo_code,
                "items": sent.get("items"),
                "expected_total": body.expected_total,
            },
        )
    except AppError as error:
        if error.code == "promo_code_not_found":
            # The refusal rolled back, and with it what a wrong guess should have cost.
            parts().database.call(
                "take_rate_limit", action="promo_check", subject=f"user:{caller.user_id}"
            )
        raise
    order = _public(exact_json.loads(row))
    placed: dict[str, Any] = {"order": order, "payment": None}
    if body.payment is not None:
        placed |= _start_payment(caller, order["id"], body.payment)
    return answer(placed, 201, {"Location": f"{blueprint.url_prefix}/{order['id']}"})


@blueprint.get("")
@operation(
    tag="orders",
    access="signed_in",
    parameters=ListOrders,
    answers={200: OrderList},
    errors=("input_invalid", "cursor_invalid", "authentication_required"),
)
def list_orders() -> Response:
    """The caller's orders, newest first."""
    caller = require_identity()
    asked = read_parameters(ListOrders)
    query = (
        _client(caller)
        .from_("orders")
        .select(_COLUMNS)
        .eq("user_id", caller.user_id)
        .order("created_at", desc=True)
        .order("id", desc=True)
        .limit(asked.page_size)
    )
    if asked.cursor is not None:
        created_at, order_id = _read_cursor(asked.cursor)
        # lte lets the index start in the right place; the rest tells rows of one instant apart.
        query = query.lte("created_at", created_at).or_(
            f'created_at.lt."{created_at}",id.lt.{order_id}'
        )
    items = parts().data_api.send(query)
    rows = exact_json.loads(items)
    is_full = len(rows) == asked.page_size
    return answer({"items": items, "next_cursor": _write_cursor(rows[-1]) if is_full else None})


@blueprint.get("/<order_id>")
@operation(
    tag="orders",
    access="signed_in",
    answers={200: OrderWithDetails},
    errors=("input_invalid", "authentication_required", "not_found"),
)
def show(order_id: str) -> Response:
    """One order with its lines, its history and its payments."""
    caller = require_identity()
    query = (
        _client(caller)
        .from_("orders")
        .select(_DETAILS)
        .eq("id", read_id("order_id", order_id))
        .order("line_number", foreign_table="items")
        .order("created_at", foreign_table="events")
        .order("created_at", foreign_table="payments")
    )
    rows = exact_json.loads(parts().data_api.send(query))
    if not rows:
        raise NotFoundError("order_not_found")
    return answer(rows[0])


@blueprint.put("/<order_id>")
@operation(
    tag="orders",
    access="signed_in",
    body=UpdateOrder,
    answers={200: Order},
    errors=("input_invalid", "authentication_required", "not_found", "conflict"),
)
def update(order_id: str) -> Response:
    """Change the address of an unpaid order, or cancel it."""
    caller = require_identity()
    checked_id = read_id("order_id", order_id)
    change = read_body(UpdateOrder).root
    name, args = _call_of(change)
    row = parts().data_api.rpc(_client(caller), name, {"order_id": checked_id, **args})
    return answer(_public(exact_json.loads(row)))


def _call_of(change: ChangeAddress | CancelOrder) -> tuple[str, dict[str, Any]]:
    if isinstance(change, CancelOrder):
        return "cancel_order", {"reason": change.reason}
    address = change.address.model_dump(mode="json", exclude_unset=True)
    return "update_order_address", {"address": address}


def _client(caller: Identity) -> SyncPostgrestClient:
    return parts().data_api.as_caller(
        caller.token, language=reader_language(), request_id=g.request_id
    )


def _public(order: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an order that the API shows."""
    return {name: order[name] for name in Order.model_fields}


def _start_payment(caller: Identity, order_id: str, choice: PaymentChoice) -> dict[str, Any]:
    """The order stands whatever becomes of its payment: a failure is told beside it."""
    app = parts()
    try:
        require_rate_limit(app.database, "payment_initialize", f"user:{caller.user_id}")
        payment = start_payment(
            app,
            choice.wish(actor_id=caller.user_id, order_id=order_id),
        )
    except AppError as error:
        return {"payment_problem": problem_of(error)}
    return {"payment": payment}


def _write_cursor(row: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(exact_json.dumps([row["created_at"], row["id"]])).decode(
        "ascii"
    )


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        created_at, order_id = exact_json.loads(base64.urlsafe_b64decode(cursor))
        return datetime.fromisoformat(created_at).isoformat(), str(UUID(order_id))
    except (binascii.Error, TypeError, AttributeError, ValueError) as error:
        raise CursorInvalid(errors=[FieldError("cursor", CursorInvalid.code)]) from error
