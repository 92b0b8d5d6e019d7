"""Whoever sends card numbers into the shop, through everything that an outsider can reach."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from tests.conftest import Person, Shelf, an_address
from tests.journeys.card_numbers import FORMS, Numbers
from tests.sandbox.payfast import encoded, joined, md5

Admin = psycopg.Connection[dict[str, Any]]
Fields = dict[str, str]

HEADERS = (
    "Accept-Language",
    "Idempotency-Key",
    "Origin",
    "Prefer",
    "Referer",
    "User-Agent",
    "X-Client-Info",
    "X-Forwarded-For",
    "X-Request-ID",
)
GATEWAYS = ("kora", "mtn", "orange", "paygate", "payfast")
NOBODY = str(uuid.uuid4())
ADDRESS_TEXTS = (
    "label",
    "recipient_name",
    "phone",
    "country",
    "city",
    "district",
    "line1",
    "landmark",
)


@dataclass
class Outsider:
    """Whoever sends numbers in: two shoppers, an admin who mistypes, and nobody in particular."""

    env: dict[str, str]
    database: Admin
    shelf: Shelf
    zandile: Person
    aicha: Person
    admin_token: str
    numbers: Numbers = field(default_factory=Numbers)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """What was answered, by the place that a number went to."""
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=30, trust_env=False, follow_redirects=False)
    )

    def send(self, place: str, method: str, url: str, **request: Any) -> httpx.Response:
        """One request; nothing that is sent may break the shop."""
        answer = self.client.request(method, url, **request)
        assert answer.status_code < 500, f"{place}: {answer.status_code} {answer.text[:300]}"
        self.statuses.setdefault(place, []).append(answer.status_code)
        return answer

    def edge(self, place: str, method: str, path: str, **request: Any) -> httpx.Response:
        """A request to the edge."""
        return self.send(place, method, f"{self.env['EDGE_URL']}{path}", **request)

    def supabase(
        self, place: str, method: str, path: str, token: str | None = None, **request: Any
    ) -> httpx.Response:
        """A request to Supabase, with the anon key as every frontend sends it."""
        key = self.env["SUPABASE_ANON_KEY"]
        headers = {"apikey": key, "Authorization": f"Bearer {token or key}"}
        headers |= request.pop("headers", {})
        return self.send(
            place, method, f"{self.env['SUPABASE_URL']}{path}", headers=headers, **request
        )

    def texts(self, place: str) -> Iterator[str]:
        """Texts as somebody would type them, with a number in each of its forms."""
        for gap in FORMS:
            yield f"Ngono {self.numbers.mint(place, gap)} Mballa"
        yield self.numbers.mint(place)

    def forget_limits(self) -> None:
        """So many requests from one address would be refused before they are read."""
        self.database.execute("delete from private.rate_limits")

    def order(self, country: str) -> str:
        """A new order of a shopper there; its id."""
        person = self.zandile if country == "ZA" else self.aicha
        placed = self.supabase(
            "an order",
            "POST",
            "/rest/v1/rpc/place_order",
            person.token,
            json={
                "idempotency_key": uuid.uuid4().hex,
                "country": country,
                "address": an_address(country),
                "items": [{"product_id": self.shelf.put(), "channel": "retail", "quantity": 1}],
            },
        )
        assert placed.status_code == 200, placed.text
        order_id: str = placed.json()["id"]
        return order_id


# --- What is sent through Supabase ------------------------------------------------------------


def through_sign_up(who: Outsider) -> None:
    """Names and other metadata of new logins, and of one that is there."""
    for place in ("full_name", "phone", "country", "nickname"):
        for text in who.texts(f"sign-up {place}"):
            who.forget_limits()
            profile = {"full_name": "A B", "country": "CM", "language": "fr", place: text}
            email = f"{uuid.uuid4().hex}@mallgram.test"
            person = {"email": email, "password": "correct-horse-7"}
            who.supabase(
                f"sign-up {place}", "POST", "/auth/v1/signup", json=person | {"data": profile}
            )
            who.edge(
                f"register {place}",
                "POST",
                "/api/v1/auth/register",
                json=person | {"email": f"x{email}", "full_name": "A B", place: text},
            )
    for place in ("full_name", "nickname"):
        for text in who.texts(f"login {place}"):
            body = {"data": {place: text}}
            who.supabase(f"login {place}", "PUT", "/auth/v1/user", who.aicha.token, json=body)


def through_own_rows(who: Outsider) -> None:
    """Profile and addresses."""
    for column in ("full_name", "phone", "country", "language"):
        for text in who.texts(f"users.{column}"):
            path = f"/rest/v1/users?id=eq.{who.aicha.id}"
            who.supabase(f"users.{column}", "PATCH", path, who.aicha.token, json={column: text})
    kept = an_address("CM") | {"label": "Maison"}
    made = who.supabase(
        "an address",
        "POST",
        "/rest/v1/addresses?select=id",
        who.aicha.token,
        json=kept,
        headers={"Prefer": "return=representation"},
    )
    assert made.status_code == 201, made.text
    path = f"/rest/v1/addresses?id=eq.{made.json()[0]['id']}"
    for column in ADDRESS_TEXTS:
        for text in who.texts(f"addresses.{column}"):
            body = {**kept, column: text}
            place = f"addresses.{column}"
            who.supabase(place, "POST", "/rest/v1/addresses", who.aicha.token, json=body)
            who.supabase(place, "PATCH", path, who.aicha.token, json={column: text})


def through_orders(who: Outsider) -> None:
    """Addresses, reasons, codes and keys of orders, through Supabase and through the edge."""
    order_id = who.order("CM")
    address = an_address("CM")
    token, headers = who.aicha.token, who.aicha.headers
    item = {"product_id": who.shelf.put(), "channel": "retail", "quantity": 1}
    order: dict[str, Any] = {"country": "CM", "items": [item], "address": address}
    for name in (*ADDRESS_TEXTS[1:], "note"):
        for text in who.texts(f"address {name}"):
            place, odd = f"address {name}", {**address, name: text}
            key = {"idempotency_key": uuid.uuid4().hex}
            rpc = "/rest/v1/rpc/"
            who.supabase(
                place, "POST", f"{rpc}place_order", token, json={**order, **key, "address": odd}
            )
            body = {"order_id": order_id, "address": odd}
            who.supabase(place, "POST", f"{rpc}update_order_address", token, json=body)
            path = f"/api/v1/orders/{order_id}"
            who.edge(place, "PUT", path, headers=headers, json={"address": odd})
            body = {**order, **key, "address": odd}
            who.edge(place, "POST", "/api/v1/orders", headers=headers, json=body)
    for text in who.texts("promo code"):
        body = {**order, "idempotency_key": uuid.uuid4().hex, "promo_code": text}
        who.supabase("promo code", "POST", "/rest/v1/rpc/place_order", token, json=body)
        who.edge("promo code", "POST", "/api/v1/orders", headers=headers, json=body)
    for text in who.texts("cancel reason"):
        body = {"order_id": order_id, "reason": text}
        who.supabase("cancel reason", "POST", "/rest/v1/rpc/cancel_order", token, json=body)
        path, cancel = f"/api/v1/orders/{order_id}", {"cancel": {"reason": text}}
        who.edge("cancel reason", "PUT", path, headers=headers, json=cancel)
        who.edge("cancel reason", "PUT", path, headers=headers, json={"cancel_reason": text})


def through_rpcs(who: Outsider) -> None:
    """Every RPC, in every argument; once with all of them odd, once with only the texts."""
    rpcs = who.database.execute(
        "select p.proname as name, p.proargnames[1:p.pronargs] as arguments,"
        " array(select t::regtype::text from unnest(p.proargtypes) as t) as types"
        " from pg_catalog.pg_proc as p"
        " where p.pronamespace = 'public'::regnamespace"
        " and has_function_privilege('authenticated', p.oid, 'execute')"
        " and p.prorettype <> 'trigger'::regtype"
    ).fetchall()
    assert rpcs
    plain: Mapping[str, Any] = {"uuid": NOBODY, "numeric": 1, "integer": 1, "boolean": True}
    for rpc in rpcs:
        arguments = dict(zip(rpc["arguments"] or (), rpc["types"], strict=True))
        for token in (who.aicha.token, who.admin_token):
            for is_plain in (False, True):
                body: dict[str, Any] = {}
                for name, kind in arguments.items():
                    place = f"rpc {rpc['name']}({name})"
                    number = who.numbers.mint(place)
                    if is_plain and kind in plain:
                        body[name] = plain[kind]
                    elif kind == "jsonb":
                        body[name] = [{"product_id": number, number: number}]
                    elif kind in ("numeric", "integer"):
                        body[name] = int(number)
                    else:
                        body[name] = [number] if kind.endswith("[]") else number
                path = f"/rest/v1/rpc/{rpc['name']}"
                who.supabase(f"rpc {rpc['name']}", "POST", path, token, json=body)


def through_urls(who: Outsider) -> None:
    """What is written into addresses of pages: filters, searches, paths."""
    for text in who.texts("rest filter"):
        path = f"/rest/v1/orders?order_number=eq.{quote(text)}"
        who.supabase("rest filter", "GET", path, who.aicha.token)
    for text in who.texts("rest search"):
        path = f"/rest/v1/rpc/search_products?query={quote(text)}&country=CM"
        who.supabase("rest search", "GET", path)
    for gap in FORMS:
        who.supabase("rest path", "GET", f"/rest/v1/{quote(who.numbers.mint('rest path', gap))}")
        rpc = f"/rest/v1/rpc/{quote(who.numbers.mint('rest rpc', gap))}"
        who.supabase("rest rpc", "POST", rpc, json={})
        path = f"/storage/v1/object/public/{quote(who.numbers.mint('storage path', gap))}"
        who.supabase("storage path", "GET", path)
        who.edge("edge path", "GET", f"/{quote(who.numbers.mint('edge path', gap))}")
    for text in who.texts("edge search"):
        path = f"/api/v1/products/search?query={quote(text)}&country=CM"
        who.edge("edge search", "GET", path)
        who.edge("edge search", "GET", path)


# --- What is sent through the edge ------------------------------------------------------------


def through_endpoints(who: Outsider) -> None:
    """Every endpoint of the OpenAPI description: paths, queries, headers, bodies, odd fields."""
    described = who.client.get(f"{who.env['EDGE_URL']}/openapi.json").json()
    schemas = described["components"]["schemas"]
    tokens = (None, who.aicha.token, who.admin_token)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            place = f"{method.upper()} {path}"
            names = {p["name"]: p["in"] for p in operation.get("parameters", ())}
            media = operation.get("requestBody", {}).get("content", {})
            schema = media.get("application/json", {}).get("schema", {}).get("$ref", "")
            known = schemas.get(schema.rpartition("/")[2], {}).get("properties", {})
            # A sign-out would end the session that the others need.
            for token in tokens[: 1 if "/auth/" in path else 3]:
                who.forget_limits()
                odd = {
                    name: who.numbers.mint(f"{place} {name}")
                    for name in (*names, *known, "card_number")
                }
                url = path
                for name in names:
                    url = url.replace(f"{{{name}}}", odd[name])
                query = {name: odd[name] for name, kind in names.items() if kind == "query"}
                headers = {name: odd[name] for name, kind in names.items() if kind == "header"}
                if token is not None:
                    headers["Authorization"] = f"Bearer {token}"
                body = {name: odd[name] for name in (*known, "card_number")} if media else None
                who.edge(place, method, url, params=query, headers=headers, json=body)


def through_headers(who: Outsider) -> None:
    """Headers of clients, to the edge and to Supabase."""
    for header in HEADERS:
        for gap in FORMS[:3]:
            place = f"header {header}"
            given = {header: who.numbers.mint(place, gap)}
            path = "/api/v1/products/search?query=shoe&country=ZA"
            who.edge(place, "GET", path, headers=given)
            given = {header: who.numbers.mint(place, gap)}
            who.edge(place, "POST", "/api/v1/orders", headers={**who.aicha.headers, **given})
            given = {header: who.numbers.mint(place, gap)}
            who.supabase(place, "GET", "/rest/v1/categories?limit=1", headers=given)


def through_refunds(who: Outsider) -> None:
    """An admin's reasons, notes and keys."""
    headers = {"Authorization": f"Bearer {who.admin_token}"}
    paid = who.database.execute(
        "select p.id from public.payments as p where p.status = 'paid' limit 1"
    ).fetchone()
    assert paid is not None
    path = f"/api/v1/payments/{paid['id']}/refund"
    for text in who.texts("refund reason"):
        key = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"amount": 1, "reason": text}
        who.edge("refund reason", "POST", path, headers={**headers, **key}, json=body)
    opened = who.database.execute(
        "select private.open_payment_exception(kind => 'unmatched_notice', subject_id => %s,"
        " gateway => 'kora', detail => 'of this test') as id",
        [uuid.uuid4()],
    ).fetchone()
    assert opened is not None
    rpc = "/rest/v1/rpc/resolve_exception"
    for text in who.texts("exception note"):
        body = {"id": str(opened["id"]), "action": "dismiss", "note": text}
        who.supabase("exception note", "POST", rpc, who.admin_token, json=body)
    body = {"id": str(opened["id"]), "action": "dismiss", "note": "Looked at"}
    done = who.supabase("a note", "POST", rpc, who.admin_token, json=body)
    assert done.status_code == 200, done.text


