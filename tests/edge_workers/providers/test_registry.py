"""A provider is there when its secret is, and asked for by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import SecretStr

from edge_workers.config import Settings
from edge_workers.providers import registry
from edge_workers.providers.contracts.payments import WebhookRequest
from edge_workers.providers.errors import Misconfigured
from edge_workers.providers.orange import OrangePayments
from tests.contracts.profiles import ProviderValues

VALUES = ProviderValues()
WANTED = [
    ("kora", "kora_pay_secret_key"),
    ("mtn", "mtn_api_user"),
    ("mtn", "mtn_api_key"),
    ("mtn", "mtn_collection_key"),
    ("orange", "orange_client_id"),
    ("orange", "orange_api_key"),
    ("orange", "orange_merchant_key"),
    ("payfast", "payfast_merchant_id"),
    ("payfast", "payfast_merchant_key"),
    ("payfast", "payfast_passphrase"),
]
"""What a gateway cannot do without."""


def test_what_has_its_secret_is_listed_and_answers_to_its_name() -> None:
    assert registry.configured_payment_gateways(VALUES) == registry.PAYMENT_GATEWAYS
    for name in registry.PAYMENT_GATEWAYS:
        assert registry.payment_provider(name, VALUES).name == name
    assert "kora" in registry.configured_payout_gateways(VALUES)
    for name in registry.configured_payout_gateways(VALUES):
        assert registry.payout_provider(name, VALUES).name == name
    assert registry.mail_provider(VALUES).name == "smtp"


@pytest.mark.parametrize(("gateway", "setting"), WANTED)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_gateway_without_one_of_its_settings_is_absent(
    gateway: str, setting: str, value: str | None
) -> None:
    is_secret = isinstance(getattr(VALUES, setting), SecretStr)
    missing: dict[str, Any] = {
        setting: SecretStr(value) if is_secret and value is not None else value
    }
    values = dataclasses.replace(VALUES, **missing)
    others = [name for name in registry.PAYMENT_GATEWAYS if name != gateway]
    assert registry.configured_payment_gateways(values) == tuple(others)
    with pytest.raises(Misconfigured) as failure:
        registry.payment_provider(gateway, values)
    assert failure.value.code == "provider_not_configured"


@pytest.mark.parametrize("secret", [None, SecretStr(""), SecretStr("  ")])
def test_a_payout_rail_without_its_secret_is_absent(secret: SecretStr | None) -> None:
    values = dataclasses.replace(VALUES, kora_pay_secret_key=secret)
    assert "kora" not in registry.configured_payout_gateways(values)
    with pytest.raises(Misconfigured) as failure:
        registry.payout_provider("kora", values)
    assert failure.value.code == "provider_not_configured"


@pytest.mark.parametrize("setting", ["mtn_api_user", "mtn_api_key", "mtn_disbursement_key"])
def test_disbursements_have_keys_of_their_own(setting: str) -> None:
    missing: dict[str, Any] = {setting: None}
    values = dataclasses.replace(VALUES, **missing)
    assert "mtn" not in registry.configured_payout_gateways(values)
    collects = "mtn" in registry.configured_payment_gateways(values)
    assert collects is (setting == "mtn_disbursement_key")
    own = dataclasses.replace(
        values,
        mtn_disbursement_api_user="another",
        mtn_disbursement_api_key=SecretStr("another"),
        mtn_disbursement_key=SecretStr("another"),
    )
    assert "mtn" in registry.configured_payout_gateways(own)


@pytest.mark.parametrize("name", ["", "paypal", "KORA", "../kora"])
def test_a_name_that_nobody_has_is_unknown(name: str) -> None:
    with pytest.raises(Misconfigured) as failure:
        registry.payment_provider(name, VALUES)
    assert failure.value.code == "provider_unknown"


@pytest.mark.parametrize("missing", ["smtp_host", "from_email"])
def test_mail_needs_a_host_and_a_sender(missing: str) -> None:
    changes: dict[str, Any] = {missing: None}
    values = dataclasses.replace(VALUES, **changes)
    with pytest.raises(Misconfigured) as failure:
        registry.mail_provider(values)
    assert failure.value.code == "mail_not_configured"


def test_the_same_settings_share_their_connections() -> None:
    assert registry._kora(VALUES) is registry._kora(dataclasses.replace(VALUES))
    other = dataclasses.replace(VALUES, kora_pay_secret_key=SecretStr("sk_test_other"))
    assert registry._kora(VALUES) is not registry._kora(other)


def test_an_access_token_is_kept_with_the_connections() -> None:
    one, again = (registry.payment_provider("orange", VALUES) for _ in range(2))
    assert isinstance(one, OrangePayments)
    assert isinstance(again, OrangePayments)
    assert one._api is again._api


def test_a_message_is_recognised_by_its_marks() -> None:
    signed = WebhookRequest(raw=b"{}", headers={"X-Korapay-Signature": "00"})
    assert registry.recognise_gateway(signed, VALUES) == "kora"
    told = WebhookRequest(raw=b'{"notif_token":"0123456789abcdef"}', headers={})
    assert registry.recognise_gateway(told, VALUES) == "orange"
    both = WebhookRequest(raw=told.raw, headers=signed.headers)
    assert registry.recognise_gateway(both, VALUES) is None
    assert registry.recognise_gateway(WebhookRequest(raw=b"{}", headers={}), VALUES) is None
    callback = b'{"externalId":"mg-1","status":"FAILED","payer":{"partyIdType":"MSISDN"}}'
    called_back = WebhookRequest(raw=callback, headers={})
    assert registry.recognise_gateway(called_back, VALUES) == "mtn"
    without = dataclasses.replace(VALUES, kora_pay_secret_key=None)
    assert registry.recognise_gateway(signed, without) is None


def test_no_secret_shows_in_an_adapter() -> None:
    secret = SecretStr("sk_live_do_not_show")
    values = dataclasses.replace(
        VALUES,
        kora_pay_secret_key=secret,
        mtn_api_key=secret,
        mtn_collection_key=secret,
        mtn_disbursement_key=secret,
        orange_api_key=secret,
        orange_merchant_key=secret,
    )
    for name in registry.PAYMENT_GATEWAYS:
        assert "sk_live" not in repr(registry.payment_provider(name, values))
    assert "sk_live" not in repr(values)


def as_provider_settings(settings: Settings) -> registry.ProviderSettings:
    """Fails the type check when the application's settings lack what the registry reads."""
    return settings


def test_the_application_settings_have_what_is_read() -> None:
    read = {name for name in dir(registry.ProviderSettings) if not name.startswith("_")}
    assert read <= set(Settings.model_fields)
