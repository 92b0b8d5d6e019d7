"""PayGate's sandbox: it refuses what PayGate refuses, and keeps no card number anywhere."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest

from tests.contracts.peer import Heard, Peer, Said, peer
from tests.sandbox.running import PAYGATE_ID, PAYGATE_KEY, RunningSandbox

FIELDS = (
    *("PAYGATE_ID", "REFERENCE", "AMOUNT", "CURRENCY", "RETURN_URL", "TRANSACTION_DATE"),
    *("LOCALE", "COUNTRY", "EMAIL", "PAY_METHOD", "PAY_METHOD_DETAIL", "NOTIFY_URL"),
    *("USER1", "USER2", "USER3", "VAULT", "VAULT_ID"),
)
APPROVED = "4000 0000 0000 0002"


def md5(*values: str) -> str:
    text = "".join(values) + PAYGATE_KEY
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def an_initiate(**changes: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "PAYGATE_ID": PAYGATE_ID,
        "REFERENCE": f"mg-{uuid.uuid4().hex[:24]}",
        "AMOUNT": "149990",
        "CURRENCY": "ZAR",
        "RETURN_URL": "http://127.0.0.1:9/return?order=1&lang=en",
        "TRANSACTION_DATE": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "LOCALE": "en-za",
        "COUNTRY": "ZAF",
        "EMAIL": "thandi@example.co.za",
        **changes,
    }
    named = {name: fields[name] or "" for name in FIELDS if fields.get(name) is not None}
    return named | {"CHECKSUM": fields.get("CHECKSUM") or md5(*named.values())}


def said(sandbox: RunningSandbox, path: str, fields: dict[str, str]) -> dict[str, str]:
    answer = sandbox.client.post(f"{sandbox.url}/paygate/{path}", data=fields)
    assert answer.status_code == 200
    return dict(parse_qsl(answer.text, keep_blank_values=True))


def opened(sandbox: RunningSandbox, **changes: str | None) -> dict[str, str]:
    """A request that was begun, as PayGate answered it."""
    found = said(sandbox, "initiate.trans", an_initiate(**changes))
    assert "ERROR" not in found, found
    return found


def processed(sandbox: RunningSandbox, found: dict[str, str]) -> httpx.Response:
    form = {name: found[name] for name in ("PAY_REQUEST_ID", "CHECKSUM")}
    return sandbox.client.post(f"{sandbox.url}/paygate/process.trans", data=form)


def page_of(sandbox: RunningSandbox, found: dict[str, str]) -> str:
    answer = processed(sandbox, found)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def a_card(number: str = APPROVED, **changes: str) -> dict[str, str]:
    soon = (datetime.now(UTC).year + 2) % 100
    card = {"number": number, "name": "T Nkosi", "expiry": f"09/{soon}", "cvv": "123"}
    return card | {"action": "pay"} | changes


def asked(sandbox: RunningSandbox, found: dict[str, str]) -> dict[str, str]:
    fields = {name: found[name] for name in ("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE")}
    return said(sandbox, "query.trans", fields | {"CHECKSUM": md5(*fields.values())})


def told(heard: Heard) -> dict[str, str]:
    """The fields of a notice whose checksum fits."""
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    fields = parse_qsl(heard.raw.decode(), keep_blank_values=True)
    values = ["" if pair == ("AUTH_CODE", "null") else pair[1] for pair in fields[:-1]]
    assert fields[-1] == ("CHECKSUM", md5(*values))
    return dict(fields)


def eventually(ask: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# initiate


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"PAYGATE_ID": None}, "DATA_PW"),
        ({"AMOUNT": None}, "DATA_PW"),
        ({"CURRENCY": None}, "DATA_PW"),
        ({"REFERENCE": None}, "DATA_CREF"),
        ({"REFERENCE": "x" * 81}, "DATA_CREF"),
        ({"RETURN_URL": None}, "DATA_URL"),
        ({"RETURN_URL": "nowhere"}, "DATA_URL"),
        ({"NOTIFY_URL": "nowhere"}, "DATA_URL"),
        ({"TRANSACTION_DATE": None}, "DATA_DTTM"),
        ({"TRANSACTION_DATE": "2026-01-15"}, "DATA_DTTM"),
        ({"LOCALE": None}, "DATA_REGION"),
        ({"COUNTRY": None}, "DATA_REGION"),
        ({"LOCALE": "English"}, "LOCALE_INVALID"),
        ({"COUNTRY": "ZA"}, "CNTRY_INVALID"),
        ({"EMAIL": None}, "INV_EMAIL"),
        ({"EMAIL": "nobody"}, "INV_EMAIL"),
        ({"PAYGATE_ID": "10011013800"}, "ND_INV_PGID"),
        ({"CHECKSUM": "0" * 32}, "DATA_CHK"),
        ({"AMOUNT": "1499.90"}, "DATA_AMT_NUM"),
        ({"AMOUNT": "-1"}, "DATA_AMT_NUM"),
        ({"AMOUNT": "0"}, "DATA_AMT_ZERO"),
        ({"CURRENCY": "XAF"}, "PGID_NOT_EN"),
        ({"PAY_METHOD": "XX"}, "DATA_PM"),
        ({"PAY_METHOD_DETAIL": "SID"}, "DATA_PM"),
        ({"PAY_METHOD": "EW"}, "NOT_LIVE_PM"),
        ({"VAULT": "yes"}, "INVALID_VAULT"),
        ({"VAULT_ID": str(uuid.uuid4())}, "INVALID_VAULT"),
        ({"VAULT": "1", "VAULT_ID": "abc"}, "INVALID_VAULT_ID"),
        ({"VAULT": "1", "VAULT_ID": str(uuid.uuid4())}, "INVALID_VAULT_ID"),
        ({"VAULT": "1", "PAY_METHOD": "BT"}, "VAULT_NOT_ACCEPTED"),
    ],
)
def test_an_initiate_that_is_wrong_is_refused(
    changes: dict[str, str | None], error: str, sandbox: RunningSandbox
) -> None:
    assert said(sandbox, "initiate.trans", an_initiate(**changes)) == {"ERROR": error}


def test_the_date_is_universal_time(sandbox: RunningSandbox) -> None:
    in_johannesburg = datetime.now(UTC) + timedelta(hours=2)
    date = in_johannesburg.strftime("%Y-%m-%d %H:%M:%S")
    found = said(sandbox, "initiate.trans", an_initiate(TRANSACTION_DATE=date))
    assert found == {"ERROR": "DATA_DTTM"}


def test_the_same_reference_twice_is_two_requests(sandbox: RunningSandbox) -> None:
    first = opened(sandbox)
    second = opened(sandbox, REFERENCE=first["REFERENCE"])
    assert first["PAY_REQUEST_ID"] != second["PAY_REQUEST_ID"]
    assert second["CHECKSUM"] == md5(PAYGATE_ID, second["PAY_REQUEST_ID"], second["REFERENCE"])


# query


def test_a_query_answers_about_its_own_request_alone(sandbox: RunningSandbox) -> None:
    found = opened(sandbox)
    assert asked(sandbox, found)["TRANSACTION_STATUS"] == "0"
    other = str(uuid.uuid4()).upper()
    assert asked(sandbox, found | {"PAY_REQUEST_ID": other}) == {"ERROR": "NO_TRANS_DATA"}
    assert asked(sandbox, found | {"REFERENCE": "mg-other"}) == {"ERROR": "NO_TRANS_DATA"}
    assert asked(sandbox, found | {"PAY_REQUEST_ID": "1"}) == {"ERROR": "DATA_PAY_REQ_ID"}
    assert asked(sandbox, found | {"PAYGATE_ID": "1"}) == {"ERROR": "ND_INV_PGID"}
    assert asked(sandbox, found | {"REFERENCE": ""}) == {"ERROR": "DATA_PW"}
    unsigned = said(sandbox, "query.trans", found | {"CHECKSUM": "x"})
    assert unsigned == {"ERROR": "DATA_CHK"}


# process


def test_only_the_shops_form_opens_the_page(sandbox: RunningSandbox) -> None:
    found = opened(sandbox)
    for changes, error in (
        ({"CHECKSUM": md5("other")}, "DATA_CHK"),
        ({"PAY_REQUEST_ID": str(uuid.uuid4())}, "ND_INV_PRID"),
        ({"PAY_REQUEST_ID": ""}, "DATA_PAY_REQ_ID"),
    ):
        answer = processed(sandbox, found | changes)
        assert answer.status_code == 400
        assert f"ERROR={error}" in answer.text
    assert sandbox.client.get(f"{sandbox.url}/paygate/payweb/nobody").status_code == 404


@pytest.mark.parametrize(
    ("outcome", "error"),
    [("paid", "TXN_CMP"), ("failed", "TXN_CMP"), ("cancelled", "TXN_CAN"), ("expired", "TXN_PRC")],
)
def test_a_request_that_ended_is_not_begun_again(
    outcome: str, error: str, sandbox: RunningSandbox
) -> None:
    found = opened(sandbox)
    sandbox.decide("paygate", found["REFERENCE"], outcome)
    answer = processed(sandbox, found)
    assert answer.status_code == 400
    assert f"ERROR={error}" in answer.text


# the page


def test_a_payment_by_card_tells_the_shop_before_the_browser_leaves(
    sandbox: RunningSandbox, shop: Peer
) -> None:
    shop.answers = [Said(200, b"OK")]
    found = opened(sandbox, NOTIFY_URL=f"{shop.url}/notify", USER1="Ünïcode & more")
    page = page_of(sandbox, found)
    shown = sandbox.client.get(page)
    assert shown.status_code == 200
    assert shown.headers["cache-control"] == "no-store"
    assert "R 1,499.90" in shown.text
    assert found["REFERENCE"] in shown.text

    left = sandbox.client.post(page, data=a_card())
    notice = told(shop.heard[0])
    assert [name for name, _ in parse_qsl(shop.heard[0].raw.decode())] == [
        *("PAYGATE_ID", "PAY_REQUEST_ID", "REFERENCE", "TRANSACTION_STATUS", "RESULT_CODE"),
        *("AUTH_CODE", "CURRENCY", "AMOUNT", "RESULT_DESC", "TRANSACTION_ID", "RISK_INDICATOR"),
        *("PAY_METHOD", "PAY_METHOD_DETAIL", "USER1", "CHECKSUM"),
    ]
    assert (notice["TRANSACTION_STATUS"], notice["RESULT_CODE"]) == ("1", "990017")
    assert (notice["AMOUNT"], notice["CURRENCY"]) == ("149990", "ZAR")
    assert (notice["PAY_METHOD"], notice["PAY_METHOD_DETAIL"]) == ("CC", "Visa")
    assert notice["USER1"] == "Ünïcode & more"
    assert asked(sandbox, found) == notice

    assert 'action="http://127.0.0.1:9/return?order=1&amp;lang=en"' in left.text
    posted = dict(re.findall(r'name="([A-Z_]+)" value="([^"]*)"', left.text))
    session = found["PAY_REQUEST_ID"]
    assert posted == {
        "PAY_REQUEST_ID": session,
        "TRANSACTION_STATUS": "1",
        "CHECKSUM": md5(PAYGATE_ID, session, "1", found["REFERENCE"]),
    }
    again = sandbox.client.post(page, data=a_card("4000000000000036"))
    assert 'value="1"' in again.text
    assert len(shop.heard) == 1


@pytest.mark.parametrize(
    ("number", "status", "code", "brand"),
    [
        ("4000000000000002", "1", "990017", "Visa"),
        ("5200000000000015", "1", "990017", "MasterCard"),
        ("4000000000000028", "2", "900003", "Visa"),
        ("5200000000000023", "2", "900003", "MasterCard"),
        ("4000000000000036", "2", "900007", "Visa"),
        ("5200000000000049", "2", "900007", "MasterCard"),
        ("5200000000000064", "0", "990022", "MasterCard"),
        ("4111-1111-1111-1111", "2", "900004", "Visa"),
    ],
)
def test_a_test_card_decides(
    number: str, status: str, code: str, brand: str, sandbox: RunningSandbox, shop: Peer
) -> None:
    shop.answers = [Said(200, b"OK")]
    found = opened(sandbox, PAY_METHOD="CC", NOTIFY_URL=f"{shop.url}/notify")
    sandbox.client.post(page_of(sandbox, found), data=a_card(number))
    notice = told(shop.heard[0])
    assert (notice["TRANSACTION_STATUS"], notice["RESULT_CODE"]) == (status, code)
    assert notice["PAY_METHOD_DETAIL"] == brand
    assert (notice["AUTH_CODE"] == "null") is (status != "1")
    assert notice["TRANSACTION_ID"].isdigit()


def test_a_click_on_cancel_has_no_transaction(sandbox: RunningSandbox, shop: Peer) -> None:
    shop.answers = [Said(200, b"OK")]
    found = opened(sandbox, NOTIFY_URL=f"{shop.url}/notify")
    left = sandbox.client.post(page_of(sandbox, found), data={"action": "cancel"})
    notice = told(shop.heard[0])
    assert (notice["TRANSACTION_STATUS"], notice["RESULT_CODE"]) == ("3", "990028")
    assert notice["TRANSACTION_ID"] == ""
    assert 'name="TRANSACTION_STATUS" value="3"' in left.text


def test_a_transfer_wants_a_bank(sandbox: RunningSandbox, shop: Peer) -> None:
    shop.answers = [Said(200, b"OK")]
    found = opened(sandbox, PAY_METHOD="BT", NOTIFY_URL=f"{shop.url}/notify")
    page = page_of(sandbox, found)
    assert "Card number" not in sandbox.client.get(page).text
    assert sandbox.client.post(page, data={"action": "pay"}).status_code == 422
    assert sandbox.client.post(page, data={"action": "pay", "bank": "FNB"}).status_code == 200
    notice = told(shop.heard[0])
    assert (notice["PAY_METHOD"], notice["AUTH_CODE"]) == ("BT", "999999")


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "4000"},
        {"number": ""},
        {"expiry": "13/40"},
        {"expiry": "01/20"},
        {"cvv": "12"},
        {"action": "steal"},
    ],
)
def test_what_is_typed_wrong_is_asked_for_again(
    changes: dict[str, str], sandbox: RunningSandbox
) -> None:
    found = opened(sandbox)
    page = page_of(sandbox, found)
    answer = sandbox.client.post(page, data=a_card() | changes)
    assert answer.status_code == 422
    assert 'class="problem"' in answer.text
    assert APPROVED not in answer.text.partition("<details>")[0]
    assert asked(sandbox, found)["TRANSACTION_STATUS"] == "0"


def test_the_number_is_kept_nowhere(sandbox: RunningSandbox, shop: Peer) -> None:
    shop.answers = [Said(200, b"OK")]
    number = "4929123412341234"
    found = opened(sandbox, VAULT="1", NOTIFY_URL=f"{shop.url}/notify")
    page = page_of(sandbox, found)
    sandbox.client.post(page, data=a_card(number, cvv="1"))
    sandbox.client.post(page, data=a_card(number, cvv="987"))
    kept = [
        *(file.read_text() for file in (sandbox.directory / "state").iterdir()),
        (sandbox.directory / "log").read_text(),
        json.dumps(sandbox.listed("calls")),
        json.dumps(sandbox.listed("deliveries")),
        sandbox.client.get(sandbox.url).text,
        shop.heard[0].raw.decode(),
    ]
    assert all(number not in text for text in kept)
    assert told(shop.heard[0])["RESULT_CODE"] == "900004"


def test_texts_of_a_request_are_not_markup(sandbox: RunningSandbox) -> None:
    found = opened(sandbox, REFERENCE="<b>x</b>", RETURN_URL='http://127.0.0.1:9/"><script>')
    page = page_of(sandbox, found)
    assert "<b>x" not in sandbox.client.get(page).text
    left = sandbox.client.post(page, data={"action": "cancel"}).text
    assert left.count("<script>") == 1


# the vault


def test_a_card_is_kept_when_that_was_wished_and_used_again(
    sandbox: RunningSandbox, shop: Peer
) -> None:
    shop.answers = [Said(200, b"OK")]
    notify = f"{shop.url}/notify"
    found = opened(sandbox, VAULT="1", NOTIFY_URL=notify)
    assert "VAULT_ID" not in asked(sandbox, found)
    sandbox.client.post(page_of(sandbox, found), data=a_card("5200000000000015"))
    kept = told(shop.heard[0])
    soon = datetime.now(UTC).year + 2
    assert kept["PAYVAULT_DATA_1"] == "520000xxxxxx0015"
    assert kept["PAYVAULT_DATA_2"] == f"09{soon}"
    assert asked(sandbox, found)["VAULT_ID"] == kept["VAULT_ID"]

    with_card = opened(sandbox, VAULT="1", VAULT_ID=kept["VAULT_ID"], NOTIFY_URL=notify)
    page = page_of(sandbox, with_card)
    shown = sandbox.client.get(page).text
    assert "MasterCard ending in 0015" in shown
    assert "Card number" not in shown
    assert sandbox.client.post(page, data={"action": "pay"}).status_code == 422
    assert sandbox.client.post(page, data={"action": "pay", "cvv": "123"}).status_code == 200
    again = told(shop.heard[1])
    assert (again["TRANSACTION_STATUS"], again["VAULT_ID"]) == ("1", kept["VAULT_ID"])
    listed = json.dumps(sandbox.listed("calls", provider="paygate"))
    assert kept["VAULT_ID"] not in listed


@pytest.mark.parametrize(
    ("vault", "number"), [(None, APPROVED), ("0", APPROVED), ("1", "4000000000000036")]
)
def test_a_card_is_not_kept_otherwise(
    vault: str | None, number: str, sandbox: RunningSandbox
) -> None:
    found = opened(sandbox, VAULT=vault)
    sandbox.client.post(page_of(sandbox, found), data=a_card(number))
    assert "VAULT_ID" not in asked(sandbox, found)


# notices


def test_a_notice_is_repeated_until_the_answer_is_ok_and_nothing_else(
    sandbox: RunningSandbox,
) -> None:
    with peer(Said(200, b"ok"), Said(200, b"OK\n"), Said(200, b"OK")) as shop:
        target = f"{shop.url}/{uuid.uuid4().hex}"
        found = opened(sandbox, NOTIFY_URL=target)
        sandbox.decide("paygate", found["REFERENCE"], "paid")
        assert len({heard.raw for heard in shop.wait_for(3)}) == 1
        eventually(lambda: state_of(sandbox, target) == ("delivered", 3))


def test_a_notice_is_repeated_three_times(sandbox: RunningSandbox) -> None:
    with peer(Said(401, b"OK")) as shop:
        target = f"{shop.url}/{uuid.uuid4().hex}"
        found = opened(sandbox, NOTIFY_URL=target)
        sandbox.decide("paygate", found["REFERENCE"], "failed")
        eventually(lambda: state_of(sandbox, target) == ("given_up", 4))
        assert len(shop.heard) == 4


def state_of(sandbox: RunningSandbox, url: str) -> tuple[str, int]:
    (sent,) = [one for one in sandbox.listed("deliveries") if one["url"] == url]
    return sent["status"], sent["attempts"]


def test_the_control_says_another_amount_and_keeps_the_transaction(
    sandbox: RunningSandbox, shop: Peer
) -> None:
    shop.answers = [Said(200, b"OK")]
    found = opened(sandbox, NOTIFY_URL=f"{shop.url}/notify")
    sandbox.decide("paygate", found["REFERENCE"], "paid", amount="100.50")
    first = told(shop.wait_for(1)[0])
    assert first["AMOUNT"] == "10050"
    sandbox.decide("paygate", found["PAY_REQUEST_ID"], "failed", settled=False)
    second = told(shop.wait_for(2)[1])
    assert second["TRANSACTION_ID"] == first["TRANSACTION_ID"]
    assert asked(sandbox, found)["TRANSACTION_STATUS"] == "1"


def test_the_first_page_lists_requests(sandbox: RunningSandbox) -> None:
    found = opened(sandbox)
    page = page_of(sandbox, found)
    shown = sandbox.client.get(sandbox.url).text
    assert found["REFERENCE"] in shown
    assert page in shown
