"""A worker of the syncs alone, as a process that a test may kill: rows of the outbox, one by one.

`python -m tests.worker.jobs.supply_worker`: the settings are the environment's. A row whose attempt
was killed is handed out again when its lease of a second has run out. Ends with the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from edge_workers.db import Session
from edge_workers.log import configure_logging
from worker import jobs

LEASE_SECONDS = 1
QUEUE = "supply"


def main(arguments: Sequence[str]) -> int:
    """Work until nothing of the queue is left for a while."""
    del arguments
    settings = jobs.process_settings()
    configure_logging("ERROR")
    idle_until = time.monotonic() + 4 * LEASE_SECONDS
    with Session.open(settings.session_url, application_name="test") as session:
        while time.monotonic() < idle_until:
            rows: list[dict[str, Any]] = session.call(
                "claim_outbox", batch=1, lease_seconds=LEASE_SECONDS, queues=[QUEUE]
            )
            for row in rows:
                jobs.run(str(row["outbox_id"]), int(row["attempt"]))
                idle_until = time.monotonic() + 4 * LEASE_SECONDS
            if not rows:
                time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
