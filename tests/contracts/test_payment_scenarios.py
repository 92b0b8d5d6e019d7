"""Every gateway against the sandbox: what goes well, and each way in which it may not.

Nothing here knows a gateway; what differs is in `profiles`.
"""

from __future__ import annotations

import dataclasses
import uuid
from decimal import Decimal

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import (
    PaymentProvider,
    PaymentQuery,
    RefundRequest,
    StartPayment,
    WebhookRequest,
)
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable, Unverified
from tests.contracts.peer import Heard, Peer, Said, peer
from tests.contracts.profiles import PROFILES, ProviderValues, Way
from tests.sandbox.running import RunningSandbox, free_port

GATEWAYS = registry.PAYMENT_GATEWAYS
WAYS = [
    pytest.param(gateway, way, id=f"{gateway}-{way.method}")
    for gateway in GATEWAYS
    for way in PROFILES[gateway].ways
]


def new_reference() -> str:
    return f"pay-{uuid.uuid4().hex[:20]}"


def a_start(way: Way, shop: Peer, reference: str | None = None) -> StartPayment:
    return StartPayment(
        reference=reference or new_reference(),
        method=way.method,
        amount=way.amount,
        currency=way.currency,
        country=way.country,
        language="fr",
        customer_email="aicha@example.cm",
        customer_name="Aïcha Ngoé",
        phone=way.phone,
        description="Commande MG-1001",
        notify_url=f"{shop.url}/webhook",
        return_url=f"{shop.url}/return",
        metadata={"order_number": "MG-1001", "payment_id": str(uuid.uuid4())},
    )


def a_webhook(heard: Heard) -> WebhookRequest:
    return WebhookRequest(raw=heard.raw, headers=heard.headers, remote_address="127.0.0.1")


def first_way(gateway: str) -> Way:
    return PROFILES[gateway].ways[0]


def provider_of(gateway: str, values: ProviderValues) -> PaymentProvider:
    return registry.payment_provider(gateway, values)


def test_every_gateway_has_a_profile() -> None:
    assert set(PROFILES) == set(GATEWAYS)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_method_of_a_gateway_is_in_its_profile(gateway: str, values: ProviderValues) -> None:
    provider = provider_of(gateway, values)
    assert provider.name == gateway
    assert {way.method for way in PROFILES[gateway].ways} == provider.methods


