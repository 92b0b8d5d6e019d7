"""What the suite has to know of a gateway beyond its contract, and settings that lead to a peer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from pydantic import SecretStr

from edge_workers.providers.contracts.payments import PaymentStatus
from edge_workers.providers.errors import Outcome
from tests.sandbox.running import (
    ALIBABA_API_KEY,
    ALIBABA_API_SECRET,
    ALIEXPRESS_API_KEY,
    ALIEXPRESS_API_SECRET,
    KORA_SECRET_KEY,
    MTN_API_KEY,
    MTN_API_USER,
    MTN_COLLECTION_KEY,
    MTN_DISBURSEMENT_KEY,
    OPEN_EXCHANGE_RATES_APP_ID,
    ORANGE_API_KEY,
    ORANGE_CLIENT_ID,
    ORANGE_MERCHANT_KEY,
    PAYFAST_MERCHANT_ID,
    PAYFAST_MERCHANT_KEY,
    PAYFAST_PASSPHRASE,
    PAYGATE_ID,
    PAYGATE_KEY,
    SMTP_PASSWORD,
    SMTP_USER,
    RunningSandbox,
)

KORA_SECRET = SecretStr(KORA_SECRET_KEY)
MTN_SECRET = SecretStr(MTN_API_KEY)
MTN_COLLECTION = SecretStr(MTN_COLLECTION_KEY)
MTN_DISBURSEMENT = SecretStr(MTN_DISBURSEMENT_KEY)
ORANGE_SECRET = SecretStr(ORANGE_API_KEY)
ORANGE_MERCHANT = SecretStr(ORANGE_MERCHANT_KEY)
PAYFAST_KEY = SecretStr(PAYFAST_MERCHANT_KEY)
PAYFAST_SALT = SecretStr(PAYFAST_PASSPHRASE)
PAYGATE_SECRET = SecretStr(PAYGATE_KEY)
ALIBABA_KEY = SecretStr(ALIBABA_API_KEY)
ALIBABA_SECRET = SecretStr(ALIBABA_API_SECRET)
ALIEXPRESS_KEY = SecretStr(ALIEXPRESS_API_KEY)
ALIEXPRESS_SECRET = SecretStr(ALIEXPRESS_API_SECRET)
OPEN_EXCHANGE_RATES_ID = SecretStr(OPEN_EXCHANGE_RATES_APP_ID)
SMTP_SECRET = SecretStr(SMTP_PASSWORD)
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class ProviderValues:
    """What `registry.ProviderSettings` asks for."""

    kora_pay_base_url: str = NOBODY
    kora_pay_secret_key: SecretStr | None = KORA_SECRET
    kora_pay_bank_charges: bool = False
    kora_pay_bank_charges_in_cents: bool = False
    mtn_api_user: str | None = MTN_API_USER
    mtn_api_key: SecretStr | None = MTN_SECRET
    mtn_collection_key: SecretStr | None = MTN_COLLECTION
    mtn_disbursement_key: SecretStr | None = MTN_DISBURSEMENT
    mtn_disbursement_api_user: str | None = None
    mtn_disbursement_api_key: SecretStr | None = None
    mtn_base_url: str = NOBODY
    mtn_target_environment: str = "mtncameroon"
    mtn_currency: str = "XAF"
    mtn_refunds: bool = True
    orange_client_id: str | None = ORANGE_CLIENT_ID
    orange_api_key: SecretStr | None = ORANGE_SECRET
    orange_merchant_key: SecretStr | None = ORANGE_MERCHANT
    orange_token_url: str = f"{NOBODY}/token"
    orange_base_url: str = NOBODY
    orange_currency: str = "XAF"
    payfast_merchant_id: str | None = PAYFAST_MERCHANT_ID
    payfast_merchant_key: SecretStr | None = PAYFAST_KEY
    payfast_passphrase: SecretStr | None = PAYFAST_SALT
    payfast_base_url: str = NOBODY
    payfast_api_base_url: str = NOBODY
    payfast_testing: bool = False
    payfast_source_hosts: tuple[str, ...] = ()
    payfast_source_networks: tuple[str, ...] = ("127.0.0.0/8",)
    payfast_refunds: bool = True
    payfast_refunds_in_cents: bool = True
    payfast_tokens: bool = True
    paygate_id: str | None = PAYGATE_ID
    paygate_key: SecretStr | None = PAYGATE_SECRET
    paygate_base_url: str = NOBODY
    paygate_vault: bool = True
    paygate_eft_detail: str = ""
    paygate_approved_codes: tuple[str, ...] = ("990017",)
    paygate_query_checksum: bool = True
    alibaba_api_key: SecretStr | None = ALIBABA_KEY
    alibaba_api_secret: SecretStr | None = ALIBABA_SECRET
    alibaba_base_url: str = NOBODY
    alibaba_consent_url: str = f"{NOBODY}/oauth/authorize"
    aliexpress_api_key: SecretStr | None = ALIEXPRESS_KEY
    aliexpress_api_secret: SecretStr | None = ALIEXPRESS_SECRET
    aliexpress_base_url: str = NOBODY
    supplier_timeout_seconds: float = 5.0
    open_exchange_rates_app_id: SecretStr | None = OPEN_EXCHANGE_RATES_ID
    open_exchange_rates_base_url: str = NOBODY
    frankfurter_base_url: str = NOBODY
    ecb_base_url: str = NOBODY
    rate_timeout_seconds: float = 5.0
    openai_api_key: SecretStr | None = None
    openai_base_url: str = NOBODY
    embeddings_model: str | None = None
    public_url: str = "https://shop.example"
    payment_timeout_seconds: float = 5.0
    smtp_host: str | None = "127.0.0.1"
    smtp_port: int = 25
    smtp_user: str | None = SMTP_USER
    smtp_password: SecretStr | None = SMTP_SECRET
    smtp_starttls: bool = True
    smtp_ca_file: str | None = None
    from_email: str | None = "Mallgram <shop@mallgram.example>"

    def leading_to(self, url: str) -> ProviderValues:
        """The same with every gateway's base URL at one peer, and token URLs at its `/token`."""
        changes: dict[str, Any] = {
            one.name: f"{url}/token" if one.name.endswith("_token_url") else url
            for one in dataclasses.fields(self)
            if one.name.endswith(("_base_url", "_token_url"))
        }
        return dataclasses.replace(self, **changes)

    def within(self, seconds: float) -> ProviderValues:
        """The same with less patience."""
        return dataclasses.replace(self, payment_timeout_seconds=seconds)


