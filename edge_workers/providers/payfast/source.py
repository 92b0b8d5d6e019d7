"""Where PayFast's notices may come from: networks that are named, or addresses of named hosts.

Names are looked up when they are needed and kept for `KEPT_SECONDS`. A name that cannot be looked
up proves nothing either way: the sender is then neither believed nor refused but asked to repeat.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from edge_workers.providers.errors import Misconfigured, Unavailable, Unverified

KEPT_SECONDS = 300.0
RESOLVE_SECONDS = 3.0
"""How long a look-up may hold up a notice; its answer is kept even when it comes later."""
MOST_ADDRESSES = 64
"""Of one host; more are cut off."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def system_addresses(host: str) -> Iterable[str]:
    """The host's addresses as this machine resolves them. OSError when it cannot."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(entry[4][0]) for entry in found)


class Source:
    """Knows the allowed senders. Safe to share between threads and over a fork."""

    def __init__(
        self,
        *,
        networks: Sequence[str],
        hosts: Sequence[str],
        resolve: Callable[[str], Iterable[str]] = system_addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in networks)
        except ValueError as error:
            raise Misconfigured(
                "A network of PayFast's is none.", code="network_invalid"
            ) from error
        self._hosts = tuple(hosts)
        self._resolve = resolve
        self._clock = clock
        self._kept: dict[str, tuple[float, frozenset[Address]]] = {}

    def check(self, remote_address: str | None) -> None:
        """Nothing, when the address is PayFast's.

        Raises `Unverified` when it is not, `Unavailable` when that cannot be said because a name
        does not resolve, `Misconfigured` when nobody said where PayFast's notices come from.
        """
        if not self._networks and not self._hosts:
            raise Misconfigured(
                "Neither networks nor hosts of PayFast's are set.", code="source_not_configured"
            )
        address = _address(remote_address or "")
        if address is None:
            raise Unverified("The sender's address is not known.", code="source_unknown")
        if any(address in network for network in self._networks):
            return
        is_complete = True
        for host in self._hosts:
            addresses = self._addresses(host)
            if addresses is None:
                is_complete = False
            elif address in addresses:
                return
        if not is_complete:
            raise Unavailable(
                "PayFast's hosts cannot be looked up.",
                code="source_unresolved",
                outcome="nothing_created",
                retry_after=60,
            )
        raise Unverified("The sender's address is not one of PayFast's.", code="source_other")

    def _addresses(self, host: str) -> frozenset[Address] | None:
        """Kept or looked up; None when it does not resolve in time."""
        kept = self._kept.get(host)
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        found: queue.SimpleQueue[frozenset[Address] | None] = queue.SimpleQueue()

        def look_up() -> None:
            found.put(self._look_up(host))

        threading.Thread(target=look_up, name="payfast-source", daemon=True).start()
        try:
            return found.get(timeout=RESOLVE_SECONDS)
        except queue.Empty:
            return None

    def _look_up(self, host: str) -> frozenset[Address] | None:
        try:
            texts = list(self._resolve(host))[:MOST_ADDRESSES]
        except (OSError, UnicodeError):
            return None
        addresses = frozenset(
            address for address in (_address(text) for text in texts) if address is not None
        )
        if addresses:
            self._kept[host] = (self._clock() + KEPT_SECONDS, addresses)
        return addresses or None


def _address(text: str) -> Address | None:
    """An address; IPv4 that was wrapped into IPv6 is unwrapped."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
