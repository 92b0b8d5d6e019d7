"""Adapters against bodies as the providers' documentation and clients show them.

A file under `recorded/<provider>/` has the calls that must be made, what each is answered, and the
neutral value or the error that must come of it. Members that a file does not name are not compared.

* `sent`: a JSON object, or the text of any other body ("" for none); `headers`: some of those sent;
* `answer`: `status` with `body` (JSON), or with `text` and, unless it is a page, its `type`.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from edge_workers.providers import errors, registry
from edge_workers.providers.contracts.payments import (
    AuthorizePayment,
    PaymentQuery,
    RefundQuery,
    RefundRequest,
    StartPayment,
)
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest
from tests.contracts.peer import Heard, Said, peer
from tests.contracts.profiles import PROFILES, Profile, ProviderValues

RECORDED = Path(__file__).parent / "recorded"
FILES = sorted(RECORDED.glob("*/*.json"))

PAYMENT_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0001"
REFUND_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0002"
PAYOUT_ID = "7b0c3b0e-5a4e-4c39-9a0e-0d6f6f0d0003"

INPUTS: dict[str, dict[str, Any]] = {
    "start": {
        "payment_id": PAYMENT_ID,
        "reference": "order-20260115-0001",
        "amount": "5000",
        "language": "fr",
        "customer_email": "aicha@example.cm",
        "customer_name": "Aïcha Ngoé",
        "description": "Order MG-1001",
        "notify_url": "https://shop.example/api/v1/payments/webhook/kora",
        "return_url": "https://shop.example/api/v1/payments/return/1",
        "metadata": {"order_number": "MG-1001", "payment_id": PAYMENT_ID},
    },
    "authorize": {
        "reference": "order-20260115-0001",
        "gateway_transaction_id": "KPY-PAY-rYF4c5ZWioeb",
        "code": "123456",
    },
    "fetch": {"payment_id": PAYMENT_ID, "reference": "order-20260115-0001"},
    "refund": {
        "refund_id": REFUND_ID,
        "refund_reference": "ref-000001",
        "payment_id": PAYMENT_ID,
        "payment_reference": "order-20260115-0001",
        "amount": "2000",
        "reason": "The parcel came open",
    },
    "fetch_refund": {
        "refund_id": REFUND_ID,
        "refund_reference": "ref-000001",
        "payment_id": PAYMENT_ID,
        "payment_reference": "order-20260115-0001",
    },
    "pay": {
        "payout_id": PAYOUT_ID,
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
    "fetch_payout": {"payout_id": PAYOUT_ID, "reference": "po-000123"},
}


def wanted_of(profile: Profile) -> dict[str, set[str]]:
    """By operation, the ends of which there must be recordings."""
    starts = {"result", "Rejected"}
    if profile.create_operation:
        starts |= {"Unavailable", "Misconfigured"}
    wanted = {"start": starts, "fetch": {"result", "Unavailable"}}
    if profile.refunds:
        wanted |= {"refund": {"result", "Rejected", "Unavailable"}, "fetch_refund": {"result"}}
    if profile.payouts:
        wanted |= {"pay": {"result", "Rejected", "Unavailable"}, "fetch_payout": {"result"}}
    return wanted


def wanted_names(profile: Profile) -> set[str]:
    """Answers that mean nothing, and access tokens that ended, by the names of their files."""
    names = {"fetch_html", "fetch_empty"}
    if profile.create_operation:
        names |= {"start_html", "start_empty"}
    if profile.token_operation:
        names |= {"start_token_renewed", "start_token_refused", "fetch_token_renewed"}
    return names


def read(file: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    return recorded


def inputs_of(provider: str, recorded: dict[str, Any]) -> dict[str, Any]:
    """The operation's arguments: what all have in common, the first way's, the file's own."""
    operation = recorded["operation"]
    given: dict[str, Any] = dict(INPUTS[operation])
    way = PROFILES[provider].ways[0]
    if operation == "start":
        given |= {"method": way.method, "country": way.country, "phone": way.phone}
    if operation in ("start", "refund", "fetch_refund"):
        given["currency"] = way.currency
    given |= recorded.get("input", {})
    if given.get("amount") is not None:
        given["amount"] = Decimal(given["amount"])
    if "started_at" in given:
        given["started_at"] = datetime.fromisoformat(given["started_at"])
    if "notice" in given:
        given["notice"] = given["notice"].encode()
    return given