def values_for(sandbox: RunningSandbox) -> ProviderValues:
    """Settings that lead to a running sandbox."""
    return ProviderValues(
        kora_pay_base_url=f"{sandbox.url}/kora",
        mtn_base_url=f"{sandbox.url}/mtn",
        orange_token_url=f"{sandbox.url}/orange/oauth/v3/token",
        orange_base_url=f"{sandbox.url}/orange/orange-money-webpay/cm/v1",
        payfast_base_url=f"{sandbox.url}/payfast",
        payfast_api_base_url=f"{sandbox.url}/payfast/api",
        payfast_testing=True,
        paygate_base_url=f"{sandbox.url}/paygate",
        alibaba_base_url=f"{sandbox.url}/alibaba",
        alibaba_consent_url=f"{sandbox.url}/alibaba/oauth/authorize",
        aliexpress_base_url=f"{sandbox.url}/aliexpress",
        open_exchange_rates_base_url=f"{sandbox.url}/openexchangerates",
        frankfurter_base_url=f"{sandbox.url}/frankfurter",
        ecb_base_url=f"{sandbox.url}/ecb",
        smtp_port=sandbox.smtp_port,
        smtp_ca_file=str(sandbox.ca_file),
    )


@dataclass(frozen=True)
class Way:
    """One way to pay that a gateway offers, and what the payer has to do first."""

    method: str
    amount: Decimal
    currency: str
    country: str
    phone: str | None
    action: str


