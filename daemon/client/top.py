"""``emperor-ctl top``: CPU, memory and restarts of each vassal, on a live screen.

Where standard output is no terminal it prints a table instead, as ``top -b`` does.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click

from ...monitors.names import shown
from ..cli import commandline, terminal
from ..cli.option_types import duration, whole
from ..cli.tables import aligned, formatted, listing, write
from ..core.fleet import PHASES
from . import choosing, top_rows
from .asking import NO_DAEMON, REFUSED, Unanswered, end
from .fleet_feed import Feed, Vassals
from .name_arguments import names_argument
from .screen import Ended, Screen
from .top_rows import Row
from .top_state import Choice
from .usage import Sampler

_WORK: Final = 0.02  # of a core, for looks at vassals that are not on the screen
_ABOVE: Final = 3  # lines above the rows
_LATE: Final = 3.0  # seconds without an answer, after which that is told
_KEYS: Final = (
    ("arrows, PgUp, PgDn, Home, End, j, k", "move"),
    ("P  M  T  R  N", "sort by CPU, memory, CPU time, restarts, pid"),
    ("<  >  F6", "sort by the column on the left, on the right"),
    ("I", "the other direction"),
    ("/  F3, then n", "search a name; the next one"),
    ("\\  F4", "show only names with a text; Esc shows all"),
    ("space", "look at all again now"),
    ("q  F10  ^C", "end"),
)


@click.command("top", cls=commandline.Command)
@names_argument
@click.option(
    "--sort", "by", type=click.Choice(top_rows.NAMES), metavar="KEY", default="cpu",
    help=f"By {', '.join(top_rows.NAMES)}.  [default: cpu]",
)  # fmt: skip
@click.option("-r", "--reverse", is_flag=True, help="In the other direction.")
@click.option(
    "-d", "--delay", type=duration(0.25), metavar="DURATION", default="3s", show_default=True,
    help="Time between two looks.",
)  # fmt: skip
@click.option("-n", "--iterations", type=whole(), metavar="N", help="End after so many looks.")
@click.option("--once", is_flag=True, help="Print one table: -n 1, without a screen.")
@listing()
@click.pass_obj
def command(
    path: str, names: tuple[str, ...], by: str, reverse: bool, delay: float,
    iterations: int | None, once: bool, form: str,
) -> None:  # fmt: skip
    """CPU, memory and restarts of each vassal, on a live screen.

    The key q ends it, and ? shows all keys. CPU and memory are those of a vassal's cgroup where it
    has one, else of its process and the descendants. NAME is a vassal or a pattern ('app-*').
    Without a terminal one table is printed, or -n of them.
    """
    top = _Top(path, names, Choice(by, reverse), delay)
    try:
        top.feed.ask()
        top.chosen()
    except Unanswered as error:
        end(error.code, str(error))
    except choosing.Unknown as error:
        end(REFUSED, str(error))
    if top.feed.trouble is not None:
        end(NO_DAEMON, top.feed.trouble)
    live = terminal.is_terminal() and sys.stdin.isatty() and not terminal.is_dumb()
    if once or form != "short" or not live:
        _print(top, form, 1 if once else iterations or 1)
    else:
        _show(top, iterations)


class _Top:
    """The fleet, how much it uses, and what the operator has chosen."""

    def __init__(self, path: str, names: tuple[str, ...], choice: Choice, delay: float) -> None:
        self.choice = choice
        self.delay = delay
        self.sampler = Sampler()
        self.feed = Feed(path, delay)
        self._names = names

    def chosen(self) -> Vassals:
        """The vassals that the command is about. Raises Unknown where a name fits none."""
        return choosing.select(self.feed.vassals, {}, self._names)

    def rows(self) -> list[Row]:
        """The rows as they are shown now."""
        try:
            vassals = self.chosen()
        except choosing.Unknown:  # it is gone meanwhile
            vassals = ()
        return self.choice.rows([Row(each, self.sampler.use(each)) for each in vassals])

    def look(self, visible: Sequence[Row]) -> None:
        """Look at what is on the screen, and at a part of the others."""
        begun = time.thread_time()
        self.sampler.measure([row.vassal for row in visible])
        left = self.delay * _WORK - (time.thread_time() - begun)
        self.sampler.measure_some(self.feed.vassals, max(0.0, left))

    def look_at_all(self) -> None:
        """Look at all vassals now."""
        self.sampler.forget_others(self.feed.vassals)
        self.sampler.measure(self.chosen())


# A table


def _print(top: _Top, form: str, count: int) -> None:
    """Print so many tables, each of the time since the one before."""
    top.look_at_all()
    for place in range(count):
        time.sleep(top.delay)
        if place:
            _ask(top)
        top.look_at_all()
        rows = top.rows()
        if form != "short":
            records = (row.record() for row in rows)
            columns = tuple(Row({"name": "", "phase": "", "pid": None}, None).record())
            write(formatted(form, columns, records))
            continue
        if place:
            print()
        elif count == 1:
            commandline.page()
        head = [column.head for column in top_rows.COLUMNS]
        for line in aligned(head, [_cells(row) for row in rows]):
            print(line)
        sys.stdout.flush()


def _ask(top: _Top) -> None:
    try:
        top.feed.ask()
    except Unanswered as error:
        end(error.code, str(error))


def _cells(row: Row) -> list[str]:
    cells = [column.text(row) for column in top_rows.COLUMNS]
    cells[1] = terminal.Styled(cells[1], terminal.of_phase(cells[1]))
    return cells


# The screen


def _show(top: _Top, iterations: int | None) -> None:
    """Show the live screen until the operator ends it."""
    sys.stdout.flush()
    screen = Screen(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        with screen.held():
            _run(top, screen, iterations)
    except Ended as ended:
        if ended.number == signal.SIGINT:
            return  # ^C is a way to end it
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)


def _run(top: _Top, screen: Screen, iterations: int | None) -> None:
    top.feed.start(screen.wake)
    top.look_at_all()
    choice, looks, next_look = top.choice, 0, time.monotonic() + min(1.0, top.delay)
    visible: Sequence[Row] = ()
    while not choice.ended:
        if choice.again or time.monotonic() >= next_look:
            if choice.again:
                screen.redraw()
                top.feed.again()
            top.look(visible)
            looks, next_look = looks + 1, time.monotonic() + top.delay
            choice.again = False
        room = max(1, screen.rows - _ABOVE - 1)
        rows = top.rows()  # sorting 2,000 vassals takes longer than a look at those on the screen
        choice.scroll(room)
        visible = rows[choice.first : choice.first + room]
        screen.draw(list(_lines(top, rows, visible, screen.rows, screen.columns)))
        if iterations is not None and looks >= iterations:
            return
        key = screen.key(next_look - time.monotonic())
        if key is not None:
            choice.press(key, room)


def _lines(
    top: _Top, rows: Sequence[Row], visible: Sequence[Row], height: int, width: int
) -> Iterator[str]:
    """All lines of the screen."""
    yield _first(top, width)
    yield _second(top, rows, width)
    yield top_rows.head(width, top.choice.by)
    room = max(1, height - _ABOVE - 1)
    if top.choice.help:
        yield from (terminal.cut(f"  {keys:38}{what}", width) for keys, what in _KEYS[:room])
        yield from [""] * (room - len(_KEYS))
    else:
        for place, row in enumerate(visible):
            chosen = place + top.choice.first == top.choice.cursor
            yield top_rows.line(row, width, chosen=chosen)
        yield from [""] * (room - len(visible))
    yield _last(top, width)


def _first(top: _Top, width: int) -> str:
    """The clock and the phases, or why they are old."""
    now = time.time_ns()
    clock = f"{terminal.brief_clock(now, now)} {terminal.zone(now)}"
    silent = time.monotonic() - top.feed.asked
    waits = top.feed.asked > top.feed.answered and silent > _LATE
    trouble = top.feed.trouble or (f"no answer for {silent:.0f} s" if waits else None)
    if trouble is not None:
        return terminal.painted(terminal.cut(f"{clock}  {shown(trouble)}", width), "bad")
    phases = Counter(vassal["phase"] for vassal in top.feed.vassals)
    told = ", ".join(f"{phases[phase]:,} {phase}" for phase in PHASES if phases[phase])
    count = sum(phases.values())
    fleet = "1 vassal" if count == 1 else f"{count:,} vassals"
    return terminal.cut(f"{clock}  {fleet}: {told or 'none'}", width)


def _second(top: _Top, rows: Sequence[Row], width: int) -> str:
    """The sums of what is shown."""
    uses = [row.use for row in rows if row.use is not None]
    share = sum(use.share or 0 for use in uses)
    memory = top_rows.size_text(sum(use.sample.memory for use in uses))
    restarts = sum(row.vassal.get("restarts") or 0 for row in rows)
    text = f"CPU {share * 100:.1f} %, memory {memory}, restarts in an hour {restarts:,}"
    if len(rows) != len(top.feed.vassals):
        text += f"; {len(rows):,} shown"
    if top.choice.filter:
        text += f" with {top.choice.filter!r}"
    return terminal.cut(text, width)


def _last(top: _Top, width: int) -> str:
    choice = top.choice
    if choice.prompt is not None:
        return terminal.cut(f"{choice.asked}: {shown(choice.prompt)}_", width)
    keys = "q quit  ? help  / search  \\ filter  P cpu  M memory  T time  R restarts  < > I order"
    return terminal.painted(terminal.cut(keys, width).ljust(width), "bar")
