"""How a payment stands: by its notice, by PayFast's id, by the history."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.contracts.payments import PaymentQuery
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.payfast import payments as adapter
from edge_workers.providers.payfast import signature
from tests.contracts.peer import Said
from tests.edge_workers.providers.payfast.account import (
    NOW,
    PASSPHRASE,
    REFERENCE,
    answering,
    as_json,
    enveloped,
    query_of,
    refused,
    row,
    table,
)

VALID, INVALID = Said(200, b"VALID\n"), Said(200, b"INVALID")
TOKEN = "a3b3ae55-ab8b-b388-df23-4e6882b86ce0"


def a_query(**changes: Any) -> PaymentQuery:
    known: dict[str, Any] = {
        "payment_id": "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
        "reference": REFERENCE,
        "amount": Decimal("199.90"),
        "currency": "ZAR",
        "method": "card",
        "started_at": datetime(2026, 1, 15, 8, 0, tzinfo=UTC),
    }
    return PaymentQuery(**(known | changes))


def a_notice(**changes: str) -> bytes:
    fields = {
        "m_payment_id": REFERENCE,
        "pf_payment_id": "994209",
        "payment_status": "COMPLETE",
        "item_name": "Mallgram MG-1001",
        "item_description": "",
        "amount_gross": "199.90",
        "amount_fee": "-9.66",
        "amount_net": "190.24",
        "merchant_id": "10000100",
    } | changes
    signed = signature.notice_signature(fields.items(), PASSPHRASE)
    return f"{form_text.write(fields.items())}&signature={signed}".encode()


# with a notice


def test_a_notice_counts_once_payfast_confirmed_it() -> None:
    raw = a_notice()
    with answering(VALID) as desk:
        result = desk.payments.fetch(a_query(notice=raw))
    assert (result.status, result.amount, result.currency) == ("paid", Decimal("199.90"), "ZAR")
    assert (result.fee, result.gateway_transaction_id) == (Decimal("9.66"), "994209")
    assert (result.gateway_status, result.saved_method) == ("COMPLETE", None)
    assert desk.asked == ["POST /eng/query/validate"]
    sent = desk.gateway.heard[0]
    assert sent.raw == raw.partition(b"&signature=")[0]
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "signature" not in sent.headers


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("COMPLETE", "paid"),
        ("FAILED", "failed"),
        ("PENDING", "pending"),
        ("CANCELLED", "cancelled"),
        ("complete", "pending"),
        ("REFUNDED", "pending"),
        ("", "pending"),
    ],
)
def test_a_word_that_is_not_known_is_pending(word: str, status: str) -> None:
    with answering(VALID) as desk:
        result = desk.payments.fetch(a_query(notice=a_notice(payment_status=word)))
    assert (result.status, result.is_found) == (status, True)


def test_a_notice_that_is_not_confirmed_is_no_answer() -> None:
    with answering(INVALID) as desk:
        result = desk.payments.fetch(a_query(notice=a_notice()))
    assert (result.status, result.is_found) == ("pending", True)
    assert (result.reason, result.amount) == ("notice_not_confirmed", None)
    assert (result.gateway_transaction_id, result.saved_method) == (None, None)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b""),
        Said(200, b"<html>VALID</html>"),
        Said(200, b"VALIDATED"),
        Said(200, b"VERIFIED"),
        Said(404, b"VALID"),
        Said(500, b"VALID"),
        Said(302, b"VALID", {"location": "http://127.0.0.1:9/"}),
    ],
)
def test_an_answer_that_is_neither_decides_nothing(said: Said) -> None:
    with answering(said) as desk, pytest.raises(Unavailable):
        desk.payments.fetch(a_query(notice=a_notice()))


@pytest.mark.parametrize("body", [b"VALID", b"VALID\r\nmore", b"\nVALID\n", b" VALID \n\n"])
def test_only_the_first_line_is_read(body: bytes) -> None:
    with answering(Said(200, body)) as desk:
        assert desk.payments.fetch(a_query(notice=a_notice())).status == "paid"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (a_notice(m_payment_id="mg-of-another"), "notice_mismatch"),
        (a_notice(merchant_id="10000101"), "notice_mismatch"),
        (b"m_payment_id=mg-1", "notice_unreadable"),
        (b"", "notice_unreadable"),
        (b"\xff\xfe", "notice_unreadable"),
    ],
)
def test_a_notice_about_something_else_is_not_even_confirmed(raw: bytes, code: str) -> None:
    with answering(VALID) as desk:
        with pytest.raises(Rejected) as failure:
            desk.payments.fetch(a_query(notice=raw))
        assert (failure.value.code, desk.asked) == (code, [])


def test_each_of_two_payments_of_one_form_is_answered_by_its_own_notice() -> None:
    with answering(VALID) as desk:
        first = desk.payments.fetch(a_query(notice=a_notice()))
        second = desk.payments.fetch(
            a_query(notice=a_notice(pf_payment_id="994210"), gateway_transaction_id="994209")
        )
    assert [first.gateway_transaction_id, second.gateway_transaction_id] == ["994209", "994210"]


@pytest.mark.parametrize("tokens", [True, False])
def test_a_kept_card_is_told_by_its_token(tokens: bool) -> None:
    with answering(VALID, tokens=tokens) as desk:
        saved = desk.payments.fetch(a_query(notice=a_notice(token=TOKEN))).saved_method
    if tokens:
        assert saved is not None
        assert (saved.token, saved.label, saved.expires_on) == (TOKEN, "PayFast …6ce0", None)
    else:
        assert saved is None


def test_a_card_that_was_given_up_cancels_no_payment() -> None:
    raw = a_notice(payment_status="CANCELLED", token=TOKEN)
    with answering(VALID, tokens=True) as desk:
        assert desk.payments.fetch(a_query(notice=raw)).status == "pending"


def test_an_amount_that_cannot_be_read_is_not_made_up() -> None:
    with answering(VALID) as desk:
        result = desk.payments.fetch(a_query(notice=a_notice(amount_gross="1e3", amount_fee="")))
    assert (result.status, result.amount, result.fee) == ("paid", None, None)


# by the history


def test_a_lost_notice_is_made_good_by_the_history() -> None:
    with answering(table(row("mg-other", "1"), row())) as desk:
        result = desk.payments.fetch(a_query())
    assert (result.status, result.amount, result.currency) == ("paid", Decimal("199.90"), "ZAR")
    assert (result.fee, result.gateway_transaction_id) == (Decimal("9.66"), "994209")
    assert desk.asked == ["GET /transactions/history?from=2026-01-15&limit=1000"]


def test_a_call_carries_signed_headers_with_the_gateways_time() -> None:
    with answering(table(), is_testing=True) as desk:
        desk.payments.fetch(a_query())
    heard = desk.gateway.heard[0]
    headers = {name: heard.headers[name] for name in ("merchant-id", "version", "timestamp")}
    assert headers == {
        "merchant-id": "10000100",
        "version": "v1",
        "timestamp": "2026-01-15T10:30:00+0200",
    }
    assert query_of(heard) == {"from": "2026-01-15", "limit": "1000", "testing": "true"}
    signed = headers | {"from": "2026-01-15", "limit": "1000"}
    assert heard.headers["signature"] == signature.api_signature(signed, PASSPHRASE)
    assert all(PASSPHRASE not in value for value in (*heard.headers.values(), heard.path))


@pytest.mark.parametrize("rows", [(), (row("mg-other", "1"),)])
def test_a_page_that_was_left_is_found_nowhere(rows: tuple[str, ...]) -> None:
    with answering(table(*rows)) as desk:
        result = desk.payments.fetch(a_query())
    assert (result.status, result.is_found) == ("pending", False)
    assert result.reason == "unknown_at_gateway"


@pytest.mark.parametrize(
    ("started_at", "now", "days"),
    [
        (datetime(2026, 1, 15, 8, 0, tzinfo=UTC), NOW, {"from": "2026-01-15"}),
        # 21:59 and 22:04 UTC are 23:59 and 00:04 of PayFast's clock, which may be slow
        (datetime(2026, 1, 14, 21, 59, tzinfo=UTC), NOW, {"from": "2026-01-14"}),
        (datetime(2026, 1, 14, 22, 4, tzinfo=UTC), NOW, {"from": "2026-01-14"}),
        (datetime(2026, 1, 14, 22, 6, tzinfo=UTC), NOW, {"from": "2026-01-15"}),
        (None, NOW, {"from": "2026-01-15"}),
        (datetime(2026, 2, 1, tzinfo=UTC), NOW, {"from": "2026-01-15"}),
        (datetime(2025, 12, 15, 9, 0, tzinfo=UTC), NOW, {"from": "2025-12-15"}),
        (
            datetime(2025, 6, 1, 9, 0, tzinfo=UTC),
            NOW,
            {"from": "2025-06-01", "to": "2025-07-02"},
        ),
    ],
)
def test_the_history_is_asked_from_the_day_the_attempt_began(
    started_at: datetime | None, now: datetime, days: dict[str, str]
) -> None:
    with answering(table(), now=now) as desk:
        desk.payments.fetch(a_query(started_at=started_at))
    assert query_of(desk.gateway.heard[0]) == days | {"limit": "1000"}


def test_the_history_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAGE_ROWS", 2)
    others = [row("mg-other", str(number)) for number in range(4)]
    pages = (table(*others[:2]), table(*others[2:]), table(row()))
    with answering(*pages) as desk:
        assert desk.payments.fetch(a_query()).status == "paid"
    assert [query_of(heard).get("offset") for heard in desk.gateway.heard] == [None, "2", "4"]


def test_a_history_without_end_is_not_called_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAGE_ROWS", 1)
    with answering(table(row("mg-other", "1"))) as desk:
        with pytest.raises(Unavailable) as failure:
            desk.payments.fetch(a_query())
        assert failure.value.code == "history_too_long"
        assert len(desk.asked) == adapter.MOST_PAGES


def test_of_two_payments_the_first_is_told_and_the_second_where_it_is_asked_for() -> None:
    lines = (row(transaction="994210", gross="1,199.90"), row(), row(transaction="1000000"))
    rows = table(*lines)
    with answering(rows) as desk:
        assert desk.payments.fetch(a_query()).gateway_transaction_id == "994209"
    with answering(refused(400), rows) as desk:
        second = desk.payments.fetch(a_query(gateway_transaction_id="994210"))
    assert (second.gateway_transaction_id, second.amount) == ("994210", Decimal("1199.90"))


@pytest.mark.parametrize(
    ("back", "status"),
    [
        ([], "paid"),
        ([row(gross="-50.00", kind="FUNDS_RECEIVED_REFUND", sign="DEBIT")], "paid"),
        ([row(gross="-199.90", kind="Funds Received (Reversal)", sign="Debit")], "refunded"),
        (
            [
                row("", gross="-100.00", kind="Funds Received (Refund)", sign="DEBIT"),
                row("", gross="-99.90", kind="Funds Received (Refund)", sign="DEBIT"),
            ],
            "refunded",
        ),
        ([row(transaction="1", gross="-199.90", sign="DEBIT")], "paid"),
        ([row(gross="-9.66", kind="FEE_DEBITED", sign="DEBIT")], "paid"),
    ],
)
def test_money_that_went_back_is_told_once_all_of_it_did(back: list[str], status: str) -> None:
    with answering(table(row(), *back)) as desk:
        result = desk.payments.fetch(a_query())
    assert (result.status, result.amount) == (status, Decimal("199.90"))


@pytest.mark.parametrize(
    "line",
    [
        row(kind="PAYOUT"),
        row(sign="DEBIT"),
        row(gross="-199.90"),
        row(gross="0.00"),
        row(transaction=""),
        row(reference=""),
        row(reference=REFERENCE.upper()),
    ],
)
def test_a_line_that_is_no_money_of_this_payment_pays_nothing(line: str) -> None:
    with answering(table(line)) as desk:
        assert desk.payments.fetch(a_query()).is_found is False


def test_an_amount_of_the_history_that_cannot_be_read_is_not_no_payment() -> None:
    with answering(table(row(gross="much"))) as desk:
        result = desk.payments.fetch(a_query())
    assert (result.status, result.amount) == ("paid", None)


def test_another_currency_is_told_as_it_stands() -> None:
    with answering(table(row(currency="usd"))) as desk:
        assert desk.payments.fetch(a_query()).currency == "USD"


def test_the_history_may_come_in_json_and_with_other_columns() -> None:
    lines = 'pf_payment_id,"  M  payment id",TYPE,Gross,New\n994209,' + REFERENCE
    text = lines + ",Funds Received,199.90,x\n"
    entry = {
        "M Payment ID": REFERENCE,
        "PF Payment ID": 994209,
        "Type": "FUNDS_RECEIVED",
        "Sign": "CREDIT",
        "Gross": 199.9,
        "Fee": None,
    }
    for said in (
        as_json({"response": text}),
        enveloped(text),
        enveloped([entry]),
        Said(200, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
    ):
        with answering(said) as desk:
            result = desk.payments.fetch(a_query())
        assert (result.status, result.amount) == ("paid", Decimal("199.9"))
        assert (result.currency, result.gateway_transaction_id) == ("ZAR", "994209")
    for said in (enveloped(""), enveloped([]), as_json({"response": ""}), table()):
        with answering(said) as desk:
            assert desk.payments.fetch(a_query()).is_found is False


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b""),
        Said(200, b"  \n"),
        Said(200, b"<html><body>We will be right back</body></html>"),
        Said(200, b"Date,Amount\n2026-01-15,10\n"),
        Said(200, b'"' + b"x" * 200_000),
        as_json({"response": False}),
        as_json({"response": [1]}),
        as_json({"other": 1}),
        enveloped(True),
        refused(400),
        refused(404),
        Said(500),
        Said(429),
    ],
)
def test_what_is_no_history_says_nothing(said: Said) -> None:
    with answering(said) as desk, pytest.raises(Unavailable):
        desk.payments.fetch(a_query())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_signature_is_a_case_for_us(status: int) -> None:
    with answering(refused(status, "Merchant authorisation failed")) as desk:
        with pytest.raises(Misconfigured) as failure:
            desk.payments.fetch(a_query())
        assert failure.value.code == "key_refused"


# by PayFast's id


def known(status: str | None = "COMPLETE", **changes: Any) -> Said:
    said = {
        "pf_payment_id": 994209,
        "m_payment_id": REFERENCE,
        "status": status,
        "amount": 19990,
        "cc_status": "00",
        "cc_message": "Approved or completed successfully (00)",
    }
    return enveloped(said | changes)


def test_a_known_transaction_is_asked_for_and_its_money_looked_up() -> None:
    with answering(known(), table(row())) as desk:
        result = desk.payments.fetch(a_query(gateway_transaction_id="994209"))
    assert (result.status, result.amount, result.fee) == (
        "paid",
        Decimal("199.90"),
        Decimal("9.66"),
    )
    assert desk.asked == [
        "GET /process/query/994209",
        "GET /transactions/history?from=2026-01-15&limit=1000",
    ]


def test_a_transaction_that_is_not_in_the_history_yet_is_paid_all_the_same() -> None:
    with answering(known(), table()) as desk:
        result = desk.payments.fetch(a_query(gateway_transaction_id="994209"))
    assert (result.status, result.amount, result.currency) == ("paid", Decimal("199.9"), "ZAR")
    assert (result.fee, result.gateway_transaction_id) == (None, "994209")


@pytest.mark.parametrize(
    ("word", "status"), [("FAILED", "failed"), ("PENDING", "pending"), ("SETTLING", "pending")]
)
def test_a_transaction_that_did_not_come_about_says_why(word: str, status: str) -> None:
    with answering(known(word, cc_message="Do not honour (05)")) as desk:
        result = desk.payments.fetch(a_query(gateway_transaction_id="994209"))
    assert (result.status, result.reason) == (status, "Do not honour (05)")
    assert len(desk.asked) == 1


@pytest.mark.parametrize("said", [refused(400, "Transaction not found"), refused(404)])
def test_what_is_no_card_transaction_is_looked_up(said: Said) -> None:
    with answering(said, table(row())) as desk:
        assert desk.payments.fetch(a_query(gateway_transaction_id="994209")).status == "paid"
    with answering(said, table()) as desk:
        result = desk.payments.fetch(a_query(gateway_transaction_id="994209"))
    assert (result.status, result.is_found) == ("pending", True)


@pytest.mark.parametrize(
    "said",
    [
        known(pf_payment_id=994210),
        known(m_payment_id="mg-other"),
        known(status=None),
        enveloped(True),
        Said(200, b"<html>"),
        Said(200, b""),
        as_json({"code": 200, "status": "failed", "data": {"response": False}}),
    ],
)
def test_an_answer_about_something_else_is_none(said: Said) -> None:
    with answering(said, table(row())) as desk, pytest.raises(Unavailable):
        desk.payments.fetch(a_query(gateway_transaction_id="994209"))
