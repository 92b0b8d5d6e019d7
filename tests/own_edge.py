"""An edge of a test's own: one process, served as the stack's is, on the same stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import ROOT, wait_until
from tests.sandbox.running import free_port


@contextmanager
def running_edge(stack_env: dict[str, str], log: Path, **settings: str) -> Iterator[str]:
    """Its URL. `settings` are set otherwise than the stack's; what it learns ends with it."""
    port = str(free_port())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--config", "scripts/local/gunicorn.conf.py"),
                "edge_workers.app:create_app()",
            ],
            cwd=ROOT,
            env={**os.environ, **stack_env, "PORT": port, "EDGE_WORKERS": "1", **settings},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/health/live", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(is_up, 120)
        yield url
    finally:
        process.terminate()
        process.wait(30)
