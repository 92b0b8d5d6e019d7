"""A callback proves nothing but its address, and says nothing but that something happened."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import PaymentQuery, WebhookRequest
from edge_workers.providers.errors import Unverified
from edge_workers.providers.mtn import MtnPayments
from tests.contracts.peer import Said, peer
from tests.edge_workers.providers.mtn.test_requests import PAYMENT_ID, TOKEN, payments, product

URL_TOKEN = "0123456789abcdef0123456789abcdef"
M2 = (
    '{"externalId":"order-000042","amount":"5000","currency":"XAF",'
    '"payer":{"partyIdType":"MSISDN","partyId":"237650000000"},"status":"SUCCESSFUL",'
    '"financialTransactionId":"1"}'
)


def provider() -> MtnPayments:
    return MtnPayments(product("collection", "http://127.0.0.1:9"), None)


def webhook(body: Any, token: str | None = URL_TOKEN) -> WebhookRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest(raw=raw, headers={"content-type": "application/json"}, token=token)


def a_callback(**changes: Any) -> dict[str, Any]:
    body = {**json.loads(M2), **changes}
    return {name: value for name, value in body.items() if value is not ...}


def test_vector_m_2_a_callback_says_paid_and_the_answer_pending_decides() -> None:
    message = webhook(M2.encode())
    provider().verify(message, [URL_TOKEN])
    event = provider().parse(message)
    assert (event.kind, event.status, event.references) == ("payment", "paid", ("order-000042",))
    assert event.token == URL_TOKEN
    pending = Said(200, json.dumps(a_callback(status="PENDING")).encode())
    with peer(TOKEN, pending) as gateway:
        result = payments(gateway).fetch(
            PaymentQuery(payment_id=PAYMENT_ID, reference="order-000042", notice=message.raw)
        )
    assert (result.status, result.is_found) == ("pending", True)


def test_the_address_and_the_body_lead_to_the_payment() -> None:
    location = provider().locate(webhook(M2.encode()))
    assert location.references == ("order-000042",)
    assert location.tokens == (URL_TOKEN,)
    assert location.needs_secrets is True


@pytest.mark.parametrize(
    ("token", "secrets", "code"),
    [
        (None, [URL_TOKEN], "token_missing"),
        ("", [""], "token_missing"),
        (URL_TOKEN, [], "token_wrong"),
        (URL_TOKEN, [""], "token_wrong"),
        (URL_TOKEN[:-1], [URL_TOKEN], "token_wrong"),
        (URL_TOKEN.upper(), [URL_TOKEN], "token_wrong"),
        ("é\ud800", [URL_TOKEN], "token_wrong"),
    ],
)
def test_another_token_is_refused(token: str | None, secrets: list[str], code: str) -> None:
    with pytest.raises(Unverified) as failure:
        provider().verify(webhook(M2.encode(), token), secrets)
    assert failure.value.code == code


def test_any_of_the_located_payments_tokens_will_do() -> None:
    provider().verify(webhook(M2.encode()), ["other", URL_TOKEN, "third"])


@pytest.mark.parametrize(
    ("status", "reason", "meaning"),
    [
        ("SUCCESSFUL", ..., "paid"),
        ("FAILED", ..., "failed"),
        ("FAILED", "PAYER_NOT_FOUND", "failed"),
        ("FAILED", "APPROVAL_REJECTED", "cancelled"),
        ("FAILED", {"code": "EXPIRED", "message": "x"}, "cancelled"),
        ("FAILED", ["EXPIRED"], "failed"),
        ("PENDING", ..., "pending"),
        ("successful", ..., "paid"),
        ("REVERSED_BY_ALIENS", ..., "pending"),
    ],
)
def test_a_status_and_its_reason_have_a_meaning(status: str, reason: Any, meaning: str) -> None:
    event = provider().parse(webhook(a_callback(status=status, reason=reason)))
    assert event.status == meaning


def test_the_same_event_has_the_same_key_and_no_token_in_it() -> None:
    keys = {
        provider().parse(webhook(a_callback(**changes))).dedupe_key
        for changes in ({}, {"amount": 5000}, {"financialTransactionId": 1}, {"new": "member"})
    }
    assert len(keys) == 1
    assert URL_TOKEN not in keys.pop()
    others = {
        provider().parse(message).dedupe_key
        for message in (
            webhook(a_callback()),
            webhook(a_callback(status="FAILED")),
            webhook(a_callback(externalId="order-000043")),
            webhook(a_callback(), URL_TOKEN[::-1]),
            webhook(a_callback(payer=..., payee={"partyIdType": "MSISDN", "partyId": "2"})),
        )
    }
    assert len(others) == 5


def test_money_that_goes_out_names_a_payee_and_is_a_refund() -> None:
    body = a_callback(payer=..., payee={"partyIdType": "MSISDN", "partyId": "237650000000"})
    event = provider().parse(webhook(body))
    assert (event.kind, event.event_type, event.status) == (
        "refund",
        "refund.SUCCESSFUL",
        "pending",
    )
    assert (event.references, event.token) == (("order-000042",), URL_TOKEN)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"status":5}', b'{"status":" "}'],
)
def test_what_is_not_understood_is_still_an_event_of_its_payment(body: bytes) -> None:
    message = webhook(body)
    provider().verify(message, [URL_TOKEN])
    event = provider().parse(message)
    assert (event.kind, event.status, event.token) == ("other", "pending", URL_TOKEN)
    assert event.dedupe_key.endswith(hashlib.sha256(body).hexdigest()[:32])
    assert URL_TOKEN not in event.dedupe_key


@pytest.mark.parametrize(
    ("changes", "references"),
    [
        ({"externalId": 947354}, ("947354",)),
        ({"externalId": True}, ()),
        ({"externalId": "a b"}, ()),
        ({"externalId": "x" * 300}, ()),
        ({"externalId": ...}, ()),
    ],
)
def test_a_reference_is_one_of_plain_characters(
    changes: dict[str, Any], references: tuple[str, ...]
) -> None:
    message = webhook(a_callback(**changes))
    assert provider().locate(message).references == references
    assert provider().parse(message).references == references


def test_its_marks_are_the_members_of_a_callback() -> None:
    assert provider().recognises(webhook(a_callback()))
    assert provider().recognises(webhook(a_callback(payer=..., payee={"partyIdType": "MSISDN"})))
    for changes in ({"payer": ...}, {"status": ...}, {"externalId": ...}, {"payer": "237"}):
        assert not provider().recognises(webhook(a_callback(**changes)))
