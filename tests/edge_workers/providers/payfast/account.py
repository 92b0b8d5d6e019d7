"""An account whose two servers are one peer that says what a test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from edge_workers.providers.payfast import Account, PayfastApi, PayfastPayments, Source
from tests.contracts.peer import Heard, Peer, Said, peer

PASSPHRASE = "jt7NOE43FZPn"
REFERENCE = "mg-0123456789abcdef01234567"
NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
HEADINGS = (
    '"Date","Type","Sign","Party","Name","Description","Currency","Funding Type","Gross","Fee",'
    '"Net","Balance","M Payment ID","PF Payment ID","custom str1","custom int1"'
)


@dataclass(frozen=True)
class Desk:
    """The adapter, and what its peer heard."""

    payments: PayfastPayments
    gateway: Peer

    @property
    def asked(self) -> list[str]:
        """Methods and paths, in order."""
        return [f"{heard.method} {heard.path}" for heard in self.gateway.heard]


@contextmanager
def answering(*answers: Said, now: datetime = NOW, **options: bool) -> Iterator[Desk]:
    """An adapter whose peer gives these answers."""
    with peer(*answers) as gateway:
        api = PayfastApi(
            Account("10000100", "46f0cd694581a", PASSPHRASE),
            base_url=gateway.url,
            api_base_url=gateway.url,
            is_testing=options.pop("is_testing", False),
            timeout_seconds=5.0,
            clock=lambda: now,
        )
        source = Source(networks=("127.0.0.1",), hosts=())
        yield Desk(PayfastPayments(api, source, **options), gateway)


def as_json(value: Any, status: int = 200) -> Said:
    """An answer in JSON."""
    return Said(status, json.dumps(value).encode(), {"content-type": "application/json"})


def enveloped(response: Any, message: str = "Success", **more: Any) -> Said:
    """An answer in the API's envelope."""
    data = {"response": response, "message": message, **more}
    return as_json({"code": 200, "status": "success", "data": data})


def refused(status: int, message: str = "Failure", response: Any = False) -> Said:
    """The API's no."""
    data = {"response": response, "message": message}
    return as_json({"code": status, "status": "failed", "data": data}, status)


def table(*rows: str) -> Said:
    """A history as CSV."""
    text = "\n".join((HEADINGS, *rows)) + "\n"
    return Said(200, text.encode(), {"content-type": "text/csv"})


def row(
    reference: str = REFERENCE,
    transaction: str = "994209",
    gross: str = "199.90",
    fee: str = "-9.66",
    kind: str = "FUNDS_RECEIVED",
    sign: str = "CREDIT",
    currency: str = "ZAR",
) -> str:
    """A line of it, with the trailing commas and the comma in the balance that it really has."""
    return (
        f'"2026-01-15 10:31:00",{kind},{sign},"Test User 01",test,,{currency},CC,'
        f'"{gross}",{fee},190.24,"22,574.02",{reference},{transaction},,, '
    )


def query_of(heard: Heard) -> dict[str, str]:
    """The query of a request."""
    return dict(parse_qsl(urlsplit(heard.path).query, keep_blank_values=True))


def body_of(heard: Heard) -> dict[str, str]:
    """The form of a request."""
    return dict(parse_qsl(heard.raw.decode(), keep_blank_values=True))
