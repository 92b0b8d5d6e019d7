"""What the suite needs to use a supplier platform without a database: a line and a token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from edge_workers.providers import registry
from edge_workers.providers.contracts.suppliers import (
    SupplierAuthority,
    SupplierProvider,
    SupplierToken,
)
from tests.contracts.profiles import ProviderValues

Reply = TypeVar("Reply")


class OpenLine:
    """A line without a queue, which remembers for how long it was told to rest."""

    def __init__(self) -> None:
        self.rests: list[int | None] = []

    def send(self, call: Callable[[], Reply]) -> Reply:
        """At once."""
        return call()

    def rest(self, seconds: int | None) -> None:
        """Noted."""
        self.rests.append(seconds)

    def go_on(self) -> None:
        """Nothing to forget."""


class KeptToken:
    """A token of the standing consent, renewed by its refresh token."""

    def __init__(self, authority: SupplierAuthority) -> None:
        self._authority = authority
        self.token = authority.create_token("sandbox-consent", datetime.now(UTC))
        self.renewals = 0

    def value(self) -> str:
        """The present one."""
        return self.token.access_token

    def renewed(self, refused: str) -> str:
        """The next one."""
        assert refused == self.token.access_token
        assert self.token.refresh_token is not None
        now = datetime.now(UTC)
        self.token = self._authority.refresh_token(self.token.refresh_token, now)
        self.renewals += 1
        return self.token.access_token


class Connection:
    """A supplier platform of the sandbox, and what was used to reach it."""

    def __init__(self, name: str, values: ProviderValues) -> None:
        self.name = name
        self.line = OpenLine()
        self.authority = registry.supplier_authority(name, values, line=self.line)
        self.tokens = KeptToken(self.authority)
        self.supplier: SupplierProvider = registry.supplier_provider(
            name, values, line=self.line, tokens=self.tokens
        )

    def refreshed(self, token: SupplierToken) -> SupplierToken:
        """The next token of that one."""
        assert token.refresh_token is not None
        return self.authority.refresh_token(token.refresh_token, datetime.now(UTC))
