"""The sandbox's Orange: refuses what Orange refuses, shows a page, tells of SUCCESS and FAILED."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.peer import Peer, Said, peer
from tests.sandbox.running import (
    ORANGE_API_KEY,
    ORANGE_CLIENT_ID,
    ORANGE_MERCHANT_KEY,
    RunningSandbox,
    running_sandbox,
)

API = "/orange/orange-money-webpay/cm/v1"
NUMBER, REFUSED, SILENT = "690 11 22 33", "+237690000001", "690000002"


class Shop:
    """A merchant with its token."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.token: str = ask_token(sandbox).json()["access_token"]

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        return self.sandbox.client.post(
            self.sandbox.url + path, content=content, headers=given | headers
        )

    def create(self, **changes: Any) -> httpx.Response:
        return self.post(f"{API}/webpayment", a_session(**changes))

    def status(self, order_id: str, session: dict[str, Any], **changes: Any) -> httpx.Response:
        return self.ask({**asked(order_id, session), **changes})

    def ask(self, body: dict[str, Any]) -> httpx.Response:
        return self.post(f"{API}/transactionstatus", body)

    def word(self, order_id: str, session: dict[str, Any]) -> str:
        answer = self.status(order_id, session)
        assert (answer.status_code, answer.json()["order_id"]) == (201, order_id)
        word: str = answer.json()["status"]
        return word


def ask_token(sandbox: RunningSandbox, **changes: Any) -> httpx.Response:
    given: dict[str, Any] = {
        "auth": (ORANGE_CLIENT_ID, ORANGE_API_KEY),
        "data": {"grant_type": "client_credentials"},
    }
    return sandbox.client.post(f"{sandbox.url}/orange/oauth/v3/token", **(given | changes))


