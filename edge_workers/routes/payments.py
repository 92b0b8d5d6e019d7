"""Payments: start one, ask how it stands, come back from it, give it back, reconcile them."""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, redirect, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from werkzeug.wrappers import Response as AnyResponse

from edge_workers.answers import answer
from edge_workers.card_numbers import redact_card_numbers
from edge_workers.errors import (
    ExternalServiceError,
    NotFoundError,
    StatementInvalid,
    StatementTypeUnsupported,
)
from edge_workers.inputs import (
    IDEMPOTENCY_KEY_HEADER,
    Body,
    Line,
    Money,
    Parameters,
    Quantity,
    raw_body,
    read_body,
    read_id,
    read_idempotency_key,
    read_parameters,
)
from edge_workers.log import bind_context, get_logger
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.payment_start import PaymentChoice, authorize_payment, start_payment
from edge_workers.security import require_admin, require_identity, require_rate_limit
from edge_workers.statements import MAX_STATEMENT_BYTES, read_statement

log = get_logger(__name__)

blueprint = Blueprint("payments", __name__, url_prefix="/api/v1/payments")

_PAYMENT_ID: Final = "8f14e45f-ceea-467f-a0e6-2f3c1d9b7a01"
_ORDER_ID: Final = "3c59dc04-8e88-4024-8bbd-8079c74a1c02"
_REFUND_ID: Final = "b6d767d2-f8ed-4d21-a44b-0e5886680c03"
_LINE_ID: Final = "37693cfc-7480-49e4-8d87-b8c7d8b9aa04"


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class InitializePayment(PaymentChoice):
    """Which order to pay and how; without a method the country's first is taken.

    `save_method` asks that the gateway keep the card or account for the next time;
    `saved_method_id` is one of the caller's `saved_payment_methods`.
    """

    model_config = _example(order_id=_ORDER_ID, method="mtn_momo", phone="+237677123456")

    order_id: UUID


class AuthorizationCode(Body):
    """The code that the payer's operator sent."""

    model_config = _example(code="123456")

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,10}$")]


class FormField(BaseModel):
    """One field of a form, in its order."""

    name: str
    value: str


class PaymentAction(BaseModel):
    """What the shopper does next.

    `redirect`: open `url`. `form`: post `fields`, in their order, to `url`. `push`: confirm on the
    phone, or hand in the code that came there where `requires` says so.
    """

    model_config = _example(
        payment_id=_PAYMENT_ID,
        gateway="gateway",
        action="redirect",
        url="https://pay.example/0123456789abcdef",
        expires_at="2026-01-15T09:00:00+00:00",
    )

    payment_id: UUID
    gateway: str
    action: Literal["redirect", "form", "push"]
    url: str | None = None
    fields: list[FormField] | None = None
    requires: Literal["approval", "code"] | None = None
    message: str | None = None
    expires_at: str | None = None


RefundStatus = Literal["pending", "processing", "refunded", "failed", "cancelled"]


class PaymentRefund(BaseModel):
    """One refund of a payment, as its payer sees it."""

    refund_id: UUID
    amount: float
    currency: str
    status: RefundStatus
    created_at: str
    refunded_at: str | None


class PaymentStatus(BaseModel):
    """How a payment stands. Only the gateway's own answer makes it paid."""

    model_config = _example(
        payment_id=_PAYMENT_ID,
        order_id=_ORDER_ID,
        gateway="gateway",
        method="card",
        status="partially_refunded",
        order_status="paid",
        amount=499.0,
        currency="ZAR",
        action=None,
        expires_at=None,
        failure_reason=None,
        refunded_amount=99.0,
        refunds=[
            {
                "refund_id": _REFUND_ID,
                "amount": 99.0,
                "currency": "ZAR",
                "status": "refunded",
                "created_at": "2026-01-16T10:00:00+00:00",
                "refunded_at": "2026-01-16T10:00:05+00:00",
            }
        ],
    )

    payment_id: UUID
    order_id: UUID
    gateway: str
    method: str
    status: Literal[
        "pending",
        "processing",
        "paid",
        "failed",
        "cancelled",
        "partially_refunded",
        "refunded",
    ]
    order_status: Literal["pending", "paid", "shipped", "delivered", "cancelled"]
    amount: float
    currency: str
    action: dict[str, Any] | None = None
    expires_at: str | None = None
    failure_reason: str | None = None
    refunded_amount: float
    """What the rail has given back so far."""
    refunds: list[PaymentRefund]


class RefundItem(Body):
    """A line of the order and how many pieces of it are paid back."""

    order_item_id: UUID
    quantity: Quantity


