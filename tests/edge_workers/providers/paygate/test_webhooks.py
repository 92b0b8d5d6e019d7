"""PayGate's notices: recognised, located, verified, read."""

from __future__ import annotations

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.errors import Unverified
from edge_workers.providers.paygate import PayGateApi, PayGatePayments, signature
from tests.edge_workers.providers.paygate.test_requests import (
    ACCOUNT,
    KEY,
    REQUEST,
    SESSION,
    status_fields,
)

ADAPTER = PayGatePayments(
    PayGateApi(
        paygate_id=ACCOUNT,
        key=KEY,
        base_url="http://127.0.0.1:9",
        merchant_url="https://shop.example",
        timeout_seconds=1.0,
    )
)


def notice(raw: bytes) -> WebhookRequest:
    return WebhookRequest(raw=raw, headers={"content-type": "application/x-www-form-urlencoded"})


def signed(**changes: str) -> bytes:
    fields = status_fields(**changes)
    values = ["" if pair == ("AUTH_CODE", "null") else pair[1] for pair in fields.items()]
    fields["CHECKSUM"] = signature.checksum(values, KEY)
    return form_text.write(fields.items()).encode()


def test_a_genuine_notice_is_recognised_located_verified_and_read() -> None:
    webhook = notice(signed())
    assert ADAPTER.recognises(webhook)
    location = ADAPTER.locate(webhook)
    assert location.references == (REQUEST.reference, SESSION, "78705178")
    assert (location.tokens, location.needs_secrets) == ((), False)
    ADAPTER.verify(webhook)
    event = ADAPTER.parse(webhook)
    assert event.event_type == "transaction.approved"
    assert event.dedupe_key == f"{SESSION}:1:78705178"
    assert (event.kind, event.status, event.token) == ("payment", "paid", None)
    assert event.references == location.references
    answer = ADAPTER.answer(event)
    assert (answer.status, answer.body) == (200, "OK")
    assert answer.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    ("changes", "event_type", "status"),
    [
        ({"TRANSACTION_STATUS": "0"}, "transaction.not_done", "pending"),
        ({"RESULT_CODE": "900017"}, "transaction.approved", "pending"),
        ({"TRANSACTION_STATUS": "2", "AUTH_CODE": "null"}, "transaction.declined", "failed"),
        ({"TRANSACTION_STATUS": "3", "TRANSACTION_ID": ""}, "transaction.cancelled", "cancelled"),
        ({"TRANSACTION_STATUS": "4"}, "transaction.user_cancelled", "cancelled"),
        ({"TRANSACTION_STATUS": "5", "RESULT_CODE": ""}, "transaction.received", "pending"),
        ({"TRANSACTION_STATUS": "7"}, "transaction.settlement_voided", "refunded"),
        ({"TRANSACTION_STATUS": "8"}, "transaction.unknown", "pending"),
    ],
)
def test_each_status_is_a_hint_of_its_own(
    changes: dict[str, str], event_type: str, status: str
) -> None:
    webhook = notice(signed(**changes))
    ADAPTER.verify(webhook)
    event = ADAPTER.parse(webhook)
    assert (event.event_type, event.status) == (event_type, status)


def test_a_cancelled_notice_has_two_references_and_its_own_key() -> None:
    event = ADAPTER.parse(notice(signed(TRANSACTION_STATUS="3", TRANSACTION_ID="")))
    assert event.references == (REQUEST.reference, SESSION)
    assert event.dedupe_key == f"{SESSION}:3:"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "signature_missing"),
        (b"\xff\xfe", "signature_missing"),
        (b"a" * 40_000, "body_unreadable"),
        (b"a&" * 500, "body_unreadable"),
        (signed() + b"&AMOUNT=1", "body_unreadable"),
        (signed() + b"&USER1=x", "signature_wrong"),
        (signed()[:-1], "signature_wrong"),
        (signed().replace(b"AMOUNT=10000", b"AMOUNT=1000"), "signature_wrong"),
        (signed(PAYGATE_ID="10011072131"), "body_unreadable"),
        (signed(REFERENCE="a b"), "body_unreadable"),
        (signed(AMOUNT="100.00"), "body_unreadable"),
        (b'{"CHECKSUM": "x"}', "signature_missing"),
    ],
)
def test_what_is_not_genuine_or_no_notice_to_us_is_refused(raw: bytes, code: str) -> None:
    webhook = notice(raw)
    ADAPTER.recognises(webhook)
    ADAPTER.locate(webhook)
    with pytest.raises(Unverified) as failure:
        ADAPTER.verify(webhook)
    assert failure.value.code == code


def test_the_form_and_the_way_back_of_the_browser_are_no_notices() -> None:
    """Their checksums are right and a payer sees both, so they must not pass for notices."""
    asked = (("PAYGATE_ID", ACCOUNT), ("PAY_REQUEST_ID", SESSION))
    form = signature.signed((*asked, ("REFERENCE", REQUEST.reference)), KEY)
    back = signature.signed(
        (*asked, ("TRANSACTION_STATUS", "1"), ("REFERENCE", REQUEST.reference)), KEY
    )
    moved = signature.signed(
        (*asked, ("AMOUNT", "1"), ("REFERENCE", REQUEST.reference), ("CURRENCY", "")), KEY
    )
    for fields in (form, back, moved):
        with pytest.raises(Unverified):
            ADAPTER.verify(notice(form_text.write(fields).encode()))
    posted = [pair for pair in back if pair[0] in ("PAY_REQUEST_ID", "TRANSACTION_STATUS")]
    assert not ADAPTER.recognises(notice(form_text.write(posted).encode()))


def test_references_that_look_like_none_are_left_out() -> None:
    raw = b"REFERENCE=%00x&PAY_REQUEST_ID=abc&TRANSACTION_ID=1+2&CHECKSUM=1"
    assert ADAPTER.locate(notice(raw)).references == ()
    assert ADAPTER.locate(notice(b"REFERENCE=order-1&REFERENCE=order-2")).references == ()
