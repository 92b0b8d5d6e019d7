"""An edge of a test's own: one process, served as the stack's is, on the same stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.own_process import own_process
from tests.sandbox.running import free_port


@contextmanager
def running_edge(stack_env: dict[str, str], log: Path, **settings: str) -> Iterator[str]:
    """Its URL. `settings` are set otherwise than the stack's; what it learns ends with it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with own_process(
        ("gunicorn", "--config", "scripts/local/gunicorn.conf.py", "edge_workers.app:create_app()"),
        {**stack_env, "PORT": str(port), "EDGE_WORKERS": "1", **settings},
        log,
        f"{url}/health/live",
    ):
        yield url
