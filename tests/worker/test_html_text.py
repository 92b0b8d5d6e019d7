"""Sellers' HTML becomes plain text."""

import time

import pytest

from worker.html_text import one_line, plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div><p>Solar lamp</p><p>Bright</p></div>", "Solar lamp\nBright"),
        ("A<br>B<br/>C", "A\nB\nC"),
        ("<script>track()</script><style>p{}</style>kept", "kept"),
        ("fish &amp; chips &lt;b&gt;", "fish & chips <b>"),
        ("a\n  b\tc &nbsp; d", "a b c d"),
        ("\x00broken <b>bold", "broken bold"),
        ("a<!-- b -->c <!-- never ends", "a c"),
        ("1 < 2 <b", "1 2 b"),
        ("pis\u200btol \u202ereversed", "pistol reversed"),
        ("", ""),
    ],
)
def test_words_stay_and_markup_goes(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize("piece", ["<!--", "<a ", "<![", "<", "</", "<a href='", "&", "<!-- -->"])
def test_what_opens_and_never_ends_takes_no_long_time(piece: str) -> None:
    started = time.monotonic()

    plain_text(piece * (160_000 // len(piece)))

    assert time.monotonic() - started < 5


def test_a_text_is_cut_at_its_limit() -> None:
    assert plain_text("<p>" + "x" * 50 + "</p>", limit=10) == "x" * 10


def test_a_title_is_one_line() -> None:
    assert one_line(" Solar\r\nlamp\x00  for\u2028gardens ") == "Solar lamp for gardens"
    assert one_line("x" * 400) == "x" * 300