@pytest.mark.parametrize(("gateway", "way"), WAYS)
def test_a_paid_attempt_is_told_and_confirmed(
    gateway: str, way: Way, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(way, shop)

    started = provider.start(request)
    assert started.action.kind == way.action
    assert (started.action.url is not None) == (way.action != "push")
    query = PaymentQuery(
        reference=request.reference, gateway_transaction_id=started.gateway_transaction_id
    )
    assert provider.fetch(query).status == "pending"

    sandbox.decide(gateway, request.reference, "paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    assert registry.recognise_gateway(webhook, values) == gateway
    location = provider.locate(webhook)
    assert request.reference in location.references
    provider.verify(webhook)
    event = provider.parse(webhook)
    assert event.kind == "payment"
    assert event.status == "paid"
    assert request.reference in event.references
    assert provider.answer(event).status == 200

    result = provider.fetch(query)
    assert (result.status, result.amount, result.currency) == ("paid", way.amount, way.currency)
    if started.gateway_transaction_id and result.gateway_transaction_id:
        assert result.gateway_transaction_id == started.gateway_transaction_id


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_repeated_webhook_is_the_same_event(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.order_fault(gateway, "duplicate", times=1)
    sandbox.decide(gateway, request.reference, "paid")
    sandbox.decide(gateway, request.reference, "paid")
    webhooks = [a_webhook(heard) for heard in shop.wait_for(3)]
    for webhook in webhooks:
        provider.verify(webhook)
    assert len({provider.parse(webhook).dedupe_key for webhook in webhooks}) == 1


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_webhook_may_come_before_the_create_answers(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values.within(0.5))
    request = a_start(first_way(gateway), shop)
    operation = PROFILES[gateway].create_operation
    sandbox.order_fault(gateway, "timeout", operation=operation, seconds=1.0)
    with pytest.raises(Unavailable) as failure:
        provider.start(request)
    assert failure.value.outcome == "unknown"
    sandbox.decide(gateway, request.reference, "paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    provider.verify(webhook)
    assert request.reference in provider.parse(webhook).references


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_forged_webhook_is_refused_and_the_real_one_taken(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.order_fault(gateway, "forge")
    sandbox.decide(gateway, request.reference, "failed")
    verdicts: list[str] = []
    for heard in shop.wait_for(2):
        try:
            provider.verify(a_webhook(heard))
            verdicts.append(provider.parse(a_webhook(heard)).status)
        except Unverified:
            verdicts.append("refused")
    assert sorted(verdicts) == ["failed", "refused"]


@pytest.mark.parametrize(
    "gateway", [gateway for gateway in GATEWAYS if PROFILES[gateway].signs_webhooks]
)
def test_a_changed_or_unsigned_webhook_is_refused(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.decide(gateway, request.reference, "paid")
    heard = shop.wait_for(1)[0]
    amount = str(first_way(gateway).amount).encode()
    assert amount in heard.raw
    changes = [
        (heard.raw.replace(amount, b"1" + amount, 1), heard.headers),
        (heard.raw.replace(request.reference.encode(), b"pay-of-someone-else"), heard.headers),
        (heard.raw[:-1], heard.headers),
        (b"", heard.headers),
        (b"\xff\xfe", heard.headers),
        (b"[" * 200_000, heard.headers),
        (heard.raw, {}),
        (heard.raw, {name: value[:-1] for name, value in heard.headers.items()}),
        (heard.raw, {name: value + "0" for name, value in heard.headers.items()}),
        (heard.raw, dict.fromkeys(heard.headers, "é" * 64)),
    ]
    for raw, headers in changes:
        webhook = WebhookRequest(raw=raw, headers=headers)
        provider.locate(webhook)
        with pytest.raises(Unverified):
            provider.verify(webhook)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("is_notified", [True, False])
def test_another_amount_is_reported_as_collected(
    gateway: str, is_notified: bool, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.decide(gateway, request.reference, "paid", amount=100, notify=is_notified)
    result = provider.fetch(PaymentQuery(reference=request.reference))
    assert (result.status, result.amount) == ("paid", Decimal(100))
    assert result.currency == request.currency


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_another_currency_is_reported_as_collected(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.decide(gateway, request.reference, "paid", currency="NGN")
    result = provider.fetch(PaymentQuery(reference=request.reference))
    assert (result.status, result.amount, result.currency) == ("paid", request.amount, "NGN")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_query_decides_when_the_webhook_says_otherwise(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    query = PaymentQuery(reference=request.reference)

    sandbox.decide(gateway, request.reference, "paid", settled=False)
    assert provider.parse(a_webhook(shop.wait_for(1)[0])).status == "paid"
    assert provider.fetch(query).status == "pending"

    sandbox.decide(gateway, request.reference, "paid", notify=False)
    sandbox.decide(gateway, request.reference, "failed", settled=False)
    assert provider.parse(a_webhook(shop.wait_for(2)[1])).status == "failed"
    assert provider.fetch(query).status == "paid"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_lost_webhook_is_made_good_by_asking(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    assert sandbox.decide(gateway, request.reference, "paid", notify=False)["notified"] is False
    result = provider.fetch(PaymentQuery(reference=request.reference))
    assert (result.status, result.amount) == ("paid", request.amount)
    assert shop.heard == []


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_create_that_timed_out_exists_once_and_is_found(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    request = a_start(first_way(gateway), shop)
    operation = PROFILES[gateway].create_operation
    sandbox.order_fault(gateway, "timeout", operation=operation, seconds=1.0)
    with pytest.raises(Unavailable) as first:
        provider_of(gateway, values.within(0.5)).start(request)
    assert (first.value.outcome, first.value.code) == ("unknown", "timed_out")

    provider = provider_of(gateway, values)
    with pytest.raises(Unavailable) as again:
        provider.start(request)
    assert (again.value.outcome, again.value.code) == ("unknown", "reference_exists")
    result = provider.fetch(PaymentQuery(reference=request.reference))
    assert (result.is_found, result.status) == (True, "pending")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [("failed", "failed"), ("cancelled", "cancelled"), ("expired", "cancelled")],
)
def test_what_the_payer_did_not_pay_ends_so(
    gateway: str,
    outcome: str,
    status: str,
    sandbox: RunningSandbox,
    shop: Peer,
    values: ProviderValues,
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.decide(gateway, request.reference, outcome)
    webhook = a_webhook(shop.wait_for(1)[0])
    provider.verify(webhook)
    assert provider.parse(webhook).status == status
    assert provider.fetch(PaymentQuery(reference=request.reference)).status == status


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_events_out_of_order_are_told_apart(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)
    sandbox.order_fault(gateway, "reorder")
    sandbox.decide(gateway, request.reference, "failed")
    sandbox.decide(gateway, request.reference, "paid")
    events = [provider.parse(a_webhook(heard)) for heard in shop.wait_for(2)]
    assert [event.status for event in events] == ["paid", "failed"]
    assert len({event.dedupe_key for event in events}) == 2


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("kind", ["malformed", "error"])
@pytest.mark.parametrize("acts", [True, False])
def test_an_answer_that_means_nothing_leaves_the_outcome_unknown(
    gateway: str,
    kind: str,
    acts: bool,
    sandbox: RunningSandbox,
    shop: Peer,
    values: ProviderValues,
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    operation = PROFILES[gateway].create_operation
    sandbox.order_fault(gateway, kind, operation=operation, acts=acts)
    with pytest.raises(Unavailable) as failure:
        provider.start(request)
    assert failure.value.outcome == "unknown"
    result = provider.fetch(PaymentQuery(reference=request.reference))
    assert (result.is_found, result.status) == (acts, "pending")

    sandbox.order_fault(gateway, kind, operation="status")
    with pytest.raises(Unavailable):
        provider.fetch(PaymentQuery(reference=request.reference))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_rate_limit_says_when_and_that_nothing_was_created(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    sandbox.order_fault(gateway, "rate_limit", seconds=7)
    with pytest.raises(Unavailable) as failure:
        provider.start(request)
    assert (failure.value.outcome, failure.value.retry_after) == ("nothing_created", 7)
    assert provider.fetch(PaymentQuery(reference=request.reference)).is_found is False


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_slow_answer_is_waited_for(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    sandbox.order_fault(gateway, "slow", seconds=0.7)
    started = provider_of(gateway, values).start(a_start(first_way(gateway), shop))
    assert started.action.kind == first_way(gateway).action


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_peer_that_is_not_there_created_nothing(
    gateway: str, shop: Peer, values: ProviderValues
) -> None:
    nowhere = values.leading_to(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable) as failure:
        provider_of(gateway, nowhere).start(a_start(first_way(gateway), shop))
    assert (failure.value.outcome, failure.value.code) == ("nothing_created", "not_reached")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_refused_key_is_a_case_for_us(gateway: str, shop: Peer, values: ProviderValues) -> None:
    with peer(Said(401, b"")) as gate:
        with pytest.raises(Misconfigured) as failure:
            provider_of(gateway, values.leading_to(gate.url)).start(
                a_start(first_way(gateway), shop)
            )
        assert failure.value.outcome == "nothing_created"
        assert len(gate.heard) == 1


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal("12.5")}, "amount_invalid"),
        ({"amount": Decimal(0)}, "amount_invalid"),
        ({"amount": Decimal(-5)}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"amount": Decimal("Infinity")}, "amount_invalid"),
        ({"currency": "EUR"}, "currency_unsupported"),
        ({"reference": "short"}, "reference_invalid"),
        ({"reference": "pay 1\r\nx: y"}, "reference_invalid"),
        ({"method": "cash"}, "method_unsupported"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(
    gateway: str,
    changes: dict[str, object],
    code: str,
    sandbox: RunningSandbox,
    shop: Peer,
    values: ProviderValues,
) -> None:
    before = len(sandbox.listed("calls", provider=gateway))
    whole_francs = dataclasses.replace(
        a_start(first_way(gateway), shop), amount=Decimal(100), currency="XAF"
    )
    request = dataclasses.replace(whole_francs, **changes)  # type: ignore[arg-type]
    with pytest.raises(Rejected) as failure:
        provider_of(gateway, values).start(request)
    assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")
    assert len(sandbox.listed("calls", provider=gateway)) == before


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_reference_nobody_knows_is_pending_and_not_found(
    gateway: str, values: ProviderValues
) -> None:
    result = provider_of(gateway, values).fetch(PaymentQuery(reference=new_reference()))
    assert (result.status, result.is_found) == ("pending", False)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_refunds_in_part_and_in_full(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    request = a_start(first_way(gateway), shop)
    provider.start(request)

    def refund(amount: Decimal | None, reference: str | None = None) -> RefundRequest:
        return RefundRequest(
            refund_reference=reference or f"ref-{uuid.uuid4().hex[:20]}",
            payment_reference=request.reference,
            currency=request.currency,
            amount=amount,
            reason="The parcel came open",
            notify_url=f"{shop.url}/webhook",
        )

    with pytest.raises(Unavailable) as early:
        provider.refund(refund(None))
    assert (early.value.code, early.value.outcome) == ("not_settled", "nothing_created")

    sandbox.decide(gateway, request.reference, "paid", notify=False)
    part = refund(Decimal(1000))
    begun = provider.refund(part)
    assert (begun.status, begun.amount) == ("pending", Decimal(1000))
    assert provider.refund(part).amount == Decimal(1000)

    webhook = a_webhook(shop.wait_for(1)[0])
    provider.verify(webhook)
    event = provider.parse(webhook)
    assert event.kind == "refund"
    assert part.refund_reference in event.references
    assert provider.fetch_refund(part.refund_reference).status == "refunded"

    with pytest.raises(Rejected) as over:
        provider.refund(refund(request.amount))
    assert over.value.code == "refund_too_large"

    rest = provider.refund(refund(None))
    assert rest.amount == request.amount - 1000
    with pytest.raises(Rejected) as done:
        provider.refund(refund(None))
    assert done.value.code == "refund_complete"
    assert provider.fetch_refund("ref-of-nobody").is_found is False


@pytest.mark.parametrize(
    "gateway", [gateway for gateway in GATEWAYS if PROFILES[gateway].refuses_refunds_in]
)
def test_a_refund_that_the_gateway_cannot_do_is_a_fact(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    provider = provider_of(gateway, values)
    currency = PROFILES[gateway].refuses_refunds_in or ""
    request = dataclasses.replace(a_start(first_way(gateway), shop), currency=currency)
    provider.start(request)
    sandbox.decide(gateway, request.reference, "paid", notify=False)
    with pytest.raises(Rejected) as failure:
        provider.refund(
            RefundRequest(
                refund_reference=f"ref-{uuid.uuid4().hex[:20]}",
                payment_reference=request.reference,
                currency=currency,
            )
        )
    assert failure.value.code == "refund_unsupported"
