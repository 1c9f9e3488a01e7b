"""The process of one attempt: identity, sockets, and the state of bytes, orders and its log."""

import math
import os
import socket
from typing import Any

from ...journal.events import Spec
from ..core.fleet import Vassal
from ..keeper.link import Identity, KeeperLink
from . import command, descriptors
from .log_cuts import LogFile
from .notify_socket import NotifySocket
from .orders import Orders
from .read_limit import ReadLimit
from .unjournaled import UnjournaledProcess


class Process:
    """The process of one attempt."""

    # Without them each process would have a table of its own, of 1.6 KB.
    __slots__ = (
        "accepted_at", "attempt", "cgroup", "config", "control", "deaf", "digest",
        "end_ordered", "frames_owed", "in_cgroup", "is_child", "is_keepers_child", "is_up",
        "kept_name", "log_file", "log_renamed", "log_start", "mark", "name", "notify",
        "orders", "peeked", "pid", "pidfd", "read_limit", "received", "reload_pending",
        "reload_signal", "reload_signalled_at", "reloads", "speaks", "spec", "started",
        "stop_signal", "suspected", "takes_rights", "uid", "unjournaled", "unsent_frame",
        "was_sick",
    )  # fmt: skip

    def __init__(self, vassal: Vassal, pid: int, started: int, pidfd: int) -> None:
        assert vassal.attempt is not None
        self.name = vassal.name
        self.attempt: int = vassal.attempt
        self.mark = ""
        self.kept_name = kept_name(vassal.name, vassal.attempt)  # with the keeper
        self.pid = pid
        self.started = started  # clock ticks since boot
        self.pidfd = pidfd
        self.uid = vassal.uid  # of all processes of its tree, in tyrant mode
        # It was taken over; the journal did not know it.
        self.unjournaled: UnjournaledProcess | None = None
        # The parent: this daemon, or the keeper, which reports how it ended, or neither.
        self.is_child = False
        self.is_keepers_child = False
        self.cgroup: str | None = None  # the directory of its attempt's
        self.in_cgroup = False  # it was seen in there
        # Bytes from it.
        self.speaks = vassal.speaks  # the emperor protocol; a plain program gets signals
        self.control: socket.socket | None = None
        self.takes_rights = True  # the kernel lets it pass descriptors to the daemon
        self.read_limit = ReadLimit()
        self.peeked = 0  # bytes that were read and are still in its socket
        self.received: list[int] = []  # bytes since it was started or reloaded, each once
        self.is_up = False  # it said that it accepts, or its ``ready`` was met
        self.was_sick = vassal.sick is not None  # for the daemon before
        self.accepted_at = -math.inf  # trio's time of its byte 5, or of the adoption
        self.notify: NotifySocket | None = None  # over which a program says that it is up
        # Configs for it.
        self.config: socket.socket | None = None
        self.frames_owed = 0  # requests of which no byte was sent yet
        self.unsent_frame = b""  # the rest of the frame that is being sent
        assert vassal.running is not None
        self.use_spec(vassal.running)
        # Orders to it.
        self.orders = Orders()
        self.deaf = vassal.is_deaf  # it reads no orders, so it gets signals
        self.suspected = vassal.deaf is not None  # it read none with this config, or another one
        self.end_ordered = False
        self.reload_pending = False  # a reload was ordered and is not sent yet
        self.reloads = 0  # reloads that this daemon has sent
        self.reload_signalled_at = -math.inf  # trio's time of its last reload signal
        # Its log.
        self.log_start = 0  # the place in the log, as log_cuts.py has it, at its start
        self.log_file: LogFile | None = None  # the file that is its output, if that is known
        self.log_renamed: str | None = None  # the path of that file, if it is not the log's path

    def use_sockets(self, control: socket.socket, config: socket.socket | None) -> None:
        """Exchange bytes and configs over these sockets from now on."""
        self.control, self.config = control, config
        refused = [descriptors.refuse(end) for end in (control, config) if end is not None]
        self.takes_rights = not all(refused)

    def consume(self, count: int) -> None:
        """Remove bytes that were peeked from its socket."""
        assert self.control is not None
        if self.takes_rights:
            descriptors.take(self.control, count)
        else:
            self.control.recv(count)

    def use_spec(self, spec: Spec) -> None:
        """Take its signals and its config from this spec from now on."""
        self.spec = spec
        self.digest = spec.config
        self.reload_signal = command.reload_signal(spec)
        self.stop_signal = command.stop_signal(spec)

    def tell_keeper(self, keeper: KeeperLink, *, soon: bool = False, **about: Any) -> None:
        """Have the keeper know facts about it, for a daemon that has lost its journal."""
        keeper.tell_about(self.kept_name, about, soon=soon)

    def discard(self) -> None:
        """The attempt is over: take out all that is in its sockets, and close them."""
        if self.takes_rights:
            for end in (self.control, self.config):
                if end is not None:
                    descriptors.drain(end)
        self.close()

    def close(self) -> None:
        """Close our copies. The next daemon gets all that is in its sockets."""
        for end in (self.control, self.config):
            if end is not None:
                end.close()
        if self.notify is not None:
            self.notify.close()
        os.close(self.pidfd)

    @property
    def identity(self) -> Identity:
        """Pid and start time: they distinguish it from a later process with its pid."""
        return self.pid, self.started


def kept_name(vassal: str, attempt: int) -> str:
    """The name under which the keeper holds the sockets of an attempt."""
    return f"{attempt}:{vassal}"
