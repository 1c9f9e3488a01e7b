"""zmq://ENDPOINT: clients connect there with PUSH sockets, and their messages say what to run.

A message has 2 to 6 frames: the command (``touch`` or ``destroy``), the vassal's name, and for
``touch`` its config, uid, gid and on-demand socket. An empty frame means omitted. Without a
config the name is that of a file in the daemon's working directory.

A client pushes each message once, so no message may be lost between libzmq and the journal, and
none may pile up. A task for each client takes messages from libzmq, notes when they came, and puts
them into a bounded inbox. Another task takes all that is in the inbox and tells it in one go. While
the journal writes, the next batch comes in, so a flood costs a few commits. When the journal is
paused the inbox fills, then the few messages that libzmq may hold for each client
(``clients.MOST``). Then the client's own queue fills, and its ``send`` waits.

The ts of a vassal is the moment when its message came, so that touched again is changed again.
"""

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import msgspec
import trio
import zmq

from ...journal.chain import digest
from ...journal.events import Spec
from ...journal.locked_files import LockedFiles
from .. import names, rows, settings, working_directory
from ..backoff import Backoff
from ..config_file import TooLarge
from ..contract import Destroyed, Failed, Observation, Recovered, Refused, Seen, Tell, Touched
from ..options import MonitorOptions
from ..os_errors import error_text
from ..polling import SourceFailed, within
from ..regular_file import Denied, NotRegular, opened
from ..rows import LONGEST_CONFIG, Flaw
from ..tenant import Tenant, Tenants
from ..urls import MonitorURLError
from .clients import Clients
from .endpoint import (
    Endpoint,
    Socket,
    guard,
    identity,
    listen,
    off_loop,
    open_endpoint,
    open_guard,
    parse,
    receiver,
)
from .probe import probe

T = TypeVar("T")

FIELDS: Final = ("command", "name", "config", "uid", "gid", "socket")
PATIENCE: Final = 10.0  # seconds for a file system to answer
# Observations of one batch: so many take the daemon some 10 ms, in which the others wait.
_MOST: Final = 256
_MOST_BYTES: Final = 8 << 20

_log: Final = logging.getLogger(__name__)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of the right shape. ``ts`` is when it came; empty means omitted."""

    ts: int
    client: str
    command: bytes
    name: bytes
    config: bytes = b""
    uid: bytes = b""
    gid: bytes = b""
    socket: bytes = b""


class Static(msgspec.Struct, frozen=True):
    """A vassal whose config is a file that is still to be looked at."""

    name: str
    spec: Spec


Item = Message | Failed | Recovered | Refused


class Inbox:
    """Messages that came and are not told yet, bounded in number and in bytes."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._size = 0
        self._came = trio.Event()
        self._taken = trio.Event()

    async def put(self, item: Item) -> None:
        """Add one, when there is room for it."""
        while len(self._items) >= _MOST or self._size >= _MOST_BYTES:
            await self._taken.wait()
        self._items.append(item)
        if isinstance(item, Message):
            self._size += len(item.config) + len(item.name) + len(item.socket)
        self._came.set()
        await trio.lowlevel.checkpoint()  # a flood must not keep the others from running

    async def take(self) -> list[Item]:
        """All there is, at least one."""
        await self._came.wait()
        items, self._items, self._size = self._items, [], 0
        self._came = trio.Event()
        self._taken.set()
        self._taken = trio.Event()
        return items


