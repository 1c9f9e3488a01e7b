"""A terminal that a program has for itself: keys one at a time, and lines that change in place.

The terminal is given back as it was found, however the program ends. It may end by itself, by an
error or by a signal, or be suspended by ^Z. Only SIGKILL is not seen.

A frame writes the lines that have changed and no others, so a slow line is not flooded. The write
waits for the terminal, so frames never queue up.
"""

import errno
import os
import select
import signal
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

# Another screen, no cursor, no wrapping at the right edge; and back. The mode of keys is left.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?1l\x1b>\x1b[2J"
_LEAVE: Final = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_PATIENCE: Final = 0.1  # seconds for the rest of a key's bytes, also over a slow line
_SEQUENCES: Final = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home",
    b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end",
    b"\x1bOP": "F1", b"\x1b[11~": "F1", b"\x1b[[A": "F1",
    b"\x1bOR": "F3", b"\x1b[13~": "F3", b"\x1b[[C": "F3",
    b"\x1bOS": "F4", b"\x1b[14~": "F4", b"\x1b[[D": "F4",
    b"\x1b[17~": "F6", b"\x1b[21~": "F10",
    b"\r": "enter", b"\n": "enter", b"\x7f": "backspace", b"\x08": "backspace", b"\x1b": "escape",
    b"\x0c": "redraw",
}  # fmt: skip


class Ended(BaseException):
    """A signal ends the program. No Exception, so that it passes through all but ``finally``."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Screen:
    """The terminal while it is ours."""

    def __init__(self, keyboard: int, output: int) -> None:
        self._keyboard = keyboard
        self._output = output
        self._former: list[Any] = []
        self._lines: list[str] = []
        self._pending = b""
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.rows, self.columns = 24, 80

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the terminal within this."""
        handlers: dict[int, Callable[[int, FrameType | None], Any]] = {
            **dict.fromkeys(_ENDING, _end),
            signal.SIGWINCH: _note,
            signal.SIGCONT: _note,
            signal.SIGTSTP: self._suspend,
        }
        former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        former_wake = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            self._enter()
            yield
        finally:
            self._leave()
            signal.set_wakeup_fd(former_wake)
            for number, handler in former.items():
                signal.signal(number, handler)

    def wake(self) -> None:
        """Let ``key`` return, from any thread."""
        with suppress(OSError):  # it is awake already
            os.write(self._wake_write, b"\0")

    def key(self, patience: float) -> str | None:
        """The next key, None when the time is up or something else has happened."""
        if not self._pending:
            waiting = [self._keyboard, self._wake_read]
            ready, _, _ = select.select(waiting, [], [], max(0.0, patience))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._measure()
            if self._keyboard not in ready:
                return None
            self._read()
        return self._next_key()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, each ready for the terminal and within its width."""
        told = [*lines[: self.rows], *[""] * (self.rows - len(lines))]
        changed = [
            f"\x1b[{place + 1};1H\x1b[K{line}\x1b[0m"
            for place, line in enumerate(told)
            if place >= len(self._lines) or self._lines[place] != line
        ]
        self._lines = told
        self._write("".join(changed))

    def redraw(self) -> None:
        """Let the next frame write all lines."""
        self._lines = []
        self._write("\x1b[0m\x1b[2J")

    def _enter(self) -> None:
        try:
            self._former = termios.tcgetattr(self._keyboard)
            mode = termios.tcgetattr(self._keyboard)
            mode[3] &= ~(termios.ECHO | termios.ICANON)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, mode)
        except termios.error as error:
            raise Ended(signal.SIGHUP) from error
        self._write(_ENTER)
        self._measure()
        self._lines = []

    def _leave(self) -> None:
        if self._former:
            former, self._former = self._former, []
            with suppress(OSError):  # it has gone
                self._send(_LEAVE)
            with suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSADRAIN, former)

    def _suspend(self, *_: object) -> None:
        """Stop as ^Z asks for, with the terminal as it was; go on when the shell says so."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._enter()

    def _measure(self) -> None:
        try:
            size = os.get_terminal_size(self._output)
        except OSError:  # it has gone
            return
        found = (size.lines or 24, size.columns or 80)
        if found != (self.rows, self.columns):
            self.rows, self.columns = found
            self.redraw()

    def _read(self) -> None:
        read = b""
        with suppress(OSError):
            read = os.read(self._keyboard, 4096)
        if not read:  # the terminal has gone
            raise Ended(signal.SIGHUP)
        self._pending += read

    def _next_key(self) -> str | None:
        found = self._of_sequence()
        if found is not None:
            return found
        for length in (1, 2, 3, 4):
            try:
                text = self._pending[:length].decode()
            except UnicodeDecodeError:
                continue
            self._pending = self._pending[length:]
            return text if text.isprintable() else None
        self._pending = b""
        return None

    def _of_sequence(self) -> str | None:
        """The key at the beginning of what was typed that has a name."""
        until = time.monotonic() + _PATIENCE
        while self._pending[:1] == b"\x1b" and self._may_go_on():
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._keyboard], [], [], left)[0]:
                break
            self._read()
        for length in range(min(5, len(self._pending)), 0, -1):
            name = _SEQUENCES.get(self._pending[:length])
            if name is not None:
                if name == "escape" and len(self._pending) > 1:
                    self._pending = b""  # a key that has no name here
                    return None
                self._pending = self._pending[length:]
                return name
        return None

    def _may_go_on(self) -> bool:
        """Whether the bytes may be the beginning of a longer key."""
        return any(
            each.startswith(self._pending) and len(each) > len(self._pending) for each in _SEQUENCES
        )

    def _write(self, text: str) -> None:
        try:
            self._send(text)
        except OSError as error:
            # The kernel lets writes to a terminal that has gone fail, and sends SIGHUP after that.
            if error.errno not in (errno.EIO, errno.ENXIO):
                raise
            raise Ended(signal.SIGHUP) from error

    def _send(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except BlockingIOError:
                select.select([], [self._output], [])


def _end(number: int, _: FrameType | None) -> None:
    raise Ended(number)


def _note(*_: object) -> None:
    """The signal's number in the wake-up pipe is enough."""
