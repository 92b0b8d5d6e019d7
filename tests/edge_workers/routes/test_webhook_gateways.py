"""Each gateway's notices at the edge: proven its own way, answered its own way, kept clean."""

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Person
from tests.edge_workers.routes.conftest import SECRET, PlaceOrder
from tests.edge_workers.routes.test_webhooks import event, sign
from tests.sandbox.running import CREDENTIALS

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]
ShopWith = Callable[..., FlaskClient]
WEBHOOK = "/api/v1/payments/webhook"
CARD = "4111 1111 1111 1111"


@pytest.fixture
def start(
    acheteuse: Person, shopper: Person, place_order: PlaceOrder, admin: Admin
) -> Callable[..., dict[str, Any]]:
    """Starts a payment of a new order: its row, with the tokens that prove its notices."""

    def begin(client: FlaskClient, country: str, **body: Any) -> dict[str, Any]:
        person = acheteuse if country == "CM" else shopper
        response = client.post(
            "/api/v1/payments/initialize",
            headers=person.headers,
            json={"order_id": place_order(person, country)["id"], **body},
        )
        assert response.status_code == 200, response.text
        assert response.json is not None
        row = admin.execute(
            "select p.id, p.gateway, p.reference, p.gateway_session, p.amount, p.currency, "
            "array(select t.webhook_token from private.payment_tokens as t "
            "where t.payment_id = p.id) as tokens from public.payments as p where p.id = %s",
            [response.json["payment_id"]],
        ).fetchone()
        assert row is not None
        return row

    return begin


def stored(admin: Admin, payment_id: object) -> list[dict[str, Any]]:
    return admin.execute(
        "select gateway, kind, event_type, dedupe_key, raw, headers, refund_id "
        "from private.webhook_events where payment_id = %s order by received_at",
        [payment_id],
    ).fetchall()


def count(admin: Admin) -> int:
    row = admin.execute("select count(*) as n from private.webhook_events").fetchone()
    assert row is not None
    number: int = row["n"]
    return number


def form(fields: dict[str, str]) -> str:
    return "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items())


# --- By the token in the address --------------------------------------------------------------


