"""The name of a request, which follows what it causes through logs and rows."""

import random
import re
from collections.abc import Mapping
from typing import Any, Final

_SANE: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The caller's own X-Request-ID where it is a sane one, else a new one."""
    given: str = environ.get("HTTP_X_REQUEST_ID", "")
    if _SANE.fullmatch(given):
        return given
    # It guards nothing: no question to the kernel for each request.
    return f"{random.getrandbits(128):032x}"
