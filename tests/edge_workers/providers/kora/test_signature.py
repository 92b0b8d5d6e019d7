"""Kora's signature: the documented vectors, what must not pass, ECMAScript's numbers."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import json_text
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.errors import Misconfigured, Unverified
from edge_workers.providers.kora import KoraApi, KoraPayments, signature

SECRET = "sk_test_vector_key_0001"

K1 = (
    '{"event":"transfer.success","data":{"fee":15,"amount":150.99,"status":"success",'
    '"currency":"NGN","reference":"Z78EYMAUBQ5"}}'
)
K2 = (
    '{"event":"charge.success","data":{"reference":"KPY-PAY-rYF4c5ZWioeb",'
    '"payment_reference":"order-20260115-0001","currency":"XAF","amount":5000,'
    '"amount_expected":5000,"fee":87.5,"status":"success","transaction_status":"success",'
    '"payment_method":"mobile_money","customer":{"name":"Aïcha Ngoé",'
    '"email":"aicha@example.cm"},"metadata":{"back":"https://shop.example/fr/commande/1"}}}'
)
K3 = (
    '{"event":"refund.success","data":{"amount":100,"status":"success","currency":"NGN",'
    '"reference":"123456","payment_reference":"KPY-PAY-0lIrV1pRG",'
    '"refund_date":"2025-01-10 10:00:04","completion_date":"2025-01-10 11:30:00"}}'
)
K4 = (
    '{"event":"charge.success","data":{"reference":"order-1","amount":10.00,"fee":0.290,'
    '"currency":"GHS","status":"success"}}'
)

SIGNED_K1 = "c98b2e416caa47ea9b82ef915e5f5a87dbfff76405052a2b9035999c9d3eab11"

ACCEPTED = [
    pytest.param(K1, SIGNED_K1, id="K-1"),
    pytest.param(K2, "e0b1c0f7c2fa1c67dd8a36bef8581495be7f210bc68bdebb19b3f7ad10cc9f79", id="K-2"),
    pytest.param(K3, "88f622d13a3d0f047aba1a2feadcafcc1f83dc0c3fc8d696ce07190db2e2eed7", id="K-3"),
    pytest.param(
        K4, "c89d25121b5aaf43b6944f209b0eb741af53550c3b22c18cd4ee9fadacfb7171", id="K-4 raw"
    ),
    pytest.param(
        K4, "e68a1731aa1f7ab33dcaac972be51ed7075156ae65d3d2ae2138ebfb0d313267", id="K-4 rewritten"
    ),
]
REFUSED = [
    pytest.param(
        K1, "ac36cb54842ff65a22d582ec03383dd53640b6acc42e820bea12e8499104966e", id="K-1 whole body"
    ),
    pytest.param(
        K1, "f134a2da0b99f3ef317679545f9b9821eda99bdbb1b987c0ea377c776cb0dc3d", id="K-1 spaced"
    ),
    pytest.param(
        K2, "799cf0804dc56f53d26ff2941d8b00edccf21f39e3b6fb145cd44b708b402131", id="K-2 escaped"
    ),
    pytest.param(K3, SIGNED_K1, id="K-1's of K-3"),
    pytest.param(
        K1, "C98B2E416CAA47EA9B82EF915E5F5A87DBFFF76405052A2B9035999C9D3EAB11", id="upper case"
    ),
    pytest.param(K1, "", id="empty"),
    pytest.param(K1, "c98b2e41", id="short"),
    pytest.param(K1, "é" * 64, id="not hex"),
]


def payments(secret: str = SECRET) -> KoraPayments:
    return KoraPayments(
        KoraApi(secret_key=secret, base_url="http://127.0.0.1:9", timeout_seconds=1.0)
    )


def webhook(body: str | bytes, signed: str | None) -> WebhookRequest:
    raw = body.encode() if isinstance(body, str) else body
    headers = {} if signed is None else {"X-Korapay-Signature": signed}
    return WebhookRequest(raw=raw, headers=headers)


def signed_sha256(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("body", "signed"), ACCEPTED)
def test_a_vector_is_accepted(body: str, signed: str) -> None:
    payments().verify(webhook(body, signed))


@pytest.mark.parametrize(("body", "signed"), REFUSED)
def test_what_a_vector_warns_of_is_refused(body: str, signed: str) -> None:
    with pytest.raises(Unverified):
        payments().verify(webhook(body, signed))


def test_sha512_over_the_body_is_refused() -> None:
    signed = hmac.new(SECRET.encode(), K1.encode(), hashlib.sha512).hexdigest()
    with pytest.raises(Unverified):
        payments().verify(webhook(K1, signed))


@pytest.mark.parametrize(("body", "signed"), ACCEPTED)
def test_another_key_is_refused(body: str, signed: str) -> None:
    with pytest.raises(Unverified):
        payments("sk_test_vector_key_0002").verify(webhook(body, signed))


def test_a_body_with_spaces_passes_by_its_rewritten_form() -> None:
    spaced = K1.replace(":", " : ").replace(",", " ,\n")
    payments().verify(webhook(spaced, SIGNED_K1))


def test_no_header_is_refused() -> None:
    with pytest.raises(Unverified) as failure:
        payments().verify(webhook(K1, None))
    assert failure.value.code == "signature_missing"


@pytest.mark.parametrize("secret", ["", "  ", "clé"])
def test_no_usable_key_fails_closed(secret: str) -> None:
    with pytest.raises(Misconfigured):
        payments(secret)
    body = signature.read(K1.encode())
    assert signature.is_genuine(body, signature.sign(body.data_text, ""), "") is False


def test_two_datas_are_refused_even_when_one_is_signed() -> None:
    data = K1.removeprefix('{"event":"transfer.success","data":').removesuffix("}")
    for body in (
        f'{{"data":{data},"data":{{"reference":"other"}}}}',
        f'{{"data":{{"reference":"other"}},"event":"x","data":{data}}}',
        f'{{"d\\u0061ta":{{"reference":"other"}},"data":{data}}}',
    ):
        with pytest.raises(Unverified):
            payments().verify(webhook(body, SIGNED_K1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"event":"x"}',
        b'{"data":NaN}',
        b'{"data":1}trailing',
        b'\xef\xbb\xbf{"data":1}',
        b'{"data":"\xff"}',
        b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"data":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"data":"' + b"x" * 300_000 + b'"}',
        b'{"data":' + b"9" * 5000 + b"}",
        b'{"data":1e999999999999999999999}',
    ],
)
def test_what_is_no_webhook_is_refused_and_locates_nothing(body: bytes) -> None:
    message = webhook(body, "0" * 64)
    assert payments().locate(message).references == ()
    with pytest.raises(Unverified):
        payments().verify(message)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("10.00", "10"),
        ("0.290", "0.29"),
        ("150.99", "150.99"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.0", "0"),
        ("1E2", "100"),
        ("1e21", "1e+21"),
        ("123456789012345678901", "123456789012345680000"),
        ("1e20", "100000000000000000000"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("1.5e-9", "1.5e-9"),
        ("-1234.5e-10", "-1.2345e-7"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e400", "null"),
        ("-1e400", "null"),
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("4.35", "4.35"),
        ("100", "100"),
        ("12345678901234567890123", "1.2345678901234568e+22"),
    ],
)
def test_a_number_is_written_as_ecmascript_does(written: str, text: str) -> None:
    assert signature.stringify(json_text.loads(written)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "10": 2, "2": 3, "a": 4, "01": 5}, '{"2":3,"10":2,"b":1,"a":4,"01":5}'),
        ({"4294967295": 1, "4294967294": 2}, '{"4294967294":2,"4294967295":1}'),
        ("Aïcha/é\u2028", '"Aïcha/é\u2028"'),
        ('"\\\b\f\n\r\t\x00\x1f\x7f', '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("\ud800", '"\\ud800"'),
        ("\U0001f600", '"\U0001f600"'),
        ([None, True, False, Decimal("1.50"), [], {}], "[null,true,false,1.5,[],{}]"),
    ],
)
def test_a_value_is_written_as_ecmascript_does(value: Any, text: str) -> None:
    assert signature.stringify(value) == text


def test_a_signature_over_half_a_surrogate_pair_is_verified() -> None:
    body = '{"event":"charge.success","data":{"reference":"order-1", "name":"\\ud83d"}}'
    rewritten = '{"reference":"order-1","name":"\\ud83d"}'
    payments().verify(webhook(body, signed_sha256(rewritten)))
