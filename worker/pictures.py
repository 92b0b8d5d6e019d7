"""Pictures from a supplier's servers into the shop's own storage.

An address that a supplier gives is input: only hosts that the settings name are asked, no redirect
is followed, and what comes back is a picture by its own first bytes or it is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from edge_workers.config import Settings
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.transport import Transport

MAX_BYTES: Final = 5_000_000
"""As the bucket has it."""
FETCH_SECONDS: Final = 8.0
BUCKET: Final = "products"

MOST_PIXELS: Final = 40_000_000
"""What a phone can still unpack; a file of a few bytes may claim any size."""
LONGEST_SIDE: Final = 16_384

_host = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+"
)
_JPEG_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture's file and what its first bytes say of it."""

    body: bytes
    content_type: str
    extension: str
    width: int
    """Pixels."""
    height: int

    @property
    def content_hash(self) -> str:
        """SHA-256 in hexadecimal digits."""
        return hashlib.sha256(self.body).hexdigest()


def read_picture(body: bytes) -> Picture:
    """The picture in a file. Raises `Rejected` (`picture_unreadable`) for anything else."""
    found = _png(body) or _webp(body) or _jpeg(body)
    if found is None or min(found[2:]) < 1:
        raise Rejected("This is no JPEG, PNG or WebP picture.", code="picture_unreadable")
    content_type, extension, width, height = found
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        raise Rejected("The picture is too large to show.", code="picture_unreadable")
    return Picture(
        body=body, content_type=content_type, extension=extension, width=width, height=height
    )


class PictureSource:
    """Pictures of the hosts that may be asked."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._lines: dict[str, Transport] = {}

    def fetch(self, url: str) -> Picture:
        """The picture at an address.

        Raises `Rejected` (`host_unknown`, `picture_missing`, `picture_unreadable`) and
        `Unavailable`.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise Rejected("This is no address.", code="host_unknown") from error
        if "@" in parts.netloc or not _host.fullmatch(host) or len(host) > 253:
            raise Rejected("This is no address.", code="host_unknown")
        if port not in (None, 80, 443) and host != "127.0.0.1":
            raise Rejected("No picture is taken from this port.", code="host_unknown")
        if not any(host == one or host.endswith(f".{one}") for one in self._hosts):
            raise Rejected("No picture is taken from this host.", code="host_unknown")
        base = f"{parts.scheme}://{parts.netloc}"
        if base not in self._lines:
            self._lines[base] = Transport(
                provider="pictures",
                base_url=base,
                timeout_seconds=FETCH_SECONDS,
                max_answer_bytes=MAX_BYTES,
            )
        query = f"?{parts.query}" if parts.query else ""
        answer = self._lines[base].send("GET", f"{parts.path}{query}", operation="picture")
        if answer.status != 200:
            raise Rejected("The supplier has no such picture.", code="picture_missing")
        return read_picture(answer.content)


class PictureStore:
    """The bucket of products' pictures, written with the service role's key."""

    def __init__(self, url: str, key: str) -> None:
        self._line = Transport(
            provider="storage", base_url=f"{url}/storage/v1", timeout_seconds=FETCH_SECONDS
        )
        self._key = key

    @classmethod
    def of(cls, settings: Settings) -> PictureStore:
        """The store of these settings. Raises `Misconfigured` without SUPABASE_SERVICE_ROLE_KEY."""
        key = settings.supabase_service_role_key
        if key is None:
            raise Misconfigured(
                "SUPABASE_SERVICE_ROLE_KEY is not set.", code="provider_not_configured"
            )
        return cls(str(settings.supabase_url), key.get_secret_value())

    def put(self, path: str, picture: Picture) -> str:
        """Store a picture, over itself if it is there; `bucket/path` as product_media has it."""
        answer = self._line.send(
            "POST",
            f"/object/{BUCKET}/{quote(path)}",
            operation="upload",
            headers={
                "authorization": f"Bearer {self._key}",
                "apikey": self._key,
                "content-type": picture.content_type,
                "cache-control": "max-age=31536000",
                "x-upsert": "true",
            },
            content=picture.body,
        )
        if answer.status in (401, 403):
            raise Misconfigured("Storage refuses our key.", code="storage_refused")
        if answer.status != 200:
            raise Unavailable(f"Storage answered {answer.status}.", code="storage_refused")
        return f"{BUCKET}/{path}"

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files, `bucket/path` as `put` gave them; those that are not there do no harm.

        Raises `Unavailable` when it is open what is left, `Misconfigured` when the key is refused.
        """
        names = [path.removeprefix(f"{BUCKET}/") for path in paths]
        answer = self._line.send(
            "DELETE",
            f"/object/{BUCKET}",
            operation="remove",
            headers={
                "authorization": f"Bearer {self._key}",
                "apikey": self._key,
                "content-type": "application/json",
            },
            content=json.dumps({"prefixes": names}).encode(),
        )
        if answer.status in (401, 403):
            raise Misconfigured("Storage refuses our key.", code="storage_refused")
        if answer.status != 200:
            raise Unavailable(f"Storage answered {answer.status}.", code="storage_refused")


def _png(body: bytes) -> tuple[str, str, int, int] | None:
    if body[:8] != b"\x89PNG\r\n\x1a\n" or body[12:16] != b"IHDR" or len(body) < 33:
        return None
    return "image/png", "png", int.from_bytes(body[16:20]), int.from_bytes(body[20:24])


def _webp(body: bytes) -> tuple[str, str, int, int] | None:
    if body[:4] != b"RIFF" or body[8:12] != b"WEBP" or len(body) < 30:
        return None
    kind = body[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(body[24:27], "little") + 1
        height = int.from_bytes(body[27:30], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(body[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width = int.from_bytes(body[26:28], "little") & 0x3FFF
        height = int.from_bytes(body[28:30], "little") & 0x3FFF
    else:
        return None
    return "image/webp", "webp", width, height


def _jpeg(body: bytes) -> tuple[str, str, int, int] | None:
    """The size stands in the first frame header; segments before it are stepped over."""
    if body[:3] != b"\xff\xd8\xff":
        return None
    place = 2
    while place + 9 <= len(body):
        if body[place] != 0xFF:
            return None
        marker = body[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _JPEG_BARE:
            place += 2
        elif marker in _JPEG_SIZES:
            height = int.from_bytes(body[place + 5 : place + 7])
            return "image/jpeg", "jpg", int.from_bytes(body[place + 7 : place + 9]), height
        else:
            place += 2 + max(int.from_bytes(body[place + 2 : place + 4]), 2)
    return None
