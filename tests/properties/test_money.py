"""The shop's money, whatever people, gateways and processes do, in whatever order (R13)."""

from __future__ import annotations

import os
import re
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from edge_workers.errors import AppError
from tests.bench import report
from tests.bench.report import Target
from tests.bench.stand import say
from tests.concurrency.shoppers import Admin
from tests.properties.books import Books
from tests.properties.machine import Figures, ShopMachine
from tests.properties.shop import Shop

STEPS = 2_000
LONG_STEPS = 100_000
STEPS_AN_EXAMPLE = 125
STEPS_A_MUTANT = 750
SEED = "PROPERTIES_SEED"
"""The environment's name of the number that the long run begins with; another each time."""


@dataclass(frozen=True)
class Mutant:
    """What is changed in a function, and what the machine must then say."""

    function: str
    old: str
    new: str
    said: str
    """A pattern of the words of the check that finds it."""


MUTANTS = {
    "another sum pays an order": Mutant(
        "service.apply_payment_result",
        "apply_payment_result.amount is distinct from v_payment.amount",
        "false",
        "the model says otherwise",
    ),
    "stock is never given back": Mutant(
        "private.release_order",
        "set reserved = s.reserved - l.quantity",
        "set reserved = s.reserved",
        "broken after a commit",
    ),
    "a receipt is booked short": Mutant(
        "private.post_receipt",
        "-v_posted.missing)",
        "1 - v_posted.missing)",
        "ledger_unbalanced",  # the database itself refuses it
    ),
    "late money is kept": Mutant(
        "private.receive_payment",
        "v_refund_id := private.return_money(v_payment);",
        "return v_payment;",
        "the model says otherwise",
    ),
    "what was sent has another name when it is asked about": Mutant(
        "service.begin_refund_attempt",
        "'is_first', v_is_first,",
        "'is_first', v_is_first, 'reference', "
        "v_refund.reference || case when v_is_first then '' else '-2' end,",
        "left, 0 is booked",
    ),
}


def play(
    shop: Shop,
    books: Books,
    steps: int,
    figures: Figures,
    *,
    first: int | None = None,
    shrinks: bool = True,
) -> None:
    """Plays at least so many steps. Raises at the first that does not fit, made short first.

    They are the same each time, or those that the number `first` begins.
    """

    class Machine(ShopMachine):
        """With this test's shop."""

    Machine.shop, Machine.books, Machine.figures = shop, books, figures
    if first is not None:
        seed(first)(Machine)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=-(-steps // STEPS_AN_EXAMPLE) + 1,
            stateful_step_count=STEPS_AN_EXAMPLE,
            derandomize=first is None,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


def conclude(shop: Shop, books: Books, steps: int, *, first: int | None = None) -> None:
    """Plays, and writes what was played and compared, however it went."""
    figures = Figures()
    try:
        play(shop, books, steps, figures, first=first)
    finally:
        report.write(
            "properties",
            {"seed": first, **figures.as_json()},
            [
                Target.at_least("R13", "steps", figures.steps, steps),
                Target.at_most("R13", "unbalanced transactions", figures.unbalanced, 0),
                Target.at_most("R13", "model mismatches", figures.mismatches, 0),
            ],
        )
    assert figures.steps >= steps


@pytest.mark.timeout(900)
def test_two_thousand_steps_of_anything_leave_no_money_without_its_place(
    shop: Shop, books: Books
) -> None:
    conclude(shop, books, STEPS)


@pytest.mark.soak
def test_a_hundred_thousand_steps_leave_no_money_without_its_place(
    shop: Shop, books: Books
) -> None:
    first = int(os.environ.get(SEED) or secrets.randbelow(2**32))
    say(f"{SEED}={first}")
    conclude(shop, books, LONG_STEPS, first=first)


@contextmanager
def mutated(admin: Admin, mutant: Mutant) -> Iterator[None]:
    """One function of the database is another one during the block."""
    row = admin.execute(
        "select pg_get_functiondef(%s::regproc) as text", [mutant.function]
    ).fetchone()
    assert row is not None
    assert mutant.old in row["text"], f"{mutant.function} does not say {mutant.old}"
    admin.execute(row["text"].replace(mutant.old, mutant.new).replace("%", "%%").encode())
    try:
        yield
    finally:
        admin.execute(row["text"].replace("%", "%%").encode())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_broken_rule_is_reported(shop: Shop, books: Books, name: str) -> None:
    mutant = MUTANTS[name]
    with (
        mutated(shop.admin, mutant),
        pytest.raises((AssertionError, AppError, ExceptionGroup)) as found,
    ):
        play(shop, books, STEPS_A_MUTANT, Figures(), shrinks=False)
    said = "".join(traceback.format_exception(found.value))
    assert re.search(mutant.said, said), said
