"""What is sent to PayGate and what is made of its answers, to the letter."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import form_text
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentQuery,
    PaymentResult,
    RefundQuery,
    RefundRequest,
    StartPayment,
)
from edge_workers.providers.errors import Misconfigured, ProviderError, Rejected, Unavailable
from edge_workers.providers.paygate import PayGateApi, PayGatePayments, signature
from tests.contracts.peer import Peer, Said, peer

KEY = "secret"
ACCOUNT = "10011072130"
SESSION = "23B785AE-C96C-32AF-4879-D2C9363DB6E8"
NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
VAULT_ID = "6eb998d9-b4e8-46b8-9772-90ecb644ab54"

REQUEST = StartPayment(
    payment_id="7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
    reference="order-000042",
    method="card",
    amount=Decimal("100.00"),
    currency="ZAR",
    country="ZA",
    language="en",
    customer_email="buyer@example.co.za",
    notify_url="https://shop.example/paygate/notify",
    return_url="https://shop.example/paygate/return",
)
QUERY = PaymentQuery(
    payment_id=REQUEST.payment_id, reference=REQUEST.reference, gateway_session=SESSION
)


def answer(*fields: tuple[str, str], key: str = KEY) -> Said:
    return Said(200, form_text.write(signature.signed(fields, key)).encode())


def initiated(reference: str = REQUEST.reference, **changes: str) -> Said:
    named = {"PAYGATE_ID": ACCOUNT, "PAY_REQUEST_ID": SESSION, "REFERENCE": reference}
    return answer(*(named | changes).items())


def status_fields(**changes: str) -> dict[str, str]:
    return {
        "PAYGATE_ID": ACCOUNT,
        "PAY_REQUEST_ID": SESSION,
        "REFERENCE": REQUEST.reference,
        "TRANSACTION_STATUS": "1",
        "RESULT_CODE": "990017",
        "AUTH_CODE": "5T8A0Z",
        "CURRENCY": "ZAR",
        "AMOUNT": "10000",
        "RESULT_DESC": "Auth Done",
        "TRANSACTION_ID": "78705178",
        "RISK_INDICATOR": "AX",
        "PAY_METHOD": "CC",
        "PAY_METHOD_DETAIL": "Visa",
    } | changes


def payments(gateway: Peer, **options: Any) -> PayGatePayments:
    api = PayGateApi(
        paygate_id=ACCOUNT,
        key=KEY,
        base_url=f"{gateway.url}/payweb3/",
        merchant_url="https://shop.example:8443/api",
        timeout_seconds=5.0,
    )
    return PayGatePayments(api, **{"now": lambda: NOW} | options)


def sent(request: StartPayment, **options: Any) -> form_text.Fields:
    with peer(initiated(request.reference)) as gateway:
        payments(gateway, **options).start(request)
    return form_text.parse(gateway.heard[0].raw)


def fetched(said: Said, query: PaymentQuery = QUERY, **options: Any) -> PaymentResult:
    with peer(said) as gateway:
        return payments(gateway, **options).fetch(query)


# starting


def test_an_initiate_to_the_letter() -> None:
    with peer(initiated()) as gateway:
        started = payments(gateway).start(REQUEST)
    heard = gateway.heard[0]
    assert (heard.method, heard.path) == ("POST", "/payweb3/initiate.trans")
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    assert heard.headers["referer"] == "shop.example:8443"
    assert heard.raw.decode() == (
        "PAYGATE_ID=10011072130&REFERENCE=order-000042&AMOUNT=10000&CURRENCY=ZAR"
        "&RETURN_URL=https%3A%2F%2Fshop.example%2Fpaygate%2Freturn"
        "&TRANSACTION_DATE=2026-01-15+08%3A30%3A00&LOCALE=en-za&COUNTRY=ZAF"
        "&EMAIL=buyer%40example.co.za&PAY_METHOD=CC"
        "&NOTIFY_URL=https%3A%2F%2Fshop.example%2Fpaygate%2Fnotify"
        "&CHECKSUM=22f8b2aedc26f13f90bb8a30cdfe869d"
    )
    assert started.action.kind == "form"
    assert started.action.url == f"{gateway.url}/payweb3/process.trans"
    assert started.action.fields == (
        ("PAY_REQUEST_ID", SESSION),
        ("CHECKSUM", signature.checksum((ACCOUNT, SESSION, REQUEST.reference), KEY)),
    )
    assert started.gateway_session == SESSION
    assert started.gateway_transaction_id is None
    assert started.expires_at == NOW + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("100.00", "10000"), ("0.01", "1"), ("199.9", "19990"), ("1E+3", "100000"), ("70.07", "7007")],
)
def test_an_amount_is_sent_in_cents(amount: str, cents: str) -> None:
    fields = dict(sent(dataclasses.replace(REQUEST, amount=Decimal(amount))))
    assert fields["AMOUNT"] == cents


def test_the_date_is_universal_time() -> None:
    johannesburg = timezone(timedelta(hours=2))
    fields = dict(sent(REQUEST, now=lambda: datetime(2026, 1, 16, 1, 5, tzinfo=johannesburg)))
    assert fields["TRANSACTION_DATE"] == "2026-01-15 23:05:00"


@pytest.mark.parametrize(
    ("method", "detail", "wanted"),
    [
        ("card", "SID", (("PAY_METHOD", "CC"),)),
        ("eft", "", (("PAY_METHOD", "BT"),)),
        ("eft", "SID", (("PAY_METHOD", "BT"), ("PAY_METHOD_DETAIL", "SID"))),
    ],
)
def test_the_page_is_limited_to_our_method(
    method: str, detail: str, wanted: tuple[tuple[str, str], ...]
) -> None:
    fields = sent(dataclasses.replace(REQUEST, method=method), eft_detail=detail)
    assert tuple(pair for pair in fields if pair[0].startswith("PAY_METHOD")) == wanted


def test_values_are_signed_as_they_are_and_sent_encoded() -> None:
    request = dataclasses.replace(REQUEST, customer_email=" zoë+1@example.co.za ", notify_url="")
    with peer(initiated()) as gateway:
        payments(gateway).start(request)
    raw = gateway.heard[0].raw
    assert b"&EMAIL=zo%C3%AB%2B1%40example.co.za&" in raw
    assert b"NOTIFY_URL" not in raw
    assert signature.is_genuine(form_text.parse(raw), KEY)


@pytest.mark.parametrize(
    ("changes", "has_vault", "wanted"),
    [
        ({}, True, ()),
        ({"save_method": True}, True, (("VAULT", "1"),)),
        ({"save_method": True}, False, ()),
        ({"save_method": True, "method": "eft"}, True, ()),
        ({"saved_method_token": VAULT_ID}, True, (("VAULT", "1"), ("VAULT_ID", VAULT_ID))),
    ],
)
def test_a_card_is_kept_where_that_is_wished_and_possible(
    changes: dict[str, Any], has_vault: bool, wanted: Sequence[tuple[str, str]]
) -> None:
    fields = sent(dataclasses.replace(REQUEST, **changes), has_vault=has_vault)
    assert fields[-1][0] == "CHECKSUM"
    assert tuple(pair for pair in fields if pair[0].startswith("VAULT")) == tuple(wanted)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"country": "FR"}, "country_unsupported"),
        ({"currency": "XAF"}, "currency_unsupported"),
        ({"currency": "EUR"}, "currency_unsupported"),
        ({"amount": Decimal("1.001")}, "amount_invalid"),
        ({"method": "mtn_momo"}, "method_unsupported"),
        ({"reference": "x" * 81}, "reference_invalid"),
        ({"customer_email": ""}, "email_required"),
        ({"saved_method_token": VAULT_ID, "method": "eft"}, "saved_method_invalid"),
        ({"saved_method_token": "a b"}, "saved_method_invalid"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    changes: dict[str, Any], code: str
) -> None:
    with peer(initiated()) as gateway:
        with pytest.raises(Rejected) as failure:
            payments(gateway, has_vault=True).start(dataclasses.replace(REQUEST, **changes))
        assert (failure.value.code, gateway.heard) == (code, [])
    with peer(initiated()) as gateway:
        with pytest.raises(Rejected):
            payments(gateway).start(dataclasses.replace(REQUEST, saved_method_token=VAULT_ID))
        assert gateway.heard == []


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("CNTRY_INVALID", Rejected, "country_invalid"),
        ("DATA_AMT_NUM", Rejected, "amount_invalid"),
        ("DATA_AMT_ZERO", Rejected, "amount_invalid"),
        ("DATA_CHK", Misconfigured, "key_refused"),
        ("DATA_CREF", Rejected, "reference_invalid"),
        ("DATA_DTTM", Rejected, "date_invalid"),
        ("DATA_INS", Unavailable, "server_error"),
        ("DATA_PAY_REQ_ID", Rejected, "charge_refused"),
        ("DATA_PM", Rejected, "method_unsupported"),
        ("DATA_PW", Rejected, "fields_missing"),
        ("DATA_REGION", Rejected, "country_invalid"),
        ("DATA_URL", Rejected, "url_invalid"),
        ("INVALID_VAULT", Rejected, "saved_method_invalid"),
        ("INVALID_VAULT_ID", Rejected, "saved_method_invalid"),
        ("INV_EMAIL", Rejected, "email_invalid"),
        ("LOCALE_INVALID", Rejected, "locale_invalid"),
        ("ND_INV_PGID", Misconfigured, "key_refused"),
        ("ND_INV_PRID", Rejected, "charge_refused"),
        ("NOT_LIVE_PM", Misconfigured, "account_disabled"),
        ("NO_TRANS_DATA", Rejected, "charge_refused"),
        ("PAYVAULT_NOT_EN", Misconfigured, "vault_disabled"),
        ("PGID_NOT_EN", Misconfigured, "account_disabled"),
        ("TXN_CAN", Rejected, "charge_refused"),
        ("TXN_CMP", Rejected, "charge_refused"),
        ("TXN_PRC", Rejected, "charge_refused"),
        ("VAULT_NOT_ACCEPTED", Misconfigured, "vault_disabled"),
        ("SOMETHING_NEW", Rejected, "charge_refused"),
    ],
)
def test_every_documented_error_of_an_initiate_created_nothing(
    error: str, kind: type[ProviderError], code: str
) -> None:
    with peer(Said(200, f"ERROR={error}\r\n".encode())) as gateway:
        with pytest.raises(kind) as failure:
            payments(gateway).start(REQUEST)
        assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b""),
        Said(200, b"<html><body><h1>We will be right back</h1></body></html>"),
        Said(200, b"ERROR=<script>"),
        Said(200, b"ERROR=A&ERROR=B"),
        Said(200, b"x" * 40_000),
        Said(404, initiated().raw),
        initiated("order-000043"),
        initiated(PAYGATE_ID="10011072131"),
        initiated(PAY_REQUEST_ID=" "),
        Said(200, initiated().raw[:-1] + b"x"),
        Said(200, initiated().raw.rpartition(b"&")[0]),
        answer(
            ("PAYGATE_ID", ACCOUNT),
            ("PAY_REQUEST_ID", SESSION),
            ("REFERENCE", REQUEST.reference),
            key="other",
        ),
    ],
)
def test_an_answer_that_is_not_about_our_request_leaves_the_outcome_unknown(said: Said) -> None:
    with peer(said) as gateway:
        with pytest.raises(Unavailable) as failure:
            payments(gateway).start(REQUEST)
        assert (failure.value.code, failure.value.outcome) == ("answer_malformed", "unknown")


@pytest.mark.parametrize(
    ("paygate_id", "key"), [("", KEY), ("merchant", KEY), (ACCOUNT, ""), (ACCOUNT, " secret")]
)
def test_an_account_that_cannot_be_one_is_a_case_for_us(paygate_id: str, key: str) -> None:
    with pytest.raises(Misconfigured):
        PayGateApi(
            paygate_id=paygate_id,
            key=key,
            base_url="http://127.0.0.1:9",
            merchant_url="https://shop.example",
            timeout_seconds=1.0,
        )


# asking


def test_a_query_to_the_letter() -> None:
    with peer(answer(*status_fields().items())) as gateway:
        result = payments(gateway).fetch(QUERY)
    assert gateway.heard[0].path == "/payweb3/query.trans"
    checksum = signature.checksum((ACCOUNT, SESSION, REQUEST.reference), KEY)
    assert gateway.heard[0].raw.decode() == (
        f"PAYGATE_ID={ACCOUNT}&PAY_REQUEST_ID={SESSION}&REFERENCE=order-000042&CHECKSUM={checksum}"
    )
    assert result == PaymentResult(
        status="paid",
        amount=Decimal(100),
        currency="ZAR",
        gateway_transaction_id="78705178",
        gateway_status="1/990017",
    )


@pytest.mark.parametrize(
    ("status", "code", "wanted", "reason"),
    [
        ("0", "", "pending", None),
        ("2", "900003", "failed", "Insufficient funds"),
        ("2", "900007", "failed", "The bank declined"),
        ("2", "900999", "failed", "Auth Done"),
        ("0", "990022", "pending", None),
        ("3", "990028", "cancelled", "The payer cancelled"),
        ("4", "990028", "cancelled", "The payer cancelled"),
        ("5", "", "pending", None),
        ("6", "", "pending", None),
        ("7", "990017", "refunded", None),
        ("11", "990017", "pending", None),
    ],
)
def test_each_status_and_its_reason(
    status: str, code: str, wanted: str, reason: str | None
) -> None:
    fields = status_fields(TRANSACTION_STATUS=status, RESULT_CODE=code)
    result = fetched(Said(200, form_text.write(fields.items()).encode()))
    assert (result.status, result.reason) == (wanted, reason)


@pytest.mark.parametrize(
    ("changes", "codes", "wanted"),
    [
        ({}, ("990017",), "paid"),
        ({"AUTH_CODE": "999999", "PAY_METHOD": "BT"}, ("990017",), "paid"),
        ({"RESULT_CODE": "900017"}, ("990017",), "pending"),
        ({"RESULT_CODE": "900017"}, ("990017", "900017"), "paid"),
        ({"RESULT_CODE": ""}, ("990017",), "pending"),
        ({"RESULT_CODE": "900007"}, ("990017",), "pending"),
        ({"AUTH_CODE": ""}, ("990017",), "pending"),
        ({"AUTH_CODE": "null"}, ("990017",), "pending"),
    ],
)
def test_approved_takes_the_status_the_code_and_the_banks_word(
    changes: dict[str, str], codes: tuple[str, ...], wanted: str
) -> None:
    said = Said(200, form_text.write(status_fields(**changes).items()).encode())
    assert fetched(said, approved_codes=codes).status == wanted


@pytest.mark.parametrize(
    ("started_at", "notice", "wanted"),
    [
        (None, None, "pending"),
        (NOW - timedelta(minutes=59), None, "pending"),
        (NOW - timedelta(minutes=60), None, "failed"),
        (NOW, {"TRANSACTION_STATUS": "0"}, "failed"),
        (NOW, {"TRANSACTION_STATUS": "1"}, "pending"),
        (NOW, {"TRANSACTION_STATUS": "0", "PAY_REQUEST_ID": SESSION[::-1]}, "pending"),
    ],
)
def test_what_is_not_done_fails_once_it_was_told_so_or_its_time_is_over(
    started_at: datetime | None, notice: dict[str, str] | None, wanted: str
) -> None:
    raw = None if notice is None else form_text.write(status_fields(**notice).items()).encode()
    query = dataclasses.replace(QUERY, started_at=started_at, notice=raw)
    open_request = status_fields(
        TRANSACTION_STATUS="0", RESULT_CODE="990022", AUTH_CODE="null", TRANSACTION_ID=""
    )
    result = fetched(answer(*open_request.items(), key=KEY), query, checks_answers=False)
    assert (result.status, result.is_found) == (wanted, True)


def test_a_blank_transaction_id_is_none() -> None:
    fields = status_fields(TRANSACTION_STATUS="3", TRANSACTION_ID="")
    result = fetched(Said(200, form_text.write(fields.items()).encode()))
    assert result.gateway_transaction_id is None


def test_without_a_session_nothing_is_asked_and_nothing_said() -> None:
    with peer() as gateway:
        query = dataclasses.replace(QUERY, gateway_session=None, notice=b"\xff=&\xff=")
        result = payments(gateway).fetch(query)
    assert (result.status, result.is_found, result.reason) == ("pending", False, "session_unknown")
    assert gateway.heard == []


def test_a_notice_that_came_before_the_session_was_stored_leads_to_it() -> None:
    notice = form_text.write(status_fields().items()).encode()
    query = dataclasses.replace(QUERY, gateway_session=None, notice=notice)
    assert fetched(answer(*status_fields().items()), query).status == "paid"


@pytest.mark.parametrize("error", ["NO_TRANS_DATA", "ND_INV_PRID", "DATA_PAY_REQ_ID"])
def test_a_request_that_is_not_known_is_not_found(error: str) -> None:
    result = fetched(Said(200, f"ERROR={error}".encode()))
    assert (result.status, result.is_found) == ("pending", False)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("DATA_CHK", Misconfigured, "key_refused"),
        ("ND_INV_PGID", Misconfigured, "key_refused"),
        ("TXN_CAN", Unavailable, "status_refused"),
        ("TXN_PRC", Unavailable, "status_refused"),
        ("DATA_PW", Unavailable, "status_refused"),
        ("SOMETHING_NEW", Unavailable, "status_refused"),
    ],
)
def test_other_errors_of_a_query_are_no_result(
    error: str, kind: type[ProviderError], code: str
) -> None:
    with pytest.raises(kind) as failure:
        fetched(Said(200, f"ERROR={error}".encode()))
    assert failure.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"REFERENCE": "order-000043"},
        {"PAY_REQUEST_ID": SESSION.lower()},
        {"PAYGATE_ID": "10011072131"},
        {"TRANSACTION_STATUS": ""},
    ],
)
def test_an_answer_about_something_else_is_no_result(changes: dict[str, str]) -> None:
    with pytest.raises(Unavailable) as failure:
        fetched(answer(*status_fields(**changes).items()))
    assert failure.value.code == "answer_malformed"


def test_a_checksum_in_the_answer_is_checked_where_there_is_one() -> None:
    fields = tuple(status_fields(AUTH_CODE="null", TRANSACTION_STATUS="2").items())
    wrong = answer(*fields, key="other")
    with pytest.raises(Unavailable) as failure:
        fetched(wrong)
    assert failure.value.code == "checksum_wrong"
    assert fetched(wrong, checks_answers=False).status == "failed"
    assert fetched(Said(200, form_text.write(fields).encode())).status == "failed"
    values = [value if value != "null" else "" for _, value in fields]
    right = (*fields, ("CHECKSUM", signature.checksum(values, KEY)))
    assert fetched(Said(200, form_text.write(right).encode())).status == "failed"


@pytest.mark.parametrize(
    ("changes", "label", "expires_on"),
    [
        ({}, "Visa …0015", date(2030, 11, 30)),
        ({"PAY_METHOD_DETAIL": "MasterCard"}, "MasterCard …0015", date(2030, 11, 30)),
        ({"PAY_METHOD_DETAIL": "4000000000000015"}, "Card …0015", date(2030, 11, 30)),
        ({"PAYVAULT_DATA_1": "5200000000000015"}, "Visa …0015", date(2030, 11, 30)),
        ({"PAYVAULT_DATA_1": ""}, "Visa", date(2030, 11, 30)),
        ({"PAYVAULT_DATA_1": "xxxx"}, "Visa", date(2030, 11, 30)),
        ({"PAYVAULT_DATA_2": "022028"}, "Visa …0015", date(2028, 2, 29)),
        ({"PAYVAULT_DATA_2": "132030"}, "Visa …0015", None),
        ({"PAYVAULT_DATA_2": ""}, "Visa …0015", None),
    ],
)
def test_a_kept_card_is_known_by_its_brand_and_four_digits(
    changes: dict[str, str], label: str, expires_on: date | None
) -> None:
    card = {
        "VAULT_ID": VAULT_ID,
        "PAYVAULT_DATA_1": "520000xxxxxx0015",
        "PAYVAULT_DATA_2": "112030",
    }
    said = Said(200, form_text.write(status_fields(**(card | changes)).items()).encode())
    saved = fetched(said, has_vault=True).saved_method
    assert saved is not None
    assert (saved.token, saved.label, saved.expires_on) == (VAULT_ID, label, expires_on)
    assert fetched(said).saved_method is None


@pytest.mark.parametrize("changes", [{"VAULT_ID": ""}, {"TRANSACTION_STATUS": "2"}])
def test_no_card_is_kept_without_a_token_or_a_payment(changes: dict[str, str]) -> None:
    fields = status_fields(**({"VAULT_ID": VAULT_ID} | changes))
    said = Said(200, form_text.write(fields.items()).encode())
    assert fetched(said, has_vault=True).saved_method is None


# what it has not


def test_there_are_no_refunds_and_no_codes() -> None:
    with peer() as gateway:
        adapter = payments(gateway)
        with pytest.raises(Rejected) as refund:
            adapter.refund(
                RefundRequest(
                    refund_id="r",
                    refund_reference="ref-000001",
                    payment_id=REQUEST.payment_id,
                    payment_reference=REQUEST.reference,
                    currency="ZAR",
                )
            )
        found = adapter.fetch_refund(
            RefundQuery(
                refund_id="r",
                refund_reference="ref-000001",
                payment_id=REQUEST.payment_id,
                payment_reference=REQUEST.reference,
                currency="ZAR",
            )
        )
        with pytest.raises(Rejected) as code:
            adapter.authorize(
                AuthorizePayment(reference="r", gateway_transaction_id="1", code="123456")
            )
    assert (refund.value.code, refund.value.outcome) == ("refund_unsupported", "nothing_created")
    assert (found.status, found.is_found) == ("pending", False)
    assert code.value.code == "code_unsupported"
    assert gateway.heard == []
