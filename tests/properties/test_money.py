"""The shop's money, whatever people, gateways and processes do, in whatever order (R13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from edge_workers.errors import AppError
from tests.bench import report
from tests.bench.report import Target
from tests.concurrency.shoppers import Admin
from tests.properties.books import Books
from tests.properties.machine import Figures, ShopMachine
from tests.properties.shop import Shop

STEPS = 2_000
LONG_STEPS = 100_000
STEPS_AN_EXAMPLE = 125
STEPS_A_MUTANT = 750

# What is changed in a function, and what the machine must then report.
MUTANTS = {
    "another sum pays an order": (
        "service.apply_payment_result",
        "apply_payment_result.amount is distinct from v_payment.amount",
        "false",
    ),
    "stock is never given back": (
        "private.release_order",
        "set reserved = s.reserved - i.quantity",
        "set reserved = s.reserved",
    ),
    "a receipt is booked short": (
        "private.post_receipt",
        "-v_posted.missing)",
        "1 - v_posted.missing)",
    ),
    "late money is kept": (
        "private.receive_payment",
        "v_refund_id := private.return_money(v_payment);",
        "return v_payment;",
    ),
}


def play(shop: Shop, books: Books, steps: int, *, shrinks: bool = True) -> Figures:
    """Plays at least so many steps. Raises at the first that does not fit, made short first."""
    figures = Figures()

    class Machine(ShopMachine):
        """With this test's shop."""

    Machine.shop, Machine.books, Machine.figures = shop, books, figures
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=-(-steps // STEPS_AN_EXAMPLE) + 1,
            stateful_step_count=STEPS_AN_EXAMPLE,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
    return figures


def conclude(figures: Figures, steps: int) -> None:
    """Writes what was played and compared."""
    assert figures.steps >= steps
    report.write(
        "properties",
        figures.as_json(),
        [
            Target.at_least("R13", "steps", figures.steps, steps),
            Target.at_most("R13", "unbalanced transactions", figures.unbalanced, 0),
            Target.at_most("R13", "model mismatches", figures.mismatches, 0),
        ],
    )


@pytest.mark.timeout(900)
def test_two_thousand_steps_of_anything_leave_no_money_without_its_place(
    shop: Shop, books: Books
) -> None:
    conclude(play(shop, books, STEPS), STEPS)


@pytest.mark.soak
def test_a_hundred_thousand_steps_leave_no_money_without_its_place(
    shop: Shop, books: Books
) -> None:
    conclude(play(shop, books, LONG_STEPS), LONG_STEPS)


@contextmanager
def mutated(admin: Admin, name: str, old: str, new: str) -> Iterator[None]:
    """One function of the database is another one during the block."""
    row = admin.execute("select pg_get_functiondef(%s::regproc) as text", [name]).fetchone()
    assert row is not None
    assert old in row["text"], f"{name} does not say {old}"
    admin.execute(row["text"].replace(old, new).replace("%", "%%").encode())
    try:
        yield
    finally:
        admin.execute(row["text"].replace("%", "%%").encode())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_a_broken_rule_is_reported(shop: Shop, books: Books, mutant: str) -> None:
    with (
        mutated(shop.admin, *MUTANTS[mutant]),
        pytest.raises((AssertionError, AppError, ExceptionGroup)),
    ):
        play(shop, books, STEPS_A_MUTANT, shrinks=False)
