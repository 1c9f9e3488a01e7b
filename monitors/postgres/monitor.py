"""pg://CONNINFO;QUERY and postgresql://…;QUERY: each row that a query gives is a vassal.

One connection is kept. On it the query is asked every ``freq`` seconds, and at once when a client
says ``NOTIFY emperor``. The session is read-only and each query its own transaction. The server
ends a query that takes too long, and the daemon asks it to when it stops waiting.

The server leaves out values that are too long for a vassal (``query.py``). It is cut off when it
sends more than that for no row (``relay.py``).

Values are taken as the server sends them. For a value that psycopg cannot convert, it would fail
the whole result, not just the row. Such are ``infinity``, a year of five digits, and bytes that are
no text. For the same reason the client's encoding is the server's: what is not converted cannot
fail to convert.
"""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import psycopg
import trio
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from ...journal.events import Spec
from .. import names, polling
from ..asyncio_loop import AsyncioLoop, asyncio_loop, in_thread
from ..contract import Listing, Tell, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..rows import MOST_ATTRS, Row, TooLong
from ..table import Table, much
from ..urls import MonitorURLError
from .link import MOST_UNASKED, PgConnection
from .query import described, guarded
from .relay import Relay
from .results import OVERHEAD, ask, complaint, fetch, size_of, value
from .url import SECRET, parse, split, url_of, with_service

DEFAULT_QUERY: Final = "SELECT name,config,EXTRACT(epoch FROM ts) FROM vassals"
MOST_ROWS: Final = 100_000
MOST_BYTES: Final = 256 << 20  # of the configs in one reading
_COLUMNS: Final = "name, config, ts[, uid, gid[, socket[, others]]]"
_OWN: Final = 6  # columns that mean something; others are for people
_MOST: Final = _OWN + MOST_ATTRS
MOST_IN_FLIGHT: Final = 2 << 20  # bytes that bring no row, while we read
_CHUNK: Final = 16  # rows that come together, and are taken in before others have their turn
_ANSWER: Final = 4096  # bytes that each answer has besides its rows
_EACH_ADDRESS: Final = 4  # seconds to connect to one, so that there is time for the next

_ROWS: Final = (ExecStatus.TUPLES_OK, ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK)
# Python has no codec for these: the one is left to the server, the other is taken as it is.
_INSTEAD: Final = {"EUC_TW": "UTF8", "MULE_INTERNAL": "SQL_ASCII"}

# That it gave up on a server is told as the monitor's failure; psycopg need not say so, too.
logging.getLogger("psycopg").setLevel(logging.ERROR)


