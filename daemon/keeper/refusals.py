"""Refusals of the machine: which errors are its own, and which of them led to another one."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Final

# The machine's trouble, which passes. Another error is in what was asked for.
PASSING: Final = (
    errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT,
    errno.EIO, errno.EROFS, errno.ENOBUFS, errno.ENOLCK, errno.ESTALE, errno.EINTR,
)  # fmt: skip


class Refused(OSError):
    """The machine refused what no vassal is to blame for, and the daemon cannot go on without."""


@contextlib.contextmanager
def about_no_vassal() -> Iterator[None]:
    """A refusal of the machine within is about no vassal. Raises Refused."""
    try:
        yield
    except OSError as error:
        if error.errno not in PASSING:
            raise
        raise Refused(error.errno, error.strerror, error.filename) from error


def refusal(error: BaseException) -> OSError | None:
    """The first error of the machine that led to this one; None if none did.

    The event loop's own, as epoll_ctl(2) without memory, come wrapped up as trio's.
    """
    for each in _below(error):
        if isinstance(each, OSError) and each.errno in PASSING:
            return each
    return None


def _below(error: BaseException) -> Iterator[BaseException]:
    for before in (error.__cause__, error.__context__):
        if before is not None:
            yield from _below(before)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _below(part)
    yield error
