"""A divergence in full: where the fold first ordered otherwise than the record, and around it.

The first event that differs is told with what differs in it, the phases of its vassal, the events
before it, and who decided then. Events behind it that differ as well are sorted:

- They *follow* from it where they are about a vassal that it or one of these orders about. They
  also follow where an event that differs is their cause.
- They *may* follow where they are about other vassals, because all of them share the slots.
- They are *independent* of it behind the next snapshot. There the fold goes on with the fleet as it
  was recorded, so the first difference has no effect any more.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..daemon.core.fleet import Fleet
from ..daemon.core.rules import RULES
from ..journal.events import DaemonStarted, Event
from ..journal.policy import Policy
from ..journal.reading import Row
from ..monitors.names import shown
from ..version import VERSION
from . import record

BEFORE: Final = 10  # events that are told before the first that differs
_FIELDS: Final = 5  # differences of two fleets that are told


class Divergence(msgspec.Struct, frozen=True):
    """Where the fold went another way than the record. Phases are None where there is no vassal."""

    seq: int
    kind: str
    recorded: str
    computed: str
    vassal: str | None = None
    before: str | None = None  # the phase before the event
    after: str | None = None  # the phase after it, by this fold
    version: str = ""  # that decided then, empty where its start is not in this file
    rules: int = 1
    policy: Policy = Policy()
    events: tuple[Row, ...] = ()  # before it

    @property
    def differs(self) -> str:
        """The first thing in the actions that differs, in words."""
        return _difference(decoded_actions(self.recorded), decoded_actions(self.computed))


class Divergences:
    """All that differ. ``note`` is called with each event that was folded, in order."""

    def __init__(self) -> None:
        self.first: Divergence | None = None
        self.count = 0
        self.follow = self.may_follow = self.independent = 0  # of those behind the first
        self.first_independent: tuple[int, str, str | None] | None = None
        self.resumed: int | None = None  # the last snapshot from which the fold went on
        self._recent: deque[Row] = deque(maxlen=BEFORE)
        self._version = ""
        self._names: set[str] = set()  # of vassals about which something differs
        self._seqs: set[int] = set()  # of events that differ

    def note(self, row: Row, event: Event | None) -> None:
        """An event is the same, or was told as one that is not."""
        if self.first is None:
            self._recent.append(row)
            if event is not None and isinstance(event.body, DaemonStarted):
                self._version = event.body.version

    def resume(self, seq: int) -> None:
        """The fold goes on from a snapshot."""
        self.resumed = seq

    def differ(
        self, row: Row, computed: str, fleet: Fleet, before: str | None, folded: bool = True
    ) -> None:
        """An event does not order what was recorded.

        ``fleet`` is the one behind it. Unless it was ``folded``, only its rules and policy count.
        """
        self.count += 1
        names = {
            str(each.get("vassal")) for each in decoded_actions(row[7]) + decoded_actions(computed)
        }
        if row[4] is not None:
            names.add(row[4])
        if self.first is None:
            self._tell_first(row, computed, fleet, before, folded)
        elif self.resumed is not None:
            self.independent += 1
            if self.first_independent is None:
                self.first_independent = (row[0], row[2], row[4])
        elif names & self._names or row[5] in self._seqs:
            self.follow += 1
        else:
            self.may_follow += 1
        if self.resumed is None:
            self._names |= names
            self._seqs.add(row[0])

    def _tell_first(
        self, row: Row, computed: str, fleet: Fleet, before: str | None, folded: bool
    ) -> None:
        vassal = fleet.vassals.get(row[4] or "") if folded else None
        self.first = Divergence(
            seq=row[0],
            kind=row[2],
            recorded=row[7],
            computed=computed,
            vassal=row[4],
            before=before,
            after=None if vassal is None else vassal.phase,
            version=self._version,
            rules=fleet.rules,
            policy=fleet.policy,
            events=tuple(self._recent),
        )

    def lines(self, path: str) -> Iterator[str]:
        """The first one and what is known of the others, for people."""
        first = self.first
        if first is None:
            return
        about = "" if first.vassal is None else f" of {shown(first.vassal)}"
        yield f"{path}: diverged at event {first.seq} ({first.kind}{about})"
        yield f"  recorded: {first.recorded}"
        yield f"  computed: {first.computed}"
        yield f"  differs: {first.differs}"
        if first.vassal is not None:
            yield (
                f"  {shown(first.vassal)} was {first.before or 'not known'} before it, and is"
                f" {first.after or 'not known'} after it by this fold"
            )
        yield from self._decider(first)
        yield from self._others()
        if first.events:
            yield f"  the {len(first.events)} events before it:"
            for row in first.events:
                yield f"    {record.plain_line(row)}"

    def _decider(self, first: Divergence) -> Iterator[str]:
        given = {
            field: value
            for field in first.policy.__struct_fields__
            if (value := getattr(first.policy, field)) != getattr(Policy(), field)
        }
        policy = ", ".join(f"{field} {value}" for field, value in given.items()) or "its defaults"
        version = shown(first.version) or "not known (its start is not in this file)"
        yield f"  decided by version {version}, rules {first.rules}, policy: {shown(policy)}"
        if first.version == VERSION and first.rules == RULES:
            yield (
                f"  that is this very version: {VERSION} orders otherwise by these rules, so the"
                " journal was rewritten, or one of the two programs was altered"
            )
        elif first.version:
            yield (
                f"  this is version {VERSION}, which keeps the rules of {shown(first.version)}:"
                " one of the two is defective or altered, or the journal was rewritten"
            )

    def _others(self) -> Iterator[str]:
        if self.count == 1:
            yield "  no event behind it differs"
            return
        yield f"  and {self.count - 1} events behind it"
        if self.follow:
            yield f"    {self.follow} follow from it: the same vassals, or it is their cause"
        if self.may_follow:
            yield f"    {self.may_follow} may follow from it: other vassals, which share its slots"
        if self.first_independent is not None:
            seq, kind, vassal = self.first_independent
            about = "" if vassal is None else f" of {shown(vassal)}"
            yield (
                f"    {self.independent} are independent of it, the first is event {seq}"
                f" ({kind}{about}): they differ behind a snapshot, from which the fold went on"
            )


def decoded_actions(text: str) -> list[dict[str, Any]]:
    """Actions as they are recorded; none where the text is no list."""
    try:
        actions = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return []
    return [each for each in actions if isinstance(each, dict)] if actions else []


def _difference(recorded: list[dict[str, Any]], computed: list[dict[str, Any]]) -> str:
    for number, (old, new) in enumerate(zip(recorded, computed, strict=False), 1):
        for field in sorted(old.keys() | new.keys()):
            if old.get(field) != new.get(field):
                return (
                    f"action {number}, field {field!r}: recorded {_json(old.get(field))},"
                    f" computed {_json(new.get(field))}"
                )
    if len(recorded) > len(computed):
        return f"action {len(computed) + 1} is recorded, and this fold does not order it"
    if len(computed) > len(recorded):
        return f"action {len(recorded) + 1} is not recorded, and this fold orders it"
    return "the text only: the actions are the same"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def of_fleets(recorded: Fleet, computed: Fleet) -> list[str]:
    """The fields in which two fleets differ, in words; the first few."""
    found = [
        f"{field}: recorded {_json(old)}, computed {_json(new)}"
        for field in recorded.__struct_fields__
        if field != "vassals"
        and (old := getattr(recorded, field)) != (new := getattr(computed, field))
    ]
    for name in recorded.vassals.keys() | computed.vassals.keys():
        old, new = recorded.vassals.get(name), computed.vassals.get(name)
        if old is None or new is None:
            where = "only in this fold" if old is None else "only in the record"
            found.append(f"{shown(name)} is {where}")
            continue
        found += [
            f"{shown(name)}, {field}: recorded {_json(ours)}, computed {_json(theirs)}"
            for field in old.__struct_fields__
            if (ours := getattr(old, field)) != (theirs := getattr(new, field))
        ]
    more = [f"and {len(found) - _FIELDS} more fields"] if len(found) > _FIELDS else []
    return sorted(found)[:_FIELDS] + more or ["the order of its vassals"]
