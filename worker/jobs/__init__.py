"""The jobs, and the one way to run them: begin, do, record.

RQ calls `run(outbox_id, attempt)` in a forked process. Whatever happens is recorded on the outbox
row, which alone decides about the next attempt; RQ's registry of failed jobs shows the dead ones.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from edge_workers.config import Settings, load_settings
from edge_workers.db import Session
from edge_workers.errors import AppError, DatabaseUnavailable
from edge_workers.log import bind_request_id, get_logger
from edge_workers.providers import registry
from edge_workers.providers.errors import Misconfigured, ProviderError
from worker import mail
from worker.breaker import Breaker
from worker.jobs import (
    catalogue,
    notifications,
    operations,
    orders,
    payments,
    pictures,
    prices,
    refunds,
    search,
    suppliers,
    sync,
)
from worker.task import Task

JOBS: Final[Mapping[str, Callable[..., None]]] = {
    "handle_webhook": payments.handle_webhook,
    "reconcile_payments": payments.reconcile_payments,
    "send_refund": refunds.send_refund,
    "check_refund": refunds.check_refund,
    "release_holds": orders.release_holds,
    "send_email": notifications.send_email,
    "announce_stock": notifications.announce_stock,
    "archive": operations.archive,
    "check_invariants": operations.check_invariants,
    "count_catalogue": catalogue.count_catalogue,
    "refresh_rates": prices.refresh_rates,
    "reprice_products": prices.reprice_products,
    "refresh_search": search.refresh_search,
    "count_search": search.count_search,
    "embed_search": search.embed_search,
    "refresh_supplier_tokens": suppliers.refresh_supplier_tokens,
    "sync_products": sync.sync_products,
    "copy_pictures": pictures.copy_pictures,
}
"""Job name to function. Each takes the task and, by name, the ids of its outbox row."""

DATABASE_PATIENCE_SECONDS: Final = 8.0
"""How long a job waits for a database that restarts, before and after its work."""
GATEWAY_SECONDS: Final = 12.0
"""How long a gateway may take over a question at most: two of them fit into an attempt's time."""

_ERROR_LIMIT: Final = 500
_OUR_CODE: Final = Path(__file__).resolve().parents[2]

log = get_logger(__name__)


class JobDead(Exception):
    """An outbox row has used up its attempts. The text is safe to show."""


def run(outbox_id: str, attempt: int) -> None:
    """Do one attempt at an outbox row, unless the row is done or a newer attempt is on its way.

    Raises JobDead when this was the last attempt and it failed, and DatabaseUnavailable when
    nothing could be recorded: then the lease runs out and the row is handed out again.
    """
    settings = process_settings()
    bind_request_id(outbox_id, outbox_id=outbox_id, attempt=attempt)
    with _open_session(settings) as session:
        row = session.call("begin_job", outbox_id=outbox_id, attempt=attempt)
        if row is None:
            log.info("job.skipped")
            return
        name = str(row["job"])
        request_id = row["request_id"] or outbox_id
        bind_request_id(request_id, outbox_id=outbox_id, attempt=attempt, job=name)
        task = Task(
            database=session,
            settings=settings,
            request_id=request_id,
            breaker=Breaker.of(settings),
        )
        started = time.monotonic()
        failure: Exception | None = None
        try:
            JOBS[name](task, **row["args"])
        except Exception as error:  # noqa: BLE001  # whatever it is, its row records it
            failure = error
        seconds = round(time.monotonic() - started, 3)
        if failure is None:
            _record(settings, session, "record_job_done", outbox_id=outbox_id, attempt=attempt)
            log.info("job.done", seconds=seconds)
            return
        text = describe(failure)
        result = _record(
            settings,
            session,
            "record_job_failed",
            outbox_id=outbox_id,
            attempt=attempt,
            error=text,
            retry_after_seconds=_retry_after(failure),
        )
        is_dead = bool(result and result["is_dead"])
        log.error("job.failed", error=text, seconds=seconds, is_dead=is_dead)
        if is_dead:
            raise JobDead(f"{name} {outbox_id}: {text}") from None


def report_killed(settings: Settings, outbox_id: str, attempt: int) -> None:
    """Record that the process of an attempt died, so that the next follows within seconds.

    Raises DatabaseUnavailable.
    """
    with Session.open(settings.session_url) as session:
        session.call(
            "record_job_failed",
            outbox_id=outbox_id,
            attempt=attempt,
            error="the process was killed",
        )


def preload(settings: Settings) -> None:
    """Build before the fork what every job would build after it, and name what is disabled."""
    process_settings()
    mail.preload()
    for gateway in registry.configured_payment_gateways(settings):
        registry.payment_provider(gateway, settings)
    for gateway in registry.configured_payout_gateways(settings):
        registry.payout_provider(gateway, settings)
    for gateway in sorted(
        set(registry.PAYMENT_GATEWAYS) - set(registry.configured_payment_gateways(settings))
    ):
        log.warning("provider.disabled", provider=gateway)
    for platform in registry.SUPPLIERS:
        if platform not in registry.configured_suppliers(settings):
            log.warning("provider.disabled", provider=platform)
    try:
        registry.mail_provider(settings)
    except Misconfigured as error:
        log.warning("provider.disabled", provider="mail", code=error.code)


@functools.cache
def process_settings() -> Settings:
    """The settings of this process, read once; forked jobs inherit them."""
    settings = load_settings()
    seconds = min(settings.payment_timeout_seconds, GATEWAY_SECONDS)
    return settings.model_copy(update={"payment_timeout_seconds": seconds})


def describe(failure: Exception) -> str:
    """What may be stored and shown of a failure: its class, our words, the place in our code.

    Foreign exceptions carry foreign text (a body, an address, a key): only their class is named.
    """
    name = type(failure).__name__
    if isinstance(failure, ProviderError):
        text = f"{name} {failure.code}: {failure}"
    elif isinstance(failure, AppError):
        text = f"{name} {failure.code}"
    else:
        text = name
    ours = [
        frame
        for frame in traceback.extract_tb(failure.__traceback__)
        if Path(frame.filename).is_relative_to(_OUR_CODE) and "site-packages" not in frame.filename
    ]
    if ours:
        place = Path(ours[-1].filename).relative_to(_OUR_CODE)
        text = f"{text} at {place}:{ours[-1].lineno}"
    return mail.single_line(text)[:_ERROR_LIMIT]


def _retry_after(failure: Exception) -> int | None:
    """Seconds that the other side asked for; None: the row's own back-off."""
    if isinstance(failure, ProviderError | AppError):
        return failure.retry_after
    return None


def _open_session(settings: Settings) -> Session:
    deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
    while True:
        try:
            return Session.open(settings.session_url)
        except DatabaseUnavailable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)


def _record(settings: Settings, session: Session, name: str, **args: Any) -> Any:
    """A recording call that survives one restart of the database; recording twice is harmless."""
    try:
        return session.call(name, **args)
    except DatabaseUnavailable:
        with _open_session(settings) as fresh:
            return fresh.call(name, **args)
