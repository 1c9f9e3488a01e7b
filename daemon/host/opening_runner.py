"""Carries out one attempt to listen: on the event loop, or in a thread where there is a file."""

import os
from collections.abc import Hashable

from ...monitors.names import shown
from .listen_address import CannotListen
from .opening import Opening
from .socket_files import Terms
from .user_threads import NoAnswer, UserThreads


def thread_key(path: str | None, how: Terms | None) -> Hashable:
    """The key of its thread: the user who chose the file, else the directory."""
    if path is None:
        return None
    if how is not None and how.user is not None and os.path.dirname(path) != how.directory:
        return how.user
    return os.path.dirname(path)


async def run_opening(threads: UserThreads, opening: Opening) -> None:
    """Listen. Raises CannotListen; the caller abandons the opening then."""
    if opening.path is None:
        opening.run()
        return
    try:
        await threads.run(thread_key(opening.path, opening.how), opening.run)
    except NoAnswer as error:
        reason = f"cannot listen at {shown(opening.address)}: its file system gives {error}"
        raise CannotListen(reason, "busy") from None
