"""The one place that leads from a name to an adapter, and from settings to its plain values.

An adapter is built once a process for the same values, so that its connections are kept. A
provider without its secret is absent: it is not listed, and asking for it raises `Misconfigured`.

Adding a gateway: its folder, and one line in `_PAYMENTS` (or `_PAYOUTS`, `_SUPPLIERS`,
`rate_providers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol, TypeVar

from pydantic import SecretStr

from edge_workers.providers.alibaba import AlibabaSupplier
from edge_workers.providers.aliexpress import AliExpressSupplier
from edge_workers.providers.contracts.embeddings import EmbeddingProvider
from edge_workers.providers.contracts.mail import MailProvider
from edge_workers.providers.contracts.payments import PaymentProvider, WebhookRequest
from edge_workers.providers.contracts.payouts import PayoutProvider
from edge_workers.providers.contracts.rates import RateProvider
from edge_workers.providers.contracts.suppliers import (
    SupplierAuthority,
    SupplierLine,
    SupplierProvider,
    SupplierTokens,
)
from edge_workers.providers.ecb import EuropeanCentralBank
from edge_workers.providers.errors import Misconfigured
from edge_workers.providers.frankfurter import Frankfurter
from edge_workers.providers.kora import KoraApi, KoraPayments, KoraPayouts
from edge_workers.providers.mtn import MtnPayments, MtnPayouts, MtnProduct
from edge_workers.providers.open_platform import (
    MAX_ANSWER_BYTES,
    OpenPlatform,
    OpenPlatformAuthority,
)
from edge_workers.providers.openai import OpenaiEmbeddings
from edge_workers.providers.openexchangerates import OpenExchangeRates
from edge_workers.providers.orange import OrangeApi, OrangePayments
from edge_workers.providers.payfast import Account, PayfastApi, PayfastPayments, Source
from edge_workers.providers.paygate import PayGateApi, PayGatePayments
from edge_workers.providers.smtp import SmtpMail
from edge_workers.providers.transport import Transport

Adapter = TypeVar("Adapter")

EMBEDDING_SECONDS = 20.0
"""How long a batch of texts may take; a job waits for it, no request does."""


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
    def mtn_api_user(self) -> str | None: ...
    @property
    def mtn_api_key(self) -> SecretStr | None: ...
    @property
    def mtn_collection_key(self) -> SecretStr | None: ...
    @property
    def mtn_disbursement_key(self) -> SecretStr | None: ...
    @property
    def mtn_disbursement_api_user(self) -> str | None: ...
    @property
    def mtn_disbursement_api_key(self) -> SecretStr | None: ...
    @property
    def mtn_base_url(self) -> str: ...
    @property
    def mtn_target_environment(self) -> str: ...
    @property
    def mtn_currency(self) -> str: ...
    @property
    def mtn_refunds(self) -> bool: ...
    @property
    def orange_client_id(self) -> str | None: ...
    @property
    def orange_api_key(self) -> SecretStr | None: ...
    @property
    def orange_merchant_key(self) -> SecretStr | None: ...
    @property
    def orange_token_url(self) -> str: ...
    @property
    def orange_base_url(self) -> str: ...
    @property
    def orange_currency(self) -> str: ...
    @property
    def paygate_id(self) -> str | None: ...
    @property
    def paygate_key(self) -> SecretStr | None: ...
    @property
    def paygate_base_url(self) -> str: ...
    @property
    def paygate_vault(self) -> bool: ...
    @property
    def paygate_eft_detail(self) -> str: ...
    @property
    def paygate_approved_codes(self) -> tuple[str, ...]: ...
    @property
    def paygate_query_checksum(self) -> bool: ...
    @property
    def payfast_merchant_id(self) -> str | None: ...
    @property
    def payfast_merchant_key(self) -> SecretStr | None: ...
    @property
    def payfast_passphrase(self) -> SecretStr | None: ...
    @property
    def payfast_base_url(self) -> str: ...
    @property
    def payfast_api_base_url(self) -> str: ...
    @property
    def payfast_testing(self) -> bool: ...
    @property
    def payfast_source_hosts(self) -> tuple[str, ...]: ...
    @property
    def payfast_source_networks(self) -> tuple[str, ...]: ...
    @property
    def payfast_refunds(self) -> bool: ...
    @property
    def payfast_refunds_in_cents(self) -> bool: ...
    @property
    def payfast_tokens(self) -> bool: ...
    @property
    def alibaba_api_key(self) -> SecretStr | None: ...
    @property
    def alibaba_api_secret(self) -> SecretStr | None: ...
    @property
    def alibaba_base_url(self) -> str: ...
    @property
    def alibaba_consent_url(self) -> str: ...
    @property
    def aliexpress_api_key(self) -> SecretStr | None: ...
    @property
    def aliexpress_api_secret(self) -> SecretStr | None: ...
    @property
    def aliexpress_base_url(self) -> str: ...
    @property
    def supplier_timeout_seconds(self) -> float: ...
    @property
    def open_exchange_rates_app_id(self) -> SecretStr | None: ...
    @property
    def open_exchange_rates_base_url(self) -> str: ...
    @property
    def frankfurter_base_url(self) -> str: ...
    @property
    def ecb_base_url(self) -> str: ...
    @property
    def rate_timeout_seconds(self) -> float: ...
    @property
    def openai_api_key(self) -> SecretStr | None: ...
    @property
    def openai_base_url(self) -> str: ...
    @property
    def embeddings_model(self) -> str | None: ...
    @property
    def public_url(self) -> str: ...
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


def supplier_provider(
    name: str, settings: ProviderSettings, *, line: SupplierLine, tokens: SupplierTokens
) -> SupplierProvider:
    """The supplier platform of that name. `Misconfigured` when it is unknown or has no secret."""
    platform = _platform(name, settings, line)
    return _SUPPLIERS[name](platform, tokens)


def supplier_authority(
    name: str, settings: ProviderSettings, *, line: SupplierLine
) -> SupplierAuthority:
    """What gives that platform's tokens. `Misconfigured` as for the platform itself."""
    platform = _platform(name, settings, line)
    consent_url, extra = _consent_page(name, settings)
    return OpenPlatformAuthority(platform, consent_url=consent_url, consent_extra=extra)


