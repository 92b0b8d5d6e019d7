"""The neutral values and what keeps them clean."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edge_workers.providers.contracts.money import amount_from, checked_amount
from edge_workers.providers.contracts.payments import PaymentAction, WebhookRequest
from edge_workers.providers.contracts.text import safe_text
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable, Unverified


@pytest.mark.parametrize(
    ("amount", "currency", "checked"),
    [
        ("12500", "XAF", "12500"),
        ("12500.00", "XAF", "12500"),
        ("199.90", "ZAR", "199.9"),
        ("1E+2", "ZAR", "100"),
    ],
)
def test_an_amount_that_the_currency_can_express_is_kept(
    amount: str, currency: str, checked: str
) -> None:
    assert str(checked_amount(Decimal(amount), currency)) == checked


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("0.5", "XAF", "amount_invalid"),
        ("1.999", "ZAR", "amount_invalid"),
        ("0", "ZAR", "amount_invalid"),
        ("-1", "XAF", "amount_invalid"),
        ("NaN", "XAF", "amount_invalid"),
        ("Infinity", "ZAR", "amount_invalid"),
        ("1", "EUR", "currency_unsupported"),
        ("1E+40", "ZAR", "amount_invalid"),
    ],
)
def test_no_amount_is_rounded(amount: str, currency: str, code: str) -> None:
    with pytest.raises(Rejected) as failure:
        checked_amount(Decimal(amount), currency)
    assert failure.value.code == code


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("10.00", Decimal("10.00")),
        (10, Decimal(10)),
        (Decimal("0.5"), Decimal("0.5")),
        ("-2.30", Decimal("-2.30")),
        ("5,000", None),
        ("1e3", None),
        ("", None),
        ("NaN", None),
        (True, None),
        (None, None),
        ([], None),
        (Decimal("Infinity"), None),
        (Decimal("1E+99"), None),
    ],
)
def test_an_amount_is_read_from_text_or_number(written: object, amount: Decimal | None) -> None:
    assert amount_from(written) == amount


def test_a_text_from_outside_is_one_short_line_without_persons() -> None:
    said = "Wallet +237 671 11 22 33\r\nof aicha@example.cm \x00is\tclosed\u2028 since 2024"
    assert safe_text(said) == "Wallet … of … is closed since 2024"
    assert safe_text("x" * 900) == "x" * 200
    assert safe_text({"a": 1}) == ""


def test_a_text_from_outside_gives_no_token_away() -> None:
    said = "notif_url https://shop.example/webhook/orange/dd497bda3b250e536186fc0663f32f40 is bad"
    assert safe_text(said) == "notif_url https://shop.example/webhook/orange/… is bad"
    reference = "mg-0a1b2c3d4e5f0a1b2c3d4e5f"
    assert safe_text(f"{reference} is known") == f"{reference} is known"


def test_form_fields_keep_their_order_in_json() -> None:
    action = PaymentAction(
        kind="form", url="https://pay.example", fields=(("b", "2"), ("a", "1"), ("b", "3"))
    )
    assert action.as_json() == {
        "action": "form",
        "url": "https://pay.example",
        "fields": [
            {"name": "b", "value": "2"},
            {"name": "a", "value": "1"},
            {"name": "b", "value": "3"},
        ],
    }


def test_a_push_says_what_it_requires() -> None:
    action = PaymentAction(kind="push", requires="code", message="Type the code")
    assert action.as_json() == {
        "action": "push",
        "requires": "code",
        "message": "Type the code",
    }


def test_header_names_have_no_case() -> None:
    request = WebhookRequest(raw=b"", headers={"X-Some-Header": "a"})
    assert request.header("x-some-header") == "a"
    assert request.header("X-OTHER") is None


def test_an_error_says_what_it_means_for_a_write() -> None:
    assert Unavailable("x").outcome == "unknown"
    assert Rejected("x").outcome == "nothing_created"
    assert Misconfigured("x").outcome == "nothing_created"
    assert Unverified("x").outcome == "nothing_created"
    changed = Misconfigured("x", outcome="unknown")
    assert (changed.outcome, Misconfigured("y").outcome) == ("unknown", "nothing_created")
    assert (Unavailable("x").code, Unavailable("x", code="y").code) == ("unavailable", "y")
