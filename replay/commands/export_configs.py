"""``export-configs``: all config texts as of a moment."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click
from msgspec.structs import replace

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import exports, sql
from ..names import chosen
from ..output_files import NotWritten
from ..rebuild import NotFound, fleet_at
from ..shared import complain, moment_of, moments_or_until, names_argument, print_lines, reading


@click.command("export-configs", cls=Command)
@names_argument
@moments_or_until
@click.option("-o", "--output", "folder", metavar="DIR", help="Write a file for each vassal there.")
@click.option("--sql", "as_sql", is_flag=True, help="Print INSERTs for the table of pg://.")
@click.option("--table", metavar="NAME", default=sql.TABLE, show_default=True,
              help="With --sql: the table, as SQL names it.")  # fmt: skip
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="For programs: each file that was written; with --sql, each INSERT.",
)
@reading
def command(
    reader: Reader, names: Sequence[str], at: Moment | None, seq: int | None, folder: str | None,
    as_sql: bool, table: str, as_json: bool,
) -> int:  # fmt: skip
    """All config texts as of then, as files or as SQL.

    Each file is new, for its owner alone, and in DIR itself. A name with a slash or other
    characters that a file should not have is written with %XX. Nothing is ever overwritten. Exits
    with 1 if a text is not there.
    """
    if (folder is None) == (not as_sql):
        raise click.UsageError("say where to: -o DIR, or --sql")
    fleet = fleet_at(reader, moment_of(reader, at, seq))
    among = chosen(reader, names) if names else None
    vassals = exports.wanted(fleet, among)
    if not vassals:
        raise NotFound(f"no vassal was wanted after event {fleet.seq}")
    found = exports.exported(reader, vassals)
    left_out = list[str]()
    if as_sql and as_json:
        statements = _statements(found, table, left_out)
        records = [{**exports.record(one, None), "sql": text} for one, text in statements]
        write([escapes.encode(records), b"\n"])
    elif as_sql:
        write(_sql(found, table, left_out))
    else:
        assert folder is not None
        files = {vassal.name: exports.file_name(vassal.name) for vassal in vassals}
        written = _written(found, folder, files, left_out)
        try:
            if as_json:
                write([escapes.encode(list(written)), b"\n"])
            else:
                print_lines(exports.line(one) for one in written if one["file"] is not None)
        except NotWritten as error:
            return complain(error, 1)
    for one in left_out:
        complain(one)
    return 1 if left_out else 0


def _sql(found: Iterator[exports.Export], table: str, left_out: list[str]) -> Iterator[bytes]:
    yield b"BEGIN;\n"
    for _, text in _statements(found, table, left_out):
        if text is not None:
            yield text.encode() + b"\n"
    yield b"COMMIT;\n"


def _statements(
    found: Iterator[exports.Export], table: str, left_out: list[str]
) -> Iterator[tuple[exports.Export, str | None]]:
    """Each export with its INSERT; one that has none has a reason instead."""
    for each in found:
        one, text = each, None
        try:
            if one.content is not None:
                text = exports.statement(one, table)
        except ValueError as error:
            one = replace(one, reason=str(error))
        if one.reason:
            left_out.append(f"{one.vassal.name} is left out: {one.reason}")
        yield one, text


def _written(
    found: Iterator[exports.Export], folder: str, files: dict[str, str], left_out: list[str]
) -> Iterator[dict[str, Any]]:
    """Write the files, and say of each vassal where its config is."""
    with closing(exports.Folder(folder)) as place:
        place.check_free(files.values())
        for one in found:
            file = None
            if one.content is None:
                left_out.append(f"{one.vassal.name} is left out: {one.reason}")
            else:
                file = files[one.vassal.name]
                place.write(file, one.content)
            yield exports.record(one, file)
