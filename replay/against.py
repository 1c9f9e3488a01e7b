"""Two copies of one journal: the events and the texts in which they differ.

A witness has the chain's head only. An older copy has what was written, so it tells what an altered
event or text said before. Which of the two was altered, the chain or a witness has to tell. Hashes
are not compared: after a change they can all be made anew.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..journal.deploys import DEPLOYED
from ..journal.errors import JournalError
from ..journal.reading import Reader, Row
from ..monitors.names import shown
from .altered_rows import row_of
from .record import plain_line

_TOLD: Final = 10  # differences


class Difference(msgspec.Struct, frozen=True):
    """An event that is another in the copy, or is in one of them only; or a text of one digest."""

    what: str
    seq: int | None
    here: str | None  # None: it is not there
    there: str | None
    text: list[str]  # a unified diff, from the copy to this journal


class Against(msgspec.Struct):
    """The findings of a comparison. Events ``first`` to ``last`` are in the range of both."""

    path: str
    first: int
    last: int
    behind: int  # events of this journal behind those of the copy; negative: of the copy
    count: int = 0
    differences: list[Difference] = []

    def add(self, one: Difference) -> None:
        self.count += 1
        if len(self.differences) < _TOLD:
            self.differences.append(one)


def compare(here: Reader, there: Reader) -> Against:
    """Compare a journal with another copy of it."""
    first = max(here.anchor.seq, there.anchor.seq) + 1
    last = min(here.head.seq, there.head.seq)
    found = Against(there.path, first, last, here.head.seq - there.head.seq, differences=[])
    for ours, theirs in _pairs(here, there, first, last):
        if ours is None or theirs is None or ours[:8] != theirs[:8]:
            found.add(_of_events(here, there, ours, theirs))
    for digest, theirs_text in _texts(there):
        ours_text = _text(here, digest)
        if ours_text is not None and ours_text != theirs_text:
            what = f"config {shown(digest)} has another text"
            found.add(Difference(what, None, None, None, _diff(theirs_text, ours_text)))
    return found


def _pairs(
    here: Reader, there: Reader, first: int, last: int
) -> Iterator[tuple[Row | None, Row | None]]:
    """The rows of both by their numbers; None where one has none."""
    others = iter(there.rows(after=first - 1, upto=last))
    other = next(others, None)
    for row in here.rows(after=first - 1, upto=last):
        while other is not None and other[0] < row[0]:
            yield None, other
            other = next(others, None)
        same = other is not None and other[0] == row[0]
        yield row, other if same else None
        other = next(others, None) if same else other
    while other is not None:
        yield None, other
        other = next(others, None)


def _of_events(here: Reader, there: Reader, ours: Row | None, theirs: Row | None) -> Difference:
    row = ours or theirs
    assert row is not None
    text: list[str] = []
    if ours is not None and theirs is not None and ours[2] in DEPLOYED:
        texts = [_text(reader, _config(reader, row[0])) for reader in (there, here)]
        if None not in texts:
            text = _diff(texts[0] or b"", texts[1] or b"")
    return Difference(f"event {row[0]} differs", row[0], _told(ours), _told(theirs), text)


def _told(row: Row | None) -> str | None:
    return None if row is None else plain_line(row).strip()


def _config(reader: Reader, seq: int) -> str:
    row = row_of(reader, seq)
    try:
        spec: Any = None if row is None else getattr(reader.decode(row).body, "spec", None)
    except JournalError:
        spec = None
    return "" if spec is None else spec.config or ""


def _texts(reader: Reader) -> Iterator[tuple[str, bytes]]:
    last = 0
    query = "SELECT rowid, digest, content FROM config WHERE rowid > ? ORDER BY rowid LIMIT 500"
    while rows := reader.fetch(query, last):
        last = rows[-1][0]
        yield from ((digest, content) for _, digest, content in rows)


def _text(reader: Reader, digest: str) -> bytes | None:
    """A text as it is stored, whether or not it is what was deployed."""
    rows = reader.fetch("SELECT content FROM config WHERE digest = ?", digest)
    return rows[0][0] if rows else None


def _diff(old: object, new: object) -> list[str]:
    told = difflib.unified_diff(_lines(old), _lines(new), "copy", "here", lineterm="")
    return [shown(line) for line in told]


def _lines(text: object) -> list[str]:
    content = text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")
    return content.decode("utf-8", "backslashreplace").splitlines()


def lines(found: Against) -> Iterator[str]:
    """The comparison for people."""
    if found.last < found.first:
        yield f"against {shown(found.path)}: it has no events that are in this journal"
        return
    if not found.count:
        yield (
            f"against {shown(found.path)}: events {found.first} to {found.last} and all texts are"
            " the same"
        )
    for one in found.differences:
        yield f"against {shown(found.path)}: {one.what}"
        if one.seq is not None:
            yield f"  copy: {one.there or 'not there'}"
            yield f"  here: {one.here or 'not there'}"
        yield from (f"    {line}" for line in one.text)
    if found.count > len(found.differences):
        yield f"  and {found.count - len(found.differences)} more differences"
    if found.behind:
        who = "this journal has" if found.behind > 0 else "the copy has"
        yield f"  {who} {abs(found.behind)} events behind these"


def record(found: Against) -> dict[str, Any]:
    """The comparison for programs."""
    return {
        "path": found.path,
        "first": found.first,
        "last": found.last,
        "behind": found.behind,
        "count": found.count,
        "differences": [
            {"what": each.what, "seq": each.seq, "here": each.here, "copy": each.there,
             "diff": each.text}
            for each in found.differences
        ],
    }  # fmt: skip
