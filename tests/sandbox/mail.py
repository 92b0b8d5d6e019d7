"""The mail sink: SMTP with STARTTLS and AUTH, as a relay would have it; what comes is kept.

Recipients whose address begins with `bounce` are refused (550). Faults of provider `smtp`:
`error` (451), `rate_limit` (450), `slow`, `timeout` (takes the message, never answers) and
`malformed` (an answer that is no SMTP).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import uuid
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.sandbox.faults import Faults
from tests.sandbox.journal import Journal
from tests.sandbox.settings import Settings

KIND = "mail"

_log = logging.getLogger("sandbox.mail")


class MailSink:
    """Listens on the SMTP port until it is stopped."""

    def __init__(self, settings: Settings, journal: Journal, faults: Faults) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        self._journal = journal
        self._controller = Controller(
            _Handler(journal, faults),
            hostname="127.0.0.1",
            port=settings.smtp_port,
            server_hostname="sandbox.localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=_authenticator(settings.smtp_user, settings.smtp_password),
        )

    def start(self) -> None:
        """Bind and listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()

    def received(self, recipient: str | None = None) -> list[dict[str, Any]]:
        """Messages, newest first; only those to one address when it is given."""
        wanted = recipient.lower() if recipient else None
        return [
            {key: value for key, value in mail.items() if key != "recipients"}
            for mail in reversed(self._journal.all(KIND))
            if wanted is None or wanted in mail["recipients"]
        ]

    def message(self, id_: str) -> dict[str, Any] | None:
        """One message."""
        return self._journal.get(KIND, id_)


def _authenticator(user: str, password: str) -> Any:
    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any
    ) -> AuthResult:
        is_right = (
            isinstance(login, LoginPassword)
            and hmac.compare_digest(login.login, user.encode())
            and hmac.compare_digest(login.password, password.encode())
        )
        return AuthResult(success=is_right, handled=is_right)

    return check


class _Handler:
    """aiosmtpd's hooks; their names are its own."""

    def __init__(self, journal: Journal, faults: Faults) -> None:
        self._journal = journal
        self._faults = faults

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.lower().startswith("bounce"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        fault = self._faults.take_for_call("smtp", "send")
        if fault is not None and fault.kind in ("error", "rate_limit", "malformed"):
            return {
                "error": "451 4.3.0 Try again later",
                "rate_limit": "450 4.7.1 Too many messages",
                "malformed": "<html>We will be right back</html>",
            }[fault.kind]
        self._keep(envelope)
        if fault is not None:
            patience = 30.0 if fault.kind == "timeout" else 3.0
            await asyncio.sleep(fault.seconds if fault.seconds is not None else patience)
        return "250 2.0.0 OK"

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(content, policy=policy.default)
        id_ = uuid.uuid4().hex
        self._journal.put(
            KIND,
            id_,
            {
                "id": id_,
                "from": str(message["From"] or envelope.mail_from),
                "to": ", ".join(envelope.rcpt_tos),
                "recipients": [address.lower() for address in envelope.rcpt_tos],
                "subject": str(message["Subject"] or ""),
                "text": _part(message, "plain"),
                "html": _part(message, "html"),
                "message_id": str(message["Message-ID"] or "").strip() or None,
                "language": str(message["Content-Language"] or "") or None,
                "headers": sorted({name.lower() for name in message}),
                "received_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        )
        _log.info("received %s for %d recipients", id_, len(envelope.rcpt_tos))


def _part(message: EmailMessage, kind: str) -> str | None:
    """The text of one form of the message, None when it has none."""
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else None
