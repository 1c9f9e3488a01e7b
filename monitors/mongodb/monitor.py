"""mongodb://HOSTS,DB.COLLECTION,FILTER: each document that a filter finds is a vassal.

One client is kept. All documents are read every ``freq`` seconds, and at once when the collection
changes: a change stream says so where the server has them. It only wakes the reading, so its
content does not matter, and a stream that breaks loses nothing.

Documents are taken as they come over the wire and decoded one by one. A document that cannot be
decoded is refused like any other bad one, and the rest of its batch counts. The server leaves out
values that are too long for a vassal. ``wire`` limits the size of its messages.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import trio
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from ...journal.events import Spec
from .. import polling
from ..asyncio_loop import AsyncioLoop, asyncio_loop, in_thread
from ..contract import Listing, Tell, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..table import Reading, Table, much
from . import silence, url, wire
from .cancelling import cancellable, within
from .documents import CODEC, PLAIN, guarded, rows

log = logging.getLogger("emperor")

_CHUNK: Final = 32  # documents that come together, and are taken before others have their turn
_MOST_EMPTY: Final = 100  # batches without a document, in one reading
_MOST_DOCUMENTS: Final = 50_000
_MOST_BYTES: Final = 256 << 20  # of one reading
_FAREWELL: Final = 0.5  # seconds for taking leave of a server
_CURT: Final = 0.05  # seconds, once it was silent
_FAREWELLS: Final = 10  # each forgets one more thing that it would have told the server
_PATIENCE: Final = 60.0  # seconds until a server that has no change streams is asked again

_OVERSIZE: Final = re.compile(
    r"(?:Message length|Uncompressed message size) \((\d+)\) .*?max message size \((\d+)\)"
)
Client = AsyncMongoClient[RawBSONDocument]


class Mongo:
    """The monitor of mongodb://."""

    trusts_content = False

    def __init__(
        self, place: url.MongoUrl, options: MonitorOptions, *, limit: float = polling.LIMIT
    ) -> None:
        self.url = place.shown
        self._place = place
        self._options = options
        self._limit = limit
        self._polls_only = ""  # why, once that was logged

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the collection until cancelled."""
        table = Table(self._options, known, files=True)
        async with asyncio_loop() as loop:
            await polling.poll(
                partial(self._connect, loop, table), tell, self._options.freq, limit=self._limit
            )

    async def _connect(self, loop: AsyncioLoop, table: Table) -> "_Session":
        session = _Session(loop, self._place, table, self._limit, self._note_polls_only)
        try:
            await loop.run(cancellable, session.open)
        except BaseException:
            with trio.CancelScope(shield=True):
                await session.close()
            raise
        return session

    def _note_polls_only(self, reason: str) -> None:
        if reason != self._polls_only:
            log.info("%s: no change stream, so it is polled: %s", self.url, reason)
        self._polls_only = reason


class _Session:
    """One client and what it follows. ``_aio`` and ``open`` are asyncio's, the others trio's."""

    def __init__(
        self,
        loop: AsyncioLoop,
        place: url.MongoUrl,
        table: Table,
        limit: float,
        note_polls_only: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._place = place
        self._table = table
        self._limit = limit
        self._note_polls_only = note_polls_only
        self._client: Client | None = None
        self._follower: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._projection = guarded()
        self._lost: Exception | None = None  # why nothing is followed any more

    # Called by polling

    async def read(self) -> Listing | tuple[Touched, ...]:
        """All documents there are."""
        return await self._loop.run(cancellable, self._read_aio)

    async def wait(self) -> None:
        """Until the collection changed."""
        await self._loop.run(self._changed.wait)
        if self._lost is not None:
            raise self._lost

    async def close(self) -> None:
        """Take leave, of a server that is silent without waiting for it."""
        await self._loop.run(self._close_aio)

    # How

    async def open(self) -> None:
        """Connect, and follow what changes from now on. Raises SourceFailed."""
        with self._failing():
            self._client = self._make_client()
            try:
                await self._client.admin.command("ping")
            except ServerSelectionTimeoutError:
                if reason := await self._silence_aio(self._client):
                    raise SourceFailed(reason) from None
                raise
            collection = self._collection()
            opened = asyncio.Event()
            self._follower = asyncio.create_task(self._follow_aio(collection, opened))
            # Before the first reading: then no change falls between it and what is followed.
            await opened.wait()
        if self._lost is not None:
            raise self._lost

    async def _silence_aio(self, client: Client) -> str:
        """The reason, if a server has not answered in time; else nothing."""
        silent, errors = await silence.reasons(client, self._limit)
        told = [*silent, *map(self._brief, errors)]
        return url.without(self._place.secrets, ", ".join(told))[:500]

    def _make_client(self) -> Client:
        """A client whose patience ends before ours, so that it can say what was wrong."""
        given = self._place.options
        most = {
            "serverSelectionTimeoutMS": 0.4 * self._limit,
            "connectTimeoutMS": 0.4 * self._limit,
            "socketTimeoutMS": 0.9 * self._limit,
        }
        # None and 0 mean for ever.
        times: dict[str, Any] = {
            key: round(1000 * min(given.get(key) or longest, longest))
            for key, longest in most.items()
        }
        return AsyncMongoClient(
            self._place.uri,
            document_class=RawBSONDocument,
            appname=given.get("appName", "emperord"),
            **times,
        )

    def _collection(self) -> AsyncCollection[RawBSONDocument]:
        assert self._client is not None
        database = self._client.get_database(self._place.database, codec_options=CODEC)
        return database.get_collection(self._place.collection)

    async def _read_aio(self) -> Listing | tuple[Touched, ...]:
        self._changed.clear()  # this reading may miss later changes
        if self._lost is not None:  # else its word, which was cleared with those of changes
            raise self._lost
        reading = self._table.reading()
        count = size = 0
        with self._failing():
            cursor, chunk = await self._find_aio()
            empty = 0
            # Not closed when this is cancelled: that would tell a silent server to forget it.
            while chunk or cursor.alive:
                empty += not chunk
                if empty > _MOST_EMPTY:
                    raise SourceFailed(f"the server gave {empty} batches without a document")
                count += len(chunk)
                size += sum(len(document.raw) for document in chunk)
                self._check_size(count, size)
                await self._take_aio(reading, chunk)
                chunk = await cursor.to_list(_CHUNK)
        return reading.listing()

    async def _find_aio(self) -> tuple[AsyncCursor[RawBSONDocument], list[RawBSONDocument]]:
        """Begin to read; the cursor, and the first documents."""
        while True:
            cursor = self._collection().find(
                self._place.filter,
                self._projection,
                sort=[("_id", 1)],  # of two with one name, it is always the same that counts
                batch_size=_CHUNK,
                max_time_ms=round(800 * self._limit),
            )
            try:
                return cursor, await cursor.to_list(_CHUNK)
            except OperationFailure as error:
                if self._projection == PLAIN or error.timeout:
                    raise
                self._projection = PLAIN  # another server than MongoDB, and it cannot do that

    def _check_size(self, count: int, size: int) -> None:
        if count > _MOST_DOCUMENTS:
            raise SourceFailed(f"more than {_MOST_DOCUMENTS} documents fit the filter; narrow it")
        if size > _MOST_BYTES:
            raise SourceFailed(
                f"the documents that fit the filter have more than {_MOST_BYTES >> 20} MiB;"
                " narrow it"
            )

    async def _take_aio(self, reading: Reading, chunk: list[RawBSONDocument]) -> None:
        taken = list(rows(reading, chunk))
        # Files and long texts may be slow to read.
        if any(row.config in (None, "") for row in taken) or much(taken):
            await in_thread(partial(reading.add_all, taken))
        else:
            reading.add_all(taken)
            await asyncio.sleep(0)

    async def _follow_aio(
        self, collection: AsyncCollection[RawBSONDocument], opened: asyncio.Event
    ) -> None:
        """Note that something changed, as long as the server says so. Ends when it is lost."""
        try:
            with self._failing():
                while True:
                    pause = _PATIENCE
                    stream = await self._watch_aio(collection)
                    if stream is not None:
                        pause = 1.0
                        if opened.is_set():
                            self._changed.set()  # it may have changed before the stream was opened
                        opened.set()
                        await self._drain_aio(stream)
                    opened.set()
                    await asyncio.sleep(pause)
        except Exception as error:  # also of pymongo, where a server answers with nonsense
            self._lost = error
        finally:
            opened.set()
            self._changed.set()

    async def _watch_aio(
        self, collection: AsyncCollection[RawBSONDocument]
    ) -> AsyncCollectionChangeStream[RawBSONDocument] | None:
        """A change stream that says the least; None if there is none, or not for us."""
        try:
            return await collection.watch(
                [{"$project": {"_id": 1}}],
                max_await_time_ms=round(500 * self._limit),
                batch_size=_CHUNK,
            )
        except OperationFailure as error:
            self._note_polls_only(self._brief(error))
            return None

    async def _drain_aio(self, stream: AsyncCollectionChangeStream[RawBSONDocument]) -> None:
        """Until the server ends the stream: the collection was dropped, or it has lost count."""
        count = 0
        with contextlib.suppress(OperationFailure):
            async with stream:
                while stream.alive:
                    if await stream.try_next() is not None:
                        self._changed.set()
                        count += 1
                        if count % _CHUNK == 0:
                            await asyncio.sleep(0)
        self._changed.set()

    async def _close_aio(self) -> None:
        """Tell the server what it may forget, but a silent one only once; then hang up."""
        patience = _FAREWELL
        for part in (self._end_following_aio, self._hang_up_aio):
            for _ in range(_FAREWELLS):
                if await within(part(), patience):
                    break
                patience = _CURT

    async def _end_following_aio(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])

    async def _hang_up_aio(self) -> None:
        if self._client is not None:
            await self._client.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (PyMongoError, BSONError, OSError) as error:
            raise SourceFailed(self._brief(error)) from None

    def _brief(self, error: Exception) -> str:
        """The failure, without pymongo's account of all it knows, and without secrets."""
        text = polling.in_words(str(error))
        text = _OVERSIZE.sub(r"the server sends a message of \1 bytes, \2 are allowed", text)
        if text.startswith("No servers found yet"):
            text = "no server was found, and none gave a reason"
        elif text == "operation cancelled":  # by pymongo's watch over servers
            text = "the server stopped answering"
        for end in (", full error: ", ", Timeout: ", " (configured timeouts: "):
            text = text.partition(end)[0]
        return url.without(self._place.secrets, text)[:500] or type(error).__name__


wire.limit()


def open_url(rest: str, options: MonitorOptions) -> Mongo:
    """The monitor of ``mongodb://rest`` and ``mongodb2://rest``. Raises MonitorURLError."""
    return Mongo(url.read(rest), options)


def open_srv(rest: str, options: MonitorOptions) -> Mongo:
    """The monitor of ``mongodb+srv://rest``. Raises MonitorURLError."""
    return Mongo(url.read(rest, srv=True), options)
