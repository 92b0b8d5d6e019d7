"""Which gateway is asked: the country's first, the next one only when nothing was created."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from edge_workers import payment_start
from edge_workers.providers.errors import Unverified
from edge_workers.routes.payments import PaymentAction
from tests.conftest import Person
from tests.edge_workers.routes.conftest import Gateway, PlaceOrder

pytestmark = pytest.mark.usefixtures("no_rate_limits")

Admin = psycopg.Connection[dict[str, Any]]
ShopWith = Callable[..., FlaskClient]
PHONE = "+237671234567"
NOWHERE = "http://127.0.0.1:9"


def initialize(client: FlaskClient, person: Person, order_id: str, **body: Any) -> Any:
    return client.post(
        "/api/v1/payments/initialize",
        headers=person.headers,
        json={"order_id": order_id, **body},
    )


def attempts(admin: Admin, order_id: str) -> list[dict[str, Any]]:
    return admin.execute(
        "select id, gateway, status, failure_reason, gateway_session, save_method, next_check_at "
        "from public.payments where order_id = %s order by created_at",
        [order_id],
    ).fetchall()


def standing(admin: Admin, order_id: str) -> list[tuple[str, str]]:
    return [(row["gateway"], row["status"]) for row in attempts(admin, order_id)]


def tokens(admin: Admin, payment_id: object) -> set[str]:
    rows = admin.execute(
        "select webhook_token from private.payment_tokens where payment_id = %s", [payment_id]
    ).fetchall()
    return {row["webhook_token"] for row in rows}


# --- The next gateway -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fault", "phone", "reason"),
    [
        pytest.param({"mtn_base_url": NOWHERE}, None, PHONE, "not_reached", id="unreachable"),
        pytest.param({}, "rate_limit", PHONE, "rate_limited", id="too many calls"),
        pytest.param(
            {"mtn_api_key": SecretStr("another")}, None, PHONE, "key_refused", id="wrong key"
        ),
        pytest.param({}, None, "+237671110055", "payer_not_found", id="refused"),
    ],
)
def test_the_next_gateway_is_asked_when_the_first_surely_created_nothing(
    shop_with: ShopWith,
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    changes: dict[str, Any],
    fault: str | None,
    phone: str,
    reason: str,
) -> None:
    order = place_order(acheteuse, "CM")
    if fault is not None:
        kora.order_fault(fault, provider="mtn", operation="request_to_pay")
    response = initialize(
        shop_with(**changes), acheteuse, order["id"], method="mtn_momo", phone=phone
    )
    assert response.status_code == 200, response.text
    assert response.json["gateway"] == "kora"
    assert standing(admin, order["id"]) == [("mtn", "failed"), ("kora", "processing")]
    assert attempts(admin, order["id"])[0]["failure_reason"] == reason


@pytest.mark.parametrize("kind", ["timeout", "error"])
def test_no_other_gateway_is_asked_when_the_first_may_have_taken_it(
    shop_with: ShopWith,
    kora: Gateway,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    kind: str,
) -> None:
    client, order = shop_with(), place_order(acheteuse, "CM")
    kora.order_fault(kind, provider="mtn", operation="request_to_pay", seconds=6, acts=True)
    asked = len(kora.calls("mobile_money"))
    response = initialize(client, acheteuse, order["id"], method="mtn_momo", phone=PHONE)
    assert (response.status_code, response.json["code"]) == (503, "payment_outcome_unknown")
    again = initialize(client, acheteuse, order["id"], method="mtn_momo", phone=PHONE)
    assert again.json["payment_id"] == response.json["payment_id"]
    assert standing(admin, order["id"]) == [("mtn", "pending")]
    assert attempts(admin, order["id"])[0]["next_check_at"] is not None
    assert len(kora.calls("mobile_money")) == asked


def test_when_every_gateway_refuses_it_is_a_refusal(
    shop_with: ShopWith, acheteuse: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(shop_with(), acheteuse, order["id"], method="mtn_momo", phone="+1234567")
    assert (response.status_code, response.json["code"]) == (409, "payment_rejected")
    assert standing(admin, order["id"]) == [("mtn", "failed"), ("kora", "failed")]


def test_a_page_that_needs_no_call_takes_the_place_of_one_that_is_away(
    shop_with: ShopWith, shopper: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    client, order = shop_with(paygate_base_url=NOWHERE), place_order(shopper, "ZA")
    response = initialize(client, shopper, order["id"], method="card")
    assert response.status_code == 200, response.text
    action = PaymentAction.model_validate_json(response.data)
    assert (action.gateway, action.action) == ("payfast", "form")
    assert standing(admin, order["id"]) == [("paygate", "failed"), ("payfast", "processing")]
    (token,) = tokens(admin, action.payment_id)
    fields = {field.name: field.value for field in action.fields or []}
    assert fields["notify_url"].endswith(f"/api/v1/payments/webhook/payfast/{token}")


class Broken:
    """A provider that fails in a way of its own."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def start(self, _request: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "code", "reason"),
    [
        (RuntimeError("a bug"), 500, "internal_error", "crashed"),
        (Unverified("checksum"), 503, "payment_outcome_unknown", "unverified"),
    ],
)
def test_what_proves_nothing_leaves_the_attempt_to_be_asked_about(
    shop_with: ShopWith,
    acheteuse: Person,
    place_order: PlaceOrder,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
    reason: str,
) -> None:
    order = place_order(acheteuse, "CM")
    monkeypatch.setattr(payment_start, "payment_provider", lambda *_: Broken(error))
    response = initialize(shop_with(), acheteuse, order["id"], method="mtn_momo", phone=PHONE)
    assert (response.status_code, response.json["code"]) == (status, code)
    (row,) = attempts(admin, order["id"])
    assert (row["gateway"], row["status"], row["failure_reason"]) == ("mtn", "pending", reason)
    assert row["next_check_at"] is not None


