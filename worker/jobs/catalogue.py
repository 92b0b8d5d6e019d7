"""Catalogue: what is counted once for all who ask."""

from __future__ import annotations

from edge_workers.log import get_logger
from worker.task import Task

log = get_logger(__name__)


def count_catalogue(task: Task) -> None:
    """Count the listings of each category anew, if the catalogue has changed since."""
    log.info("catalogue.counted", **task.database.call("count_catalogue"))
