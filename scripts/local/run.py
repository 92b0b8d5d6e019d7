"""./scripts/run: the whole stack, from nothing to its URLs."""

import argparse
import os
import signal
import subprocess
import sys
import types

from scripts.local import migrations
from scripts.local.console import Failure, complain, say
from scripts.local.settings import ROOT, load_stack, read_env_file
from scripts.local.stack import NODE_BIN, RunningStack, forget, only_one
from scripts.local.supervision import Supervisor


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="./scripts/run", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--detach", action="store_true", help="return once all is healthy")
    group.add_argument("--stop", action="store_true", help="end a running stack")
    group.add_argument(
        "--journey",
        nargs="?",
        const="shopper",
        choices=("shopper", "payments", "discovery"),
        help="play a journey against the stack: the shopper's (the default), the payments' or the "
        "discovery of a supplier's goods",
    )
    parser.add_argument("--fresh", action="store_true", help="forget the data first")
    return parser.parse_args()


def summary(running: RunningStack) -> None:
    """URLs, keys and demo logins."""
    values = running.values
    say()
    say("Mallgram is up.")
    for title, text in (
        ("Supabase URL", values["SUPABASE_URL"]),
        ("Edge", f"{values['EDGE_URL']}  (API docs: {values['EDGE_URL']}/docs)"),
        ("Sandbox, mail", f"{values['SANDBOX_URL']}/_sandbox/mail"),
        ("Database", values["DATABASE_ADMIN_URL"]),
        ("anon key", values["SUPABASE_ANON_KEY"]),
        ("service key", values["SUPABASE_SERVICE_ROLE_KEY"]),
        ("Admin", f"{values['DEMO_ADMIN_EMAIL']} / {values['DEMO_PASSWORD']}"),
        ("Shopper", f"{values['DEMO_SHOPPER_EMAIL']} / {values['DEMO_PASSWORD']}"),
        ("Affiliate", f"{values['DEMO_AFFILIATE_EMAIL']} / {values['DEMO_PASSWORD']}"),
        ("All of it", str(running.stack.env_file.relative_to(ROOT))),
        ("Logs", str(running.stack.logs.relative_to(ROOT))),
    ):
        say(f"  {title:<14} {text}")


def interrupt(_number: int, _frame: types.FrameType | None) -> None:
    """A signal to end is handled like Ctrl-C."""
    raise KeyboardInterrupt


def play_journey(running: RunningStack, name: str) -> int:
    """Run the journey of that name with the env file; answers its exit code."""
    script = ROOT / "tests" / "journeys" / f"{name}.journey.mjs"
    environment = {
        **os.environ,
        **read_env_file(running.stack.env_file),
        "MALLGRAM_ENV_FILE": str(running.stack.env_file),
    }
    return subprocess.run(
        [str(NODE_BIN / "node"), str(script)], cwd=ROOT, env=environment, check=False
    ).returncode


def start(running: RunningStack, *, detach: bool) -> None:
    """Start everything; on any failure nothing stays behind."""
    say("Starting Mallgram")
    try:
        running.start(detach=detach)
    except BaseException:
        running.stop()
        raise


def stop(supervisor: Supervisor) -> int:
    """End a running stack, if one is running."""
    if not supervisor.is_running():
        say("Mallgram is not running.")
        return 0
    supervisor.stop()
    say("Mallgram has stopped.")
    return 0


def attend(running: RunningStack) -> int:
    """Stay until Ctrl-C, then end everything."""
    say("\nCtrl-C stops everything.")
    try:
        running.watch()
    except KeyboardInterrupt:
        say("\nStopping")
        running.stop()
        return 0
    raise Failure("the stack has been stopped from elsewhere")


def main() -> int:
    """Do what the command line says; answers the exit code."""
    asked = arguments()
    stack = load_stack("run")
    supervisor = Supervisor(stack)
    if asked.stop:
        return stop(supervisor)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    running = RunningStack(stack)
    with only_one(stack):
        if asked.fresh:
            supervisor.stop()
            forget(stack)
        was_running = supervisor.is_running()
        if not was_running:
            start(running, detach=asked.detach or asked.journey is not None)
        elif not asked.detach and not asked.journey:
            raise Failure("Mallgram is already running: ./scripts/run --stop ends it")
        elif not migrations.is_current(stack):
            raise Failure("there are new migrations: run ./scripts/db push")
        else:
            running.confirm()
    if asked.journey:
        try:
            return play_journey(running, asked.journey)
        finally:
            if not was_running:
                running.stop()
    summary(running)
    if not asked.detach:
        return attend(running)
    say("\nIt runs in the background: ./scripts/run --stop ends it.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        complain("\nstopped")
        sys.exit(130)
    except Failure as failure:
        complain(f"run: {failure}")
        sys.exit(1)
