"""`python -m tests.sandbox`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.sandbox.app import build
from tests.sandbox.settings import MissingSetting, read_settings

_log = logging.getLogger("sandbox")


class _QuietHandler(WSGIRequestHandler):
    """Calls are logged where they are understood; health checks not at all."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def main() -> int:
    """Start everything, wait for a signal, stop everything."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s %(message)s"
    )
    for noisy in ("httpx", "mail.log"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = read_settings()
    except MissingSetting as error:
        _log.error("%s", error)
        return 2
    sandbox = build(settings)
    server = make_server(
        "127.0.0.1", settings.port, sandbox.app, threaded=True, request_handler=_QuietHandler
    )
    sandbox.start()
    serving = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    serving.start()
    _log.info("listening on %s, SMTP on 127.0.0.1:%d", settings.url, settings.smtp_port)

    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    stopping.wait()
    server.shutdown()
    sandbox.stop()
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
