"""Redaction: a history that decides the same, and tells no name, path, text or reason.

Nothing is looked for and taken out. Each value is made anew by a rule for its field, and a text
in a field without a rule becomes ``redacted``. So a field that a later version adds is not told
either. In the end both histories are folded, and every decision must be the same but for the names.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import msgspec

from ...daemon.core.actions import Action, Order
from ...daemon.core.candidate import CandidatePhase
from ...daemon.core.checkpoints import PROJECTIONS, digest_of
from ...daemon.core.fleet import Fleet, Line, Phase, from_json
from ...journal.daemon_events import Ending
from ...journal.errors import JournalError
from ...journal.events import (
    KINDS,
    Checkpoint,
    DaemonStarted,
    Event,
    Fault,
    ListenFault,
    Request,
)
from ...monitors.short_names import short_names
from .folding import Folding, decided
from .history import Expectation, Header, History, Step, start_of
from .stand_ins import REDACTED, StandIns

_DROPPED: Final = frozenset(
    ("attrs", "names", "change", "log", "trace", "command", "via", "told", "author")
)
_TEXTS: Final = frozenset(("log", "reason", "trace"))  # their length counts against a budget
_PATHS: Final = frozenset(
    (
        "path", "cwd", "socket", "address", "held_as", "file", "aside", "uwsgi", "wrapper",
        "on_demand_directory", "on_demand_exec", "on_demand_extension",
    )
)  # fmt: skip
_DIGESTS: Final = frozenset(("config", "loaded", "deaf"))
_NAMES: Final = frozenset(
    ("vassal", "holder", "name", "also", "missing", "express", "queue", "retries", "turned")
)
_IDS: Final = frozenset(("uid", "gid", "loginuid", "user", "on_demand_owner"))
_SHARERS: Final = frozenset(("slot_of", "waits_as"))
_BY_SHARER: Final = frozenset(("users", "held", "spent"))
_WORDS: Final = frozenset(  # of the vocabulary
    word
    for words in (Phase, CandidatePhase, Order, Request, Fault, ListenFault, Ending, Line)
    for word in get_args(words)
)
_BY_NAME: Final = frozenset(  # fields that may be tables by vassal
    ("express", "queue", "retries", "canaries", "line", "turning", "done", "failed")
)
_ENUMS: Final = frozenset(("phase", "do", "order", "request", "fault", "how", "last"))
_NUMBERS: Final = frozenset(("device", "inode"))


class Unredactable(JournalError):
    """A redacted history would decide otherwise."""


def redacted(history: History) -> History:
    """The history without names, paths, texts and reasons. Raises Unredactable.

    Texts that count against a budget keep their length, where that is needed to decide the same.
    """
    for keep_lengths in (False, True):
        redaction = _Redaction(history, keep_lengths)
        found = redaction.history(history)
        different = _first_difference(redaction, history, found)
        if different is None:
            return found
    raise Unredactable(
        f"event {different} would be decided otherwise, so this part cannot be redacted;"
        " this is a defect of emperord, please report it"
    )


def _first_difference(redaction: "_Redaction", old: History, new: History) -> int | None:
    """The number of the first event that both histories decide otherwise about."""
    for ours, theirs in zip(decided(old), decided(new), strict=True):
        actions, expectations = redaction.decisions(ours)
        if actions != theirs.actions or expectations != theirs.expectations:
            return ours.event.seq
    return None


class _Redaction:
    def __init__(self, history: History, keep_lengths: bool) -> None:
        self.keep_lengths = keep_lengths
        plain = [msgspec.json.decode(history.start)]
        plain += [msgspec.to_builtins(step.event.body) for step in history.steps]
        ids = [each for value in plain for each in _ints(value, _IDS)]
        names = {step.event.vassal for step in history.steps if step.event.vassal is not None}
        self.with_ = StandIns(names | history.fleet().vassals.keys(), ids)
        for url in _sources(history):
            self.with_.source(url)
        self._spec: Any = None  # of the vassal that is being told
        self._name = ""  # as it is told

    def history(self, history: History) -> History:
        """The redacted history. Its texts are stand-ins, and people's lines are left out."""
        told = self._any("", msgspec.json.decode(history.start))
        start = start_of(msgspec.convert(told, Fleet, str_keys=True))
        steps = tuple(_with_checkpoints(start, map(self._step, history.steps)))
        names = short_names(self.with_.sources.values(), {})
        header = Header(
            version=self.with_.version(history.header.version),
            made_from=history.header.made_from.partition(" of ")[0],
            redacted=True,
            left_out=(*history.header.left_out, "texts, log lines, reasons, attributes, authors"),
            sources=names,
        )
        wanted = {self.with_.digest(digest) for digest in history.texts}
        texts = {each: text for each, text in self.with_.texts.items() if each in wanted}
        return History(header, start, steps, texts)

    def _step(self, step: Step) -> Step:
        event = step.event
        self._name = "" if event.vassal is None else self.with_.name(event.vassal)
        body = self._any("", msgspec.to_builtins(event.body))
        actions, expectations = self.decisions(step)
        told = Event(
            event.seq,
            event.at,
            event.kind,
            None if event.monitor is None else self.with_.source(event.monitor),
            self._name or None,
            event.cause,
            msgspec.convert(body, KINDS[event.kind]),
            event.failed,
        )
        return Step(told, actions, expectations)

    def decisions(self, step: Step) -> tuple[tuple[Action, ...], tuple[Expectation, ...]]:
        """The decisions of a step, with stand-ins."""
        return (
            tuple(
                msgspec.convert(self._any("", msgspec.to_builtins(each)), Action)
                for each in step.actions
            ),
            tuple(
                Expectation(self.with_.name(each.vassal), each.phase, self._any("", each.facts))
                for each in step.expectations
            ),
        )

    # By field

    def _any(self, key: str, value: Any) -> Any:
        if key in _NUMBERS:
            return 0
        if key == "rollout_of":
            return [[self.with_.source(url), size] for url, size in value]
        if isinstance(value, dict):
            return self._dict(key, value)
        if isinstance(value, list | tuple):
            return [self._any(key, each) for each in value]
        if key in _IDS and value.__class__ is int:
            return self.with_.user(value)
        if isinstance(value, str):
            return self._text(key, value)
        return value

    def _dict(self, key: str, value: dict[str, Any]) -> Any:
        with_ = self.with_
        if key in ("settings", "own_settings"):
            return with_.settings(value)
        if key in _DROPPED:
            return {}
        if key == "blocked":
            return {with_.name(name): with_.name(holder) for name, holder in value.items()}
        if key in _BY_NAME:
            return {with_.name(name): self._any("", each) for name, each in value.items()}
        if key in _BY_SHARER:
            return {with_.sharer(told): self._any("", each) for told, each in value.items()}
        if key in ("outages", "rolled"):
            return {with_.source(url): self._any("", each) for url, each in value.items()}
        if key == "vassals":
            return {with_.name(name): self._vassal(name, each) for name, each in value.items()}
        if key in ("spec", "kept", "running", "runs", "back_to"):
            self._spec = value
        return {name: self._any(name, each) for name, each in value.items()}

    def _vassal(self, name: str, value: dict[str, Any]) -> Any:
        self._name = self.with_.name(name)
        self._spec = value["spec"]
        return {key: self._any(key, each) for key, each in value.items()}

    def _text(self, key: str, value: str) -> str:
        rule = self._rules.get(key)
        if rule is not None:
            return rule(self, value)
        if key in _ENUMS and value in _WORDS:
            return value
        if self.keep_lengths and key in _TEXTS:
            return "." * len(value)
        if key in _DROPPED:
            return ""
        return value and REDACTED

    def _digest(self, value: str) -> str:
        return self.with_.digest(value, self._spec, self._name)

    _rules: Final[dict[str, Callable[["_Redaction", str], str]]] = {
        **dict.fromkeys(_NAMES, lambda self, value: self.with_.name(value)),
        **dict.fromkeys(_PATHS, lambda self, value: self.with_.path(value)),
        **dict.fromkeys(_SHARERS, lambda self, value: self.with_.sharer(value)),
        **dict.fromkeys(_DIGESTS, _digest),
        **dict.fromkeys(("monitor", "monitors"), lambda self, value: self.with_.source(value)),
        "running": _digest,
        "version": lambda self, value: self.with_.version(value),
        "boot": lambda self, value: self.with_.boot(value),
        "mark": lambda self, value: self.with_.word("mark", value),
        "rollout": lambda self, value: value,  # a size
        "digest": lambda self, value: value,  # of a checkpoint; it is made anew
        "identity": lambda self, value: self.with_.word("identity", value),
        "hash": lambda self, value: self.with_.word("hash", value),
    }


