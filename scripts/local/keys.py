"""Secrets of one installation, made at its first start and kept readable by its owner alone."""

import datetime as dt
import fcntl
import ipaddress
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scripts.local.settings import ROOT, Stack

TEN_YEARS = 10 * 365 * 86400  # seconds
KEYS_FILE = ROOT / ".local" / "keys.json"


@dataclass(frozen=True)
class Keys:
    """Passwords of the database's login roles, the JWT secret and the sandbox's credentials."""

    jwt_secret: str
    supabase_admin: str
    postgres: str
    authenticator: str
    supabase_auth_admin: str
    mallgram_service: str
    smtp_password: str
    kora_pay_secret_key: str
    mtn_api_key: str
    mtn_collection_key: str
    mtn_disbursement_key: str
    orange_api_key: str
    orange_merchant_key: str
    paygate_key: str
    payfast_merchant_key: str
    payfast_passphrase: str
    aliexpress_api_secret: str
    alibaba_api_secret: str
    open_exchange_rates_app_id: str


def load_keys() -> Keys:
    """The installation's keys; missing ones are made, so a newer version finds its own."""
    KEYS_FILE.parent.mkdir(exist_ok=True)
    # Two stacks may be started for the first time at once: they must agree.
    with KEYS_FILE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, str] = {}
        if KEYS_FILE.exists():
            known = json.loads(KEYS_FILE.read_text(encoding="utf-8"))
        made = {field.name: known.get(field.name) or new_key(field.name) for field in fields(Keys)}
        if made != known:
            write_private(KEYS_FILE, json.dumps(made, indent=2))
        return Keys(**made)


def new_key(name: str) -> str:
    """A random secret of 240 bits; a gateway's key looks like its own test keys."""
    prefix = "sk_test_" if name == "kora_pay_secret_key" else ""
    # Supabase's auth server calls a secret weak unless three kinds of characters are in it.
    return f"{prefix}Mg1{secrets.token_urlsafe(30).replace('-', 'x').replace('_', 'y')}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def api_key(keys: Keys, role: str) -> str:
    """A classic Supabase key: an HS256 token whose only claim that matters is the role.

    The issue time is that of the keys file, so that the key is the same at every start.
    """
    issued = int(KEYS_FILE.stat().st_mtime) if KEYS_FILE.exists() else int(time.time())
    claims: Mapping[str, object] = {
        "iss": "supabase",
        "ref": "local",
        "role": role,
        "iat": issued,
        "exp": issued + TEN_YEARS,
    }
    return jwt.encode(dict(claims), keys.jwt_secret, algorithm="HS256")


def make_certificates(stack: Stack) -> None:
    """A certificate for 127.0.0.1 and the authority that signed it, unless they are still good."""
    authority, certificate, key = (
        stack.tls_dir / name for name in ("authority.pem", "certificate.pem", "key.pem")
    )
    now = dt.datetime.now(dt.UTC)
    if authority.exists() and certificate.exists() and key.exists():
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        if known.not_valid_after_utc > now + dt.timedelta(days=30):
            return
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mallgram local")])
    server_key = ec.generate_private_key(ec.SECP256R1())
    until = now + dt.timedelta(days=825)

    def builder(
        subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(until)
        )

    authority_certificate = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server_certificate = (
        builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
            server_key.public_key(),
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_private(authority, authority_certificate.public_bytes(pem).decode())
    write_private(certificate, server_certificate.public_bytes(pem).decode())
    write_private(
        key,
        server_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
