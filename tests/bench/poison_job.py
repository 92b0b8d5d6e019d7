"""What jobs that always fail cost the others of their queue, and where they end (R17).

Both sides hand the same number of good jobs to the running relay and worker and wait until all are
done; on side `poison` one more in a hundred always fails, tried again as its back-off allows.
The good jobs are webhooks whose row is gone: begun, looked up, done.
"""

import argparse
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from psycopg.types.json import Jsonb
from redis import Redis

from tests.bench import report, rounds
from tests.bench.report import Target
from tests.bench.rounds import Measurement, Round, Summary
from tests.bench.stand import Programs, connect, read_environment, say, settle
from tests.concurrency.shoppers import Admin
from worker import queues

JOB, QUEUE = "handle_webhook", "payments"
RESTING = ("worker-mail", "worker-maintenance", "edge", "sandbox", "auth", "postgrest")
JOBS, POISON_SHARE = 200, 100
PATIENCE_SECONDS = 120.0
R17_RATIO = 0.9


@dataclass
class Line:
    """The outbox, and the jobs of this run that always fail."""

    admin: Admin
    poison: list[str] = field(default_factory=list)

    def emit(self, event_ids: Sequence[str]) -> list[str]:
        """Rows that are due at once, in one transaction; their ids."""
        rows = self.admin.execute(
            "insert into private.outbox (job, args) select %s, args "
            "from jsonb_array_elements(%s) as args returning id",
            [JOB, Jsonb([{"event_id": event_id} for event_id in event_ids])],
        ).fetchall()
        return [str(row["id"]) for row in rows]

    def run(self, *, is_poisoned: bool) -> Measurement:
        """Good jobs from the outbox to their end; p50 and p99 are from emitted to done."""
        good = [str(uuid.uuid4()) for _ in range(JOBS)]
        if is_poisoned:
            # No uuid: the database refuses the argument each time.
            self.poison += self.emit([f"poison-{n}" for n in range(JOBS // POISON_SHARE)])
        began = time.monotonic()
        ids = self.emit(good)
        deadline = began + PATIENCE_SECONDS
        while self._open(ids) and time.monotonic() < deadline:
            time.sleep(0.02)
        seconds = time.monotonic() - began
        self._put_off()
        taken = [
            float(row["ms"])
            for row in self.admin.execute(
                "select extract(epoch from done_at - created_at) * 1000 as ms "
                "from private.outbox where id = any(%s::uuid[]) and done_at is not null",
                [ids],
            )
        ]
        return Measurement(
            requests=len(taken),
            seconds=seconds,
            p50_ms=statistics.median(taken),
            p99_ms=rounds.percentile(taken, 0.99),
            max_ms=max(taken),
            failed=JOBS - len(taken),
        )

    def _put_off(self) -> None:
        """The round's poison troubles no other: each attempt ends, and none follows for an hour."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            # A lease ends later than the back-off after these few attempts.
            self.admin.execute(
                "update private.outbox set available_at = now() + interval '1 hour' "
                "where id = any(%s::uuid[]) and failed_at is null and last_error is not null "
                "and available_at < now() + interval '30 seconds'",
                [self.poison],
            )
            row = self.admin.execute(
                "select count(*) as n from private.outbox where id = any(%s::uuid[]) "
                "and failed_at is null and available_at < now() + interval '10 minutes'",
                [self.poison],
            ).fetchone()
            assert row is not None
            if not row["n"]:
                return
            time.sleep(0.05)

    def _open(self, ids: Sequence[str]) -> int:
        row = self.admin.execute(
            "select count(*) as n from private.outbox "
            "where id = any(%s::uuid[]) and done_at is null and failed_at is null",
            [ids],
        ).fetchone()
        assert row is not None
        return int(row["n"])

    def let_die(self) -> int:
        """Lets time pass until all poison is dead; how many attempts a job may have."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._open(self.poison) and time.monotonic() < deadline:
            # Only where an attempt has failed: each hand-over counts as one.
            self.admin.execute(
                "update private.outbox set available_at = now(), last_error = null "
                "where id = any(%s::uuid[]) and failed_at is null and last_error is not null",
                [self.poison],
            )
            time.sleep(0.1)
        row = self.admin.execute(
            "select max_attempts from private.jobs where job = %s", [JOB]
        ).fetchone()
        assert row is not None
        return int(row["max_attempts"])


def tell(one: Round) -> None:
    """One line a round."""
    seen = one.measurement
    say(
        f"  {one.number:>2} {one.side:<7} {seen.rate:6.1f} jobs/s  p50 {seen.p50_ms:7.0f} ms  "
        f"p99 {seen.p99_ms:7.0f} ms  undone {seen.failed}  core {one.core_ms:5.1f} ms  "
        f"foreign {one.foreign:4.0%}{'' if one.is_clean else '  (disturbed)'}"
    )


def main() -> int:
    """Exit status 0: measured, whatever the figures."""
    parser = argparse.ArgumentParser(prog="poison_job", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    environment = read_environment()
    programs = Programs(environment["SUPERVISOR_SOCKET"])
    roots = (programs.pid(), os.getpid())
    with connect(environment) as admin, programs.resting(RESTING):
        line = Line(admin)
        line.run(is_poisoned=False)
        settle(admin)
        sides: dict[str, Callable[[], Measurement]] = {
            "clean": partial(line.run, is_poisoned=False),
            "poison": partial(line.run, is_poisoned=True),
        }
        done = rounds.interleave(sides, asked.rounds, roots, tell)
        most = line.let_die()
        ended = admin.execute(
            "select attempts, failed_at is not null as is_dead from private.outbox "
            "where id = any(%s::uuid[])",
            [line.poison],
        ).fetchall()
        with Redis.from_url(environment["REDIS_URL"]) as redis:
            registry = queues.open_queue(QUEUE, redis).failed_job_registry
            listed = set(registry.get_job_ids())
    wrong = sum(not (row["is_dead"] and row["attempts"] == most) for row in ended)
    missing = sum(f"{JOB}-{id_}" not in listed for id_ in line.poison)
    used, is_clean = rounds.counted(done)
    by_round = rounds.ratios(used, "poison", "clean")
    say()
    report.table(
        ["side", "jobs/s", "least", "most", "p99 ms", "core ms"],
        [
            [side, s.rate, s.rate_least, s.rate_most, s.p99_ms, s.core_ms]
            for side in sides
            for s in [Summary.of(used, side)]
        ],
    )
    report.conclude(
        "poison_job",
        {
            "jobs_a_round": JOBS,
            "poison_a_round": JOBS // POISON_SHARE,
            "max_attempts": most,
            "poison_jobs": len(line.poison),
            "ratio": round(statistics.median(by_round), 3),
            "ratio_range": [round(min(by_round), 3), round(max(by_round), 3)],
            "clean": asdict(Summary.of(used, "clean")),
            "poison": asdict(Summary.of(used, "poison")),
            "is_undisturbed": is_clean,
            "rounds": [one.as_json() for one in done],
        },
        [
            Target.at_least(
                "R17",
                "throughput with poison / without",
                round(statistics.median(by_round), 3),
                R17_RATIO,
            ),
            Target.at_most("R17", f"poison not dead after exactly {most} attempts", wrong, 0),
            Target.at_most("R17", "poison missing among the failed jobs", missing, 0),
            Target.at_most(
                "R17", "good jobs left undone", sum(one.measurement.failed for one in done), 0
            ),
        ],
        note="" if is_clean else "too few undisturbed rounds, all are counted: see foreign_cpu",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
