"""The sandbox itself: it refuses what the real ones refuse, forgets nothing, tells no secrets."""

from __future__ import annotations

import json
import smtplib
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.peer import Peer, Said, peer
from tests.sandbox.running import (
    KORA_SECRET_KEY,
    SMTP_PASSWORD,
    SMTP_USER,
    RunningSandbox,
    running_sandbox,
)
from tests.sandbox.settings import MissingSetting, read_settings

INITIALIZE = "/kora/merchant/api/v1/charges/initialize"
PUSH = "/kora/merchant/api/v1/charges/mobile-money"
AUTHORIZE = "/kora/merchant/api/v1/charges/mobile-money/authorize"


def a_charge(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "reference": uuid.uuid4().hex,
        "amount": 12500,
        "currency": "XAF",
        "customer": {"email": "aicha@example.cm", "name": "Aïcha Ngoé"},
        "redirect_url": "http://127.0.0.1:9/return?lang=fr",
        "narration": "Commande MG-1001",
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


def kora(
    sandbox: RunningSandbox, path: str, body: Any, *, key: str = KORA_SECRET_KEY, **more: Any
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return sandbox.client.post(
        sandbox.url + path, content=content, headers=headers | more.get("headers", {})
    )


def page_of(sandbox: RunningSandbox, **changes: Any) -> tuple[str, str]:
    body = a_charge(**changes)
    answer = kora(sandbox, INITIALIZE, body)
    assert answer.status_code == 200, answer.text
    return body["reference"], answer.json()["data"]["checkout_url"]


def eventually(ask: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "12500"}, "amount"),
        ({"amount": 12500.5}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": 1.999, "currency": "ZAR"}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"reference": None}, "reference"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
        ({"customer": None}, "customer.email"),
        ({"metadata": {}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(6)}}, "metadata"),
        ({"metadata": {"order_number": "x"}}, "metadata.order_number"),
        ({"metadata": {"order": "x" * 51}}, "metadata.order"),
        ({"redirect_url": "nowhere"}, "redirect_url"),
        ({"channels": ["cash"]}, "channels"),
        ({"channels": ["card"], "default_channel": "mobile_money"}, "default_channel"),
    ],
)
def test_kora_refuses_a_charge_that_is_wrong(
    changes: dict[str, Any], field: str, sandbox: RunningSandbox
) -> None:
    answer = kora(sandbox, INITIALIZE, a_charge(**changes))
    assert (answer.status_code, answer.json()["status"]) == (400, False)
    assert list(answer.json()["data"]) == [field]


def test_kora_refuses_a_wrong_key_type_or_body(sandbox: RunningSandbox) -> None:
    assert kora(sandbox, INITIALIZE, a_charge(), key="sk_test_other").status_code == 401
    plain = {"content-type": "text/plain"}
    assert kora(sandbox, INITIALIZE, a_charge(), headers=plain).status_code == 415
    assert kora(sandbox, INITIALIZE, b"{").status_code == 400
    assert kora(sandbox, INITIALIZE, b"[]").status_code == 400


def test_kora_takes_a_reference_once(sandbox: RunningSandbox) -> None:
    body = a_charge()
    assert kora(sandbox, INITIALIZE, body).status_code == 200
    again = kora(sandbox, INITIALIZE, body)
    assert (again.status_code, again.json()["code"]) == (409, "AA021")


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "short"},
        {"mobile_money": None},
        {"mobile_money": {"number": "+237671112233"}},
        {"mobile_money": {"number": "27821234567"}},
        {"currency": "ZAR"},
    ],
)
def test_kora_refuses_a_push_that_is_wrong(
    changes: dict[str, Any], sandbox: RunningSandbox
) -> None:
    body = a_charge(**({"mobile_money": {"number": "237671112233"}} | changes))
    assert kora(sandbox, PUSH, body).status_code == 400


@pytest.mark.parametrize(
    ("number", "status"),
    [("237670000000", "success"), ("237690000001", "failed"), ("237670000002", "expired")],
)
def test_a_test_number_decides_by_itself(
    number: str, status: str, sandbox: RunningSandbox, shop: Peer
) -> None:
    body = a_charge(mobile_money={"number": number}, notification_url=f"{shop.url}/webhook")
    data = kora(sandbox, PUSH, body).json()["data"]
    assert (data["auth_model"], data["status"]) == ("STK_PROMPT", "processing")
    event = json.loads(shop.wait_for(1)[0].raw)
    assert event["data"]["status"] == status
    assert event["data"]["payment_reference"] == body["reference"]
    assert event["data"]["reference"] == data["transaction_reference"]