def a_session(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "merchant_key": ORANGE_MERCHANT_KEY,
        "currency": "XAF",
        "order_id": uuid.uuid4().hex[:30],
        "amount": 12500,
        "return_url": "http://127.0.0.1:9/return",
        "cancel_url": "http://127.0.0.1:9/cancel",
        "notif_url": "http://127.0.0.1:9/notice",
        "lang": "fr",
        "reference": "Mallgram MG-1001",
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


def asked(order_id: str, session: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": order_id, "amount": 12500, "pay_token": session["pay_token"]}


def turn(sandbox: RunningSandbox, **dials: Any) -> httpx.Response:
    return sandbox.client.put(f"{sandbox.url}/_sandbox/dials/orange", json=dials)


def opened(orange: Shop, shop: Peer | None = None, **changes: Any) -> tuple[str, dict[str, Any]]:
    order_id = uuid.uuid4().hex[:30]
    if shop is not None:
        changes["notif_url"] = f"{shop.url}/notice"
    answer = orange.create(order_id=order_id, **changes)
    assert answer.status_code == 201, answer.text
    return order_id, answer.json()


def code_on(page: str) -> str:
    found = re.search(r'id="otp-on-handset">(\d{6})<', page)
    assert found is not None
    return found[1]


def wrong(code: str) -> str:
    return "000000" if code != "000000" else "111111"


def pay(sandbox: RunningSandbox, url: str, number: str = NUMBER) -> httpx.Response:
    code = code_on(sandbox.client.get(url).text)
    return sandbox.client.post(url, data={"action": "pay", "msisdn": number, "otp": code})


@pytest.fixture
def orange(sandbox: RunningSandbox) -> Iterator[Shop]:
    turn(sandbox).raise_for_status()
    yield Shop(sandbox)
    turn(sandbox).raise_for_status()


def test_a_token_wants_the_client_and_the_grant(sandbox: RunningSandbox, orange: Shop) -> None:
    answer = ask_token(sandbox)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == "7776000"
    assert answer.json()["access_token"] != orange.token
    for changes, status in (
        ({"auth": (ORANGE_CLIENT_ID, "another")}, 401),
        ({"auth": ("another", ORANGE_API_KEY)}, 401),
        ({"auth": None}, 401),
        ({"data": {"grant_type": "password"}}, 400),
        ({"data": {}}, 400),
        ({"data": None, "json": {"grant_type": "client_credentials"}}, 400),
    ):
        refused = ask_token(sandbox, **changes)
        assert (refused.status_code, "error" in refused.json()) == (status, True)


def test_the_api_wants_a_token_that_is_good(sandbox: RunningSandbox, orange: Shop) -> None:
    def code(authorization: str) -> int:
        answer = orange.post(f"{API}/webpayment", a_session(), authorization=authorization)
        assert answer.status_code == 401
        number: int = answer.json()["code"]
        return number

    assert (code(""), code("Basic eA=="), code("Bearer nobodys")) == (40, 40, 41)

    turn(sandbox, token_seconds=1).raise_for_status()
    short = ask_token(sandbox).json()
    assert short["expires_in"] == "1"
    time.sleep(1.1)
    assert code(f"Bearer {short['access_token']}") == 42

    assert orange.create().status_code == 201
    turn(sandbox, revoke_tokens=True).raise_for_status()
    assert code(f"Bearer {orange.token}") == 41
    assert Shop(sandbox).create().status_code == 201


@pytest.mark.parametrize(
    "dials",
    [{"token_seconds": 0}, {"token_seconds": "1"}, {"session_seconds": True}, {"minutes": 5}],
)
def test_a_dial_that_is_none_is_refused(dials: dict[str, Any], sandbox: RunningSandbox) -> None:
    assert turn(sandbox, **dials).status_code == 400
    assert sandbox.client.put(f"{sandbox.url}/_sandbox/dials/orange", json=[]).status_code == 400


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"order_id": None}, 23, "WebPaymentInfo.OrderId"),
        ({"merchant_key": None}, 23, "WebPaymentInfo.MerchantKey"),
        ({"amount": None}, 23, "WebPaymentInfo.Amount"),
        ({"amount": 0}, 23, "WebPaymentInfo.Amount"),
        ({"currency": ""}, 23, "WebPaymentInfo.Currency"),
        ({"return_url": None}, 23, "WebPaymentInfo.ReturnUrl"),
        ({"cancel_url": None}, 23, "WebPaymentInfo.CancelUrl"),
        ({"notif_url": None}, 23, "WebPaymentInfo.NotifUrl"),
        ({"lang": None}, 23, "WebPaymentInfo.Lang"),
        ({"amount": "12500"}, 24, "amount"),
        ({"amount": 12500.5}, 24, "amount"),
        ({"amount": -1}, 24, "amount"),
        ({"amount": True}, 24, "amount"),
        ({"amount": 1e400}, 24, "amount"),
        ({"order_id": "x" * 31}, 24, "order_id"),
        ({"order_id": 5}, 24, "order_id"),
        ({"reference": "x" * 31}, 24, "reference"),
        ({"return_url": "http://x/" + "x" * 112}, 24, "return_url"),
        ({"cancel_url": "http://x/" + "x" * 112}, 24, "cancel_url"),
        ({"notif_url": "http://x/" + "x" * 112}, 24, "notif_url"),
        ({"notif_url": "nowhere"}, 24, "notif_url"),
        ({"lang": "de"}, 24, "lang"),
        ({"merchant_key": "another"}, 24, "merchant_key"),
        ({"currency": "OUV"}, 24, "currency"),
    ],
)
def test_a_session_that_is_wrong_is_refused(
    changes: dict[str, Any], code: int, named: str, orange: Shop
) -> None:
    answer = orange.create(**changes)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert named in answer.json()["description"]


def test_a_body_that_is_no_object_is_refused(orange: Shop) -> None:
    for body in (b"{", b"[]", b"", b"\xff"):
        answer = orange.post(f"{API}/webpayment", body)
        assert (answer.status_code, answer.json()["code"]) == (400, 22)
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert orange.post(f"{API}/webpayment", a_session(), **form).status_code == 415


def test_a_merchant_key_is_good_in_one_environment(orange: Shop) -> None:
    dev = orange.post(API.replace("/cm/", "/dev/") + "/webpayment", a_session(currency="OUV"))
    assert (dev.status_code, "merchant_key" in dev.json()["description"]) == (400, True)
    nowhere = orange.post(API.replace("/cm/", "/xx/") + "/webpayment", a_session())
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, 60)


def test_a_session_is_opened_once_with_tokens_of_its_own(orange: Shop) -> None:
    order_id, session = opened(orange)
    assert set(session) == {"status", "message", "pay_token", "payment_url", "notif_token"}
    assert (session["status"], session["message"]) == (201, "OK")
    assert session["payment_url"].endswith(f"/payment/pay_token/{session['pay_token']}")
    again = orange.create(order_id=order_id)
    assert (again.status_code, "order_id" in again.json()["description"]) == (400, True)


