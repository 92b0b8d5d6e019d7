"""A notice proves itself by a token alone, and leads to the payment by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.errors import Unverified
from edge_workers.providers.orange import OrangePayments
from tests.contracts.peer import Peer, peer
from tests.edge_workers.providers.orange.gate import (
    NOTICE,
    NOTIF_TOKEN,
    PAY_TOKEN,
    QUERY,
    REQUEST,
    SESSION,
    TRANSACTION_ID,
    a_status,
    a_token,
    payments,
    said,
)

OUR_TOKEN = "0" * 32


def webhook(body: Any = NOTICE, **more: Any) -> WebhookRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest(raw=raw, headers={"content-type": "application/json"}, **more)


@pytest.fixture
def gateway() -> Iterator[Peer]:
    """It must not be asked while a notice is looked at."""
    with peer() as listening:
        yield listening
        assert listening.heard == []


@pytest.fixture
def provider(gateway: Peer) -> OrangePayments:
    return payments(gateway)


def test_a_genuine_notice_and_the_status_make_it_paid() -> None:
    """Vector O-2."""
    with peer(a_token(), said(SESSION, 201), a_status()) as gateway:
        provider = payments(gateway)
        started = provider.start(REQUEST)
        secret = started.webhook_token or ""
        assert provider.locate(webhook()).tokens == (secret,)
        provider.verify(webhook(), [secret])
        event = provider.parse(webhook())
        assert (event.kind, event.status, event.token) == ("payment", "paid", secret)
        result = provider.fetch(QUERY)
    assert (result.status, result.gateway_transaction_id) == ("paid", "MP150709.1341.A00073")


def test_a_notice_with_another_token_is_refused(provider: OrangePayments) -> None:
    """Vector O-3."""
    forged = webhook(NOTICE | {"notif_token": "dd497bda3b250e536186fc0663f32f41"})
    for secrets in ([NOTIF_TOKEN], [OUR_TOKEN, NOTIF_TOKEN], []):
        with pytest.raises(Unverified) as failure:
            provider.verify(forged, secrets)
        assert failure.value.code == "token_wrong"


def test_a_notice_does_not_hurry_a_payment_that_is_on_its_way() -> None:
    """Vector O-4."""
    with peer(a_token(), a_status("PENDING")) as gateway:
        provider = payments(gateway)
        provider.verify(webhook(), [NOTIF_TOKEN])
        assert provider.fetch(QUERY).status == "pending"


def test_a_notice_is_found_by_its_token_and_not_by_the_address(provider: OrangePayments) -> None:
    location = provider.locate(webhook(token=OUR_TOKEN))
    assert (location.tokens, location.references) == ((NOTIF_TOKEN,), ())
    assert location.needs_secrets
    with pytest.raises(Unverified):
        provider.verify(webhook(token=OUR_TOKEN), [OUR_TOKEN])


def test_one_of_several_tokens_is_enough(provider: OrangePayments) -> None:
    provider.verify(webhook(), [OUR_TOKEN, NOTIF_TOKEN])
    provider.verify(webhook(), ["clé", NOTIF_TOKEN])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 200_000,
        b"null",
        b'"text"',
        [NOTICE],
        {},
        NOTICE | {"notif_token": None},
        NOTICE | {"notif_token": ""},
        NOTICE | {"notif_token": 5},
        NOTICE | {"notif_token": [NOTIF_TOKEN]},
        NOTICE | {"notif_token": "short"},
        NOTICE | {"notif_token": "é" * 32},
        NOTICE | {"notif_token": "\ud800" * 32},
        NOTICE | {"notif_token": "x" * 501},
        NOTICE | {"notif_token": NOTIF_TOKEN + "\n"},
        {"status": "SUCCESS", "pay_token": PAY_TOKEN},
    ],
)
def test_a_message_without_a_token_is_nobodys(body: Any, provider: OrangePayments) -> None:
    message = webhook(body)
    assert not provider.recognises(message)
    assert provider.locate(message).tokens == ()
    with pytest.raises(Unverified) as failure:
        provider.verify(message, [NOTIF_TOKEN, ""])
    assert failure.value.code == "token_missing"


def test_the_token_is_its_mark(provider: OrangePayments) -> None:
    assert provider.recognises(webhook())
    assert not provider.recognises(webhook({"event": "charge.success", "data": {}}))


@pytest.mark.parametrize(
    ("word", "status", "event_type"),
    [
        ("SUCCESS", "paid", "webpayment.success"),
        ("FAILED", "failed", "webpayment.failed"),
        ("EXPIRED", "cancelled", "webpayment.expired"),
        ("REVERSED", "pending", "webpayment.reversed"),
    ],
)
def test_an_event_is_known_by_its_token_and_status(
    word: str, status: str, event_type: str, provider: OrangePayments
) -> None:
    event = provider.parse(webhook(NOTICE | {"status": word}))
    assert (event.kind, event.status, event.event_type) == ("payment", status, event_type)
    digest = hashlib.sha256(NOTIF_TOKEN.encode()).hexdigest()
    assert event.dedupe_key == f"{digest}:{word}"
    assert (event.references, event.token) == ((TRANSACTION_ID,), NOTIF_TOKEN)


def test_the_same_event_in_other_words_is_the_same(provider: OrangePayments) -> None:
    again = json.dumps(NOTICE | {"amount": 5, "txnid": "another"}, indent=2).encode()
    assert provider.parse(webhook(again)).dedupe_key == provider.parse(webhook()).dedupe_key


@pytest.mark.parametrize(
    "changes", [{"status": None}, {"status": ""}, {"status": 201}, {"status": "s" * 41}]
)
def test_an_event_that_is_not_understood_is_still_one(
    changes: dict[str, Any], provider: OrangePayments
) -> None:
    message = webhook(NOTICE | changes)
    event = provider.parse(message)
    assert (event.kind, event.status, event.token) == ("other", "pending", NOTIF_TOKEN)
    assert event.dedupe_key == f"other:{hashlib.sha256(message.raw).hexdigest()}"


@pytest.mark.parametrize("txnid", [None, "", 5, "a b", "x" * 101])
def test_a_transaction_id_that_is_none_is_left_out(txnid: Any, provider: OrangePayments) -> None:
    assert provider.parse(webhook(NOTICE | {"txnid": txnid})).references == ()


def test_orange_hears_that_it_was_taken(provider: OrangePayments) -> None:
    answer = provider.answer(provider.parse(webhook()))
    assert (answer.status, answer.body) == (200, "OK")
