"""zoo://HOST:PORT[,HOST:PORT…]/PATH: each znode below PATH is a vassal.

Its data is the config; its mzxid, ZooKeeper's number of the transaction that set the data last,
is the ts. Children ``uid``, ``gid`` and ``socket`` of it are the fields of the same name.

Each znode that was read is watched, its data and what is below it, and only what was changed is
read again. That would be enough. Yet a watch may miss a change, so every ``freq`` seconds PATH is
listed anew, with a share of the znodes.

Znodes are read one by one, so no reading shows all of them at one moment. So:

- A vassal is gone when a listing of PATH that was made *after* it could not be read lacks it. A
  znode that is deleted and made again ends no vassal by a reading in between.
- A vassal that has fields is told as it was at one moment. If anything of it changed while it was
  read, it is read again. No config is run as whom the config before was to be run.

A session that expires is told as a failure, also where the next one is there at once. For a while
ZooKeeper told us of no changes, and it told other clients that we had gone.
"""

import contextlib
import itertools
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import trio

from ...journal.events import Spec
from .. import names, polling
from ..contract import Failed, Listing, Seen, Tell, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..rows import Flaw, Row, label_of, name_of, seen_of
from ..table import MOST_HELD
from . import url
from .announcer import Announcement, Announcer
from .client import Client, Down, NoAuthError, NoNodeError, look_up

MOST_ZNODES: Final = 100_000
MOST_BYTES: Final = 256 << 20  # of all znodes together
_READERS: Final = 32  # znodes that are read at the same time
_BATCH: Final = 500  # changed znodes that are read before a listing is told
_SHARE: Final = 200  # znodes that are read again every freq seconds without a notification
_TRIES: Final = 5  # for finding a znode as it was at one moment
_CHUNK: Final = 1000  # znodes that are looked through before others have their turn
_LONGEST_FIELD: Final = 4096  # bytes
_FIELDS: Final = ("uid", "gid", "socket")
_EXPIRED: Final = (
    "the session expired, as ZooKeeper had not heard of us in time; it is begun anew, and all is"
    " read again"
)


