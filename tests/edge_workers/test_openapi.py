"""The document says what the routes do, and Swagger UI shows it without any foreign host."""

import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import BaseModel

from edge_workers.app import create_app
from edge_workers.openapi import operations
from edge_workers.routes import payments
from edge_workers.security import DOCS_CONTENT_POLICY
from edge_workers.statements import read_statement
from tests.edge_workers.conftest import offline_settings

CONTRACT = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/password/reset",
    "GET /api/v1/auth/me",
    "GET /api/v1/products",
    "GET /api/v1/products/{product_id}",
    "GET /api/v1/products/search",
    "GET /api/v1/products/retailer",
    "POST /api/v1/orders",
    "GET /api/v1/orders",
    "GET /api/v1/orders/{order_id}",
    "PUT /api/v1/orders/{order_id}",
    "POST /api/v1/payments/initialize",
    "GET /api/v1/payments/status/{payment_id}",
    "GET /api/v1/payments/return/{payment_id}",
    "POST /api/v1/payments/return/{payment_id}",
    "POST /api/v1/payments/{payment_id}/refund",
    "POST /api/v1/payments/statements/{gateway}",
    "POST /api/v1/payments/webhook",
    "POST /api/v1/payments/webhook/{gateway}",
    "PUT /api/v1/payments/webhook/{gateway}",
    "POST /api/v1/payments/webhook/{gateway}/{token}",
    "PUT /api/v1/payments/webhook/{gateway}/{token}",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
}


def test_the_contracts_endpoints_are_all_there(offline_app: Flask) -> None:
    described = {f"{method.upper()} {path}" for path, method, _ in operations(offline_app)}
    assert described >= CONTRACT


def test_no_route_is_left_undescribed(offline_app: Flask) -> None:
    described = {path for path, _, _ in operations(offline_app)}
    routes = {re.sub(r"<(\w+)>", r"{\1}", rule.rule) for rule in offline_app.url_map.iter_rules()}
    assert routes - described == {"/docs", "/docs/{name}", "/openapi.json"}


def test_the_document_is_openapi_3_1_and_every_reference_leads_somewhere(
    offline: FlaskClient,
) -> None:
    response = offline.get("/openapi.json")
    document = response.json
    assert document is not None
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "https://api.mallgram.test"}]
    schemas = document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert references <= set(schemas)
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))
    assert '"$defs"' not in response.text


def test_a_body_in_the_document_is_the_one_that_is_checked(offline: FlaskClient) -> None:
    document = offline.get("/openapi.json").json
    assert document is not None
    place = document["paths"]["/api/v1/orders"]["post"]
    schema = document["components"]["schemas"]["PlaceOrder"]
    assert place["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/PlaceOrder"
    }
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["country", "address"]
    assert document["components"]["schemas"]["Item"]["properties"]["quantity"] == {
        "maximum": 10000,
        "minimum": 1,
        "title": "Quantity",
        "type": "integer",
    }
    assert place["security"] == [{"accessToken": []}]
    assert {"name": "Idempotency-Key", "in": "header"}.items() <= place["parameters"][0].items()
    assert set(place["responses"]) >= {"201", "400", "401", "409", "default"}


def test_a_body_that_is_no_json_is_described_by_its_type(offline: FlaskClient) -> None:
    document = offline.get("/openapi.json").json
    assert document is not None
    imported = document["paths"]["/api/v1/payments/statements/{gateway}"]["post"]
    (media_type,) = imported["requestBody"]["content"]
    assert media_type == "text/csv"
    assert imported["requestBody"]["content"][media_type]["schema"] == {"type": "string"}
    example = imported["requestBody"]["content"][media_type]["example"]
    assert len(read_statement(example.encode()).lines) == 1
    assert {p["name"] for p in imported["parameters"]} == {"gateway", "file_name"}
    assert set(imported["responses"]) >= {"200", "201", "400", "403", "404", "413", "415"}
    webhook = document["paths"]["/api/v1/payments/webhook/{gateway}/{token}"]["put"]
    assert "application/x-www-form-urlencoded" in webhook["requestBody"]["content"]


def test_a_header_that_must_be_sent_is_required(offline: FlaskClient) -> None:
    document = offline.get("/openapi.json").json
    assert document is not None
    refund = document["paths"]["/api/v1/payments/{payment_id}/refund"]["post"]
    required = {p["name"]: p["required"] for p in refund["parameters"]}
    assert required == {"payment_id": True, "Idempotency-Key": True}
    refused = refund["responses"]["409"]["description"].split()
    assert "refund_amount_too_large" in refused
    place = document["paths"]["/api/v1/orders"]["post"]
    assert [p["required"] for p in place["parameters"]] == [False]


def test_a_long_docstring_is_a_summary_and_a_description(offline: FlaskClient) -> None:
    document = offline.get("/openapi.json").json
    assert document is not None
    initialize = document["paths"]["/api/v1/payments/initialize"]["post"]
    assert initialize["summary"] == "Start paying an order; sent twice it is one payment"
    assert initialize["description"].endswith("it names.")


MODELS = [
    model
    for model in vars(payments).values()
    if isinstance(model, type)
    and issubclass(model, BaseModel)
    and model.model_config.get("json_schema_extra")
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_example_is_one_that_the_model_takes(model: type[BaseModel]) -> None:
    (example,) = model.model_json_schema()["examples"]
    model.model_validate_json(json.dumps(example))


def test_every_body_and_answer_about_payments_has_an_example(offline_app: Flask) -> None:
    shown = {
        model
        for path, _, declared in operations(offline_app)
        if path.startswith("/api/v1/payments/")
        for model in (declared.body, *declared.answers.values())
        if model is not None
    }
    assert shown <= set(MODELS)
    assert len(shown) == 7


def test_query_parameters_are_described_with_their_limits(offline: FlaskClient) -> None:
    document = offline.get("/openapi.json").json
    assert document is not None
    parameters = document["paths"]["/api/v1/products"]["get"]["parameters"]
    (page_size,) = [p for p in parameters if p["name"] == "page_size"]
    assert (page_size["schema"]["minimum"], page_size["schema"]["maximum"]) == (1, 100)
    assert page_size["required"] is False
    search = document["paths"]["/api/v1/products/search"]["get"]["parameters"]
    assert [p["name"] for p in search if p["required"]] == ["query"]


def test_swagger_ui_comes_from_here_alone(offline: FlaskClient) -> None:
    page = offline.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == DOCS_CONTENT_POLICY
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 4
    assert "<script>" not in page.text
    for address in addresses:
        assert address.startswith("/docs/")
        asset = offline.get(address)
        assert asset.status_code == 200, address
        assert asset.headers["Content-Security-Policy"] == DOCS_CONTENT_POLICY
        asset.close()
    assert "unsafe-inline" not in DOCS_CONTENT_POLICY.partition("style-src")[0]


@pytest.mark.parametrize(
    "name", ["package.json", "../package.json", "..%2fpackage.json", "index.html", ""]
)
def test_only_its_own_files_are_served(offline: FlaskClient, name: str) -> None:
    assert offline.get(f"/docs/{name}").status_code == 404


def test_without_the_files_the_page_still_answers() -> None:
    client = create_app(offline_settings(swagger_ui_dir="/nowhere")).test_client()
    assert client.get("/docs").status_code == 200
    assert client.get("/docs/swagger-ui.css").status_code == 404
