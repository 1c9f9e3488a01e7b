"""One attempt's process, and what the daemon holds of it."""

import math
import os
import socket
import subprocess
from typing import Any

from ...journal.events import Spec
from ..core.fleet import Vassal
from ..keeper.link import Identity, KeeperLink
from . import command, descriptors
from .inflow import Inflow
from .leftovers import Leftover
from .orders import Orders
from .vassal_log import LogFile


class Process:
    """One attempt's process, and what the daemon holds of it."""

    def __init__(self, vassal: Vassal, pid: int, started: int, pidfd: int) -> None:
        assert vassal.attempt is not None
        self.name = vassal.name
        self.attempt: int = vassal.attempt
        self.speaks = vassal.speaks  # it reads bytes; a plain program gets signals
        self.uid = vassal.uid  # of all processes of its tree, in tyrant mode
        self.mark = ""
        self.pid = pid
        self.started = started  # clock ticks since boot
        self.pidfd = pidfd
        self.control: socket.socket | None = None
        self.config: socket.socket | None = None
        self.inflow = Inflow()
        self.takes_rights = True  # descriptors can be passed to the daemon
        self.heard = 0  # bytes that were heard and are in its socket still
        self.owed = 0  # config frames that it asked for and that are not begun yet
        self.unsent = b""  # rest of the one that is
        assert vassal.running is not None
        self.heed(vassal.running)
        self.log_start = 0
        self.log_file: LogFile | None = None  # the file that it got as its output, if that is known
        self.log_renamed: str | None = None  # where that is now, if it is not in its place
        self.child: subprocess.Popen[bytes] | None = None  # None: adopted, not ours to reap
        self.keepers = False  # the keeper's child: the keeper reports how it ended
        self.asked = False  # its end was ordered
        self.accepted = -math.inf  # when it said that it accepts, or may have, in trio's time
        self.to_reload = False  # that was ordered, and is not sent yet
        self.reloads = 0  # that this daemon has sent to it
        self.orders = Orders()
        self.deaf = vassal.is_deaf  # it reads no orders, so it gets signals
        self.suspected = vassal.deaf is not None  # it read none with this config, or another one
        self.signalled = -math.inf  # when its reload signal was sent, in trio's time
        self.said: list[int] = []  # bytes that it has sent since it was started or reloaded
        self.cgroup: str | None = None  # the directory of its attempt's
        self.entered = False  # it was seen in there
        self.former: Leftover | None = None  # it was taken over; the journal did not know it

    def hold(self, control: socket.socket, config: socket.socket | None) -> None:
        """Talk to it over these sockets from now on."""
        self.control, self.config = control, config
        refused = [descriptors.refuse(end) for end in (control, config) if end is not None]
        self.takes_rights = not all(refused)

    def take_out(self, count: int) -> None:
        """Remove bytes that were heard from its socket."""
        assert self.control is not None
        if self.takes_rights:
            descriptors.take(self.control, count)
        else:
            self.control.recv(count)

    def heed(self, spec: Spec) -> None:
        """From now on this spec says how it is told things, and what its config is."""
        self.spec = spec
        self.digest = spec.config
        self.reload_signal = command.reload_signal(spec)
        self.stop_signal = command.stop_signal(spec)

    @property
    def kept_name(self) -> str:
        """Under which name its sockets are entrusted to the keeper."""
        return kept_name(self.name, self.attempt)

    def tell_keeper(self, keeper: KeeperLink, **about: Any) -> None:
        """Have the keeper know facts about it, for a daemon that has lost its journal."""
        keeper.tell_about(self.kept_name, about)

    def close(self) -> None:
        for end in (self.control, self.config):
            if end is not None:
                if self.takes_rights:
                    descriptors.drain(end)
                end.close()
        os.close(self.pidfd)

    @property
    def identity(self) -> Identity:
        """Pid and start time: they distinguish it from a later process with its pid."""
        return self.pid, self.started


def kept_name(vassal: str, attempt: int) -> str:
    """Under which name the sockets of an attempt are entrusted to the keeper."""
    return f"{attempt}:{vassal}"
