"""One attempt to pay, as the shop lives through it: begun, started, told of, asked about."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import (
    PaymentProvider,
    PaymentQuery,
    PaymentResult,
    RefundQuery,
    RefundRequest,
    RefundResult,
    StartedPayment,
    StartPayment,
    WebhookEvent,
    WebhookRequest,
)
from tests.contracts.peer import Heard, Peer
from tests.contracts.profiles import PROFILES, Profile, ProviderValues, Way
from tests.sandbox.running import RunningSandbox


def new_reference() -> str:
    """As the shop makes them."""
    return f"mg-{uuid.uuid4().hex[:24]}"


def a_start(gateway: str, way: Way, shop: Peer, url_token: str = "") -> StartPayment:
    """What the edge would ask a gateway for."""
    payment_id = str(uuid.uuid4())
    return StartPayment(
        payment_id=payment_id,
        reference=new_reference(),
        method=way.method,
        amount=way.amount,
        currency=way.currency,
        country=way.country,
        language="fr",
        customer_email="aicha@example.cm",
        customer_name="Aïcha Ngoé",
        phone=way.phone,
        description="Commande MG-1001",
        notify_url=f"{shop.url}/webhook/{gateway}/{url_token or uuid.uuid4().hex}",
        return_url=f"{shop.url}/return",
        cancel_url=f"{shop.url}/return",
        metadata={"order_number": "MG-1001", "payment_id": payment_id},
    )


def a_webhook(heard: Heard) -> WebhookRequest:
    """What came, as the edge hands it on."""
    return WebhookRequest(
        raw=heard.raw,
        headers=heard.headers,
        token=urlsplit(heard.path).path.rsplit("/", 1)[-1],
        remote_address="127.0.0.1",
    )


@dataclass
class Attempt:
    """What the shop knows of one attempt. `secrets` are the tokens stored with it."""

    gateway: str
    values: ProviderValues
    sandbox: RunningSandbox
    request: StartPayment
    secrets: list[str]
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    gateway_transaction_id: str | None = None
    gateway_session: str | None = None

    @property
    def profile(self) -> Profile:
        """Of its gateway."""
        return PROFILES[self.gateway]

    @property
    def provider(self) -> PaymentProvider:
        """The adapter."""
        return registry.payment_provider(self.gateway, self.values)

    def start(self) -> StartedPayment:
        """Start it and store the answer."""
        started = self.provider.start(self.request)
        self.store(started)
        return started

    def store(self, started: StartedPayment) -> None:
        """Keep what the answer to the start said."""
        self.gateway_transaction_id = started.gateway_transaction_id
        self.gateway_session = started.gateway_session
        if started.webhook_token is not None:
            self.secrets.append(started.webhook_token)

    def go(self, started: StartedPayment) -> None:
        """What the payer's browser does with the action: open the page or post the form."""
        action = started.action
        if action.kind == "push":
            return
        assert action.url is not None
        if action.kind == "form":
            answer = self.sandbox.client.post(
                action.url, data=dict(action.fields), follow_redirects=True
            )
        else:
            answer = self.sandbox.client.get(action.url, follow_redirects=True)
        assert answer.status_code == 200, answer.text

    def decide(self, outcome: str, **more: object) -> None:
        """What the payer does at the gateway."""
        self.sandbox.decide(self.gateway, self.request.reference, outcome, **more)

    def query(self, notice: WebhookRequest | None = None) -> PaymentQuery:
        """All that the shop knows when it asks."""
        return PaymentQuery(
            payment_id=self.request.payment_id,
            reference=self.request.reference,
            gateway_transaction_id=self.gateway_transaction_id,
            gateway_session=self.gateway_session,
            amount=self.request.amount,
            currency=self.request.currency,
            method=self.request.method,
            started_at=self.begun_at,
            notice=None if notice is None else notice.raw,
        )

    def fetch(self, notice: WebhookRequest | None = None) -> PaymentResult:
        """Ask, and keep the gateway's id of the transaction."""
        result = self.provider.fetch(self.query(notice))
        self.gateway_transaction_id = result.gateway_transaction_id or self.gateway_transaction_id
        return result

    def secrets_for(self, webhook: WebhookRequest) -> list[str]:
        """The tokens that the edge would load for what a message claims to speak of."""
        location = self.provider.locate(webhook)
        ours = {self.request.reference, self.gateway_transaction_id, self.gateway_session}
        is_ours = ours & set(location.references) or set(self.secrets) & set(location.tokens)
        return list(self.secrets) if location.needs_secrets and is_ours else []

    def take(self, webhook: WebhookRequest) -> WebhookEvent:
        """Locate, verify, parse as the edge does; raises `Unverified`."""
        self.provider.verify(webhook, self.secrets_for(webhook))
        return self.provider.parse(webhook)

    def is_meant_by(self, event: WebhookEvent) -> bool:
        """Whether an event leads to this attempt."""
        return self.request.reference in event.references or event.token in self.secrets

    def a_refund(self, amount: Decimal | None = None) -> RefundRequest:
        """Some of it back; None: all that is left."""
        refund_id = uuid.uuid4()
        return RefundRequest(
            refund_id=str(refund_id),
            refund_reference=f"rf-{refund_id.hex[:24]}",
            payment_id=self.request.payment_id,
            payment_reference=self.request.reference,
            gateway_transaction_id=self.gateway_transaction_id,
            currency=self.request.currency,
            amount=amount,
            reason="The parcel came open",
            notify_url=self.request.notify_url,
        )

    def fetch_refund(
        self, request: RefundRequest, begun: RefundResult | None = None
    ) -> RefundResult:
        """Ask how a refund stands."""
        return self.provider.fetch_refund(
            RefundQuery(
                refund_id=request.refund_id,
                refund_reference=request.refund_reference,
                payment_id=request.payment_id,
                payment_reference=request.payment_reference,
                currency=request.currency,
                amount=request.amount,
                gateway_refund_id=None if begun is None else begun.gateway_refund_id,
                gateway_transaction_id=request.gateway_transaction_id,
            )
        )


def begin(
    gateway: str,
    values: ProviderValues,
    sandbox: RunningSandbox,
    shop: Peer,
    way: Way | None = None,
) -> Attempt:
    """An attempt that no gateway has heard of yet."""
    url_token = uuid.uuid4().hex
    return Attempt(
        gateway=gateway,
        values=values,
        sandbox=sandbox,
        request=a_start(gateway, way or PROFILES[gateway].ways[0], shop, url_token),
        secrets=[url_token],
    )


def started(
    gateway: str,
    values: ProviderValues,
    sandbox: RunningSandbox,
    shop: Peer,
    way: Way | None = None,
) -> Attempt:
    """An attempt whose payer stands before the gateway's page or holds the handset."""
    attempt = begin(gateway, values, sandbox, shop, way)
    attempt.go(attempt.start())
    return attempt
