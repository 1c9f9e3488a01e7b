"""``emperor-replay``: the command line.

Each command opens the journal, asks one of the other files here, and prints. Output
for people is text. JSON and config texts are bytes, whatever the locale.

Exit codes: 0; 1 not found, or diverged; 2 usage; 3 unreadable or damaged.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from typing import Any, Concatenate, NoReturn, ParamSpec

import click

from ..daemon.cli import commandline, escapes
from ..daemon.cli.commandline import TIME, Group
from ..daemon.cli.option_types import whole
from ..daemon.cli.tables import formatted, listing, write
from ..daemon.core.records import fleet_record, vassal_columns
from ..journal.deploys import DEPLOYS
from ..journal.errors import VERIFY_SAYS_MORE, JournalError
from ..journal.events import KINDS
from ..journal.places import default_journal
from ..journal.reading import COLUMNS, COPY_THE_LOG, Filter, Reader, open_journal
from ..journal.times import Moment
from ..monitors.names import shown
from . import deploys, record, state, texts, why
from . import verify as verification
from .names import check_known, check_monitor_known
from .rebuild import NotFound, fleet_at, moment
from .words import Progress

P = ParamSpec("P")

UNREADABLE = 3
_BUNDLE = 500  # lines written at once


def _name(_: click.Context, __: click.Parameter, told: str | None) -> str | None:
    """An argument that is a name: UTF-8, whatever the locale takes it for."""
    return None if told is None else os.fsencode(told).decode("utf-8", "replace")


def _kinds(kinds: Sequence[str]) -> Callable[..., tuple[str, ...]]:
    """An option that takes some of these kinds, with or without their ``vassal_``."""

    def kinds_of(_: click.Context, __: click.Parameter, told: Sequence[str]) -> tuple[str, ...]:
        return tuple(_kind(one, kinds) for one in told)

    return kinds_of


def _kind(told: str, kinds: Sequence[str]) -> str:
    for kind in (told, f"vassal_{told}"):
        if kind in kinds:
            return kind
    near = get_close_matches(told, kinds)
    others = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(kinds)}"
    raise click.BadParameter(f"there is no kind {told!r}; {others}")


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--journal",
    metavar="PATH",
    envvar="EMPEROR_JOURNAL",
    help="The journal to read.  [default: the one of this machine or user]",
)
@click.version_option(package_name="emperord", prog_name="emperor-replay")
@click.pass_context
def cli(context: click.Context, journal: str | None) -> None:
    """Read a journal: what was deployed, when, from where, and why things are as they are.

    Works while a daemon runs, on a copy, on an archive, and never writes to it. T is a time as
    in 2026-11-24T06:31:03Z (UTC where nothing is said), a date, a clock time (06:41, the last one
    that has passed), yesterday, '10 minutes ago', 10m, -10m, or an event: @SEQ.
    """
    if journal == "":
        raise click.BadParameter("has no value", param_hint="--journal")
    context.obj = journal or default_journal()


def reading(
    command: Callable[Concatenate[Reader, P], int | None],
) -> Callable[Concatenate[P], None]:
    """Give the command a reader of the journal; what cannot be done is one line and a code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        path = click.get_current_context().obj
        code: int | None = 0
        try:
            with open_journal(path) as reader:
                if reader.head.seq == 0:
                    _complain(f"{path}: no event was written yet; {COPY_THE_LOG}")
                code = command(reader, *args, **kwargs)
        except NotFound as error:
            code = _complain(error, 1)
        except JournalError as error:
            code = _complain(error, UNREADABLE)
        except OSError as error:  # standard output is not meant: that is OutputLost
            code = _complain(commandline.os_error_text(error), UNREADABLE)
        sys.stdout.flush()
        sys.exit(code or 0)

    return run


def _complain(error: Exception | str, code: int = 0) -> int:
    sys.stdout.flush()
    click.echo(f"emperor-replay: {shown(str(error))}", err=True)
    return code


