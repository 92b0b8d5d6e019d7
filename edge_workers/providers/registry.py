"""The one place that leads from a name to an adapter, and from settings to its plain values.

An adapter is built once a process for the same values, so that its connections are kept. A
provider without its secret is absent: it is not listed, and asking for it raises `Misconfigured`.

Adding a gateway: its folder, and one line in `_PAYMENTS` (or `_PAYOUTS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol, TypeVar

from pydantic import SecretStr

from edge_workers.providers.contracts.mail import MailProvider
from edge_workers.providers.contracts.payments import PaymentProvider, WebhookRequest
from edge_workers.providers.contracts.payouts import PayoutProvider
from edge_workers.providers.errors import Misconfigured
from edge_workers.providers.kora import KoraApi, KoraPayments, KoraPayouts
from edge_workers.providers.smtp import SmtpMail

Adapter = TypeVar("Adapter")


class ProviderSettings(Protocol):
    """What is read from the settings; a secret that is None or empty switches its provider off."""

    @property
    def kora_pay_secret_key(self) -> SecretStr | None: ...
    @property
    def kora_pay_base_url(self) -> str: ...
    @property
    def kora_pay_bank_charges(self) -> bool: ...
    @property
    def kora_pay_bank_charges_in_cents(self) -> bool: ...
    @property
    def payment_timeout_seconds(self) -> float: ...
    @property
    def smtp_host(self) -> str | None: ...
    @property
    def smtp_port(self) -> int: ...
    @property
    def smtp_user(self) -> str | None: ...
    @property
    def smtp_password(self) -> SecretStr | None: ...
    @property
    def smtp_starttls(self) -> bool: ...
    @property
    def smtp_ca_file(self) -> str | None: ...
    @property
    def from_email(self) -> str | None: ...


def payment_provider(name: str, settings: ProviderSettings) -> PaymentProvider:
    """The gateway of that name. `Misconfigured` when it is unknown or has no secret."""
    return _built(_PAYMENTS, name, settings)


def payout_provider(name: str, settings: ProviderSettings) -> PayoutProvider:
    """The payout rail of that name. `Misconfigured` when it is unknown or has no secret."""
    return _built(_PAYOUTS, name, settings)


def mail_provider(settings: ProviderSettings) -> MailProvider:
    """What sends e-mail. `Misconfigured` without SMTP_HOST or FROM_EMAIL."""
    if not settings.smtp_host or not settings.from_email:
        raise Misconfigured("SMTP_HOST or FROM_EMAIL is not set.", code="mail_not_configured")
    return _smtp(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_user or None,
        _plain(settings.smtp_password),
        settings.smtp_starttls,
        settings.smtp_ca_file or None,
        settings.from_email,
    )


def configured_payment_gateways(settings: ProviderSettings) -> tuple[str, ...]:
    """The gateways that have their secret, by name."""
    return _configured(_PAYMENTS, settings)


def configured_payout_gateways(settings: ProviderSettings) -> tuple[str, ...]:
    """The payout rails that have their secret, by name."""
    return _configured(_PAYOUTS, settings)


def recognise_gateway(request: WebhookRequest, settings: ProviderSettings) -> str | None:
    """The one configured gateway whose marks a message carries; None for none or several."""
    found = [
        name
        for name in configured_payment_gateways(settings)
        if payment_provider(name, settings).recognises(request)
    ]
    return found[0] if len(found) == 1 else None


def _plain(secret: SecretStr | None) -> str | None:
    return (secret.get_secret_value().strip() or None) if secret is not None else None


@lru_cache(maxsize=8)
def _kora_api(secret_key: str, base_url: str, timeout_seconds: float) -> KoraApi:
    return KoraApi(secret_key=secret_key, base_url=base_url, timeout_seconds=timeout_seconds)


def _kora(settings: ProviderSettings) -> KoraApi | None:
    secret_key = _plain(settings.kora_pay_secret_key)
    if secret_key is None:
        return None
    return _kora_api(secret_key, settings.kora_pay_base_url, settings.payment_timeout_seconds)


def _kora_payments(settings: ProviderSettings) -> PaymentProvider | None:
    api = _kora(settings)
    if api is None:
        return None
    return KoraPayments(
        api,
        bank_charges=settings.kora_pay_bank_charges,
        bank_charges_in_cents=settings.kora_pay_bank_charges_in_cents,
    )


def _kora_payouts(settings: ProviderSettings) -> PayoutProvider | None:
    api = _kora(settings)
    return None if api is None else KoraPayouts(api)


@lru_cache(maxsize=8)
def _smtp(
    host: str,
    port: int,
    user: str | None,
    password: str | None,
    starttls: bool,
    ca_file: str | None,
    from_email: str,
) -> SmtpMail:
    return SmtpMail(
        host=host,
        port=port,
        user=user,
        password=password,
        starttls=starttls,
        ca_file=ca_file,
        from_email=from_email,
    )


_PAYMENTS: dict[str, Callable[[ProviderSettings], PaymentProvider | None]] = {
    "kora": _kora_payments,
}
_PAYOUTS: dict[str, Callable[[ProviderSettings], PayoutProvider | None]] = {
    "kora": _kora_payouts,
}

PAYMENT_GATEWAYS: tuple[str, ...] = tuple(_PAYMENTS)
"""All that are built in, configured or not."""


def _built(
    makers: Mapping[str, Callable[[ProviderSettings], Adapter | None]],
    name: str,
    settings: ProviderSettings,
) -> Adapter:
    maker = makers.get(name)
    if maker is None:
        raise Misconfigured("There is no provider of this name.", code="provider_unknown")
    adapter = maker(settings)
    if adapter is None:
        raise Misconfigured(f"The secret of {name} is not set.", code="provider_not_configured")
    return adapter


def _configured(
    makers: Mapping[str, Callable[[ProviderSettings], object | None]], settings: ProviderSettings
) -> tuple[str, ...]:
    return tuple(name for name, maker in makers.items() if maker(settings) is not None)
