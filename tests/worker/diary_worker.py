"""A worker process for tests: the real one, plus a job that notes when it begins and ends.

`python -m tests.worker.diary_worker <queue> <diary file>`
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import cast

from edge_workers.log import configure_logging
from worker import jobs, queues
from worker.task import Task


def main(queue_name: str, diary: Path) -> int:
    """Exit status as of `worker.queues`."""

    def note(event: str) -> None:
        with diary.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "pid": os.getpid()}) + "\n")

    def relay_test(_task: Task, *, seconds: float = 0.0) -> None:
        note("begun")
        time.sleep(float(seconds))
        note("ended")

    cast(dict[str, object], jobs.JOBS)["relay_test"] = relay_test
    settings = jobs.process_settings()
    configure_logging(settings.log_level)
    jobs.preload(settings)
    return 0 if queues.work(queue_name, settings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
