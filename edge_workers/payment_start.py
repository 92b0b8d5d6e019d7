"""Starting a payment: begin an attempt, put it to the gateway, record what came of it.

The attempt is a row before any gateway hears of it, and is asked about from then on: whatever
happens here after that, somebody finds out. The next gateway is tried only when this one surely
created nothing; an unknown outcome is left to be asked about, never sent anew. Two requests at
once get the same attempt: only the one that made it speaks to the gateway.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from edge_workers.errors import (
    AppError,
    ConflictError,
    ExternalServiceError,
    FieldError,
    PaymentGatewayUnavailable,
    PaymentOutcomeUnknown,
    PaymentRejected,
    VerificationCodeInvalid,
)
from edge_workers.inputs import Body, Phone
from edge_workers.log import bind_context, get_logger
from edge_workers.parts import Parts
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentMethod,
    StartedPayment,
    StartPayment,
)
from edge_workers.providers.errors import (
    Misconfigured,
    ProviderError,
    Rejected,
    Unavailable,
    Unverified,
)
from edge_workers.providers.registry import (
    configured_payment_gateways,
    payment_provider,
)
from edge_workers.providers.transport import ending_within

log = get_logger(__name__)

WAIT_FOR_OTHER_SECONDS: Final = 3.0
"""How long a second request waits for the first one's gateway."""
_LOOK_AGAIN_SECONDS: Final = 0.25
_LIVE: Final = frozenset({"pending", "processing"})


@dataclass(frozen=True, kw_only=True)
class PaymentWish:
    """Who wants to pay which order, and how; without a method the country's first is taken."""

    actor_id: str
    order_id: str
    method: str | None = None
    phone: str | None = None
    save_method: bool = False
    """The payer asks that the gateway keep the card or account for the next time."""
    saved_method_id: str | None = None
    """One of the payer's saved methods: only its own gateway can use it."""


class PaymentChoice(Body):
    """How to pay; without a method the country's first is taken."""

    method: PaymentMethod | None = None
    phone: Phone | None = None
    save_method: bool = False
    saved_method_id: UUID | None = None

    def wish(self, *, actor_id: str, order_id: str) -> PaymentWish:
        """What somebody chose for an order."""
        return PaymentWish(
            actor_id=actor_id,
            order_id=order_id,
            method=self.method,
            phone=self.phone,
            save_method=self.save_method,
            saved_method_id=None if self.saved_method_id is None else str(self.saved_method_id),
        )


