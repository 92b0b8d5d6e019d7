"""Search: large changes are found, what is popular is counted, texts become vectors."""

from __future__ import annotations

import time
from typing import Any, Final

from edge_workers.log import get_logger
from edge_workers.providers import registry
from worker.task import Task

BATCH: Final = 500
"""Listings whose documents are made in one transaction."""
COUNT_BATCH: Final = 2_000
EMBED_BATCH: Final = 100
SECONDS: Final = 18.0
"""How long one run works; what is left is taken up by the next."""

log = get_logger(__name__)


def refresh_search(task: Task) -> None:
    """Make the search documents of queued listings, batch by batch, for at most `SECONDS`."""
    deadline = time.monotonic() + SECONDS
    refreshed = 0
    while time.monotonic() < deadline:
        answer: dict[str, Any] = task.database.call("refresh_search", batch=BATCH)
        refreshed += answer["refreshed"]
        if answer["is_done"]:
            break
    if refreshed:
        log.info("search.refreshed", listings=refreshed)
        count_search(task, deadline)


def count_search(task: Task, deadline: float | None = None) -> None:
    """Count which listings are popular and how many have each word, until all is counted.

    `deadline` is on the monotonic clock; `SECONDS` from now when none is given.
    """
    until = time.monotonic() + SECONDS if deadline is None else deadline
    moved = counted = 0
    while True:
        answer: dict[str, int] = task.database.call("count_search", batch=COUNT_BATCH)
        moved += answer["moved"]
        counted += answer["counted"]
        if max(answer["moved"], answer["counted"]) < COUNT_BATCH or time.monotonic() >= until:
            break
    log.info("search.counted", moved=moved, words=counted)


def embed_search(task: Task) -> None:
    """Ask the provider for the vectors of new texts and of what people search for.

    Without a provider nothing is done: search goes by words. Raises `ProviderError`.
    """
    provider = registry.embedding_provider(task.settings)
    if provider is None:
        return
    deadline = time.monotonic() + SECONDS
    products = queries = 0
    while time.monotonic() < deadline:
        due: dict[str, list[Any]] = task.database.call(
            "claim_embeddings", batch=EMBED_BATCH, model=provider.model
        )
        texts = [row["text"] for row in due["products"]] + due["queries"]
        if not texts:
            break
        vectors = provider.embed(texts)
        asked = len(due["products"])
        recorded: dict[str, int] = task.database.call(
            "record_embeddings",
            model=provider.model,
            vectors={
                "products": [
                    {**row, "embedding": vector}
                    for row, vector in zip(due["products"], vectors[:asked], strict=True)
                ],
                "queries": [
                    {"query": query, "embedding": vector}
                    for query, vector in zip(due["queries"], vectors[asked:], strict=True)
                ],
            },
        )
        products += recorded["products"]
        queries += recorded["queries"]
        if max(asked, len(due["queries"])) < EMBED_BATCH:
            break
    if products or queries:
        log.info("search.embedded", products=products, queries=queries)