class ZooKeeper:
    """The monitor of zoo://."""

    # The mzxid is no row's to forget: it comes back when a server was made anew.
    trusts_content = True

    def __init__(
        self, zoo_url: url.ZooUrl, options: MonitorOptions, *, limit: float = polling.LIMIT
    ) -> None:
        self.url = zoo_url.shown
        self._zoo_url = zoo_url
        self._options = options
        self._limit = limit

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the znodes until cancelled."""
        znodes = _Znodes(self._options)
        announcement = None
        if self._zoo_url.announce is not None:
            announcement = Announcement(self.url, self._zoo_url.announce, self._zoo_url.path)
        connect = partial(self._connect, znodes, announcement)
        # How long ZooKeeper may be silent is watched here, answer by answer: reading all there
        # is may take longer.
        await polling.poll(connect, tell, self._options.freq, limit=polling.LONGEST)

    async def _connect(self, znodes: "_Znodes", announcement: Announcement | None) -> "_Session":
        addresses = await look_up(self._zoo_url.hosts, self._limit)
        session = _Session(
            self._zoo_url, addresses, self._limit, znodes, announcement, self._options.freq
        )
        session.client.start()
        return session


class _Znode(msgspec.Struct, frozen=True, gc=False):
    """One znode as it was read last. ``seen`` is without the config; None if there is a flaw."""

    mark: tuple[object, ...]  # equal as long as the znode is unchanged
    below: tuple[object, ...]  # equal as long as the znodes below it are unchanged
    fields: tuple[str, ...]  # which of these are there
    epoch: int  # of the connection that has its watches
    size: int
    seen: Seen | None
    flaw: str = ""


class _Znodes:
    """All znodes that are known, and what the next listing says of them."""

    def __init__(self, options: MonitorOptions) -> None:
        self.options = options
        self.znodes: dict[str, _Znode] = {}
        self.size = 0
        self._fresh: dict[str, Seen] = {}  # with configs, until they are told
        self._held = 0  # bytes of those

    @property
    def is_full(self) -> bool:
        """Whether so many new configs are here that they are to be told before more are read."""
        return self._held > MOST_HELD

    def put(self, name: str, znode: _Znode, fresh: Seen | None) -> None:
        """Take in what was read. Raises SourceFailed if that is too much."""
        self.drop(name)
        self.znodes[name] = znode
        self.size += znode.size
        if fresh is not None:
            self._fresh[name] = fresh
            self._held += znode.size
        if self.size > MOST_BYTES:
            raise SourceFailed(f"the znodes have more than {MOST_BYTES >> 20} MiB of data")

    def drop(self, name: str) -> None:
        """Forget it."""
        known = self.znodes.pop(name, None)
        self.size -= 0 if known is None else known.size

    def forget_all_but(self, found: Iterable[str]) -> None:
        """Forget what is not there any more."""
        for name in self.znodes.keys() - found:
            self.drop(name)
            self._fresh.pop(name, None)

    def part(self) -> tuple[Touched, ...]:
        """The new vassals of a reading that has not come to its end."""
        found = tuple(Touched(name, seen) for name, seen in self._fresh.items())
        self._fresh, self._held = {}, 0
        return found

    async def listing(self, refused: dict[str, str]) -> Listing:
        """All that is known, and what else was refused."""
        seen: dict[str, Seen] = {}
        for count, (name, znode) in enumerate(self.znodes.items()):
            if znode.seen is None:
                refused[name] = znode.flaw
            else:
                seen[name] = self._fresh.get(name, znode.seen)
            if count % _CHUNK == _CHUNK - 1:
                await trio.lowlevel.checkpoint()
        self._fresh, self._held = {}, 0
        return Listing(seen, refused)


class _Session:
    """One client, and what it made us know to be out of date."""

    def __init__(
        self,
        zoo_url: url.ZooUrl,
        addresses: list[tuple[str, int]],
        limit: float,
        znodes: _Znodes,
        announcement: Announcement | None,
        freq: float,
    ) -> None:
        self.client = Client(addresses, zoo_url.credentials, limit, self._hear, self._lose)
        self._path = zoo_url.path
        self._below = zoo_url.path.rstrip("/") + "/"
        self._known = znodes
        self._freq = freq
        self._announcer = None if announcement is None else Announcer(self.client, announcement)
        # The parts that are, or may be, out of date.
        self._is_list_stale = True
        self._is_listed = False  # the last try to list succeeded
        self._stale: dict[str, None] = {}  # a set that keeps order: the longest wait is first
        self._next_look = -math.inf  # when the safety net is due
        self._turn = 0  # the first name of its next share
        self._names: list[str] = []  # those that can be names
        self._refused: dict[str, str] = {}
        self._vassals = 0

    # Called by polling

    async def read(self) -> Listing | Failed | tuple[Touched, ...]:
        """All znodes there are; Failed while kazoo tries to reach them. Raises SourceFailed.

        It is those that are new so far, where these are too much to hold.
        """
        if self.client.has_expired:
            self.client.has_expired = False
            self._is_list_stale = True  # so that the next listing is read after it
            return Failed(_EXPIRED)
        try:
            is_there = await self._read()
        except Down as reason:
            return Failed(str(reason))
        except NoAuthError:
            return Failed(
                f"ZooKeeper does not let us list {names.shown(self._path)}; check its ACL"
            )
        if not is_there:
            return Failed(
                f"there is no znode {names.shown(self._path)}; it is waited for until it is made"
            )
        if self._known.is_full:
            return self._known.part()
        listing = await self._known.listing(dict(self._refused))
        self._vassals = len(listing.seen)
        return listing

    async def wait(self) -> None:
        """Until something changed. Raises SourceFailed."""
        while not (self.client.is_up and self._must_read()):
            self.client.check()
            due = math.inf
            if self._announcer is not None and self.client.is_up:
                due = self._announcer.due(self._vassals)
                if due <= trio.current_time():
                    with contextlib.suppress(Down):
                        await self._announcer.keep(self._vassals)
                    continue
            with trio.move_on_at(due):
                await self.client.changed()

    def _must_read(self) -> bool:
        return self._is_list_stale or bool(self._stale) or self.client.has_expired

    async def close(self) -> None:
        """Hang up."""
        await self.client.close()

    # Notifications

    def _hear(self, path: str) -> None:
        if self._announcer is not None:
            self._announcer.hear(path)
        if path == self._path:
            self._is_list_stale = True
        elif path.startswith(self._below):
            self._stale[path[len(self._below) :].partition("/")[0]] = None

    def _lose(self) -> None:
        self._is_list_stale = True
        self._stale.update(dict.fromkeys(self._names))
        if self._announcer is not None:
            self._announcer.forget()

    # Reading

    async def _read(self) -> bool:
        """Bring the znodes up to date; whether there is such a znode at all."""
        is_due = trio.current_time() >= self._next_look
        must_list = is_due or self._is_list_stale or not self._is_listed
        if must_list and not await self._list():
            return False
        todo = self._out_of_date()
        if is_due:
            todo += self._share(set(todo))
            self._next_look = trio.current_time() + self._freq
        for _ in range(_TRIES):
            absent = await self._look_at(todo)
            if not absent:
                return True
            # Are they gone? Only a later listing can say so.
            if not await self._list():
                return False
            todo = self._out_of_date(absent)
        # A znode that is listed and still not there comes and goes: it stays as it was.
        self._stale.update(dict.fromkeys(todo))
        return True

    def _out_of_date(self, absent: Iterable[str] = ()) -> list[str]:
        """The names to be read: all that are new or were not there, and a batch of the changed
        ones."""
        known = self._known.znodes
        stale = itertools.islice(self._stale, _BATCH)
        changed = [name for name in (*absent, *stale) if name in known]
        return list(dict.fromkeys((*(name for name in self._names if name not in known), *changed)))

    def _share(self, without: set[str]) -> list[str]:
        """Some that are to be looked at though nothing is known to have changed."""
        if not self._names:
            return []
        self._turn %= len(self._names)
        share = self._names[self._turn : self._turn + _SHARE]
        self._turn += len(share)
        return [name for name in share if name not in without]

    async def _list(self) -> bool:
        """See which znodes there are; whether the one that they are below is there."""
        while True:
            self._is_list_stale = self._is_listed = False
            try:
                found, _ = await self.client.children(self._path)
                break
            except NoNodeError:
                if await self.client.exists(self._path) is None:  # which is watched, too
                    return False
            except SourceFailed:
                self._is_list_stale = True
                raise
        if len(found) > MOST_ZNODES:
            raise SourceFailed(f"{names.shown(self._path)} has more than {MOST_ZNODES:,} znodes")
        self._names, self._refused = [], {}
        for count, name in enumerate(sorted(found)):
            try:
                self._names.append(name_of(name, self._known.options))
            except Flaw as flaw:
                self._refused[label_of(name)] = str(flaw)
            if count % _CHUNK == _CHUNK - 1:
                await trio.lowlevel.checkpoint()
        self._known.forget_all_but(self._names)
        for name in self._stale.keys() - self._names:
            del self._stale[name]
        self._is_listed = True
        return True

    async def _look_at(self, todo: list[str]) -> list[str]:
        """Read these; the ones that were not there."""
        waiting = iter(todo)
        absent: list[str] = []
        failures: list[SourceFailed] = []

        async def read_some() -> None:
            try:
                for name in waiting:
                    if not await self._look(name):
                        absent.append(name)
                    if self._known.is_full:
                        return  # the rest is found to be new, or stale, by the next reading
            except SourceFailed as failure:
                failures.append(failure)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(min(_READERS, len(todo))):
                nursery.start_soon(read_some)
        if failures:
            self._stale.update(dict.fromkeys(todo))
            raise failures[0]
        return absent

    async def _look(self, name: str) -> bool:
        """Read one znode; whether it was there. Raises SourceFailed."""
        for _ in range(_TRIES):
            self._stale.pop(name, None)
            epoch = self.client.epoch
            try:
                found = await self._read_znode(name, epoch)
            except NoNodeError:
                # Nothing watches it now. If it is there again, it is to be read, now or later.
                self._stale[name] = None
                return False
            except NoAuthError:
                flaw = "ZooKeeper does not let us read all of it; check the ACLs"
                found = _Znode((), (), (), epoch, 0, None, flaw), None
            # Without fields it is of one moment; with them if nothing changed meanwhile.
            if found is not None and (
                not found[0].fields or (name not in self._stale and epoch == self.client.epoch)
            ):
                self._known.put(name, *found)
                return True
        self._stale[name] = None
        return True

    async def _read_znode(self, name: str, epoch: int) -> tuple[_Znode, Seen | None] | None:
        """The state of a znode now, None if that changes too fast. Raises NoNodeError,
        NoAuthError."""
        path = self._below + name
        known = self._known.znodes.get(name)
        below: tuple[object, ...] = ()
        if known is not None and known.epoch == epoch:
            below, fields = known.below, known.fields  # changes of these are watched
        for _ in range(_TRIES):
            if not below:
                children, listed = await self.client.children(path)
                below, fields = _below(listed), tuple(f for f in _FIELDS if f in children)
            data, stat = await self.client.get(path)
            if _below(stat) == below:
                break
            below = ()
        else:
            return None
        values: Any = {field: await self._read_field(f"{path}/{field}") for field in fields}
        mark = (stat.czxid, stat.mzxid, *values.items())
        if known is not None and known.mark == mark:
            return msgspec.structs.replace(known, below=below, fields=fields, epoch=epoch), None
        try:
            _, seen = seen_of(Row(name, data, 0, **values), self._known.options)
        except Flaw as flaw:
            return _Znode(mark, below, fields, epoch, 0, None, str(flaw)), None
        attrs = {"version": str(stat.version)}
        spec = msgspec.structs.replace(seen.spec, ts=stat.mzxid, attrs=attrs)
        znode = _Znode(mark, below, fields, epoch, len(data or b""), Seen(spec))
        return znode, Seen(spec, seen.content)

    async def _read_field(self, path: str) -> bytes | None:
        try:
            data, _ = await self.client.get(path)
        except NoNodeError:
            return None  # it was just deleted, which is about to be told
        # Nothing that means something is so long, and the mark keeps it.
        return data and data.strip()[:_LONGEST_FIELD]


def _below(stat: Any) -> tuple[object, ...]:
    """The same as long as the same znodes are below this one."""
    return stat.cversion, stat.pzxid


def open_url(rest: str, options: MonitorOptions) -> ZooKeeper:
    """The monitor of ``zoo://rest`` and ``zookeeper://rest``. Raises MonitorURLError."""
    return ZooKeeper(url.read(rest), options)
