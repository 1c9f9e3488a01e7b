"""Standard input, output and error, when whoever started us does not care for them.

Where they are closed, the next thing that a process opens gets the lowest free number. A socket or
the journal that is number 2 is where a last word goes, of the interpreter or of a library.

Where nobody reads them, a pipe or a terminal is full some day, and who writes to it waits.
"""

import contextlib
import os
import select


def hold() -> None:
    """Put the null device where nothing is. Called before anything else is opened."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)


def is_journal() -> bool:
    """Whether standard error leads to the systemd journal (JOURNAL_STREAM in systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def has_room(number: int, patience: float = 0.0) -> bool:
    """Whether a line can be written without waiting for who reads it; within so many seconds."""
    waiting = select.poll()
    waiting.register(number, select.POLLOUT)
    return bool(waiting.poll(patience * 1000))


def say(line: bytes) -> None:
    """Write to standard error. That nobody reads it is no reason to die, nor to wait."""
    with contextlib.suppress(OSError):
        if has_room(2):
            os.write(2, line)