def _with_checkpoints(start: bytes, steps: Iterator[Step]) -> Iterator[Step]:
    """The steps with new digests of the fleet; without those of which this version knows none."""
    folding = Folding(from_json(start))
    for step in steps:
        body = step.event.body
        if isinstance(body, Checkpoint):
            if body.v not in PROJECTIONS:
                continue
            told = msgspec.structs.replace(body, digest=digest_of(folding.fleet, body.v))
            step = msgspec.structs.replace(
                step, event=msgspec.structs.replace(step.event, body=told)
            )
        folding.take(step.event)
        yield step


def _sources(history: History) -> Iterator[str]:
    fleet = history.fleet()
    yield from fleet.monitors
    yield from fleet.outages
    yield from fleet.rolled
    yield from (rollout.monitor for rollout in fleet.rollouts.values())
    yield from (url for url, _ in fleet.policy.rollout_of)
    for step in history.steps:
        yield from getattr(step.event.body, "monitors", ())
        if isinstance(step.event.body, DaemonStarted):
            yield from (url for url, _ in step.event.body.policy.rollout_of)
        if step.event.monitor is not None:
            yield step.event.monitor
    yield from (vassal.monitor for vassal in fleet.vassals.values())


def _ints(value: Any, keys: frozenset[str], key: str = "") -> Iterator[int]:
    """The whole numbers in fields of these names."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _ints(each, keys, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _ints(each, keys, key)
    elif key in keys and value.__class__ is int:
        yield value
