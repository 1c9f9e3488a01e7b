"""``blame``: the deploy that brought each line of a config, as ``git blame`` tells the commit.

A line belongs to the oldest config that had it, and that each later config kept it from. So the
configs are compared from the newest to the oldest, until each line has its deploy. A removal does
not end that: the config that comes back is compared with the last one before. A name that is new,
with exactly the text of a vassal that its source removes at about the same time, is a rename. Then
that vassal's configs are the older ones.

A line is *at the boundary* where it may be older than the deploy that is told. Then the file begins
later, or the config before was not recorded. With a period, it is also one that did not change in
the period. Then the deploy that is told is the one that was wanted when the period began.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.errors import JournalError
from ..journal.events import Announced, Event
from ..journal.reading import Reader, whole_text
from ..journal.selection import Filter, nth_from_end
from ..journal.times import EventNumber, rfc3339
from ..monitors.names import shown
from .altered_rows import altered
from .authors import author
from .beginnings import or_in_archive
from .change_groups import GAP
from .deploys import deploys
from .names import check_known, first_fleet
from .rebuild import NotFound

_MOST: Final = 250_000  # pairs of lines that are compared with one another
_NEAR: Final = 500  # events between the two halves of a rename
_TOGETHER: Final = 60_000_000_000  # nanoseconds between them
_RENAMES: Final = 100
_FEW: Final = 100  # deploys that are read first
_FEW_TEXTS: Final = 8  # texts that are
_TEXTS: Final = 500  # that are read at once, later
_STORED: Final = (
    "SELECT digest, content FROM config WHERE digest IN (SELECT value FROM json_each(?))"
)


class Version(msgspec.Struct, frozen=True):
    """A config that a deploy brought."""

    seq: int
    vassal: str
    digest: str | None
    before: str | None  # the digest of the one before it


class Line(msgspec.Struct, frozen=True):
    """A line, and the version that brought it."""

    text: bytes
    version: Version
    boundary: bool


def blame(reader: Reader, name: str, seq: int, after: int | None = None) -> list[Line]:
    """Each line of the config that was wanted after event ``seq``. Raises NotFound, Damaged.

    Nothing is looked for before the version that was wanted after event ``after``.
    """
    versions = _with_texts(reader, _versions(reader, name, seq))
    first, content = next(versions, (None, None))
    if first is None:
        check_known(reader, name)
        none = f"no config of {shown(name)} is in this journal before event {seq}"
        if seq > reader.anchor.seq and name in first_fleet(reader).vassals:
            none = f"no event of this journal up to {seq} brought the config of {shown(name)}"
        raise NotFound(or_in_archive(reader, none))
    if content is None:
        raise NotFound(
            f"the config of {shown(name)} that event {first.seq} deployed was not recorded"
        )
    lines = _lines(content)
    told = _LineOrigins(lines)
    version, text, known = first, lines, True
    while not (is_old := after is not None and version.seq <= after):
        older, content = next(versions, (None, None))
        if older is None:
            break
        if content is None or not told.left:
            known = content is not None
            break
        before = _lines(content)
        told.keep(version, matched(before, text))
        version, text = older, before
    told.rest(version, boundary=is_old or version.before is not None or not known)
    return [Line(lines[i], *told.found[i]) for i in range(len(lines))]


def _with_texts(
    reader: Reader, versions: Iterator[Version]
) -> Iterator[tuple[Version, bytes | None]]:
    """Each version with its text. The first ones alone, as they mostly tell all lines."""
    length = _FEW_TEXTS
    while some := list(islice(versions, length)):
        yield from zip(some, _texts(reader, [each.digest for each in some]), strict=True)
        length = _TEXTS


def _texts(reader: Reader, digests: Sequence[str | None]) -> Iterator[bytes | None]:
    """The text of each digest, in order, read by one query. A damaged one is told in its turn."""
    try:
        found = dict(reader.fetch(_STORED, json.dumps(digests)))
    except JournalError:  # it may be about one that is not asked for in the end
        yield from (None if each is None else reader.config_text(each) for each in digests)
        return
    for each in digests:
        stored = None if each is None else found.get(each)
        yield None if stored is None else whole_text(reader.path, str(each), stored)


class _LineOrigins:
    """The lines of which the version is known, and those of which it is not (``left``)."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.found: dict[int, tuple[Version, bool]] = {}
        self.left = {i: i for i in range(len(lines))}  # by their place in the present version

    def keep(self, version: Version, places: dict[int, int]) -> None:
        """Those that the version before has go on, at its places; the others are of this one."""
        left = {places[here]: line for here, line in self.left.items() if here in places}
        for here, line in self.left.items():
            if here not in places:
                self.found[line] = (version, False)
        self.left = left

    def rest(self, version: Version, boundary: bool) -> None:
        for line in self.left.values():
            self.found[line] = (version, boundary)