class RefundPayment(Body):
    """How much to give back: an amount, or pieces of lines, or neither for all that is left.

    Pieces are paid back with their share of discount, shipping and tax.
    """

    model_config = _example(
        items=[{"order_item_id": _LINE_ID, "quantity": 1}], reason="Arrived broken"
    )

    amount: Money | None = None
    items: Annotated[list[RefundItem], Field(min_length=1, max_length=500)] | None = None
    reason: Annotated[Line, Field(max_length=300)]


class RefundedItem(BaseModel):
    """What a refund gives back for one line."""

    order_item_id: UUID
    quantity: int
    amount: float
    tax_amount: float


class Refund(BaseModel):
    """A refund. `way` is how the money goes back: the gateway's refund, a payout, or by hand."""

    model_config = _example(
        refund_id=_REFUND_ID,
        payment_id=_PAYMENT_ID,
        order_id=_ORDER_ID,
        gateway="gateway",
        reference="rf-0123456789abcdef01234567",
        amount=99.0,
        currency="ZAR",
        status="pending",
        way="gateway",
        reason="Arrived broken",
        failure_reason=None,
        items=[{"order_item_id": _LINE_ID, "quantity": 1, "amount": 99.0, "tax_amount": 12.91}],
        created_at="2026-01-16T10:00:00+00:00",
        refunded_at=None,
    )

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    gateway: str
    reference: str
    amount: float
    currency: str
    status: RefundStatus
    way: Literal["gateway", "payout", "manual"]
    reason: str
    failure_reason: str | None
    items: list[RefundedItem]
    created_at: str
    refunded_at: str | None


class StatementFile(Parameters):
    """How the file is called."""

    file_name: Annotated[Line, Field(max_length=200)] = "statement.csv"


class ImportedStatement(BaseModel):
    """How a statement's lines compare with our books.

    `matched` agree, `differing` differ in amount or currency, `unknown` we know nothing of.
    """

    model_config = _example(
        statement_id=_REFUND_ID, lines=120, matched=118, differing=1, unknown=1, is_new=True
    )

    statement_id: UUID
    lines: int
    matched: int
    differing: int
    unknown: int
    is_new: bool
    """False: the same file was imported before, and nothing was done."""


@blueprint.post("/initialize")
@operation(
    tag="payments",
    access="signed_in",
    body=InitializePayment,
    answers={200: PaymentAction},
    errors=(
        "input_invalid",
        "authentication_required",
        "not_found",
        "conflict",
        "payment_rejected",
        "rate_limit_exceeded",
        "payment_gateway_unavailable",
        "payment_outcome_unknown",
    ),
    refusals={
        400: ("payment_method_unknown", "payment_phone_required", "payment_phone_invalid"),
        404: ("order_not_found", "saved_method_not_found"),
        409: ("order_not_payable", "payment_method_unavailable"),
    },
)
def initialize() -> Response:
    """Start paying an order; sent twice it is one payment.

    Gateways are tried in the country's order; the next one only when the one before surely created
    nothing. After `payment_outcome_unknown` ask for the status of the payment it names.
    """
    caller = require_identity()
    body = read_body(InitializePayment)
    app = parts()
    require_rate_limit(app.database, "payment_initialize", f"user:{caller.user_id}")
    return answer(
        start_payment(app, body.wish(actor_id=caller.user_id, order_id=str(body.order_id)))
    )


@blueprint.post("/<payment_id>/authorize")
@operation(
    tag="payments",
    access="signed_in",
    body=AuthorizationCode,
    answers={200: PaymentAction},
    errors=(
        "input_invalid",
        "verification_code_invalid",
        "authentication_required",
        "not_found",
        "conflict",
        "rate_limit_exceeded",
        "payment_outcome_unknown",
    ),
)
def authorize(payment_id: str) -> Response:
    """Hand in the code that the payer received, where the action requires one."""
    caller = require_identity()
    checked_id = read_id("payment_id", payment_id)
    body = read_body(AuthorizationCode)
    app = parts()
    require_rate_limit(app.database, "payment_initialize", f"user:{caller.user_id}")
    return answer(
        authorize_payment(app, actor_id=caller.user_id, payment_id=checked_id, code=body.code)
    )


