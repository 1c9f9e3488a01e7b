"""Lines of events and stories on a terminal: cut at its width, or wrapped, and in colours.

They are told as plain text, line by line, for as long as there are events. So a pattern finds the
word of a line that has a style. It is of the line's own columns, which no foreign text can reach.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ..daemon.cli import terminal


class Look(NamedTuple):
    """The pattern whose group ``word`` is coloured, and the styles by that word.

    A line that the pattern does not fit is a head, in ``otherwise``.
    """

    form: re.Pattern[str]
    styles: Mapping[str, str]
    otherwise: str = ""


def _styles(**words: str) -> dict[str, str]:
    return {word: style for style, some in words.items() for word in some.split()}


_HOST: Final = r"(?:\S+ +)??"
_SEQ: Final = r"!? *\d+  "
_CLOCK: Final = r"\d\d:\d\d:\d\d\.\d{3}"
_STAMP: Final = re.compile(
    rf"(?P<before>{_HOST}{_SEQ})(?P<day>\d{{4}}-\d\d-\d\d) (?P<clock>{_CLOCK}) (?P<zone>[^ ]+) "
)
_KINDS: Final = _styles(
    good="vassal_ready vassal_accepting vassal_loyal monitor_recovered keeper_back health_regained",
    busy="spawned adopted exited deadline_passed vassal_resigned vassal_reloading",
    bad=(
        "spawn_failed vassal_failed heartbeat_lost health_lost monitor_failed observation_rejected"
        " request_refused keeper_lost listing_doubted listen_failed"
    ),
    idle="vassal_added vassal_changed vassal_removed vassal_destroyed",
    held="operator_requested",
    head="daemon_started daemon_ready daemon_stopping daemon_stopped",
)
EVENTS: Final = Look(re.compile(rf"{_HOST}{_SEQ}(?:{_CLOCK}|\S+ \S+)  (?P<word>[a-z_]+) "), _KINDS)
AROUND: Final = Look(re.compile(rf"{_HOST} *\S+(?: s)? [ !>] *\d+  (?P<word>[a-z_]+) "), _KINDS)
SEARCH: Final = Look(re.compile(rf"(?:{_SEQ}|{' ' * 7}-  )(?P<word>)"), {}, "head")
_ITEM: Final = re.compile(rf"{_CLOCK}  |    \| |              ")
_LABEL: Final = re.compile(r"[a-z][a-z ()0-9]*: +")


class Days:
    """Gives each day and zone a line of its own, in place of a stamp in each line."""

    def __init__(self) -> None:
        self._last = ""

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines as they are in a pipe; on a terminal without day and zone."""
        for line in lines:
            found = _STAMP.match(line) if terminal.width() is not None else None
            if found is None:
                yield line
                continue
            day = f"{found['day']} {found['zone']}"
            if day != self._last:
                self._last = day
                yield terminal.Styled(day, "head")
            yield f"{found['before']}{found['clock']} {line[found.end() :]}"


def fitted(lines: Iterable[str], look: Look) -> Iterator[str]:
    """Lines of a list, as they go to the output."""
    most = terminal.width()
    for line in lines:
        told = line if most is None else terminal.cut(line, most)
        if not terminal.is_coloured():
            yield told
        elif (found := look.form.match(told)) is None:
            yield terminal.painted(told, getattr(line, "style", look.otherwise))
        else:
            yield _painted(told, found, look.styles.get(found["word"], ""))


def _painted(line: str, found: re.Match[str], style: str) -> str:
    begin, end = found.span("word")
    return line[:begin] + terminal.painted(found["word"], style) + line[end:]


def cut(lines: Iterable[str]) -> Iterator[str]:
    """Lines of a tree: cut at the terminal's width."""
    most = terminal.width()
    return (line if most is None else terminal.cut(line, most) for line in lines)


def story(lines: Iterable[str]) -> Iterator[str]:
    """The lines of ``why``: events are cut at the terminal's width, facts are wrapped."""
    most = terminal.width()
    for line in lines:
        if most is None:
            yield _in_colour(line)
        elif _ITEM.match(line):
            yield _in_colour(terminal.cut(line, most))
        else:
            yield from map(_in_colour, _wrapped(line, most))


def _wrapped(line: str, most: int) -> list[str]:
    if terminal.cells(line) <= most:
        return [line]
    label = _LABEL.match(line)
    hanging = " " * (len(label[0]) if label is not None and len(label[0]) < most // 2 else 2)
    return textwrap.wrap(line, most, subsequent_indent=hanging, break_on_hyphens=False)


def _in_colour(line: str) -> str:
    """Lines of a log are dim, labels bold, and signs of repairs say whether they helped."""
    if not terminal.is_coloured():
        return line
    if line.startswith("    | "):
        return terminal.painted(line, "dim")
    if (label := _LABEL.match(line)) is not None:
        word = label[0].rstrip()
        return terminal.painted(word, "head") + line[len(word) :]
    line = line.replace("✓", terminal.painted("✓", "good"))
    return line.replace("✗", terminal.painted("✗", "bad"))
