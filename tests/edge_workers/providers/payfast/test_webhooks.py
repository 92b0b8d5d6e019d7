"""What a notice says, what it is known by, and what it has to prove."""

from __future__ import annotations

import dataclasses

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.errors import Misconfigured, Unavailable, Unverified
from edge_workers.providers.payfast import PayfastPayments, Source, signature
from tests.edge_workers.providers.payfast.account import PASSPHRASE, REFERENCE, answering
from tests.edge_workers.providers.payfast.test_signature import F1, F2, F5, F5_SIGNATURE

TOKEN = "a3b3ae55-ab8b-b388-df23-4e6882b86ce0"
FIELDS = {
    "m_payment_id": REFERENCE,
    "pf_payment_id": "1089250",
    "payment_status": "COMPLETE",
    "amount_gross": "100.00",
    "custom_str1": "",
    "merchant_id": "10000100",
}


def payments() -> PayfastPayments:
    with answering() as desk:
        return desk.payments


def signed(fields: dict[str, str], passphrase: str = PASSPHRASE) -> bytes:
    computed = signature.notice_signature(fields.items(), passphrase)
    return f"{form_text.write(fields.items())}&signature={computed}".encode()


def webhook(raw: bytes, address: str | None = "127.0.0.1") -> WebhookRequest:
    return WebhookRequest(
        raw=raw,
        headers={"content-type": "application/x-www-form-urlencoded"},
        token="0123456789abcdef0123456789abcdef",
        remote_address=address,
    )


def refusal(raw: bytes, address: str | None = "127.0.0.1") -> str:
    with pytest.raises(Unverified) as failure:
        payments().verify(webhook(raw, address))
    return failure.value.code


def test_the_vectors_notices_are_genuine() -> None:
    payments().verify(webhook(f"{F5}&signature={F5_SIGNATURE}".encode()))
    raw = f"{form_text.write(F2)}&signature=ac4c3e993d31b5b9d525dc0087051437"
    payments().verify(webhook(raw.encode()))
    other = f"{form_text.write(F1)}&signature={signature.notice_signature(F1, PASSPHRASE)}"
    assert refusal(other.encode()) == "merchant_other"


def test_blank_fields_and_the_order_are_signed() -> None:
    right = signed(FIELDS)
    payments().verify(webhook(right))
    assert refusal(right.replace(b"&custom_str1=", b"")) == "signature_wrong"
    body, _, given = right.partition(b"&signature=")
    reordered = b"&".join(reversed(body.split(b"&"))) + b"&signature=" + given
    assert refusal(reordered) == "signature_wrong"


@pytest.mark.parametrize("passphrase", ["", "other"])
def test_another_passphrase_does_not_fit(passphrase: str) -> None:
    assert refusal(signed(FIELDS, passphrase)) == "signature_wrong"


def test_what_follows_the_signature_is_neither_signed_nor_read() -> None:
    raw = signed(FIELDS) + b"&payment_status=FAILED&m_payment_id=mg-of-another"
    payments().verify(webhook(raw))
    event = payments().parse(webhook(raw))
    assert (event.status, event.references) == ("paid", (REFERENCE, "1089250"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"signature=",
        b"&&&",
        b"\xff\xfe\x00",
        b"%",
        form_text.write(FIELDS.items()).encode(),
        signed(FIELDS)[:-1],
        b"x" * 40_000 + signed(FIELDS),
        signed(FIELDS | {"merchant_id": "10000101"}),
        signed({name: FIELDS[name] for name in FIELDS if name != "merchant_id"}),
    ],
)
def test_what_proves_nothing_is_refused(raw: bytes) -> None:
    assert refusal(raw)


def test_the_form_that_a_payer_was_given_is_no_notice_though_it_is_signed_alike() -> None:
    form = [
        ("merchant_id", "10000100"),
        ("merchant_key", "46f0cd694581a"),
        ("m_payment_id", REFERENCE),
        ("amount", "100.00"),
        ("item_name", "Mallgram"),
    ]
    given = signature.form_signature(form, PASSPHRASE)
    raw = f"{form_text.write(form)}&signature={given}&payment_status=COMPLETE&pf_payment_id=1"
    assert refusal(raw.encode()) == "body_unreadable"


def test_what_follows_the_signature_makes_no_other_event() -> None:
    raw = signed(FIELDS | {"payment_status": ""})
    first, again = (payments().parse(webhook(raw + tail)) for tail in (b"", b"&x=1"))
    assert first.dedupe_key == again.dedupe_key