class Postgres:
    """The monitor of pg://."""

    trusts_content = False

    def __init__(
        self,
        parameters: Mapping[str, str],
        query: str,
        options: MonitorOptions,
        *,
        limit: float = polling.LIMIT,
    ) -> None:
        self.url = url_of(parameters, query)
        self._query = query
        self._options = options
        self._limit = limit
        self._given = parameters

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the table until cancelled."""
        table = Table(self._options, known)
        async with asyncio_loop() as loop:
            await polling.poll(
                partial(self._connect, loop, table), tell, self._options.freq, limit=self._limit
            )

    async def _connect(self, loop: AsyncioLoop, table: Table) -> "_Session":
        found = await trio.to_thread.run_sync(with_service, self._given, abandon_on_cancel=True)
        parameters = {
            "fallback_application_name": "emperord",
            "connect_timeout": _EACH_ADDRESS,
            "gssencmode": "disable",  # looking for a Kerberos ticket would block all of us
            **found,
            "client_encoding": "SQL_ASCII",  # which fits all, until the server says what its own is
        }
        secrets = [value for key, value in found.items() if SECRET.search(key)]
        session = _Session(loop, parameters, self._query, table, partial(_redacted, secrets))
        await loop.run(session.open_aio, self._limit)
        return session


class _Session:
    """One connection. Methods that end in ``_aio`` run in asyncio, the others in trio."""

    def __init__(
        self,
        loop: AsyncioLoop,
        parameters: Mapping[str, Any],
        query: str,
        table: Table,
        redacted: Callable[[str], str],
    ) -> None:
        self._loop = loop
        self._parameters = parameters
        self._query = query
        self._table = table
        self._redacted = redacted
        self._link: PgConnection = None  # type: ignore[assignment]  # until it is open
        self._asked = b""  # the guarded query
        self._woken = False
        self._codec = "utf-8"
        self._columns: int | None = None  # of the user's query, if its values are guarded
        self._names: list[str] = []  # of these columns

    # Called by polling

    async def read(self) -> Listing | tuple[Touched, ...]:
        """All rows there are."""
        return await self._loop.run(self._read_aio)

    async def wait(self) -> None:
        """Return when a notification came."""
        await self._loop.run(self._wait_aio)

    async def close(self) -> None:
        """Hang up."""
        await self._loop.run(self._link.close)

    @property
    def _relay(self) -> Relay:
        return self._link.relay

    # How

    async def open_aio(self, limit: float) -> None:
        """Connect, and make the session what this file says it is. Raises SourceFailed."""
        with self._failing():
            try:
                self._link = await PgConnection.connect(autocommit=True, **self._parameters)
            except BaseException as error:
                # They hold what is half connected, and it would be closed some time, as garbage.
                traceback.clear_frames(error.__traceback__)
                raise
        try:
            with self._failing():
                await self._set_up_aio(limit)
        except BaseException:
            await self._link.close()
            raise

    async def _set_up_aio(self, limit: float) -> None:
        # Not by psycopg: it would decode and hoard what others send along with a NOTIFY.
        self._link.pgconn.notify_handler = self._note
        server = (self._link.pgconn.parameter_status(b"server_encoding") or b"UTF8").decode()
        encoding = _INSTEAD.get(server, server)
        settings = [
            "default_transaction_read_only = on",
            f"statement_timeout = {int(limit * 900)}",  # ms; so that the server is first to tell
            "datestyle = ISO",
            "timezone = 'UTC'",
            "bytea_output = hex",
            f"client_encoding = '{encoding}'",
        ]
        await self._link.execute(";".join(f"SET {setting}" for setting in settings))
        if encoding != "SQL_ASCII":  # which is none at all
            self._codec = self._link.info.encoding
        try:
            await self._link.execute("LISTEN emperor")
        except psycopg.Error:
            # A standby has no LISTEN, and a pooler may not let it through. Then there are polls.
            if self._link.closed:
                raise
        await self._guard_aio()
        self._relay.limit = MOST_UNASKED

    async def _guard_aio(self) -> None:
        """Have the server leave out what is too long, if it can do that with this query."""
        pgconn, query = self._link.pgconn, self._encoded_query()
        columns = await self._link.wait(described(pgconn, query))
        if columns is None or not 3 <= len(columns) <= _MOST:
            return
        kinds = [kind for _, kind in columns]
        careful = guarded(query.decode(self._codec), kinds).encode(self._codec)
        if await self._link.wait(described(pgconn, careful)) is not None:
            self._columns, self._asked = len(kinds), careful
            self._names = [name.decode(self._codec, "replace") for name, _ in columns]

    def _note(self, notify: Any) -> None:
        self._relay.account(OVERHEAD + len(notify.relname) + len(notify.extra))
        self._woken = True

    async def _wait_aio(self) -> None:
        pgconn = self._link.pgconn
        with self._failing():
            while True:
                while notify := pgconn.notifies():  # it may have come with the last result
                    self._note(notify)
                if self._woken:
                    return
                await self._link.wait(generators.notifies(pgconn))

    async def _read_aio(self) -> Listing | tuple[Touched, ...]:
        self._woken = False  # this reading may miss later changes
        reading = self._table.reading()
        count = size = 0
        self._relay.limit = MOST_IN_FLIGHT
        self._relay.account(_ANSWER)
        with self._failing():
            guarded = self._columns is not None
            query = self._asked if guarded else self._encoded_query()
            await self._link.wait(ask(self._link.pgconn, query, _CHUNK if guarded else 1))
            while True:
                result = await self._link.wait(fetch(self._link.pgconn))
                if result is None:
                    self._relay.limit = MOST_UNASKED
                    return reading.listing()
                self._check(result)
                count += result.ntuples
                if count > MOST_ROWS:
                    raise SourceFailed(f"the query gives more than {MOST_ROWS:,} rows")
                self._relay.account(size_of(result))
                found = [self._row(result, at) for at in range(result.ntuples)]
                size += sum(len(row.config) for row in found if isinstance(row.config, str | bytes))
                if size > MOST_BYTES:
                    raise SourceFailed(f"the configs have more than {MOST_BYTES >> 20} MiB")
                if much(found):
                    await in_thread(partial(reading.add_all, found))
                else:
                    reading.add_all(found)
                    await asyncio.sleep(0)  # others have their turn

    def _row(self, result: PGresult, number: int) -> Row:
        columns = result.nfields if self._columns is None else self._columns
        values = [value(result, number, column, self._codec) for column in range(columns)]
        if self._columns is not None:
            for column in range(columns):
                size = result.get_value(number, columns + column)
                if values[column] is None and size is not None:
                    values[column] = TooLong(int(size))
        others = range(_OWN, columns)
        row = Row(*values[:_OWN])
        row.attrs = {self._name(result, column): values[column] for column in others}
        return row

    def _name(self, result: PGresult, column: int) -> str:
        if self._names:
            return self._names[column]
        return (result.fname(column) or b"").decode(self._codec, "replace")

    def _encoded_query(self) -> bytes:
        try:
            return self._query.encode(self._codec)
        except UnicodeEncodeError:
            raise SourceFailed(
                f"the query has characters that the database's encoding ({self._codec}) lacks"
            ) from None

    def _check(self, result: PGresult) -> None:
        """Whether these are rows that can be vassals. Raises SourceFailed."""
        if result.status == ExecStatus.FATAL_ERROR:
            raise SourceFailed(self._redacted(complaint(result, self._codec)))
        if result.status not in _ROWS:
            raise SourceFailed(f"the query gives no rows; it must be a SELECT of {_COLUMNS}")
        if self._columns is not None and result.nfields == 2 * self._columns:
            return
        if self._columns is not None or not 3 <= result.nfields <= _MOST:
            raise SourceFailed(
                f"the query gives {result.nfields} columns; it must give 3 to {_MOST}: {_COLUMNS}"
            )

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it is only what came of hanging up
                raise asyncio.CancelledError from None
            if self._link is not None and self._relay.why_cut:
                raise SourceFailed(self._relay.why_cut) from None
            raise SourceFailed(self._redacted(str(error))) from None
        except UnicodeError:  # of the resolver
            raise SourceFailed("the host is no name that a host can have") from None


def _redacted(secrets: Iterable[str], text: str) -> str:
    """An error's text as one line that holds no secret."""
    if "cannot allocate memory for input buffer" in text:  # libpq's words for it
        return "the server claims a message that is longer than libpq can hold"
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return names.shown(polling.in_words(" ".join(text.split())))[:500]


# The URL


def open_url(rest: str, options: MonitorOptions) -> Postgres:
    """The monitor of ``pg://rest``. Raises MonitorURLError."""
    conninfo, query = split(rest)
    return Postgres(parse(conninfo, query), query or DEFAULT_QUERY, options)


def open_uri(rest: str, options: MonitorOptions) -> Postgres:
    """The monitor of ``postgresql://rest``: pg:// with that URI. Raises MonitorURLError."""
    try:
        return open_url(f"postgresql://{rest}", options)
    except MonitorURLError as error:
        raise MonitorURLError(f"postgresql://{str(error).removeprefix('pg://')}") from None
