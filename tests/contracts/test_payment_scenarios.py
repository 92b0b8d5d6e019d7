"""Every gateway against the sandbox: what goes well, and each way in which it may not.

Nothing here knows a gateway; what differs is in `profiles`.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import (
    PaymentQuery,
    PaymentResult,
    RefundResult,
    WebhookRequest,
)
from edge_workers.providers.errors import (
    Misconfigured,
    ProviderError,
    Rejected,
    Unavailable,
    Unverified,
)
from tests.contracts.attempts import Attempt, a_start, a_webhook, begin, new_reference, started
from tests.contracts.peer import Peer, Said, peer
from tests.contracts.profiles import PROFILES, Profile, ProviderValues, Refunds, Way
from tests.sandbox.running import RunningSandbox, free_port

GATEWAYS = tuple(PROFILES)


def gateways_where(is_so: Callable[[Profile], Any]) -> list[str]:
    return [gateway for gateway in GATEWAYS if is_so(PROFILES[gateway])]


WAYS = [
    pytest.param(gateway, way, id=f"{gateway}-{way.method}")
    for gateway in GATEWAYS
    for way in PROFILES[gateway].ways
]
ENDINGS = [
    pytest.param(gateway, outcome, id=f"{gateway}-{outcome}")
    for gateway in GATEWAYS
    for outcome in PROFILES[gateway].endings
]
CREATING = gateways_where(lambda profile: profile.create_operation)
WITH_TOKENS = gateways_where(lambda profile: profile.token_operation)
REFUNDING = gateways_where(lambda profile: profile.refunds)


def eventually(ask: Callable[[], RefundResult], *statuses: str) -> RefundResult:
    deadline = time.monotonic() + 10
    while (result := ask()).status not in statuses:
        assert time.monotonic() < deadline, result
        time.sleep(0.05)
    return result


def standing(attempt: Attempt, notice: WebhookRequest | None = None) -> str:
    """The status that asking comes to; an error of the gateway's leaves it pending."""
    try:
        return attempt.fetch(notice).status
    except ProviderError:
        return "pending"


def calls_of(sandbox: RunningSandbox, gateway: str, operation: str | None) -> int:
    """How often an operation was called so far."""
    calls = sandbox.listed("calls", provider=gateway)
    return sum(1 for call in calls if call["operation"] == operation)


def test_every_gateway_has_a_profile() -> None:
    assert set(PROFILES) == set(registry.PAYMENT_GATEWAYS)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_method_of_a_gateway_is_in_its_profile(gateway: str, values: ProviderValues) -> None:
    provider = registry.payment_provider(gateway, values)
    assert provider.name == gateway
    assert {way.method for way in PROFILES[gateway].ways} == provider.methods


# 1: the happy path


