"""A page of Markdown: a title, facts, and sections. Foreign text in it is escaped.

It is to be read in a terminal as it is, and to be pasted into a post-mortem.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from ..monitors.names import shown

_MARKUP: Final = re.compile(r"[`*\[<]")

Form = Literal["text", "list", "diff", "log"]


class Section(msgspec.Struct):
    """Lines under a title. ``diff`` and ``log`` are quoted as they are."""

    title: str
    lines: Sequence[str]
    form: Form = "text"


class Page(msgspec.Struct):
    """A page; ``facts`` are labels and texts, in order.

    ``altered`` are events that it tells, and whose rows are not what was written.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    altered: Sequence[int] = ()


def markdown(page: Page) -> Iterator[str]:
    """The lines of a page."""
    yield f"# {escaped(page.title)}"
    yield ""
    if page.altered:
        told = ", ".join(map(str, page.altered))
        yield f"**! Not what was written, so not to be trusted: event {told}.**"
        yield ""
    yield from (f"- **{label}:** {escaped(text)}" for label, text in page.facts)
    for section in page.sections:
        yield ""
        yield f"## {escaped(section.title)}"
        yield ""
        if section.form == "text":
            yield from map(escaped, section.lines)
        elif section.form == "list":
            yield from (f"- {escaped(line)}" for line in section.lines)
        else:
            yield from quoted(section.lines, "diff" if section.form == "diff" else "")


def quoted(lines: Sequence[str], language: str) -> Iterator[str]:
    """A block of code, with a fence that no line of it can end."""
    fence = "```"
    while any(line.lstrip().startswith(fence) for line in lines):
        fence += "`"
    yield fence + language
    yield from map(shown, lines)
    yield fence


def escaped(text: str) -> str:
    """A text in which foreign names cannot be markup: ``*``, backquotes, ``[`` and ``<``."""
    return _MARKUP.sub(r"\\\g<0>", shown(text))
