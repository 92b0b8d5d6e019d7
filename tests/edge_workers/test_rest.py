"""PostgREST as the caller: the caller's rights, PostgREST's own digits, mapped refusals."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from edge_workers.errors import (
    AppError,
    AuthenticationError,
    ConflictError,
    DataApiUnavailable,
    NotFoundError,
    TokenExpired,
    TokenInvalid,
    ValidationError,
    ValueMalformed,
)
from edge_workers.rest import DataApi, new_http_client
from tests.conftest import Person, Shelf, an_address


@pytest.fixture
def api(stack_env: dict[str, str]) -> Iterator[DataApi]:
    with new_http_client() as http:
        yield DataApi(stack_env["SUPABASE_URL"], stack_env["SUPABASE_ANON_KEY"], http)


def place(api: DataApi, person: Person, product_id: str, **changes: Any) -> bytes:
    return api.rpc(
        api.as_caller(person.token),
        "place_order",
        {
            "idempotency_key": uuid.uuid4().hex,
            "country": "ZA",
            "address": an_address(),
            "items": [{"product_id": product_id, "channel": "retail", "quantity": 1}],
            **changes,
        },
    )


def test_money_arrives_as_postgrest_wrote_it(api: DataApi, shelf: Shelf) -> None:
    product_id = shelf.put(prices={"CM": "12500", "ZA": "199.90"})
    body = api.send(
        api.as_caller()
        .from_("product_prices")
        .select("country,amount")
        .eq("product_id", product_id)
        .order("country")
    )
    assert body == b'[{"country":"CM","amount":12500.00}, \n {"country":"ZA","amount":199.90}]'


def test_a_caller_sees_with_their_own_rights(
    api: DataApi, shopper: Person, acheteuse: Person
) -> None:
    for person in (shopper, acheteuse):
        body = api.send(api.as_caller(person.token).from_("users").select("id"))
        assert body == f'[{{"id":"{person.id}"}}]'.encode()


def test_without_a_token_the_caller_is_anonymous(api: DataApi) -> None:
    with pytest.raises(AuthenticationError):
        api.send(api.as_caller().from_("orders").select("id"))


def test_a_refusal_carries_its_code_in_the_callers_language(api: DataApi, shopper: Person) -> None:
    query = api.as_caller(shopper.token, language="fr").rpc(
        "cancel_order", {"order_id": str(uuid.uuid4())}
    )
    with pytest.raises(NotFoundError) as refused:
        api.send(query)
    assert refused.value.code == "order_not_found"
    assert refused.value.message == "Vous n'avez pas de telle commande."


def test_the_new_quote_comes_with_a_changed_total(
    api: DataApi, shopper: Person, shelf: Shelf
) -> None:
    product_id = shelf.put(prices={"ZA": "2000.00"})
    with pytest.raises(ConflictError) as refused:
        place(api, shopper, product_id, expected_total="1999.00")
    assert refused.value.code == "total_changed"
    assert '"total": 2000.00' in refused.value.detail


def test_a_reused_key_with_another_body_is_refused(
    api: DataApi, shopper: Person, shelf: Shelf
) -> None:
    product_id = shelf.put()
    key = uuid.uuid4().hex
    first = place(api, shopper, product_id, idempotency_key=key)
    assert place(api, shopper, product_id, idempotency_key=key) == first
    with pytest.raises(ConflictError) as refused:
        place(api, shopper, product_id, idempotency_key=key, promo_code="OTHER")
    assert refused.value.code == "idempotency_key_reused"


def token_of(stack_env: dict[str, str], **claims: Any) -> str:
    return jwt.encode(
        {"sub": str(uuid.uuid4()), "aud": "authenticated", "role": "authenticated", **claims},
        stack_env["SUPABASE_JWT_SECRET"],
        algorithm="HS256",
    )


def test_postgrest_itself_refuses_bad_tokens(api: DataApi, stack_env: dict[str, str]) -> None:
    expired = token_of(stack_env, exp=int(time.time()) - 3600)
    with pytest.raises(TokenExpired):
        api.send(api.as_caller(expired).from_("countries").select("code"))
    forged = jwt.encode({"role": "service_role", "exp": 9999999999}, "x" * 40, algorithm="HS256")
    with pytest.raises(TokenInvalid):
        api.send(api.as_caller(forged).from_("countries").select("code"))


def test_what_postgres_raises_itself_is_mapped(api: DataApi, shopper: Person) -> None:
    client = api.as_caller(shopper.token)
    with pytest.raises(ValueMalformed):
        api.send(client.from_("orders").select("id").eq("id", "not-a-uuid"))
    address = {**an_address(), "phone": "12", "user_id": shopper.id}
    address.pop("user_id")
    with pytest.raises(ValidationError) as refused:
        api.send(client.from_("addresses").insert(address))
    assert [(e.field, e.code) for e in refused.value.errors] == [("phone", "value_not_allowed")]
    with pytest.raises(ValidationError) as missing:
        api.send(client.from_("addresses").insert({**address, "phone": None}))
    assert [e.field for e in missing.value.errors] == ["phone"]


def test_a_column_without_a_grant_is_forbidden(api: DataApi, shopper: Person) -> None:
    query = api.as_caller(shopper.token).from_("users").update({"is_admin": True})
    with pytest.raises(AppError) as refused:
        api.send(query.eq("id", shopper.id))
    assert (refused.value.code, refused.value.http_status) == ("not_allowed", 403)


def test_without_postgrest_the_answer_is_503_within_seconds() -> None:
    with new_http_client() as http:
        api = DataApi("http://127.0.0.1:9", "anon", http)
        began = time.monotonic()
        with pytest.raises(DataApiUnavailable):
            api.send(api.as_caller().from_("countries").select("code"))
        assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, b"<html>Bad Gateway</html>"), (503, b'{"code":"PGRST002","message":"x"}'), (500, b"")],
)
def test_a_gateway_that_answers_for_postgrest_is_not_a_refusal(status: int, body: bytes) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        api = DataApi("http://127.0.0.1:9", "anon", http)
        with pytest.raises(DataApiUnavailable):
            api.send(api.as_caller().from_("countries").select("code"))


@pytest.mark.parametrize(("is_read", "sent"), [(True, 2), (False, 1)])
def test_only_a_read_is_sent_again_over_a_broken_connection(is_read: bool, sent: int) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        raise httpx.RemoteProtocolError("server disconnected")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        api = DataApi("http://127.0.0.1:9", "anon", http)
        with pytest.raises(DataApiUnavailable):
            api.rpc(api.as_caller(), "search_products", {}, is_read=is_read)
    assert len(seen) == sent


def test_the_callers_headers_go_along() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"[]")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        api = DataApi("http://127.0.0.1:9", "the-anon-key", http)
        caller = api.as_caller("the-token", language="fr", request_id="request-0001")
        api.rpc(caller, "search_products", {"query": "thé & café", "category": None}, is_read=True)
        api.send(api.as_caller().from_("countries").select("code"))
    first, second = seen
    assert first.headers["Authorization"] == "Bearer the-token"
    assert first.headers["apikey"] == "the-anon-key"
    assert first.headers["Accept-Language"] == "fr"
    assert first.headers["X-Request-ID"] == "request-0001"
    assert dict(first.url.params) == {"query": "thé & café"}
    assert second.headers["Authorization"] == "Bearer the-anon-key"
