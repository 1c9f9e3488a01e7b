"""Configs for vassals without a config file: frames over their config sockets.

The first frame is in the socket before the vassal starts (``spawn.py``). uWSGI asks for another one
with byte 2 at each reload. A frame is made when its turn comes, with the config of that moment. So
the requests of a vassal that does not read pile up as a number, not as texts.
"""

import logging
import select
from collections.abc import Callable

from . import emperor_protocol
from .process import Process
from .watch import ProcessWatch

log = logging.getLogger("emperor.host")


class ConfigSender:
    """Sends configs. ``text_of`` finds one by its digest; the watch says when a socket has room."""

    def __init__(self, text_of: Callable[[str], bytes | None], watch: ProcessWatch) -> None:
        self.text_of = text_of
        self._watch = watch

    def send(self, process: Process) -> None:
        """Go on sending the frames that a process asked for, whole and in order."""
        if process.config is None:
            return
        fd = process.config.fileno()
        if not process.unsent_frame and process.frames_owed:
            process.frames_owed -= 1
            process.unsent_frame = self.frame(process.digest)
        try:
            sent = process.config.send(process.unsent_frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent, process.frames_owed = len(process.unsent_frame), 0
        process.unsent_frame = process.unsent_frame[sent:]
        if not process.unsent_frame and not process.frames_owed:
            self._watch.remove(fd)
        elif fd not in self._watch:
            self._watch.add(fd, process, select.EPOLLOUT)

    def frame(self, digest: str | None) -> bytes:
        """The frame of a config; empty if the journal does not have it as it was recorded."""
        text = None if digest is None else self.text_of(digest)
        if text is None:
            log.error("the config %s is not in the journal as it was recorded", digest)
            return b""
        return emperor_protocol.config_frame(text)
