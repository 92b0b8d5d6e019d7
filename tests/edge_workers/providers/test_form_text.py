"""Form bodies: PHP's encoding, order, bytes that are no UTF-8, bounds."""

from __future__ import annotations

import pytest

from edge_workers.providers import form_text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("First Name", "First+Name"),
        ("Order#123", "Order%23123"),
        ("a+b", "a%2Bb"),
        (
            "Tee-shirt (S) d'été & co ~ 50% *new*",
            "Tee-shirt+%28S%29+d%27%C3%A9t%C3%A9+%26+co+%7E+50%25+%2Anew%2A",
        ),
        ("https://your.domain/return.php?a=1", "https%3A%2F%2Fyour.domain%2Freturn.php%3Fa%3D1"),
        ("AZaz09-_.", "AZaz09-_."),
        ("🙂\x00\n", "%F0%9F%99%82%00%0A"),
        ("", ""),
    ],
)
def test_texts_are_encoded_as_php_does_and_decoded_again(text: str, wanted: str) -> None:
    assert form_text.encoded(text) == wanted
    assert form_text.parse(b"x=" + wanted.encode()) == (("x", text),)


def test_order_blanks_and_repeated_names_are_kept() -> None:
    raw = b"b=2&a=&c&a=1&&=9&d=x=y"
    fields = form_text.parse(raw)
    assert fields == (("b", "2"), ("a", ""), ("c", ""), ("a", "1"), ("", "9"), ("d", "x=y"))
    assert form_text.write(fields) == "b=2&a=&c=&a=1&=9&d=x%3Dy"


def test_bytes_of_another_character_set_come_back_as_they_were() -> None:
    ((_, value),) = form_text.parse(b"name=Aim%E9+\xff%C3%A9")
    assert form_text.octets(value) == b"Aim\xe9 \xff\xc3\xa9"
    assert form_text.encoded(value) == "Aim%E9+%FF%C3%A9"


def test_a_broken_escape_stands_for_itself() -> None:
    assert form_text.parse(b"a=100%&b=%zz&c=%4") == (("a", "100%"), ("b", "%zz"), ("c", "%4"))


@pytest.mark.parametrize("raw", [b"a=" + b"x" * form_text.MAX_BODY_BYTES, b"a&" * 201])
def test_a_body_out_of_bounds_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="too"):
        form_text.parse(raw)


def test_a_name_that_stands_twice_is_refused_where_a_mapping_is_wanted() -> None:
    assert form_text.by_name((("a", "1"), ("b", ""))) == {"a": "1", "b": ""}
    with pytest.raises(ValueError, match="twice"):
        form_text.by_name((("a", "1"), ("a", "1")))