def through_statements(who: Outsider) -> None:
    """Cells, columns and names of an admin's files."""
    headers = {"Authorization": f"Bearer {who.admin_token}", "Content-Type": "text/csv"}
    columns = ("kind", "reference", "transaction_id", "occurred_at", "gross", "fee", "currency")
    plain = ("payment", "of-nobody", "T1", "2026-01-02T10:00:00Z", "10", "1", "XAF")
    for column in (*columns, "payer", "card"):
        for text in who.texts(f"statement {column}"):
            row = {**dict(zip(columns, plain, strict=True)), column: text}
            file = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
            path = "/api/v1/payments/statements/kora"
            who.edge(f"statement {column}", "POST", path, headers=headers, content=file.encode())
    for text in who.texts("statement name"):
        line = ",".join((*plain[:1], uuid.uuid4().hex, *plain[2:]))
        path = f"/api/v1/payments/statements/kora?file_name={quote(text)}"
        file = ",".join((*columns, text)) + f"\n{line},{text}\n"
        who.edge("statement name", "POST", path, headers=headers, content=file.encode())


# --- What gateways send -----------------------------------------------------------------------


@dataclass(frozen=True)
class Noticed:
    """A payment that a gateway may tell of."""

    gateway: str
    reference: str
    session: str | None
    tokens: tuple[str, ...]
    """Ours first, then the gateway's own."""


