"""./scripts/bench: the benchmarks in tests/bench, against a throw-away stack of their own."""

import argparse
import os
import signal
import subprocess
import sys

from scripts.local.console import Failure, complain, say
from scripts.local.run import interrupt
from scripts.local.settings import ROOT, load_stack
from scripts.local.stack import PYTHON, throw_away

BENCH = ROOT / "tests" / "bench"
RESULTS = ROOT / ".local" / "bench"


def names() -> list[str]:
    """The benchmarks there are: modules of tests/bench with a main function."""
    return sorted(
        path.stem
        for path in BENCH.glob("[a-z]*.py")
        if "\ndef main(" in path.read_text(encoding="utf-8")
    )


def main() -> int:
    """Run one benchmark or all; answers the exit code."""
    known = names()
    parser = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=known, help="all when none is named")
    asked = parser.parse_args()
    chosen = [asked.name] if asked.name else known
    if not chosen:
        raise Failure("there is no benchmark in tests/bench")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    failed: list[str] = []
    say("Starting a throw-away stack")
    with throw_away(load_stack("bench")) as running:
        RESULTS.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **running.values,
            "MALLGRAM_ENV_FILE": str(running.stack.env_file),
            "BENCH_DIR": str(RESULTS),
        }
        for name in chosen:
            say(f"\n== {name}")
            done = subprocess.run(
                [str(PYTHON), "-m", f"tests.bench.{name}"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode != 0:
                failed.append(name)
    if failed:
        raise Failure(f"failed: {', '.join(failed)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("\nstopped")
        sys.exit(130)
    except Failure as failure:
        complain(f"bench: {failure}")
        sys.exit(1)
