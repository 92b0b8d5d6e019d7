"""Card numbers are masked wherever they stand alone; ids, amounts and references stay."""

import random
import time
import uuid
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_workers.card_numbers import MASK, redact_card_numbers

VISA = "4111111111111111"
AMEX = "378282246310005"
MASTERCARD_2 = "2223000048400011"
THIRTEEN = "4222222222222"
NINETEEN = "6304000000000000000"


def check_digit(digits: str) -> str:
    """The digit that makes `digits` pass, worked out the long way."""
    for last in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(digits + last)):
            value = int(digit) * (1 + place % 2)
            total += value // 10 + value % 10
        if total % 10 == 0:
            return last
    raise AssertionError


cards = st.builds(
    lambda first, rest: first + rest + check_digit(first + rest),
    st.sampled_from("3456"),
    st.text("0123456789", min_size=11, max_size=17),
)


@pytest.mark.parametrize(
    "number",
    [
        VISA,
        AMEX,
        MASTERCARD_2,
        THIRTEEN,
        NINETEEN,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "4222 2222 2222 2",
        "4111+1111+1111+1111",
        "4111%201111%201111%201111",
        "4111%2D1111%2D1111%2D1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111 - 1111 - 1111 - 1111",
        "4111\u20141111\u20141111\u20141111",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{{"card":"{}","amount":100}}',
        '{{"card":{}}}',
        "a=1&pan={}&b=2",
        "a=1&pan=%20{}&b=2",
        "paid with {}.",
        "({})",
        "5;{};12.00",
        "ref-{}",
        "{} 5th try",
        "{}\n12",
    ],
)
def test_a_card_number_is_masked(text: str, number: str) -> None:
    assert redact_card_numbers(text.format(number)) == text.format(MASK)


def test_every_one_of_several_is_masked() -> None:
    assert redact_card_numbers(f"{VISA},{AMEX};x {VISA}") == f"{MASK},{MASK};x {MASK}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{VISA} 12/30", f"{MASK} 12/30"),
        (f"{VISA} 737", f"{MASK} 737"),
        (f"{VISA}-2026-01-15", f"{MASK}-2026-01-15"),
        (f"12 {VISA}", f"12 {MASK}"),
        (f"{VISA}.{AMEX}", f"{MASK}.{MASK}"),
    ],
)
def test_digits_beside_it_do_not_hide_it(text: str, expected: str) -> None:
    assert redact_card_numbers(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mg-0123456789abcdef01234567",
        "rf-012345678901234567890123",
        "b41a77f83a275a849f23e30b4666e837",
        "f5720dd906203c62033ffe64ed756147",
        "23B785AE-C96C-32AF-4879-D2C9363DB6E8",
        "34567890-1234-4567-8123-123456789012",
        "MP150709.1341.A00073",
        "KPY-PAY-rYF4c5ZWioeb",
        f"x{VISA}",
        f"{VISA}x",
        f"{VISA}0",  # 17 digits, of which only the first 16 would do
        f"1{VISA}",
        f"{VISA}{VISA}",
        "4111111111111112",
        "1111111111111117",
        "9111111111111119",
        "2220000000000000",  # outside of the series that begins with 2
        "2721000000000004",
        "222300004840001",
        "0.4111111111111111",
        "237650000000",
        "2026-01-15T10:30:00.123456+00:00",
        "1768473000123",
        "12500.00",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert redact_card_numbers(text) is text


@given(cards, st.sampled_from(["", " ", "-"]), st.integers(2, 6))
def test_any_card_number_in_groups_is_masked(card: str, gap: str, size: int) -> None:
    grouped = gap.join(card[i : i + size] for i in range(0, len(card), size))
    assert redact_card_numbers(f'"{grouped}"') == f'"{MASK}"'


@given(st.text())
def test_any_text_is_taken_and_nothing_but_digits_is_lost(text: str) -> None:
    redacted = redact_card_numbers(text)
    kept = iter(text)
    assert all(char in kept for char in redacted.replace(MASK, ""))
    assert redact_card_numbers(redacted) == redacted


@given(st.uuids(version=4))
def test_a_uuid_is_never_touched(value: uuid.UUID) -> None:
    text = f'{{"id":"{value}","upper":"{str(value).upper()}"}}'
    assert redact_card_numbers(text) is text


def test_what_is_left_passes_the_databases_own_rule(
    admin: psycopg.Connection[dict[str, Any]],
) -> None:
    chance = random.Random(7)  # noqa: S311 (no secret)
    pieces = [
        *"3456 -+.%&=\"'{}[]:;,/_xÉ",
        VISA,
        AMEX,
        MASTERCARD_2,
        "4111 1111 1111 1111",
        "20",
        "%20",
        "12",
    ]
    texts = ["".join(chance.choices(pieces, k=chance.randint(1, 24))) for _ in range(20_000)]
    redacted = [redact_card_numbers(text) for text in texts]
    rows = admin.execute(
        "select t from unnest(%s::text[]) as t where private.holds_card_number(t)", [redacted]
    ).fetchall()
    assert rows == []
    refused = admin.execute(
        "select count(*) as n from unnest(%s::text[]) as t where private.holds_card_number(t)",
        [texts],
    ).fetchone()
    assert refused is not None
    assert refused["n"] > 1000


def test_it_costs_microseconds_where_there_is_none() -> None:
    body = (
        '{"event":"charge.success","data":{"reference":"KPY-PAY-rYF4c5ZWioeb","payment_reference":'
        '"mg-0123456789abcdef01234567","currency":"XAF","amount":5000,"phone":"237650000000",'
        '"created_at":"2026-01-15T10:30:00Z","id":"34567890-1234-4567-8123-123456789012"}}'
    )
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            redact_card_numbers(body)
        rounds.append((time.perf_counter() - began) / 200)
    assert min(rounds) < 150e-6


@pytest.mark.parametrize(
    "text", ["4" * 262_144, "4 " * 131_072, "41%20" * 52_428, f"{VISA} " * 15_000, "-" * 262_144]
)
def test_no_body_makes_it_slow(text: str) -> None:
    began = time.perf_counter()
    redact_card_numbers(text)
    assert time.perf_counter() - began < 20
