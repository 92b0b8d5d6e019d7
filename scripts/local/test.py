"""./scripts/test: the tests, against a throw-away stack of real parts on ports of its own."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.local import db, postgres
from scripts.local.console import Failure, complain, say
from scripts.local.run import interrupt
from scripts.local.settings import ROOT, load_stack
from scripts.local.stack import NODE_BIN, PYTHON, RunningStack, throw_away

PG_PROVE = "/usr/bin/pg_prove"
DATABASE = "pgtap"
# How each runner counts in its closing lines.
PYTEST_COUNT = re.compile(r"(\d+) passed")
PROVE_COUNT = re.compile(r"^Files=\d+, Tests=(\d+)", re.MULTILINE)
NODE_COUNT = re.compile(r"^(?:ℹ|#) pass (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One part of the tests: how it is run and how its runner counts."""

    title: str
    command: Callable[[RunningStack, list[str]], list[str]]
    count: re.Pattern[str]


def files(*patterns: str) -> list[str]:
    """Files of the clone by glob pattern; raises Failure when a pattern finds none."""
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
        if not matches:
            raise Failure(f"there is no test file {pattern}")
        found += matches
    return found


def prove(running: RunningStack, more: list[str]) -> list[str]:
    """pg_prove over every pgTAP file, in a database made by the migrations and nothing else."""
    db.from_migrations(running.stack, running.keys, DATABASE)
    address = postgres.admin_url(running.stack, running.keys, DATABASE)
    postgres.psql(address, "pgTAP", command="create extension pgtap with schema extensions;")
    chosen = more or files("supabase/tests/**/*.test.sql")
    return [PG_PROVE, "--failures", "--comments", "-d", address, *chosen]


def pytest_over(*folders: str, abreast: int = 0) -> Callable[[RunningStack, list[str]], list[str]]:
    """Pytest over folders, each of which must hold a test; so many of its groups at a time."""
    groups = [f"--numprocesses={abreast}"] if abreast else []

    def command(_running: RunningStack, more: list[str]) -> list[str]:
        files(*(f"{folder}/**/test_*.py" for folder in folders))
        return [str(PYTHON), "-m", "pytest", "--durations=5", *groups, *folders, *more]

    return command


def node_tests(_running: RunningStack, more: list[str]) -> list[str]:
    """Node's own runner over the supabase-js suite."""
    chosen = files("tests/supabase_js/*.test.mjs")
    return [str(NODE_BIN / "node"), "--test", "--test-reporter=spec", *more, *chosen]


def soak(_running: RunningStack, more: list[str]) -> list[str]:
    """The long form of the fault and race runs: hours are allowed."""
    return [str(PYTHON), "-m", "pytest", "-m", "soak", "--timeout=0", "tests", *more]


PARTS: Mapping[str, Part] = {
    "db": Part("db", prove, PROVE_COUNT),
    "unit": Part(
        "unit",
        pytest_over(
            "tests/properties", "tests/edge_workers", "tests/worker", "tests/contracts", abreast=3
        ),
        PYTEST_COUNT,
    ),
    "api": Part("api", node_tests, NODE_COUNT),
    "e2e": Part(
        "e2e",
        pytest_over("tests/journeys", "tests/concurrency", "tests/faults"),
        PYTEST_COUNT,
    ),
    "soak": Part("soak", soak, PYTEST_COUNT),
}
WHOLE = ("db", "unit", "e2e", "api")


def run_part(part: Part, running: RunningStack, more: list[str]) -> str | None:
    """Run one part, its output shown as it comes; answers what is wrong, or None."""
    try:
        command = part.command(running, more)
    except Failure as failure:
        return str(failure)
    output: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment(running)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        try:
            for line in process.stdout:
                output.append(line)
                sys.stdout.write(line)
                sys.stdout.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        return f"exit code {process.returncode}"
    counted = part.count.findall(re.sub(r"\x1b\[[0-9;]*m", "", "".join(output)))
    if not counted or int(counted[-1]) == 0:
        return "no test ran"
    return None


def environment(running: RunningStack) -> dict[str, str]:
    """What every runner finds in its environment: where the stack is."""
    stack = running.stack
    return {
        **running.values,
        "MALLGRAM_ENV_FILE": str(stack.env_file),
        "NODE_EXTRA_CA_CERTS": str(stack.tls_dir / "authority.pem"),
        "DO_NOT_TRACK": "1",
    }


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """What was asked for; what follows -- goes to the part's runner."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(
        prog="./scripts/test",
        description=__doc__,
        epilog="What follows -- goes to the part's runner: ./scripts/test unit -- -k health",
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help="db (pgTAP), unit (properties, edge, worker, contracts), api (supabase-js), e2e "
        "(journeys, concurrency, faults), soak (the long runs); all but soak when none is named",
    )
    asked = parser.parse_args(given[:cut])
    unknown = [name for name in asked.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS)}")
    return asked, given[cut + 1 :]


def main() -> int:
    """Run the parts; answers the exit code."""
    asked, more = arguments()
    names = asked.parts or list(WHOLE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    say("Starting a throw-away stack")
    only_database = names == ["db"]
    results: dict[str, str | None] = {}
    with throw_away(
        load_stack("test"),
        names=("postgres", "auth") if only_database else None,
        migrate=not only_database,
    ) as running:
        for name in names:
            say(f"\n== {name} " + "=" * 70)
            started = time.monotonic()
            results[name] = run_part(PARTS[name], running, more)
            say(f"-- {name}: {results[name] or 'ok'} ({time.monotonic() - started:.0f} s)")
        failed = [name for name, wrong in results.items() if wrong]
        if failed:
            keep_logs(running)
    say()
    for name, wrong in results.items():
        say(f"{'FAILED' if wrong else 'ok':<8}{name}" + (f": {wrong}" if wrong else ""))
    return 1 if failed else 0


def keep_logs(running: RunningStack) -> None:
    """Say where the programs' logs of a failed run are; they stay until the next one."""
    say(f"   the programs' logs: {Path(running.stack.logs).relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("\nstopped")
        sys.exit(130)
    except Failure as failure:
        complain(f"test: {failure}")
        sys.exit(1)
