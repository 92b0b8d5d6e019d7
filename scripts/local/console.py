"""What the verbs say to the person at the terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Failure(Exception):
    """A verb cannot go on; the message is one clear sentence, shown without a traceback."""


def say(text: str = "") -> None:
    """Write one line to the terminal at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show a step and, when it is done, the seconds it took."""
    started = time.monotonic()
    sys.stdout.write(f"  {text} … ")
    sys.stdout.flush()
    try:
        yield
    except BaseException:
        sys.stdout.write("failed\n")
        sys.stdout.flush()
        raise
    say(f"{time.monotonic() - started:.1f} s")
