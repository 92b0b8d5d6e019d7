"""Sending a message to a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Email:
    """One message to one person, already written in their language."""

    message_id: str
    """`<unique@domain>`, given by the caller so that a repeat is recognised as the same message."""
    recipient: str
    subject: str
    text: str
    html: str | None = None
    recipient_name: str | None = None
    language: str | None = None
    """`en` or `fr`, written to Content-Language."""


class MailProvider(Protocol):
    """Something that takes messages. Raises only what `providers.errors` names."""

    @property
    def name(self) -> str:
        """For logs."""

    def send(self, email: Email) -> None:
        """Hand the message over.

        `Rejected`: this message or address will never be taken. `Unavailable`: later, and with
        outcome `unknown` it may have been taken already.
        """