def test_the_status_wants_the_three_values_of_the_create(orange: Shop) -> None:
    order_id, session = opened(orange)
    answer = orange.status(order_id, session)
    assert (answer.status_code, answer.json()) == (
        201,
        {"status": "INITIATED", "order_id": order_id},
    )
    for field, name in (
        ("order_id", "OrderId"),
        ("amount", "Amount"),
        ("pay_token", "PayToken"),
    ):
        missing = orange.ask(asked(order_id, session) | {field: None})
        assert (missing.status_code, missing.json()["code"]) == (400, 23)
        assert f"GetTransactionStatusInfo.{name}" in missing.json()["description"]
    others = {"order_id": "another", "amount": 12501, "pay_token": session["notif_token"]}
    for field, value in others.items():
        other = orange.ask(asked(order_id, session) | {field: value})
        assert (other.status_code, other.json()["code"]) == (404, 60)
    assert orange.status(order_id, session, amount="12500").json()["code"] == 24


def test_the_page_speaks_the_sessions_language(sandbox: RunningSandbox, orange: Shop) -> None:
    order_id, session = opened(orange)
    url = session["payment_url"]
    french = sandbox.client.get(url, headers={"accept-language": "en"})
    english = sandbox.client.get(url, params={"lang": "en"})
    assert french.headers["content-type"].startswith("text/html")
    assert ('<html lang="fr">' in french.text, '<html lang="en">' in english.text) == (True, True)
    assert "Confirmer 12\u202f500 FCFA" in french.text
    assert "Confirm XAF 12,500" in english.text
    for page in (french, english):
        assert order_id in page.text
        assert "Mallgram MG-1001" in page.text
        assert 'name="msisdn"' in page.text
        assert 'name="otp"' in page.text
        assert session["notif_token"] not in page.text
    assert (
        '<html lang="en">' in sandbox.client.get(opened(orange, lang="en")[1]["payment_url"]).text
    )


def test_texts_of_a_session_are_not_markup(sandbox: RunningSandbox, orange: Shop) -> None:
    _, session = opened(orange, reference="<script>1</script>")
    url = session["payment_url"]
    assert "<script" not in sandbox.client.get(url).text
    typed = {"action": "pay", "msisdn": '"><script>', "otp": "1"}
    assert "<script" not in sandbox.client.post(url, data=typed).text


def test_a_page_that_nobody_made_is_not_there(sandbox: RunningSandbox, orange: Shop) -> None:
    order_id, session = opened(orange)
    base = f"{sandbox.url}/orange/payment/pay_token"
    for token in (order_id, "0" * 32, session["notif_token"]):
        assert sandbox.client.get(f"{base}/{token}").status_code == 404
    steal = sandbox.client.post(session["payment_url"], data={"action": "steal"})
    assert steal.status_code == 400