class ZeroMQ:
    """A monitor that is told of its vassals over a PULL socket."""

    trusts_content = False

    def __init__(self, endpoint: Endpoint, options: MonitorOptions) -> None:
        # The files of keys are left out. A key that is added must not make it another monitor,
        # which knows nothing of the vassals that were announced before.
        self.url = f"zmq://{endpoint.address}"
        self._endpoint = msgspec.structs.replace(endpoint, locked=options.locked)
        self._options = options
        self._cwd = working_directory.current()
        self._last = 0  # the ts given last
        # It outlives a run: a thread that hangs still counts when the monitor is run again.
        self._one_file = trio.CapacityLimiter(1)

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Listen until cancelled."""
        self._last = max([self._last, *(spec.ts for spec in known.values())])
        inbox = Inbox()
        context: zmq.Context[Socket] = zmq.Context()
        try:
            async with _together() as nursery:
                nursery.start_soon(self._tell_all, inbox, tell)
                if self._endpoint.allowed_keys_file is not None:
                    asked = await self._succeed(inbox, partial(open_guard, context))
                    nursery.start_soon(guard, asked, self._endpoint, inbox.put)
                await self._listen(context, inbox)
        finally:
            context.destroy(linger=0)

    async def reach(self) -> None:
        """Return when the daemon could listen there. Raises SourceFailed."""
        await within(PATIENCE, off_loop(probe, self._endpoint), "looking at it")

    async def _listen(self, context: zmq.Context[Socket], inbox: Inbox) -> None:
        opened = await self._succeed(inbox, partial(open_endpoint, context, self._endpoint))
        clients = Clients(
            partial(receiver, context, self._endpoint, opened.key),
            partial(self._deliver, inbox),
            inbox.put,
            curve=opened.key is not None,
        )
        with opened.listener:
            await inbox.put(Recovered())
            if self._endpoint.open_to_all:
                _log.warning(
                    "%s: everybody who can reach this port decides what is run here;"
                    " see curve_secretkey_file",
                    self.url,
                )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(clients.accept, opened.listener, nursery)
                if self._endpoint.path is not None:
                    path = self._endpoint.path
                    await self._keep_file(path, opened.file, inbox, nursery, clients)

    async def _succeed(self, inbox: Inbox, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of ``attempt``, when it does not fail any more."""
        backoff = Backoff(min(self._options.freq, 1.0))
        while True:
            try:
                return await attempt()
            except SourceFailed as failure:
                await inbox.put(Failed(str(failure)))
            await trio.sleep(backoff.pause())

    async def _keep_file(
        self,
        path: str,
        ours: tuple[int, int] | None,
        inbox: Inbox,
        nursery: trio.Nursery,
        clients: Clients,
    ) -> None:
        """Listen anew when the socket's file is lost: who is connected does not notice."""
        away = False
        try:
            while True:
                await trio.sleep(self._options.freq)
                if ours is not None and identity(path) == ours and not away:
                    continue
                try:
                    nursery.start_soon(clients.accept, listen(self._endpoint), nursery)
                except SourceFailed as failure:
                    away = True
                    await inbox.put(Failed(f"{path} has been removed; {failure}"))
                else:
                    ours, away = identity(path), False
                    await inbox.put(Recovered())
        finally:
            if ours is not None and identity(path) == ours:
                with contextlib.suppress(OSError):  # it is away, or the file system is read-only
                    os.unlink(path)

    # From frames to messages

    async def _deliver(self, inbox: Inbox, client: str, frames: list[bytes]) -> None:
        self._last = max(time.time_ns(), self._last + 1)
        await inbox.put(_shaped(self._last, client, frames))

    # From messages to observations

    async def _tell_all(self, inbox: Inbox, tell: Tell) -> None:
        while True:
            items = await inbox.take()
            # Some formats of config are slow to read.
            understood = await off_loop(self._understand_all, items)
            await tell(
                *[
                    await self._look(each) if isinstance(each, Static) else each
                    for each in understood
                ]
            )

    def _understand_all(self, items: list[Item]) -> list[Observation | Static]:
        return [self._understand(item) if isinstance(item, Message) else item for item in items]

    def _understand(self, message: Message) -> Observation | Static:
        try:
            if message.command not in (b"touch", b"destroy"):
                given = names.shown(message.command[:40].decode("utf-8", "surrogateescape"))
                raise Flaw(f"the command is {given!r}; there are touch and destroy")
            name = rows.name_of(message.name, self._options)
            if message.command == b"destroy":
                return Destroyed(name, f"told to by {message.client}")
            return self._touched(name, message)
        except Flaw as flaw:
            return Refused(rows.label_of(message.name), str(flaw))

    def _touched(self, name: str, message: Message) -> Touched | Static:
        """The vassal that is to run now. Raises Flaw."""
        uid, gid = rows.id_of("uid", message.uid), rows.id_of("gid", message.gid)
        spec = Spec(
            ts=message.ts,
            # The owner matters only in tyrant mode, where vassals run as their owners.
            uid=uid if self._options.tyrant else None,
            gid=gid if self._options.tyrant else None,
            socket=rows.socket_of(message.socket),
            attrs={"client": message.client.removeprefix("client ")},
        )
        if not message.config:
            return Static(name, spec)
        content = rows.content_of(message.config)
        return Touched(name, Seen(_with(spec, name, content), content))

    # Static files

    async def _look(self, static: Static) -> Observation:
        """The content of a vassal's file."""
        reason = "a file asked for before is still being read"
        if not self._one_file.borrowed_tokens:
            with trio.move_on_after(PATIENCE):
                try:
                    seen = await off_loop(
                        see_file,
                        *(self._cwd, static.name, static.spec, self._options),
                        limiter=self._one_file,
                    )
                except Flaw as flaw:
                    return Refused(rows.label_of(static.name), str(flaw))
                return Touched(static.name, seen)
            reason = f"its file could not be read within {PATIENCE:g} s"
        return Refused(rows.label_of(static.name), reason)


