"""Every payout rail against the sandbox: an unknown outcome is asked for, never sent again.

Nothing here knows a rail; what differs is in `profiles`.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.payouts import PayoutQuery, PayoutRequest, PayoutResult
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from tests.contracts.peer import Said, peer
from tests.contracts.profiles import PROFILES, Payouts, ProviderValues
from tests.sandbox.running import RunningSandbox

RAILS: dict[str, Payouts] = {
    name: profile.payouts for name, profile in PROFILES.items() if profile.payouts is not None
}
DESTINATIONS = [
    pytest.param(rail, changes, id=f"{rail}-{name}")
    for rail, payouts in RAILS.items()
    for name, changes in payouts.destinations.items()
]
ALWAYS_REFUSED: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({"account": "not a number"}, "account_invalid"),
    ({"amount": Decimal("10.5")}, "amount_invalid"),
    ({"amount": Decimal(0)}, "amount_invalid"),
    ({"currency": "GBP"}, "currency_unsupported"),
    ({"reference": "po\r\nx: y"}, "reference_invalid"),
)
REFUSALS = [
    pytest.param(rail, changes, code, id=f"{rail}-{code}-{place}")
    for rail, payouts in RAILS.items()
    for place, (changes, code) in enumerate((*ALWAYS_REFUSED, *payouts.refusals))
]


def a_payout(changes: Mapping[str, Any] | None = None) -> PayoutRequest:
    payout_id = uuid.uuid4()
    return dataclasses.replace(
        PayoutRequest(
            payout_id=str(payout_id),
            reference=f"po-{payout_id.hex[:24]}",
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
        **(changes or {}),
    )


def asked(request: PayoutRequest) -> PayoutQuery:
    return PayoutQuery(payout_id=request.payout_id, reference=request.reference)


def eventually(ask: Callable[[], PayoutResult], status: str) -> PayoutResult:
    deadline = time.monotonic() + 10
    while (result := ask()).status != status:
        assert time.monotonic() < deadline, result
        time.sleep(0.05)
    return result


def test_every_rail_that_is_built_in_is_covered(values: ProviderValues) -> None:
    assert set(registry.configured_payout_gateways(values)) == set(RAILS)


@pytest.mark.parametrize(("rail", "changes"), DESTINATIONS)
def test_a_payout_is_accepted_and_ends_paid(
    rail: str, changes: Mapping[str, Any], values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(changes)
    accepted = provider.pay(request)
    assert (accepted.status, accepted.is_found) == ("pending", True)
    assert accepted.amount in (None, request.amount)
    result = eventually(lambda: provider.fetch(asked(request)), "paid")
    assert (result.amount, result.currency) == (request.amount, request.currency)


@pytest.mark.parametrize("rail", RAILS)
def test_a_payout_that_fails_later_says_why(rail: str, values: ProviderValues) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout({"account": RAILS[rail].failing_account})
    provider.pay(request)
    assert eventually(lambda: provider.fetch(asked(request)), "failed").reason


@pytest.mark.parametrize("rail", RAILS)
def test_an_unknown_outcome_is_asked_for_and_never_sent_twice(
    rail: str, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    request, operation = a_payout(), RAILS[rail].operation
    hurried = registry.payout_provider(rail, values.within(1.0))
    assert hurried.fetch(asked(request)).is_found is False
    sandbox.order_fault(rail, "timeout", operation=operation, seconds=2.0)
    with pytest.raises(Unavailable) as failure:
        hurried.pay(request)
    assert failure.value.outcome == "unknown"

    provider = registry.payout_provider(rail, values)
    assert provider.fetch(asked(request)).is_found is True
    assert provider.pay(request).amount == request.amount
    sent = [
        call["status"]
        for call in sandbox.listed("calls", provider=rail)
        if call["operation"] == operation and request.reference in json.dumps(call["body"])
    ]
    assert sent == [None, 409]


@pytest.mark.parametrize("rail", RAILS)
@pytest.mark.parametrize("kind", ["error", "malformed"])
@pytest.mark.parametrize("acts", [True, False])
def test_an_answer_that_means_nothing_leaves_it_unknown(
    rail: str, kind: str, acts: bool, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    request, provider = a_payout(), registry.payout_provider(rail, values)
    sandbox.order_fault(rail, kind, operation=RAILS[rail].operation, acts=acts)
    with pytest.raises(Unavailable) as failure:
        provider.pay(request)
    assert failure.value.outcome == "unknown"
    assert provider.fetch(asked(request)).is_found is acts


@pytest.mark.parametrize("rail", RAILS)
def test_a_refused_key_is_a_case_for_us(rail: str, values: ProviderValues) -> None:
    before = [Said(200, answer) for answer in RAILS[rail].answers_before_sending]
    with peer(*before, Said(401, b"{}")) as gate:
        with pytest.raises(Misconfigured) as refusal:
            registry.payout_provider(rail, values.leading_to(gate.url)).pay(a_payout())
        assert refusal.value.outcome == RAILS[rail].outcome_of_refused_key


@pytest.mark.parametrize(("rail", "changes", "code"), REFUSALS)
def test_what_comes_before_a_payout_exists_is_a_fact(
    rail: str, changes: Mapping[str, Any], code: str, values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout(changes)
    with pytest.raises(Rejected) as failure:
        provider.pay(request)
    assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")
    if "reference" not in changes and "payout_id" not in changes:
        assert provider.fetch(asked(request)).is_found is False


@pytest.mark.parametrize("rail", RAILS)
def test_a_payout_that_waits_is_pending_until_it_is_paid(
    rail: str, sandbox: RunningSandbox, values: ProviderValues
) -> None:
    provider = registry.payout_provider(rail, values)
    request = a_payout({"account": RAILS[rail].waiting_account})
    provider.pay(request)
    assert provider.fetch(asked(request)).status == "pending"
    sandbox.decide(rail, request.reference, "paid", notify=False)
    assert provider.fetch(asked(request)).status == "paid"


@pytest.mark.parametrize("rail", RAILS)
def test_a_payout_nobody_knows_is_pending_and_not_found(rail: str, values: ProviderValues) -> None:
    result = registry.payout_provider(rail, values).fetch(asked(a_payout()))
    assert (result.status, result.is_found) == ("pending", False)
