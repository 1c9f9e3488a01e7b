"""Reads the text of a history, line by line. Each error names the line and what to do.

The parser is a state machine. ``_take`` is the method for the next line: of the header, of an
event, or of a config text. Each line is read by what came before, never by what follows, so an
error names the first wrong line.

A text may be edited by hand, so nothing in it is trusted. Kinds, fields and digests are checked as
those of a journal are (``journal/decoding.py``). A history of a newer version is another error than
a damaged one, because another action helps.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ...daemon.core import rules
from ...daemon.core.actions import Action
from ...daemon.core.fleet import PHASES, Fleet, from_json
from ...journal import chain
from ...journal.decoding import decode_body
from ...journal.errors import Damaged, NewerFormat, UnreadableEvent
from ...journal.events import DaemonStarted, Event
from .folding import FACTS
from .header import HeaderReader
from .history import GONE, NOTHING, Expectation, History, Step, start_of
from .text_block import TextBlock
from .values import Values, cut, time_of

SAME: Final = "spec"  # of a vassal that runs with its wanted spec
NOT_FOLDED: Final = "-> not folded"
_RESTORE: Final = "take the file from version control, or export it again"


def parse(text: str, where: str) -> History:
    """The history of a text. Raises Damaged, NewerFormat; each names the line."""
    parser = _Parser()
    lines = text.split("\n")
    number = 0
    try:
        parser.header.take_first(lines[0])
        for number in range(1, len(lines)):
            parser.take(lines[number])
        return parser.history()
    except NewerFormat as error:
        raise NewerFormat(f"{where}:{number + 1}: {error}; read it with a newer emperord") from None
    except (ValueError, TypeError, UnreadableEvent, msgspec.MsgspecError) as error:
        raise Damaged(f"{where}:{number + 1}: {error}; {_RESTORE}") from None


class _Parser:
    """Takes one line after another. Its methods raise ValueError, MsgspecError, NewerFormat."""

    def __init__(self) -> None:
        self.header = HeaderReader()
        self.steps: list[Step] = []
        self.texts: dict[str, bytes] = {}
        self.start: dict[str, Any] | None = None  # empty where it begins with nothing
        self.values = Values(0, {})
        self._comments: tuple[str, ...] = ()
        self._take: Callable[[str], None] = self._in_header
        self._text: TextBlock | None = None  # that is being read

    def take(self, line: str) -> None:
        if line.strip():
            self._take(line)

    def history(self) -> History:
        self._end_text()
        if self.start is None:
            raise ValueError("the line 'start:' is missing: the file was cut")
        if self._comments:
            raise ValueError("the file ends with a comment that is above no event")
        self._check_decider()
        start = NOTHING if not self.start else self._fleet(self.start)
        return History(self.header.made(), start, tuple(self.steps), self.texts)

    def _in_header(self, line: str) -> None:
        self.header.take(line)
        if self.header.start is not None:
            self._begin(self.header.start)

    def _begin(self, told: str) -> None:
        digests = {full: short for short, full in self.header.digests.items()}
        self.values = Values(self.header.base, digests)
        self._take = self._in_events
        what, _, number = told.partition(" ")
        if told == "nothing":
            self.start = {}
        elif what == "event":
            self.start = {"seq": int(number), "vassals": {}}
        else:
            raise ValueError(f"start: {told!r} is neither 'nothing' nor 'event N'")

    # The start

    def _fleet(self, start: dict[str, Any]) -> bytes:
        header = self.header
        start |= {"rules": header.rules, "policy": msgspec.to_builtins(header.policy)}
        return start_of(msgspec.convert(start, Fleet, str_keys=True))

    def _take_fleet(self, rest: str) -> None:
        start = self._open_start()
        start |= {"vassals": {}, **self._decoded(rest)}
        msgspec.convert(start, Fleet, str_keys=True)

    def _take_vassal(self, rest: str) -> None:
        start = self._open_start()
        name, rest = cut(rest)
        source, rest = cut(rest)
        phase, rest = cut(rest)
        vassal = self._decoded(rest)
        if vassal.get("running") == SAME:
            vassal["running"] = vassal["spec"]
        if name in start["vassals"]:
            raise ValueError(f"vassal {name} is there twice")
        start["vassals"][name] = {
            "name": name, "monitor": self._url(source), "phase": phase, **vassal
        }  # fmt: skip
        from_json(msgspec.json.encode({"vassals": {name: start["vassals"][name]}}))

    def _open_start(self) -> dict[str, Any]:
        if not self.start or self.steps:
            raise ValueError("the fleet stands below 'start: event N' and above the first event")
        return self.start

    def _check_decider(self) -> None:
        if self.start:
            return
        for step in self.steps:
            body = step.event.body
            if isinstance(body, DaemonStarted):
                for what, header, there in (
                    ("rules", self.header.rules, body.rules),
                    ("policy", self.header.policy, body.policy),
                ):
                    if header != there:
                        raise ValueError(
                            f"the header has other {what} than event {step.event.seq}; write the"
                            " same in both"
                        )
                return

    # Events

    def _in_events(self, line: str) -> None:
        if line.startswith("#"):
            self._comments += (line,)
            return
        first, rest = cut(line)
        if first == "fleet":
            self._take_fleet(rest)
        elif first == "vassal":
            self._take_vassal(rest)
        elif first == "text":
            self._begin_text(rest)
        elif line.strip() == NOT_FOLDED:
            self._fail_step()
        elif first == "->":
            self._take_action(rest)
        elif first == "=":
            self._take_expectation(rest)
        elif first is not None and first.isdecimal():
            self._take_event(int(first), rest)
        else:
            raise ValueError(f"{line!r} is none of an event, an action (->), an expectation (=)")

    def _take_event(self, seq: int, rest: str) -> None:
        told, rest = cut(rest)
        kind, rest = cut(rest)
        vassal, rest = cut(rest)
        source, rest = cut(rest)
        cause = None
        if rest.lstrip().startswith("<-"):
            arrow, rest = cut(rest)
            cause = int((arrow or "").removeprefix("<-"))
        at = time_of(told or "-", self.values.base)
        fields = self._decoded(rest)
        body = decode_body(str(kind), chain.text(fields))
        _check_fields(body, fields)
        event = Event(seq, at, str(kind), self._url(source), vassal, cause, body)
        if isinstance(body, DaemonStarted):
            rules.check(body.rules)
        self._check_order(event)
        self.steps.append(Step(event, comments=self._comments))
        self._comments = ()

    def _check_order(self, event: Event) -> None:
        if self.steps:
            before = self.steps[-1].event
            if event.seq <= before.seq or event.at <= before.at:
                raise ValueError(f"event {event.seq} is not after event {before.seq}, above it")
        elif self.start and event.seq <= self.start["seq"]:
            raise ValueError(f"event {event.seq} is not after event {self.start['seq']}, the start")

    def _take_action(self, rest: str) -> None:
        do, rest = cut(rest)
        vassal, rest = cut(rest)
        action = msgspec.convert({"do": do, "vassal": vassal, **self._decoded(rest)}, Action)
        self._amend(actions=(*self._last().actions, action))

    def _take_expectation(self, rest: str) -> None:
        vassal, rest = cut(rest)
        phase, rest = cut(rest)
        facts = self._decoded(rest)
        if vassal is None or phase not in (*PHASES, GONE):
            raise ValueError(f"{phase} is no phase; there are {', '.join((*PHASES, GONE))}")
        if unknown := sorted(facts.keys() - set(FACTS)):
            raise ValueError(f"{unknown[0]} is no field here; there are {', '.join(FACTS)}")
        expected = Expectation(vassal, phase, facts)
        self._amend(expectations=(*self._last().expectations, expected))

    def _fail_step(self) -> None:
        self._amend(event=msgspec.structs.replace(self._last().event, failed=True))

    def _last(self) -> Step:
        if not self.steps:
            raise ValueError("it stands below no event")
        return self.steps[-1]

    def _amend(self, **changes: Any) -> None:
        self.steps[-1] = msgspec.structs.replace(self._last(), **changes)

    def _url(self, name: str | None) -> str | None:
        if name is None:
            return None
        if name not in self.header.sources:
            raise ValueError(f"source {name} is not in the header; add a line 'source: {name} = …'")
        return self.header.sources[name]

    def _decoded(self, rest: str) -> dict[str, Any]:
        rest = rest.strip()
        if not rest:
            return {}
        meant: dict[str, Any] = self.values.meant(msgspec.json.decode(rest, type=dict[str, Any]))
        return meant

    # Texts

    def _begin_text(self, rest: str) -> None:
        short, rest = cut(rest)
        if short not in self.header.digests or rest.strip():
            raise ValueError(f"config {short} is not in the header")
        self._text = TextBlock(self.header.digests[short])
        self._take = self._in_text

    def _in_text(self, line: str) -> None:
        assert self._text is not None
        if line.startswith("text "):
            self._end_text()
            self._begin_text(line.removeprefix("text "))
        else:
            self._text.take(line)

    def _end_text(self) -> None:
        if self._text is None:
            return
        content, digest = self._text.content(), self._text.digest
        if chain.digest(content) != digest:
            raise ValueError("the text above this line is not the one that its digest names")
        self.texts[digest] = content


def _check_fields(body: msgspec.Struct, fields: dict[str, Any]) -> None:
    """Raise ValueError for a field that a body has not: a reader of journals ignores it."""
    for name, value in fields.items():
        if name not in body.__struct_fields__:
            known = ", ".join(body.__struct_fields__)
            raise ValueError(f"there is no field {name!r} in this body; there are {known}")
        inner = getattr(body, name)
        if isinstance(inner, msgspec.Struct) and isinstance(value, dict):
            _check_fields(inner, value)
