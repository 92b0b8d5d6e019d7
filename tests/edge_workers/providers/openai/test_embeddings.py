"""What is sent to an embeddings API, to the letter, and what becomes of its answers."""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
from typing import Any

import pytest
from pydantic import SecretStr

from edge_workers.providers import registry
from edge_workers.providers.contracts.embeddings import DIMENSIONS
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.openai import OpenaiEmbeddings
from tests.contracts.peer import Peer, Said, peer
from tests.contracts.profiles import ProviderValues

KEY = "sk-test-of-the-suite"
MODEL = "text-embedding-3-small"


def packed(*numbers: float) -> str:
    """An embedding that begins with these numbers, in base64."""
    whole = [*numbers, *[0.0] * (DIMENSIONS - len(numbers))]
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *whole)).decode()


def listed(*numbers: float) -> list[float]:
    """The same as a list."""
    return [*numbers, *[0.0] * (DIMENSIONS - len(numbers))]


def said(*embeddings: Any, status: int = 200) -> Said:
    """An answer with these embeddings, in this order."""
    data = [
        {"object": "embedding", "index": place, "embedding": embedding}
        for place, embedding in enumerate(embeddings)
    ]
    return Said(status, json.dumps({"object": "list", "data": data, "model": MODEL}).encode())


def provider(server: Peer, key: str = KEY) -> OpenaiEmbeddings:
    return OpenaiEmbeddings(
        api_key=key, base_url=f"{server.url}/v1", model=MODEL, timeout_seconds=5.0
    )


def starts_with(vector: str, *numbers: float) -> bool:
    values = json.loads(vector)
    return len(values) == DIMENSIONS and values[: len(numbers)] == pytest.approx(list(numbers))


def test_texts_are_sent_with_the_key_the_model_and_the_length() -> None:
    with peer(said(packed(1.0), packed(0.5))) as server:
        provider(server).embed(["Solar lamp", "x" * 9_000])
    (heard,) = server.heard
    assert (heard.method, heard.path) == ("POST", "/v1/embeddings")
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    assert heard.headers["content-type"] == "application/json"
    assert json.loads(heard.raw) == {
        "model": MODEL,
        "input": ["Solar lamp", "x" * 8_000],
        "dimensions": 384,
        "encoding_format": "base64",
    }


def test_an_empty_text_has_a_stand_in() -> None:
    with peer(said(packed(1.0), packed(1.0))) as server:
        provider(server).embed(["", "  \n "])
    assert json.loads(server.heard[0].raw)["input"] == ["-", "-"]


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = json.loads(said(packed(0.25), listed(0.5, -1e-9)).raw)
    body["data"].reverse()
    with peer(Said(200, json.dumps(body).encode())) as server:
        first, second = provider(server).embed(["one", "two"])
    assert starts_with(first, 0.25)
    assert starts_with(second, 0.5, 0.0)
    assert "e" not in second


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": {}}',
        b'{"data": [7]}',
        said(packed(1.0)).raw,
        said(packed(1.0), packed(1.0), packed(1.0)).raw,
        said(packed(1.0), "not base64").raw,
        said(packed(1.0), packed(1.0)[:-8]).raw,
        said(packed(1.0), listed(1.0)[:-1]).raw,
        said(packed(1.0), [*listed(1.0)[:-1], "x"]).raw,
        said(packed(1.0), packed(float("nan"))).raw,
        said(packed(1.0), packed(0.0)).raw,
        said(packed(1.0), None).raw,
        json.dumps({"data": [{"index": 0, "embedding": packed(1.0)}] * 2}).encode(),
        json.dumps({"data": [{"embedding": packed(1.0)}] * 2}).encode(),
    ],
)
def test_an_answer_without_our_vectors_is_none(raw: bytes) -> None:
    with peer(Said(200, raw)) as server, pytest.raises(Unavailable) as caught:
        provider(server).embed(["one", "two"])
    assert caught.value.code == "answer_malformed"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, Rejected, "refused"),
        (401, Misconfigured, "key_refused"),
        (403, Misconfigured, "key_refused"),
        (404, Misconfigured, "key_refused"),
        (429, Unavailable, "rate_limited"),
        (500, Unavailable, "server_error"),
    ],
)
def test_a_refusal_says_whose_case_it_is(status: int, error: type[Exception], code: str) -> None:
    answer = Said(status, b'{"error": {"message": "no"}}', {"retry-after": "7"})
    with peer(answer) as server, pytest.raises(error) as caught:
        provider(server).embed(["one"])
    assert getattr(caught.value, "code", None) == code
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("count", [0, 2_049])
def test_no_text_and_too_many_are_not_sent(count: int) -> None:
    with peer() as server, pytest.raises(ValueError, match="at a time"):
        provider(server).embed(["x"] * count)
    assert server.heard == []


def test_a_key_that_cannot_be_one_is_a_case_for_us() -> None:
    with peer() as server, pytest.raises(Misconfigured):
        provider(server, "sk-test\n")


def test_without_a_key_or_a_model_there_is_no_provider() -> None:
    off = ProviderValues()
    assert registry.embedding_provider(off) is None
    key = SecretStr(KEY)
    assert registry.embedding_provider(dataclasses.replace(off, openai_api_key=key)) is None
    assert registry.embedding_provider(dataclasses.replace(off, embeddings_model=MODEL)) is None
    on = dataclasses.replace(off, openai_api_key=key, embeddings_model=MODEL)
    built = registry.embedding_provider(on)
    assert built is not None
    assert built.model == MODEL
