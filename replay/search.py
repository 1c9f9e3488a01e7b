"""``search``: when a text came into the configs, when it went, and where it is now.

Each stored text is looked through once, whichever vassals had it. The daemon stored with each
deploy which config was wanted before it. So the deploys tell when the configs that have the text
came and went, and the events themselves are read only for the answer. Where those deploys are not
stored, the events are folded. A file that an archive was cut from begins with a snapshot. It tells
the configs of the vassals that have no deploy in the file.

A *presence* is the time in which each config of a vassal had the text. A vassal that gets another
config with the same text goes on with its presence.
"""

import json
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import msgspec

from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader, as_bytes
from ..journal.selection import Filter
from ..journal.times import now, parse, rfc3339
from ..monitors.names import shown
from .clocks import cell, is_local, zone
from .deploys import deploys
from .rebuild import NotFound, base

_AT_ONCE: Final = 5000  # texts
FEW: Final = 2000  # configs, for which one query names the vassals
_SECONDS: Final = 30  # for a pattern that takes exponential time
_WIDTH: Final = 100  # characters of a line for people

Finder = Callable[[bytes], int | None]
"""Where in a text it is found."""


class Presence(msgspec.Struct, frozen=True):
    """A text came into the config of a vassal, and went. None: before this file, or not yet."""

    vassal: str
    came: int | None
    went: int | None
    config: str  # the first one that has it


class _Text(msgspec.Struct, frozen=True):
    """A config: its digest, None if none is wanted, and whether the text is in it."""

    digest: str | None
    has_it: bool


class _Step(msgspec.Struct, frozen=True):
    """A deploy of a vassal: its number, and the configs that were wanted before and after."""

    seq: int
    before: _Text
    after: _Text


class Found:
    """The stored texts that have it, by their rows: a bit each, as there may be many."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self.count = 0

    def add(self, row: int) -> None:
        self._bits[row >> 6] = self._bits.get(row >> 6, 0) | 1 << (row & 63)
        self.count += 1

    def __contains__(self, row: int | None) -> bool:
        return row is not None and bool(self._bits.get(row >> 6, 0) >> (row & 63) & 1)

    def __iter__(self) -> Iterator[int]:
        for block, bits in self._bits.items():
            yield from (block << 6 | i for i in range(64) if bits >> i & 1)


def literal(text: bytes) -> Finder:
    """Finds these bytes."""

    def find(content: bytes) -> int | None:
        at = content.find(text)
        return None if at < 0 else at

    return find


def pattern(text: str) -> Finder:
    """Finds a regular expression of Python's; ``^`` and ``$`` are at lines. Raises ValueError."""
    try:
        compiled = re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None

    def find(content: bytes) -> int | None:
        found = compiled.search(content.decode("utf-8", "surrogateescape"))
        if found is None:
            return None
        return len(found.string[: found.start()].encode("utf-8", "surrogateescape"))

    return find


@contextmanager
def limited(seconds: float = _SECONDS) -> Iterator[None]:
    """Raise NotFound after so long; Python's expressions look for signals as they match."""

    def end(*_: object) -> None:
        raise NotFound(f"the pattern takes more than {seconds:g} s; write a simpler one")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def having(reader: Reader, find: Finder, text: bytes | None = None) -> Found:
    """The stored texts in which it is found; ``text`` if that is what it finds."""
    found = Found()
    last = -1
    column, where = (", content", "") if text is None else ("", " AND instr(content, ?2)")
    query = f"SELECT rowid{column} FROM config WHERE rowid > ?1{where}"
    query += f" ORDER BY rowid LIMIT {_AT_ONCE}"
    while rows := reader.fetch(query, last, *(() if text is None else (text,))):
        for row, *content in rows:
            last = row
            if not content or find(as_bytes(content[0])) is not None:
                found.add(row)
    return found


def presences(reader: Reader, found: Found, names: Iterable[str] | None = None) -> list[Presence]:
    """Each presence of the texts with these digests, in the order in which they came."""
    among = None if names is None else frozenset(names)
    told = _sorted(reader, found, among, _deployed(reader, found, among))
    if all(each.came is None or _config_of(reader, each.came) == each.config for each in told):
        return told
    # A row of ``deploy`` was changed.
    return _sorted(reader, found, among, _folded(reader, found, among))


def _sorted(
    reader: Reader, found: Found, names: Set[str] | None,
    deployed: Iterable[tuple[str, list[_Step]]],
) -> list[Presence]:  # fmt: skip
    steps = {name: steps for name, steps in deployed if steps}
    told = [presence for name, its in steps.items() for presence in _presences(name, its)]
    for name, config in _older(reader, names):
        if name not in steps and _text_of(reader, found, config).has_it:
            told.append(Presence(name, None, None, config))
    return sorted(told, key=lambda presence: (presence.came or 0, presence.vassal))


