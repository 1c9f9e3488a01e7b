"""``show``: config texts as deployed."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import bisection, texts
from ..of_source import monitor_option
from ..rebuild import fleet_at
from ..several import of_each
from ..shared import (
    moment_of,
    moments_or_until,
    print_lines,
    raw_option,
    reading,
    some_names_argument,
)


@click.command("show", cls=Command)
@some_names_argument
@moments_or_until
@click.option("--running", is_flag=True, help="The text that its process has, not the wanted one.")
@click.option("--last-good", "good", is_flag=True, help="The last text before the bad deploys.")
@monitor_option
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: with its digest; several are an array."
)
@raw_option
@reading
def command(
    reader: Reader, names: Sequence[str], at: Moment | None, seq: int | None, running: bool,
    good: bool, monitor: str | None, as_json: bool, raw: bool,
) -> None:  # fmt: skip
    """The text of a config as it was deployed.

    The process may not have it yet: see --running. Its bytes are unchanged in a pipe. On a terminal
    what is not printable is escaped. Of several names or a pattern ('app-*'), a line '==> NAME <=='
    is before each text.
    """
    if running and good:
        raise click.UsageError("--running and --last-good both say which text; give one")
    text = bisection.last_good if good else texts.running if running else texts.deployed
    fleet = fleet_at(reader, moment_of(reader, at, seq))
    found, several = of_each(reader, names, lambda name: (name, text(reader, fleet, name)), monitor)
    if as_json:
        records = [_record(name, content) for name, content in found]
        write([escapes.encode(records if several else records[0]), b"\n"])
        return
    for place, (name, content) in enumerate(found):
        if several:
            print_lines([*([""] if place else []), texts.heading(name)])
            content = content if content.endswith(b"\n") or not content else content + b"\n"
        write([content], raw=raw)


def _record(name: str, content: bytes) -> dict[str, Any]:
    digest = sha256(content).hexdigest()
    return {"vassal": name, "config": digest, "text": content.decode("utf-8", "backslashreplace")}
