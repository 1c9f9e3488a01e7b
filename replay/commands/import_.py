"""``import``: a journal of a history, which all commands read."""

from pathlib import Path

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import FAILED, Command, os_error_text
from ...daemon.cli.tables import write
from ...journal.errors import JournalError
from ..histories.taking_in import Made, Taken, take_in
from ..histories.text import read
from ..shared import UNREADABLE, complain


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="FILE.history")
@click.option(
    "-o", "--output", "path", type=click.Path(dir_okay=False), metavar="JOURNAL.db",
    required=True, help="Make the journal there; it is new.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(context: click.Context, file: str, path: str, as_json: bool) -> None:
    """Make a journal of a history, for the other commands.

    Its events keep their numbers, unless some are left out between them. Where the history is
    redacted, the texts of configs are stand-ins that say so.
    """
    try:
        made = take_in(read(Path(file).read_bytes().decode("utf-8", "replace"), file), path)
    except Taken as error:
        context.exit(complain(error, FAILED))
    except JournalError as error:
        context.exit(complain(error, UNREADABLE))
    except OSError as error:
        context.exit(complain(f"{path}: cannot be made: {os_error_text(error)}", FAILED))
    if as_json:
        write([escapes.encode(_record(made)), b"\n"])
    else:
        write([f"{_line(made)}\n".encode()])


def _record(made: Made) -> dict[str, object]:
    return {
        "journal": made.path,
        "first": made.first,
        "last": made.last,
        "renumbered": made.renumbered,
        "configs": made.texts,
        "redacted": made.redacted,
    }


def _line(made: Made) -> str:
    told = f"{made.path}: events {made.first}-{made.last}"
    if made.renumbered:
        told += ", with other numbers than in the history, which has gaps"
    texts = "stand-ins for their texts" if made.redacted else "their texts"
    return f"{told}; {made.texts} configs, with {texts}"
