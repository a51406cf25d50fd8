"""Pages, read as a browser would; and text that would like to be more than text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

#: HTML, a style's end, an override of direction, a template, an attribute's end.
HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=http://127.0.0.1/x>",
    "\u202edetrevni",
    "{{7*7}}{% raw %}",
    "\" onload='x()",
)
VOID = {"meta", "link", "wbr", "br", "img"}


@dataclass
class Parsed(HTMLParser):
    """A page: whether its tags close, the tags and attributes it has, and the text of each row of a table."""

    text: str
    tags: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.feed(self.text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    @property
    def said(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def spaced(self) -> str:
        """What is said, with a space wherever there is a tag."""
        return " ".join(" ".join(self.words).split())