def start(who: Outsider, gateway: str) -> Noticed:
    """A payment at a gateway, begun as a shopper begins one."""
    country, method = {
        "kora": ("CM", "kora_checkout"),
        "mtn": ("CM", "mtn_momo"),
        "orange": ("CM", "orange_money"),
        "paygate": ("ZA", "card"),
        "payfast": ("ZA", "card"),
    }[gateway]
    person = who.zandile if country == "ZA" else who.aicha
    if gateway == "payfast":
        time.sleep(1.1)
        fault = {"provider": "paygate", "kind": "rate_limit", "operation": "initiate"}
        who.client.post(f"{who.env['SANDBOX_URL']}/_sandbox/faults", json=fault)
    wish = {"order_id": who.order(country), "method": method, "phone": "+237671234567"}
    started = who.edge(
        "a payment", "POST", "/api/v1/payments/initialize", headers=person.headers, json=wish
    )
    assert started.status_code == 200, started.text
    assert started.json()["gateway"] == gateway
    known = who.database.execute(
        "select p.reference, p.gateway_session, array("
        " select t.webhook_token from private.payment_tokens as t where t.payment_id = p.id"
        " order by (length(t.webhook_token) <> 32), t.webhook_token) as tokens"
        " from public.payments as p where p.id = %s",
        [started.json()["payment_id"]],
    ).fetchone()
    assert known is not None
    return Noticed(gateway, known["reference"], known["gateway_session"], tuple(known["tokens"]))