@blueprint.get("/status/<payment_id>")
@operation(
    tag="payments",
    access="signed_in",
    answers={200: PaymentStatus},
    errors=("authentication_required", "not_found"),
    refusals={404: ("payment_not_found",)},
)
def status(payment_id: str) -> Response:
    """How a payment stands, and what of it was given back."""
    caller = require_identity()
    payment = parts().database.call(
        "payment_status",
        actor_id=caller.user_id,
        payment_id=read_id("payment_id", payment_id),
    )
    shown = {name: payment[name] for name in PaymentStatus.model_fields}
    shown["refunds"] = [
        {name: refund[name] for name in PaymentRefund.model_fields} for refund in shown["refunds"]
    ]
    return answer(shown)


@blueprint.route("/return/<payment_id>", methods=["GET", "POST"])
@operation(
    tag="payments",
    answers={303: None},
    errors=("not_found",),
)
def come_back(payment_id: str) -> AnyResponse:
    """Where gateways send the browser back: decides nothing, goes on to the frontend."""
    checked_id = read_id("payment_id", payment_id)
    query = {"payment_id": checked_id}
    page = f"{parts().settings.frontend_url}/orders"
    try:
        payment = parts().database.call("payment_return", payment_id=checked_id)
    except ExternalServiceError:
        # The browser still gets to a page that can ask for the status later.
        return redirect(f"{page}?{urlencode(query)}", 303)
    if payment is None:
        raise NotFoundError("payment_not_found")
    query["order_id"] = payment["order_id"]
    return redirect(f"{page}/{payment['order_id']}?{urlencode(query)}", 303)


@blueprint.post("/<payment_id>/refund")
@operation(
    tag="payments",
    access="signed_in",
    body=RefundPayment,
    headers={IDEMPOTENCY_KEY_HEADER: True},
    answers={202: Refund},
    errors=(
        "input_invalid",
        "idempotency_key_required",
        "idempotency_key_invalid",
        "authentication_required",
        "admin_required",
        "data_api_unavailable",
        "database_unavailable",
    ),
    refusals={
        400: ("refund_amount_invalid", "refund_items_invalid", "reason_invalid"),
        404: ("payment_not_found",),
        409: ("payment_not_refundable", "refund_amount_too_large", "idempotency_key_reused"),
    },
)
def refund(payment_id: str) -> Response:
    """Give back a payment or a part of it; for administrators.

    The answer says what was begun, the payment's status what came of it. The same key and body
    again are the same refund.
    """
    caller = require_admin()
    checked_id = read_id("payment_id", payment_id)
    key = read_idempotency_key()
    body = read_body(RefundPayment)
    items = None if body.items is None else [i.model_dump(mode="json") for i in body.items]
    begun = parts().database.call(
        "begin_refund",
        actor_id=caller.user_id,
        payment_id=checked_id,
        amount=body.amount,
        items=items,
        reason=body.reason,
        idempotency_key=key,
    )
    bind_context(payment_id=checked_id, refund_id=begun["refund_id"])
    log.info("refund.begun", amount=begun["amount"], currency=begun["currency"])
    return answer({name: begun[name] for name in Refund.model_fields}, 202)


@blueprint.post("/statements/<gateway>")
@operation(
    tag="payments",
    access="signed_in",
    parameters=StatementFile,
    media={
        "text/csv": "reference;transaction_id;gross;fee;net;currency\r\n"
        "mg-0123456789abcdef01234567;78705178;499.00;14.47;484.53;ZAR\r\n"
    },
    answers={200: ImportedStatement, 201: ImportedStatement},
    errors=(
        "input_invalid",
        "statement_invalid",
        "authentication_required",
        "admin_required",
        "body_too_large",
        "statement_type_unsupported",
        "data_api_unavailable",
        "database_unavailable",
    ),
    refusals={404: ("payment_gateway_unknown",)},
)
def import_statement(gateway: str) -> Response:
    """Compare a gateway's statement with our books; for administrators.

    The file as the gateway gives it: UTF-8 or Latin-1, commas or semicolons, at most 4 MiB and
    5,000 lines, the first of which names the columns. 201 when it is new, 200 when it was imported
    before. What differs goes to the exceptions.
    """
    caller = require_admin()
    file_name = read_parameters(StatementFile).file_name
    if request.mimetype != "text/csv":
        raise StatementTypeUnsupported
    statement = read_statement(raw_body(MAX_STATEMENT_BYTES))
    try:
        imported = parts().database.call(
            "import_statement",
            actor_id=caller.user_id,
            gateway=gateway,
            file_name=redact_card_numbers(file_name),
            lines=statement.lines,
        )
    except StatementInvalid as error:
        raise statement.located(error) from error
    log.info("statement.imported", gateway=gateway, **imported)
    return answer(
        {name: imported[name] for name in ImportedStatement.model_fields},
        201 if imported["is_new"] else 200,
    )