def configured_suppliers(settings: ProviderSettings) -> tuple[str, ...]:
    """The supplier platforms that have their key and secret, by name."""
    return tuple(name for name in _SUPPLIERS if all(_app(name, settings)))


def rate_providers(settings: ProviderSettings) -> tuple[RateProvider, ...]:
    """The sources of exchange rates in the order they are asked: the paid one first."""
    app_id = _plain(settings.open_exchange_rates_app_id)
    paid = (
        (
            _open_exchange_rates(
                app_id, settings.open_exchange_rates_base_url, settings.rate_timeout_seconds
            ),
        )
        if app_id
        else ()
    )
    return (
        *paid,
        _frankfurter(settings.frankfurter_base_url, settings.rate_timeout_seconds),
        _ecb(settings.ecb_base_url, settings.rate_timeout_seconds),
    )


def embedding_provider(settings: ProviderSettings) -> EmbeddingProvider | None:
    """What turns texts into vectors; None without OPENAI_API_KEY or EMBEDDINGS_MODEL."""
    api_key = _plain(settings.openai_api_key)
    if api_key is None or not settings.embeddings_model:
        return None
    return _openai_embeddings(api_key, settings.openai_base_url, settings.embeddings_model)


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
def _openai_embeddings(api_key: str, base_url: str, model: str) -> OpenaiEmbeddings:
    return OpenaiEmbeddings(
        api_key=api_key, base_url=base_url, model=model, timeout_seconds=EMBEDDING_SECONDS
    )


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


@lru_cache(maxsize=16)
def _mtn_product(
    product: Literal["collection", "disbursement"],
    subscription_key: str,
    api_user: str,
    api_key: str,
    base_url: str,
    target_environment: str,
    currency: str,
    timeout_seconds: float,
) -> MtnProduct:
    return MtnProduct(
        product,
        subscription_key=subscription_key,
        api_user=api_user,
        api_key=api_key,
        base_url=base_url,
        target_environment=target_environment,
        currency=currency,
        timeout_seconds=timeout_seconds,
    )


