"""The daemon's end of the channel to its keeper.

Descriptors are entrusted before anything depends on them: a vassal's sockets before the vassal is
started. So the daemon's death never closes the last duplicate of one. Deaths of the daemon's own
children are entrusted before they are reaped, so their status is not lost either. Without a keeper
(it died, or there never was one) everything works, but ends with the daemon. The link still knows
what was entrusted, for a successor that takes over (see ``takeover.py``).
"""

import contextlib
import logging
import os
import select
import socket
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import trio

from . import protocol, stdio
from .outbox import Outbox

log = logging.getLogger("emperor.keeper")

_PATIENCE: Final = 5.0  # seconds for the keeper to say all; it has nothing else to do
_SOON: Final = 1.0  # seconds that a spawn waits for a keeper that takes nothing
_HANGUP: Final = 0  # poll(2) reports a hangup without a request for it
_AGAIN: Final = 0.02  # seconds between tries to say what has to be said

TAKES_NOTHING: Final = (
    "the keeper takes no packets, so it would not hold all that vassals need; see whether it is"
    " stopped (SIGCONT has it go on), and try again"
)

Identity = tuple[int, int]  # pid and start time


class Kept(msgspec.Struct):
    """Descriptors that a former daemon entrusted."""

    about: dict[str, Any]
    descriptors: list[int]

    def close(self) -> None:
        """Close them, because they are not taken over."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Death(msgspec.Struct, frozen=True):
    """How a process ended that fell to the keeper."""

    code: int | None
    signal: int | None


class Ended(msgspec.Struct, frozen=True):
    """How the daemon before has ended, as the keeper has seen it. ``at`` is by CLOCK_BOOTTIME."""

    at: int
    code: int | None = None
    signal: int | None = None


class KeeperLink:
    """A channel to the keeper. ``channel`` is None where there is no keeper."""

    def __init__(self, channel: socket.socket | None) -> None:
        self._outbox = Outbox(channel)
        self.pid = 0 if channel is None else os.getppid()  # of the keeper, as long as it lived
        self.died = False  # there was a keeper, and it is no more
        self.kept: dict[str, Kept] = {}  # by a former daemon, not taken over yet
        self.entrusted: dict[str, Kept] = {}  # by this one; the descriptors are their owners'
        self.deaths: dict[Identity, Death] = {}
        self._expected: set[Identity] = set()  # a task will ask for their deaths
        self._news = trio.Event()
        self.complete = False  # all that was kept has been told
        self.version = 1  # of the protocol, as the keeper knows it
        self.ended: Ended | None = None  # the daemon before
        self.replaces = False  # it runs, and hands over to this one
        self.lost = 0  # packets whose descriptors did not get here
        self._synced = False
        self._held = False  # it hands on no signal any more

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "KeeperLink":
        """The channel that the keeper named, if this daemon has one."""
        number = environ.get(protocol.CHANNEL, "")
        if not number.isdigit():
            return cls(None)
        os.set_inheritable(int(number), False)
        return cls(socket.socket(fileno=int(number)))

    @property
    def _channel(self) -> socket.socket | None:
        return self._outbox.channel

    @property
    def alive(self) -> bool:
        """Whether there is a keeper. One that has just died is none, heard of or not."""
        return self._channel is not None and not _ready(self._channel, _HANGUP, 0)

    @property
    def congested(self) -> bool:
        """Whether something waits to be said."""
        return self._outbox.waits

    def close(self) -> None:
        """The daemon leaves."""
        self._outbox.lose()

    def receive_all(self) -> None:
        """Take over what a former daemon left: ``kept`` and ``deaths``. Blocks for a moment."""
        while self._channel is not None and not self.complete:
            if not _ready(self._channel, select.POLLIN, _PATIENCE):
                log.error("the keeper says nothing; going on without what it keeps")
                return
            self.complete = self._receive() == "all"

    def take(self, name: str) -> Kept | None:
        """Take over what a former daemon entrusted under this name; it stays entrusted."""
        if name in self.kept:
            self.entrusted[name] = self.kept.pop(name)
        return self.entrusted.get(name)

    def deliver(self) -> bool:
        """Whether the keeper was told all there is to say. Blocks until it is, for a while."""
        until = time.monotonic() + _PATIENCE
        while not self._outbox.flush():
            if time.monotonic() > until:
                return False
            time.sleep(_AGAIN)
        return True

    async def run(self) -> None:
        """Hear of deaths until cancelled, or until the keeper dies."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_flush_while_waiting, self._outbox)
            nursery.start_soon(_flush_as_planned, self._outbox)
            while self._channel is not None:
                await trio.lowlevel.wait_readable(self._channel)
                self.look()
            nursery.cancel_scope.cancel()
        if self.died:
            log.error(
                "the keeper died: vassals would not outlive this daemon now; start another"
                " emperor on this journal, it takes over from this one"
            )

    def look(self) -> None:
        """Take in what the keeper has said, its death included. Returns at once."""
        while self._channel is not None and _ready(self._channel, select.POLLIN, 0):
            self._receive()

    # Deaths

    def expect(self, process: Identity) -> None:
        """A task will ask how this process ended. Other deaths are acknowledged and dropped."""
        self._expected.add(process)

    async def death_of(self, process: Identity, patience: float) -> Death | None:
        """How a process that is no child of ours ended, if the keeper gets to know."""
        with trio.move_on_after(patience):
            while self._channel is not None and process not in self.deaths:
                await self._news.wait()
        return self.deaths.get(process)

    async def sync(self) -> None:
        """Return when the deaths of all that are dead by now are known."""
        self._outbox.send({"do": "sync"})
        with trio.move_on_after(_PATIENCE):
            while self._channel is not None and not self._synced:
                await trio.lowlevel.wait_readable(self._channel)
                self._receive()

    def entrust_death(self, process: Identity, death: Death) -> None:
        """How a child of ours ended, until it is acknowledged. Reap it after the next flush."""
        pid, start = process
        how = {"code": death.code, "signal": death.signal}
        self._outbox.send({"do": "died", "pid": pid, "start": start, **how}, soon=True)

    def flush(self) -> None:
        """Tell at once what was to be told soon."""
        self._outbox.flush()

    def acknowledge(self, process: Identity) -> None:
        """A death is recorded, or needs no record."""
        self.deaths.pop(process, None)
        self._expected.discard(process)
        self._outbox.send({"do": "ack", "pid": process[0], "start": process[1]}, soon=True)

    def acknowledge_all(self) -> None:
        """All deaths known so far that are not expected are recorded, or need no record."""
        for process in self.deaths.keys() - self._expected:
            self.acknowledge(process)

    # Packets of the daemon

    def keep(
        self,
        name: str,
        descriptors: list[int],
        about: dict[str, Any] | None = None,
        patience: float = _SOON,
    ) -> None:
        """Entrust duplicates of descriptors. May be called in a thread.

        Waits for a keeper that takes nothing, for ``patience`` in seconds. They are to be dropped
        before they are closed here.
        """
        self.entrusted[name] = Kept(about or {}, descriptors)
        packet = {"do": "keep", "name": name, "about": about or {}}
        channel = self._channel
        if not self._outbox.send(packet, descriptors) and patience and channel is not None:
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                _ready(channel, select.POLLOUT, patience)
                self._outbox.flush()

    def tell_about(self, name: str, about: dict[str, Any], *, soon: bool = False) -> None:
        """Something changed about what is kept under this name. May be called in a thread."""
        kept = self.entrusted.get(name)
        if kept is None:
            return
        kept.about = {**kept.about, **about}
        if self._outbox.merge(name, about):
            if not soon:
                self._outbox.flush()
        elif self.version >= 2:
            self._outbox.send({"do": "about", "name": name, "about": about}, soon=soon)
        else:
            packet = {"do": "keep", "name": name, "about": kept.about}
            self._outbox.send(packet, kept.descriptors)

    def rename(self, name: str, new: str) -> None:
        """Keep what a former daemon entrusted under another name from now on."""
        kept = self.kept.pop(name)
        self.keep(new, kept.descriptors, kept.about)
        self.kept[new] = self.entrusted.pop(new)
        self.drop(name)

    def drop(self, name: str, *, soon: bool = False) -> None:
        """They are needed no longer. An address is free when the keeper has closed them, too."""
        self.entrusted.pop(name, None)
        self._outbox.forget(name)
        self._outbox.send({"do": "drop", "name": name}, soon=soon)

    def hear(self) -> None:
        """Signals may be handed on from now. The keeper writes its own lines as we do."""
        packet = {"do": "hear", "version": protocol.VERSION, "log": stdio.form()}
        self._outbox.send({**packet, "file": os.environ.get(stdio.FOLLOWED)})

    def hold(self, signals: list[int]) -> None:
        """Have all signals wait from now for the next daemon, these before others.

        Blocks, for a second at most, until the keeper says that it hands on no other one.
        """
        self._held = self.version < 4 or self.congested
        if not self._held:
            self._outbox.send({"do": "hold", "signals": signals})
        until = time.monotonic() + _SOON
        while self._channel is not None and not self._held:
            left = until - time.monotonic()
            if left <= 0 or not _ready(self._channel, select.POLLIN, left):
                return
            self._receive()

    def passing(self) -> None:
        """No daemon: it prints something, and the keeper ends with its exit code."""
        self._outbox.send({"do": "pass"})

    # Packets of the keeper

    def _receive(self) -> str | None:
        """Take in one packet; what it said."""
        assert self._channel is not None
        came = _read(self._channel)
        if came is None:
            return None
        data, descriptors, cut = came
        if not data:
            self._lose()
            return None
        packet = protocol.decode(data)
        said = packet["say"]
        if said == "kept":
            self.lost += cut
            _take(self.kept, packet, descriptors, cut)
        elif said == "died":
            self._note((packet["pid"], packet["start"]), Death(packet["code"], packet["signal"]))
        elif said == "all":
            self.version = protocol.version_of(packet)
            self._outbox.together = self.version >= 3
            self.ended = _ended(packet.get("ended"))
        self._synced = self._synced or said == "synced"
        self._held = self._held or said == "held"
        return str(said)

    def _note(self, process: Identity, death: Death) -> None:
        self.deaths[process] = death
        # Until it is in step with the keeper, the daemon does not know whose death it awaits.
        if self._synced and process not in self._expected:
            self.acknowledge(process)
        self._tell()

    def _lose(self) -> None:
        self._outbox.lose()
        self.died = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Told(Protocol):
    """A keeper as far as a daemon that leaves depends on it."""

    @property
    def alive(self) -> bool: ...

    def deliver(self) -> bool: ...