def start_payment(
    app: Parts, wish: PaymentWish, *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """What the shopper does next: `{payment_id, gateway, action, url?, fields?, …, expires_at}`.

    Raises the refusals of `begin_payment`; PaymentRejected (409) when every gateway said no;
    PaymentGatewayUnavailable (503) when none could be reached; PaymentOutcomeUnknown (503, with
    the payment's id) when a gateway may have taken it.
    """
    gateways = configured_payment_gateways(app.settings)
    failures: dict[str, ProviderError] = {}
    for _ in range(2 * len(gateways) + 1):
        attempt = _begin(app, wish, gateways, failures)
        bind_context(payment_id=attempt["payment_id"], gateway=attempt["gateway"])
        if attempt["action"]:
            return _answer(attempt)
        if attempt["is_new"]:
            try:
                return _answer(_ask_gateway(app, attempt))
            except ProviderError as failure:
                failures[attempt["gateway"]] = failure
                continue
        other = _wait_for_other(app, wish.actor_id, attempt, sleep)
        if other is not None:
            return _answer(other)
    raise _no_gateway(failures)


def authorize_payment(app: Parts, *, actor_id: str, payment_id: str, code: str) -> dict[str, Any]:
    """Hands in the code that the payer received; what they do next, as `start_payment`.

    Raises payment_not_found (404); ConflictError (409) when no code is waited for;
    VerificationCodeInvalid (400) when the gateway refuses it; PaymentOutcomeUnknown (503).
    """
    payment = app.database.call("payment_status", actor_id=actor_id, payment_id=payment_id)
    bind_context(payment_id=payment_id, gateway=payment["gateway"])
    action = payment["action"] or {}
    if payment["status"] not in _LIVE or action.get("requires") != "code":
        raise ConflictError
    try:
        provider = payment_provider(payment["gateway"], app.settings)
        with _asking(app, payment["gateway"], "authorize"):
            authorized = provider.authorize(
                AuthorizePayment(
                    reference=payment["reference"],
                    gateway_transaction_id=payment["gateway_transaction_id"] or "",
                    code=code,
                )
            )
    except ProviderError as failure:
        log.warning("payment.not_authorized", code=failure.code, reason=str(failure))
        if isinstance(failure, Rejected):
            raise VerificationCodeInvalid(
                errors=[FieldError("code", VerificationCodeInvalid.code)]
            ) from failure
        raise PaymentOutcomeUnknown(
            retry_after=failure.retry_after or 5, payment_id=payment_id
        ) from failure
    log.info("payment.authorized", action=authorized.action.kind)
    return _answer(_record_started(app, payment, authorized))


@contextmanager
def _asking(app: Parts, gateway: str, operation: str) -> Iterator[None]:
    """Within it the gateway is asked, if it may be asked now; all its answers in one timeout."""
    with (
        app.gateway_health.call(gateway, operation),
        ending_within(app.settings.payment_timeout_seconds),
    ):
        yield


def _begin(
    app: Parts,
    wish: PaymentWish,
    gateways: tuple[str, ...],
    failures: dict[str, ProviderError],
) -> dict[str, Any]:
    try:
        attempt: dict[str, Any] = app.database.call(
            "begin_payment",
            actor_id=wish.actor_id,
            order_id=wish.order_id,
            method=wish.method,
            phone=wish.phone,
            gateways=list(gateways),
            excluded=list(failures),
            save_method=wish.save_method,
            saved_method_id=wish.saved_method_id,
        )
    except AppError as error:
        if failures and error.code == "payment_method_unavailable":
            raise _no_gateway(failures) from error
        raise
    return attempt


def _ask_gateway(app: Parts, attempt: dict[str, Any]) -> dict[str, Any]:
    """The started attempt. Raises ProviderError only when surely nothing was created."""
    payment_id = attempt["payment_id"]
    began = time.perf_counter()
    try:
        provider = payment_provider(attempt["gateway"], app.settings)
        with _asking(app, attempt["gateway"], "start"):
            started = provider.start(_request(app, attempt))
    except ProviderError as failure:
        # An answer that does not prove where it comes from may still follow a request that arrived.
        outcome = "unknown" if isinstance(failure, Unverified) else failure.outcome
        log.log(
            40 if isinstance(failure, Misconfigured) else 30,
            "payment.not_started",
            outcome=outcome,
            code=failure.code,
            reason=str(failure),
            duration_ms=_milliseconds(began),
        )
        _record_failure(app, payment_id, outcome, failure.code)
        if outcome == "nothing_created":
            raise
        raise PaymentOutcomeUnknown(retry_after=5, payment_id=payment_id) from failure
    except Exception:
        _record_failure(app, payment_id, "unknown", "crashed")
        raise
    log.info("payment.started", duration_ms=_milliseconds(began), action=started.action.kind)
    return _record_started(app, attempt, started)


def _record_failure(app: Parts, payment_id: str, outcome: str, reason: str) -> None:
    app.database.call(
        "record_payment_start_failed",
        payment_id=payment_id,
        outcome=outcome,
        reason=reason,
    )


def _record_started(app: Parts, attempt: dict[str, Any], started: StartedPayment) -> dict[str, Any]:
    try:
        payment = app.database.call(
            "record_payment_started",
            payment_id=attempt["payment_id"],
            gateway_transaction_id=started.gateway_transaction_id,
            action=started.action.as_json(),
            expires_at=started.expires_at,
            webhook_token=started.webhook_token,
            gateway_session=started.gateway_session,
        )
    except ExternalServiceError as error:
        # The gateway has it, our row does not say so yet: the poll will find out.
        raise PaymentOutcomeUnknown(retry_after=5, payment_id=attempt["payment_id"]) from error
    # Answered as it was recorded, so that whoever asks again gets the very same.
    return {**attempt, "action": payment["action"], "expires_at": payment["expires_at"]}


def _request(app: Parts, attempt: dict[str, Any]) -> StartPayment:
    base = f"{app.settings.public_url}/api/v1/payments"
    return_url = f"{base}/return/{attempt['payment_id']}"
    return StartPayment(
        payment_id=attempt["payment_id"],
        reference=attempt["reference"],
        method=attempt["method"],
        amount=attempt["amount"],
        currency=attempt["currency"],
        country=attempt["country"],
        language=attempt["language"],
        customer_email=attempt["customer_email"] or "",
        customer_name=attempt["customer_name"],
        phone=attempt["phone"],
        description=f"Mallgram {attempt['order_number']}",
        notify_url=f"{base}/webhook/{attempt['gateway']}/{attempt['webhook_token']}",
        return_url=return_url,
        cancel_url=return_url,
        save_method=attempt["save_method"],
        saved_method_token=attempt["saved_method_token"],
    )


def _wait_for_other(
    app: Parts, actor_id: str, attempt: dict[str, Any], sleep: Callable[[float], None]
) -> dict[str, Any] | None:
    """The attempt that another request is starting; None when that came to nothing.

    Raises PaymentOutcomeUnknown when the gateway has not answered the other one in time, and at
    once when it never did.
    """
    payment_id = attempt["payment_id"]
    try:
        with app.gateway_health.waiting(attempt["gateway"]):
            for _ in range(round(WAIT_FOR_OTHER_SECONDS / _LOOK_AGAIN_SECONDS)):
                payment: dict[str, Any] = app.database.call(
                    "payment_status", actor_id=actor_id, payment_id=payment_id
                )
                if payment["status"] not in _LIVE:
                    return None
                if payment["action"]:
                    return payment
                if payment["failure_reason"]:
                    break  # it ended without an answer: nobody is asking any more
                sleep(_LOOK_AGAIN_SECONDS)
    except Unavailable as busy:
        raise PaymentOutcomeUnknown(
            retry_after=busy.retry_after or 5, payment_id=payment_id
        ) from busy
    raise PaymentOutcomeUnknown(retry_after=5, payment_id=payment_id)


def _no_gateway(failures: dict[str, ProviderError]) -> AppError:
    if failures and all(isinstance(failure, Rejected) for failure in failures.values()):
        return PaymentRejected()
    waits = [failure.retry_after or 30 for failure in failures.values()]
    return PaymentGatewayUnavailable(retry_after=min(waits, default=30))


def _answer(payment: dict[str, Any]) -> dict[str, Any]:
    return {
        "payment_id": payment["payment_id"],
        "gateway": payment["gateway"],
        **payment["action"],
        "expires_at": payment["expires_at"],
    }


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
