"""E-mail over SMTP (RFC 5321) with STARTTLS (RFC 3207): `contracts.mail.MailProvider`.

Whatever the values hold, a message has exactly the headers written here: control characters never
reach a header, and addresses are taken only in their plain form.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

import structlog

from edge_workers.providers.contracts.mail import Email
from edge_workers.providers.errors import (
    Misconfigured,
    Outcome,
    ProviderError,
    Rejected,
    Unavailable,
)

TIMEOUT_SECONDS = 15.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_POLICY = SMTP.clone(cte_type="7bit")
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\Z"
)
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9._+=-]{1,120}@[A-Za-z0-9.-]{1,100}>\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")

_log = structlog.get_logger(__name__)


class SmtpMail:
    """One relay. A connection lives as long as one message."""

    name = "smtp"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        from_email: str,
        user: str | None = None,
        password: str | None = None,
        starttls: bool = True,
        ca_file: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if user is not None and password is None:
            raise Misconfigured("SMTP_USER is set without SMTP_PASSWORD.", code="mail_login")
        if user is not None and not starttls and host not in LOOPBACK:
            raise Misconfigured("SMTP without TLS would show the password.", code="mail_tls")
        sender_name, sender_address = parseaddr(from_email)
        self._host = host
        self._port = port
        self._login = (user, password) if user is not None and password is not None else None
        self._sender = _address(sender_address, sender_name, Misconfigured)
        self._tls = _context(ca_file) if starttls else None
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def send(self, email: Email) -> None:
        """One message in one session, in `timeout_seconds` all in all."""
        message, recipient = self._message(email)
        started = time.monotonic()
        problem: str | None = None
        session = _Session(started + self._timeout_seconds)
        try:
            with _mapped_errors(session):
                session.open(self._host, self._port, self._sender.domain)
                if self._tls is not None:
                    session.encrypt(self._tls)
                if self._login is not None:
                    session.log_in(*self._login)
                session.deliver(self._sender.addr_spec, recipient, message)
        except ProviderError as error:
            problem = error.code
            raise
        finally:
            session.close()
            _log.info(
                "provider.called",
                provider=self.name,
                operation="send",
                message_id=email.message_id,
                problem=problem,
                duration_ms=round((time.monotonic() - started) * 1000),
            )

    def _message(self, email: Email) -> tuple[bytes, str]:
        """The message as it goes over the wire, and its recipient's address."""
        if not _MESSAGE_ID.match(email.message_id):
            raise Rejected("The message's id is not usable.", code="message_id_invalid")
        recipient = _address(email.recipient, email.recipient_name or "", Rejected)
        message = EmailMessage(policy=_POLICY)
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = _one_line(email.subject)
        message["Date"] = format_datetime(self._clock())
        message["Message-ID"] = email.message_id
        message["Auto-Submitted"] = "auto-generated"
        try:
            message.set_content(email.text)
            if email.html is not None:
                message.add_alternative(email.html, subtype="html")
            if email.language:  # last: the two lines above move all Content-… headers
                message["Content-Language"] = _one_line(email.language)
            return message.as_bytes(), recipient.addr_spec
        except ValueError as error:
            raise Rejected("The text cannot be encoded.", code="message_invalid") from error


class _Session:
    """One conversation with the relay, each step within what is left of its time."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._client: smtplib.SMTP | None = None
        self.outcome: Outcome = "nothing_created"

    def open(self, host: str, port: int, domain: str) -> None:
        self._client = smtplib.SMTP(host, port, local_hostname=domain, timeout=self._left())
        self._ready().ehlo()

    def encrypt(self, context: ssl.SSLContext) -> None:
        self._ready().starttls(context=context)
        self._ready().ehlo()

    def log_in(self, user: str, password: str) -> None:
        try:
            self._ready().login(user, password)
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as error:
            if getattr(error, "smtp_code", 500) < 500:
                raise
            raise Misconfigured("The relay refuses our login.", code="mail_login") from error

    def deliver(self, sender: str, recipient: str, message: bytes) -> None:
        code, _ = self._ready().mail(sender, [f"size={len(message)}"])
        if code >= 500 and code != 552:
            raise Misconfigured("The relay refuses our sender.", code="mail_sender")
        _expect(code, 250)
        code, _ = self._ready().rcpt(recipient)
        if code != 251:
            _expect(code, 250)
        client = self._ready()
        self.outcome = "unknown"
        try:
            code, _ = client.data(message)
        except smtplib.SMTPDataError as error:
            code = error.smtp_code
        self.outcome = "nothing_created"
        _expect(code, 250)

    def close(self) -> None:
        """Say goodbye; by now nothing that goes wrong here matters."""
        if self._client is None:
            return
        with contextlib.suppress(OSError):
            if self._client.sock is not None:
                self._client.sock.settimeout(1.0)
                self._client.quit()
        self._client.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _ready(self) -> smtplib.SMTP:
        if self._client is None or self._client.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        self._client.sock.settimeout(self._left())
        return self._client


def _expect(code: int, wanted: int) -> None:
    if code != wanted:
        raise smtplib.SMTPResponseException(code, b"")


@contextlib.contextmanager
def _mapped_errors(session: _Session) -> Iterator[None]:
    """Errors of smtplib as ours: 4xx is for later, 5xx a fact, silence as far as it had got."""
    try:
        yield
    except smtplib.SMTPConnectError as error:
        raise _later(f"The relay greeted with {error.smtp_code}.", session) from error
    except smtplib.SMTPResponseException as error:
        if 500 <= error.smtp_code < 600:
            message = f"The relay refused the message ({error.smtp_code})."
            raise Rejected(message, code=f"smtp_{error.smtp_code}") from error
        raise _later(f"The relay answered {error.smtp_code}.", session) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Misconfigured("The relay does not offer STARTTLS.", code="mail_tls") from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured("The relay's certificate is not trusted.", code="mail_tls") from error
    except OSError as error:
        raise _later("The relay did not answer.", session) from error


def _later(message: str, session: _Session) -> Unavailable:
    return Unavailable(message, code="mail_unavailable", outcome=session.outcome)


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Misconfigured("SMTP_CA_FILE cannot be read.", code="mail_tls") from error


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _address(address: str, name: str, failure: type[Misconfigured | Rejected]) -> Address:
    """An address in its plain form; international domains in their ASCII form."""
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        plain = ""
    if not _ADDRESS.match(plain) or len(plain) > 254:
        raise failure("The e-mail address is not usable.", code="address_invalid")
    return Address(display_name=_one_line(name), addr_spec=plain)
