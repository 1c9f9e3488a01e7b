"""``?announce=PATH``: an ephemeral znode that says that this daemon is at work.

    {"host": "web1", "pid": 4711, "path": "/vassals", "vassals": 12}

It is made again when the session that it belonged to has expired, or another client deleted it. Two
cannot have one path. Where another session's znode is, ours waits until that is gone. The znode of
a daemon that crashed goes when its session expires. A path that ends in a slash, or is one of a
znode that stays, is a folder. In it each emperor has a znode of its own, named HOST:PID. Where that
is taken, by another source of the same daemon or from a container with the same numbers, it is
HOST:PID.2, and so on.
"""

import logging
import math
import os
import socket
from typing import Final

import msgspec
import trio

from .client import (
    BadVersionError,
    Client,
    Down,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    Refused,
)

log = logging.getLogger("emperor")

_TRIES: Final = 100  # names may be taken, and others may make and delete it meanwhile
_PAUSE: Final = 10.0  # seconds until we try again what ZooKeeper does not let us do
_CONTESTED: Final = "others keep changing it"


class Announcement(msgspec.Struct):
    """The announcement of one run of a monitor: it outlives sessions."""

    url: str
    path: str
    source: str  # the path of the vassals
    session: int | None = None  # the last that made the znode, which may still be there
    complaint: str = ""  # the last one that was logged


class Announcer:
    """Keeps the announcement in one session."""

    def __init__(self, client: Client, announcement: Announcement) -> None:
        self._client = client
        self._about = announcement
        self._host = socket.gethostname()
        self._path = announcement.path
        self._folder = ""
        self._name = 0  # which of our names it is
        if self._path.endswith("/"):
            self._enter(self._path)
        # In which session, and what, and the znode's version since then.
        self._said: tuple[int, bytes, int] | None = None
        self._is_stale = True
        self._is_contested = False
        self._not_before = -math.inf

    def hear(self, path: str) -> None:
        """A znode that we watch was changed."""
        if path == self._path:
            self.forget()

    def due(self, vassals: int) -> float:
        """The time of the loop's clock from which there is something to do; infinite if never."""
        said = None if self._said is None else self._said[:2]
        if self._is_stale or said != (self._client.session, self._words(vassals)):
            return self._not_before
        return math.inf

    def forget(self) -> None:
        """The watch is lost, as after the loss of a connection."""
        self._is_stale = True
        if not self._is_contested:  # others give us news all the time
            self._not_before = -math.inf

    async def keep(self, vassals: int) -> None:
        """See to it that the znode is there and right. Raises SourceFailed.

        That ZooKeeper does not let us is logged, and is no failure of the source. May be cancelled.
        """
        try:
            complaint = await self._keep(self._words(vassals))
        except NoAuthError:
            complaint = "ZooKeeper does not let us write there"
        except NoChildrenForEphemeralsError:
            complaint = "the znode above it ends with a session, so none can be below it"
        except Refused as refusal:
            complaint = str(refusal)
        except BaseException:
            self._is_stale = True
            raise
        self._is_contested = complaint == _CONTESTED
        if complaint:
            # After news that came since our last look, the next look is due at once.
            if self._is_contested or not self._is_stale:
                self._not_before = trio.current_time() + _PAUSE
            self._is_stale = True
            if complaint != self._about.complaint:
                log.warning("%s: no announcement: %s", self._about.url, complaint)
        self._about.complaint = complaint

    def _enter(self, folder: str) -> None:
        """Take the next of our names in a folder."""
        self._folder = folder
        self._name += 1
        self._path = f"{folder}{self._host.replace('/', '_')}:{os.getpid()}"
        if self._name > 1:
            self._path += f".{self._name}"

    def _words(self, vassals: int) -> bytes:
        words = {
            "host": self._host,
            "pid": os.getpid(),
            "path": self._about.source,
            "vassals": vassals,
        }
        return msgspec.json.encode(words)

    async def _keep(self, words: bytes) -> str:
        """The obstacle that keeps us from it, "" if there is none."""
        for _ in range(_TRIES):
            self._is_stale = False  # later changes are news
            stat = await self._client.exists(self._path)
            session = self._client.session
            if session is None:
                raise Down("the connection was lost during a look")  # nothing says whose it is
            owner = None if stat is None else stat.owner_session_id
            try:
                if stat is None:
                    self._about.session = session  # it may be made though its answer is lost
                    await self._make(words)
                elif owner == session:
                    self._about.session = session
                    if self._said == (session, words, stat.version):
                        return ""
                    if await self._client.set(self._path, words, stat.version):
                        self._said = (session, words, stat.version + 1)
                elif owner is not None and owner == self._about.session:
                    await self._client.delete(self._path, stat.version)
                elif self._folder:
                    self._enter(self._folder)
                elif owner is None:
                    self._enter(f"{self._path}/")
                else:
                    return "another one's is there; end the path with / to have one each below it"
            except (NoNodeError, NodeExistsError, BadVersionError):
                continue
        return _CONTESTED

    async def _make(self, words: bytes) -> None:
        try:
            await self._client.create(self._path, words)
        except NoNodeError:
            await self._client.make_folder(self._path.rpartition("/")[0])
