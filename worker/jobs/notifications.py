"""Notifications: one message for each event, recipient and template."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from edge_workers.log import bind_context, get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.mail import Email
from edge_workers.providers.errors import Rejected
from worker import mail
from worker.task import Task

ANNOUNCED_AT_ONCE: Final = 500
"""People who are told in one transaction that something is there again."""

_FALLBACK_DOMAIN: Final = "mallgram.invalid"

log = get_logger(__name__)


def send_email(task: Task, *, email_id: str) -> None:
    """Write and send one mail, once it is certain that it was not sent or withdrawn before.

    A crash between sending and recording sends it twice, under the same Message-ID: of the two
    mistakes the smaller. Raises Unavailable when the mail server cannot take it now.
    """
    bind_context(email_id=email_id)
    email: dict[str, Any] | None = task.database.call("begin_email", email_id=email_id)
    if email is None:
        return
    data: dict[str, Any] = email["data"]
    shop_url = task.settings.frontend_url
    message = mail.render(
        email["template"],
        email["language"],
        data,
        shop_url=shop_url,
        page_url=f"{shop_url}{_page(data)}",
        picture_url=_picture(task.settings.supabase_url, data),
    )
    message_id = f"<{email_id}@{_sender_domain(task.settings.from_email)}>"
    try:
        registry.mail_provider(task.settings).send(
            Email(
                message_id=message_id,
                recipient=email["recipient"],
                recipient_name=mail.single_line(email["recipient_name"] or "") or None,
                subject=message.subject,
                text=message.text,
                html=message.html,
                language=email["language"],
            )
        )
    except Rejected as error:
        task.database.call("record_email_rejected", email_id=email_id, reason=error.code)
        log.warning("email.rejected", template=email["template"], code=error.code)
        return
    task.database.call("record_email_sent", email_id=email_id, message_id=message_id)
    log.info("email.sent", template=email["template"], language=email["language"])


def announce_stock(task: Task, *, listing_id: str) -> None:
    """Tell people who wait for a listing that it is there again, each once.

    One batch a row of work: who was told is noted in the transaction that asks for the next batch,
    so a run that dies loses nobody and tells nobody twice.
    """
    answer: dict[str, Any] = task.database.call(
        "announce_stock", listing_id=listing_id, batch=ANNOUNCED_AT_ONCE
    )
    log.info("stock.announced", listing_id=listing_id, people=answer["announced"])


def _page(data: dict[str, Any]) -> str:
    """The frontend's page of what a mail speaks of."""
    if data.get("exception_id"):
        return f"/admin/exceptions/{data['exception_id']}"
    if data.get("product_id"):
        return f"/products/{data['product_id']}"
    return f"/orders/{data['order_id']}" if data.get("order_id") else ""


def _picture(supabase_url: str, data: dict[str, Any]) -> str:
    """Where the picture of what a mail speaks of is; nothing without one."""
    path = data.get("image")
    return f"{supabase_url}/storage/v1/object/public/{path}" if path else ""


def _sender_domain(from_email: str | None) -> str:
    """The domain of our own address, also when it is written `Name <address>`."""
    address = (from_email or "").rpartition("<")[2].rstrip("> ")
    domain = address.rpartition("@")[2]
    return domain if urlsplit(f"//{domain}").hostname else _FALLBACK_DOMAIN
