"""Pictures of a supplier's goods are copied into the shop's own storage, then shown."""

from __future__ import annotations

import time
from typing import Any, Final

from edge_workers.errors import AppError
from edge_workers.log import get_logger
from edge_workers.providers.errors import Rejected, Unavailable
from worker.pictures import PictureSource, PictureStore
from worker.task import Task

BATCH: Final = 20
SECONDS: Final = 12.0
"""How long one run works; the next is planned at once while pictures wait."""

log = get_logger(__name__)


def copy_pictures(task: Task) -> None:
    """Copy pictures that wait, those shown first before the others.

    First go those that a supplier has taken away, and the files that no product shows any more. One
    that is lost or is no picture is a fact; one that does not answer is tried again later. Raises
    Misconfigured when nothing can be stored.
    """
    source = PictureSource(task.settings.supplier_picture_hosts)
    store = PictureStore.of(task.settings)
    deadline = time.monotonic() + SECONDS
    copied = failed = 0
    _tidy(task, store, deadline)
    while time.monotonic() < deadline:
        claimed: list[dict[str, Any]] = task.database.call("claim_pictures", batch=BATCH)
        for picture in claimed:
            if _copy(task, source, store, picture):
                copied += 1
            else:
                failed += 1
        if len(claimed) < BATCH:
            break
    else:
        task.database.call("continue_pictures")
    if copied or failed:
        log.info("pictures.copied", copied=copied, failed=failed)


def _tidy(task: Task, store: PictureStore, deadline: float) -> None:
    """Show no longer what is gone, and remove from Storage what nothing shows.

    A removal that is not answered is repeated later.
    """
    dropped = 1
    while dropped and time.monotonic() < deadline:
        dropped = task.database.call("drop_gone_pictures", batch=BATCH)["dropped"]
    while time.monotonic() < deadline:
        paths: list[str] = task.database.call("claim_picture_leftovers", batch=BATCH)
        if not paths:
            return
        try:
            store.remove(paths)
        except Unavailable as error:
            log.warning("pictures.left", code=error.code, count=len(paths))
            return
        task.database.call("record_pictures_removed", storage_paths=paths)
        log.info("pictures.removed", count=len(paths))


def _copy(task: Task, source: PictureSource, store: PictureStore, wanted: dict[str, Any]) -> bool:
    place = {name: wanted[name] for name in ("listing_id", "position", "source_url")}
    try:
        picture = source.fetch(wanted["source_url"])
        name = f"{picture.content_hash[:24]}.{picture.extension}"
        stored = store.put(f"sync/{wanted['listing_id']}/{name}", picture)
        task.database.call(
            "record_picture",
            storage_path=stored,
            width=picture.width,
            height=picture.height,
            byte_size=len(picture.body),
            content_hash=picture.content_hash,
            **place,
        )
    except (Rejected, Unavailable) as error:
        reason, is_fact = error.code, isinstance(error, Rejected)
    except AppError as error:
        if error.http_status >= 500:
            raise
        # One that the tables refuse does not hold up the others.
        reason, is_fact = error.code, False
    else:
        return True
    task.database.call("record_picture_failed", reason=reason, is_fact=is_fact, **place)
    return False