def _mtn(
    product: Literal["collection", "disbursement"], settings: ProviderSettings
) -> MtnProduct | None:
    api_user, api_key = (settings.mtn_api_user or "").strip(), _plain(settings.mtn_api_key)
    subscription_key = _plain(settings.mtn_collection_key)
    if product == "disbursement":
        api_user = (settings.mtn_disbursement_api_user or "").strip() or api_user
        api_key = _plain(settings.mtn_disbursement_api_key) or api_key
        subscription_key = _plain(settings.mtn_disbursement_key)
    if not api_user or api_key is None or subscription_key is None:
        return None
    return _mtn_product(
        product,
        subscription_key,
        api_user,
        api_key,
        settings.mtn_base_url,
        settings.mtn_target_environment,
        settings.mtn_currency,
        settings.payment_timeout_seconds,
    )


def _mtn_payments(settings: ProviderSettings) -> PaymentProvider | None:
    collection = _mtn("collection", settings)
    if collection is None:
        return None
    return MtnPayments(collection, _mtn("disbursement", settings), refunds=settings.mtn_refunds)


def _mtn_payouts(settings: ProviderSettings) -> PayoutProvider | None:
    disbursement = _mtn("disbursement", settings)
    return None if disbursement is None else MtnPayouts(disbursement)


@lru_cache(maxsize=8)
def _orange_api(
    client_id: str,
    client_secret: str,
    merchant_key: str,
    token_url: str,
    base_url: str,
    currency: str,
    timeout_seconds: float,
) -> OrangeApi:
    return OrangeApi(
        client_id=client_id,
        client_secret=client_secret,
        merchant_key=merchant_key,
        token_url=token_url,
        base_url=base_url,
        currency=currency,
        timeout_seconds=timeout_seconds,
    )


def _orange_payments(settings: ProviderSettings) -> PaymentProvider | None:
    client_id = (settings.orange_client_id or "").strip()
    client_secret, merchant_key = (
        _plain(settings.orange_api_key),
        _plain(settings.orange_merchant_key),
    )
    if not client_id or client_secret is None or merchant_key is None:
        return None
    return OrangePayments(
        _orange_api(
            client_id,
            client_secret,
            merchant_key,
            settings.orange_token_url,
            settings.orange_base_url,
            settings.orange_currency,
            settings.payment_timeout_seconds,
        )
    )


@lru_cache(maxsize=8)
def _paygate_api(
    paygate_id: str, key: str, base_url: str, merchant_url: str, timeout_seconds: float
) -> PayGateApi:
    return PayGateApi(
        paygate_id=paygate_id,
        key=key,
        base_url=base_url,
        merchant_url=merchant_url,
        timeout_seconds=timeout_seconds,
    )


def _paygate_payments(settings: ProviderSettings) -> PaymentProvider | None:
    key = _plain(settings.paygate_key)
    if key is None or not settings.paygate_id:
        return None
    return PayGatePayments(
        _paygate_api(
            settings.paygate_id,
            key,
            settings.paygate_base_url,
            settings.public_url,
            settings.payment_timeout_seconds,
        ),
        has_vault=settings.paygate_vault,
        eft_detail=settings.paygate_eft_detail,
        approved_codes=settings.paygate_approved_codes,
        checks_answers=settings.paygate_query_checksum,
    )


@lru_cache(maxsize=8)
def _payfast_api(
    merchant_id: str,
    merchant_key: str,
    passphrase: str,
    base_url: str,
    api_base_url: str,
    is_testing: bool,
    timeout_seconds: float,
) -> PayfastApi:
    return PayfastApi(
        Account(merchant_id, merchant_key, passphrase),
        base_url=base_url,
        api_base_url=api_base_url,
        is_testing=is_testing,
        timeout_seconds=timeout_seconds,
    )


@lru_cache(maxsize=8)
def _payfast_source(networks: tuple[str, ...], hosts: tuple[str, ...]) -> Source:
    return Source(networks=networks, hosts=hosts)