@dataclass(frozen=True)
class Ending:
    """What a gateway says of a payment that did not come about."""

    told: PaymentStatus | None
    """By webhook; None: nothing is sent."""
    asked: PaymentStatus
    """By `fetch`, with the webhook as its notice where there was one."""


ENDINGS: Mapping[str, Ending] = {
    "failed": Ending("failed", "failed"),
    "cancelled": Ending("cancelled", "cancelled"),
    "expired": Ending("cancelled", "cancelled"),
}


@dataclass(frozen=True)
class Refunds:
    """How a gateway gives money back; sums are of the first way."""

    is_notified: bool
    """Whether it tells of a refund by webhook."""
    refuses_at_once: bool
    """Whether a refund that cannot be is refused when it is asked for; else it fails later."""
    takes_rest: bool
    """Whether a refund without an amount gives back all that is left."""
    unsupported_currency: str | None = None
    """A currency whose payments it cannot give back, where there is one."""


@dataclass(frozen=True)
class Payouts:
    """How a rail pays out; each change is to the suite's payout of 15,000 XAF to a handset."""

    operation: str
    """The sandbox's name of the call that sends it."""
    destinations: Mapping[str, Mapping[str, Any]]
    """All kinds of destination, by a name for the test."""
    failing_account: str
    waiting_account: str
    """A handset whose payout stays pending until the control decides."""
    refusals: tuple[tuple[Mapping[str, Any], str], ...]
    """Changes that leave no payout behind, and the code of the `Rejected`."""
    outcome_of_refused_key: Outcome
    answers_before_sending: tuple[bytes, ...] = ()
    """What the calls that come before the sending want to hear."""


@dataclass(frozen=True)
class Profile:
    """What one gateway can do. The defaults are what most do."""

    ways: tuple[Way, ...]
    create_operation: str | None
    """The sandbox's name of the call that opens a payment of the first way; None: `start` calls
    nobody, the form that the payer's browser posts is what opens it."""
    proof: Literal["signature", "url_token", "start_token"]
    """What `verify` rests on: the gateway's signature, our token in the address, or a token that
    the gateway gave when the payment was started."""
    told_amount: str = ""
    """How the first way's amount stands in a webhook; empty when it is not in it."""
    status_operation: str = "status"
    """The sandbox's name of the call by which `fetch` asks without a notice."""
    finds_lost_start: bool = True
    """Whether `fetch` finds an attempt by our ids alone, the answer to its start being lost. Where
    not, the payer cannot pay it either: the address to pay at was lost with it."""
    second_start: Literal["refused", "same", "another"] = "refused"
    """What starting the same attempt again comes to: an error that it exists, the attempt as it is,
    or one more over there."""
    confirms_notice: bool = False
    """Whether `fetch` with a notice has the gateway confirm that very notice."""
    reports_collected: bool = True
    """Whether `fetch` says what was collected; else it asks about our amount, and another one is
    never paid."""
    other_currency: str | None = "NGN"
    """A currency other than the first way's in which the money could come; None: there is none."""
    endings: Mapping[str, Ending] = field(default_factory=lambda: ENDINGS)
    """By the sandbox's outcome."""
    token_operation: str | None = None
    """The sandbox's name of the call that gives an access token; None: there is none."""
    refunds: Refunds | None = None
    """None: it has no refunds."""
    payouts: Payouts | None = None
    """None: it pays nobody out."""


