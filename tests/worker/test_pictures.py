"""What is a picture, and from whom it is taken."""

import struct
import zlib

import pytest

from edge_workers.providers.errors import Rejected
from worker.pictures import PictureSource, read_picture


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + bytes(9)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + application + frame + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + bytes(4) + b"WEBP" + b"VP8X" + bytes(8) + size


@pytest.mark.parametrize(
    ("body", "content_type", "extension"),
    [
        (png(64, 48), "image/png", "png"),
        (jpeg(64, 48), "image/jpeg", "jpg"),
        (webp(64, 48), "image/webp", "webp"),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(
    body: bytes, content_type: str, extension: str
) -> None:
    picture = read_picture(body)

    assert (picture.content_type, picture.extension) == (content_type, extension)
    assert (picture.width, picture.height) == (64, 48)
    assert len(picture.content_hash) == 64


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"GIF89a" + bytes(40),
        png(0, 5),
        png(4_294_967_295, 4_294_967_295),
        png(16_385, 1),
        webp(16_000, 16_000),
        jpeg(1, 1)[:12],
        b"\xff\xd8\xff\xe0\x00\x00",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        read_picture(body)
    assert refused.value.code == "picture_unreadable"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379/",
        "https://[",
        "https://ae01.alicdn.com:abc/a.jpg",
        "https://ae01.alicdn.com:6379/a.jpg",
        "https://a..alicdn.com/a.jpg",
        "https://me@ae01.alicdn.com/a.jpg",
        "https://alicdn.com.example/a.jpg",
        "https://notalicdn.com/a.jpg",
        "http://[::1]/a.jpg",
        "file:///etc/passwd",
    ],
)
def test_only_hosts_that_are_named_are_asked(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        PictureSource(("alicdn.com",)).fetch(url)
    assert refused.value.code == "host_unknown"