def _older(reader: Reader, names: Set[str] | None) -> Iterator[tuple[str, str]]:
    """The vassals that were deployed before this file, and the configs that were wanted then.

    A vassal without a deploy in this file has its config still.
    """
    fleet, _ = base(reader, reader.anchor.seq)
    for vassal in fleet.vassals.values():
        config = vassal.spec.config
        if vassal.wanted and config is not None and (names is None or vassal.name in names):
            yield vassal.name, config


def _presences(name: str, steps: Iterable[_Step]) -> Iterator[Presence]:
    came, config = None, None  # of the present presence
    for step in steps:
        if config is None and step.before.has_it:
            config = step.before.digest  # since before this file
        if config is not None and not step.after.has_it:
            yield Presence(name, came, step.seq, config)
            came, config = None, None
        elif config is None and step.after.has_it:
            came, config = step.seq, step.after.digest
    if config is not None:
        yield Presence(name, came, None, config)


# The deploys of each vassal that can have it


def _deployed(
    reader: Reader, found: Found, names: Set[str] | None
) -> Iterator[tuple[str, list[_Step]]]:
    if not reader.has_deploys():
        yield from _folded(reader, found, names)
        return
    chosen = reader.vassals() if names is None else sorted(names)
    few = _digests(reader, found) if found.count <= FEW else None
    had = None if few is None else _having_had(reader, few)
    for name in chosen:
        if few is None or had is None:
            yield name, _steps(reader, found, name)
        elif name in had or _last_of(reader, name) in found:
            yield name, _steps_of_few(reader, found, few, name, had.get(name, ()))


def _digests(reader: Reader, found: Found) -> frozenset[str]:
    rows = reader.fetch(
        "SELECT digest FROM config WHERE rowid IN (SELECT value FROM json_each(?))",
        json.dumps(list(found)),
    )
    return frozenset(digest for (digest,) in rows)


def _having_had(reader: Reader, digests: frozenset[str]) -> dict[str, list[int]]:
    """The vassals that had one of these configs before a deploy, with those deploys."""
    rows = reader.fetch(
        "SELECT event.vassal, deploy.seq FROM deploy JOIN event ON event.seq = deploy.seq"
        " WHERE previous IN (SELECT value FROM json_each(?))",
        json.dumps(list(digests)),
    )
    had: dict[str, list[int]] = {}
    for name, seq in rows:
        had.setdefault(name, []).append(seq)
    return had


_DEPLOY: Final = "deploy.seq, outcome = 'superseded' AND outcome_seq = deploy.seq, previous"
_OF_VASSAL: Final = "FROM event JOIN deploy ON deploy.seq = event.seq"
_CONFIG: Final = "CASE WHEN json_valid(body) THEN json_extract(body, '$.spec.config') END"


def _last_of(reader: Reader, name: str) -> int | None:
    """The row of the config of the last deploy of a vassal."""
    rows = reader.fetch(
        f"SELECT config.rowid FROM config WHERE digest = (SELECT {_CONFIG} FROM event"
        " JOIN deploy ON deploy.seq = event.seq WHERE vassal = ? ORDER BY event.seq DESC LIMIT 1)",
        name,
    )
    return rows[0][0] if rows else None


def _steps(reader: Reader, found: Found, name: str) -> list[_Step]:
    """The deploys of a vassal from which something was concluded, as they are stored."""
    rows = reader.fetch(
        f"SELECT {_DEPLOY}, config.rowid {_OF_VASSAL} LEFT JOIN config ON config.digest = previous"
        " WHERE vassal = ? ORDER BY event.seq",
        name,
    )
    texts = [_Text(previous, row in found) for _, _, previous, row in rows]
    if rows and not rows[-1][1]:
        texts.append(_text_of(reader, found, _config_of(reader, rows[-1][0])))
    return [
        _Step(seq, before, after)
        for (seq, ignored, *_), before, after in zip(rows, texts, texts[1:], strict=False)
        if not ignored
    ]