@pytest.mark.parametrize(("gateway", "way"), WAYS)
def test_a_paid_attempt_is_told_and_confirmed(
    gateway: str, way: Way, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(gateway, values, sandbox, shop, way)
    answer = attempt.start()
    assert answer.action.kind == way.action
    assert (answer.action.url is not None) == (way.action != "push")
    attempt.go(answer)
    assert attempt.fetch().status == "pending"

    attempt.decide("paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    assert registry.recognise_gateway(webhook, values) == gateway
    event = attempt.take(webhook)
    assert event.kind == "payment"
    assert event.status == "paid"
    assert attempt.is_meant_by(event)
    assert all(secret not in event.dedupe_key for secret in attempt.secrets)
    assert attempt.provider.answer(event).status == 200

    for notice in (webhook, None):
        result = attempt.fetch(notice)
        assert (result.status, result.amount, result.currency) == ("paid", way.amount, way.currency)
        assert result.gateway_transaction_id in (None, attempt.gateway_transaction_id)


# 2: the webhook three times


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_repeated_webhook_is_the_same_event(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    sandbox.order_fault(gateway, "duplicate", times=1)
    attempt.decide("paid")
    attempt.decide("paid")
    webhooks = [a_webhook(heard) for heard in shop.wait_for(3)]
    assert len({attempt.take(webhook).dedupe_key for webhook in webhooks}) == 1
    results = [attempt.fetch(webhook) for webhook in webhooks]
    assert {(result.status, result.amount) for result in results} == {
        ("paid", attempt.request.amount)
    }
    assert len({result.gateway_transaction_id for result in results}) == 1


# 3: the webhook before the answer to the start is stored


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_webhook_may_come_before_the_answer_to_the_start_is_stored(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(gateway, values, sandbox, shop)
    answer = attempt.provider.start(attempt.request)
    attempt.go(answer)
    attempt.decide("paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    if attempt.profile.proof == "start_token":
        with pytest.raises(Unverified):
            attempt.take(webhook)
    else:
        assert attempt.is_meant_by(attempt.take(webhook))
        expected = {"paid"} if attempt.profile.finds_lost_start else {"paid", "pending"}
        assert attempt.fetch(webhook).status in expected

    attempt.store(answer)
    assert attempt.is_meant_by(attempt.take(webhook))
    assert attempt.fetch(webhook).status == "paid"


# 4: a wrong signature or token


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_forged_webhook_is_refused_and_the_real_one_taken(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    sandbox.order_fault(gateway, "forge")
    attempt.decide("failed")
    verdicts: list[str] = []
    for heard in shop.wait_for(2):
        try:
            verdicts.append(attempt.take(a_webhook(heard)).status)
        except Unverified:
            verdicts.append("refused")
    assert sorted(verdicts) == ["failed", "refused"]


def changed_signed(attempt: Attempt, webhook: WebhookRequest) -> Iterator[WebhookRequest]:
    raw, headers = webhook.raw, webhook.headers
    told = attempt.profile.told_amount.encode()
    assert told
    assert told in raw
    bodies = [
        raw.replace(told, b"1" + told, 1),
        raw.replace(attempt.request.reference.encode(), b"mg-of-someone-else"),
        raw[:-1],
        raw + b"0",
        b"",
        b"\xff\xfe",
        b"[" * 200_000,
        b"&" * 2_000,
    ]
    for body in bodies:
        yield dataclasses.replace(webhook, raw=body)
    signed = [name for name in headers if "signature" in name.lower()]
    if signed:
        yield dataclasses.replace(webhook, headers={})
        for name in signed:
            for value in (headers[name][:-1], headers[name] + "0", "é" * 64):
                yield dataclasses.replace(webhook, headers={**headers, name: value})


def changed_url_tokens(attempt: Attempt, webhook: WebhookRequest) -> Iterator[WebhookRequest]:
    token = attempt.secrets[0]
    assert webhook.token == token
    for other in (None, "", token[:-1], token + "0", token.swapcase() + "x", "é" * 32, new_token()):
        yield dataclasses.replace(webhook, token=other)


def changed_start_tokens(attempt: Attempt, webhook: WebhookRequest) -> Iterator[WebhookRequest]:
    token = attempt.secrets[-1].encode()
    assert token in webhook.raw
    for other in (b"", token[:-1], token + b"0", "é".encode() * 16, new_token().encode()):
        yield dataclasses.replace(webhook, raw=webhook.raw.replace(token, other))
    for body in (b"", b"{}", b"null", b"\xff\xfe", b"[" * 200_000, webhook.raw[:-1]):
        yield dataclasses.replace(webhook, raw=body)


def new_token() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_webhook_whose_proof_was_changed_is_refused(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    changed = {
        "signature": changed_signed,
        "url_token": changed_url_tokens,
        "start_token": changed_start_tokens,
    }[PROFILES[gateway].proof]
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid")
    webhook = a_webhook(shop.wait_for(1)[0])
    attempt.take(webhook)
    for forged in changed(attempt, webhook):
        with pytest.raises(Unverified):
            attempt.take(forged)
        if attempt.profile.proof != "signature":
            # Nor may the secrets of a payment prove a message that does not present them.
            with pytest.raises(Unverified):
                attempt.provider.verify(forged, attempt.secrets)
            with pytest.raises(Unverified):
                attempt.provider.verify(webhook, [])


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_what_cannot_be_read_names_no_payment(gateway: str, values: ProviderValues) -> None:
    provider = registry.payment_provider(gateway, values)
    bodies = [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 200_000, b"\x00", b"=&=&%", b"a=%ff"]
    for body in bodies:
        webhook = WebhookRequest(raw=body, headers={"content-type": "text/plain"})
        assert provider.locate(webhook).references == ()
        assert provider.locate(webhook).tokens == ()
        assert provider.recognises(webhook) is False


# 5 and 6: genuine, but another amount or currency


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("is_notified", [True, False])
def test_another_amount_is_reported_as_collected_or_never_paid(
    gateway: str, is_notified: bool, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid", amount=100, notify=is_notified)
    notice = a_webhook(shop.wait_for(1)[0]) if is_notified else None
    if notice is not None:
        assert attempt.is_meant_by(attempt.take(notice))
    if attempt.profile.reports_collected:
        result = attempt.fetch(notice)
        assert (result.status, result.amount) == ("paid", Decimal(100))
        assert result.currency == attempt.request.currency
    else:
        assert standing(attempt, notice) != "paid"


@pytest.mark.parametrize("gateway", gateways_where(lambda profile: profile.other_currency))
def test_another_currency_is_reported_as_collected(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    other = attempt.profile.other_currency
    attempt.decide("paid", currency=other)
    notice = a_webhook(shop.wait_for(1)[0])
    assert attempt.is_meant_by(attempt.take(notice))
    result = attempt.fetch(notice)
    assert (result.status, result.amount, result.currency) == (
        "paid",
        attempt.request.amount,
        other,
    )


# 7 and 10: the webhook says one thing, the gateway's answer another


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_webhook_that_says_paid_does_not_decide(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid", settled=False)
    webhook = a_webhook(shop.wait_for(1)[0])
    assert attempt.take(webhook).status == "paid"
    if attempt.profile.confirms_notice:
        assert standing(attempt, webhook) == "pending"
    else:
        assert attempt.fetch(webhook).status == "pending"
    assert attempt.fetch().status == "pending"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_late_failure_changes_nothing_of_what_was_paid(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid")
    paid = a_webhook(shop.wait_for(1)[0])
    assert attempt.fetch(paid).status == "paid"
    attempt.decide("failed", settled=False)
    failed = a_webhook(shop.wait_for(2)[1])
    assert attempt.take(failed).status == "failed"
    assert attempt.take(failed).dedupe_key != attempt.take(paid).dedupe_key
    assert attempt.fetch().status == "paid"
    if not attempt.profile.confirms_notice:
        assert attempt.fetch(failed).status == "paid"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_events_out_of_order_are_told_apart(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    sandbox.order_fault(gateway, "reorder")
    attempt.decide("failed")
    attempt.decide("paid")
    events = [attempt.take(a_webhook(heard)) for heard in shop.wait_for(2)]
    assert [event.status for event in events] == ["paid", "failed"]
    assert len({event.dedupe_key for event in events}) == 2


# 8: paid, and no webhook


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_lost_webhook_is_made_good_by_asking(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid", notify=False)
    result = attempt.fetch()
    assert (result.status, result.amount, result.currency) == (
        "paid",
        attempt.request.amount,
        attempt.request.currency,
    )
    assert shop.heard == []


# 9: the answer to the start never came


@pytest.mark.parametrize("gateway", CREATING)
def test_a_start_that_timed_out_is_asked_for_and_not_sent_anew(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(gateway, values.within(1.0), sandbox, shop)
    operation = attempt.profile.create_operation
    sandbox.order_fault(gateway, "timeout", operation=operation, seconds=2.0)
    with pytest.raises(Unavailable) as first:
        attempt.start()
    assert (first.value.outcome, first.value.code) == ("unknown", "timed_out")

    attempt.values = values
    result = attempt.fetch()
    assert result.status == "pending"
    assert result.is_found is attempt.profile.finds_lost_start
    match attempt.profile.second_start:
        case "refused":
            with pytest.raises(Unavailable) as again:
                attempt.start()
            assert (again.value.outcome, again.value.code) == ("unknown", "reference_exists")
        case "same":
            assert attempt.start().action.kind == attempt.profile.ways[0].action
        case "another":
            attempt.go(attempt.start())
    if attempt.profile.finds_lost_start or attempt.profile.second_start == "another":
        attempt.decide("paid")
        webhook = a_webhook(shop.wait_for(1)[0])
        assert attempt.is_meant_by(attempt.take(webhook))
        assert attempt.fetch(webhook).status == "paid"


# 11: rejected, cancelled, expired


@pytest.mark.parametrize(("gateway", "outcome"), ENDINGS)
def test_what_the_payer_did_not_pay_ends_so(
    gateway: str, outcome: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    ending = attempt.profile.endings[outcome]
    attempt.decide(outcome)
    if ending.told is None:
        assert attempt.fetch().status == ending.asked
        assert shop.heard == []
        return
    webhook = a_webhook(shop.wait_for(1)[0])
    assert attempt.take(webhook).status == ending.told
    assert attempt.fetch(webhook).status == ending.asked


# 12: answers that mean nothing


@pytest.mark.parametrize("gateway", CREATING)
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
    attempt = begin(gateway, values, sandbox, shop)
    operation = attempt.profile.create_operation
    sandbox.order_fault(gateway, kind, operation=operation, acts=acts)
    with pytest.raises(Unavailable) as failure:
        attempt.start()
    assert failure.value.outcome == "unknown"
    result = attempt.fetch()
    is_found = acts and attempt.profile.finds_lost_start
    assert (result.is_found, result.status) == (is_found, "pending")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("kind", ["malformed", "error", "rate_limit"])
def test_an_answer_that_means_nothing_is_no_result(
    gateway: str, kind: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid", notify=False)
    sandbox.order_fault(gateway, kind, operation=attempt.profile.status_operation)
    with pytest.raises(Unavailable):
        attempt.fetch()
    assert attempt.fetch().status == "paid"


@pytest.mark.parametrize("gateway", CREATING)
def test_a_rate_limit_says_when_and_that_nothing_was_created(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(gateway, values, sandbox, shop)
    sandbox.order_fault(gateway, "rate_limit", seconds=7)
    with pytest.raises(Unavailable) as failure:
        attempt.start()
    assert (failure.value.outcome, failure.value.retry_after) == ("nothing_created", 7)
    assert attempt.fetch().is_found is False


@pytest.mark.parametrize("gateway", CREATING)
def test_a_slow_answer_is_waited_for(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    sandbox.order_fault(gateway, "slow", seconds=0.7)
    attempt = begin(gateway, values, sandbox, shop)
    assert attempt.start().action.kind == attempt.profile.ways[0].action


@pytest.mark.parametrize("gateway", CREATING)
def test_a_peer_that_is_not_there_created_nothing(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    nowhere = values.leading_to(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable) as failure:
        begin(gateway, nowhere, sandbox, shop).start()
    assert (failure.value.outcome, failure.value.code) == ("nothing_created", "not_reached")


@pytest.mark.parametrize("gateway", gateways_where(lambda profile: not profile.create_operation))
def test_a_start_that_is_a_form_needs_nobody(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    nowhere = values.leading_to(f"http://127.0.0.1:{free_port()}")
    answer = begin(gateway, nowhere, sandbox, shop).start()
    assert (answer.action.kind, bool(answer.action.fields)) == ("form", True)


# 13: keys and access tokens


@pytest.mark.parametrize("gateway", CREATING)
def test_a_refused_key_is_a_case_for_us(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    with peer(Said(401, b"")) as gate:
        with pytest.raises(Misconfigured) as failure:
            begin(gateway, values.leading_to(gate.url), sandbox, shop).start()
        assert failure.value.outcome == "nothing_created"
        assert len(gate.heard) == 1


@pytest.mark.parametrize("gateway", WITH_TOKENS)
def test_an_access_token_is_asked_for_once(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    operation = PROFILES[gateway].token_operation
    before = calls_of(sandbox, gateway, operation)
    attempt = started(gateway, values, sandbox, shop)
    attempt.fetch()
    attempt.fetch()
    started(gateway, values, sandbox, shop)
    assert calls_of(sandbox, gateway, operation) == before + 1


@pytest.mark.parametrize("gateway", WITH_TOKENS)
def test_an_access_token_that_ended_is_renewed_once(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    operation = PROFILES[gateway].token_operation
    attempt = started(gateway, values, sandbox, shop)
    before = calls_of(sandbox, gateway, operation)
    sandbox.forget_tokens(gateway)
    assert attempt.fetch().status == "pending"
    assert calls_of(sandbox, gateway, operation) == before + 1

    sandbox.forget_tokens(gateway)
    later = started(gateway, values, sandbox, shop)
    assert calls_of(sandbox, gateway, operation) == before + 2
    later.decide("paid", notify=False)
    assert later.fetch().status == "paid"


@pytest.mark.parametrize("gateway", WITH_TOKENS)
def test_a_token_endpoint_that_fails_created_nothing(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = begin(gateway, values.within(1.0), sandbox, shop)
    operation = attempt.profile.token_operation
    for kind in ("error", "malformed", "timeout"):
        sandbox.order_fault(gateway, kind, operation=operation, seconds=2.0)
        with pytest.raises(Unavailable) as failure:
            attempt.start()
        assert failure.value.outcome == "nothing_created"
    attempt.go(attempt.start())
    assert attempt.fetch().is_found


# before anything is sent


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal("12.555")}, "amount_invalid"),
        ({"amount": Decimal(0)}, "amount_invalid"),
        ({"amount": Decimal(-5)}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"amount": Decimal("Infinity")}, "amount_invalid"),
        ({"currency": "GBP"}, "currency_unsupported"),
        ({"reference": ""}, "reference_invalid"),
        ({"reference": "mg-" + "x" * 200}, "reference_invalid"),
        ({"reference": "mg-1234567890\r\nx: y"}, "reference_invalid"),
        ({"method": "cash"}, "method_unsupported"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(
    gateway: str,
    changes: dict[str, Any],
    code: str,
    sandbox: RunningSandbox,
    shop: Peer,
    values: ProviderValues,
) -> None:
    before = len(sandbox.listed("calls", provider=gateway))
    request = dataclasses.replace(a_start(gateway, PROFILES[gateway].ways[0], shop), **changes)
    with pytest.raises(Rejected) as failure:
        registry.payment_provider(gateway, values).start(request)
    assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")
    assert len(sandbox.listed("calls", provider=gateway)) == before


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_attempt_nobody_knows_is_pending_and_not_found(
    gateway: str, values: ProviderValues
) -> None:
    way = PROFILES[gateway].ways[0]
    result: PaymentResult = registry.payment_provider(gateway, values).fetch(
        PaymentQuery(
            payment_id=str(uuid.uuid4()),
            reference=new_reference(),
            amount=way.amount,
            currency=way.currency,
            method=way.method,
        )
    )
    assert (result.status, result.is_found) == ("pending", False)


# 14: refunds


def refunds_of(gateway: str) -> Refunds:
    refunds = PROFILES[gateway].refunds
    assert refunds is not None
    return refunds


def refuse(attempt: Attempt, amount: Decimal | None, *codes: str) -> None:
    """Ask for a refund that cannot be: it is refused at once, or it fails."""
    request = attempt.a_refund(amount)
    if refunds_of(attempt.gateway).refuses_at_once:
        with pytest.raises(ProviderError) as failure:
            attempt.provider.refund(request)
        assert (failure.value.code in codes, failure.value.outcome) == (True, "nothing_created")
    else:
        begun = attempt.provider.refund(request)
        assert eventually(lambda: attempt.fetch_refund(request, begun), "failed").reason


@pytest.mark.parametrize("gateway", REFUNDING)
def test_refunds_in_part_and_in_full(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    provider, refunds = attempt.provider, refunds_of(gateway)
    refuse(attempt, attempt.request.amount, "not_settled", "payment_not_paid")
    attempt.decide("paid", notify=False)
    assert attempt.fetch().status == "paid"
    heard = len(shop.heard)

    part = attempt.a_refund(Decimal(100))
    begun = provider.refund(part)
    assert begun.status in ("pending", "refunded")
    assert begun.amount in (None, Decimal(100))
    if provider.refunds_are_repeatable:
        assert provider.refund(part).amount == begun.amount
    if refunds.is_notified:
        event = attempt.take(a_webhook(shop.wait_for(heard + 1)[-1]))
        assert event.kind == "refund"
        assert part.refund_reference in event.references
        assert event.status != "paid"
    done = eventually(lambda: attempt.fetch_refund(part, begun), "refunded", "failed")
    assert (done.status, done.amount) == ("refunded", Decimal(100))

    refuse(attempt, attempt.request.amount, "refund_too_large")
    left = attempt.request.amount - Decimal(100)
    rest = attempt.a_refund(None if refunds.takes_rest else left)
    begun_rest = provider.refund(rest)
    all_back = eventually(lambda: attempt.fetch_refund(rest, begun_rest), "refunded", "failed")
    assert (all_back.status, all_back.amount) == ("refunded", left)
    refuse(attempt, Decimal(100), "refund_complete")
    assert attempt.fetch_refund(attempt.a_refund(Decimal(100))).is_found is False


@pytest.mark.parametrize(
    "gateway",
    gateways_where(lambda profile: profile.refunds and profile.refunds.unsupported_currency),
)
def test_a_refund_in_a_currency_that_has_none_is_a_fact(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    currency = refunds_of(gateway).unsupported_currency or ""
    way = dataclasses.replace(PROFILES[gateway].ways[0], currency=currency)
    attempt = started(gateway, values, sandbox, shop, way)
    attempt.decide("paid", notify=False)
    with pytest.raises(Rejected) as failure:
        attempt.provider.refund(attempt.a_refund(Decimal(100)))
    assert failure.value.code == "refund_unsupported"


@pytest.mark.parametrize("gateway", gateways_where(lambda profile: not profile.refunds))
def test_a_gateway_without_refunds_says_so_and_is_not_asked(
    gateway: str, sandbox: RunningSandbox, shop: Peer, values: ProviderValues
) -> None:
    attempt = started(gateway, values, sandbox, shop)
    attempt.decide("paid", notify=False)
    assert attempt.fetch().status == "paid"
    before = len(sandbox.listed("calls", provider=gateway))
    with pytest.raises(Rejected) as failure:
        attempt.provider.refund(attempt.a_refund(attempt.request.amount))
    assert (failure.value.code, failure.value.outcome) == ("refund_unsupported", "nothing_created")
    assert len(sandbox.listed("calls", provider=gateway)) == before
