"""Checks a history: folded again by the rules of its day, does the same come out?

| kind | |
|---|---|
| ``same`` | each recorded action and expectation comes out the same |
| ``diverged`` | one does not: this version decides otherwise than the history says |
| ``damaged`` | the text cannot be read, or contradicts itself |
| ``newer`` | its format, its kinds of events or its rules are of a later version |

The rules are those of the history (``daemon/core/rules.py``), so a decision that a later version
changed is decided as it was. Only a fold that differs by the same rules diverges.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ...daemon.core.actions import Action
from ...journal.errors import Damaged, NewerFormat
from ...monitors.names import shown
from ..divergence import BEFORE
from ..rebuild import FoldFailed
from .folding import Folding
from .history import Expectation, History, Step
from .text import Writer, read

Kind = Literal["same", "diverged", "damaged", "newer"]


class Outcome(msgspec.Struct, frozen=True):
    """The result of a check. The fields behind ``text`` are of the first event that diverged.

    ``place`` is its index in ``History.steps``. ``field`` is the first that differs, or what is
    missing or not recorded. ``before`` are the lines of the ten events before it.
    """

    kind: Kind
    text: str = ""
    place: int = -1
    seq: int = 0
    event: str = ""
    what: Literal["action", "expectation", "fold"] = "action"
    vassal: str | None = None
    field: str = ""
    recorded: str = ""
    computed: str = ""
    before: tuple[str, ...] = ()
    rules: int = 1
    version: str = ""

    @property
    def same(self) -> bool:
        """Whether all came out the same."""
        return self.kind == "same"

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"{self.kind}: {self.text}" if self.text else self.kind
        if self.kind != "diverged":
            return
        about = "" if self.vassal is None else f" of {shown(self.vassal)}"
        yield f"  {self.event}"
        yield f"  {self.what}{about}, {self.field}"
        yield f"    recorded: {self.recorded}"
        yield f"    computed: {self.computed}"
        version = f", recorded by version {shown(self.version)}" if self.version else ""
        yield f"  decided by rules {self.rules}{version}"
        if self.before:
            yield f"  the {len(self.before)} events before it:"
            yield from (f"    {line}" for line in self.before)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def check_text(text: str, where: str) -> Outcome:
    """Read a text and check its history. Errors of reading are outcomes, too."""
    try:
        return check(read(text, where))
    except NewerFormat as error:
        return Outcome("newer", str(error))
    except Damaged as error:
        return Outcome("damaged", str(error))


def check(history: History) -> Outcome:
    """Fold a history again, and compare each event up to the first that differs."""
    folding = Folding(history.fleet())
    for place, step in enumerate(history.steps):
        try:
            computed = folding.take(step.event)
        except NewerFormat as error:
            return Outcome("newer", str(error))
        except FoldFailed as error:
            return _diverged(history, place, folding, _Difference("fold", step.event.vassal,
                             "the fold broke", None, str(error)))  # fmt: skip
        difference = _of_actions(step, computed) or _of_states(step, computed)
        if difference is not None:
            return _diverged(history, place, folding, difference)
    return Outcome("same")


class _Difference(msgspec.Struct, frozen=True):
    what: Literal["action", "expectation", "fold"]
    vassal: str | None
    field: str
    recorded: Action | Expectation | str | None
    computed: Action | Expectation | str | None


def _diverged(history: History, place: int, folding: Folding, difference: _Difference) -> Outcome:
    step = history.steps[place]
    writer = Writer(history)
    told = [writer.event(each.event) for each in history.steps[max(0, place - BEFORE) : place + 1]]
    return Outcome(
        "diverged",
        f"event {step.event.seq} is decided otherwise than it was",
        place,
        step.event.seq,
        told[-1],
        before=tuple(told[:-1]),
        rules=folding.fleet.rules,
        version=history.header.version,
        what=difference.what,
        vassal=difference.vassal,
        field=difference.field,
        recorded=_told(writer, difference.recorded),
        computed=_told(writer, difference.computed),
    )


def _of_actions(recorded: Step, computed: Step) -> _Difference | None:
    ours, theirs = recorded.actions, computed.actions
    if ours == theirs:
        return None
    for number in range(max(len(ours), len(theirs))):
        old = ours[number] if number < len(ours) else None
        new = theirs[number] if number < len(theirs) else None
        if old != new:
            vassal = (old or new).vassal  # type: ignore[union-attr]
            field = _field(_plain(old), _plain(new), "action")
            return _Difference("action", vassal, f"{number + 1}: {field}", old, new)
    return None


def _of_states(recorded: Step, computed: Step) -> _Difference | None:
    ours = {each.vassal: each for each in recorded.expectations}
    theirs = {each.vassal: each for each in computed.expectations}
    for name in sorted(ours.keys() | theirs.keys()):
        old, new = ours.get(name), theirs.get(name)
        if old != new:
            field = _field(_plain(old), _plain(new), "expectation")
            return _Difference("expectation", name, field, old, new)
    return None


def _plain(value: Action | Expectation | None) -> dict[str, Any] | None:
    if value is None:
        return None
    told: dict[str, Any] = msgspec.to_builtins(value)
    facts: dict[str, Any] = told.pop("facts", {})
    return told | facts


def _field(old: dict[str, Any] | None, new: dict[str, Any] | None, what: str) -> str:
    if old is None:
        return f"an {what} that is not recorded"
    if new is None:
        return f"an {what} that does not come any more"
    differ = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return f"field {differ[0]!r}"


def _told(writer: Writer, value: Action | Expectation | str | None) -> str:
    match value:
        case Action():
            return writer.action(value).strip()
        case Expectation():
            return writer.expectation(value).strip()
    return value or "nothing"
