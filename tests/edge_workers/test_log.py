"""Log events are JSON, carry their ids, and hold nothing secret or personal."""

import json
import logging
import time
from decimal import Decimal

import pytest

from edge_workers.log import (
    REDACTED,
    bind_context,
    bind_request_id,
    configure_logging,
    get_logger,
    redact,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl"
USER = "0b5d3a52-1111-4222-8333-123456789012"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token {JWT} seen", "token [token] seen"),
        (f"Authorization: Bearer {JWT}", "Authorization: [token]"),
        ("Authorization: Bearer abc.def-123456", "Authorization: [token]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: [token]"),
        ("key sk_live_51Habcdef used", "key [token] used"),
        ("key sk_test_vector_key_0001", "key [token]"),
        ("mail to aicha.ngono+shop@exemple.cm failed", "mail to [email] failed"),
        ("call +237 677 12 34 56 now", "call [phone] now"),
        ("call +27821234567", "call [phone]"),
        ("number 0821234567.", "number [phone]."),
        ("postgresql://user:hunter2@127.0.0.1:5432/x", "postgresql://[url]127.0.0.1:5432/x"),
        ("redis://:hunter2@cache/0", "redis://[url]cache/0"),
        ("card 4111111111111111 refused", "card [card] refused"),
        ("card 4111 1111 1111 1111 of +27821234567", "card [card] of [phone]"),
        ("pan=5200-0000-0000-0015&x=1", "pan=[card]&x=1"),
    ],
)
def test_secrets_and_personal_facts_in_texts_are_masked(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"payment {USER} started",
        "12345678-1234-4234-8234-123456789012",
        "2026-11-22T19:53:06.998000Z",
        "2026-11-22 19:53:06.998+00",
        "order MG-100001 of 12500.00 XAF",
        "took 1234.5 ms",
        "192.168.100.200",
        "f60cfa831aa94f21b8d0bf91ca15b43c",
        "mg-0123456789abcdef01234567",
        "KPY-PAY-a1B2c3",
    ],
)
def test_ids_times_and_amounts_stay(text: str) -> None:
    assert redact(text) == text


def test_values_under_private_keys_are_dropped_at_any_depth() -> None:
    assert redact(
        {
            "authorization": "x",
            "Cookie": "a=b",
            "user": {"email": "a@b.co", "id": USER, "phone": "123"},
            "items": [{"password": "p", "quantity": 2}],
            "shipping_address": {"city": "Douala"},
            "token": None,
            "raw": b"body",
        }
    ) == {
        "authorization": REDACTED,
        "Cookie": REDACTED,
        "user": {"email": REDACTED, "id": USER, "phone": REDACTED},
        "items": [{"password": REDACTED, "quantity": 2}],
        "shipping_address": REDACTED,
        "token": None,
        "raw": REDACTED,
    }


def test_card_numbers_are_masked_whatever_holds_them() -> None:
    number = 4111111111111111
    assert redact(
        {
            "number": number,
            "decimal": Decimal(number),
            "float": float(number),
            "list": [str(number), -number],
            "by": {str(number): 1},
        }
    ) == {
        "number": "[card]",
        "decimal": "[card]",
        "float": "[card]",
        "list": ["[card]", "[card]"],
        "by": {"[card]": 1},
    }


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.5, 4111111111111112, 10**30, float("inf"), 1768473000123, None]
)
def test_other_numbers_stay(value: object) -> None:
    assert redact(value) is value


def test_the_secrets_of_gateways_are_dropped() -> None:
    secrets = ("webhook_token", "notif_token", "pay_token", "gateway_session", "merchant_key")
    event = dict.fromkeys((*secrets, "saved_method_token", "passphrase", "notice"), "secret")
    assert set(redact(event).values()) == {REDACTED}


def test_an_event_is_one_json_line_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    bind_request_id("request-0001")
    bind_context(payment_id=USER)
    get_logger("somewhere").info("payment.started", amount=Decimal("12500.00"), email="a@b.co")
    event = json.loads(capsys.readouterr().out)
    timestamp = event.pop("timestamp")
    assert timestamp.endswith("Z")
    assert event == {
        "event": "payment.started",
        "level": "info",
        "module": "somewhere",
        "request_id": "request-0001",
        "payment_id": USER,
        "amount": "12500.00",
        "email": REDACTED,
    }


def test_binding_a_request_forgets_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    bind_request_id("request-0001", payment_id=USER)
    bind_request_id("request-0002")
    get_logger("somewhere").info("x.done")
    event = json.loads(capsys.readouterr().out)
    assert event["request_id"] == "request-0002"
    assert "payment_id" not in event


def test_libraries_speak_json_and_are_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    bind_request_id("request-0003")
    logging.getLogger("some.library").warning("sending to %s", "aicha@exemple.cm")
    logging.getLogger("some.library").info("chatter")
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert event["event"] == "sending to [email]"
    assert event["logger"] == "some.library"
    assert event["request_id"] == "request-0003"


def test_tracebacks_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    try:
        raise ValueError(f"bad token {JWT} of aicha@exemple.cm")
    except ValueError as error:
        get_logger("somewhere").error("request.crashed", exc_info=error)
    line = capsys.readouterr().out
    assert "ValueError" in line
    assert JWT not in line
    assert "aicha" not in line


def test_below_the_level_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")
    get_logger("somewhere").info("x.done")
    assert capsys.readouterr().out == ""


def test_an_event_costs_little(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    bind_request_id("request-0004")
    log = get_logger("somewhere")
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(500):
            log.info("request.handled", method="GET", route="/x", status=200, duration_ms=1.5)
        rounds.append((time.perf_counter() - began) / 500)
    capsys.readouterr()
    assert min(rounds) < 300e-6