def moments(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say when; not both."""
    command = click.option("--at", type=TIME, metavar="T", help="As it was at this time.")(command)
    return click.option("--seq", type=whole(0), metavar="N", help="As it was after this event.")(
        command
    )


def raw_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option of commands that print texts of others."""
    return click.option(
        "--raw", is_flag=True, help="Print the bytes as they are, on a terminal too."
    )(command)


def filters(kinds: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The arguments that say which events; the function gets them as a Filter, ``which``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(
            reader: Reader, name: str | None, monitor: str | None, chosen: tuple[str, ...],
            since: Moment | None, until: Moment | None, **rest: Any,
        ) -> Any:  # fmt: skip
            which = Filter(name, monitor, chosen, since, until)
            _check_filter(reader, which)
            return function(reader, which, **rest)

        for option in (
            click.option("--kind", "chosen", callback=_kinds(kinds), multiple=True, metavar="K",
                         help="Only these."),
            click.option("--monitor", metavar="M", callback=_name, help="Only from this source."),
            click.option("--until", type=TIME, metavar="T", help="Only up to then."),
            click.option("--since", type=TIME, metavar="T", help="Only from then on."),
            click.argument("name", required=False, callback=_name),
        ):  # fmt: skip
            run = option(run)
        return run

    return decorate


def _check_filter(reader: Reader, which: Filter) -> None:
    """Raise where a filter can match nothing: NotFound, UsageError."""
    if which.vassal is not None:
        check_known(reader, which.vassal)
    if which.monitor is not None:
        check_monitor_known(reader, which.monitor)
    if _is_after(reader, which.since, which.until):
        raise click.UsageError("--since is after --until")


def _is_after(reader: Reader, since: Moment | None, until: Moment | None) -> bool:
    if since is None or until is None:
        return False
    if isinstance(since, int) and isinstance(until, int):
        return since > until
    return reader.seq_before(since) > reader.seq_of(until)


def _when(reader: Reader, at: Moment | None, seq: int | None) -> int:
    if at is not None and seq is not None:
        raise click.UsageError("--at and --seq both say when; give one of them")
    return moment(reader, at, seq)


def _print(lines: Iterable[str]) -> None:
    """Lines of text, some hundred with one write."""
    bundle: list[str] = []
    for line in lines:
        bundle.append(line)
        if len(bundle) == _BUNDLE:
            sys.stdout.write("\n".join(bundle) + "\n")
            bundle.clear()
    if bundle:
        sys.stdout.write("\n".join(bundle) + "\n")


@cli.command("state")
@moments
@click.option("--full", is_flag=True, help="Fold from the beginning, without snapshots.")
@listing()
@reading
def state_command(
    reader: Reader, at: Moment | None, seq: int | None, full: bool, form: str
) -> None:
    """The fleet as it stood."""
    fleet = fleet_at(reader, _when(reader, at, seq), full)
    if form == "short":
        _print(state.lines(fleet))
    elif form == "json":
        write([escapes.encode(fleet_record(fleet)), b"\n"])
    else:
        write(formatted(form, vassal_columns(), fleet_record(fleet)["vassals"]))


@cli.command()
@listing()
@reading
@filters(DEPLOYS)
def history(reader: Reader, which: Filter, form: str) -> None:
    """Deploys: what came, from where, and what became of it."""
    found = deploys.deploys(reader, which)
    if form != "short":
        write(formatted(form, deploys.COLUMNS, map(deploys.deploy_record, found)))
        return
    first = next(found, None)
    if first is None:
        click.echo("no deploys", err=True)
        return
    _print([deploys.HEAD, deploys.line(first)])
    _print(deploys.line(deploy) for deploy in found)


@cli.command()
@listing(json="jsonl")
@reading
@filters(tuple(KINDS))
def events(reader: Reader, which: Filter, form: str) -> int:
    """The raw record, one event a line."""
    bad: list[int] = []
    rows = reader.rows(which)

    def records() -> Iterable[dict[str, Any]]:
        for row in rows:
            one, good = record.event_record(row)
            if not good:
                bad.append(row[0])
            yield one

    def lines() -> Iterable[str]:
        for row in rows:
            one, good = record.line(reader, row)
            if not good:
                bad.append(row[0])
            yield one

    if form == "short":
        _print(lines())
    else:
        write(formatted(form, COLUMNS.split(", "), records()))
    if not bad:
        return 0
    which_ = f"event {bad[0]}{f' and {len(bad) - 1} others' if len(bad) > 1 else ''}"
    text = f"{reader.path}: {which_} cannot be read by this version{VERIFY_SAYS_MORE}"
    return _complain(text, UNREADABLE)


@cli.command("why")
@click.argument("name", callback=_name)
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@reading
def why_command(reader: Reader, name: str, at: Moment | None) -> None:
    """The chain of causes that led to a vassal's present phase."""
    _print(why.story(reader, name, moment(reader, at, None)))


@cli.command()
@click.argument("name", callback=_name)
@moments
@raw_option
@reading
def show(reader: Reader, name: str, at: Moment | None, seq: int | None, raw: bool) -> None:
    """The config text as deployed.

    Its bytes are unchanged in a pipe. On a terminal what is not printable is escaped.
    """
    write([texts.deployed(reader, name, _when(reader, at, seq))], raw=raw)


@cli.command()
@click.argument("name", callback=_name)
@click.argument("from_", metavar="[FROM]", required=False)
@click.argument("to", metavar="[TO]", required=False)
@raw_option
@reading
def diff(reader: Reader, name: str, from_: str | None, to: str | None, raw: bool) -> None:
    """Unified diff between two deployed configs; the last two unless told.

    FROM and TO are numbers of events, digests (4 characters or more of one) or times (T).
    """
    try:
        write(texts.diff(reader, name, from_, to), raw=raw)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@cli.command()
@click.pass_obj
def verify(path: str) -> None:
    """Check and fold everything: are chain, actions and snapshots the same?

    Exits with 0 if they are, 1 if the fold diverged from the record, 3 if the record is damaged.
    """
    progress = Progress()
    try:
        verdict = verification.verify(path, progress)
    except JournalError as error:
        progress.done()
        sys.exit(_complain(error, UNREADABLE))
    progress.done()
    _print(verification.lines(path, verdict))
    sys.stdout.flush()
    sys.exit(verdict.exit_code)


def main() -> NoReturn:
    """The command ``emperor-replay``."""
    commandline.run(cli, "emperor-replay")


if __name__ == "__main__":
    main()