def _payfast_payments(settings: ProviderSettings) -> PaymentProvider | None:
    merchant_id = (settings.payfast_merchant_id or "").strip()
    merchant_key, passphrase = (
        _plain(settings.payfast_merchant_key),
        _plain(settings.payfast_passphrase),
    )
    if not merchant_id or merchant_key is None or passphrase is None:
        return None
    return PayfastPayments(
        _payfast_api(
            merchant_id,
            merchant_key,
            passphrase,
            settings.payfast_base_url,
            settings.payfast_api_base_url,
            settings.payfast_testing,
            settings.payment_timeout_seconds,
        ),
        _payfast_source(settings.payfast_source_networks, settings.payfast_source_hosts),
        refunds=settings.payfast_refunds,
        refunds_in_cents=settings.payfast_refunds_in_cents,
        tokens=settings.payfast_tokens,
    )


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


@lru_cache(maxsize=8)
def _supplier_transport(name: str, base_url: str, timeout_seconds: float) -> Transport:
    return Transport(
        provider=name,
        base_url=base_url,
        timeout_seconds=timeout_seconds,
        max_answer_bytes=MAX_ANSWER_BYTES,
    )


def _app(name: str, settings: ProviderSettings) -> tuple[str | None, str | None]:
    """Key and secret of the app at a supplier platform."""
    if name == AlibabaSupplier.name:
        return _plain(settings.alibaba_api_key), _plain(settings.alibaba_api_secret)
    return _plain(settings.aliexpress_api_key), _plain(settings.aliexpress_api_secret)


def _platform(name: str, settings: ProviderSettings, line: SupplierLine) -> OpenPlatform:
    if name not in _SUPPLIERS:
        raise Misconfigured("There is no supplier of this name.", code="provider_unknown")
    app_key, app_secret = _app(name, settings)
    if app_key is None or app_secret is None:
        raise Misconfigured(
            f"The key or secret of {name} is not set.", code="provider_not_configured"
        )
    is_wholesale = name == AlibabaSupplier.name
    return OpenPlatform(
        provider=name,
        app_key=app_key,
        app_secret=app_secret,
        transport=_supplier_transport(
            name,
            settings.alibaba_base_url if is_wholesale else settings.aliexpress_base_url,
            settings.supplier_timeout_seconds,
        ),
        line=line,
        now=lambda: datetime.now(UTC),
    )


def _consent_page(name: str, settings: ProviderSettings) -> tuple[str, str]:
    """Its address, and what it wants in the query beside the usual."""
    if name == AlibabaSupplier.name:
        return settings.alibaba_consent_url, "&sp=ICBU&view=web"
    return f"{settings.aliexpress_base_url}/oauth/authorize", "&force_auth=true"


@lru_cache(maxsize=4)
def _open_exchange_rates(app_id: str, base_url: str, timeout_seconds: float) -> OpenExchangeRates:
    return OpenExchangeRates(app_id=app_id, base_url=base_url, timeout_seconds=timeout_seconds)


@lru_cache(maxsize=4)
def _frankfurter(base_url: str, timeout_seconds: float) -> Frankfurter:
    return Frankfurter(base_url=base_url, timeout_seconds=timeout_seconds)


@lru_cache(maxsize=4)
def _ecb(base_url: str, timeout_seconds: float) -> EuropeanCentralBank:
    return EuropeanCentralBank(base_url=base_url, timeout_seconds=timeout_seconds)


_SUPPLIERS: dict[str, Callable[[OpenPlatform, SupplierTokens], SupplierProvider]] = {
    "aliexpress": AliExpressSupplier,
    "alibaba": AlibabaSupplier,
}
_PAYMENTS: dict[str, Callable[[ProviderSettings], PaymentProvider | None]] = {
    "kora": _kora_payments,
    "mtn": _mtn_payments,
    "orange": _orange_payments,
    "paygate": _paygate_payments,
    "payfast": _payfast_payments,
}
_PAYOUTS: dict[str, Callable[[ProviderSettings], PayoutProvider | None]] = {
    "kora": _kora_payouts,
    "mtn": _mtn_payouts,
}

PAYMENT_GATEWAYS: tuple[str, ...] = tuple(_PAYMENTS)
"""All that are built in, configured or not."""
SUPPLIERS: tuple[str, ...] = tuple(_SUPPLIERS)
"""All supplier platforms that are built in, configured or not."""


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
