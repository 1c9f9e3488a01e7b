"""A part of a journal as a history: its events and actions as they were recorded."""

from collections.abc import Iterator

import msgspec

from ...journal.errors import VERIFY_SAYS_MORE, Damaged
from ...journal.events import DaemonStarted, Event
from ...journal.reading import Reader
from ...journal.selection import Filter
from ..altered_rows import is_altered
from ..event_text import decode_actions
from ..rebuild import FoldFailed, fleet_at
from ..sources import Sources
from .folding import Folding
from .history import Header, History, Step, start_of
from .values import digests_in


def recorded(reader: Reader, after: int, upto: int) -> History:
    """The events behind ``after`` up to ``upto``, with the fleet before them.

    The expectations are folded anew, and there are none behind an event that cannot be folded. The
    actions are those that were recorded. Raises Damaged, NewerFormat, FoldFailed, NotFound.
    """
    fleet = fleet_at(reader, after)
    start, version = start_of(fleet), fleet.version
    steps = tuple(_with_states(Folding(fleet), _steps(reader, after, upto)))
    names = Sources.of(reader)
    header = Header(
        version=version or _version(reader, after, steps),
        made_from=f"events {after + 1}-{upto} of journal {_identity(reader)}",
        sources={url: names.name(url) for url in _sources(start, steps)},
    )
    history = History(header, start, steps)
    return history.replaced(texts=dict(_texts(reader, history)))


def _steps(reader: Reader, after: int, upto: int) -> Iterator[Step]:
    last = after
    for row in reader.rows(after=after, upto=upto):
        if row[0] != last + 1:
            raise _damaged(reader, last + 1, "is missing")
        if is_altered(reader, row):
            raise _damaged(reader, row[0], "is not what was written")
        last = row[0]
        yield Step(reader.decode(row), tuple(decode_actions(row[7])))
    if last != upto:
        raise _damaged(reader, last + 1, "is missing")


def _damaged(reader: Reader, seq: int, what: str) -> Damaged:
    return Damaged(
        f"{reader.path}: event {seq} {what}, so no history is made of it{VERIFY_SAYS_MORE}", seq
    )


def _with_states(folding: Folding, steps: Iterator[Step]) -> Iterator[Step]:
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


def _sources(start: bytes, steps: tuple[Step, ...]) -> list[str]:
    vassals = msgspec.json.decode(start)["vassals"]
    urls: list[str] = [vassal["monitor"] for vassal in vassals.values()]
    urls += [step.event.monitor for step in steps if step.event.monitor is not None]
    return list(dict.fromkeys(urls))


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
    for digest in _digests(history):
        content = reader.config_text(digest)
        if content is not None:
            yield digest, content


def _digests(history: History) -> dict[str, None]:
    found = digests_in(msgspec.json.decode(history.start))
    for step in history.steps:
        found += digests_in(msgspec.to_builtins(step.event.body))
    return dict.fromkeys(found)


def tidied(history: History) -> History:
    """The history without texts and sources that it does not speak of."""
    known = _digests(history)
    urls = set(_sources(history.start, history.steps))
    header = msgspec.structs.replace(
        history.header,
        sources={url: name for url, name in history.header.sources.items() if url in urls},
    )
    texts = {digest: text for digest, text in history.texts.items() if digest in known}
    return history.replaced(header=header, texts=texts)
