"""Faults that were ordered for the next calls, and that each happen a number of times.

To what is called here: `timeout` (acts, then never answers), `error` (500), `slow`, `malformed`
(an HTML page with 200), `rate_limit` (429, or a supplier's own words in a 200). Suppliers alone:
`empty` (200 without a body), `shape` (the same answer in another of its documented shapes),
`expired` (the access token is refused). To what is sent from here: `duplicate` (a webhook
twice), `reorder` (after the ones that follow it), `forge` (one with a wrong signature before it).
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

CALL_KINDS = (
    "timeout",
    "error",
    "slow",
    "malformed",
    "rate_limit",
    "empty",
    "shape",
    "expired",
)
DELIVERY_KINDS = ("duplicate", "reorder", "forge")


@dataclass
class Fault:
    """One order; `times` counts down."""

    provider: str
    kind: str
    times: int
    operation: str | None = None
    """Only calls of this operation, when given."""
    seconds: float | None = None
    """For timeout (30), slow (3) and rate_limit (Retry-After, 1)."""
    acts: bool = False
    """Whether error and malformed carry out what was asked before they answer."""


class Faults:
    """The orders that are not used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Add an order behind the others."""
        with self._lock:
            self._orders.append(fault)

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """The orders that are left."""
        with self._lock:
            return [asdict(order) for order in self._orders]

    def take_for_call(self, provider: str, operation: str) -> Fault | None:
        """The first order for this call, counted down."""
        return self._take(provider, CALL_KINDS, operation)

    def take_for_delivery(self, provider: str, kind: str) -> bool:
        """Whether this fault is ordered for the next webhook, counted down."""
        return self._take(provider, (kind,), None) is not None

    def _take(self, provider: str, kinds: tuple[str, ...], operation: str | None) -> Fault | None:
        with self._lock:
            for order in self._orders:
                if (
                    order.provider == provider
                    and order.kind in kinds
                    and order.operation in (None, operation)
                ):
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                    return order
            return None
