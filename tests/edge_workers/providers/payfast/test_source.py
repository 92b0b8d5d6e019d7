"""Where notices may come from, and what a name service that fails means."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import pytest

from edge_workers.providers.errors import Misconfigured, ProviderError, Unavailable, Unverified
from edge_workers.providers.payfast import source
from edge_workers.providers.payfast.source import Source


def failure_of(allowed: Source, address: str | None) -> ProviderError:
    with pytest.raises(ProviderError) as failure:
        allowed.check(address)
    return failure.value


class Names:
    """A name service whose answers a test sets."""

    def __init__(self, **answers: Iterable[str] | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def resolve(self, host: str) -> Iterable[str]:
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer


def resolving(names: Names, *hosts: str, clock: Callable[[], float] = lambda: 0.0) -> Source:
    return Source(networks=(), hosts=hosts, resolve=names.resolve, clock=clock)


@pytest.mark.parametrize(
    "address",
    ["197.97.145.144", "197.97.145.159", "144.126.193.139", "::ffff:197.97.145.150", "2001:db8::1"],
)
def test_an_address_of_a_named_network_is_believed(address: str) -> None:
    networks = ("197.97.145.144/28", "144.126.193.139", "2001:db8::/32")
    Source(networks=networks, hosts=()).check(address)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("197.97.145.160", "source_other"),
        ("10.0.0.1", "source_other"),
        ("::1", "source_other"),
        ("", "source_unknown"),
        (None, "source_unknown"),
        ("www.payfast.co.za", "source_unknown"),
        ("197.97.145.144, 10.0.0.1", "source_unknown"),
    ],
)
def test_any_other_address_is_refused(address: str | None, code: str) -> None:
    failure = failure_of(Source(networks=("197.97.145.144/28",), hosts=()), address)
    assert (type(failure), failure.code) == (Unverified, code)


def test_nobody_is_believed_where_nothing_is_set() -> None:
    failure = failure_of(Source(networks=(), hosts=()), "197.97.145.144")
    assert (type(failure), failure.code) == (Misconfigured, "source_not_configured")


@pytest.mark.parametrize("network", ["payfast", "197.97.145.144/40", "*"])
def test_a_network_that_is_none_is_our_fault(network: str) -> None:
    with pytest.raises(Misconfigured):
        Source(networks=(network,), hosts=())


def test_this_machines_own_names_are_resolved() -> None:
    Source(networks=(), hosts=("localhost",)).check("127.0.0.1")
    failure = failure_of(Source(networks=(), hosts=("localhost",)), "192.0.2.1")
    assert type(failure) is Unverified


def test_an_address_of_any_named_host_is_believed() -> None:
    names = Names(www=["192.0.2.1", "2001:db8::7"], w2w=["192.0.2.2", "no address"])
    allowed = resolving(names, "www", "w2w")
    allowed.check("192.0.2.2")
    allowed.check("2001:db8::7")
    assert type(failure_of(allowed, "192.0.2.3")) is Unverified


def test_an_answer_is_kept_for_a_while() -> None:
    now = [0.0]
    names = Names(www=["192.0.2.1"])
    allowed = resolving(names, "www", clock=lambda: now[0])
    for _ in range(3):
        allowed.check("192.0.2.1")
    assert names.asked == ["www"]
    names.answers["www"] = ["192.0.2.9"]
    now[0] = source.KEPT_SECONDS - 1
    allowed.check("192.0.2.1")
    now[0] = source.KEPT_SECONDS
    assert type(failure_of(allowed, "192.0.2.1")) is Unverified
    allowed.check("192.0.2.9")
    assert names.asked == ["www", "www"]


@pytest.mark.parametrize("answer", [OSError("no such host"), UnicodeError(), [], ["nonsense"]])
def test_a_name_that_does_not_resolve_decides_nothing(answer: Iterable[str] | Exception) -> None:
    names = Names(www=answer, w2w=["192.0.2.2"])
    allowed = resolving(names, "www", "w2w")
    allowed.check("192.0.2.2")
    failure = failure_of(allowed, "192.0.2.1")
    assert (type(failure), failure.code) == (Unavailable, "source_unresolved")
    assert failure.retry_after == 60
    names.answers["www"] = ["192.0.2.1"]
    allowed.check("192.0.2.1")


def test_a_network_needs_no_names() -> None:
    names = Names(www=OSError())
    allowed = Source(networks=("192.0.2.0/24",), hosts=("www",), resolve=names.resolve)
    allowed.check("192.0.2.1")
    assert names.asked == []


def test_a_host_with_too_many_addresses_is_cut_off() -> None:
    many = [f"192.0.2.{number}" for number in range(256)]
    allowed = resolving(Names(www=many), "www")
    allowed.check(f"192.0.2.{source.MOST_ADDRESSES - 1}")
    assert type(failure_of(allowed, f"192.0.2.{source.MOST_ADDRESSES}")) is Unverified


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESOLVE_SECONDS", 0.1)
    released = threading.Event()

    def resolve(_host: str) -> Iterable[str]:
        released.wait(10)
        return ["192.0.2.1"]

    allowed = Source(networks=(), hosts=("www",), resolve=resolve)
    started = time.monotonic()
    assert type(failure_of(allowed, "192.0.2.1")) is Unavailable
    assert time.monotonic() - started < 5
    released.set()
    allowed.check("192.0.2.1")
