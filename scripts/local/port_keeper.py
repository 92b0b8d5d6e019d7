"""Keeps the stack's ports from being lent to clients.

`python -m scripts.local.port_keeper 54321 54322 …`. The ports lie in the range from which Linux
picks the local end of outgoing connections. Without this, a program that restarts could find its
port taken by somebody's connection. A port that is bound, but not listened on, is never picked,
and a program may still listen on it.
"""

import signal
import socket
import sys
import time
from contextlib import suppress

RETRY_SECONDS = 5


def keep(port: int) -> socket.socket:
    """A socket bound to the port; raises OSError while a program listens on it already."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


def main() -> None:
    """Hold every port named on the command line until told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    held: dict[int, socket.socket] = {}
    while True:
        for port in map(int, sys.argv[1:]):
            if port not in held:
                with suppress(OSError):
                    held[port] = keep(port)
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
