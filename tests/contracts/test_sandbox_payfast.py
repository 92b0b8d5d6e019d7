"""The sandbox's PayFast: it refuses what the real one refuses and says what it says."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

import httpx
import pytest

from tests.contracts.peer import Peer, Said, peer
from tests.sandbox.payfast import fee_of
from tests.sandbox.running import (
    PAYFAST_MERCHANT_ID,
    PAYFAST_MERCHANT_KEY,
    PAYFAST_PASSPHRASE,
    RunningSandbox,
    running_sandbox,
)

Fields = list[tuple[str, str]]
SOUTH_AFRICA = timezone(timedelta(hours=2))
BACK = "http://127.0.0.1:9"


def encoded(text: str) -> str:
    return quote_plus(text, safe="").replace("~", "%7E")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def signed(fields: Sequence[tuple[str, str]], passphrase: str = PAYFAST_PASSPHRASE) -> str:
    pairs = [f"{name}={encoded(value)}" for name, value in fields]
    return md5("&".join([*pairs, f"passphrase={passphrase}"]))


def a_form(shop: str = BACK, **changes: str | None) -> Fields:
    fields: dict[str, str | None] = {
        "merchant_id": PAYFAST_MERCHANT_ID,
        "merchant_key": PAYFAST_MERCHANT_KEY,
        "return_url": f"{BACK}/return?lang=en",
        "cancel_url": f"{BACK}/cancel",
        "notify_url": f"{shop}/webhook",
        "name_first": "Thandi",
        "name_last": "Nkosi",
        "email_address": "thandi@example.co.za",
        "m_payment_id": f"mg-{uuid.uuid4().hex[:24]}",
        "amount": "199.90",
        "item_name": "Mallgram MG-1001",
        "item_description": None,
        "custom_str1": None,
        "payment_method": "cc",
        "subscription_type": None,
    }
    kept = (fields | changes).items()
    return [(name, value) for name, value in kept if value is not None]


def post(sandbox: RunningSandbox, fields: Fields, signature: str | None = None) -> httpx.Response:
    signature = signed(fields) if signature is None else signature
    return sandbox.post_form(
        f"{sandbox.url}/payfast/eng/process", [*fields, ("signature", signature)]
    )


def posted(sandbox: RunningSandbox, shop: str = BACK, **changes: str | None) -> tuple[str, str]:
    """The reference of a form, and the page that it opened."""
    fields = a_form(shop, **changes)
    answer = post(sandbox, fields)
    assert answer.status_code == 200, answer.text
    return dict(fields)["m_payment_id"], str(answer.url)


def api(
    sandbox: RunningSandbox,
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    body: dict[str, str] | None = None,
    **changes: str | None,
) -> httpx.Response:
    headers = {"merchant-id": PAYFAST_MERCHANT_ID, "version": "v1"}
    headers["timestamp"] = datetime.now(SOUTH_AFRICA).strftime("%Y-%m-%dT%H:%M:%S%z")
    everything = headers | (query or {}) | (body or {}) | {"passphrase": PAYFAST_PASSPHRASE}
    pairs = [f"{name}={encoded(everything[name])}" for name in sorted(everything)]
    headers["signature"] = md5("&".join(pairs))
    sent = {name: value for name, value in (headers | changes).items() if value is not None}
    return sandbox.client.request(
        method,
        f"{sandbox.url}/payfast/api/{path}",
        params={**(query or {}), "testing": "true"},
        content=urlencode(body) if body else None,
        headers=sent | ({"content-type": "application/x-www-form-urlencoded"} if body else {}),
    )


def notice_of(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode(), keep_blank_values=True))


def validated(sandbox: RunningSandbox, raw: bytes) -> str:
    answer = sandbox.client.post(
        f"{sandbox.url}/payfast/eng/query/validate",
        content=raw,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    return answer.text.splitlines()[0]


# the form


def test_a_rightly_signed_form_opens_a_page(sandbox: RunningSandbox) -> None:
    fields = a_form()
    answer = post(sandbox, fields)
    assert answer.status_code == 200
    assert answer.history[0].status_code == 303
    for text in ("R 199.90", "Mallgram MG-1001", dict(fields)["m_payment_id"], "thandi@"):
        assert text in answer.text
    assert 'value="pay"' in answer.text
    assert 'value="cancel"' in answer.text


WRONG = "signature: Generated signature does not match submitted signature"


def test_a_form_that_is_wrongly_signed_is_an_html_page(sandbox: RunningSandbox) -> None:
    fields = a_form()
    blank = [*fields[:-1], ("item_description", ""), fields[-1]]
    for signature in (
        "",
        "0" * 32,
        signed(fields, "another"),
        signed(sorted(fields)),
        signed(fields).upper(),
        signed(blank),
        md5(urlencode(fields)),
    ):
        answer = post(sandbox, fields, signature)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/html")
        assert WRONG in answer.text
    shuffled = [fields[-1], *fields[:-1]]
    assert post(sandbox, shuffled, signed(fields)).status_code == 200
    assert WRONG in post(sandbox, shuffled, signed(shuffled)).text


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"merchant_id": "10000101"}, "merchant_id: "),
        ({"merchant_key": "another"}, "merchant_key: "),
        ({"amount": "10"}, "amount: "),
        ({"amount": "10.5"}, "amount: "),
        ({"amount": "0.00"}, "amount: "),
        ({"amount": "1,000.00"}, "amount: "),
        ({"amount": None}, "amount: "),
        ({"item_name": None}, "item_name: "),
        ({"item_name": "x" * 101}, "item_name: "),
        ({"m_payment_id": "x" * 101}, "m_payment_id: "),
        ({"email_address": "nobody"}, "email_address: "),
        ({"notify_url": "nowhere"}, "notify_url: "),
        ({"payment_method": "cash"}, "payment_method: "),
        ({"item_description": ""}, "item_description: an empty value"),
        ({"item_description": "0"}, "item_description: an empty value"),
        ({"item_description": " x"}, "item_description: spaces"),
    ],
)
def test_a_form_that_is_wrong_is_refused_in_html(
    changes: dict[str, Any], complaint: str, sandbox: RunningSandbox
) -> None:
    answer = post(sandbox, a_form(**changes))
    assert answer.status_code == 400
    assert complaint in answer.text


def test_who_pays_comes_back_after_the_shop_was_told(sandbox: RunningSandbox, shop: Peer) -> None:
    reference, page = posted(sandbox, shop.url)
    answer = sandbox.client.post(page, data={"action": "pay"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BACK}/return?lang=en")
    (told,) = shop.heard
    assert notice_of(told.raw)["m_payment_id"] == reference
    again = sandbox.client.get(page)
    assert "This payment is complete." in again.text
    assert 'value="pay"' not in again.text
    assert sandbox.client.post(page, data={"action": "pay"}).status_code == 200
    assert len(shop.heard) == 1


def test_who_leaves_goes_back_and_nobody_is_told(sandbox: RunningSandbox, shop: Peer) -> None:
    reference, page = posted(sandbox, shop.url)
    answer = sandbox.client.post(page, data={"action": "cancel"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BACK}/cancel")
    decided = sandbox.decide("payfast", reference, "expired")
    assert (decided["status"], decided["notified"]) == ("cancelled", False)
    assert shop.heard == []
    assert reference not in api(sandbox, "GET", "transactions/history").text


def test_a_page_that_nobody_opened_is_none(sandbox: RunningSandbox) -> None:
    page = f"{sandbox.url}/payfast/eng/pay/{uuid.uuid4().hex}"
    assert sandbox.client.get(page).status_code == 404
    _, real = posted(sandbox)
    assert sandbox.client.post(real, data={"action": "steal"}).status_code == 400


def test_the_control_knows_only_forms_that_were_posted(sandbox: RunningSandbox) -> None:
    for reference in (dict(a_form())["m_payment_id"], "1234567"):
        answer = sandbox.client.post(
            f"{sandbox.url}/_sandbox/payments/payfast/{reference}", json={"outcome": "paid"}
        )
        assert answer.status_code == 404


# notices


def test_a_notice_has_its_fields_in_order_and_is_signed_with_the_blank_ones(
    sandbox: RunningSandbox, shop: Peer
) -> None:
    reference, _ = posted(sandbox, shop.url, item_name="Sac d'été ~ (1)", custom_str1="x")
    decided = sandbox.decide("payfast", reference, "paid")
    heard = shop.wait_for(1)[0]
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    fields = parse_qsl(heard.raw.decode(), keep_blank_values=True)
    assert fields[:8] == [
        ("m_payment_id", reference),
        ("pf_payment_id", decided["pf_payment_id"]),
        ("payment_status", "COMPLETE"),
        ("item_name", "Sac d'été ~ (1)"),
        ("item_description", ""),
        ("amount_gross", "199.90"),
        ("amount_fee", "-9.66"),
        ("amount_net", "190.24"),
    ]
    assert [name for name, _ in fields[8:]] == [
        *(f"custom_{kind}{number}" for kind in ("str", "int") for number in range(1, 6)),
        "name_first",
        "name_last",
        "email_address",
        "merchant_id",
        "signature",
    ]
    assert dict(fields)["custom_str1"] == "x"
    text, _, signature = heard.raw.decode().partition("&signature=")
    assert signature == signed(fields[:-1])
    assert signature == md5(f"{text}&passphrase={PAYFAST_PASSPHRASE}")


def test_a_notice_is_repeated_until_it_is_taken(sandbox: RunningSandbox) -> None:
    with peer(Said(500), Said(302, b"", {"location": "http://127.0.0.1:9"}), Said()) as shop:
        reference, _ = posted(sandbox, shop.url)
        sandbox.decide("payfast", reference, "paid")
        heard = shop.wait_for(3)
        assert len({request.raw for request in heard}) == 1
        time.sleep(0.3)
        assert len(shop.heard) == 3


@pytest.mark.parametrize(
    ("outcome", "word", "fee"), [("failed", "FAILED", "0.00"), ("pending", "PENDING", "0.00")]
)
def test_what_did_not_come_about_is_told(
    outcome: str, word: str, fee: str, sandbox: RunningSandbox, shop: Peer
) -> None:
    reference, _ = posted(sandbox, shop.url)
    sandbox.decide("payfast", reference, outcome)
    notice = notice_of(shop.wait_for(1)[0].raw)
    assert (notice["payment_status"], notice["amount_fee"]) == (word, fee)
    assert reference not in api(sandbox, "GET", "transactions/history").text


def test_only_what_was_really_sent_is_valid(sandbox: RunningSandbox, shop: Peer) -> None:
    reference, _ = posted(sandbox, shop.url)
    sandbox.order_fault("payfast", "forge")
    sandbox.decide("payfast", reference, "failed")
    raws = {notice_of(one.raw)["payment_status"]: one.raw for one in shop.wait_for(2)}
    body, _, _ = raws["FAILED"].partition(b"&signature=")
    assert validated(sandbox, raws["FAILED"]) == validated(sandbox, body) == "VALID"
    assert validated(sandbox, raws["COMPLETE"]) == "INVALID"
    assert validated(sandbox, body.replace(b"199.90", b"999.90")) == "INVALID"
    assert validated(sandbox, b"") == validated(sandbox, b"x=1") == "INVALID"
    plain = sandbox.client.post(f"{sandbox.url}/payfast/eng/query/validate", content=body)
    assert plain.text.strip() == "INVALID"


def test_a_notice_that_is_not_settled_is_not_confirmed(sandbox: RunningSandbox, shop: Peer) -> None:
    reference, _ = posted(sandbox, shop.url)
    decided = sandbox.decide("payfast", reference, "paid", settled=False)
    assert validated(sandbox, shop.wait_for(1)[0].raw) == "INVALID"
    assert reference not in api(sandbox, "GET", "transactions/history").text
    query = api(sandbox, "GET", f"process/query/{decided['pf_payment_id']}")
    assert query.status_code == 400
    sandbox.decide("payfast", reference, "paid")
    assert validated(sandbox, shop.wait_for(2)[1].raw) == "VALID"


def test_one_form_posted_and_paid_twice_is_two_payments(
    sandbox: RunningSandbox, shop: Peer
) -> None:
    fields = a_form(shop.url)
    reference = dict(fields)["m_payment_id"]
    for number in range(2):
        page = str(post(sandbox, fields).url)
        assert 'value="pay"' in sandbox.client.get(page).text
        sandbox.client.post(page, data={"action": "pay"})
        assert len(shop.wait_for(number + 1)) == number + 1
    notices = [notice_of(heard.raw) for heard in shop.heard]
    assert {notice["m_payment_id"] for notice in notices} == {reference}
    ids = [notice["pf_payment_id"] for notice in notices]
    assert len(set(ids)) == 2
    changed = sandbox.decide("payfast", ids[0], "failed")
    assert changed["pf_payment_id"] == ids[0]


# the API


def test_the_api_wants_signed_headers(sandbox: RunningSandbox) -> None:
    assert api(sandbox, "GET", "ping").json() == "API V1"
    for changes, status, complaint in (
        ({"signature": "0" * 32}, 401, "Merchant authorisation failed"),
        ({"signature": "x"}, 400, "Value for signature is not in the expected format"),
        ({"signature": None}, 400, "Signature not present in headers"),
        ({"timestamp": None}, 400, "Required variables not present in request"),
        ({"timestamp": "now"}, 400, "Timestamp is not in the expected format"),
        ({"timestamp": "2026-01-15T10:30:00"}, 401, "Merchant authorisation failed"),
        ({"version": "v2"}, 400, "API version is not valid"),
        ({"merchant-id": "10000101"}, 401, "Merchant not found"),
    ):
        answer = api(sandbox, "GET", "ping", **changes)
        assert answer.status_code == status
        assert answer.json() == {
            "code": status,
            "status": "failed",
            "data": {"response": False, "message": complaint},
        }


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_history_is_csv_of_the_days_that_are_asked_for(sandbox: RunningSandbox) -> None:
    reference, _ = posted(sandbox, name_first='A, "B"')
    decided = sandbox.decide("payfast", reference, "paid", notify=False)
    today = datetime.now(SOUTH_AFRICA).date()
    answer = api(sandbox, "GET", "transactions/history", {"from": today.isoformat()})
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = [row for row in rows_of(answer.text) if row["M Payment ID"] == reference]
    assert row["PF Payment ID"] == decided["pf_payment_id"]
    assert (row["Type"], row["Sign"], row["Currency"]) == ("FUNDS_RECEIVED", "CREDIT", "ZAR")
    assert (row["Gross"], row["Fee"], row["Net"]) == ("199.90", "-9.66", "190.24")
    assert row["Party"] == 'A, "B" Nkosi'

    yesterday = (today - timedelta(days=1)).isoformat()
    before = api(sandbox, "GET", "transactions/history", {"from": yesterday, "to": yesterday})
    assert rows_of(before.text) == []
    for period, day in (
        ("daily", today.isoformat()),
        ("weekly", today.isoformat()),
        ("monthly", f"{today:%Y-%m}"),
    ):
        listed = api(sandbox, "GET", f"transactions/history/{period}", {"date": day}).json()
        assert reference in listed["response"]
    assert api(sandbox, "GET", "transactions/history/yearly").status_code == 404
    assert api(sandbox, "GET", "transactions/history", {"from": "soon"}).status_code == 400


def test_the_history_is_read_in_pages(sandbox: RunningSandbox) -> None:
    for _ in range(3):
        sandbox.decide("payfast", posted(sandbox)[0], "paid", notify=False)
    whole = rows_of(api(sandbox, "GET", "transactions/history").text)
    parts = [
        rows_of(
            api(sandbox, "GET", "transactions/history", {"limit": "1", "offset": str(place)}).text
        )
        for place in range(len(whole) + 1)
    ]
    assert [row for part in parts for row in part] == whole
    assert parts[-1] == []


def test_only_card_transactions_can_be_queried(sandbox: RunningSandbox) -> None:
    for method, status in (("cc", 200), ("eft", 400)):
        reference, _ = posted(sandbox, payment_method=method)
        decided = sandbox.decide("payfast", reference, "paid", notify=False)
        answer = api(sandbox, "GET", f"process/query/{decided['pf_payment_id']}")
        assert answer.status_code == status
        if status == 200:
            said = answer.json()["data"]["response"]
            assert said["pf_payment_id"] == int(decided["pf_payment_id"])
            assert (said["m_payment_id"], said["amount"]) == (reference, 19990)


@pytest.mark.parametrize(
    ("gross", "method", "fee"),
    [
        ("100.00", "cc", "5.98"),
        ("199.90", "cc", "9.66"),
        ("50.00", "eft", "2.30"),
        ("250.00", "eft", "5.75"),
    ],
)
def test_the_fee_is_a_share_and_a_fixed_sum_with_vat(gross: str, method: str, fee: str) -> None:
    assert fee_of(Decimal(gross), method) == Decimal(fee)


def a_refund(**changes: str) -> dict[str, str]:
    return {"amount": "5000", "reason": "Product returned", "notify_buyer": "1"} | changes


def test_refunds_are_in_cents_and_no_more_than_is_left(sandbox: RunningSandbox) -> None:
    reference, _ = posted(sandbox)
    id_ = sandbox.decide("payfast", reference, "paid", notify=False)["pf_payment_id"]
    for changes in (
        {"amount": "50.00"},
        {"amount": "0"},
        {"amount": "19991"},
        {"reason": "x"},
        {"notify_buyer": "yes"},
    ):
        answer = api(sandbox, "POST", f"refunds/{id_}", body=a_refund(**changes))
        assert answer.status_code == 400
    assert api(sandbox, "POST", f"refunds/{id_}", body=a_refund()).json() == {
        "code": 200,
        "status": "success",
        "data": {"response": True, "message": "Success"},
    }
    offer = api(sandbox, "GET", f"refunds/query/{id_}").json()
    assert (offer["amount_original"], offer["amount_available_for_refund"]) == (19990, 14990)
    assert offer["refund_partial"] == {"method": "PAYMENT_SOURCE"}
    time.sleep(0.3)
    listed = api(sandbox, "GET", f"refunds/{id_}").json()["data"]["response"]
    assert listed["available_balance"] == 14990
    assert [entry["amount"] for entry in listed["transactions"]] == [19990, "-5000"]
    history = rows_of(api(sandbox, "GET", "transactions/history").text)
    assert [row["Gross"] for row in history if row["PF Payment ID"] == id_] == ["199.90", "-50.00"]


def test_a_transfer_goes_back_to_an_account_alone(sandbox: RunningSandbox) -> None:
    reference, _ = posted(sandbox, payment_method="eft")
    id_ = sandbox.decide("payfast", reference, "paid", notify=False)["pf_payment_id"]
    offer = api(sandbox, "GET", f"refunds/query/{id_}").json()
    assert offer["refund_full"] == {"method": "BANK_PAYOUT"}
    assert {"bank_name": "FNB", "label": "Fnb"} in offer["bank_names"]
    assert api(sandbox, "POST", f"refunds/{id_}", body=a_refund()).status_code == 400
    account = {
        "bank_name": "FNB",
        "bank_branch_code": "250655",
        "bank_account_number": "62001234567",
    }
    assert api(sandbox, "POST", f"refunds/{id_}", body=a_refund(**account)).status_code == 200


def test_what_was_not_paid_is_not_given_back(sandbox: RunningSandbox) -> None:
    reference, _ = posted(sandbox)
    id_ = sandbox.decide("payfast", reference, "failed", notify=False)["pf_payment_id"]
    assert api(sandbox, "GET", f"refunds/query/{id_}").json()["status"] == "NOT_AVAILABLE"
    assert api(sandbox, "POST", f"refunds/{id_}", body=a_refund()).status_code == 400
    assert api(sandbox, "GET", "refunds/query/1").status_code == 404


# kept cards


def kept(sandbox: RunningSandbox, shop: Peer) -> str:
    _, page = posted(sandbox, shop.url, subscription_type="2")
    assert "Your card is kept" in sandbox.client.get(page).text
    sandbox.client.post(page, data={"action": "pay"})
    return notice_of(shop.wait_for(1)[0].raw)["token"]


def test_a_kept_card_is_charged_and_told(sandbox: RunningSandbox, shop: Peer) -> None:
    token = kept(sandbox, shop)
    body = {"amount": "12345", "item_name": "Again", "m_payment_id": f"mg-{uuid.uuid4().hex}"}
    answer = api(sandbox, "POST", f"subscriptions/{token}/adhoc", body=body)
    charged = answer.json()["data"]
    assert (charged["response"], charged["message"]) == (True, "Transaction was successful(00)")
    raw = shop.wait_for(2)[1].raw
    notice = notice_of(raw)
    assert (notice["m_payment_id"], notice["amount_gross"]) == (body["m_payment_id"], "123.45")
    assert (notice["pf_payment_id"], notice["token"]) == (charged["pf_payment_id"], token)
    assert validated(sandbox, raw) == "VALID"
    decided = sandbox.decide("payfast", body["m_payment_id"], "failed", notify=False)
    assert decided["pf_payment_id"] == charged["pf_payment_id"]


def test_a_kept_card_may_be_declined_and_given_up(sandbox: RunningSandbox, shop: Peer) -> None:
    token = kept(sandbox, shop)

    def charge(amount: str) -> Any:
        body = {"amount": amount, "item_name": "Again"}
        return api(sandbox, "POST", f"subscriptions/{token}/adhoc", body=body).json()

    assert charge("10051")["data"] == {"response": False, "message": "Insufficient funds(51)"}
    assert charge("100.00")["status"] == "failed"
    status = api(sandbox, "GET", f"subscriptions/{token}/fetch").json()["data"]["response"]
    assert status["status_text"] == "ACTIVE"
    assert api(sandbox, "PUT", f"subscriptions/{token}/cancel").json()["status"] == "success"
    notice = notice_of(shop.wait_for(2)[1].raw)
    assert (notice["payment_status"], notice["token"]) == ("CANCELLED", token)
    assert charge("10000")["data"]["response"] == 4
    assert api(sandbox, "GET", "subscriptions/nobody/fetch").status_code == 400


# what it tells and keeps


def test_calls_are_shown_without_keys_and_addresses(sandbox: RunningSandbox) -> None:
    reference, _ = posted(sandbox)
    api(sandbox, "GET", "ping")
    calls = sandbox.listed("calls", provider="payfast")[-2:]
    assert [(call["operation"], call["status"]) for call in calls] == [
        ("process", 303),
        ("ping", 200),
    ]
    assert calls[0]["body"]["m_payment_id"] == reference
    shown = json.dumps(calls)
    assert PAYFAST_MERCHANT_KEY not in shown
    assert PAYFAST_PASSPHRASE not in shown
    assert "thandi@" not in shown


def test_a_killed_sandbox_remembers_forms_and_notices(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox, peer() as shop:
        fields = a_form(shop.url)
        reference = dict(fields)["m_payment_id"]
        page = str(post(sandbox, fields).url)
        sandbox.decide("payfast", reference, "paid")
        raw = shop.wait_for(1)[0].raw
        waiting, _ = posted(sandbox, shop.url)
        sandbox.kill()
        sandbox.start()
        assert validated(sandbox, raw) == "VALID"
        assert "This payment is complete." in sandbox.client.get(page).text
        assert reference in api(sandbox, "GET", "transactions/history").text
        assert sandbox.decide("payfast", waiting, "paid")["notified"] is True
        assert str(datetime.now(UTC).year) in api(sandbox, "GET", "transactions/history").text
