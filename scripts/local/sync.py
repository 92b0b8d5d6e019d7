"""./scripts/sync: fill the running shop from a supplier now, and see how it goes.

The workers do it; leaving with Ctrl-C stops the watching alone. A run that is under way is watched
as well: there is one a supplier at a time.
"""

import argparse
import os
import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edge_workers.db import Session
from edge_workers.errors import AppError, DatabaseUnavailable
from scripts.local.console import Failure, complain, say
from scripts.local.settings import ROOT, read_env_file

PLATFORMS = ("aliexpress", "alibaba")
EVERY_SECONDS = 1.0
LINE_SECONDS = 30.0
"""Between two lines where nobody looks on: a log, a pipe."""
PACE_SECONDS = 60.0
"""What the time that is left is told from."""
SILENT_SECONDS = 20.0
"""After which a run that nobody works on is worth a word."""
WORKING = ("collecting", "applying")

ADVICE = {
    "consent_needed": "an admin lets the shop use its account: connect_supplier()",
    "nothing_planned": "map a category: supplier_categories(), then map_supplier_category()",
    "provider_not_configured": "set the supplier's key and secret: see .env.example",
    "token_refused": "an admin lets the shop use its account anew: connect_supplier()",
}
"""What to do about a failure, by its code."""


def progress(run: dict[str, Any]) -> tuple[str, int, int]:
    """How far a run is: in words, what is done, and what there is to be done."""
    counts = run["counts"]
    if run["status"] == "applying":
        done, whole = counts.get("taken_in", 0), counts.get("accepted", 0)
        return f"taking in: {done:,} of {whole:,} goods", done, whole
    pages, open_pages = counts.get("pages", 0), counts.get("pages_open", 0)
    found, read = counts.get("found", 0), counts.get("fetched", 0)
    wanted = found - sum(counts.get("rejected", {}).values())
    if pages == 0:
        return "asking for the supplier's categories", 0, 0
    if open_pages:
        return f"searching: {pages - open_pages:,} of {pages:,} pages, {found:,} goods found", 0, 0
    if read < wanted:
        return f"reading: {read:,} of {wanted:,} goods", read, wanted
    return f"judging {wanted:,} goods", 0, 0


@dataclass
class Pace:
    """How fast it has gone of late, so how long it may take."""

    points: deque[tuple[float, int, int]] = field(default_factory=deque)

    def left(self, done: int, whole: int) -> str:
        """`, about 12 min left`; nothing as long as nothing is known."""
        now = time.monotonic()
        if self.points and (self.points[-1][2] == 0 or done < self.points[-1][1]):
            self.points.clear()
        self.points.append((now, done, whole))
        while now - self.points[0][0] > PACE_SECONDS:
            self.points.popleft()
        begun, first, _ = self.points[0]
        if whole == 0 or done <= first or now - begun < 5 * EVERY_SECONDS:
            return ""
        return f", about {duration((whole - done) * (now - begun) / (done - first))} left"


def duration(seconds: float) -> str:
    """In the two largest units at most: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class Screen:
    """Where progress goes: one line that changes, or a line now and then where it is kept."""

    is_terminal: bool = field(default_factory=sys.stdout.isatty)
    _said: str = ""
    _stage: str = ""
    _said_at: float = float("-inf")

    def show(self, line: str, stage: str) -> None:
        """Tells `line`, at once when the stage is another."""
        if line == self._said:
            return
        if self.is_terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\x1b[K{line[:width]}")
            sys.stdout.flush()
        elif stage != self._stage or time.monotonic() - self._said_at >= LINE_SECONDS:
            say(line)
            self._said_at = time.monotonic()
        self._said, self._stage = line, stage

    def close(self) -> None:
        """Ends the line that changes."""
        if self.is_terminal and self._said:
            say()
        self._said = ""


def report(run: dict[str, Any]) -> None:
    """What came of a run."""
    counts = run["counts"]
    seconds = (
        datetime.fromisoformat(run["ended_at"]) if run["ended_at"] else datetime.now(UTC)
    ) - datetime.fromisoformat(run["started_at"])
    say(f"{run['platform']}: {run['status']} after {duration(seconds.total_seconds())}")
    if run["failure"]:
        say(f"  {run['failure']}")
        advice = ADVICE.get(run["failure"].split(":")[0])
        if advice:
            say(f"  {advice}")
    if run["status"] == "waiting":
        share = float(run["change_share"]) * 100
        say(f"  it would change {share:.1f} % of what is on sale: an admin decides")
        say(f"  review_sync_run('{run['id']}', 'approve' or 'discard')")
    for name in (
        *("found", "accepted", "new", "changed", "repriced", "restocked", "variants", "pictures"),
        *("absent", "delisted", "seen_again", "pages_given_up"),
    ):
        if counts.get(name) or name in ("found", "accepted"):
            say(f"  {name.replace('_', ' '):<32} {counts.get(name, 0):>9,}")
    for reason, goods in sorted(counts.get("rejected", {}).items(), key=lambda one: -one[1]):
        say(f"  {'not taken: ' + reason.replace('_', ' '):<32} {goods:>9,}")
    if counts.get("categories_waiting"):
        say(f"  {counts['categories_waiting']} categories wait to be mapped: supplier_categories()")


def watch(session: Session, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has ended or waits; tells how it goes until then."""
    screen, pace = Screen(), Pace()
    changed_at, before = time.monotonic(), ""
    try:
        while run["status"] in WORKING:
            words, done, whole = progress(run)
            line = f"{run['platform']}: {words}{pace.left(done, whole)}"
            if words != before:
                changed_at, before = time.monotonic(), words
            if run["pause_reason"]:
                line += f"; waiting for the supplier ({run['pause_reason']})"
            elif time.monotonic() - changed_at > SILENT_SECONDS:
                line += "; nothing for a while: is worker-supply running?"
            screen.show(line, f"{words.split(':')[0]} {run['pause_reason']}")
            time.sleep(EVERY_SECONDS)
            run = session.call("sync_progress", run_id=run["id"])
    finally:
        screen.close()
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
        run = session.call("start_sync", platform=asked.platform)
        age = datetime.now(UTC) - datetime.fromisoformat(run["started_at"])
        if age.total_seconds() > EVERY_SECONDS and run["status"] in WORKING:
            say(f"{run['platform']}: under way for {duration(age.total_seconds())} already")
        run = watch(session, run)
    report(run)
    return 1 if run["status"] == "failed" else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("no longer watching; the sync goes on")
        sys.exit(130)
    except DatabaseUnavailable:
        complain("sync: the stack does not answer: is ./scripts/run still at work?")
        sys.exit(1)
    except (Failure, AppError) as failure:
        complain(f"sync: {failure}")
        sys.exit(1)
