"""The catalogue's version as the database has it, asked for at most once a second.

Every change of what anonymous pages show raises it. A cache that compares versions needs nobody
to tell it what to forget.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from edge_workers.errors import AppError
from edge_workers.log import get_logger

log = get_logger(__name__)

ASKED_EVERY_SECONDS: Final = 1.0
"""How long a change may go unseen."""


class CatalogueVersion:
    """The last version that `ask` told. Thread-safe."""

    def __init__(
        self, ask: Callable[[], int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = threading.Lock()
        self._asked_at = float("-inf")
        self._version: int | None = None

    def current(self) -> int | None:
        """The version, at most about a second old; None while it was never told.

        While the database cannot be asked it stays as it was: nothing can change meanwhile.
        """
        if self._clock() - self._asked_at < ASKED_EVERY_SECONDS:
            return self._version
        if not self._asking.acquire(blocking=False):
            return self._version
        try:
            self._version = self._ask()
        except AppError as error:
            log.warning("catalogue_version.unknown", code=error.code)
        finally:
            self._asked_at = self._clock()
            self._asking.release()
        return self._version
