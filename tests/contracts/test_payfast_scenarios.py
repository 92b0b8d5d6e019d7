"""What PayFast alone can do: one form paid twice, kept cards, refunds without a name."""

from __future__ import annotations

import dataclasses
import time
from decimal import Decimal

import pytest

from edge_workers.providers.contracts.payments import SavedMethod
from edge_workers.providers.errors import Rejected, Unavailable, Unverified
from tests.contracts.attempts import Attempt, a_webhook, begin, started
from tests.contracts.peer import Peer
from tests.contracts.profiles import PROFILES, ProviderValues, Way
from tests.sandbox.running import RunningSandbox

GATEWAY = "payfast"
CARD, EFT = PROFILES[GATEWAY].ways


def kept_card(values: ProviderValues, sandbox: RunningSandbox, shop: Peer) -> SavedMethod:
    attempt = begin(GATEWAY, values, sandbox, shop)
    attempt.request = dataclasses.replace(attempt.request, save_method=True)
    attempt.go(attempt.start())
    attempt.decide("paid")
    result = attempt.fetch(a_webhook(shop.wait_for(1)[0]))
    assert result.status == "paid"
    assert result.saved_method is not None
    return result.saved_method


def with_kept_card(
    card: SavedMethod, values: ProviderValues, sandbox: RunningSandbox, shop: Peer, way: Way = CARD
) -> Attempt:
    attempt = begin(GATEWAY, values, sandbox, shop, way)
    attempt.request = dataclasses.replace(attempt.request, saved_method_token=card.token)
    return attempt


@pytest.mark.parametrize("way", [CARD, EFT], ids=lambda way: way.method)
def test_one_form_paid_twice_is_told_as_two_transactions_of_one_payment(
    way: Way, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(GATEWAY, values, sandbox, shop, way)
    answer = attempt.start()
    for count in (1, 2):
        attempt.go(answer)
        attempt.decide("paid")
        shop.wait_for(count)
    webhooks = [a_webhook(heard) for heard in shop.heard]
    events = [attempt.take(webhook) for webhook in webhooks]
    assert len({event.dedupe_key for event in events}) == 2
    assert all(attempt.is_meant_by(event) for event in events)

    told = [attempt.provider.fetch(attempt.query(webhook)) for webhook in webhooks]
    first, second = (result.gateway_transaction_id for result in told)
    assert first != second
    assert attempt.provider.fetch(attempt.query()).gateway_transaction_id == first
    for transaction in (first, second):
        known = dataclasses.replace(attempt.query(), gateway_transaction_id=transaction)
        result = attempt.provider.fetch(known)
        assert (result.status, result.gateway_transaction_id) == ("paid", transaction)
        assert (result.amount, result.fee) == (way.amount, told[0].fee)


def test_a_notice_from_another_address_is_refused(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(GATEWAY, values, sandbox, shop)
    attempt.decide("paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    attempt.take(webhook)
    for address in ("192.0.2.1", None):
        with pytest.raises(Unverified):
            attempt.take(dataclasses.replace(webhook, remote_address=address))
    named = dataclasses.replace(
        values, payfast_source_networks=(), payfast_source_hosts=("localhost",)
    )
    dataclasses.replace(attempt, values=named).take(webhook)


def test_a_kept_card_pays_the_next_order_at_once(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    card = kept_card(values, sandbox, shop)
    assert card.label == f"PayFast …{card.token[-4:]}"
    attempt = with_kept_card(card, values, sandbox, shop)
    answer = attempt.start()
    assert (answer.action.kind, answer.action.url) == ("redirect", attempt.request.return_url)
    webhook = a_webhook(shop.wait_for(2)[1])
    event = attempt.take(webhook)
    assert attempt.is_meant_by(event)
    result = attempt.fetch(webhook)
    assert (result.status, result.amount) == ("paid", attempt.request.amount)
    assert result.gateway_transaction_id == answer.gateway_transaction_id
    assert result.saved_method == card
    assert attempt.fetch().status == "paid"


def test_a_kept_card_that_is_declined_or_unknown_is_a_fact(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    card = kept_card(values, sandbox, shop)
    declined = dataclasses.replace(CARD, amount=Decimal("250.51"))
    unknown = SavedMethod(token="a3b3ae55-ab8b-b388-df23-4e6882b86ce0", label="")
    for attempt in (
        with_kept_card(card, values, sandbox, shop, declined),
        with_kept_card(unknown, values, sandbox, shop),
    ):
        with pytest.raises(Rejected) as failure:
            attempt.start()
        assert failure.value.code == "saved_method_refused"
        assert attempt.fetch().is_found is False


def test_a_charge_that_was_not_answered_is_found_and_not_sent_anew(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    card = kept_card(values, sandbox, shop)
    attempt = with_kept_card(card, values.within(0.5), sandbox, shop)
    sandbox.order_fault(GATEWAY, "timeout", operation="charge", seconds=1.0)
    with pytest.raises(Unavailable) as failure:
        attempt.start()
    assert failure.value.outcome == "unknown"
    attempt.values = values
    assert attempt.fetch().status == "paid"


def test_a_refund_that_was_not_answered_stays_in_doubt(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(GATEWAY, values, sandbox, shop)
    attempt.decide("paid", notify=False)
    assert attempt.fetch().status == "paid"
    request = attempt.a_refund(Decimal(100))
    attempt.values = values.within(0.5)
    sandbox.order_fault(GATEWAY, "timeout", operation="refund", seconds=1.0)
    with pytest.raises(Unavailable) as failure:
        attempt.provider.refund(request)
    assert failure.value.outcome == "unknown"
    attempt.values = values
    time.sleep(0.3)  # until it shows
    result = attempt.fetch_refund(request)
    assert (result.status, result.is_found, result.reason) == ("pending", False, "refund_ambiguous")


@pytest.mark.parametrize("operation", ["refund_query", "refund"])
def test_a_refund_that_was_put_off_does_not_exist(
    operation: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(GATEWAY, values, sandbox, shop)
    attempt.decide("paid", notify=False)
    attempt.fetch()
    request = attempt.a_refund(Decimal(100))
    sandbox.order_fault(GATEWAY, "rate_limit", operation=operation, seconds=7)
    with pytest.raises(Unavailable) as failure:
        attempt.provider.refund(request)
    assert (failure.value.outcome, failure.value.retry_after) == ("nothing_created", 7)
    time.sleep(0.3)
    assert attempt.fetch_refund(request).reason == "unknown_at_gateway"


def test_a_transfer_is_not_given_back_by_payfast(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(GATEWAY, values, sandbox, shop, EFT)
    attempt.decide("paid", notify=False)
    attempt.fetch()
    with pytest.raises(Rejected) as failure:
        attempt.provider.refund(attempt.a_refund(Decimal(100)))
    assert failure.value.code == "refund_unsupported"


def test_a_transfer_under_way_is_known_and_pending(
    sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(GATEWAY, values, sandbox, shop, EFT)
    attempt.decide("pending")
    result = attempt.fetch(a_webhook(shop.wait_for(1)[0]))
    assert (result.status, result.amount) == ("pending", EFT.amount)
    asked = attempt.fetch()
    assert (asked.status, asked.is_found) == ("pending", True)
    attempt.decide("paid", notify=False)
    assert attempt.fetch().status == "paid"