def push(client: FlaskClient, start: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    payment = start(client, "CM", method="mtn_momo", phone="+237671234567")
    assert payment["gateway"] == "mtn"
    return payment


def callback(payment: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(
        {
            "externalId": payment["reference"],
            "amount": f"{payment['amount']:.0f}",
            "currency": payment["currency"],
            "payer": {"partyIdType": "MSISDN", "partyId": "237671234567"},
            "status": "SUCCESSFUL",
            "financialTransactionId": "1",
            **changes,
        }
    ).encode()


@pytest.mark.parametrize("method", ["post", "put"])
def test_an_unsigned_notice_is_proven_by_the_token_in_its_address(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin, method: str
) -> None:
    client = shop_with()
    payment = push(client, start)
    (token,) = payment["tokens"]
    body = callback(payment)
    for _ in range(2):
        response = getattr(client, method)(f"{WEBHOOK}/mtn/{token}", data=body)
        assert response.status_code == 200, response.text
    (row,) = stored(admin, payment["id"])
    assert (row["gateway"], row["kind"], row["raw"]) == ("mtn", "payment", body.decode())
    assert token not in row["dedupe_key"]
    assert token not in json.dumps(row["headers"])


def test_a_notice_that_names_no_reference_finds_its_payment_by_the_token(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = push(client, start)
    body = callback(payment, externalId=None)
    response = client.post(f"{WEBHOOK}/mtn/{payment['tokens'][0]}", data=body)
    assert response.status_code == 200, response.text
    assert [row["raw"] for row in stored(admin, payment["id"])] == [body.decode()]


def test_without_the_payments_own_token_it_is_refused(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = push(client, start)
    (token,) = payment["tokens"]
    before = count(admin)
    wrong = ("", f"/{token[:-1]}", f"/{token}0", f"/{uuid.uuid4().hex}", "/é")
    for path in (WEBHOOK, *(f"{WEBHOOK}/mtn{part}" for part in wrong)):
        response = client.post(path, data=callback(payment))
        assert response.status_code == 401, path
        assert response.json is not None
        assert response.json["code"] == "webhook_signature_invalid"
    assert count(admin) == before


def test_a_token_of_another_gateways_payment_proves_nothing(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = push(client, start)
    other = start(client, "CM", method="kora_checkout")
    before = count(admin)
    response = client.post(f"{WEBHOOK}/mtn/{other['tokens'][0]}", data=callback(payment))
    assert response.status_code == 401
    assert count(admin) == before


def test_a_notice_about_two_payments_is_kept_and_applied_to_neither(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    mine, other = push(client, start), push(client, start)
    body = callback(other)
    response = client.post(f"{WEBHOOK}/mtn/{mine['tokens'][0]}", data=body)
    assert response.status_code == 200
    rows = admin.execute(
        "select payment_id, outcome from private.webhook_events where raw = %s", [body.decode()]
    ).fetchall()
    assert rows == [{"payment_id": None, "outcome": "ambiguous_reference"}]


# --- By the token in the body -----------------------------------------------------------------


def test_a_notice_is_proven_by_the_token_that_the_gateway_gave(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "CM", method="orange_money")
    assert payment["gateway"] == "orange"
    responses, before = [], count(admin)
    for token in payment["tokens"]:
        body = json.dumps({"status": "SUCCESS", "notif_token": token, "txnid": "MP150709.1341"})
        responses.append(client.post(f"{WEBHOOK}/orange", data=body).status_code)
        wrong = json.dumps({"status": "SUCCESS", "notif_token": token[:-1] + "x", "txnid": "1"})
        assert client.post(f"{WEBHOOK}/orange", data=wrong).status_code == 401
    assert 200 in responses
    rows = stored(admin, payment["id"])
    assert len(rows) == responses.count(200) == count(admin) - before
    assert all(token not in row["dedupe_key"] for token in payment["tokens"] for row in rows)


# --- By a checksum ----------------------------------------------------------------------------


def notice(payment: dict[str, Any], **changes: str) -> dict[str, str]:
    return {
        "PAYGATE_ID": CREDENTIALS["PAYGATE_ID"],
        "PAY_REQUEST_ID": payment["gateway_session"],
        "REFERENCE": payment["reference"],
        "TRANSACTION_STATUS": "1",
        "RESULT_CODE": "990017",
        "AUTH_CODE": "5T8A0Z",
        "CURRENCY": "ZAR",
        "AMOUNT": str(int(payment["amount"] * 100)),
        "RESULT_DESC": "Auth Done",
        "TRANSACTION_ID": "78705178",
        "RISK_INDICATOR": "AX",
        "PAY_METHOD": "CC",
        "PAY_METHOD_DETAIL": "Visa",
        **changes,
    }


def with_checksum(fields: dict[str, str], encoding: str = "utf-8") -> bytes:
    values = ("".join(fields.values()) + CREDENTIALS["PAYGATE_KEY"]).encode(encoding)
    checksum = hashlib.md5(values, usedforsecurity=False).hexdigest()
    return f"{form(fields)}&CHECKSUM={checksum}".encode()


def test_a_gateway_hears_exactly_what_it_wants_to_hear(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "ZA", method="card")
    body = with_checksum(notice(payment))
    paths = [f"{WEBHOOK}/paygate", f"{WEBHOOK}/paygate/{payment['tokens'][0]}", WEBHOOK]
    for path in paths:
        response = client.post(path, data=body, content_type="application/x-www-form-urlencoded")
        assert (response.status_code, response.data) == (200, b"OK"), path
        assert response.content_type.startswith("text/plain")
    (row,) = stored(admin, payment["id"])
    assert row["raw"] == body.decode()


def test_bytes_that_are_no_text_are_kept_as_escapes(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "ZA", method="card")
    body = with_checksum(notice(payment, RESULT_DESC="é"), "latin-1").replace(b"%C3%A9", b"\xe9")
    response = client.post(f"{WEBHOOK}/paygate", data=body)
    assert response.status_code == 200, response.text
    (row,) = stored(admin, payment["id"])
    assert r"RESULT_DESC=\xe9&" in row["raw"]


def test_a_card_number_in_a_form_is_not_kept(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "ZA", method="card")
    body = with_checksum(notice(payment, RESULT_DESC=f"{CARD} done"))
    assert client.post(f"{WEBHOOK}/paygate", data=body).status_code == 200
    (row,) = stored(admin, payment["id"])
    assert "RESULT_DESC=[card]+done&TRANSACTION_ID=78705178&" in row["raw"]
    assert payment["reference"] in row["raw"]


def test_a_card_number_in_json_or_in_a_header_is_not_kept(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "CM", method="kora_checkout")
    body = event(payment["reference"], narration=CARD, number=4111111111111111)
    headers = {**sign(body, SECRET), "X-Note": f"of {CARD}"}
    assert client.post(f"{WEBHOOK}/kora", data=body, headers=headers).status_code == 200
    (row,) = stored(admin, payment["id"])
    assert '"narration":"[card]","number":[card]' in row["raw"]
    assert "of [card]" in row["headers"].values()
    assert "4111" not in json.dumps(row["headers"]) + row["raw"]


def test_a_notice_about_a_refund_is_kept_as_one(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]], admin: Admin
) -> None:
    client = shop_with()
    payment = start(client, "CM", method="kora_checkout")
    body = event(
        f"rf-{uuid.uuid4().hex[:24]}",
        name="refund.success",
        payment_reference=payment["reference"],
    )
    headers = sign(body, SECRET)
    assert client.post(f"{WEBHOOK}/kora", data=body, headers=headers).status_code == 200
    (row,) = stored(admin, payment["id"])
    assert (row["kind"], row["event_type"], row["refund_id"]) == ("refund", "refund.success", None)


# --- By its sender ----------------------------------------------------------------------------


def itn(payment: dict[str, Any]) -> bytes:
    fields = {
        "m_payment_id": payment["reference"],
        "pf_payment_id": "1089250",
        "payment_status": "COMPLETE",
        "item_name": "Order",
        "item_description": "",
        "amount_gross": f"{payment['amount']:.2f}",
        "amount_fee": "-4.60",
        "amount_net": "95.40",
        "name_first": "Thandi",
        "name_last": "Mbeki",
        "email_address": "thandi@example.co.za",
        "merchant_id": CREDENTIALS["PAYFAST_MERCHANT_ID"],
    }
    text = f"{form(fields)}&passphrase={quote_plus(CREDENTIALS['PAYFAST_PASSPHRASE'])}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"{form(fields)}&signature={signature}".encode()


@pytest.fixture
def form_payment(
    shop_with: ShopWith, start: Callable[..., dict[str, Any]]
) -> Callable[..., tuple[FlaskClient, dict[str, Any]]]:
    """An edge with these settings, and a payment whose page is opened by a form."""

    def make(**changes: Any) -> tuple[FlaskClient, dict[str, Any]]:
        client = shop_with(paygate_key=None, **changes)
        payment = start(client, "ZA", method="card")
        assert payment["gateway"] == "payfast"
        return client, payment

    return make


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"payfast_source_networks": ("127.0.0.0/8",)}, 200),
        ({"payfast_source_networks": ("197.97.145.144/28",)}, 401),
        ({"payfast_source_networks": ("197.97.145.144/28", "::1/128")}, 401),
    ],
)
def test_a_sender_is_believed_by_its_address(
    form_payment: Callable[..., tuple[FlaskClient, dict[str, Any]]],
    admin: Admin,
    changes: dict[str, Any],
    status: int,
) -> None:
    client, payment = form_payment(**{"payfast_source_hosts": (), **changes})
    response = client.post(f"{WEBHOOK}/payfast", data=itn(payment))
    assert response.status_code == status, response.text
    assert len(stored(admin, payment["id"])) == (status == 200)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"payfast_source_hosts": ("nowhere.invalid",), "payfast_source_networks": ()},
            id="a name that does not resolve",
        ),
        pytest.param({"payfast_source_hosts": (), "payfast_source_networks": ()}, id="nobody said"),
    ],
)
def test_what_cannot_be_verified_just_now_is_asked_for_again(
    form_payment: Callable[..., tuple[FlaskClient, dict[str, Any]]],
    admin: Admin,
    events: Callable[[], list[dict[str, Any]]],
    changes: dict[str, Any],
) -> None:
    client, payment = form_payment(**changes)
    before = count(admin)
    response = client.post(f"{WEBHOOK}/payfast", data=itn(payment))
    assert response.status_code == 503, response.text
    assert response.json is not None
    assert response.json["code"] == "webhook_not_verifiable"
    assert int(response.headers["Retry-After"]) > 0
    assert count(admin) == before
    assert [e["gateway"] for e in events() if e["event"] == "webhook.not_verified"] == ["payfast"]
    forged = client.post(f"{WEBHOOK}/payfast", data=itn(payment)[:-1] + b"x")
    assert forged.status_code == 401
