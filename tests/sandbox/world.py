"""What the parts of the sandbox share, and what a provider's module offers to the controls."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from flask import Blueprint, Response, request

from tests.sandbox.calls import Calls
from tests.sandbox.deliveries import Deliveries
from tests.sandbox.faults import Fault, Faults
from tests.sandbox.journal import Journal
from tests.sandbox.settings import Settings

OUTCOMES = ("paid", "failed", "cancelled", "expired", "pending")

_log = logging.getLogger("sandbox.calls")


@dataclass(frozen=True)
class Decision:
    """What happens to a payment over there."""

    outcome: str
    notify: bool = True
    amount: Decimal | None = None
    currency: str | None = None
    settled: bool = True
    """False: the webhook tells of it, the status query does not."""


class Gateway(Protocol):
    """One provider that collects or pays out."""

    @property
    def name(self) -> str:
        """As in `/<name>/…` and in the controls."""

    def blueprint(self) -> Blueprint:
        """Its wire protocol and pages."""

    def decide(self, reference: str, decision: Decision) -> dict[str, Any] | None:
        """Let it happen; None when there is nothing of that reference."""

    def recent(self) -> list[dict[str, Any]]:
        """For people: newest first, {reference, kind, amount, status, is_open, url}."""

    def resume(self) -> None:
        """Take up what an earlier run had begun."""


@dataclass
class World:
    """The sandbox's parts."""

    settings: Settings
    journal: Journal
    faults: Faults
    calls: Calls
    deliveries: Deliveries
    gateways: dict[str, Gateway] = field(default_factory=dict)
    others: tuple[str, ...] = ("smtp",)
    """Who else is called and can be given faults."""


Spoil = Callable[[Fault, Callable[[], Response]], Response | None]


def answered(
    world: World,
    provider: str,
    operation: str,
    act: Callable[[], Response],
    spoil: Spoil | None = None,
) -> Response:
    """Answer a call of an API: note it, and let the fault happen that was ordered for it.

    `spoil` is a provider's own way to let a fault happen; None from it leaves that to the usual.
    """
    call = world.calls.record(
        provider=provider,
        operation=operation,
        method=request.method,
        path=request.full_path.rstrip("?"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_data(),
    )
    fault = world.faults.take_for_call(provider, operation)
    call["fault"] = fault.kind if fault is not None else None
    response = act() if fault is None else (spoil and spoil(fault, act)) or _faulty(fault, act)
    call["status"] = response.status_code
    _log.info("%s %s status=%d fault=%s", provider, operation, response.status_code, call["fault"])
    return response


def _faulty(fault: Fault, act: Callable[[], Response]) -> Response:
    if fault.kind == "timeout":
        act()
        time.sleep(fault.seconds if fault.seconds is not None else 30.0)
        raise ConnectionAbortedError("the answer never comes")
    if fault.kind == "slow":
        time.sleep(fault.seconds if fault.seconds is not None else 3.0)
        return act()
    if fault.kind == "rate_limit":
        response = Response('{"status":false,"message":"Too many requests","data":null}', 429)
        response.content_type = "application/json"
        response.headers["Retry-After"] = str(int(fault.seconds or 1))
        return response
    if fault.acts:
        act()
    if fault.kind == "malformed":
        return Response("<html><body><h1>We will be right back</h1></body></html>", 200)
    response = Response('{"status":false,"message":"Internal server error","data":null}', 500)
    response.content_type = "application/json"
    return response
