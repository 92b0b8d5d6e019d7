"""Calls to the outside end in time, whatever the other side does, and tell no contents."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from edge_workers.providers import transport
from edge_workers.providers.errors import Misconfigured, Unavailable
from edge_workers.providers.transport import Transport
from tests.contracts.peer import Said, peer
from tests.sandbox.running import free_port


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """One connection after the other, handled byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        stopping = threading.Event()

        def run() -> None:
            while not stopping.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    try:
                        serve(connection)
                    except OSError:
                        continue  # the caller hung up, which is what the test wants

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stopping.set()
            with socket.socket() as waking:
                waking.connect_ex(listening.getsockname())
            thread.join()


def calling(url: str, seconds: float = 0.5) -> Transport:
    return Transport(provider="example", base_url=url, timeout_seconds=seconds)


def failure_of(call: Transport) -> Unavailable:
    with pytest.raises(Unavailable) as failure:
        call.send("POST", "/x", operation="try", content=b"{}")
    return failure.value


def test_an_answer_is_handed_over_as_it_came() -> None:
    with peer(Said(404, b'{"a":10.00}')) as other:
        answer = calling(other.url).send("GET", "/x?y=1", operation="try")
        assert (answer.status, answer.content) == (404, b'{"a":10.00}')
        assert str(answer.json()["a"]) == "10.00"
        assert other.heard[0].path == "/x?y=1"


@pytest.mark.parametrize("raw", [b"<html>", b"", b"\xff", b"NaN"])
def test_what_is_no_json_reads_as_none(raw: bytes) -> None:
    with peer(Said(200, raw)) as other:
        assert calling(other.url).send("GET", "/x", operation="try").json() is None


def test_nobody_there_created_nothing() -> None:
    failure = failure_of(calling(f"http://127.0.0.1:{free_port()}"))
    assert (failure.outcome, failure.code) == ("nothing_created", "not_reached")


@pytest.mark.parametrize(
    ("said", "outcome", "code", "retry_after"),
    [
        (Said(500), "unknown", "server_error", None),
        (Said(503, b"", {"retry-after": "30"}), "unknown", "server_error", 30),
        (Said(429, b"", {"retry-after": "5"}), "nothing_created", "rate_limited", 5),
        (Said(429, b"", {"retry-after": "86400"}), "nothing_created", "rate_limited", 3600),
        (Said(429, b"", {"retry-after": "soon"}), "nothing_created", "rate_limited", None),
        (Said(302, b"", {"location": "http://127.0.0.1:9/"}), "unknown", "redirected", None),
        (Said(200, b"x" * 1_000_001), "unknown", "answer_too_large", None),
    ],
)
def test_a_status_says_what_it_means(
    said: Said, outcome: str, code: str, retry_after: int | None
) -> None:
    with peer(said) as other:
        failure = failure_of(calling(other.url, seconds=5))
        assert (failure.outcome, failure.code, failure.retry_after) == (outcome, code, retry_after)
        assert len(other.heard) == 1


def test_a_silent_peer_is_given_up_in_time() -> None:
    with raw_server(lambda _: time.sleep(1.0)) as url:
        started = time.monotonic()
        failure = failure_of(calling(url))
        assert time.monotonic() - started < 0.9
        assert (failure.outcome, failure.code) == ("unknown", "timed_out")


def test_several_calls_together_end_in_time() -> None:
    with raw_server(lambda _: time.sleep(0.4)) as url, peer() as other:
        started = time.monotonic()
        with transport.ending_within(0.5):
            assert failure_of(calling(url, seconds=0.3)).code == "timed_out"
            assert failure_of(calling(url, seconds=5)).code == "timed_out"
            late = failure_of(calling(other.url, seconds=5))
        assert time.monotonic() - started < 0.9
        assert (late.code, late.outcome) == ("no_time_left", "nothing_created")
        assert other.heard == []
        assert calling(other.url).send("GET", "/x", operation="try").status == 200