# The configs of a vassal, from the newest to the oldest


def _versions(reader: Reader, name: str, seq: int) -> Iterator[Version]:
    """The different configs up to event ``seq``; of a run of the same, the deploy that began it."""
    for _ in range(_RENAMES):
        oldest: Version | None = None
        for oldest in _own_versions(reader, name, seq):
            yield oldest
        if oldest is None or oldest.before is not None:
            return
        origin = _renamed_from(reader, oldest)
        if origin is None:
            return
        name, seq = origin, oldest.seq - 1


def _own_versions(reader: Reader, name: str, seq: int) -> Iterator[Version]:
    version: Version | None = None  # and deploys of the same config before it may come
    for deploy in _newest_first(reader, name, seq):
        ignored = deploy.outcome == "superseded" and deploy.outcome_seq == deploy.seq
        if ignored or deploy.kind not in DEPLOYED:
            continue
        if version is not None and version.digest != deploy.config:
            yield version
        version = Version(deploy.seq, name, deploy.config, deploy.previous)
    if version is not None:
        yield version


def _newest_first(reader: Reader, name: str, seq: int) -> Iterator[Deploy]:
    """The deploys of a vassal up to event ``seq``. Mostly each line is told by a few of them."""
    which, few = Filter(vassal=name, kinds=DEPLOYS), _FEW
    while seq > reader.anchor.seq:
        first = nth_from_end(reader.fetch, which, few, reader.anchor.seq, seq)
        some = replace(which, since=EventNumber(first), until=EventNumber(seq))
        yield from reversed([*deploys(reader, some, rollbacks=False)])
        seq, few = first - 1, 4 * few


def _renamed_from(reader: Reader, version: Version) -> str | None:
    """The vassal that had this text and was removed at about the same time by the same source."""
    added = reader.row(version.seq)
    near = Filter(
        monitor=None if added is None else added[3],
        kinds=("vassal_removed", "vassal_destroyed"),
        since=EventNumber(max(1, version.seq - _NEAR)),
        until=EventNumber(version.seq + _NEAR),
    )
    fits = [
        (abs(row[0] - version.seq), row[4])
        for row in reader.rows(near)
        if added is not None
        and row[4] not in (None, version.vassal)
        and abs(row[1] - added[1]) <= _TOGETHER
        and _had(reader, row[4], row[0], version.digest, added[1] - GAP)
    ]
    return min(fits)[1] if fits else None


def _had(reader: Reader, name: str, seq: int, digest: str | None, before: int) -> bool:
    """Whether a vassal had this text last, up to an event, and got it before that time.

    Vassals of one listing may have the same text, and none of them is another one renamed.
    """
    row = reader.last_of(name, DEPLOYED, seq)
    body = None if row is None else reader.decode(row).body
    if row is None or not isinstance(body, Announced):
        return False
    return body.spec.config == digest and row[1] < before


def _lines(content: bytes) -> list[bytes]:
    pieces = content.split(b"\n")
    return pieces if pieces[-1] else pieces[:-1]


