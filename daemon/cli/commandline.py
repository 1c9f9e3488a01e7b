"""Shared by the three commands: reading arguments, and output that cannot be written.

The parser of click takes ``-2h`` for the option ``-h``. Here nothing that begins with ``-`` and
a digit is an option, so that a relative time can stand wherever a time is taken.

Output that cannot be written is one line on stderr and exit code 1. A reader that closed its end
of a pipe, as ``head`` does, has seen enough. Then the command ends without a line, by SIGPIPE, as
``cat`` and ``git`` do. After ^C it ends by SIGINT, which a shell tells as 130: a script that ran it
ends as well.
"""

import contextlib
import errno
import gc
import io
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from ...journal import times
from ...monitors.names import shown
from ..keeper import stdio
from . import terminal
from .nearest import did_you_mean, nearest_words

if TYPE_CHECKING:
    from .pager import Pager

FAILED: Final = 1
_NEGATIVE: Final = re.compile(r"-\d", re.ASCII)
_VEIL: Final = "\0"  # no argument can contain it: the kernel takes it for the end


_NEW_OBJECTS: Final = 20_000  # after so many a collection looks for cycles among them
_HIDDEN: Final = terminal.options(hidden=True)


class _NegativeArguments(click.Command):
    """A command to which ``-`` and a digit begin a value."""

    def make_parser(self, ctx: click.Context) -> Any:
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            values, rest, order = parse([_veiled(each) for each in args])
            return {name: _unveiled(each) for name, each in values.items()}, _unveiled(rest), order

        parser.parse_args = parse_args  # type: ignore[method-assign]
        return parser


def is_option(word: str) -> bool:
    """Whether a word of the command line is an option, or ``--``."""
    return len(word) > 1 and word[0] == "-" and not _NEGATIVE.match(word)


def _veiled(word: str) -> str:
    return _VEIL + word if _NEGATIVE.match(word) else word


def _unveiled(value: Any) -> Any:
    """A parsed value, or several of them, as the user wrote it."""
    if isinstance(value, str):
        return value.removeprefix(_VEIL)
    if isinstance(value, list | tuple):
        return type(value)(_unveiled(each) for each in value)
    return value


class Command(_NegativeArguments):
    """A command without subcommands. One of a group takes the options of all output as well."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        return params if ctx.parent is None else [*params, *_HIDDEN]


class Group(_NegativeArguments, click.Group):
    """A command with subcommands, and the options of all output."""

    command_class = Command
    hints: Mapping[str, str] = {}  # words that are no commands, and what to type instead

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += terminal.options()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            word = args[0]
            hint = self.hints.get(word.casefold())
            if hint is not None:
                raise click.UsageError(f"No such command {word!r}: {hint}", ctx) from None
            guess = did_you_mean(nearest_words(word, self.list_commands(ctx)))
            guess = guess or "--help lists them"
            raise click.UsageError(f"No such command {word!r}; {guess}", ctx) from None


class _Time(click.types.StringParamType):
    """A time, or ``@SEQ``: any form that ``journal.times`` knows."""

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return times.moment(value)
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


TIME: Final = _Time()


class OutputLost(Exception):
    """Standard output cannot be written. No OSError, so that it is not taken for another's."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


class PagerEnded(Exception):
    """The user has seen enough, and ended the pager."""


class _Output(io.RawIOBase):
    """Standard output; what goes wrong with it is OutputLost."""

    def __init__(self, closed: bool) -> None:
        self._given = not closed
        self.pager: Pager | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def isatty(self) -> bool:
        return self._given and os.isatty(1)

    def write(self, data: Any) -> int:
        if self.pager is None:
            return self.write_through(data)
        try:
            self.pager.write(bytes(data))
        except BrokenPipeError:
            raise PagerEnded from None
        return len(data)

    def write_through(self, data: Any) -> int:
        """Write to the file itself."""
        if not self._given:
            raise OutputLost(errno.EBADF, "the output is closed")
        while True:
            try:
                return os.write(1, data)
            except BlockingIOError:  # another process that shares it made it so
                waiting = select.poll()
                waiting.register(1, select.POLLOUT)
                waiting.poll()
            except OSError as error:
                reason = f"the output cannot be written: {error.strerror}"
                raise OutputLost(error.errno or 0, reason) from None


