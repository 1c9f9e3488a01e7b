"""``export``: a part of the journal as a history, which is a test."""

from typing import Final

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import FAILED, TIME, Command
from ...daemon.cli.name_arguments import vassal_of
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import output_files
from ..histories.closure import reduced
from ..histories.history import History
from ..histories.part import Part, part_of
from ..histories.recorded import recorded, tidied
from ..histories.redaction import redacted
from ..histories.text import write as text_of
from ..rebuild import NotFound
from ..report import window_of
from ..shared import check_order, complain, reading

_MANY: Final = 20_000  # events; a reviewer reads none of them


@click.command("export", cls=Command)
@click.option(
    "--incident", "incident", metavar="SEQ|NAME", callback=vassal_of,
    help="Only the incident of this event, or the last one of this vassal.",
)  # fmt: skip
@click.option("--since", type=TIME, metavar="T", help="Only from then on.")
@click.option("--until", type=TIME, metavar="T", help="Only up to then.")
@click.option("--redact", is_flag=True, help="Stand-ins for names, sources, paths, texts, reasons.")
@click.option(
    "-o", "--output", "path", type=click.Path(dir_okay=False), metavar="FILE.history",
    help="Write it to this file, which is new.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="With -o: for programs, what was written.")
@reading
def command(
    reader: Reader,
    incident: str | None,
    since: Moment | None,
    until: Moment | None,
    redact: bool,
    path: str | None,
    as_json: bool,
) -> int:
    """A part of the journal as a text that folds again.

    It is a test of the decisions. It begins with the fleet before its first event. An incident has
    the vassals that it is about, and those that decide with them, by slots, addresses or budgets.
    The others are left out, and the header says so. docs/histories.md describes the format.
    """
    if as_json and path is None:
        raise click.UsageError("--json says what was written; say where to: -o FILE")
    check_order(reader, since, until)
    part = _part(reader, incident, since, until)
    history = recorded(reader, part.after, part.upto)
    if part.names is not None:
        history = tidied(reduced(history, part.names))
    if redact:
        history = redacted(history)
    if len(history.steps) > _MANY:
        complain(f"{len(history.steps)} events make a large file; --incident makes it less")
    if path is None:
        write([text_of(history).encode()])
        return 0
    return _write(history, path, as_json)


def _part(reader: Reader, incident: str | None, since: Moment | None, until: Moment | None) -> Part:
    """The part that is meant. Raises NotFound."""
    if incident is None:
        found = Part(reader.anchor.seq, reader.head.seq, None)
    else:
        found = part_of(reader, incident)
    if since is None and until is None:
        return found
    window = window_of(reader, since, until)
    after = found.after if since is None else window.before
    upto = found.upto if until is None else window.last
    if after >= upto:
        raise NotFound(f"the incident is in the events {found.after + 1}-{found.upto}, not then")
    return found._replace(after=after, upto=upto)


def _write(history: History, path: str, as_json: bool) -> int:
    """A new file; for its owner alone where it has the texts of configs."""
    mode = 0o666 if history.header.redacted else 0o600
    try:
        output_files.make(path, text_of(history).encode(), mode)
    except FileExistsError:
        return complain(f"{path}: is there already; name another file", FAILED)
    except OSError as error:
        return complain(output_files.NotWritten(path, error), FAILED)
    if as_json:
        write([escapes.encode(_record(history, path)), b"\n"])
    else:
        write([f"{path}: {_summary(history)}\n".encode()])
    return 0


def _record(history: History, path: str) -> dict[str, object]:
    events = [step.event.seq for step in history.steps]
    return {
        "file": path,
        "events": len(events),
        "first": events[0] if events else None,
        "last": events[-1] if events else None,
        "vassals": sorted(_vassals(history)),
        "redacted": history.header.redacted,
        "left_out": list(history.header.left_out),
    }


def _summary(history: History) -> str:
    events, vassals = len(history.steps), len(_vassals(history))
    told = f"{events} event{'s' if events != 1 else ''}"
    told += f" of {vassals} vassal{'s' if vassals != 1 else ''}"
    return "; ".join((told, *(f"left out: {each}" for each in history.header.left_out)))


def _vassals(history: History) -> set[str]:
    named = {step.event.vassal for step in history.steps if step.event.vassal is not None}
    return named | history.fleet().vassals.keys()
