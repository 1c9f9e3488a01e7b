"""A vassal that speaks the emperor protocol as its config tells it to.

It runs in place of uWSGI (``--uwsgi``), so it is a real process with real descriptors. Its
config is lines of orders, carried out one after the other; then it obeys what comes:

    say N...      send these bytes
    beat N S      send N heartbeats, S seconds apart
    await FILE    until there is such a file
    take N        read N more frames of inline config, and note each as loaded
    deaf          ignore all that asks it to stop
    child         leave a child that made itself a session of its own
    exit N        end

Lines that start with anything else (a section, a comment) are skipped. Each byte that it gets is
noted in ``NAME.heard`` as a number, each config that it loads in ``NAME.loaded`` as its first line.
Both are beside the config, or in ``SPEAKER_NOTES`` where that is inline.

Tests start some thousand of them, so it imports nothing that takes longer than the interpreter.
"""

import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_CONTROL = int(os.environ["UWSGI_EMPEROR_FD"])
_CONFIG = sys.argv[sys.argv.index("--ini") + 1]
_SCHEME = "emperor://"


class _Speaker:
    def __init__(self) -> None:
        self.deaf = False
        name = os.path.basename(_CONFIG.removeprefix(_SCHEME))
        self.notes = os.path.join(os.environ.get("SPEAKER_NOTES", "."), name)

    def note(self, what: str, line: str) -> None:
        with open(f"{self.notes}.{what}", "a") as file:
            file.write(line + "\n")

    def live(self) -> "NoReturn":
        self.load(first=True)
        while True:
            try:
                byte = os.read(_CONTROL, 1)
            except ConnectionResetError:  # the daemon died before it consumed what we said
                byte = b""
            if not byte:
                if not self.deaf:
                    sys.exit(0)
                select.select((), (), (), None)
            self.note("heard", str(byte[0]))
            if byte in b"\0\2" and not self.deaf:
                sys.exit(0)
            if byte == b"\1":
                self.load(first=False)

    def load(self, *, first: bool) -> None:
        text = _inline(first) if _CONFIG.startswith(_SCHEME) else _read()
        lines = text.splitlines()
        self.note("loaded", lines[0] if lines else "")
        for line in lines:
            self.obey(line.split())

    def obey(self, order: list[str]) -> None:
        match order:
            case ["say", *numbers]:
                os.write(_CONTROL, bytes(map(int, numbers)))
            case ["beat", count, pause]:
                for _ in range(int(count)):
                    os.write(_CONTROL, bytes([26]))
                    select.select((), (), (), float(pause))
            case ["await", path]:
                while not os.path.exists(path):
                    select.select((), (), (), 0.01)
            case ["take", count]:
                for _ in range(int(count)):
                    self.note("loaded", _frame().partition("\n")[0])
            case ["deaf"]:
                import signal

                self.deaf = True
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
            case ["child"]:
                if os.fork() == 0:
                    os.setsid()
                    os.close(_CONTROL)
                    select.select((), (), (), None)
            case ["exit", code]:
                sys.exit(int(code))


def _read() -> str:
    with open(_CONFIG) as file:
        return file.read()


def _inline(first: bool) -> str:
    """One frame from the daemon: it comes unasked at the start, later when asked for."""
    if not first:
        os.write(_CONTROL, b"\2")
    return _frame()


def _frame() -> str:
    fd = int(os.environ["UWSGI_EMPEROR_FD_CONFIG"])
    kind, low, high, zero = _exactly(fd, 4)
    assert (kind, zero) == (115, 0)
    return _exactly(fd, low | high << 8).decode()


def _exactly(fd: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = os.read(fd, length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


if __name__ == "__main__":
    _Speaker().live()
