"""What sellers write as HTML, as plain text: paragraphs stay, everything else goes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_BREAKS: Final = frozenset(
    {"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "table", "tr", "ul"}
)
_SILENT: Final = frozenset({"head", "noscript", "script", "style", "template", "title"})
_control = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_comment = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_declaration = re.compile(r"<[!?][^<>]*>")
_no_tag = re.compile(r"<(?!/?[A-Za-z][^<>]*>)")
_spaces = re.compile(r"[ \t\xa0\u200b]+")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BREAKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data.replace("\n", " "))


def plain_text(html: str, limit: int = 8_000) -> str:
    """The words of a piece of HTML, one paragraph a line, at most `limit` characters."""
    reader = _Reader()
    # The parser takes the square of the time for what opens and never ends.
    markup = _declaration.sub(" ", _comment.sub(" ", html[: limit * 20]))
    reader.feed(_no_tag.sub(" ", markup))
    reader.close()
    text = _control.sub("", "".join(reader.pieces))
    lines = (_spaces.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)[:limit]


def one_line(text: str, limit: int = 300) -> str:
    """A text without line breaks and control characters, at most `limit` characters."""
    return " ".join(_control.sub(" ", text).split())[:limit].rstrip()
