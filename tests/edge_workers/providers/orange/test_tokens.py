"""The application's token: asked for once, renewed once, never the payer's trouble."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from edge_workers.providers.errors import Misconfigured, Unavailable
from tests.contracts.peer import Said, peer
from tests.edge_workers.providers.orange.gate import (
    QUERY,
    REQUEST,
    SESSION,
    a_status,
    a_token,
    payments,
    said,
)

TOKEN, CREATE, STATUS = (
    "/oauth/v3/token",
    "/orange-money-webpay/cm/v1/webpayment",
    "/orange-money-webpay/cm/v1/transactionstatus",
)
REFUSED = said({"code": 42, "message": "Expired credentials", "description": "Renew it."}, 401)


@pytest.mark.parametrize("expires_in", ["7776000", 7776000, 3600, "3600.0"])
def test_a_token_serves_until_it_ends(expires_in: Any) -> None:
    with peer(a_token(expires_in=expires_in), a_status()) as gateway:
        provider = payments(gateway)
        for _ in range(3):
            provider.fetch(QUERY)
    assert [heard.path for heard in gateway.heard] == [TOKEN, STATUS, STATUS, STATUS]


@pytest.mark.parametrize("expires_in", [None, "soon", 0, -5, "", [], True])
def test_a_token_whose_life_is_not_said_serves_one_call(expires_in: Any) -> None:
    answers = [a_token("a", expires_in), a_status(), a_token("b", expires_in), a_status()]
    with peer(*answers) as gateway:
        provider = payments(gateway)
        for _ in range(2):
            provider.fetch(QUERY)
    assert [heard.headers["authorization"] for heard in gateway.heard[1::2]] == [
        "Bearer a",
        "Bearer b",
    ]


def test_a_refused_token_is_renewed_once() -> None:
    with peer(a_token("old"), REFUSED, a_token("new"), said(SESSION, 201)) as gateway:
        started = payments(gateway).start(REQUEST)
    assert started.action.url == SESSION["payment_url"]
    assert [heard.path for heard in gateway.heard] == [TOKEN, CREATE, TOKEN, CREATE]
    assert gateway.heard[1].raw == gateway.heard[3].raw
    assert gateway.heard[3].headers["authorization"] == "Bearer new"


def test_a_fresh_token_that_is_refused_is_a_case_for_us() -> None:
    answers = (a_token("old"), REFUSED, a_token("new"), REFUSED)
    with peer(*answers) as gateway, pytest.raises(Misconfigured) as failure:
        payments(gateway).start(REQUEST)
    assert (failure.value.code, failure.value.outcome) == ("key_refused", "nothing_created")
    assert [heard.path for heard in gateway.heard] == [TOKEN, CREATE, TOKEN, CREATE]


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (said({"error": "invalid_client"}, 401), Misconfigured, "key_refused"),
        (said({"error": "unsupported_grant_type"}, 400), Misconfigured, "key_refused"),
        (Said(403, b""), Misconfigured, "key_refused"),
        (Said(200, b"<html></html>"), Unavailable, "answer_malformed"),
        (said([]), Unavailable, "answer_malformed"),
        (said({"access_token": ""}), Unavailable, "answer_malformed"),
        (said({"access_token": "two\r\nlines"}), Unavailable, "answer_malformed"),
        (said({"access_token": 5}), Unavailable, "answer_malformed"),
        (a_token("x" * 5000), Unavailable, "answer_malformed"),
        (Said(404, b"nothing here"), Unavailable, "answer_malformed"),
        (Said(500, b""), Unavailable, "server_error"),
        (Said(302, b"", {"location": "https://elsewhere.example"}), Unavailable, "redirected"),
    ],
)
def test_without_a_token_nothing_was_created(
    answer: Said, kind: type[Exception], code: str
) -> None:
    with peer(answer) as gateway, pytest.raises(kind) as failure:
        payments(gateway).start(REQUEST)
    assert isinstance(failure.value, (Unavailable, Misconfigured))
    assert (failure.value.code, failure.value.outcome) == (code, "nothing_created")
    assert len(gateway.heard) == 1


def test_many_at_once_ask_for_one_token() -> None:
    with peer(a_token(), a_status()) as gateway:
        provider = payments(gateway)
        statuses: list[str] = []
        together = threading.Barrier(8)

        def ask() -> None:
            together.wait()
            statuses.append(provider.fetch(QUERY).status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == ["paid"] * 8
    assert [heard.path for heard in gateway.heard].count(TOKEN) == 1
