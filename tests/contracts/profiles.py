"""What the suite has to know of a gateway beyond its contract, and settings that lead to a peer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

from pydantic import SecretStr

from tests.sandbox.running import KORA_SECRET_KEY, SMTP_PASSWORD, SMTP_USER, RunningSandbox

KORA_SECRET = SecretStr(KORA_SECRET_KEY)
SMTP_SECRET = SecretStr(SMTP_PASSWORD)


@dataclass(frozen=True)
class ProviderValues:
    """What `registry.ProviderSettings` asks for."""

    kora_pay_base_url: str
    kora_pay_secret_key: SecretStr | None = KORA_SECRET
    kora_pay_bank_charges: bool = False
    kora_pay_bank_charges_in_cents: bool = False
    payment_timeout_seconds: float = 5.0
    smtp_host: str | None = "127.0.0.1"
    smtp_port: int = 25
    smtp_user: str | None = SMTP_USER
    smtp_password: SecretStr | None = SMTP_SECRET
    smtp_starttls: bool = True
    smtp_ca_file: str | None = None
    from_email: str | None = "Mallgram <shop@mallgram.example>"

    def leading_to(self, url: str) -> ProviderValues:
        """The same with every gateway's base URL at one peer."""
        return dataclasses.replace(self, kora_pay_base_url=url)

    def within(self, seconds: float) -> ProviderValues:
        """The same with less patience."""
        return dataclasses.replace(self, payment_timeout_seconds=seconds)


def values_for(sandbox: RunningSandbox) -> ProviderValues:
    """Settings that lead to a running sandbox."""
    return ProviderValues(
        kora_pay_base_url=f"{sandbox.url}/kora",
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
class Profile:
    """What one gateway can do."""

    ways: tuple[Way, ...]
    create_operation: str
    """The sandbox's name of the call that opens a payment of the first way."""
    signs_webhooks: bool
    refuses_refunds_in: str | None
    """A currency whose payments it cannot give back, where there is one."""
    pays_out: bool


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
        signs_webhooks=True,
        refuses_refunds_in="GHS",
        pays_out=True,
    ),
}
