"""Long journals in small: lives whose deploys stay open over several snapshots."""

from pathlib import Path
from typing import Any

from emperord.daemon.core.actions import recorded
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet, to_json
from emperord.journal import chain
from emperord.journal.events import Announced, Event, OperatorRequested
from emperord.journal.store import Journal, Snapshot
from journal_builder import Builder
from msgspec.structs import replace


def waits_for_a_client(builder: Builder) -> None:
    """Deploys stay open over several snapshots: pending, held, and of a plain program."""
    builder.start(start_patience=1000)
    builder.added("demand.ini", socket="/run/demand.sock")
    builder.up("held.ini")
    builder.operator("stop", "held.ini")
    builder.exited("held.ini", code=0)
    builder.changed("held.ini", b"new\n")
    builder.added("plain.ini", b"plain\n", settings={"command": "sleep 9"})
    builder.spawned("plain.ini")
    for number in range(20):
        builder.changed("other.ini", b"%d\n" % number) if number else builder.up("other.ini")
        builder.accepting("other.ini")
    builder.operator("start", "held.ini")
    builder.spawned("held.ini")
    builder.of_attempt("exited", "plain.ini", code=1)
    builder.accepting("held.ini")
    builder.event("connection_waiting", "demand.ini")
    builder.spawned("demand.ini")
    builder.of_attempt("exited", "demand.ini", code=1)


def with_texts(event: Event, texts: dict[str, bytes]) -> Event:
    """The event with a config that has a text. An operator goes back to one that a source gave."""
    body = event.body
    if isinstance(body, Announced) and body.spec.config is not None:
        text = body.spec.config.encode()
        digest = chain.digest(text)
        texts[digest] = text
        return replace(event, body=replace(body, spec=replace(body.spec, config=digest)))
    if isinstance(body, OperatorRequested) and body.back_to is not None:
        digest = chain.digest((body.back_to.config or "").encode())
        config = digest if digest in texts else None
        return replace(event, body=replace(body, back_to=replace(body.back_to, config=config)))
    return event


def write(path: Path, events: list[Event], snapshot_every: int) -> None:
    """A journal of these events, with deploys, snapshots and checkpoints."""
    fleet, deploys = Fleet(), Deploys()
    texts: dict[str, bytes] = {}
    with Journal.open(str(path)) as journal:
        for first in range(0, len(events), snapshot_every):
            rows: list[chain.Columns] = []
            for given in events[first : first + snapshot_every]:
                event = with_texts(given, texts)
                rows.append(_row(event, deploys.take(fleet, event)))
            journal.append(rows, texts, Snapshot(fleet.seq, to_json(fleet)), deploys.rows)
            deploys.touched.clear()


def _row(event: Event, actions: Any) -> chain.Columns:
    columns = (event.seq, event.at, event.kind, event.monitor, event.vassal, event.cause)
    return (*columns, chain.text(event.body), recorded(actions))
