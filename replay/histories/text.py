"""The text of a history: lines that a reviewer reads, in a form that does not vary.

``write(read(text))`` is ``text``, for each text that ``write`` made. The format is described in
docs/histories.md.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ...daemon.core.actions import Action
from ...daemon.core.fleet import Fleet
from ...journal import chain
from ...journal.events import DaemonStarted, Event
from ...journal.times import rfc3339
from . import parsing, text_block
from .header import FIRST_LINE
from .history import NOTHING, Expectation, History, Step, changes
from .values import Values, digests_in, offset, word

__all__ = ["History", "Writer", "read", "write"]


def read(text: str, where: str = "history") -> History:
    """The history of a text; ``where`` is its file's name, for errors.

    Raises Damaged, which names the line and what to do, and NewerFormat.
    """
    return parsing.parse(text, where)


def write(history: History) -> str:
    """The text of a history."""
    return "".join(f"{line}\n" for line in Writer(history).lines())


class Writer:
    """Writes a history, or single lines of it."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.digests = _short_digests(history)
        self.values = Values(history.base, self.digests)

    def lines(self) -> Iterator[str]:
        """All lines."""
        yield from self._header()
        yield ""
        yield from self._start()
        for step in self.history.steps:
            yield from self._step(step)
        for digest, content in self.history.texts.items():
            yield ""
            yield f"text {self.digests[digest]}"
            yield from text_block.written(content)

    def _header(self) -> Iterator[str]:
        header = self.history.header
        rules, policy = self.history.decider
        yield FIRST_LINE
        if header.version:
            yield f"version: {header.version}"
        yield f"rules: {rules}"
        yield f"policy: {_json(changes(policy))}"
        if header.made_from:
            yield f"made from: {header.made_from}"
        if header.redacted:
            yield "redacted: yes"
        for key, several in (
            ("left out", header.left_out), ("rewritten", header.rewritten), ("note", header.notes),
        ):  # fmt: skip
            yield from (f"{key}: {one}" for one in several)
        yield f"at: {rfc3339(self.history.base)}"
        for url, name in header.sources.items():
            yield f"source: {word(name)} = {word(url)}"
        for digest, short in self.digests.items():
            yield f"config: {short} = {word(digest)}"

    def _start(self) -> Iterator[str]:
        if self.history.start == NOTHING:
            yield "start: nothing"
            yield ""
            return
        fleet: dict[str, Any] = msgspec.json.decode(self.history.start)
        yield f"start: event {fleet.pop('seq')}"
        vassals: dict[str, Any] = fleet.pop("vassals")
        default = msgspec.to_builtins(Fleet())
        rest = {
            key: value
            for key, value in fleet.items()
            if key not in ("rules", "policy") and value != default[key]
        }
        yield f"fleet {_json(self.values.told(rest))}"
        for vassal in vassals.values():
            yield self._vassal(vassal)
        yield ""

    def _vassal(self, vassal: dict[str, Any]) -> str:
        name, monitor, phase = (vassal.pop(key) for key in ("name", "monitor", "phase"))
        if vassal.get("running") == vassal["spec"]:
            vassal["running"] = parsing.SAME
        told = _json(self.values.told(vassal))
        return f"vassal {word(name)} {self._source(monitor)} {phase} {told}"

    def _source(self, url: str | None) -> str:
        return word(None if url is None else self.history.header.sources[url])

    def _step(self, step: Step) -> Iterator[str]:
        yield from step.comments
        yield self.event(step.event)
        if step.event.failed:
            yield f"  {parsing.NOT_FOLDED}"
        yield from map(self.action, step.actions)
        yield from map(self.expectation, step.expectations)

    def event(self, event: Event) -> str:
        """The line of an event."""
        told = f"{event.seq} {offset(event.at, self.history.base)} {event.kind}"
        told += f" {word(event.vassal)} {self._source(event.monitor)}"
        if event.cause is not None:
            told += f" <-{event.cause}"
        body = self.values.told(msgspec.to_builtins(event.body))
        if isinstance(event.body, DaemonStarted):
            body["policy"] = msgspec.to_builtins(changes(event.body.policy))
        return f"{told} {chain.text(body)}" if body else told

    def action(self, action: Action) -> str:
        """The line of an action."""
        told = msgspec.to_builtins(action)
        return f"  -> {told.pop('do')} {word(told.pop('vassal'))}{self._rest(told)}"

    def expectation(self, expected: Expectation) -> str:
        """The line of an expectation."""
        return f"  = {word(expected.vassal)} {expected.phase}{self._rest(expected.facts)}"

    def _rest(self, fields: dict[str, Any]) -> str:
        return f" {_json(self.values.told(fields))}" if fields else ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _short_digests(history: History) -> dict[str, str]:
    found = digests_in(msgspec.json.decode(history.start))
    for step in history.steps:
        found += digests_in(msgspec.to_builtins(step.event.body))
        found += digests_in(msgspec.to_builtins(step.actions))
        for expected in step.expectations:
            found += digests_in(expected.facts)
    found += history.texts
    return {digest: f"c{number}" for number, digest in enumerate(dict.fromkeys(found), 1)}