def finish(keeper: Told) -> None:
    """Tell the keeper all that there is to say, before this daemon leaves to be replaced.

    Blocks as long as the keeper lives and takes nothing: it could not start the next daemon either.
    """
    while keeper.alive and not keeper.deliver():
        log.error("leaving waits: %s", TAKES_NOTHING)


def _take(kept: dict[str, Kept], packet: dict[str, Any], descriptors: list[int], cut: bool) -> None:
    """Take in what a former daemon entrusted."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if cut:
        log.error("%s: its sockets are lost: no descriptors left", packet["name"])
    # A successor's descriptors were passed on meanwhile. The keeper's are older.
    if cut or packet["name"] in kept:
        Kept({}, descriptors).close()
        return
    kept[packet["name"]] = Kept(packet["about"], descriptors)


def _read(channel: socket.socket) -> tuple[bytes, list[int], bool] | None:
    """A packet's bytes and descriptors, and whether some are cut; no bytes if the keeper died.

    None if there is no packet for now.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(
            channel, protocol.LONGEST, protocol.MOST_DESCRIPTORS
        )
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return None  # it left packets unread, which is told once, before what it said last
    except OSError as error:
        return None if error.errno in protocol.CONGESTED else (b"", [], False)
    return data, descriptors, bool(flags & socket.MSG_CTRUNC)


