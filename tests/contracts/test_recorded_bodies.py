"""Adapters against bodies as the providers' documentation and clients show them.

A file under `recorded/<provider>/` has the calls that must be made, what each is answered, and the
neutral value or the error that must come of it. Members that a file does not name are not compared.
"""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from edge_workers.providers import errors, registry
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentQuery,
    RefundRequest,
    StartPayment,
)
from edge_workers.providers.contracts.payouts import PayoutRequest
from tests.contracts.peer import Said, peer
from tests.contracts.profiles import PROFILES, ProviderValues

RECORDED = Path(__file__).parent / "recorded"
FILES = sorted(RECORDED.glob("*/*.json"))

REQUIRED = {
    "start": {"result", "Rejected", "Unavailable", "Misconfigured"},
    "fetch": {"result", "Unavailable"},
    "refund": {"result", "Rejected", "Unavailable"},
    "fetch_refund": {"result"},
}
REQUIRED_OF_RAILS = {"pay": {"result", "Rejected", "Unavailable"}, "fetch_payout": {"result"}}

INPUTS: dict[str, dict[str, Any]] = {
    "start": {
        "reference": "order-20260115-0001",
        "method": "kora_checkout",
        "amount": "5000",
        "currency": "XAF",
        "country": "CM",
        "language": "fr",
        "customer_email": "aicha@example.cm",
        "customer_name": "Aïcha Ngoé",
        "description": "Order MG-1001",
        "notify_url": "https://shop.example/api/v1/payments/webhook/kora",
        "return_url": "https://shop.example/api/v1/payments/return/1",
        "metadata": {
            "order_number": "MG-1001",
            "payment_id": "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001",
        },
    },
    "authorize": {
        "reference": "order-20260115-0001",
        "gateway_transaction_id": "KPY-PAY-rYF4c5ZWioeb",
        "code": "123456",
    },
    "fetch": {"reference": "order-20260115-0001"},
    "refund": {
        "refund_reference": "ref-000001",
        "payment_reference": "order-20260115-0001",
        "currency": "XAF",
        "amount": "2000",
        "reason": "The parcel came open",
    },
    "fetch_refund": {"reference": "ref-000001"},
    "pay": {
        "reference": "po-000123",
        "amount": "5000",
        "currency": "XAF",
        "country": "CM",
        "channel": "mobile_money",
        "account": "+237671112233",
        "institution": "mtn",
        "recipient_name": "A B",
        "recipient_email": "a@b.cm",
        "description": "Affiliate payout",
    },
    "fetch_payout": {"reference": "po-000123"},
}


def read(file: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    return recorded


def perform(provider: str, recorded: dict[str, Any], values: ProviderValues) -> Any:
    """Carry out the operation of a file."""
    operation = recorded["operation"]
    given = INPUTS[operation] | recorded.get("input", {})
    if "amount" in given:
        given["amount"] = Decimal(given["amount"])
    payments = registry.payment_provider(provider, values)
    if operation == "start":
        return payments.start(StartPayment(**given))
    if operation == "authorize":
        return payments.authorize(AuthorizePayment(**given))
    if operation == "fetch":
        return payments.fetch(PaymentQuery(**given))
    if operation == "refund":
        return payments.refund(RefundRequest(**given))
    if operation == "fetch_refund":
        return payments.fetch_refund(given["reference"])
    rail = registry.payout_provider(provider, values)
    if operation == "pay":
        return rail.pay(PayoutRequest(**given))
    return rail.fetch(given["reference"])


def plain(value: Any, wanted: Any) -> Any:
    """The members of a value that are wanted, in the form that JSON can hold."""
    if isinstance(wanted, dict):
        return {name: plain(getattr(value, name), wanted[name]) for name in wanted}
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def as_said(answer: dict[str, Any]) -> Said:
    if "text" in answer:
        return Said(answer["status"], answer["text"].encode(), {"content-type": "text/html"})
    raw = json.dumps(answer["body"], ensure_ascii=False, default=float).encode()
    return Said(answer["status"], raw, {"content-type": "application/json"})


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name}-{file.stem}" for file in FILES])
def test_a_recorded_exchange_comes_to_what_it_should(file: Path) -> None:
    recorded = read(file)
    with peer(*(as_said(exchange["answer"]) for exchange in recorded["exchanges"])) as gateway:
        values = ProviderValues(kora_pay_base_url=gateway.url)
        if "error" in recorded:
            wanted = recorded["error"]
            with pytest.raises(errors.ProviderError) as failure:
                perform(file.parent.name, recorded, values)
            assert type(failure.value).__name__ == wanted["class"]
            assert (failure.value.outcome, failure.value.code) == (
                wanted["outcome"],
                wanted["code"],
            )
        else:
            result = perform(file.parent.name, recorded, values)
            assert dataclasses.is_dataclass(result)
            assert plain(result, recorded["result"]) == recorded["result"]
    heard = [(request.method, request.path) for request in gateway.heard]
    assert heard == [(exchange["method"], exchange["path"]) for exchange in recorded["exchanges"]]
    for request, exchange in zip(gateway.heard, recorded["exchanges"], strict=True):
        if "sent" in exchange:
            assert request.headers["content-type"] == "application/json"
            assert json.loads(request.raw, parse_float=Decimal) == exchange["sent"]


@pytest.mark.parametrize("provider", PROFILES)
def test_a_provider_has_recordings_of_each_kind(provider: str) -> None:
    found: dict[str, set[str]] = {}
    for file in RECORDED.glob(f"{provider}/*.json"):
        recorded = read(file)
        kind = recorded["error"]["class"] if "error" in recorded else "result"
        found.setdefault(recorded["operation"], set()).add(kind)
    required = REQUIRED | (REQUIRED_OF_RAILS if PROFILES[provider].pays_out else {})
    missing = {name: kinds - found.get(name, set()) for name, kinds in required.items()}
    assert {name: kinds for name, kinds in missing.items() if kinds} == {}
