"""What the sandbox is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class MissingSetting(Exception):
    """A variable that the sandbox cannot do without is not set."""


@dataclass(frozen=True)
class Settings:
    """One frozen value, read once at the start."""

    port: int
    url: str
    """Where browsers and adapters reach the sandbox."""
    public_url: str
    """Where the shop's edge listens: the default target of webhooks."""
    state_dir: Path
    smtp_port: int
    smtp_user: str
    smtp_password: str
    tls_cert: Path
    tls_key: Path
    kora_secret_key: str
    mtn_api_user: str
    mtn_api_key: str
    mtn_collection_key: str
    mtn_disbursement_key: str
    mtn_target_environment: str
    mtn_currency: str
    orange_client_id: str
    orange_client_secret: str
    orange_merchant_key: str
    orange_currency: str
    """XAF: the merchant key is good in the environment `cm`; OUV: in `dev`."""
    paygate_id: str
    paygate_key: str
    payfast_merchant_id: str
    payfast_merchant_key: str
    payfast_passphrase: str
    aliexpress_api_key: str
    aliexpress_api_secret: str
    alibaba_api_key: str
    alibaba_api_secret: str
    open_exchange_rates_app_id: str
    step_seconds: float
    """How long a test number or payout takes to decide by itself."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment; raises `MissingSetting` with the name of what is missing."""

    def wanted(name: str) -> str:
        value = environment.get(name, "").strip()
        if not value:
            raise MissingSetting(f"{name} is not set")
        return value

    port = int(environment.get("SANDBOX_PORT") or 54390)
    url = (environment.get("SANDBOX_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    return Settings(
        port=port,
        url=url,
        public_url=(environment.get("PUBLIC_URL") or "http://127.0.0.1:3000").rstrip("/"),
        state_dir=Path(wanted("SANDBOX_STATE_DIR")),
        smtp_port=int(environment.get("SANDBOX_SMTP_PORT") or 54325),
        smtp_user=wanted("SMTP_USER"),
        smtp_password=wanted("SMTP_PASSWORD"),
        tls_cert=Path(wanted("SANDBOX_TLS_CERT")),
        tls_key=Path(wanted("SANDBOX_TLS_KEY")),
        kora_secret_key=wanted("KORA_PAY_SECRET_KEY"),
        mtn_api_user=wanted("MTN_API_USER"),
        mtn_api_key=wanted("MTN_API_KEY"),
        mtn_collection_key=wanted("MTN_COLLECTION_KEY"),
        mtn_disbursement_key=wanted("MTN_DISBURSEMENT_KEY"),
        mtn_target_environment=environment.get("MTN_TARGET_ENVIRONMENT") or "mtncameroon",
        mtn_currency=environment.get("MTN_CURRENCY") or "XAF",
        orange_client_id=wanted("ORANGE_CLIENT_ID"),
        orange_client_secret=wanted("ORANGE_API_KEY"),
        orange_merchant_key=wanted("ORANGE_MERCHANT_KEY"),
        orange_currency=environment.get("ORANGE_CURRENCY") or "XAF",
        paygate_id=wanted("PAYGATE_ID"),
        paygate_key=wanted("PAYGATE_KEY"),
        payfast_merchant_id=wanted("PAYFAST_MERCHANT_ID"),
        payfast_merchant_key=wanted("PAYFAST_MERCHANT_KEY"),
        payfast_passphrase=wanted("PAYFAST_PASSPHRASE"),
        aliexpress_api_key=wanted("ALIEXPRESS_API_KEY"),
        aliexpress_api_secret=wanted("ALIEXPRESS_API_SECRET"),
        alibaba_api_key=wanted("ALIBABA_API_KEY"),
        alibaba_api_secret=wanted("ALIBABA_API_SECRET"),
        open_exchange_rates_app_id=wanted("OPEN_EXCHANGE_RATES_APP_ID"),
        step_seconds=float(environment.get("SANDBOX_STEP_SECONDS") or 1.0),
    )