def perform(provider: str, recorded: dict[str, Any], values: ProviderValues) -> Any:
    """Carry out the operation of a file."""
    operation, given = recorded["operation"], inputs_of(provider, recorded)
    if operation == "pay":
        return registry.payout_provider(provider, values).pay(PayoutRequest(**given))
    if operation == "fetch_payout":
        return registry.payout_provider(provider, values).fetch(PayoutQuery(**given))
    payments = registry.payment_provider(provider, values)
    if operation == "start":
        return payments.start(StartPayment(**given))
    if operation == "authorize":
        return payments.authorize(AuthorizePayment(**given))
    if operation == "fetch":
        return payments.fetch(PaymentQuery(**given))
    if operation == "refund":
        return payments.refund(RefundRequest(**given))
    return payments.fetch_refund(RefundQuery(**given))


def plain(value: Any, wanted: Any) -> Any:
    """The members of a value that are wanted, in the form that JSON can hold."""
    if isinstance(wanted, dict):
        return {name: plain(getattr(value, name), wanted[name]) for name in wanted}
    if isinstance(value, tuple):
        return [list(item) if isinstance(item, tuple) else item for item in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def as_said(answer: dict[str, Any]) -> Said:
    if "text" in answer:
        content_type = answer.get("type", "text/html")
        return Said(answer["status"], answer["text"].encode(), {"content-type": content_type})
    raw = json.dumps(answer["body"], ensure_ascii=False, default=float).encode()
    return Said(answer["status"], raw, {"content-type": "application/json"})


def assert_sent(request: Heard, exchange: dict[str, Any]) -> None:
    """What went out is what the file says."""
    if isinstance(exchange.get("sent"), dict):
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.raw, parse_float=Decimal) == exchange["sent"]
    elif "sent" in exchange:
        assert request.raw.decode() == exchange["sent"]
    wanted = exchange.get("headers", {})
    assert {name: request.headers.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name}-{file.stem}" for file in FILES])
def test_a_recorded_exchange_comes_to_what_it_should(file: Path) -> None:
    recorded = read(file)
    with peer(*(as_said(exchange["answer"]) for exchange in recorded["exchanges"])) as gateway:
        values = ProviderValues().leading_to(gateway.url)
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
        assert_sent(request, exchange)


@pytest.mark.parametrize("provider", PROFILES)
def test_a_provider_has_recordings_of_each_kind(provider: str) -> None:
    found: dict[str, set[str]] = {}
    for file in RECORDED.glob(f"{provider}/*.json"):
        recorded = read(file)
        kind = recorded["error"]["class"] if "error" in recorded else "result"
        found.setdefault(recorded["operation"], set()).add(kind)
    wanted = wanted_of(PROFILES[provider])
    missing = {name: kinds - found.get(name, set()) for name, kinds in wanted.items()}
    assert {name: kinds for name, kinds in missing.items() if kinds} == {}


@pytest.mark.parametrize("provider", PROFILES)
def test_a_provider_has_recordings_of_what_means_nothing(provider: str) -> None:
    names = {file.stem for file in RECORDED.glob(f"{provider}/*.json")}
    assert wanted_names(PROFILES[provider]) - names == set()


@pytest.mark.parametrize(
    "provider", [name for name, profile in PROFILES.items() if profile.create_operation]
)
def test_a_provider_has_a_recording_of_an_error_that_comes_with_200(provider: str) -> None:
    errors_with_200 = [
        file.stem
        for file in RECORDED.glob(f"{provider}/start_*.json")
        if (recorded := read(file)).get("error")
        and [one["answer"]["status"] for one in recorded["exchanges"]][-1:] == [200]
        and file.stem not in ("start_html", "start_empty")
    ]
    assert errors_with_200