def test_a_code_is_asked_for_and_checked(sandbox: RunningSandbox, shop: Peer) -> None:
    body = a_charge(mobile_money={"number": "237690000003"}, notification_url=f"{shop.url}/webhook")
    data = kora(sandbox, PUSH, body).json()["data"]
    assert data["auth_model"] == "OTP"
    theirs = data["transaction_reference"]
    wrong = kora(sandbox, AUTHORIZE, {"reference": theirs, "token": "000000"})
    assert wrong.json()["message"] == "The OTP you provided is invalid"
    ours = kora(sandbox, AUTHORIZE, {"reference": body["reference"], "token": "123456"})
    assert ours.status_code == 404
    right = kora(sandbox, AUTHORIZE, {"reference": theirs, "token": "123456"})
    assert right.json()["data"]["auth_model"] == "STK_PROMPT"
    assert json.loads(shop.wait_for(1)[0].raw)["event"] == "charge.success"


def test_the_page_shows_the_order_in_the_readers_language(sandbox: RunningSandbox) -> None:
    reference, page = page_of(sandbox)
    english = sandbox.client.get(page, headers={"accept-language": "en-ZA"})
    french = sandbox.client.get(page, headers={"accept-language": "fr-CM,fr;q=0.9"})
    asked = sandbox.client.get(page, params={"lang": "fr"}, headers={"accept-language": "en"})
    assert english.headers["content-type"].startswith("text/html")
    assert "XAF 12,500" in english.text
    assert "Pay XAF 12,500" in english.text
    assert "12\u202f500 FCFA" in french.text
    assert '<html lang="fr">' in french.text
    assert asked.text.count("Annuler") == french.text.count("Annuler") == 1
    assert all(reference in shown.text for shown in (english, french, asked))
    assert all("MG-1001" in shown.text for shown in (english, french))


@pytest.mark.parametrize(
    ("action", "event", "status"),
    [("pay", "charge.success", "success"), ("cancel", "charge.failed", "cancelled")],
)
def test_a_click_tells_the_shop_and_leads_back(
    action: str, event: str, status: str, sandbox: RunningSandbox, shop: Peer
) -> None:
    reference, page = page_of(sandbox, notification_url=f"{shop.url}/webhook")
    answer = sandbox.client.post(page, data={"action": action})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://127.0.0.1:9/return?lang=fr&reference={reference}"
    told = json.loads(shop.wait_for(1)[0].raw)
    assert (told["event"], told["data"]["status"]) == (event, status)

    again = sandbox.client.post(page, data={"action": "pay"})
    assert again.status_code == 200
    assert "<form" not in again.text
    assert len(shop.heard) == 1


def test_a_page_that_nobody_made_is_not_there(sandbox: RunningSandbox) -> None:
    reference, page = page_of(sandbox)
    base = f"{sandbox.url}/kora/checkout"
    assert sandbox.client.get(f"{base}/{reference}/pay").status_code == 404
    assert sandbox.client.get(f"{base}/KPY-PI-AAAAAAAAAAAA/pay").status_code == 404
    assert sandbox.client.post(page, data={"action": "steal"}).status_code == 400


def test_texts_of_a_charge_are_not_markup(sandbox: RunningSandbox) -> None:
    _, page = page_of(sandbox, narration="<script>alert(1)</script>")
    assert "<script" not in sandbox.client.get(page).text


def test_a_webhook_is_repeated_until_it_is_taken(sandbox: RunningSandbox) -> None:
    with peer(Said(500), Said(202), Said(200)) as shop:
        target = f"{shop.url}/{uuid.uuid4().hex}"
        reference, _ = page_of(sandbox, notification_url=target)
        sandbox.decide("kora", reference, "paid")
        heard = shop.wait_for(3)
        assert len({request.raw for request in heard}) == 1
        eventually(
            lambda: (
                [
                    (sent["status"], sent["attempts"], sent["last_status"])
                    for sent in sandbox.listed("deliveries")
                    if sent["url"] == target
                ]
                == [("delivered", 3, 200)]
            )
        )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("payments/kora/nobody", {"outcome": "paid"}),
        ("payments/nobody/x", {"outcome": "paid"}),
    ],
)
def test_a_control_for_nothing_is_not_found(
    path: str, body: dict[str, Any], sandbox: RunningSandbox
) -> None:
    assert sandbox.client.post(f"{sandbox.url}/_sandbox/{path}", json=body).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("payments/kora/x", {"outcome": "stolen"}),
        ("payments/kora/x", {"outcome": "paid", "amount": "much"}),
        ("payments/kora/x", {"outcome": "paid", "amount": "NaN"}),
        ("payments/kora/x", {"outcome": "paid", "notify": "yes"}),
        ("payments/kora/x", []),
        ("faults", {"provider": "paypal", "kind": "error"}),
        ("faults", {"provider": "kora", "kind": "gremlin"}),
        ("faults", {"provider": "kora", "kind": "error", "times": 0}),
    ],
)
def test_a_control_that_means_nothing_is_refused(
    path: str, body: Any, sandbox: RunningSandbox
) -> None:
    assert sandbox.client.post(f"{sandbox.url}/_sandbox/{path}", json=body).status_code == 400


