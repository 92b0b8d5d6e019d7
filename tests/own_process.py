"""A process of a test's own, that speaks HTTP on a port of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import ROOT, wait_until


@contextmanager
def own_process(
    module: Sequence[str], environment: Mapping[str, str], log: Path, health_url: str
) -> Iterator[None]:
    """Runs `python -m module…` until the block ends, from when `health_url` answers well.

    `environment` is set beside the tests' own; what the process says goes to `log`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )

    def is_up() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            return httpx.get(health_url, trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(is_up, 120)
        yield
    finally:
        process.terminate()
        process.wait(30)