# How a line is told

COLUMNS: Final = (
    "line", "seq", "at", "kind", "vassal", "monitor", "author", "config", "boundary",
    "altered", "text",
)  # fmt: skip


def records(reader: Reader, lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    """Lines in the shape of the surface. Raises Damaged."""
    events = dict[int, Event]()
    bad = altered(reader, (line.version.seq for line in lines))
    for number, line in enumerate(lines, 1):
        version = line.version
        if version.seq not in events:
            row = reader.row(version.seq)
            assert row is not None
            events[version.seq] = reader.decode(row)
        event = events[version.seq]
        yield {
            "line": number,
            "seq": version.seq,
            "at": rfc3339(event.at),
            "kind": event.kind,
            "vassal": version.vassal,
            "monitor": event.monitor,
            "author": author(event.body),
            "config": version.digest,
            "boundary": line.boundary,
            "altered": version.seq in bad,
            "text": line.text.decode("utf-8", "backslashreplace"),
        }


def title(name: str) -> str:
    """The line above those of a vassal, where there are several."""
    return f"{shown(name)}:"


def told(reader: Reader, name: str, lines: Sequence[Line]) -> Iterator[bytes]:
    """Lines for people; each one's own bytes are as they were deployed."""
    marks = [_marks(one, name) for one in records(reader, lines)]
    widths = [max(map(len, column)) for column in zip(*marks, strict=True)]
    for line, cells in zip(lines, marks, strict=True):
        first, *rest, number = cells
        middle = [cell.ljust(width) for cell, width in zip(rest, widths[1:-1], strict=True)]
        mark = "  ".join((first.rjust(widths[0]), *middle, number.rjust(widths[-1])))
        yield mark.encode() + b") " + line.text + b"\n"


def _marks(one: dict[str, Any], name: str) -> tuple[str, ...]:
    mark = "!" if one["altered"] else "^" if one["boundary"] else ""
    seq = f"{mark}{one['seq']}"
    whose = [shown(one["author"])] if one["author"] else []
    whose += [shown(one["vassal"])] if one["vassal"] != name else []
    at = one["at"][:19].replace("T", " ")
    return (seq, at, ", ".join(whose) or "-", str(one["line"]))


# Which lines are the same


def matched(old: Sequence[bytes], new: Sequence[bytes]) -> dict[int, int]:
    """By the place of a line in ``new``, the place of the same line in ``old``, if it has it."""
    begin = 0
    while begin < min(len(old), len(new)) and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < min(len(old), len(new)) - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    places = {i: i for i in range(begin)}
    places.update({len(new) - i: len(old) - i for i in range(1, end + 1)})
    middle = old[begin : len(old) - end], new[begin : len(new) - end]
    if set(middle[0]).isdisjoint(middle[1]):
        return places
    compare = _blocks if len(middle[0]) * len(middle[1]) <= _MOST else unique
    places.update({begin + there: begin + here for there, here in compare(*middle)})
    return places


def _blocks(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        yield from ((block.b + i, block.a + i) for i in range(block.size))


def unique(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Lines that are in both once, as far as they rise; for texts too long to compare all."""
    once = _once(old)
    pairs = sorted((there, once[text]) for text, there in _once(new).items() if text in once)
    # The longest rising run of places (patience sorting): the smallest end of each length, and
    # for each pair the one before it.
    ends: list[int] = []
    runs: list[int] = []
    before: list[int | None] = []
    for i, (_, here) in enumerate(pairs):
        at = bisect_left(ends, here)
        before.append(runs[at - 1] if at else None)
        ends[at : at + 1] = [here]
        runs[at : at + 1] = [i]
    last = runs[-1] if runs else None
    while last is not None:
        yield pairs[last]
        last = before[last]


def _once(lines: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for i, line in enumerate(lines):
        found[line] = -1 if line in found else i
    return {line: i for line, i in found.items() if i >= 0}
