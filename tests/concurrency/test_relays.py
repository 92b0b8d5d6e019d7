"""Any number of relays: each row goes out once, each tick comes once."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.concurrency.checkout import Checkout
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import ROOT, Shelf, wait_until


@pytest.fixture
def second_relay(stack_env: dict[str, str], admin: Admin) -> Iterator[None]:
    """Another relay beside the stack's own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.relay"],
        cwd=ROOT,
        env={**os.environ, **stack_env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def are_two() -> bool:
        row = admin.execute(
            "select count(*) from pg_stat_activity where application_name like '%relay'"
        ).fetchone()
        return row == {"count": 2}

    try:
        wait_until(are_two)
        yield
        assert process.poll() is None, "the second relay ended by itself"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.usefixtures("second_relay")
def test_two_relays_hand_out_each_row_once(
    crowd: Callable[..., list[Shopper]], shelf: Shelf, checkout: Checkout, admin: Admin
) -> None:
    product = shelf.put(stock=100)
    shoppers = crowd(30, with_mail=True)
    orders = [checkout.place(shopper, product) for shopper in shoppers]
    order_ids = [order.id for order in orders]

    def rows() -> list[tuple[int, bool]]:
        found = admin.execute(
            "select o.attempts, o.done_at is not null as is_done from private.emails as e "
            "inner join private.outbox as o on (o.args ->> 'email_id')::uuid = e.id "
            "where o.job = 'send_email' and e.order_id = any(%s::uuid[])",
            [order_ids],
        ).fetchall()
        return [(row["attempts"], row["is_done"]) for row in found]

    wait_until(lambda: all(is_done for _, is_done in rows()), 60)

    assert Counter(rows()) == {(1, True): len(orders)}
    for shopper in shoppers:
        inbox = checkout.sandbox.get("/_sandbox/mail", params={"to": shopper.email or ""}).json()
        assert len(inbox) == 1


@pytest.mark.usefixtures("second_relay")
def test_two_relays_turn_a_due_schedule_into_one_row(admin: Admin) -> None:
    for _ in range(5):
        due = admin.execute(
            "update private.schedules "
            "set next_run_at = date_trunc('milliseconds', clock_timestamp()) "
            "where job = 'release_holds' returning next_run_at"
        ).fetchone()
        assert due is not None
        period = due["next_run_at"]

        def is_claimed(period: object = period) -> bool:
            row = admin.execute(
                "select next_run_at > %s as moved from private.schedules "
                "where job = 'release_holds'",
                [period],
            ).fetchone()
            return row == {"moved": True}

        wait_until(is_claimed, 10)
        rows = admin.execute(
            "select count(*) from private.outbox "
            "where job = 'release_holds' and dedupe_key = 'release_holds/' || "
            "to_char(%s::timestamptz at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')",
            [period],
        ).fetchone()
        assert rows == {"count": 1}
