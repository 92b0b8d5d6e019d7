"""Payments: start one, ask how it stands, come back from the gateway."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, redirect
from pydantic import BaseModel, StringConstraints
from werkzeug.wrappers import Response as AnyResponse

from edge_workers.answers import answer
from edge_workers.errors import ExternalServiceError, NotFoundError
from edge_workers.inputs import Body, Phone, read_body, read_id
from edge_workers.openapi import operation
from edge_workers.parts import parts
from edge_workers.payment_start import authorize_payment, start_payment
from edge_workers.providers.contracts.payments import PaymentMethod
from edge_workers.security import require_identity, require_rate_limit

blueprint = Blueprint("payments", __name__, url_prefix="/api/v1/payments")


class InitializePayment(Body):
    """Which order to pay and how; without a method the country's first is taken."""

    order_id: UUID
    method: PaymentMethod | None = None
    phone: Phone | None = None


class AuthorizationCode(Body):
    """The code that the payer's operator sent."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,10}$")]


class FormField(BaseModel):
    """One field of a form, in its order."""

    name: str
    value: str


class PaymentAction(BaseModel):
    """What the shopper does next: open `url`, post `fields` to it, or confirm on the phone."""

    payment_id: UUID
    gateway: str
    action: Literal["redirect", "form", "push"]
    url: str | None = None
    fields: list[FormField] | None = None
    requires: Literal["approval", "code"] | None = None
    message: str | None = None
    expires_at: str | None = None


class PaymentStatus(BaseModel):
    """How a payment stands. Only the gateway's own answer makes it paid."""

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
)
def initialize() -> Response:
    """Start paying an order; sent twice it is one payment."""
    caller = require_identity()
    body = read_body(InitializePayment)
    app = parts()
    require_rate_limit(app.database, "payment_initialize", f"user:{caller.user_id}")
    return answer(
        start_payment(
            app,
            actor_id=caller.user_id,
            order_id=str(body.order_id),
            method=body.method,
            phone=body.phone,
        )
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
)
def status(payment_id: str) -> Response:
    """How a payment stands."""
    caller = require_identity()
    payment = parts().database.call(
        "payment_status",
        actor_id=caller.user_id,
        payment_id=read_id("payment_id", payment_id),
    )
    return answer({name: payment[name] for name in PaymentStatus.model_fields})


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