def test_a_field_that_stands_twice_is_refused_though_it_is_signed() -> None:
    twice = (*FIELDS.items(), ("m_payment_id", "mg-of-another"))
    raw = f"{form_text.write(twice)}&signature={signature.notice_signature(twice, PASSPHRASE)}"
    assert refusal(raw.encode()) == "body_unreadable"
    assert payments().locate(webhook(raw.encode())).references == ()


def test_bytes_of_another_character_set_are_verified_as_they_came() -> None:
    raw = signed(FIELDS | {"name_first": "Ren\udce9"})
    assert b"name_first=Ren%E9&" in raw
    payments().verify(webhook(raw))


def test_a_genuine_notice_from_somewhere_else_is_refused() -> None:
    assert refusal(signed(FIELDS), "192.0.2.1") == "source_other"
    assert refusal(signed(FIELDS), None) == "source_unknown"


def test_the_sender_is_looked_up_only_for_what_is_rightly_signed() -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        raise OSError

    with answering() as desk:
        adapter = PayfastPayments(
            desk.payments._api, Source(networks=(), hosts=("www",), resolve=resolve)
        )
    with pytest.raises(Unverified):
        adapter.verify(webhook(signed(FIELDS, "other")))
    assert asked == []
    with pytest.raises(Unavailable) as failure:
        adapter.verify(webhook(signed(FIELDS)))
    assert (failure.value.code, asked) == ("source_unresolved", ["www"])


def test_without_known_senders_nothing_is_taken() -> None:
    with answering() as desk:
        adapter = PayfastPayments(desk.payments._api, Source(networks=(), hosts=()))
    with pytest.raises(Misconfigured):
        adapter.verify(webhook(signed(FIELDS)))


def test_an_event_is_known_by_transaction_and_status() -> None:
    event = payments().parse(webhook(signed(FIELDS)))
    assert (event.event_type, event.kind, event.status) == ("COMPLETE", "payment", "paid")
    assert event.dedupe_key == "1089250:COMPLETE"
    assert event.references == (REFERENCE, "1089250")
    assert event.token is None
    location = payments().locate(webhook(signed(FIELDS)))
    assert (location.references, location.tokens) == (event.references, ())
    assert location.needs_secrets is False


def test_two_payments_of_one_form_are_two_events_of_one_payment() -> None:
    events = [
        payments().parse(webhook(signed(FIELDS | {"pf_payment_id": number})))
        for number in ("1089250", "1089251")
    ]
    assert len({event.dedupe_key for event in events}) == 2
    assert {event.references[0] for event in events} == {REFERENCE}


def test_events_of_one_transaction_differ_by_status_alone() -> None:
    pending = payments().parse(webhook(signed(FIELDS | {"payment_status": "PENDING"})))
    again = payments().parse(webhook(signed(FIELDS | {"amount_gross": "1.00"})))
    first = payments().parse(webhook(signed(FIELDS)))
    assert pending.dedupe_key != first.dedupe_key == again.dedupe_key


def test_a_card_that_was_given_up_is_no_payments_event() -> None:
    event = payments().parse(
        webhook(signed(FIELDS | {"payment_status": "CANCELLED", "token": TOKEN}))
    )
    assert (event.kind, event.status) == ("other", "pending")
    assert TOKEN not in event.dedupe_key
    plain = payments().parse(webhook(signed(FIELDS | {"payment_status": "CANCELLED"})))
    assert (plain.kind, plain.status) == ("payment", "cancelled")


@pytest.mark.parametrize(
    "changes",
    [
        {"pf_payment_id": ""},
        {"pf_payment_id": "12; drop"},
        {"pf_payment_id": "1" * 21},
        {"payment_status": ""},
        {"payment_status": "x" * 500},
        {"m_payment_id": ""},
        {"m_payment_id": "a b"},
    ],
)
def test_an_event_that_is_not_understood_is_still_one(changes: dict[str, str]) -> None:
    event = payments().parse(webhook(signed(FIELDS | changes)))
    assert (event.kind, event.status) == ("other", "pending")
    assert event.dedupe_key.startswith("other:")
    assert len(event.dedupe_key) == len("other:") + 64
    assert 0 < len(event.event_type) <= 40


def test_a_notice_is_recognised_by_its_names() -> None:
    assert payments().recognises(webhook(signed(FIELDS)))
    for name in ("pf_payment_id", "payment_status", "merchant_id"):
        assert not payments().recognises(
            webhook(signed({key: FIELDS[key] for key in FIELDS if key != name}))
        )
    paygate = b"PAYGATE_ID=1&PAY_REQUEST_ID=2&REFERENCE=3&CHECKSUM=4"
    assert not payments().recognises(webhook(paygate))


def test_payfast_hears_a_plain_200() -> None:
    answer = payments().answer(None)
    assert (answer.status, answer.body) == (200, "OK")
    assert dataclasses.replace(answer) == answer
