"""Answers: JSON that keeps money's digits, and public ones that caches may hold."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from flask import Response, request

from edge_workers import exact_json
from edge_workers.cache import Fetched

PUBLIC_SECONDS: Final = 30
"""How long an anonymous answer is fresh at a reader, and here while the catalogue is the same."""
PUBLIC_CACHE_CONTROL: Final = (
    f"public, max-age={PUBLIC_SECONDS}, s-maxage=5, stale-while-revalidate=10, stale-if-error=600"
)
"""The same that private.is_not_modified() says for PostgREST's answers."""


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(
        exact_json.dumps(value),
        status,
        headers=headers,
        content_type="application/json",
    )


def public_answer(fetched: Fetched) -> Response:
    """An answer that is the same for every anonymous caller, with ETag; 304 when they have it."""
    response = Response(fetched.body, content_type="application/json")
    # What stands in for a newer one is not handed on for longer than it takes to try again.
    response.headers["Cache-Control"] = (
        "public, max-age=1" if fetched.state == "stale" else PUBLIC_CACHE_CONTROL
    )
    response.headers["X-Cache"] = fetched.state.upper()
    response.vary.update(("Accept-Language", "Authorization"))
    response.set_etag(hashlib.sha256(fetched.body).hexdigest()[:32])
    response.make_conditional(request)
    return response
