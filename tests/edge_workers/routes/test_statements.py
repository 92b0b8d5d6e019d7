"""A gateway's statement through the edge: read whole or refused with its line and column."""

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from edge_workers.routes.payments import ImportedStatement
from edge_workers.statements import MAX_STATEMENT_BYTES
from tests.conftest import Person

Admin = psycopg.Connection[dict[str, Any]]
HEADER = "reference;transaction_id;occurred_at;gross;fee;currency"


def line(**changes: str) -> str:
    values = {
        "reference": f"mg-{uuid.uuid4().hex[:24]}",
        "transaction_id": f"KPY-{uuid.uuid4().hex}",
        "occurred_at": "2026-01-15T10:30:00Z",
        "gross": "12500",
        "fee": "187.5",
        "currency": "XAF",
    }
    return ";".join({**values, **changes}.values())


def send(
    client: FlaskClient,
    person: Person | None,
    body: str | bytes,
    *,
    gateway: str = "kora",
    content_type: str = "text/csv; charset=utf-8",
    query: str = "",
) -> Any:
    return client.post(
        f"/api/v1/payments/statements/{gateway}{query}",
        headers=person.headers if person else {},
        data=body,
        content_type=content_type,
    )


def statements(admin: Admin, person: Person) -> list[dict[str, Any]]:
    return admin.execute(
        "select id, gateway, file_name from private.gateway_statements where imported_by = %s",
        [person.id],
    ).fetchall()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_statement_is_compared_once(
    client: FlaskClient, administrator: Person, admin: Admin, encoding: str
) -> None:
    body = "\r\n".join([f"{HEADER};note", f"{line()};Réglé", "", f"{line()};"]).encode(encoding)
    first = send(client, administrator, body, query="?file_name=Janvier%202026.csv")
    assert first.status_code == 201, first.text
    imported = ImportedStatement.model_validate_json(first.data)
    assert (imported.lines, imported.unknown, imported.is_new) == (2, 2, True)
    again = send(client, administrator, body)
    assert again.status_code == 200
    assert again.json == {**first.json, "is_new": False}
    assert statements(admin, administrator) == [
        {"id": imported.statement_id, "gateway": "kora", "file_name": "Janvier 2026.csv"}
    ]


def test_a_gateways_own_column_names_are_known_to_the_database(
    client: FlaskClient, administrator: Person
) -> None:
    body = (
        "Date,Type,M Payment ID,PF Payment ID,Gross,Fee,Net,Currency\n"
        f"2026-01-15 10:30:00,FUNDS_RECEIVED,mg-{uuid.uuid4().hex[:24]},1089250,100.00,-4.60,"
        "95.40,ZAR\n"
    )
    response = send(client, administrator, body, gateway="payfast")
    assert response.status_code == 201, response.text
    assert response.json["lines"] == 1


@pytest.mark.parametrize(
    ("body", "field", "details"),
    [
        (
            f'{HEADER};note\n{line()};"two\nlines"\n\n{line(gross="abc")};\n',
            "lines.5.gross",
            {"line": 5, "column": "gross"},
        ),
        (
            f"{HEADER}\n{line(occurred_at='yesterday or so')}\n",
            "lines.2.occurred_at",
            {"line": 2, "column": "occurred_at"},
        ),
        (f"{HEADER}\n{line(currency='')}", "lines.2.currency", {"line": 2, "column": "currency"}),
        ("a;b\n1;2\n", "lines.2.occurred_at", {"line": 2, "column": "occurred_at"}),
        (f"{HEADER}\nmg-1\n", "lines.2.transaction_id", {"line": 2, "column": "transaction_id"}),
        (f"{HEADER}\n", "lines.2", {"line": 2, "column": None}),
        ("", "lines.1", {"line": 1, "column": None}),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_kept(
    client: FlaskClient,
    administrator: Person,
    admin: Admin,
    body: str,
    field: str,
    details: dict[str, Any],
) -> None:
    response = send(client, administrator, body)
    assert (response.status_code, response.json["code"]) == (400, "statement_invalid")
    (fault,) = response.json["errors"]
    assert (fault["field"], fault["details"]) == (field, details)
    assert fault["message"]
    assert statements(admin, administrator) == []


def test_it_is_for_administrators_alone(client: FlaskClient, shopper: Person, admin: Admin) -> None:
    body = f"{HEADER}\n{line()}\n"
    nobody = send(client, None, body)
    assert (nobody.status_code, nobody.json["code"]) == (401, "authentication_required")
    for attempt in (body, "rubbish"):
        response = send(client, shopper, attempt)
        assert (response.status_code, response.json["code"]) == (403, "admin_required")
    assert statements(admin, shopper) == []


def test_an_unknown_gateway_is_not_found(client: FlaskClient, administrator: Person) -> None:
    response = send(client, administrator, f"{HEADER}\n{line()}\n", gateway="paypal")
    assert (response.status_code, response.json["code"]) == (404, "payment_gateway_unknown")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_another_type_of_body_is_refused(
    client: FlaskClient, administrator: Person, content_type: str
) -> None:
    response = send(client, administrator, f"{HEADER}\n{line()}\n", content_type=content_type)
    assert (response.status_code, response.json["code"]) == (415, "statement_type_unsupported")


@pytest.mark.parametrize("query", ["?file_name=", "?file_name=a%0Ab", "?name=x"])
def test_a_wrong_name_is_refused(client: FlaskClient, administrator: Person, query: str) -> None:
    response = send(client, administrator, f"{HEADER}\n{line()}\n", query=query)
    assert (response.status_code, response.json["code"]) == (400, "input_invalid")


def test_a_body_over_the_limit_is_refused(client: FlaskClient, administrator: Person) -> None:
    response = send(client, administrator, b"x" * (MAX_STATEMENT_BYTES + 1))
    assert (response.status_code, response.json["code"]) == (413, "body_too_large")
    # Its limit is its own: others stay small.
    order = client.post(
        "/api/v1/orders",
        headers={**administrator.headers, "Idempotency-Key": "a-key-of-the-test"},
        data=b" " * (300 * 1024),
        content_type="application/json",
    )
    assert order.status_code == 413


def test_card_numbers_are_kept_nowhere(
    client: FlaskClient, administrator: Person, admin: Admin
) -> None:
    body = f"{HEADER};card\n{line(transaction_id='4111111111111111')};4111 1111 1111 1111\n"
    response = send(client, administrator, body, query="?file_name=4111111111111111.csv")
    assert response.status_code == 201, response.text
    rows = admin.execute(
        "select s.file_name, l.transaction_id from private.gateway_statements as s "
        "inner join private.gateway_statement_lines as l on l.statement_id = s.id "
        "where s.id = %s",
        [response.json["statement_id"]],
    ).fetchall()
    assert rows == [{"file_name": "[card].csv", "transaction_id": "[card]"}]


def test_a_statement_of_the_largest_size_is_imported_in_time(
    client: FlaskClient, administrator: Person
) -> None:
    body = "\n".join([HEADER, *(line() for _ in range(5_000))])
    response = send(client, administrator, body)
    assert response.status_code == 201, response.text
    assert response.json["lines"] == 5_000
