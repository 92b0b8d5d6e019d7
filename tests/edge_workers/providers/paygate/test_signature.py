"""PayWeb3's checksums against published ones, and what a notice must look like."""

from __future__ import annotations

import hashlib

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.paygate import signature

KEY = "secret"
ACCOUNT = "10011072130"
SESSION = "23B785AE-C96C-32AF-4879-D2C9363DB6E8"
REFERENCE = "pgtest_123456789"

INITIATE = (
    ACCOUNT,
    REFERENCE,
    "3299",
    "ZAR",
    "https://my.return.url/page",
    "2018-01-01 12:00:00",
    "en-za",
    "ZAF",
    "customer@paygate.co.za",
)
NOTICE = (
    b"PAYGATE_ID=10011072130&PAY_REQUEST_ID=23B785AE-C96C-32AF-4879-D2C9363DB6E8"
    b"&REFERENCE=pgtest_123456789&TRANSACTION_STATUS=1&RESULT_CODE=990017&AUTH_CODE=5T8A0Z"
    b"&CURRENCY=ZAR&AMOUNT=3299&RESULT_DESC=Auth+Done&TRANSACTION_ID=78705178&RISK_INDICATOR=AX"
    b"&PAY_METHOD=CC&PAY_METHOD_DETAIL=Visa"
)
GENUINE = NOTICE + b"&CHECKSUM=f57ccf051307d8d0a0743b31ea379aa1"


def is_genuine(raw: bytes, key: str = KEY) -> bool:
    return signature.is_genuine(form_text.parse(raw), key)


def test_published_initiate() -> None:
    assert signature.checksum(INITIATE, KEY) == "59229d9c6cb336ae4bd287c87e6f0220"


def test_optional_fields_stand_at_their_place() -> None:
    values = (*INITIATE, "https://my.notify.url/page", "UserField")
    assert signature.checksum(values, KEY) == "a7e87c0c9070b79c1b163b8c3262068b"


def test_published_answer_form_and_query() -> None:
    values = (ACCOUNT, SESSION, REFERENCE)
    assert signature.checksum(values, KEY) == "b41a77f83a275a849f23e30b4666e837"


def test_published_notice() -> None:
    assert is_genuine(GENUINE)
    assert not is_genuine(GENUINE, "other")
    assert not is_genuine(GENUINE, "")


def test_values_are_decoded_before_they_are_hashed() -> None:
    undecoded = [part.partition(b"=")[2].decode() for part in NOTICE.split(b"&")]
    assert signature.checksum(undecoded, KEY) == "df73ac2f36727701851e9ba2c36d3317"
    assert not is_genuine(NOTICE + b"&CHECKSUM=df73ac2f36727701851e9ba2c36d3317")


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("1", "4d6f22d0abdf222e3c9559d2383c12e2"),
        ("2", "387e0c586f41a188ef8f4f899fd39594"),
        ("4", "9910fb26cf6f985950a2b50944dc83ff"),
    ],
)
def test_the_browsers_way_back_is_signed_but_is_no_notice(status: str, wanted: str) -> None:
    assert signature.checksum((ACCOUNT, SESSION, status, REFERENCE), KEY) == wanted
    raw = (
        f"PAYGATE_ID={ACCOUNT}&PAY_REQUEST_ID={SESSION}&TRANSACTION_STATUS={status}"
        f"&REFERENCE={REFERENCE}&CHECKSUM={wanted}"
    ).encode()
    assert is_genuine(raw)
    assert not signature.is_notice(form_text.by_name(form_text.parse(raw)))


def test_the_word_null_in_place_of_a_bank_code_counts_as_nothing() -> None:
    declined = (
        NOTICE.replace(b"STATUS=1", b"STATUS=2")
        .replace(b"990017", b"900007")
        .replace(b"5T8A0Z", b"null")
        .replace(b"Auth+Done", b"Declined")
        .replace(b"78705178", b"78705179")
        .replace(b"=AX", b"=NX")
    )
    assert is_genuine(declined + b"&CHECKSUM=0f3a847815167b03951b154678369ea2")
    assert not is_genuine(declined + b"&CHECKSUM=5a7148c73a36427d13ddbd09b6ca38eb")


def test_an_initiate_in_rand_with_a_notify_address() -> None:
    values = (
        ACCOUNT,
        "order-000042",
        "10000",
        "ZAR",
        "https://shop.example/paygate/return",
        "2026-01-15 08:30:00",
        "en-za",
        "ZAF",
        "buyer@example.co.za",
        "https://shop.example/paygate/notify",
    )
    assert signature.checksum(values, KEY) == "412e827506475d6b0af22fac00e93b6e"


def test_a_field_of_ours_is_hashed_where_it_was_posted() -> None:
    echoed = NOTICE + b"&USER1=UserField"
    assert is_genuine(echoed + b"&CHECKSUM=e3c871052a907e7cf54b437eaffc8895")
    first = b"USER1=UserField&" + NOTICE
    assert not is_genuine(first + b"&CHECKSUM=e3c871052a907e7cf54b437eaffc8895")


def test_the_checksum_may_stand_anywhere_but_only_once() -> None:
    checksum = b"CHECKSUM=f57ccf051307d8d0a0743b31ea379aa1"
    assert is_genuine(checksum + b"&" + NOTICE)
    assert not is_genuine(GENUINE + b"&" + checksum)
    assert not is_genuine(NOTICE)


@pytest.mark.parametrize(
    "given",
    ["", "f57ccf05", "F57CCF051307D8D0A0743B31EA379AA1", "é" * 32, "0" * 32, "%00" * 32],
)
def test_a_checksum_that_is_none_is_refused(given: str) -> None:
    assert not is_genuine(NOTICE + f"&CHECKSUM={given}".encode())


def test_bytes_that_are_no_utf_8_are_hashed_as_they_came() -> None:
    text = b"".join(part.partition(b"=")[2] for part in NOTICE.split(b"&"))
    text = text.replace(b"Auth+Done", b"D\xe9clin") + KEY.encode()
    checksum = hashlib.md5(text, usedforsecurity=False).hexdigest()
    raw = NOTICE.replace(b"Auth+Done", b"D%E9clin") + b"&CHECKSUM=" + checksum.encode()
    assert is_genuine(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"PAYGATE_ID": "merchant"},
        {"PAY_REQUEST_ID": "23B785AE"},
        {"REFERENCE": ""},
        {"REFERENCE": "a b"},
        {"TRANSACTION_STATUS": ""},
        {"TRANSACTION_STATUS": "1\n"},
        {"RESULT_CODE": "x"},
        {"CURRENCY": "zar"},
        {"AMOUNT": "32.99"},
        {"AMOUNT": "-3299"},
        {"AMOUNT": "٣"},
    ],
)
def test_a_notice_looks_like_one_in_every_field(change: dict[str, str]) -> None:
    named = form_text.by_name(form_text.parse(GENUINE))
    assert signature.is_notice(named)
    assert not signature.is_notice(named | change)
    assert not signature.is_notice({})


def test_what_is_sent_has_no_blanks_and_its_checksum_behind() -> None:
    fields = signature.signed((("A", " 1 "), ("B", ""), ("C", "  "), ("D", "é")), KEY)
    assert fields == (("A", "1"), ("D", "é"), ("CHECKSUM", signature.checksum("1é", KEY)))