PROFILES: dict[str, Profile] = {
    "kora": Profile(
        ways=(
            Way("kora_checkout", Decimal(12500), "XAF", "CM", None, "redirect"),
            Way("card", Decimal("199.90"), "ZAR", "ZA", None, "redirect"),
            Way("eft", Decimal("149.95"), "ZAR", "ZA", None, "redirect"),
            Way("mtn_momo", Decimal(5000), "XAF", "CM", "+237671112233", "push"),
            Way("orange_money", Decimal(7500), "XAF", "CM", "+237691112233", "push"),
        ),
        create_operation="initialize",
        proof="signature",
        told_amount="12500",
        refunds=Refunds(
            is_notified=True, refuses_at_once=True, takes_rest=True, unsupported_currency="GHS"
        ),
        payouts=Payouts(
            operation="disburse",
            destinations={
                "mtn": {},
                "orange": {"account": "237691119999", "institution": "orange"},
                "bank": {
                    "channel": "bank_account",
                    "account": "62001234567",
                    "institution": "250655",
                    "amount": Decimal("300.50"),
                    "currency": "ZAR",
                    "country": "ZA",
                },
            },
            failing_account="+237671110001",
            waiting_account="+237671110002",
            refusals=(
                ({"amount": Decimal(1_000_001)}, "insufficient_funds"),
                ({"institution": "nexttel"}, "institution_invalid"),
                ({"country": "Cameroon"}, "country_invalid"),
                ({"channel": "bank_account", "institution": "999999"}, "institution_invalid"),
                ({"reference": "x"}, "reference_invalid"),
            ),
            outcome_of_refused_key="unknown",
            answers_before_sending=(b'{"status":true,"message":"ok","data":[{"slug":"mtn-cm"}]}',),
        ),
    ),
    "mtn": Profile(
        ways=(Way("mtn_momo", Decimal(5000), "XAF", "CM", "+237671112233", "push"),),
        create_operation="request_to_pay",
        proof="url_token",
        second_start="same",
        token_operation="token",
        refunds=Refunds(is_notified=True, refuses_at_once=False, takes_rest=False),
        payouts=Payouts(
            operation="transfer",
            destinations={"mtn": {}},
            failing_account="+237671110050",
            waiting_account="+237671110054",
            refusals=(
                ({"account": "+237671110058"}, "not_allowed"),
                ({"account": "+237671110061"}, "currency_unsupported"),
                ({"institution": "orange"}, "institution_invalid"),
                ({"channel": "bank_account"}, "channel_unsupported"),
                ({"payout_id": "7b0c3b0e-5a4e-1c39-9a0e-0d6f6f0d0003"}, "reference_invalid"),
            ),
            outcome_of_refused_key="nothing_created",
        ),
    ),
    "orange": Profile(
        ways=(Way("orange_money", Decimal(7500), "XAF", "CM", None, "redirect"),),
        create_operation="webpayment",
        proof="start_token",
        finds_lost_start=False,
        reports_collected=False,
        other_currency=None,
        endings={
            "failed": Ending("failed", "failed"),
            "cancelled": Ending(None, "cancelled"),
            "expired": Ending(None, "cancelled"),
        },
        token_operation="token",
    ),
    "paygate": Profile(
        ways=(
            Way("card", Decimal("499.90"), "ZAR", "ZA", None, "form"),
            Way("eft", Decimal("1249.95"), "ZAR", "ZA", None, "form"),
        ),
        create_operation="initiate",
        proof="signature",
        told_amount="49990",
        finds_lost_start=False,
        second_start="another",
        endings={
            "failed": Ending("failed", "failed"),
            "cancelled": Ending("cancelled", "cancelled"),
            "expired": Ending(None, "pending"),
        },
    ),
    "payfast": Profile(
        ways=(
            Way("card", Decimal("399.90"), "ZAR", "ZA", None, "form"),
            Way("eft", Decimal("249.95"), "ZAR", "ZA", None, "form"),
        ),
        create_operation=None,
        proof="signature",
        told_amount="399.90",
        status_operation="history",
        confirms_notice=True,
        other_currency=None,
        endings={
            "failed": Ending("failed", "failed"),
            "cancelled": Ending(None, "pending"),
            "expired": Ending(None, "pending"),
        },
        refunds=Refunds(is_notified=False, refuses_at_once=True, takes_rest=True),
    ),
}
