"""``undo``: the commands that would bring back what an event changed. Nothing is carried out.

It depends on the source. A file is written or removed, a row is changed by SQL, and a document by
mongosh. An operator's request has its opposite. Names, paths and texts are foreign, so each is
quoted for the language that it stands in.
"""

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from ..daemon.core.fleet import Vassal
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.errors import Damaged
from ..journal.events import Event, OperatorRequested
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..monitors.names import shown
from . import sql
from .altered_rows import altered, complaint
from .change_groups import runs
from .rebuild import NotFound, fleet_at, where_it_is

_REMOVED: Final = ("vassal_removed", "vassal_destroyed")
_MOST: Final = 10_000  # events before and after a removal, among which those that came with it are
_TABLE: Final = re.compile(r"\bfrom\s+([\w.]+)", re.IGNORECASE)
_FILTER: Final = re.compile(r",\s*(?:\{|$)")
_COLLECTION: Final = "uwsgi.emperor.vassals"  # where the URL names none
_OPPOSITE: Final = {"stop": "start", "start": "stop"}
_CANCEL: Final = "emperor-ctl rollback --cancel"

By = Literal["shell", "sql", "mongosh", "hand"]


class Step(msgspec.Struct, frozen=True):
    """A command, and the program that takes it; ``hand`` where no command is known."""

    by: By
    command: str


class Undo(msgspec.Struct, frozen=True):
    """The steps, and notes for people."""

    event: Event
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def undo(reader: Reader, seq: int) -> Undo:
    """The steps that bring back what event ``seq`` changed. Raises NotFound, Damaged."""
    row = reader.row(seq)
    if row is None:
        raise NotFound(where_it_is(reader, seq))
    if altered(reader, [seq]):
        raise Damaged(complaint(reader, [seq]), seq, seq - 1)
    event = reader.decode(row)
    if event.kind in DEPLOYS and event.vassal is not None:
        return _of_deploy(reader, event, event.vassal)
    if isinstance(event.body, OperatorRequested):
        return _of_request(reader, event, event.body)
    because = "" if event.cause is None else f"; it came of event {event.cause}"
    raise NotFound(f"event {seq} ({event.kind}) changed nothing that was wanted{because}")


# An operator's request


def _of_request(reader: Reader, event: Event, body: OperatorRequested) -> Undo:
    if body.request == "rollback" and event.vassal is not None:
        return Undo(event, (Step("shell", f"{_CANCEL} {_names(event.vassal)}"),), ())
    opposite = _OPPOSITE.get(body.request)
    if opposite is None:
        raise NotFound(f"event {event.seq} ({body.request}) left nothing to bring back")
    before, after = (fleet_at(reader, seq) for seq in (event.seq - 1, event.seq))
    changed = sorted(
        name
        for name, vassal in after.vassals.items()
        if vassal.wanted and name in before.vassals and before.vassals[name].held != vassal.held
    )
    if not changed:
        raise NotFound(f"event {event.seq} ({body.request}) changed no vassal")
    now = fleet_at(reader, reader.head.seq).vassals
    other = [
        name for name in changed if name not in now or now[name].held == before.vassals[name].held
    ]
    notes = [f"not so any more: {shown(name)}" for name in other]
    return Undo(event, (Step("shell", f"emperor-ctl {opposite} {_names(*changed)}"),), tuple(notes))


def _names(*names: str) -> str:
    """Names for a shell, none of which a command takes for an option."""
    told = " ".join(map(shlex.quote, names))
    return f"-- {told}" if any(name.startswith("-") for name in names) else told


def _path(path: str) -> str:
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _replay(reader: Reader, command: str) -> str:
    paths = (*reader.files.archives, reader.path)
    told = " ".join(f"--journal {_path(os.path.abspath(path))}" for path in paths)
    return f"emperor-replay {told} {command}"


# A deploy


def _of_deploy(reader: Reader, event: Event, name: str) -> Undo:
    before = fleet_at(reader, event.seq - 1).vassals.get(name)
    after = fleet_at(reader, event.seq).vassals.get(name)
    if not _concluded(event, before, after):
        raise NotFound(f"event {event.seq} changed nothing: {shown(name)} was another source's")
    was = before if before is not None and before.wanted else None
    if was is not None and after is not None and after.wanted and _is_same(was, after):
        raise NotFound(f"event {event.seq} changed the time of {shown(name)} only, not its config")
    monitor = event.monitor or ""
    if was is not None:
        steps = tuple(_giving_back(reader, monitor, event, name, was))
    else:
        assert after is not None  # else nothing was concluded
        steps = tuple(_taking_away(monitor, name, after))
    return Undo(event, steps, tuple(_notes(reader, event, name, was)))


def _concluded(event: Event, before: Vassal | None, after: Vassal | None) -> bool:
    if event.kind in DEPLOYED:
        spec = getattr(event.body, "spec", None)
        return after is not None and after.spec == spec and after.monitor == event.monitor
    return before is not None and before.wanted and before.monitor == event.monitor


def _is_same(was: Vassal, after: Vassal) -> bool:
    left_out = {"ts": 0, "attrs": {}}
    return msgspec.structs.replace(was.spec, **left_out) == msgspec.structs.replace(
        after.spec, **left_out
    )


