"""Every payout rail against the sandbox: an unknown outcome is asked for, never sent again."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.payouts import PayoutRequest, PayoutResult
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.contracts.peer import Said, peer
from tests.contracts.profiles import PROFILES, ProviderValues
from tests.sandbox.running import RunningSandbox

RAILS = [gateway for gateway, profile in PROFILES.items() if profile.pays_out]


def a_payout(**changes: Any) -> PayoutRequest:
    return dataclasses.replace(
        PayoutRequest(
            reference=f"po-{uuid.uuid4().hex[:20]}",
            amount=Decimal(15000),
            currency="XAF",
            country="CM",
            channel="mobile_money",
            account="+237671119999",
            institution="mtn",
            recipient_name="Aïcha Ngoé",
            recipient_email="aicha@example.cm",
            description="Commission of block 3",
        ),
        **changes,
    )


def eventually(ask: Callable[[], PayoutResult], status: str) -> PayoutResult:
    deadline = time.monotonic() + 10
    while (result := ask()).status != status:
        assert time.monotonic() < deadline, result
        time.sleep(0.05)
    return result


def test_every_rail_that_is_built_in_is_covered(values: ProviderValues) -> None:
    assert set(registry.configured_payout_gateways(values)) == set(RAILS)


@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize(
    "destination",
    [
        {},
        {"account": "237691119999", "institution": "orange"},
        {
            "channel": "bank_account",
            "account": "62001234567",
            "institution": "250655",
            "amount": Decimal("300.50"),
            "currency": "ZAR",
            "country": "ZA",
        },
    ],
    ids=["mtn", "orange", "bank"],
)
def test_a_payout_is_accepted_and_ends_paid(
    rail: str, destination: dict[str, Any], values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(**destination)
    accepted = provider.pay(request)
    assert (accepted.status, accepted.amount) == ("pending", request.amount)
    result = eventually(lambda: provider.fetch(request.reference), "paid")
    assert (result.amount, result.currency) == (request.amount, request.currency)


@pytest.mark.parametrize("rail", RAILS)
def test_a_payout_that_fails_later_says_why(rail: str, values: ProviderValues) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(account="+237671110001")
    provider.pay(request)
    assert eventually(lambda: provider.fetch(request.reference), "failed").reason


@pytest.mark.parametrize("rail", RAILS)
def test_an_unknown_outcome_is_asked_for_and_never_sent_twice(
    rail: str, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    request = a_payout()
    sandbox.order_fault(rail, "timeout", operation="disburse", seconds=1.0)
    with pytest.raises(Unavailable) as failure:
        registry.payout_provider(rail, values.within(0.5)).pay(request)
    assert failure.value.outcome == "unknown"

    provider = registry.payout_provider(rail, values)
    assert provider.fetch(request.reference).is_found is True
    again = provider.pay(request)
    assert again.amount == request.amount
    disbursed = [
        call["status"]
        for call in sandbox.listed("calls", provider=rail)
        if call["operation"] == "disburse" and call["body"]["reference"] == request.reference
    ]
    assert disbursed == [None, 409]


@pytest.mark.parametrize("rail", RAILS)
def test_a_server_error_and_a_refused_key_leave_it_unknown(
    rail: str, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    request = a_payout()
    sandbox.order_fault(rail, "error", operation="disburse", acts=True)
    with pytest.raises(Unavailable) as failure:
        registry.payout_provider(rail, values).pay(request)
    assert failure.value.outcome == "unknown"

    operators = b'{"status":true,"message":"ok","data":[{"slug":"mtn-cm"}]}'
    refused = b'{"status":false,"message":"Invalid authorization key","data":null}'
    with peer(Said(200, operators), Said(401, refused)) as gate:
        with pytest.raises(Misconfigured) as refusal:
            registry.payout_provider(rail, values.leading_to(gate.url)).pay(request)
        assert refusal.value.outcome == "unknown"


@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal(1_000_001)}, "insufficient_funds"),
        ({"institution": "nexttel"}, "institution_invalid"),
        ({"account": "not a number"}, "account_invalid"),
        ({"amount": Decimal("10.5")}, "amount_invalid"),
        ({"reference": "x"}, "reference_invalid"),
        ({"country": "Cameroon"}, "country_invalid"),
        ({"channel": "bank_account", "institution": "999999"}, "institution_invalid"),
    ],
)
def test_what_comes_before_a_payout_exists_is_a_fact(
    rail: str, changes: dict[str, Any], code: str, values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(**changes)
    with pytest.raises(Rejected) as failure:
        provider.pay(request)
    assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")
    assert provider.fetch(request.reference).is_found is False


@pytest.mark.parametrize("rail", RAILS)
def test_a_payout_that_waits_is_pending_until_it_is_paid(
    rail: str, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(account="+237671110002")
    provider.pay(request)
    assert provider.fetch(request.reference).status == "pending"
    sandbox.decide(rail, request.reference, "paid", notify=False)
    assert provider.fetch(request.reference).status == "paid"