def test_the_shorter_of_two_times_counts() -> None:
    with (
        raw_server(lambda _: time.sleep(0.8)) as url,
        transport.ending_within(0.3),
        transport.ending_within(9),
    ):
        started = time.monotonic()
        assert failure_of(calling(url, seconds=5)).code == "timed_out"
        assert time.monotonic() - started < 0.7


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"])
def test_a_peer_that_drips_is_given_up_in_time(head: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head or b"HTTP/1.1 200 OK\r\nx-slow: ")
        for _ in range(30):
            connection.sendall(b"a")
            time.sleep(0.1)

    with raw_server(drip) as url:
        started = time.monotonic()
        failure = failure_of(calling(url))
        assert time.monotonic() - started < 0.9
        assert (failure.outcome, failure.code) == ("unknown", "timed_out")


@pytest.mark.parametrize(
    "said", [b"", b"SMTP ready\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
)
def test_a_peer_that_breaks_off_leaves_it_unknown(said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    with raw_server(serve) as url:
        failure = failure_of(calling(url))
        assert (failure.outcome, failure.code) == ("unknown", "broken_off")


def test_a_compressed_answer_is_not_unpacked() -> None:
    with peer(Said(200, b"\x1f\x8b\x08\x00", {"content-encoding": "gzip"})) as other:
        answer = calling(other.url).send("GET", "/x", operation="try")
        assert answer.content == b"\x1f\x8b\x08\x00"
        assert other.heard[0].headers["accept-encoding"] == "identity"


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    with peer() as other:
        assert calling(other.url).send("GET", "/x", operation="try").status == 200


@pytest.mark.parametrize("url", ["", "api.example.com", "ftp://example.com", "http://"])
def test_a_base_url_that_is_none_is_our_fault(url: str) -> None:
    with pytest.raises(Misconfigured):
        calling(url)


def test_a_connection_is_kept_but_not_over_a_fork() -> None:
    with peer() as other:
        call = calling(other.url, seconds=5)
        call.send("GET", "/a", operation="try")
        client = call._client
        call.send("GET", "/b", operation="try")
        assert call._client is client
        child = os.fork()
        if child == 0:
            try:
                call.send("GET", "/child", operation="try")
                os._exit(0 if call._client is not client else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        call.send("GET", "/c", operation="try")
        assert [heard.path for heard in other.heard] == ["/a", "/b", "/child", "/c"]


def test_the_log_has_ids_and_durations_and_nothing_else() -> None:
    with peer(Said(200, b'{"phone":"237671112233"}')) as other, capture_logs() as lines:
        calling(other.url).send(
            "POST",
            "/charges/237671112233",
            operation="try",
            headers={"authorization": "Bearer sk_live_secret"},
            content=b'{"email":"aicha@example.cm"}',
        )
    assert [sorted(line) for line in lines] == [
        ["duration_ms", "event", "log_level", "operation", "problem", "provider", "status"]
    ]
    assert not any(word in str(lines) for word in ("2376", "sk_live", "aicha"))


def test_many_threads_may_call_at_once() -> None:
    with peer() as other:
        call = calling(other.url, seconds=10)
        statuses: list[int] = []

        def run() -> None:
            statuses.extend(call.send("GET", "/x", operation="try").status for _ in range(5))

        threads = [threading.Thread(target=run) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 100


def test_an_answer_of_the_greatest_size_is_read() -> None:
    with peer(Said(200, b"x" * transport.MAX_ANSWER_BYTES)) as other:
        answer = calling(other.url, seconds=10).send("GET", "/x", operation="try")
        assert len(answer.content) == transport.MAX_ANSWER_BYTES


def test_an_error_that_was_asked_for_can_be_read() -> None:
    with peer(Said(500, b'{"code":"NOT_ALLOWED"}'), Said(503, b"")) as gateway:
        call = calling(gateway.url, seconds=5.0)
        answer = call.send("POST", "/x", operation="try", content=b"{}", readable_errors=(500,))
        assert (answer.status, answer.json()) == (500, {"code": "NOT_ALLOWED"})
        with pytest.raises(Unavailable) as failure:
            call.send("POST", "/x", operation="try", content=b"{}", readable_errors=(500,))
    assert (failure.value.code, failure.value.outcome) == ("server_error", "unknown")