@pytest.mark.parametrize("number", [NUMBER, "+237 655 00 00 00", "00237690112233", "690-11-22-33"])
def test_number_and_code_pay(
    number: str, sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    order_id, session = opened(orange, shop)
    answer = pay(sandbox, session["payment_url"], number)
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:9/return")
    assert orange.word(order_id, session) == "PENDING"
    heard = shop.wait_for(1)[0]
    told = json.loads(heard.raw)
    assert (heard.method, heard.headers["content-type"]) == ("POST", "application/json")
    assert set(told) == {"status", "notif_token", "txnid"}
    assert (told["status"], told["notif_token"]) == ("SUCCESS", session["notif_token"])
    assert re.match(r"MP\d{6}\.\d{4}\.[A-Z]\d{5}\Z", told["txnid"])
    assert orange.status(order_id, session).json() == {
        "status": "SUCCESS",
        "order_id": order_id,
        "txnid": told["txnid"],
    }
    again = sandbox.client.post(session["payment_url"], data={"action": "pay"})
    assert (again.status_code, "<form" in again.text) == (200, False)
    assert len(shop.heard) == 1


def test_a_number_may_be_refused_or_left_waiting(
    sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    refused_id, refused = opened(orange, shop)
    silent_id, silent = opened(orange, shop)
    pay(sandbox, silent["payment_url"], SILENT)
    pay(sandbox, refused["payment_url"], REFUSED)
    assert json.loads(shop.wait_for(1)[0].raw)["status"] == "FAILED"
    assert orange.word(refused_id, refused) == "FAILED"
    assert orange.word(silent_id, silent) == "PENDING"
    sandbox.decide("orange", silent_id, "paid")
    assert json.loads(shop.wait_for(2)[1].raw)["notif_token"] == silent["notif_token"]


@pytest.mark.parametrize(
    "number", ["", "12", "222112233", "6901122334", "+33690112233", "69011223x"]
)
def test_what_is_no_number_is_asked_for_again(
    number: str, sandbox: RunningSandbox, orange: Shop
) -> None:
    order_id, session = opened(orange)
    answer = pay(sandbox, session["payment_url"], number)
    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert orange.word(order_id, session) == "INITIATED"


def test_the_third_wrong_code_is_the_last(
    sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    order_id, session = opened(orange, shop)
    url = session["payment_url"]
    code = wrong(code_on(sandbox.client.get(url).text))
    typed = {"action": "pay", "msisdn": NUMBER, "otp": code}
    for _ in range(2):
        answer = sandbox.client.post(url, data=typed)
        assert (answer.status_code, "<form" in answer.text, NUMBER in answer.text) == (
            422,
            True,
            True,
        )
    assert orange.word(order_id, session) == "INITIATED"
    last = sandbox.client.post(url, data=typed)
    assert (last.status_code, "<form" in last.text) == (422, False)
    assert json.loads(shop.wait_for(1)[0].raw)["status"] == "FAILED"
    assert orange.word(order_id, session) == "FAILED"


def test_who_cancels_leaves_an_open_session_behind(
    sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    order_id, session = opened(orange, shop)
    url = session["payment_url"]
    answer = sandbox.client.post(url, data={"action": "cancel"})
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:9/cancel")
    assert orange.word(order_id, session) == "INITIATED"
    assert shop.heard == []
    assert pay(sandbox, url).status_code == 303
    assert json.loads(shop.wait_for(1)[0].raw)["status"] == "SUCCESS"


def test_a_session_ends_by_itself_and_without_a_word(
    sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    turn(sandbox, session_seconds=1).raise_for_status()
    order_id, session = opened(orange, shop)
    code = code_on(sandbox.client.get(session["payment_url"]).text)
    assert orange.word(order_id, session) == "INITIATED"
    time.sleep(1.1)
    assert orange.word(order_id, session) == "EXPIRED"
    late = sandbox.client.post(
        session["payment_url"], data={"action": "pay", "msisdn": NUMBER, "otp": code}
    )
    assert (late.status_code, "<form" in late.text) == (200, False)
    assert orange.word(order_id, session) == "EXPIRED"
    assert shop.heard == []


def test_another_amount_is_another_transaction(
    sandbox: RunningSandbox, orange: Shop, shop: Peer
) -> None:
    order_id, session = opened(orange, shop)
    sandbox.decide("orange", order_id, "paid", amount=100)
    assert json.loads(shop.wait_for(1)[0].raw)["status"] == "SUCCESS"
    assert orange.status(order_id, session).status_code == 404
    assert orange.status(order_id, session, amount=100).json()["status"] == "SUCCESS"


def test_the_control_of_nothing_is_not_found(sandbox: RunningSandbox) -> None:
    answer = sandbox.client.post(
        f"{sandbox.url}/_sandbox/payments/orange/nobody", json={"outcome": "paid"}
    )
    assert answer.status_code == 404


def test_calls_are_shown_without_keys_and_tokens(sandbox: RunningSandbox, orange: Shop) -> None:
    order_id, session = opened(orange)
    orange.status(order_id, session)
    calls = sandbox.listed("calls", provider="orange")
    assert [call["operation"] for call in calls][-2:] == ["webpayment", "status"]
    assert calls[-1]["body"]["order_id"] == order_id
    shown = json.dumps(calls[-2:])
    for secret in (ORANGE_API_KEY, ORANGE_MERCHANT_KEY, orange.token, session["pay_token"]):
        assert secret not in shown


def test_the_first_page_lists_sessions(sandbox: RunningSandbox, orange: Shop) -> None:
    order_id, session = opened(orange)
    page = sandbox.client.get(sandbox.url).text
    assert order_id in page
    assert session["payment_url"] in page
    assert "state-initiated" in page


def test_a_killed_sandbox_settles_what_was_confirmed(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox, peer(Said(200)) as shop:
        orange = Shop(sandbox)
        order_id, session = opened(orange, shop)
        sandbox.decide("orange", order_id, "pending")
        sandbox.kill()
        journal = tmp_path / "state" / "journal.jsonl"
        kept = [json.loads(line) for line in journal.read_text().splitlines()]
        last = [one for one in kept if one["id"] == order_id][-1]
        last["value"]["by_itself"] = "paid"  # as it stands in the moment after the payer confirmed
        with journal.open("a") as file:
            file.write(json.dumps(last) + "\n")
        sandbox.start()
        assert json.loads(shop.wait_for(1)[0].raw)["notif_token"] == session["notif_token"]
        assert orange.word(order_id, session) == "SUCCESS"