def test_a_failure_that_cannot_be_recorded_leaves_the_attempt_to_be_asked_about(
    shop_with: ShopWith, acheteuse: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    client, order = shop_with(mtn_base_url=NOWHERE), place_order(acheteuse, "CM")
    database = client.application.extensions["mallgram"].database
    admin.execute(
        "revoke execute on function service.record_payment_start_failed(uuid, text, text) "
        "from mallgram_service"
    )
    try:
        response = initialize(client, acheteuse, order["id"], method="mtn_momo", phone=PHONE)
    finally:
        admin.execute(
            "grant execute on function service.record_payment_start_failed(uuid, text, text) "
            "to mallgram_service"
        )
    assert database.call("ping") is not None
    assert response.status_code >= 403
    (row,) = attempts(admin, order["id"])
    assert (row["gateway"], row["status"]) == ("mtn", "pending")
    assert row["next_check_at"] is not None


# --- What a gateway needs to know, and gives --------------------------------------------------


def test_the_gateways_session_and_token_are_kept_beside_ours(
    shop_with: ShopWith, acheteuse: Person, place_order: PlaceOrder, admin: Admin
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(shop_with(), acheteuse, order["id"], method="orange_money")
    assert response.status_code == 200, response.text
    assert response.json["gateway"] == "orange"
    (row,) = attempts(admin, order["id"])
    assert row["gateway_session"]
    kept = tokens(admin, row["id"])
    assert len(kept) == 2
    for secret in {*kept, row["gateway_session"]} - {response.json["url"].rpartition("/")[2]}:
        assert secret not in response.text


def test_a_gateway_that_wants_a_uuid_of_ours_gets_the_payments_id(
    shop_with: ShopWith, kora: Gateway, acheteuse: Person, place_order: PlaceOrder
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(shop_with(), acheteuse, order["id"], method="mtn_momo", phone=PHONE)
    assert (response.status_code, response.json["action"]) == (200, "push")
    handset = kora.client.get(f"/mtn/handset/{response.json['payment_id']}")
    assert handset.status_code == 200


# --- Saved methods ----------------------------------------------------------------------------


@pytest.fixture
def saved_card(shopper: Person, admin: Admin) -> str:
    """A card that the first card gateway keeps for the shopper; its id here."""
    row = admin.execute(
        "insert into public.saved_payment_methods (user_id, gateway, method, label) "
        "values (%s, 'paygate', 'card', 'Visa …0015') returning id",
        [shopper.id],
    ).fetchone()
    assert row is not None
    admin.execute(
        "insert into private.saved_payment_method_tokens "
        "(saved_payment_method_id, gateway, token, user_id) values (%s, 'paygate', %s, %s)",
        [row["id"], str(uuid.uuid4()), shopper.id],
    )
    return str(row["id"])


@pytest.mark.parametrize("wanted", [True, False])
def test_a_payer_may_have_the_method_kept(
    shop_with: ShopWith,
    kora: Gateway,
    shopper: Person,
    place_order: PlaceOrder,
    admin: Admin,
    wanted: bool,
) -> None:
    order = place_order(shopper, "ZA")
    response = initialize(shop_with(), shopper, order["id"], method="card", save_method=wanted)
    assert response.status_code == 200, response.text
    (row,) = attempts(admin, order["id"])
    assert (row["gateway"], row["save_method"]) == ("paygate", wanted)
    call = kora.calls("initiate", "paygate")[-1]
    assert call["body"].get("VAULT") == ("1" if wanted else None)


def test_a_saved_method_is_paid_with_at_its_own_gateway(
    shop_with: ShopWith,
    kora: Gateway,
    shopper: Person,
    place_order: PlaceOrder,
    admin: Admin,
    saved_card: str,
) -> None:
    order = place_order(shopper, "ZA")
    response = initialize(shop_with(), shopper, order["id"], saved_method_id=saved_card)
    call = kora.calls("initiate", "paygate")[-1]
    assert "VAULT_ID" in call["body"]
    # The sandbox never gave this token: refused, and no other gateway can use it.
    assert (response.status_code, response.json["code"]) == (409, "payment_rejected")
    assert standing(admin, order["id"]) == [("paygate", "failed")]


def test_somebody_elses_saved_method_is_not_found(
    shop_with: ShopWith, acheteuse: Person, place_order: PlaceOrder, admin: Admin, saved_card: str
) -> None:
    order = place_order(acheteuse, "CM")
    response = initialize(shop_with(), acheteuse, order["id"], saved_method_id=saved_card)
    assert (response.status_code, response.json["code"]) == (404, "saved_method_not_found")
    assert [e["field"] for e in response.json["errors"]] == ["saved_method_id"]
    assert attempts(admin, order["id"]) == []


@pytest.mark.parametrize(
    "body", [{"save_method": "yes"}, {"saved_method_id": "1"}, {"saved_method_token": "x"}]
)
def test_a_wrong_choice_is_refused_by_its_form(
    shop_with: ShopWith, shopper: Person, body: dict[str, Any]
) -> None:
    response = initialize(shop_with(), shopper, str(uuid.uuid4()), **body)
    assert response.status_code == 400
    assert [e["field"] for e in response.json["errors"]] == list(body)
