"""A code is used as often as it says, and by nobody more often than it says."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from tests.concurrency.checkout import Checkout
from tests.concurrency.rush import Answer, Door, rush
from tests.concurrency.shoppers import Admin, Shopper
from tests.conftest import Shelf

GRANTED = (200, None)
EXHAUSTED = (409, "promo_code_exhausted")
USED_UP = (409, "promo_code_used_up")
AT_ONCE = 32


def redeem(
    attempts: list[Shopper],
    code: str,
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
) -> list[Answer]:
    """One order with the code an attempt, over many products so that only the code is scarce."""
    products = [shelf.put(name=f"Lamp {n}", stock=100_000) for n in range(AT_ONCE)]

    def buy(place: int, shopper: Shopper, door: Door) -> Answer:
        body = checkout.order_body(products[place % AT_ONCE], code=code)
        return door.rpc("place_order", shopper, **body)

    return rush(
        gateway,
        [partial(buy, place, shopper) for place, shopper in enumerate(attempts)],
        AT_ONCE,
    )


def uses(admin: Admin, code: str) -> Counter[str]:
    """Orders that hold the code, by person; the code's own counter must agree."""
    rows = admin.execute(
        "select o.user_id, p.reserved_count from public.promo_codes as p "
        "left join public.orders as o on o.promo_code_id = p.id and o.status <> 'cancelled' "
        "where p.code = %s",
        [code],
    ).fetchall()
    held = Counter(str(row["user_id"]) for row in rows if row["user_id"] is not None)
    assert held.total() == rows[0]["reserved_count"]
    return held


def exhaust(
    attempts: list[Shopper],
    code: str,
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    answers = redeem(attempts, code, gateway, shelf, checkout)
    kinds = Counter(answer.kind for answer in answers)
    assert kinds == {GRANTED: 100, EXHAUSTED: len(attempts) - 100}
    assert uses(admin, code).total() == 100


def use_once_each(
    shoppers: list[Shopper],
    attempts_each: int,
    code: str,
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    # Side by side, so that a person's attempts meet.
    attempts = [shopper for shopper in shoppers for _ in range(attempts_each)]
    answers = redeem(attempts, code, gateway, shelf, checkout)
    kinds = Counter(answer.kind for answer in answers)
    assert kinds == {GRANTED: len(shoppers), USED_UP: len(attempts) - len(shoppers)}
    assert uses(admin, code) == {shopper.id: 1 for shopper in shoppers}


def test_two_thousand_attempts_at_a_code_of_a_hundred_uses_succeed_a_hundred_times(
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    exhaust(crowd(50) * 40, new_code(usage_limit=100), gateway, shelf, checkout, admin)


def test_a_hundred_people_use_a_code_once_each_however_often_they_try(
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    code = new_code(usage_limit=None, per_user_limit=1)
    use_once_each(crowd(100), 8, code, gateway, shelf, checkout, admin)


@pytest.mark.soak
@pytest.mark.parametrize("_repetition", range(20))
def test_ten_thousand_attempts_at_a_code_of_a_hundred_uses_succeed_a_hundred_times(
    _repetition: int,
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    exhaust(crowd(500) * 20, new_code(usage_limit=100), gateway, shelf, checkout, admin)


@pytest.mark.soak
@pytest.mark.parametrize("_repetition", range(20))
def test_five_hundred_people_use_a_code_once_each_however_often_they_try(
    _repetition: int,
    crowd: Callable[..., list[Shopper]],
    new_code: Callable[..., str],
    gateway: Callable[[], Door],
    shelf: Shelf,
    checkout: Checkout,
    admin: Admin,
) -> None:
    code = new_code(usage_limit=None, per_user_limit=1)
    use_once_each(crowd(500), 20, code, gateway, shelf, checkout, admin)
