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
from tests.contracts.profiles import ProviderValues

VALUES = ProviderValues(kora_pay_base_url="http://127.0.0.1:9")


def test_what_has_its_secret_is_listed_and_answers_to_its_name() -> None:
    assert registry.PAYMENT_GATEWAYS == ("kora",)
    assert registry.configured_payment_gateways(VALUES) == ("kora",)
    assert registry.configured_payout_gateways(VALUES) == ("kora",)
    assert registry.payment_provider("kora", VALUES).name == "kora"
    assert registry.payout_provider("kora", VALUES).name == "kora"
    assert registry.mail_provider(VALUES).name == "smtp"


@pytest.mark.parametrize("secret", [None, SecretStr(""), SecretStr("  ")])
def test_what_has_no_secret_is_absent(secret: SecretStr | None) -> None:
    values = dataclasses.replace(VALUES, kora_pay_secret_key=secret)
    assert registry.configured_payment_gateways(values) == ()
    assert registry.configured_payout_gateways(values) == ()
    with pytest.raises(Misconfigured) as failure:
        registry.payment_provider("kora", values)
    assert failure.value.code == "provider_not_configured"
    with pytest.raises(Misconfigured):
        registry.payout_provider("kora", values)


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


def test_a_message_is_recognised_by_its_marks() -> None:
    signed = WebhookRequest(raw=b"{}", headers={"X-Korapay-Signature": "00"})
    assert registry.recognise_gateway(signed, VALUES) == "kora"
    assert registry.recognise_gateway(WebhookRequest(raw=b"{}", headers={}), VALUES) is None
    without = dataclasses.replace(VALUES, kora_pay_secret_key=None)
    assert registry.recognise_gateway(signed, without) is None


def test_no_secret_shows_in_an_adapter() -> None:
    values = dataclasses.replace(VALUES, kora_pay_secret_key=SecretStr("sk_live_do_not_show"))
    assert "sk_live" not in repr(registry.payment_provider("kora", values))
    assert "sk_live" not in repr(values)


def as_provider_settings(settings: Settings) -> registry.ProviderSettings:
    """Fails the type check when the application's settings lack what the registry reads."""
    return settings


def test_the_application_settings_have_what_is_read() -> None:
    read = {name for name in dir(registry.ProviderSettings) if not name.startswith("_")}
    assert read <= set(Settings.model_fields)
