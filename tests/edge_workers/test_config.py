"""Settings: read once, checked, frozen, and silent about secrets."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_workers.config import Settings, load_settings
from tests.edge_workers.conftest import offline_settings

ROOT = Path(__file__).resolve().parents[2]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:5/x",
        "SUPABASE_URL": "http://127.0.0.1:1/",
        "SUPABASE_ANON_KEY": "anon",
        "PUBLIC_URL": "https://api.example.com",
        "FRONTEND_URL": "https://example.com",
        "CORS_ORIGINS": "https://example.com, https://m.example.com",
        "KORA_PAY_SECRET_KEY": "",
        "PORT": "3100",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.port == 3100
    assert settings.supabase_url == "http://127.0.0.1:1"
    assert settings.cors_origins == ("https://example.com", "https://m.example.com")
    assert settings.kora_pay_secret_key is None
    assert settings.session_url == "postgresql://u:p@127.0.0.1:5/x"


def test_a_session_url_of_its_own_is_used_for_listening() -> None:
    settings = offline_settings(database_session_url="postgresql://session")
    assert settings.session_url == "postgresql://session"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        offline_settings().port = 1


def test_secrets_do_not_show() -> None:
    settings = offline_settings(openai_api_key="sk-very-secret", redis_url="redis://:pw@h/0")
    text = f"{settings!r} {settings}"
    for secret in ("sk-very-secret", "the-anon-key", "secret@127", "pw@h", "sk_test_of"):
        assert secret not in text


def test_a_refused_setting_is_named_without_its_value() -> None:
    with pytest.raises(ValidationError) as refused:
        offline_settings(public_url="https://user:hunter2@example.com", port="none")
    assert "public_url" in str(refused.value)
    assert "port" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(ValidationError) as refused:
        load_settings()
    missing = {str(entry["loc"][0]) for entry in refused.value.errors()}
    assert missing == {
        "database_url",
        "frontend_url",
        "public_url",
        "supabase_anon_key",
        "supabase_url",
    }


@pytest.mark.parametrize(
    "origins", ["*", "example.com", "https://example.com/", "https://example.com/app", "null"]
)
def test_an_origin_is_scheme_and_host_and_nothing_more(origins: str) -> None:
    with pytest.raises(ValidationError):
        offline_settings(cors_origins=origins)


def test_senders_of_notices_are_lists_of_real_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    # the local stack names its own sandbox's
    monkeypatch.delenv("PAYFAST_SOURCE_NETWORKS", raising=False)
    settings = offline_settings(
        payfast_source_hosts="www.payfast.co.za, w1w.payfast.co.za",
        payfast_source_networks="197.97.145.144/28,144.126.193.139",
    )
    assert settings.payfast_source_hosts == ("www.payfast.co.za", "w1w.payfast.co.za")
    assert settings.payfast_source_networks == ("197.97.145.144/28", "144.126.193.139")
    assert offline_settings().payfast_source_networks == ()
    with pytest.raises(ValidationError):
        offline_settings(payfast_source_networks="197.97.145.144/40")


def test_env_example_lists_every_setting() -> None:
    listed = {
        line.lstrip("# ").partition("=")[0]
        for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
        if "=" in line
    }
    assert {name.upper() for name in Settings.model_fields} <= listed
