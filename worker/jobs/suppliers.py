"""Suppliers: the tokens with which their platforms are used are renewed long before they end."""

from __future__ import annotations

from typing import Any

from edge_workers.log import get_logger
from edge_workers.providers import registry
from edge_workers.providers.errors import Misconfigured, ProviderError
from worker import suppliers
from worker.task import Task

log = get_logger(__name__)


def refresh_supplier_tokens(task: Task) -> None:
    """Renew each platform's token that is due, and warn of consents that end within days.

    A platform that wants a person's consent is no failure of the job: asking again would not help.
    Raises the last platform's error when one could not be asked now, after all had their turn.
    """
    failure: ProviderError | None = None
    for platform in registry.configured_suppliers(task.settings):
        try:
            with suppliers.open_tokens(platform, task.settings, task.database) as tokens:
                tokens.offer_consent(f"{task.settings.frontend_url}/admin/suppliers/{platform}")
                tokens.value()
        except Misconfigured as error:
            log.warning("supplier_token.missing", platform=platform, code=error.code)
        except ProviderError as error:
            log.warning("supplier_token.unrenewed", platform=platform, code=error.code)
            failure = error
    warned: dict[str, Any] = task.database.call("warn_of_token_ends")
    log.info("supplier_tokens.checked", warned=warned["warned"])
    if failure is not None:
        raise failure
