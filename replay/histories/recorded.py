"""A part of a journal as a history: its events and actions as they were recorded."""

from collections.abc import Iterator

import msgspec

from ...daemon.core.fleet import to_json
from ...journal.events import DaemonStarted, Event
from ...journal.reading import Reader
from ...journal.selection import Filter
from ..rebuild import FoldFailed, fleet_at
from ..sources import Sources
from ..words import decode_actions
from .folding import Folding
from .history import NOTHING, Header, History, Step
from .values import digests_in


def recorded(reader: Reader, after: int, upto: int) -> History:
    """The events behind ``after`` up to ``upto``, with the fleet before them.

    The expectations are folded anew, and there are none behind an event that cannot be folded. The
    actions are those that were recorded. Raises Damaged, NewerFormat, FoldFailed, NotFound.
    """
    fleet = fleet_at(reader, after)
    start = NOTHING if after == 0 else to_json(fleet)
    steps = tuple(with_states(Folding(fleet), _steps(reader, after, upto)))
    header = Header(
        version=_version(reader, after, steps),
        made_from=f"events {after + 1}-{upto} of journal {_identity(reader)}",
    )
    history = History(with_sources(header, Sources.of(reader), start, steps), start, steps)
    return history.replaced(texts=dict(_texts(reader, history)))


def _steps(reader: Reader, after: int, upto: int) -> Iterator[Step]:
    for row in reader.rows(after=after, upto=upto):
        yield Step(reader.decode(row), tuple(decode_actions(row[7])))


def with_states(folding: Folding, steps: Iterator[Step]) -> Iterator[Step]:
    """The steps with the states that they fold to."""
    broken = False
    for step in steps:
        if not broken:
            try:
                computed = folding.take(step.event)
            except FoldFailed:
                broken = True
            else:
                step = msgspec.structs.replace(step, expectations=computed.expectations)
        yield step


def with_sources(header: Header, sources: Sources, start: bytes, steps: tuple[Step, ...]) -> Header:
    """The header with the names of the sources that a history speaks of."""
    vassals = msgspec.json.decode(start)["vassals"]
    urls = [vassal["monitor"] for vassal in vassals.values()]
    urls += [step.event.monitor for step in steps if step.event.monitor is not None]
    return msgspec.structs.replace(
        header, sources={url: sources.name(url) for url in dict.fromkeys(urls)}
    )


def _version(reader: Reader, after: int, steps: tuple[Step, ...]) -> str:
    started = list(reader.rows(Filter(kinds=("daemon_started",)), upto=after))
    events: list[Event] = [reader.decode(started[-1])] if started else []
    events += [step.event for step in steps]
    bodies = (event.body for event in events)
    return next((body.version for body in bodies if isinstance(body, DaemonStarted)), "")


def _identity(reader: Reader) -> str:
    first = reader.row(1)
    return (reader.anchor.hash if first is None else first[8]).hex()[:12]


def _texts(reader: Reader, history: History) -> Iterator[tuple[str, bytes]]:
    found = digests_in(msgspec.json.decode(history.start))
    for step in history.steps:
        found += digests_in(msgspec.to_builtins(step.event.body))
    for digest in dict.fromkeys(found):
        content = reader.config_text(digest)
        if content is not None:
            yield digest, content
