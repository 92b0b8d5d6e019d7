"""./scripts/sync: fill the running shop from a supplier now, and see how it goes.

The workers do it; leaving with Ctrl-C stops the watching alone.
"""

import argparse
import os
import sys
import time
from typing import Any

from edge_workers.db import Session
from edge_workers.errors import AppError
from scripts.local.console import Failure, complain, say
from scripts.local.settings import ROOT, read_env_file

PLATFORMS = ("aliexpress", "alibaba")
EVERY_SECONDS = 1.0
WORKING = ("collecting", "applying")


def progress(run: dict[str, Any]) -> str:
    """How far a run is, in one line."""
    counts = run["counts"]
    parts = [f"{run['platform']}: {run['status']}"]
    if run["status"] == "collecting":
        done = counts.get("pages", 0) - counts.get("pages_open", 0)
        parts.append(f"pages {done} of {counts.get('pages', 0)}")
        parts.append(f"goods found {counts.get('found', 0)}, read {counts.get('fetched', 0)}")
    if run["status"] == "applying":
        parts.append(f"taken in {counts.get('taken_in', 0)} of {counts.get('accepted', 0)}")
    if run["pause_reason"]:
        parts.append(f"waiting for the supplier ({run['pause_reason']})")
    return ", ".join(parts)


def report(run: dict[str, Any]) -> None:
    """What came of a run."""
    counts = run["counts"]
    say(f"{run['platform']}: {run['status']}")
    if run["failure"]:
        say(f"  {run['failure']}")
    if run["status"] == "waiting":
        share = float(run["change_share"]) * 100
        say(f"  it would change {share:.1f} % of what is on sale: an admin decides")
        say(f"  (review_sync_run with run_id {run['id']})")
    for name in (
        *("found", "accepted", "new", "changed", "repriced", "restocked"),
        *("absent", "delisted", "seen_again", "categories_waiting"),
    ):
        if name in counts:
            say(f"  {name.replace('_', ' '):<20} {counts[name]:>9}")
    for reason, goods in sorted(counts.get("rejected", {}).items(), key=lambda one: -one[1]):
        say(f"  not taken: {reason.replace('_', ' '):<20} {goods:>5}")


def watch(session: Session, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has ended or waits; says how it goes whenever that has changed."""
    said = ""
    while run["status"] in WORKING:
        line = progress(run)
        if line != said:
            say(line)
            said = line
        time.sleep(EVERY_SECONDS)
        run = session.call("sync_progress", run_id=run["id"])
    return run


def main() -> int:
    """Exit status 1 when the run failed or there is no stack."""
    parser = argparse.ArgumentParser(prog="./scripts/sync", description=__doc__)
    parser.add_argument("platform", nargs="?", choices=PLATFORMS, default=PLATFORMS[0])
    asked = parser.parse_args()
    file = ROOT / os.environ.get("MALLGRAM_ENV_FILE", ".local/env")
    address = read_env_file(file).get("DATABASE_URL")
    if address is None:
        raise Failure("no stack is running: start one with ./scripts/run")
    with Session.open(address, application_name="sync") as session:
        run = watch(session, session.call("start_sync", platform=asked.platform))
    report(run)
    return 1 if run["status"] == "failed" else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("\nno longer watching; the sync goes on")
        sys.exit(130)
    except (Failure, AppError) as failure:
        complain(f"sync: {failure}")
        sys.exit(1)
