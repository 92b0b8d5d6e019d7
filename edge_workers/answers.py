"""Answers: JSON that keeps money's digits, and public ones that caches may hold."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from flask import Response, request

from edge_workers import exact_json

PUBLIC_SECONDS: Final = 30
"""How long an anonymous answer is fresh, here and at whoever caches it on the way."""


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(
        exact_json.dumps(value),
        status,
        headers=headers,
        content_type="application/json",
    )


def public_answer(body: bytes) -> Response:
    """A body that is the same for every anonymous caller, with ETag; 304 when they have it."""
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = (
        f"public, max-age={PUBLIC_SECONDS}, stale-while-revalidate={2 * PUBLIC_SECONDS}"
    )
    response.vary.update(("Accept-Language", "Authorization"))
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.make_conditional(request)
    return response
