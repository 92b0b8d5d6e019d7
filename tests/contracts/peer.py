"""A peer on the loopback interface that says exactly what a test wants, and keeps what it heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Heard:
    """One request, byte for byte."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int = 200
    raw: bytes = b"OK"
    headers: dict[str, str] = field(default_factory=dict)


class Peer:
    """Answers in the order given, then always with the last one (200 when none was given)."""

    def __init__(self, answers: list[Said]) -> None:
        self.heard: list[Heard] = []
        self.answers = answers
        self._condition = threading.Condition()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                heard = Heard(self.command, self.path, headers, self.rfile.read(length))
                said = peer.take(heard)
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(said.raw)))
                self.end_headers()
                self.wfile.write(said.raw)

            do_GET = do_POST = do_PUT = _take  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def take(self, heard: Heard) -> Said:
        """Keep a request and choose its answer."""
        with self._condition:
            self.heard.append(heard)
            self._condition.notify_all()
            if not self.answers:
                return Said()
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Heard]:
        """What was heard, once there are so many; an AssertionError after the seconds."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while len(self.heard) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"heard {len(self.heard)} of {count}"
                self._condition.wait(left)
            return list(self.heard)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def peer(*answers: Said) -> Iterator[Peer]:
    """A peer for the length of a block."""
    listening = Peer(list(answers))
    listening.start()
    try:
        yield listening
    finally:
        listening.stop()
