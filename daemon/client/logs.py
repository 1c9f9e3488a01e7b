"""``emperor-ctl logs``: the last lines that vassals have written, and what they write next.

The daemon says where the logs are. This program reads them itself. So it goes on while no daemon
runs, and a long log keeps the daemon from nothing.
"""

import os
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import click

from ...journal.times import EventNumber, Moment
from ...monitors.names import shown
from ..cli import commandline
from ..cli.option_types import whole
from ..cli.waiting import until_interrupted, wait
from .asking import REFUSED, complain
from .log_files import LastLines, LogPart, last_lines
from .log_json import JsonLines
from .log_lines import LogLines
from .log_paths import log_paths
from .log_tail import Tail
from .name_arguments import some_names_argument

_PAUSE: Final = 0.2  # seconds between two looks
_REST: Final = 20  # times as long as a look takes: 2,000 logs take a twentieth of a core
_BLOCK: Final = 1 << 16


@click.command("logs", cls=commandline.Command)
@some_names_argument
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what is written.")
@click.option(
    "-n", "--lines", type=whole(0), metavar="N", default=50, show_default=True,
    help="The last N lines of each vassal, older parts of its log included.",
)  # fmt: skip
@click.option(
    "--since", type=commandline.TIME, metavar="T",
    help="Leave out logs, and older parts, that were last written before T. Lines have no time of"
    " their own, so a log that was written since is told from the N lines before its end.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are, on a terminal too.")
@click.pass_obj
def command(
    path: str, names: tuple[str, ...], following: bool, lines: int, since: Moment | None,
    as_json: bool, raw: bool,
) -> int:  # fmt: skip
    """The last lines that vassals have written. NAME is a vassal or a pattern ('app-*').

    Of several vassals each line is named, and the log that was written last comes last. -f goes on
    when a log is cut or renamed, when the vassal is started again, and while no daemon runs. It
    ends with ^C. A line without an end is told after a second. The log of a removed vassal is found
    by its whole name.
    """
    if as_json and raw:
        raise click.UsageError("--json escapes what is not printable; leave out --raw")
    if isinstance(since, EventNumber):
        raise click.UsageError("lines have no event numbers; write a time for --since")
    logs = log_paths(path, names)
    if not following:
        commandline.page()
    _allow_files()
    shower = _Logs(logs, JsonLines(list(logs)) if as_json else LogLines(list(logs), raw))
    begins = None if since is None else since / 10**9
    if not following:
        shower.tell(lines, begins, following)
        return shower.code
    with until_interrupted():
        shower.tell(lines, begins, following)
        shower.follow()
    return shower.code


def _allow_files() -> None:
    """Have as many files open as this user may: two for each log."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Logs:
    """The logs of some vassals."""

    def __init__(self, logs: Mapping[str, str], out: LogLines) -> None:
        self._logs = logs
        self._out = out
        self._tails = dict[str, Tail]()
        self._complained = set[str]()
        self.code = 0

    def tell(self, lines: int, since: float | None, following: bool) -> None:
        """Print the last lines of all; the log that was written last comes last."""
        last = dict[str, float]()
        for name, path in self._logs.items():
            with suppress(OSError):
                last[name] = os.stat(path).st_mtime
        for name in sorted(self._logs, key=lambda each: last.get(each, 0.0)):
            self._tell(name, lines, since, following)
            self._out.flush(every=not following)

    def _tell(self, name: str, lines: int, since: float | None, following: bool) -> None:
        path = self._logs[name]
        try:
            found = last_lines(path, lines, since)
        except FileNotFoundError:
            if following:
                self._tails[name] = Tail(path)
            else:
                self._complain(name, f"has no log yet at {path}; logs -f waits for it")
            return
        except OSError as error:
            self._refused(name, error)
            return
        parts = found.parts
        at = self._copy(name, found)
        for part in parts[:-1]:
            part.close()
        if found.trouble is not None:
            text = commandline.os_error_text(found.trouble)
            self._complain(name, f"an older part of its log cannot be read: {text}")
        if following:
            self._tails[name] = self._tail(path, parts, at)
        elif parts:
            parts[-1].close()

    def _tail(self, path: str, parts: Sequence[LogPart], at: int) -> Tail:
        if parts:
            return Tail(path, parts[-1], at)
        try:
            part = LogPart.open(path)  # it was last written before --since
        except OSError:
            return Tail(path)
        return Tail(path, part, part.size)

    def _copy(self, name: str, found: LastLines) -> int:
        """Print the last lines; the place in the last part up to which it was read."""
        at, read = found.at, 0
        for part in found.parts:
            self._out.begin(name, part.number)
            size = part.size
            while at < size and (block := part.read(at, min(_BLOCK, size - at))):
                self._out.add(name, block)
                at += len(block)
            read, at = at, 0
        return read

    def follow(self) -> None:
        """Print what is written, until there is nothing that can be read."""
        for name in self._tails:
            self._out.begin(name, None)
        while self._tails:
            begun = time.monotonic()
            for name, tail in self._tails.items():
                for file, block in tail.news():
                    self._out.add(name, block, file)
                if tail.trouble is not None:
                    self._refused(name, tail.trouble)
            self._out.flush()
            wait(max(_PAUSE, _REST * (time.monotonic() - begun)))

    def _refused(self, name: str, error: OSError) -> None:
        advice = ""
        if isinstance(error, PermissionError):
            advice = "; ask as root, as the daemon's user or as the vassal's"
        self._complain(name, f"its log cannot be read: {commandline.os_error_text(error)}{advice}")

    def _complain(self, name: str, text: str) -> None:
        self.code = REFUSED
        if name not in self._complained:
            self._complained.add(name)
            complain(f"{shown(name)}: {shown(text)}")
