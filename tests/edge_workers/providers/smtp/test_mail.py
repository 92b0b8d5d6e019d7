"""Mail over a real SMTP conversation: what arrives, and what each refusal means."""

from __future__ import annotations

import dataclasses
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_workers.providers import registry
from edge_workers.providers.contracts.mail import Email
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.smtp import SmtpMail
from tests.contracts.profiles import values_for
from tests.sandbox.running import (
    SMTP_PASSWORD,
    SMTP_USER,
    RunningSandbox,
    free_port,
    running_sandbox,
)


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with running_sandbox(Path(tmp_path_factory.mktemp("sink"))) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def no_faults(sink: RunningSandbox) -> None:
    sink.clear_faults()


def relay(sink: RunningSandbox, **changes: Any) -> SmtpMail:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": sink.smtp_port,
        "from_email": "Mallgram <shop@mallgram.example>",
        "user": SMTP_USER,
        "password": SMTP_PASSWORD,
        "ca_file": str(sink.ca_file),
        "timeout_seconds": 5.0,
    }
    return SmtpMail(**(options | changes))


def an_email(**changes: Any) -> Email:
    unique = uuid.uuid4().hex
    return dataclasses.replace(
        Email(
            message_id=f"<{unique}.order_placed@mallgram.example>",
            recipient=f"{unique}@example.cm",
            recipient_name="Aïcha Ngoé",
            subject="Votre commande MG-1001 est reçue",
            text="Bonjour Aïcha,\n\n.un point\nÀ bientôt\n",
            html="<p>Bonjour <b>Aïcha</b></p>\n",
            language="fr",
        ),
        **changes,
    )


def arrived(sink: RunningSandbox, email: Email) -> list[dict[str, Any]]:
    return sink.listed("mail", to=email.recipient)


def test_a_message_arrives_as_it_was_written(sink: RunningSandbox) -> None:
    email = an_email()
    registry.mail_provider(values_for(sink)).send(email)
    (mail,) = arrived(sink, email)
    assert mail["from"] == "Mallgram <shop@mallgram.example>"
    assert mail["to"] == email.recipient
    assert mail["subject"] == email.subject
    assert mail["text"] == email.text
    assert mail["html"] == email.html
    assert mail["message_id"] == email.message_id
    assert mail["language"] == "fr"


def test_a_message_may_be_text_alone(sink: RunningSandbox) -> None:
    email = an_email(html=None, language=None, recipient_name=None)
    relay(sink).send(email)
    (mail,) = arrived(sink, email)
    assert (mail["html"], mail["text"]) == (None, email.text)


@pytest.mark.parametrize(
    "evil",
    [
        "x\r\nBcc: spy@example.com",
        "x\nBcc: spy@example.com",
        "x\rY: 1",
        "x\u2028Bcc: spy@example.com",
        "x\x00y",
        "\ud800",
    ],
)
def test_no_value_adds_a_header(evil: str, sink: RunningSandbox) -> None:
    email = an_email(subject=evil, recipient_name=evil, language=evil)
    relay(sink).send(email)
    (mail,) = arrived(sink, email)
    assert mail["headers"] == [
        "auto-submitted",
        "content-language",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ]
    assert sink.listed("mail", to="spy@example.com") == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a@b@c.d",
        "a b@example.com",
        "a@example.com\r\nRCPT TO:<spy@example.com>",
        "<a@example.com>",
        "a@example.com, b@example.com",
        '"quoted"@example.com',
        "a..b@example.com",
        "a@",
        "@example.com",
        "é@example.com",
        "a@" + "x" * 260 + ".com",
        "a@exa mple.com",
    ],
)
def test_an_address_in_another_than_the_plain_form_is_refused(
    address: str, sink: RunningSandbox
) -> None:
    with pytest.raises(Rejected) as failure:
        relay(sink).send(an_email(recipient=address))
    assert failure.value.code == "address_invalid"


def test_an_international_domain_is_written_in_ascii(sink: RunningSandbox) -> None:
    relay(sink).send(an_email(recipient="aicha@bücher.example"))
    assert len(sink.listed("mail", to="aicha@xn--bcher-kva.example")) == 1


@pytest.mark.parametrize("message_id", ["", "x", "<x>", "<a@b>\r\nX: y", "a@b", "<a b@c>"])
def test_a_message_id_is_checked(message_id: str, sink: RunningSandbox) -> None:
    with pytest.raises(Rejected) as failure:
        relay(sink).send(an_email(message_id=message_id))
    assert failure.value.code == "message_id_invalid"


def test_a_text_that_is_no_text_is_refused(sink: RunningSandbox) -> None:
    with pytest.raises(Rejected) as failure:
        relay(sink).send(an_email(text="\ud800"))
    assert failure.value.code == "message_invalid"


def test_a_mailbox_that_does_not_exist_is_a_fact(sink: RunningSandbox) -> None:
    with pytest.raises(Rejected) as failure:
        relay(sink).send(an_email(recipient="bounce@example.cm"))
    assert (failure.value.code, failure.value.outcome) == ("smtp_550", "nothing_created")


@pytest.mark.parametrize("kind", ["error", "rate_limit"])
def test_later_is_not_never(kind: str, sink: RunningSandbox) -> None:
    sink.order_fault("smtp", kind)
    email = an_email()
    with pytest.raises(Unavailable) as failure:
        relay(sink).send(email)
    assert failure.value.outcome == "nothing_created"
    assert arrived(sink, email) == []
    relay(sink).send(email)
    assert len(arrived(sink, email)) == 1


def test_silence_after_the_message_leaves_it_unknown(sink: RunningSandbox) -> None:
    sink.order_fault("smtp", "timeout", seconds=2.0)
    email = an_email()
    started = time.monotonic()
    with pytest.raises(Unavailable) as failure:
        relay(sink, timeout_seconds=0.7).send(email)
    assert failure.value.outcome == "unknown"
    assert time.monotonic() - started < 1.9
    assert len(arrived(sink, email)) == 1


def test_an_answer_that_is_no_smtp_is_for_later(sink: RunningSandbox) -> None:
    sink.order_fault("smtp", "malformed")
    with pytest.raises(Unavailable):
        relay(sink).send(an_email())


def test_nobody_there_is_for_later(sink: RunningSandbox) -> None:
    with pytest.raises(Unavailable) as failure:
        relay(sink, port=free_port()).send(an_email())
    assert failure.value.outcome == "nothing_created"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "wrong"}, "mail_login"),
        ({"ca_file": None}, "mail_tls"),
        ({"starttls": False}, "mail_login"),
        ({"user": None}, "mail_sender"),
    ],
)
def test_what_we_have_set_wrongly_is_a_case_for_us(
    changes: dict[str, Any], code: str, sink: RunningSandbox
) -> None:
    with pytest.raises(Misconfigured) as failure:
        relay(sink, **changes).send(an_email())
    assert failure.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"password": None},
        {"host": "smtp.example.com", "starttls": False},
        {"ca_file": "/does/not/exist"},
        {"from_email": "not an address"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    changes: dict[str, Any], sink: RunningSandbox
) -> None:
    with pytest.raises(Misconfigured):
        relay(sink, **changes)


def test_the_message_goes_out_in_seven_bits(sink: RunningSandbox) -> None:
    content, recipient = relay(sink)._message(an_email(text="é" * 2000 + "\r\n.\rx\n"))
    assert recipient.endswith("@example.cm")
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) < 998
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", content) is None
