"""Sending webhooks: at once, and again with growing delays until the answer is as wanted: 200.

Sandbox time: 1, 2, 4, 8 … seconds, at most a minute, where a real gateway takes hours.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sandbox.faults import Faults
from tests.sandbox.journal import Journal

KIND = "delivery"
ATTEMPTS = 60
SENDERS = 16
LONGEST_DELAY = 60.0
REORDER_PATIENCE = 3.0
"""Seconds after which a webhook that was held back goes out even if none followed."""

_log = logging.getLogger("sandbox.deliveries")


@dataclass(frozen=True)
class Webhook:
    """One message as it goes over the wire."""

    provider: str
    event: str
    url: str
    headers: dict[str, str]
    body: str
    wanted_answer: str | None = None
    """The body that the answer must have, exactly, where the status alone does not do."""
    attempts: int = ATTEMPTS
    """How often it is sent at most."""
    method: str = "POST"


@dataclass
class _Held:
    """Webhooks that wait for others to overtake them."""

    ids: list[str] = field(default_factory=list)
    timer: threading.Timer | None = None


class Deliveries:
    """A queue in the journal, one thread that keeps the time and a few that send."""

    def __init__(self, journal: Journal, faults: Faults) -> None:
        self._journal = journal
        self._faults = faults
        self._condition = threading.Condition()
        self._due: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._held: dict[str, _Held] = {}
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = httpx.Client(timeout=10.0, follow_redirects=False, trust_env=False)
        self._stopping = False

    def start(self) -> None:
        """Begin to send, first what an earlier run left."""
        for delivery in self._journal.all(KIND):
            if delivery["status"] == "waiting":
                self._schedule(delivery["id"], 0.0)
        threading.Thread(target=self._run, name="deliveries", daemon=True).start()
        for number in range(SENDERS):
            name = f"delivery-{number}"
            threading.Thread(target=self._send_forever, name=name, daemon=True).start()

    def stop(self) -> None:
        """Send no more; what waits is in the journal."""
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def send(self, webhook: Webhook, forged: Webhook) -> list[str]:
        """Queue a webhook; `forged` goes before it when that fault is ordered. Its ids."""
        provider = webhook.provider
        if self._faults.take_for_delivery(provider, "forge"):
            self._schedule(self._remember(forged, is_forged=True), 0.0)
        ids = [self._remember(webhook)]
        if self._faults.take_for_delivery(provider, "duplicate"):
            ids.append(self._remember(webhook))
        if self._faults.take_for_delivery(provider, "reorder"):
            self._hold(provider, ids)
            return ids
        for id_ in ids:
            self._schedule(id_, 0.0)
        self._release(provider, delay=0.3)
        return ids

    def wait_for_attempt(self, ids: list[str], seconds: float) -> bool:
        """Wait until each was sent once, answered or not; False when the seconds are over."""
        deadline = time.monotonic() + seconds
        while not all((self._journal.get(KIND, id_) or {}).get("attempts") for id_ in ids):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def _remember(self, webhook: Webhook, *, is_forged: bool = False) -> str:
        id_ = uuid.uuid4().hex
        self._journal.put(
            KIND,
            id_,
            {
                "id": id_,
                "provider": webhook.provider,
                "event": webhook.event,
                "url": webhook.url,
                "headers": webhook.headers,
                "body": webhook.body,
                "wanted_answer": webhook.wanted_answer,
                "most_attempts": webhook.attempts,
                "method": webhook.method,
                "is_forged": is_forged,
                "attempts": 0,
                "status": "waiting",
                "last_status": None,
            },
        )
        return id_

    def _hold(self, provider: str, ids: list[str]) -> None:
        with self._condition:
            held = self._held.setdefault(provider, _Held())
            held.ids.extend(ids)
            if held.timer is None:
                held.timer = threading.Timer(REORDER_PATIENCE, self._release, (provider, 0.0))
                held.timer.daemon = True
                held.timer.start()

    def _release(self, provider: str, delay: float) -> None:
        """Send what was held back, the last one first."""
        with self._condition:
            held = self._held.pop(provider, None)
        if held is None:
            return
        if held.timer is not None:
            held.timer.cancel()
        for place, id_ in enumerate(reversed(held.ids)):
            self._schedule(id_, delay + 0.2 * place)

    def _schedule(self, id_: str, delay: float) -> None:
        with self._condition:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), id_))
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._due or self._due[0][0] > time.monotonic():
                    if self._stopping:
                        return
                    patience = self._due[0][0] - time.monotonic() if self._due else None
                    self._condition.wait(patience)
                if self._stopping:
                    return
                _, _, id_ = heapq.heappop(self._due)
                self._ready.put(id_)

    def _send_forever(self) -> None:
        while not self._stopping:
            self._attempt(self._ready.get())

    def _attempt(self, id_: str) -> None:
        delivery = self._journal.get(KIND, id_)
        if delivery is None or delivery["status"] != "waiting":
            return
        status: int | None = None
        is_taken = False
        try:
            answer = self._client.request(
                delivery.get("method", "POST"),
                delivery["url"],
                content=delivery["body"].encode("utf-8"),
                headers=delivery["headers"],
            )
            status = answer.status_code
            is_taken = status == 200 and delivery.get("wanted_answer") in (None, answer.text)
        except (httpx.HTTPError, httpx.InvalidURL):
            _log.info("%s could not be told", delivery["provider"])
        delivery["attempts"] += 1
        delivery["last_status"] = status
        if is_taken:
            delivery["status"] = "delivered"
        elif delivery["is_forged"] or delivery["attempts"] >= delivery.get(
            "most_attempts", ATTEMPTS
        ):
            delivery["status"] = "given_up"
        self._journal.put(KIND, id_, delivery)
        _log.info(
            "%s %s attempt=%d status=%s",
            delivery["provider"],
            delivery["event"],
            delivery["attempts"],
            status,
        )
        if delivery["status"] == "waiting":
            self._schedule(id_, min(2.0 ** (delivery["attempts"] - 1), LONGEST_DELAY))

    def listed(self, provider: str | None = None) -> list[dict[str, Any]]:
        """Oldest first, without what is signed."""
        hidden = ("headers", "body", "wanted_answer", "most_attempts")
        return [
            {key: value for key, value in delivery.items() if key not in hidden}
            for delivery in self._journal.all(KIND)
            if provider in (None, delivery["provider"])
        ]
