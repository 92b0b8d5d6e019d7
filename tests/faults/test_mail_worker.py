"""kill -9 of the mail worker while a mail is on its way: it arrives once."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.concurrency.checkout import Checkout
from tests.concurrency.shoppers import Shopper
from tests.conftest import Shelf, wait_until
from tests.faults.processes import Processes, Victim, children


def test_a_mail_under_way_while_its_worker_is_killed_arrives_once(
    processes: Processes,
    gateway_faults: httpx.Client,
    crowd: Callable[..., list[Shopper]],
    shelf: Shelf,
    checkout: Checkout,
) -> None:
    (shopper,) = crowd(1, with_mail=True)
    victim = Victim("worker-mail")
    gateway_faults.post(
        "/_sandbox/faults", json={"provider": "smtp", "kind": "slow", "seconds": 1.5, "times": 1}
    ).raise_for_status()
    worker = processes.pid(victim.program)
    order = checkout.place(shopper, shelf.put(stock=1))

    # The process that sends outlives the worker that began it.
    wait_until(lambda: children(worker))
    wait_until(lambda: not gateway_faults.get("/_sandbox/faults").json())
    victim.wait_replaced(processes, victim.strike(processes))

    def row() -> dict[str, Any]:
        found = checkout.admin.execute(
            "select o.attempts, o.done_at, e.sent_at from private.emails as e "
            "inner join private.outbox as o on o.args ->> 'email_id' = e.id::text "
            "where e.order_id = %s",
            [order.id],
        ).fetchone()
        assert found is not None
        return found

    wait_until(lambda: row()["done_at"], 30)
    inbox = checkout.sandbox.get("/_sandbox/mail", params={"to": shopper.email or ""}).json()
    assert len(inbox) == 1
    assert row()["attempts"] == 1
    assert row()["sent_at"] is not None