async def _flush_while_waiting(outbox: Outbox) -> None:
    """Try packets again that wait, until cancelled."""
    token = trio.lowlevel.current_trio_token()
    try:
        while True:
            waits = trio.Event()
            outbox.on_wait = partial(token.run_sync_soon, waits.set, idempotent=True)
            if not outbox.waits:
                await waits.wait()
            await trio.sleep(_SOON)
            outbox.flush()
    finally:
        outbox.on_wait = lambda: None


async def _flush_as_planned(outbox: Outbox) -> None:
    """Send what is to be sent soon in the next turn of trio's loop, until cancelled."""
    token = trio.lowlevel.current_trio_token()

    def plan() -> None:
        try:
            token.run_sync_soon(outbox.flush, idempotent=True)
        except trio.RunFinishedError:  # a thread that was left behind
            outbox.flush()

    outbox.plan_flush = plan
    try:
        await trio.sleep_forever()
    finally:
        outbox.plan_flush = None
        if not outbox.waits:  # else the descriptors of a packet that waits may be closed by now
            outbox.flush()


def _ended(told: object) -> Ended | None:
    """The packet's part, if it is one that this release knows."""
    try:
        return msgspec.convert(told, Ended)
    except msgspec.ValidationError:
        return None


def _ready(channel: socket.socket, event: int, patience: float) -> bool:
    """Whether it is, within so many seconds. Unlike select(2), poll knows any descriptor."""
    poll = select.poll()
    poll.register(channel, event)
    return bool(poll.poll(patience * 1000))
