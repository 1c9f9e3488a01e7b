"""``timeline``: a lane for each vassal, as an HTML page or SVG."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import FAILED, TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import lanes, output_files, timeline
from ..clocks import keep_utc
from ..lanes import Lanes
from ..of_source import monitor_option, url_of
from ..report import window_of
from ..shared import check_order, complain, names_argument, reading

_FORMATS: Final[dict[str, Callable[[Lanes], bytes]]] = {
    ".html": timeline.page,
    ".svg": timeline.drawing,
}
_MANY: Final = 100_000  # events


def _file(_: click.Context, __: click.Parameter, told: str | None) -> Path | None:
    if told is None:
        return None
    path = Path(told)
    if path.suffix.lower() not in _FORMATS:
        raise click.BadParameter(f"{told} ends in neither .html nor .svg")
    return path


@click.command("timeline", cls=Command)
@names_argument
@click.option(
    "-o", "--output", "path", metavar="FILE", callback=_file,
    help="A page (.html) or a drawing (.svg).",
)  # fmt: skip
@monitor_option
@click.option("--since", type=TIME, metavar="T", help="Only from then on.")
@click.option("--until", type=TIME, metavar="T", help="Only up to then.")
@click.option("--json", "as_json", is_flag=True, help="For programs: print the lanes, no FILE.")
@reading
def command(
    reader: Reader, names: tuple[str, ...], path: Path | None, monitor: str | None,
    since: Moment | None, until: Moment | None, as_json: bool,
) -> int:  # fmt: skip
    """Draw the life of each vassal as a lane.

    Phases are colours; deploys, deaths and requests are marks. NAME is a vassal or a pattern
    ('app-*'). The page is one file that needs no network. Existing files are replaced. --json
    prints the phases and marks of each lane.
    """
    keep_utc()
    if (path is None) == (not as_json):
        raise click.UsageError("say where to: -o FILE, or --json")
    check_order(reader, since, until)
    url = url_of(reader, monitor)
    window = window_of(reader, since, until)
    if path is not None and window.last - window.before > _MANY:
        complain(f"{window.last - window.before} events make a large file; --since makes it less")
    found = lanes.lanes(reader, window)
    found.keep(
        lambda name: not names or any(each == name or fnmatchcase(name, each) for each in names),
        url,
    )
    if path is None:
        write([escapes.encode(lanes.record(found)), b"\n"])
        return 0
    try:
        # It tells of all vassals, so it is its owner's.
        output_files.replace(str(path), _FORMATS[path.suffix.lower()](found), 0o600)
    except output_files.NotWritten as error:
        return complain(error, FAILED)
    return 0
