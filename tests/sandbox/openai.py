"""OpenAI's embeddings (`POST /openai/v1/embeddings`), as its reference and library have them.

A vector is the sum of one made of each word, so that texts are as near as they share words; words
of `SAME` count as one, which is what a model knows and text search does not. The key is checked,
an empty input refused, `encoding_format` obeyed.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.sandbox.world import World, answered

SAME = (
    frozenset({"thermos", "flask", "isotherme"}),
    frozenset({"warm", "cosy", "chaud", "douillet"}),
    frozenset({"gift", "present", "cadeau"}),
    frozenset({"hubbub", "brouhaha"}),
)
MOST_INPUTS = 2_048
MODELS = {"text-embedding-3-small": 1_536, "text-embedding-3-large": 3_072}


class Openai:
    """One account; it has no state."""

    name = "openai"

    def __init__(self, world: World) -> None:
        self._world = world

    def blueprint(self) -> Blueprint:
        """`/openai/v1/embeddings`."""
        blueprint = Blueprint("openai", __name__)

        @blueprint.post("/openai/v1/embeddings")
        def embed() -> Response:
            return answered(self._world, self.name, "embed", _embed)

        return blueprint


def _embed() -> Response:
    authorization = request.headers.get("authorization", "")
    if not re.fullmatch(r"Bearer sk-[\w-]{8,}", authorization):
        return _refusal(401, "Incorrect API key provided.", "invalid_api_key")
    body: dict[str, Any] = request.get_json(silent=True) or {}
    model, texts = body.get("model"), body.get("input")
    if model not in MODELS:
        return _refusal(404, f"The model `{model}` does not exist.", "model_not_found")
    texts = [texts] if isinstance(texts, str) else texts
    if (
        not isinstance(texts, list)
        or not 0 < len(texts) <= MOST_INPUTS
        or not all(isinstance(text, str) and text for text in texts)
    ):
        return _refusal(400, "'$.input' is invalid.", "invalid_request_error")
    size = body.get("dimensions", MODELS[model])
    if not isinstance(size, int) or not 0 < size <= MODELS[model]:
        return _refusal(400, "Invalid value for 'dimensions'.", "invalid_request_error")
    is_packed = body.get("encoding_format", "float") == "base64"
    rows = [
        {
            "object": "embedding",
            "index": place,
            "embedding": _packed(vector) if is_packed else vector,
        }
        for place, vector in enumerate(vector_of(text, size) for text in texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    return jsonify(
        {
            "object": "list",
            "data": rows,
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def vector_of(text: str, size: int) -> list[float]:
    """A vector of length one."""
    total = [0.0] * size
    for word in re.findall(r"\w+", text.lower()):
        meaning = next((min(same) for same in SAME if word in same), word)
        seed = hashlib.shake_128(meaning.encode()).digest(size)
        total = [sum_ + byte / 127.5 - 1 for sum_, byte in zip(total, seed, strict=True)]
    length = math.sqrt(sum(number * number for number in total)) or 1.0
    return [number / length for number in total] if any(total) else [1.0] + [0.0] * (size - 1)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _refusal(status: int, message: str, code: str) -> Response:
    answer = jsonify(
        {
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": None,
                "code": code,
            }
        }
    )
    answer.status_code = status
    return answer