def test_a_fault_happens_as_often_as_ordered_and_can_be_called_off(
    sandbox: RunningSandbox,
) -> None:
    sandbox.order_fault("kora", "error", times=2)
    statuses = [kora(sandbox, INITIALIZE, a_charge()).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    sandbox.order_fault("kora", "error", times=5)
    sandbox.clear_faults()
    assert sandbox.listed("faults") == []
    assert kora(sandbox, INITIALIZE, a_charge()).status_code == 200


def test_calls_are_shown_without_keys_numbers_and_addresses(sandbox: RunningSandbox) -> None:
    body = a_charge(mobile_money={"number": "237671119988"})
    kora(sandbox, PUSH, body)
    call = sandbox.listed("calls", provider="kora")[-1]
    assert (call["operation"], call["status"], call["fault"]) == ("mobile_money", 200, None)
    assert call["body"]["reference"] == body["reference"]
    shown = json.dumps(call)
    assert all(secret not in shown for secret in (KORA_SECRET_KEY, "237671119988", "aicha@"))


def test_the_first_page_lets_a_person_decide(sandbox: RunningSandbox, shop: Peer) -> None:
    reference, _ = page_of(sandbox, notification_url=f"{shop.url}/webhook")
    assert reference in sandbox.client.get(sandbox.url).text
    clicked = sandbox.client.post(
        f"{sandbox.url}/_sandbox/payments/kora/{reference}", data={"outcome": "paid"}
    )
    assert (clicked.status_code, clicked.headers["location"]) == (303, "/")
    assert json.loads(shop.wait_for(1)[0].raw)["event"] == "charge.success"


def test_fifty_callers_at_once_are_all_answered(sandbox: RunningSandbox) -> None:
    statuses: list[int] = []
    barrier = threading.Barrier(50)

    def call() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            barrier.wait()
            for _ in range(4):
                answer = client.post(
                    sandbox.url + INITIALIZE,
                    json=a_charge(),
                    headers={"authorization": f"Bearer {KORA_SECRET_KEY}"},
                )
                statuses.append(answer.status_code)

    callers = [threading.Thread(target=call) for _ in range(50)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 200


def submit(sandbox: RunningSandbox, recipient: str, user: str, password: str) -> None:
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, local_hostname="test", timeout=10) as client:
        client.starttls(context=context)
        client.login(user, password)
        client.sendmail(
            "shop@mallgram.example",
            [recipient],
            f"From: shop@mallgram.example\r\nTo: {recipient}\r\nSubject: Hi\r\n\r\nText\r\n",
        )


def test_mail_is_taken_only_encrypted_and_signed_in(sandbox: RunningSandbox) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(sandbox, "a@example.com", SMTP_USER, "wrong")
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, local_hostname="t", timeout=10) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.mail("shop@mallgram.example")[0] == 530
    submit(sandbox, "a@example.com", SMTP_USER, SMTP_PASSWORD)
    (mail,) = sandbox.listed("mail", to="A@EXAMPLE.COM")
    assert (mail["subject"], mail["text"], mail["html"]) == ("Hi", "Text\n", None)


def test_a_mail_is_shown_where_its_scripts_cannot_run(sandbox: RunningSandbox) -> None:
    submit(sandbox, "page@example.com", SMTP_USER, SMTP_PASSWORD)
    (mail,) = sandbox.listed("mail", to="page@example.com")
    assert f"/_sandbox/mail/{mail['id']}" in sandbox.client.get(sandbox.url).text
    assert sandbox.client.get(f"{sandbox.url}/_sandbox/mail/{mail['id']}").status_code == 200
    assert sandbox.client.get(f"{sandbox.url}/_sandbox/mail/nobody").status_code == 404


def test_a_killed_sandbox_remembers_charges_mail_and_webhooks(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox, peer(Said(503)) as shop:
        paid, _ = page_of(sandbox, notification_url=f"{shop.url}/webhook")
        waiting, page = page_of(sandbox)
        submit(sandbox, "kept@example.com", SMTP_USER, SMTP_PASSWORD)
        sandbox.decide("kora", paid, "paid")
        shop.wait_for(1)

        sandbox.kill()
        with (tmp_path / "state" / "journal.jsonl").open("a") as journal:
            journal.write('{"kind": "kora.charge", "id": "half a li')
        shop.answers = [Said(200)]
        before = len(shop.heard)
        sandbox.start()

        assert len(shop.wait_for(before + 1)) == before + 1
        status = f"{sandbox.url}/kora/merchant/api/v1/charges"
        key = {"authorization": f"Bearer {KORA_SECRET_KEY}"}
        kept = sandbox.client.get(f"{status}/{paid}", headers=key).json()["data"]
        assert (kept["status"], kept["amount"]) == ("success", "12500.00")
        assert waiting in sandbox.client.get(page).text
        assert len(sandbox.listed("mail", to="kept@example.com")) == 1


def test_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match="SANDBOX_STATE_DIR is not set"):
        read_settings({})
    with pytest.raises(MissingSetting, match="KORA_PAY_SECRET_KEY is not set"):
        read_settings(
            {
                "SANDBOX_STATE_DIR": str(tmp_path),
                "SMTP_USER": "u",
                "SMTP_PASSWORD": "p",
                "SANDBOX_TLS_CERT": "c",
                "SANDBOX_TLS_KEY": "k",
            }
        )