def _steps_of_few(
    reader: Reader, found: Found, few: frozenset[str], name: str, having: Iterable[int]
) -> list[_Step]:
    """Those of them before or after which it had one of a few configs.

    ``having`` are the deploys before which it had one. Each brings the deploy before it, after
    which it had that config.
    """
    steps: dict[int, _Step] = {}

    def add(row: tuple[int, bool, str | None], after: _Text) -> None:
        seq, ignored, previous = row
        if not ignored:
            steps[seq] = _Step(seq, _Text(previous, previous in few), after)

    query = f"SELECT {_DEPLOY} {_OF_VASSAL} WHERE vassal = ? AND event.seq"
    for seq in having:
        before = reader.fetch(f"{query} < ? ORDER BY event.seq DESC LIMIT 1", name, seq)
        rows = before + reader.fetch(f"{query} >= ? ORDER BY event.seq LIMIT 2", name, seq)
        for row, (_, _, previous) in pairwise(rows):
            add(row, _Text(previous, previous in few))
    for row in reader.fetch(f"{query} > 0 ORDER BY event.seq DESC LIMIT 1", name):
        add(row, _text_of(reader, found, _config_of(reader, row[0])))
    return [steps[seq] for seq in sorted(steps)]


def _config_of(reader: Reader, seq: int) -> str | None:
    """The config of an event; None of one that removes."""
    rows = reader.fetch(f"SELECT {_CONFIG} FROM event WHERE seq = ?", seq)
    return rows[0][0] if rows else None


def _text_of(reader: Reader, found: Found, digest: str | None) -> _Text:
    rows = reader.fetch("SELECT rowid FROM config WHERE digest = ?", digest)
    return _Text(digest, bool(rows) and rows[0][0] in found)


def _folded(
    reader: Reader, found: Found, names: Set[str] | None
) -> Iterator[tuple[str, list[_Step]]]:
    """The same by a fold of the events."""
    steps = dict[str, list[_Step]]()
    for deploy in deploys(reader, Filter(), full=True):
        ignored = deploy.outcome == "superseded" and deploy.outcome_seq == deploy.seq
        if not ignored and (names is None or deploy.vassal in names):
            after = deploy.config if deploy.kind in DEPLOYED else None
            step = _Step(
                deploy.seq,
                _text_of(reader, found, deploy.previous),
                _text_of(reader, found, after),
            )
            steps.setdefault(deploy.vassal, []).append(step)
    yield from steps.items()


# How a presence is told


def presence_record(reader: Reader, presence: Presence, find: Finder) -> dict[str, Any]:
    """A presence as JSON has it, with the first line that has the text. Raises Damaged."""
    came = None if presence.came is None else reader.row(presence.came)
    went = None if presence.went is None else reader.row(presence.went)
    number, line = _first_line(reader, presence.config, find)
    return {
        "vassal": presence.vassal,
        "monitor": None if came is None else came[3],
        "config": presence.config,
        "came_seq": presence.came,
        "came_at": None if came is None else rfc3339(came[1]),
        "came_kind": None if came is None else came[2],
        "went_seq": presence.went,
        "went_at": None if went is None else rfc3339(went[1]),
        "went_kind": None if went is None else went[2],
        "now": presence.went is None,
        "line": number,
        "text": line,
    }


COLUMNS: Final = (
    "vassal", "monitor", "config", "came_seq", "came_at", "came_kind",
    "went_seq", "went_at", "went_kind", "now", "line", "text",
)  # fmt: skip


def _first_line(reader: Reader, digest: str, find: Finder) -> tuple[int | None, str | None]:
    content = reader.config_text(digest)
    at = None if content is None else find(content)
    if content is None or at is None:
        return None, None
    begin = content.rfind(b"\n", 0, at) + 1
    line = content[begin:].partition(b"\n")[0]
    return content.count(b"\n", 0, at) + 1, line.decode("utf-8", "backslashreplace")


def lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Stays for people, below a head. An altered row is found before the head is written."""
    wide, at = (12 if is_local() else 23), f"AT ({zone(now())})"
    for number, one in enumerate(records):
        if number == 0:
            yield f"{'CAME':>8}  {at:{wide}}  {'WENT':>8}  {at:{wide}}  VASSAL: LINE"
        came = _told(one["came_seq"], one["came_at"], "before", wide)
        went = _told(one["went_seq"], one["went_at"], "still there", wide)
        text = ""
        if one["text"] is not None:
            text = f":{one['line']}: {shown(one['text'].strip()[:_WIDTH])}"
        removed = "" if one["went_kind"] in (None, "vassal_changed") else f" ({one['went_kind']})"
        yield f"{came}  {went}  {shown(one['vassal'])}{text}{removed}"


def _told(seq: int | None, at: str | None, otherwise: str, wide: int) -> str:
    if seq is None or at is None:
        return f"{'-':>8}  {otherwise:{wide}}"
    return f"{seq:>8}  {cell(parse(at), now()):{wide}}"