def _notes(reader: Reader, event: Event, name: str, was: Vassal | None) -> Iterator[str]:
    later = [row[0] for row in reader.rows(Filter(vassal=name, kinds=DEPLOYS), after=event.seq)]
    if later:
        more = f" and {len(later) - 1} later" if len(later) > 1 else ""
        yield f"since then event {later[0]}{more} changed it again; this goes back before them, too"
    now = fleet_at(reader, reader.head.seq).vassals.get(name)
    if _wanted_config(now) == _wanted_config(was):
        yield "it is so now already"
    if event.kind == "vassal_removed":
        run = _together(reader, event)
        if len(run) > 1:
            texts = _replay(reader, f"export-configs --at @{run[0] - 1} -o DIR")
            yield (
                f"{len(run)} vassals were removed together, by events {run[0]} to {run[-1]};"
                f" for all texts: {texts}"
            )


def _wanted_config(vassal: Vassal | None) -> str | None:
    return None if vassal is None or not vassal.wanted else vassal.spec.config


def _together(reader: Reader, event: Event) -> list[int]:
    """The run of removals by the same source to which one belongs."""
    rows = reader.fetch(
        "SELECT seq, at FROM event WHERE seq >= ? AND seq <= ? AND monitor = ? AND kind = ?"
        " AND typeof(at) = 'integer' ORDER BY seq",
        event.seq - _MOST, event.seq + _MOST, event.monitor, event.kind,
    )  # fmt: skip
    found = ([row[0] for row in run] for run in runs(rows))
    return next((run for run in found if event.seq in run), [event.seq])


def _giving_back(
    reader: Reader, monitor: str, event: Event, name: str, was: Vassal
) -> Iterator[Step]:
    """The config from before the event."""
    digest = was.spec.config
    content = None if digest is None else reader.config_text(digest)
    if content is None:
        raise NotFound(f"the config of {shown(name)} before event {event.seq} was not recorded")
    show = _replay(reader, f"show --at @{event.seq - 1} {_names(name)}")
    scheme = monitor.partition(":")[0]
    if was.spec.path is not None:
        yield Step("shell", f"{show} > {_path(was.spec.path)}")
    elif scheme == "pg":
        yield _row(monitor, event, name, was, content)
    elif scheme.startswith("mongodb"):
        yield _document(monitor, name, content)
    else:
        yield Step("shell", show)
        yield Step("hand", f"give this text to {shown(monitor)} as {shown(name)}")


def _taking_away(monitor: str, name: str, after: Vassal) -> Iterator[Step]:
    """The vassal that was not there before."""
    scheme = monitor.partition(":")[0]
    if after.spec.path is not None:
        yield Step("shell", f"rm {_path(after.spec.path)}")
    elif scheme == "pg":
        yield Step("sql", sql.delete(_table(monitor), name))
    elif scheme.startswith("mongodb"):
        yield Step("mongosh", f"{_collection(monitor)}.deleteOne({{name: {_json(name)}}})")
    else:
        yield Step("hand", f"take {shown(name)} away from {shown(monitor)}")


def _row(monitor: str, event: Event, name: str, was: Vassal, content: bytes) -> Step:
    spec, table = was.spec, _table(monitor)
    try:
        if event.kind in _REMOVED:
            text = sql.insert(table, name, content, spec.uid, spec.gid, spec.socket)
        else:
            text = sql.update(table, name, content)
    except ValueError as error:
        raise NotFound(f"the config of {shown(name)} cannot be told in SQL: {error}") from None
    return Step("sql", text)


def _table(monitor: str) -> str:
    """The table that the query of a ``pg://`` source reads; the documentation's where none is."""
    found = _TABLE.search(monitor.partition(";")[2])
    return found[1] if found else sql.TABLE


def _document(monitor: str, name: str, content: bytes) -> Step:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise NotFound(f"the config of {shown(name)} is not UTF-8, as a document's is") from None
    change = f"{{$set: {{config: {_json(text)}, ts: new Date()}}}}, {{upsert: true}}"
    command = f"{_collection(monitor)}.updateOne({{name: {_json(name)}}}, {change})"
    return Step("mongosh", command)


def _collection(monitor: str) -> str:
    """``mongodb://HOSTS,DB.COLLECTION,FILTER``: the collection, for mongosh."""
    hosts, _, told = _FILTER.split(monitor, maxsplit=1)[0].rpartition(",")
    database, _, collection = (told if hosts else _COLLECTION).rstrip(",").partition(".")
    return f"db.getSiblingDB({_json(database)}).getCollection({_json(collection)})"


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


# How it is told


def record(one: Undo) -> dict[str, Any]:
    """The answer in the shape of the surface."""
    return {
        "seq": one.event.seq,
        "kind": one.event.kind,
        "vassal": one.event.vassal,
        "monitor": one.event.monitor,
        "undo": [{"by": step.by, "command": step.command} for step in one.steps],
        "notes": list(one.notes),
    }


def lines(one: Undo) -> Iterator[bytes]:
    """The commands; notes are comments of the language that the commands are in."""
    mark = {"sql": "--", "mongosh": "//"}.get(one.steps[0].by, "#")
    for note in one.notes:
        yield f"{mark} {note}\n".encode()
    for step in one.steps:
        text = f"{mark} {step.command}" if step.by == "hand" else step.command
        yield text.encode("utf-8", "surrogateescape") + b"\n"
