"""Orders: goods and promo uses of unpaid orders go back when their hold has run out."""

from __future__ import annotations

import time
from typing import Final

from edge_workers.log import get_logger
from worker.task import Task

BATCH: Final = 50
SECONDS: Final = 15.0
"""How long one run works; the next minute's run continues."""

log = get_logger(__name__)


def release_holds(task: Task) -> None:
    """Expire orders whose hold has run out, each in a transaction of its own."""
    deadline = time.monotonic() + SECONDS
    released = 0
    seen: set[str] = set()
    while time.monotonic() < deadline:
        found: list[str] = task.database.call("claim_expired_orders", batch=BATCH)
        fresh = [order_id for order_id in found if order_id not in seen]
        for order_id in fresh:
            answer = task.database.call("release_order_hold", order_id=order_id)
            released += bool(answer["released"])
        seen.update(fresh)
        if not fresh:
            break
    if released:
        log.info("holds.released", orders=released)
