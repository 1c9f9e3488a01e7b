"""Waits of commands that follow something, and see the end of their output without writing."""

import errno
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .commandline import OutputLost


def wait(seconds: float, descriptor: int = 1) -> None:
    """Wait, or raise OutputLost as soon as the output has no reader any more."""
    waiting = select.poll()
    waiting.register(descriptor, 0)  # errors and a reader that is gone are told anyway
    try:
        events = waiting.poll(seconds * 1000)
    except OSError:
        events = []
    if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in events):
        raise OutputLost(errno.EPIPE, "the output has no reader any more")
    if events:  # no such descriptor: the output is nowhere
        time.sleep(seconds)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """^C ends what is done here, and the program with exit code 0.

    It ends at once. The signal may come between a write and the note of its success. Then Python
    would write the same text once more at its end.
    """
    try:
        yield
    except KeyboardInterrupt:
        os._exit(0)
