"""`POST {base}/embeddings`: `contracts.embeddings.EmbeddingProvider`.

`{model, input, dimensions, encoding_format}` leads to `{data: [{index, embedding}]}`; with
`encoding_format` `base64` an embedding is little-endian float32 in base64, with `float` a list.
Other servers of the protocol answer a list whatever was asked, so both are read.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from edge_workers.providers import json_text
from edge_workers.providers.contracts.embeddings import DIMENSIONS
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.transport import Transport

LONGEST_TEXT = 8_000
"""Characters: well below the 8,192 tokens that one input may have."""
MOST_TEXTS = 2_048
MAX_ANSWER_BYTES = 32_000_000


class OpenaiEmbeddings:
    """One account and one model."""

    name = "openai"

    def __init__(self, *, api_key: str, base_url: str, model: str, timeout_seconds: float) -> None:
        if not api_key.isascii() or not api_key.isprintable():
            raise Misconfigured("OPENAI_API_KEY is not printable ASCII.")
        self.model = model
        self._headers = {
            "authorization": f"Bearer {api_key}",
            "accept": "application/json",
            "content-type": "application/json",
        }
        self._transport = Transport(
            provider=self.name,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    def embed(self, texts: Sequence[str]) -> list[str]:
        """A vector for each text. Raises `ValueError` for none or more than `MOST_TEXTS`."""
        if not 0 < len(texts) <= MOST_TEXTS:
            raise ValueError(f"between 1 and {MOST_TEXTS} texts are embedded at a time")
        answer = self._transport.send(
            "POST",
            "/embeddings",
            operation="embed",
            headers=self._headers,
            content=json_text.dumps(
                {
                    "model": self.model,
                    # An empty input is an error over there.
                    "input": [text[:LONGEST_TEXT].strip() or "-" for text in texts],
                    "dimensions": DIMENSIONS,
                    "encoding_format": "base64",
                }
            ),
        )
        if answer.status in (401, 403, 404):
            raise Misconfigured(
                f"OpenAI does not accept our key or model ({answer.status}).", code="key_refused"
            )
        if answer.status != 200:
            raise Rejected(f"OpenAI refused the texts ({answer.status}).", code="refused")
        return _vectors(answer.json(), len(texts))


def _vectors(body: Any, count: int) -> list[str]:
    """The vectors in the order of the texts. Raises `Unavailable` for any other answer."""
    rows = body.get("data") if isinstance(body, Mapping) else None
    found: dict[int, str] = {}
    for row in rows if isinstance(rows, list) else ():
        numbers = _numbers(row.get("embedding")) if isinstance(row, Mapping) else None
        place = row.get("index") if isinstance(row, Mapping) else None
        if numbers is None or not isinstance(place, int):
            break
        # The database keeps half precision and refuses what is too small for it.
        found[place] = "[" + ",".join(f"{number:.6f}" for number in numbers) + "]"
    if sorted(found) != list(range(count)):
        raise Unavailable("OpenAI's answer is not one of its own.", code="answer_malformed")
    return [found[place] for place in range(count)]


def _numbers(value: Any) -> Sequence[float] | None:
    """The numbers of an embedding in either form; None when it is not one of our length."""
    numbers: Sequence[float]
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != 4 * DIMENSIONS:
            return None
        numbers = struct.unpack(f"<{DIMENSIONS}f", raw)
    elif isinstance(value, list) and len(value) == DIMENSIONS:
        try:
            numbers = [float(number) for number in value]
        except (TypeError, ValueError):
            return None
    else:
        return None
    return numbers if all(map(math.isfinite, numbers)) and any(numbers) else None
