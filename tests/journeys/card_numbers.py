"""Card numbers that a test sends into the shop, and the search for what became of them.

The numbers are valid (Luhn) and nobody's. All of a run begin with the same eight digits, drawn by
lot, and each is sent once, so that one that is found tells where it came in.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis

from scripts.local.settings import POSTGRES_BIN

DIGITS = 16
ISSUER_DIGITS = 8
AUTHS_OWN = "auth*"
"""Supabase Auth's schemas. A login may write what it likes into its metadata; our rows are searched
for what the shop takes over from there."""
FORMS = ("", " ", "-", "\u00a0")
"""What stands between the four groups of a number, as people and forms write them."""

_GAP = r"(?:[ +._/-]|%20|%2[Dd]|%C2%A0|\\u00a0|\\xa0|[\u00a0\u2010-\u2013\u202f]){0,3}"
_NO_DIGIT = re.compile(r"%20|%2[Dd]|%C2%A0|\\u00a0|\\xa0|\D")
_PAGE_CARD = re.compile(_GAP.join("4000000000000002"))
# How MONITOR writes an argument of a command.
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = (sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def drawn(count: int) -> str:
    """So many digits, by lot."""
    return "".join(random.choices("0123456789", k=count))  # noqa: S311 - nothing secret


@dataclass
class Numbers:
    """The numbers that were sent, and where each came in."""

    sent: dict[str, str] = field(default_factory=dict)
    issuer: str = field(default_factory=lambda: "4" + drawn(ISSUER_DIGITS - 1))

    def mint(self, place: str, gap: str = "") -> str:
        """A number never sent before, its groups parted by `gap`."""
        while True:
            body = self.issuer + drawn(DIGITS - ISSUER_DIGITS - 1)
            number = next(body + last for last in "0123456789" if passes_luhn(body + last))
            if number not in self.sent:
                break
        self.sent[number] = place
        return gap.join(number[start : start + 4] for start in range(0, DIGITS, 4))

    def found_in(self, content: bytes) -> set[str]:
        """Where the numbers came in that stand in `content`, in whatever form."""
        others = [r"\d"] * (DIGITS - ISSUER_DIGITS)
        number = re.compile(_GAP.join((*self.issuer, *others)))
        text = content.decode("utf-8", "replace")
        digits = {_NO_DIGIT.sub("", found) for found in number.findall(text)}
        # Digits beside a number can only be part of an id that happens to begin like one.
        places = {self.sent[found] for found in digits if found in self.sent}
        return places | ({"a gateway's hosted page"} if _PAGE_CARD.search(text) else set())


@dataclass(frozen=True)
class Stack:
    """Everything of the running stack that keeps something, but for the sandbox."""

    env: dict[str, str]

    def dump(self) -> bytes:
        """All rows of all schemas, as a backup has them, but for what logins say to Auth."""
        made = subprocess.run(
            [
                str(POSTGRES_BIN / "pg_dump"),
                "--data-only",
                f"--exclude-schema={AUTHS_OWN}",
                self.env["DATABASE_ADMIN_URL"],
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        return made.stdout

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Logs, caches, uploads, settings: each file that programs of the stack wrote."""
        state = Path(self.env["STATE_DIR"])
        apart = {state / "sandbox", state / "postgres"}
        # The state of the person's own stack holds the throw-away ones.
        apart |= {path.parent for path in state.glob("*/env")}
        for path in sorted(state.rglob("*")):
            if path.is_file() and not path.is_symlink() and apart.isdisjoint(path.parents):
                yield str(path.relative_to(state)), path.read_bytes()

    def redis(self) -> Iterator[tuple[str, bytes]]:
        """Every key of Redis with all it holds."""
        with redis.Redis.from_url(self.env["REDIS_URL"]) as connection:
            for key in connection.scan_iter():
                yield key.decode("utf-8", "replace"), _written_out(connection, key)

    def mails(self) -> bytes:
        """All mails that went out."""
        return httpx.get(f"{self.env['SANDBOX_URL']}/_sandbox/mail", trust_env=False).content


@dataclass
class Traffic:
    """What went to Redis while it was listened to."""

    raw: bytearray = field(default_factory=bytearray)

    def content(self) -> bytes:
        """Every argument of every command; what was compressed is unpacked."""
        return b"\n".join(
            _unpacked(match[1].decode("unicode_escape").encode("latin-1", "replace"))
            for match in _ARGUMENT.finditer(bytes(self.raw))
        )


@contextmanager
def listening(url: str) -> Iterator[Traffic]:
    """Listens to all commands that Redis gets."""
    parts = urlsplit(url)
    traffic = Traffic()

    def listen(wire: socket.socket) -> None:
        while chunk := wire.recv(65536):
            traffic.raw.extend(chunk)

    with socket.create_connection((parts.hostname or "", parts.port or 0)) as wire:
        wire.sendall(b"MONITOR\r\n")
        assert wire.recv(5) == b"+OK\r\n"
        listener = threading.Thread(target=listen, args=(wire,), daemon=True)
        listener.start()
        try:
            yield traffic
        finally:
            wire.shutdown(socket.SHUT_RDWR)
            listener.join(10)


def _written_out(connection: redis.Redis, key: bytes) -> bytes:
    """A key and its value, whatever its type, as one text."""
    value: Any
    match connection.type(key):
        case b"string":
            value = [connection.get(key)]
        case b"hash":
            value = [part for pair in connection.hgetall(key).items() for part in pair]
        case b"list":
            value = connection.lrange(key, 0, -1)
        case b"set":
            value = list(connection.smembers(key))
        case b"zset":
            value = connection.zrange(key, 0, -1)
        case b"stream":
            value = [json.dumps(str(entry)).encode() for entry in connection.xrange(key) or ()]
        case _:
            value = []
    return b"\n".join([key, *(_unpacked(part) for part in value if part is not None)])


def _unpacked(value: bytes) -> bytes:
    """A value, and beside it what it says when it is compressed, as jobs are."""
    try:
        return value + b"\n" + zlib.decompress(value)
    except zlib.error:
        return value
