"""The sandbox as a process of its own, for tests that need no more of the stack than this."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[2]
KORA_SECRET_KEY = "sk_test_of_the_contract_suite"
MTN_API_USER = "c72025f5-5cd1-4630-99e4-8ba4722fad56"
MTN_API_KEY = "API key of the contract suite"
MTN_COLLECTION_KEY = "collection key of the contract suite"
MTN_DISBURSEMENT_KEY = "disbursement key of the contract suite"
ORANGE_CLIENT_ID = "client of the contract suite"
ORANGE_API_KEY = "client secret of the contract suite"
ORANGE_MERCHANT_KEY = "merchant key of the contract suite"
PAYGATE_ID = "10011072130"
PAYGATE_KEY = "secret of the contract suite"
PAYFAST_MERCHANT_ID = "10000100"
PAYFAST_MERCHANT_KEY = "46f0cd694581a"
PAYFAST_PASSPHRASE = "passphrase_of.the-suite"
ALIEXPRESS_API_KEY = "12345678"
ALIEXPRESS_API_SECRET = "AliExpress secret of the contract suite"
ALIBABA_API_KEY = "87654321"
ALIBABA_API_SECRET = "Alibaba secret of the contract suite"
OPEN_EXCHANGE_RATES_APP_ID = "app-id-of-the-contract-suite"
SMTP_USER = "relay"
SMTP_PASSWORD = "a password for the sink"
CREDENTIALS = {
    "KORA_PAY_SECRET_KEY": KORA_SECRET_KEY,
    "MTN_API_USER": MTN_API_USER,
    "MTN_API_KEY": MTN_API_KEY,
    "MTN_COLLECTION_KEY": MTN_COLLECTION_KEY,
    "MTN_DISBURSEMENT_KEY": MTN_DISBURSEMENT_KEY,
    "ORANGE_CLIENT_ID": ORANGE_CLIENT_ID,
    "ORANGE_API_KEY": ORANGE_API_KEY,
    "ORANGE_MERCHANT_KEY": ORANGE_MERCHANT_KEY,
    "PAYGATE_ID": PAYGATE_ID,
    "PAYGATE_KEY": PAYGATE_KEY,
    "PAYFAST_MERCHANT_ID": PAYFAST_MERCHANT_ID,
    "PAYFAST_MERCHANT_KEY": PAYFAST_MERCHANT_KEY,
    "PAYFAST_PASSPHRASE": PAYFAST_PASSPHRASE,
    "ALIEXPRESS_API_KEY": ALIEXPRESS_API_KEY,
    "ALIEXPRESS_API_SECRET": ALIEXPRESS_API_SECRET,
    "ALIBABA_API_KEY": ALIBABA_API_KEY,
    "ALIBABA_API_SECRET": ALIBABA_API_SECRET,
    "OPEN_EXCHANGE_RATES_APP_ID": OPEN_EXCHANGE_RATES_APP_ID,
    "SMTP_USER": SMTP_USER,
    "SMTP_PASSWORD": SMTP_PASSWORD,
}
"""What a sandbox cannot start without, by the environment's names."""
PATIENCE_SECONDS = 20.0


@dataclass
class RunningSandbox:
    """Where it listens, and its controls."""

    directory: Path
    port: int
    smtp_port: int
    step_seconds: float = 0.2
    """How long test numbers, refunds and payouts take to end by themselves."""
    public_url: str = "http://127.0.0.1:9"
    """Where the shop's edge listens: where webhooks go that were given no address."""
    process: subprocess.Popen[bytes] | None = None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    @property
    def url(self) -> str:
        """Of its HTTP side."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that its SMTP side shows; it is its own authority."""
        return self.directory / "cert.pem"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        environment = {
            **os.environ,
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_SMTP_PORT": str(self.smtp_port),
            "SANDBOX_URL": self.url,
            "SANDBOX_STATE_DIR": str(self.directory / "state"),
            "SANDBOX_TLS_CERT": str(self.ca_file),
            "SANDBOX_TLS_KEY": str(self.directory / "key.pem"),
            "SANDBOX_STEP_SECONDS": str(self.step_seconds),
            "PUBLIC_URL": self.public_url,
            **CREDENTIALS,
        }
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.sandbox"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.client.get(f"{self.url}/_sandbox/health").raise_for_status()
                return
            except httpx.HTTPError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = (self.directory / "log").read_text()[-2000:]
                    raise RuntimeError(f"the sandbox did not start: {said}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """End the process and wait for it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
            self.process = None

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)
            self.process = None

    def decide(self, gateway: str, reference: str, outcome: str, **more: Any) -> dict[str, Any]:
        """What the customer does at the gateway."""
        answer = self.client.post(
            f"{self.url}/_sandbox/payments/{gateway}/{reference}", json={"outcome": outcome, **more}
        )
        answer.raise_for_status()
        decided: dict[str, Any] = answer.json()
        return decided

    def post_form(self, url: str, fields: Sequence[tuple[str, str]]) -> httpx.Response:
        """What a browser does with an action of kind `form`; the page it comes to."""
        return self.client.post(
            url,
            content=urlencode(fields),
            headers={"content-type": "application/x-www-form-urlencoded"},
            follow_redirects=True,
        )

    def order_fault(self, provider: str, kind: str, times: int = 1, **more: Any) -> None:
        """A fault for the next calls."""
        order = {"provider": provider, "kind": kind, "times": times, **more}
        self.client.post(f"{self.url}/_sandbox/faults", json=order).raise_for_status()

    def clear_faults(self) -> None:
        """Forget the orders that were not used."""
        self.client.delete(f"{self.url}/_sandbox/faults").raise_for_status()

    def forget_tokens(self, provider: str) -> None:
        """The access tokens that a provider gave end at once."""
        self.client.put(
            f"{self.url}/_sandbox/dials/{provider}", json={"revoke_tokens": True}
        ).raise_for_status()

    def listed(self, what: str, **query: str) -> list[dict[str, Any]]:
        """`calls`, `mail`, `deliveries` or `faults`."""
        answer = self.client.get(f"{self.url}/_sandbox/{what}", params=query)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


@contextmanager
def running_sandbox(directory: Path, **told: Any) -> Iterator[RunningSandbox]:
    """A sandbox on free ports with its state in a directory of the test's own.

    `told`: `step_seconds` and `public_url`, where they are to be others.
    """
    _write_certificate(directory)
    sandbox = RunningSandbox(directory, free_port(), free_port(), **told)
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()
        sandbox.client.close()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_certificate(directory: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
