"""The truth over there: what the sandbox's gateways have, read from their own journal.

The tests compare it with what the adapters told the shop and with what stands in the books.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.sandbox.running import RunningSandbox

Thing = dict[str, Any]


@dataclass(frozen=True)
class Collected:
    """Money that a gateway took from a payer."""

    gateway: str
    reference: str
    transaction_id: str | None
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Returned:
    """Money that a gateway gave back, or is about to."""

    gateway: str
    name: str
    """Our reference of the refund; PayFast's transaction, as it has none."""
    amount: Decimal
    status: str
    """open, done or failed."""


@dataclass
class Rail:
    """All gateways. The journal is appended to, and read on from where it was read before."""

    journal: Path
    _things: dict[str, dict[str, Thing]] = field(default_factory=dict)
    _read_up_to: int = 0

    @classmethod
    def of(cls, sandbox: RunningSandbox) -> Rail:
        """The gateways of a sandbox."""
        return cls(sandbox.directory / "state" / "journal.jsonl")

    def has(self, gateway: str, reference: str) -> bool:
        """Whether the gateway knows an attempt of ours: then it can be paid there."""
        kind, name = _PAGE.get(gateway, (_ATTEMPTS[gateway], _REFERENCE[gateway]))
        return any(one[name] == reference for one in self._all(kind))

    def is_open(self, gateway: str, reference: str) -> bool:
        """Whether nothing became of it yet."""
        return not any(self._collected(gateway, one) for one in self._attempts(gateway, reference))

    def collected(self, gateway: str, reference: str) -> list[Collected]:
        """The money of an attempt: several where one form was paid more than once."""
        found = (self._collected(gateway, one) for one in self._attempts(gateway, reference))
        return [one for one in found if one is not None]

    def all_collected(self, gateway: str) -> list[Collected]:
        """All the money that the gateway took, oldest first."""
        found = (self._collected(gateway, one) for one in self._all(_ATTEMPTS[gateway]))
        return [one for one in found if one is not None]

    def returned(self, gateway: str) -> list[Returned]:
        """All refunds and transfers of the gateway."""
        return [
            Returned(
                gateway,
                str(one[name]),
                Decimal(str(one["amount"])),
                _standing(kind, one),
            )
            for kind, name in _RETURNS.get(gateway, {}).items()
            for one in self._all(kind)
        ]

    def _attempts(self, gateway: str, reference: str) -> Iterator[Thing]:
        name = _REFERENCE[gateway]
        return (one for one in self._all(_ATTEMPTS[gateway]) if one[name] == reference)

    def _collected(self, gateway: str, one: Thing) -> Collected | None:
        if not _is_paid(gateway, one):
            return None
        amount = Decimal(one[_AMOUNT[gateway]])
        return Collected(
            gateway,
            one[_REFERENCE[gateway]],
            one.get(_TRANSACTION[gateway]) or None,
            amount / 100 if gateway == "paygate" else amount,
            one.get(_CURRENCY[gateway], "ZAR"),
        )

    def _all(self, kind: str) -> list[Thing]:
        self._read_on()
        return list(self._things.get(kind, {}).values())

    def _read_on(self) -> None:
        with self.journal.open("rb") as file:
            file.seek(self._read_up_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_up_to += len(line)
                entry = json.loads(line)
                self._things.setdefault(entry["kind"], {})[entry["id"]] = entry["value"]


_ATTEMPTS = {
    "kora": "kora.charge",
    "mtn": "mtn.requesttopay",
    "orange": "orange.payment",
    "paygate": "paygate.request",
    "payfast": "payfast.transaction",
}
_PAGE = {"payfast": ("payfast.checkout", "reference")}
"""Where an attempt is one before any money moved, if that is elsewhere."""
_REFERENCE = {
    "kora": "reference",
    "mtn": "external_id",
    "orange": "order_id",
    "paygate": "REFERENCE",
    "payfast": "reference",
}
_AMOUNT = {
    "kora": "collected",
    "mtn": "amount",
    "orange": "amount",
    "paygate": "AMOUNT",
    "payfast": "gross",
}
_CURRENCY = {
    "kora": "collected_currency",
    "mtn": "currency",
    "orange": "currency",
    "paygate": "CURRENCY",
    "payfast": "currency",
}
_TRANSACTION = {
    "kora": "kora_reference",
    "mtn": "transaction_id",
    "orange": "txnid",
    "paygate": "TRANSACTION_ID",
    "payfast": "id",
}
_RETURNS = {
    "kora": {"kora.refund": "reference", "kora.payout": "reference"},
    "mtn": {"mtn.refund": "external_id", "mtn.transfer": "external_id"},
    "payfast": {"payfast.refund": "transaction"},
}


def _is_paid(gateway: str, one: Thing) -> bool:
    if gateway == "paygate":
        return bool(one["TRANSACTION_STATUS"] == "1")
    return str(one["status"]) in ("success", "SUCCESSFUL", "SUCCESS", "COMPLETE")


def _standing(kind: str, one: Thing) -> str:
    if kind == "payfast.refund":
        return "done" if one["shows_at"] == 0 else "open"
    status = str(one["status"]).lower()
    return {"success": "done", "successful": "done", "failed": "failed"}.get(status, "open")
