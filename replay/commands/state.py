"""``state``: the fleet as it stood."""

from contextlib import suppress
from functools import partial

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.name_arguments import vassals_of
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.fleet import Fleet
from ...daemon.core.records import fleet_record, vassal_columns
from ...journal.errors import Damaged
from ...journal.reading import Reader
from ...journal.times import Moment, moment
from .. import state, state_diff
from ..completing import VASSALS
from ..names import chosen
from ..rebuild import fleet_at
from ..shared import moment_of, moments_or_until, print_lines, reading


@click.command("state", cls=Command)
@moments_or_until
@click.option(
    "--diff", "since", type=TIME, metavar="T1",
    help="The differences from then to T2, or to --at, --seq or the present without T2.",
)  # fmt: skip
@click.argument(
    "words", metavar="[T2] [NAME]...", nargs=-1, callback=vassals_of, shell_complete=VASSALS
)
@click.option("--full", is_flag=True, help="Fold from the beginning, without snapshots.")
@listing()
@reading
def command(
    reader: Reader, at: Moment | None, seq: int | None, since: Moment | None,
    words: tuple[str, ...], full: bool, form: str,
) -> None:  # fmt: skip
    """The fleet as it stood, or how two moments differ.

    NAME is a vassal or a pattern ('app-*'). With --diff, a first word that is a time is T2.
    """
    until, names_told = _second_moment(words)
    if since is None and until is not None and reader.first_of(words[0]) is None:
        raise click.UsageError("a second moment is for --diff; to see the fleet, say --at")
    if since is None:
        until, names_told = None, words
    if until is not None:
        if at is not None or seq is not None:
            raise click.UsageError("T2, --at and --seq all say the second moment; give one of them")
        at = until
    names = chosen(reader, names_told) if names_told else None
    fleet = fleet_at(reader, moment_of(reader, at, seq), full)
    if since is not None:
        old = fleet_at(reader, moment_of(reader, since, None), full)
        _print_diff(old, fleet, names, form)
    elif form == "short":
        print_lines(state.lines(fleet, names, partial(_content, reader)))
    else:
        _print_records(fleet, names, form)


def _content(reader: Reader, digest: str) -> bytes | None:
    """A config text, if it is there and is what was recorded."""
    with suppress(Damaged):
        return reader.config_text(digest)
    return None


def _second_moment(words: tuple[str, ...]) -> tuple[Moment | None, tuple[str, ...]]:
    if words:
        with suppress(ValueError, OverflowError):
            return moment(words[0]), words[1:]
    return None, words


def _print_records(fleet: Fleet, names: list[str] | None, form: str) -> None:
    record = fleet_record(fleet)
    if names is not None:
        record["vassals"] = [each for each in record["vassals"] if each["name"] in names]
    if form == "json":
        write([escapes.encode(record), b"\n"])
    else:
        write(formatted(form, vassal_columns(), record["vassals"]))


def _print_diff(old: Fleet, new: Fleet, names: list[str] | None, form: str) -> None:
    if form == "short":
        print_lines(state_diff.lines(old, new, names))
    elif form == "json":
        write([escapes.encode(state_diff.record(old, new, names)), b"\n"])
    else:
        write(formatted(form, state_diff.COLUMNS, state_diff.differences(old, new, names)))