class _Errors(io.FileIO):
    """Standard error. A line that cannot be written is lost; the exit code still tells.

    While a pager has the terminal, lines wait for its end.
    """

    output: _Output

    def write(self, data: Any) -> int:
        shown = self.output.pager
        if shown is not None and shown.is_busy and self.isatty():
            shown.note(bytes(data))
            return len(data)
        try:
            return super().write(data)
        except OSError:
            return len(data)


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command to the end of this process."""
    try:
        _run(command, program, arguments)
    except SystemExit as end:
        _end_over_threads(end)
        raise


def _run(command: click.Command, program: str, arguments: Sequence[str] | None) -> NoReturn:
    gc.freeze()  # modules live as long: no collection looks at them, nor the one at the exit
    # Vassals live long. At Python's 700, each start, each stop and each line of a list looks again
    # at those of all.
    gc.set_threshold(_NEW_OBJECTS)
    _set_up_streams()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # until now, see __main__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            code = command.main(arguments, prog_name=program, standalone_mode=False)
        except (click.Abort, KeyboardInterrupt):
            _end_pager()
            _end_interrupted()
        finally:
            sys.stdout.flush()
            _end_pager()
    except PagerEnded:
        _end_pager()
        os._exit(0)  # Python would try to write the rest once more
    except click.ClickException as error:
        sys.exit(_refused(error))
    except KeyboardInterrupt:
        _end_interrupted()
    except OutputLost as lost:
        _end_without_output(program, lost)
    except OSError as error:
        print(f"{program}: {shown(os_error_text(error))}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _end_over_threads(end: SystemExit) -> None:
    """End this process at once if other threads are left; one of them may be in a C library.

    The usual end has each library take down its state, and waits for no thread that was abandoned.
    A thread that just then loads certificates dies in OpenSSL, with the whole process: SIGSEGV.
    """
    if threading.active_count() == 1 or not isinstance(end.code, int | None):
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(end.code or 0)


def _refused(error: click.ClickException) -> int:
    """Say what is wrong with the command line, which may have names of others: a shell's ``*``."""
    text = io.StringIO()
    error.show(text)
    for line in text.getvalue().splitlines():
        print(shown(line), file=sys.stderr, flush=True)
    return error.exit_code


def page() -> None:
    """Show what is printed from now on in the user's pager, if it is longer than the terminal."""
    from . import pager  # the daemon pages nothing

    output = _raw_output()
    command = pager.command() if output is not None and terminal.may_page() else None
    if output is not None and output.pager is None and command is not None:
        sys.stdout.flush()
        output.pager = pager.Pager(command, lambda data: _write_all(output, data))


def _end_pager() -> None:
    output = _raw_output()
    if output is None or output.pager is None:
        return
    shown, output.pager = output.pager, None
    errors = shown.finish()
    sys.stderr.write(errors.decode(sys.stderr.encoding, "replace"))
    sys.stderr.flush()


def _write_all(output: _Output, data: bytes) -> None:
    while data:
        data = data[output.write_through(data) :]


def _raw_output() -> _Output | None:
    """Standard output as ``run`` has set it up."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _set_up_streams() -> None:
    """Names that the locale has no letters for are printed escaped."""
    closed = sys.stdout is None
    stdio.hold()  # else the next file to be opened would be the output
    raw = _Output(closed)
    output = io.BufferedWriter(raw)
    encoding = "utf-8" if sys.stdout is None else sys.stdout.encoding
    sys.stdout = io.TextIOWrapper(
        output, encoding, "backslashreplace", line_buffering=not closed and os.isatty(1)
    )
    raw_errors = _Errors(2, "wb", closefd=False)
    raw_errors.output = raw
    errors = io.BufferedWriter(raw_errors)
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    sys.stderr = io.TextIOWrapper(errors, encoding, "backslashreplace", line_buffering=True)


def _end_without_output(program: str, lost: OutputLost) -> NoReturn:
    """End at once: Python would try to write the rest once more, and complain as well."""
    if lost.number == errno.EPIPE:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        os._exit(128 + signal.SIGPIPE)  # the signal is blocked
    print(f"{program}: {lost}", file=sys.stderr, flush=True)
    os._exit(FAILED)


def _end_interrupted() -> NoReturn:
    """End by the signal of ^C. An exit code would tell a shell that the signal was dealt with.

    Nothing is flushed. The signal may come between a write and the note of its success. Then the
    same text would be written once more.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)  # the signal is blocked


def os_error_text(error: OSError) -> str:
    """An error of the operating system: of what, and which."""
    text = error.strerror or str(error)
    return text if error.filename is None else f"{error.filename}: {text}"