def see_file(cwd: str, name: str, spec: Spec, options: MonitorOptions) -> Seen:
    """The vassal of a file in the directory ``cwd``; ``spec`` is what else is known of it.

    The name comes from the network, so it must not lead anywhere else, symlinks included. One
    file has one name: another spelling would be another vassal, and uWSGI takes ``exec://x.ini``
    for more than a path. Raises Flaw.
    """
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise Flaw(f"without a config the name is that of a file in {cwd}, which it may not leave")
    if "" in parts or "." in parts:
        raise Flaw(f"without a config the name is that of a file in {cwd}; leave out // and ./")
    # A daemon that is started in another directory finds it where it was.
    spec = msgspec.structs.replace(spec, path=os.path.join(cwd, name), cwd=cwd)
    tenant = Tenants(initgroups=options.tyrant_initgroups).of(spec.uid, spec.gid)
    if options.tyrant and tenant is None:
        return Seen(spec)  # it may not run, so nothing is read
    try:
        content = _contents(cwd, name, tenant, options.locked)
    except (rows.Barred, Denied) as bar:
        return Seen(msgspec.structs.replace(spec, bar=str(bar)))
    except NotRegular:
        raise Flaw("it came without a config, and what has its name is no regular file") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Flaw(f"it came without a config, and there is no such file in {cwd}") from None
    except OSError as error:
        raise Flaw(f"its file cannot be read: {error_text(error)}") from None
    except TooLarge as error:
        raise Flaw(f"its file cannot be read: {error}") from None
    return Seen(_with(spec, name, content), content)


def _with(spec: Spec, name: str, content: bytes) -> Spec:
    found, flaw = settings.read(name, content)
    return msgspec.structs.replace(spec, config=digest(content), settings=found, bar=flaw)


def _contents(cwd: str, name: str, tenant: Tenant | None, locked: LockedFiles) -> bytes:
    """All of a regular file in the directory ``cwd``.

    Raises Flaw, NotRegular, OSError, TooLarge; Barred or Denied, if it is not for the tenant.
    """
    path = os.path.join(cwd, name)
    real = os.path.realpath(path)
    if os.path.commonpath((real, cwd)) != cwd:
        raise Flaw(f"the file leads out of {cwd} by a symlink")
    at = os.open(cwd, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Its vassal runs in the directory, so the tenant need not reach that by itself.
        within = os.path.relpath(real, cwd)
        shown = names.shown(path)
        with opened(within, tenant, locked=locked, at=at, follow=False, shown=shown) as descriptor:
            return rows.contents_of(descriptor, path, tenant)
    finally:
        os.close(at)


def _shaped(ts: int, client: str, frames: list[bytes]) -> Message | Refused:
    """The message that these frames are."""
    count = len(frames)
    label = rows.label_of(frames[1]) if count > 1 else "a message of one frame"
    if not 2 <= count <= len(FIELDS):
        number = f"{count} frames" if count > 1 else "one frame"
        return Refused(label, f"it has {number}, 2 to 6 are expected: {', '.join(FIELDS)}")
    for field, size in zip(FIELDS, map(len, frames), strict=False):
        if size > LONGEST_CONFIG:
            fits = "fit the emperor protocol" if field == "config" else "are allowed"
            return Refused(label, f"the {field} has {size} bytes, {LONGEST_CONFIG} {fits}")
    return Message(ts, client, *frames)


@asynccontextmanager
async def _together() -> AsyncIterator[trio.Nursery]:
    """A nursery; what alone went wrong in it gets out as it is."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


def open_url(rest: str, options: MonitorOptions) -> ZeroMQ:
    """The monitor of ``zmq://rest``. Raises MonitorURLError."""
    if not rest:
        raise MonitorURLError("zmq:// names no endpoint: write zmq://tcp://127.0.0.1:5252")
    return ZeroMQ(parse(rest), options)