def fields_of(about: Noticed) -> Fields:
    """What a notice of the gateway says, each field with something that can stand there."""
    return {
        "kora": {
            "reference": about.reference,
            "payment_reference": about.reference,
            "currency": "XAF",
            "amount": "16000",
            "fee": "100",
            "status": "processing",
            "payment_method": "bank_transfer",
        },
        "mtn": {
            "externalId": about.reference,
            "financialTransactionId": "1234567",
            "amount": "16000",
            "currency": "XAF",
            "payerMessage": "Mallgram",
            "payeeNote": "Mallgram",
            "status": "PENDING",
            "reason": "",
        },
        "orange": {"status": "PENDING", "txnid": "MP260102.1000.A00001", "message": ""},
        "paygate": {
            "PAYGATE_ID": "",
            "PAY_REQUEST_ID": about.session or "",
            "REFERENCE": about.reference,
            "TRANSACTION_STATUS": "5",
            "RESULT_CODE": "",
            "AUTH_CODE": "",
            "CURRENCY": "ZAR",
            "AMOUNT": "29890",
            "RESULT_DESC": "",
            "TRANSACTION_ID": "78705178",
            "RISK_INDICATOR": "NX",
            "PAY_METHOD": "CC",
            "PAY_METHOD_DETAIL": "Visa",
            "USER1": "",
            "VAULT_ID": "",
            "PAYVAULT_DATA_1": "",
        },
        "payfast": {
            "m_payment_id": about.reference,
            "pf_payment_id": "1089250",
            "payment_status": "PENDING",
            "item_name": "Mallgram",
            "item_description": "",
            "amount_gross": "298.90",
            "amount_fee": "0.00",
            "amount_net": "0.00",
            "custom_str1": "",
            "custom_int1": "",
            "name_first": "Zandile",
            "name_last": "",
            "email_address": "",
            "merchant_id": "",
        },
    }[about.gateway]


