"""Operations: what has served its time goes, what does not add up is said."""

from __future__ import annotations

import time
from typing import Any, Final

from edge_workers.log import get_logger
from worker.task import Task

BATCH: Final = 1_000
SECONDS: Final = 15.0

log = get_logger(__name__)


def archive(task: Task) -> None:
    """Remove rows past their retention, batch by batch, for at most `SECONDS`."""
    deadline = time.monotonic() + SECONDS
    removed: dict[str, int] = {}
    while time.monotonic() < deadline:
        batch: dict[str, int] = task.database.call("apply_retention", batch=BATCH)
        for table, rows in batch.items():
            removed[table] = removed.get(table, 0) + rows
        if not any(rows >= BATCH for rows in batch.values()):
            break
    log.info("retention.applied", **removed)


def check_invariants(task: Task) -> None:
    """Ask every invariant for the rows that break it and say each; the database tells the admins.

    A broken invariant is no failure of the job: asking again would not mend it.
    """
    found: list[dict[str, Any]] = task.database.call("check_invariants")
    for row in found:
        log.error(
            "invariant.violated",
            check=row["check_name"],
            subject_id=row["subject_id"],
            detail=row["detail"],
        )
    log.info("invariants.checked", violations=len(found))