def notice(
    env: Mapping[str, str], about: Noticed, fields: Fields, *, is_genuine: bool
) -> tuple[str, dict[str, str], bytes]:
    """The last part of the address, the headers and the body of a notice with these fields."""
    token = about.tokens[0] if is_genuine else "0" * 32
    as_form = {"Content-Type": "application/x-www-form-urlencoded"}
    as_json = {"Content-Type": "application/json"}
    wrong = "" if is_genuine else "not "
    match about.gateway:
        case "kora":
            data = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
            key = f"{wrong}{env['KORA_PAY_SECRET_KEY']}".encode()
            signature = hmac.new(key, data.encode(), hashlib.sha256).hexdigest()
            body = f'{{"event":"charge.success","data":{data}}}'
            return "", {**as_json, "x-korapay-signature": signature}, body.encode()
        case "mtn":
            return f"/{token}", as_json, json.dumps(fields).encode()
        case "orange":
            own = about.tokens[1] if is_genuine else token
            return "", as_json, json.dumps({**fields, "notif_token": own}).encode()
        case "paygate":
            fields["PAYGATE_ID"] = env["PAYGATE_ID"]
            signed = md5("".join(fields.values()) + wrong + env["PAYGATE_KEY"])
            return "", as_form, joined({**fields, "CHECKSUM": signed}.items()).encode()
        case _:
            fields["merchant_id"] = env["PAYFAST_MERCHANT_ID"]
            said = joined(fields.items())
            salt = encoded(wrong + env["PAYFAST_PASSPHRASE"])
            signed = md5(f"{said}&passphrase={salt}")
            return "", as_form, f"{said}&signature={signed}".encode()


def through_notices(who: Outsider) -> None:
    """Notices of all gateways, genuine ones and forged ones, in each field and one of its own."""
    for gateway in GATEWAYS:
        about = start(who, gateway)
        for is_genuine in (True, False):
            kind = "genuine" if is_genuine else "forged"
            for name in (*fields_of(about), "card_number"):
                place = f"{kind} {gateway} {name}"
                for text in who.texts(place):
                    odd = {**fields_of(about), name: text}
                    last, headers, body = notice(who.env, about, odd, is_genuine=is_genuine)
                    headers["X-Forwarded-Card"] = who.numbers.mint(place)
                    path = f"/api/v1/payments/webhook/{gateway}{last}"
                    who.edge(place, "POST", path, headers=headers, content=body)
                    if not is_genuine:
                        who.forget_limits()
                        path = "/api/v1/payments/webhook"
                        who.edge(f"{place} unnamed", "POST", path, headers=headers, content=body)


WAYS_IN = (
    through_sign_up,
    through_own_rows,
    through_orders,
    through_rpcs,
    through_urls,
    through_endpoints,
    through_headers,
    through_refunds,
    through_statements,
    through_notices,
)
