"""pg://CONNINFO;QUERY and postgresql://…;QUERY: each row that a query gives is a vassal.

One connection is kept. On it the query is asked every ``freq`` seconds, and at once when somebody
says ``NOTIFY emperor``. The session is read-only and each query its own transaction; the server
ends a query that takes too long, and we ask it to when we stop waiting.

The server leaves out what is too long to be a vassal's (``postgres_query``), and is cut off when
it sends more than that for no row (``postgres_relay``).

Values are taken as the server sends them. psycopg would fail the whole result, not just the row,
for a value that it cannot convert (``infinity``, a year of five digits, bytes that are no text).
For the same reason the client's encoding is the server's: what is not converted cannot fail to
convert.
"""

import asyncio
import contextlib
import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

# Before psycopg, which takes hold of functions of asyncio that trio-asyncio replaces.
from ..asyncio_loop import AsyncioLoop, asyncio_loop

# isort: split
import psycopg
import trio
from psycopg import conninfo as libpq
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Wait

from ...journal import quantities
from ...journal.events import Spec
from .. import names, polling
from ..contract import Listing, Tell, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..rows import Row, Table, TooLong, much
from ..urls import MonitorURLError
from .query import described, guarded
from .relay import Relay

DEFAULT_QUERY: Final = "SELECT name,config,EXTRACT(epoch FROM ts) FROM vassals"
MOST_ROWS: Final = 100_000
MOST_BYTES: Final = 256 << 20  # of the configs in one reading
_COLUMNS: Final = "name, config, ts[, uid, gid[, socket]]"
_TS: Final = 2  # which column it is
MOST_IN_FLIGHT: Final = 2 << 20  # bytes that bring no row, while we read
MOST_UNASKED: Final = 256 << 10  # bytes that bring no notification, while we do not
_CHUNK: Final = 16  # rows that come together, and are taken in before others have their turn
_OVERHEAD: Final = 64  # bytes that a row or notification has besides its values
_ANSWER: Final = 4096  # bytes that each answer has besides its rows
_LABOUR: Final = 0.05  # seconds of processor time that libpq may need from one result to the next
_FAREWELL: Final = 1.0  # seconds for asking a server to end a query that we wait for no longer
_EACH_ADDRESS: Final = 4  # seconds to connect to one, so that there is time for the next

_ROWS: Final = (ExecStatus.TUPLES_OK, ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK)
# Python has no codec for these: the one is left to the server, the other is taken as it is.
_INSTEAD: Final = {"EUC_TW": "UTF8", "MULE_INTERNAL": "SQL_ASCII"}
_BYTEA, _BPCHAR = 17, 1042
_TIMES: Final = (1082, 1114, 1184)  # date, timestamp, timestamptz

_SECRET: Final = re.compile(r"pass|secret|scram_", re.IGNORECASE)  # keys whose values are none of
_MAY_HIDE: Final = re.compile(r"pass|secret|scram_|@", re.IGNORECASE)
# dblink and its like take a conninfo inside SQL, where a quote may be doubled; or a URI.
_SECRET_IN_QUERY: Final = re.compile(
    r"(\b(?:\w*password|passwd|pwd|passfile)\s*=\s*)(?:''.*?''|'(?:[^'\\]|\\.)*'|[^\s;&']+)"
    r"|(\b\w+://[^\s:@/']*:)[^\s']*(?=@)",
    re.IGNORECASE,
)
_FIRST: Final = ("host", "hostaddr", "port", "user", "dbname")
_URI: Final = re.compile(r"\s*postgres(?:ql)?://")
# libpq takes what is before the first @ for user and password, unless a / comes first.
_MISPLACED_AT: Final = re.compile(r"\s*\w+://(?:[^@/]*@)?+[^?]*@")
_UNTIL_SEMICOLON: Final = re.compile(r"(?:=\s*'(?:[^'\\]|\\.)*'|\\.?|[^;\\])*", re.DOTALL)
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)
_STATEMENT: Final = re.compile(
    r"\s*(?:\(|--|/\*|(?:SELECT|WITH|TABLE|VALUES|SHOW|EXPLAIN|EXECUTE|FETCH|CALL|COPY|INSERT|UPDATE"
    r"|DELETE|MERGE|SET|DO|CREATE|DROP|ALTER|TRUNCATE|VACUUM|BEGIN|LISTEN|NOTIFY)\b)",
    re.IGNORECASE,
)

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
        table = Table(self._options)
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
        secrets = [value for key, value in found.items() if _SECRET.search(key)]
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
        self._link: _Link = None  # type: ignore[assignment]  # until it is open
        self._asked = b""  # the guarded query
        self._woken = False
        self._codec = "utf-8"
        self._columns: int | None = None  # of the user's query, if its values are guarded

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
                self._link = await _Link.connect(autocommit=True, **self._parameters)
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
        kinds = await self._link.wait(described(pgconn, query))
        if kinds is None or not 3 <= len(kinds) <= 6:
            return
        careful = guarded(query.decode(self._codec), kinds).encode(self._codec)
        if await self._link.wait(described(pgconn, careful)) is not None:
            self._columns, self._asked = len(kinds), careful

    def _note(self, notify: Any) -> None:
        self._relay.account(_OVERHEAD + len(notify.relname) + len(notify.extra))
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
            await self._link.wait(_ask(self._link.pgconn, query, _CHUNK if guarded else 1))
            while True:
                result = await self._link.wait(_fetch(self._link.pgconn))
                if result is None:
                    self._relay.limit = MOST_UNASKED
                    return reading.listing()
                self._check(result)
                count += result.ntuples
                if count > MOST_ROWS:
                    raise SourceFailed(f"the query gives more than {MOST_ROWS:,} rows")
                self._relay.account(_size(result))
                found = [self._row(result, at) for at in range(result.ntuples)]
                size += sum(len(row.config) for row in found if isinstance(row.config, str | bytes))
                if size > MOST_BYTES:
                    raise SourceFailed(f"the configs have more than {MOST_BYTES >> 20} MiB")
                if much(found):
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(None, reading.add_all, found)
                else:
                    reading.add_all(found)
                    await asyncio.sleep(0)  # others have their turn

    def _row(self, result: PGresult, number: int) -> Row:
        columns = result.nfields if self._columns is None else self._columns
        values = [_value(result, number, column, self._codec) for column in range(columns)]
        if self._columns is not None:
            for column in range(columns):
                size = result.get_value(number, columns + column)
                if values[column] is None and size is not None:
                    values[column] = TooLong(int(size))
        return Row(*values)

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
            raise SourceFailed(self._redacted(_complaint(result, self._codec)))
        if result.status not in _ROWS:
            raise SourceFailed(f"the query gives no rows; it must be a SELECT of {_COLUMNS}")
        if self._columns is not None and result.nfields == 2 * self._columns:
            return
        if self._columns is not None or not 3 <= result.nfields <= 6:
            raise SourceFailed(
                f"the query gives {result.nfields} columns; it must give 3 to 6: {_COLUMNS}"
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


class _Link(psycopg.AsyncConnection[Any]):
    """A connection that hurries to end. Its bytes go through a relay."""

    relay: Relay

    @classmethod
    def _connect_gen(cls, *args: Any, **named: Any) -> Generator[tuple[int, Wait], Any, "_Link"]:
        relay = Relay(MOST_UNASKED)
        try:
            link = yield from relay.through(super()._connect_gen(*args, **named))
        except BaseException:
            relay.give_up()
            raise
        link.relay = relay
        return link

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self.relay.close()

    async def cancel_safe(self, *, timeout: float = _FAREWELL) -> None:  # noqa: ASYNC109
        """Ask the server to end a query; hang up if it does not take even that."""
        try:
            await super().cancel_safe(timeout=min(timeout, _FAREWELL))
        except psycopg.Error:
            self.pgconn.finish()


# One result


def _ask(pgconn: PGconn, query: bytes, chunk: int) -> PQGen[None]:
    """Send a query of one statement, for rows that come in pieces."""
    pgconn.send_query_params(query, None)
    if chunk > 1 and psycopg.capabilities.has_stream_chunked():
        pgconn.set_chunked_rows_mode(chunk)
    else:
        pgconn.set_single_row_mode()
    yield from generators.send(pgconn)


def _fetch(pgconn: PGconn) -> PQGen[PGresult | None]:
    """The next result. As psycopg's, but libpq must not need long to find it.

    libpq looks through all settings for each one that the server tells of. Raises SourceFailed.
    """
    labour = 0.0
    while True:
        began = time.thread_time()
        busy = pgconn.is_busy()
        labour += time.thread_time() - began
        if labour > _LABOUR:
            raise SourceFailed(
                f"what the server sends takes libpq more than {_LABOUR:g} s to read, and is no row"
            )
        if not busy:
            break
        while not (yield Wait.R):
            pass
        pgconn.consume_input()
    while notify := pgconn.notifies():
        if pgconn.notify_handler is not None:
            pgconn.notify_handler(notify)
    return pgconn.get_result()


def _size(result: PGresult) -> int:
    """About how many bytes of the connection a result took."""
    values = sum(
        len(result.get_value(row, column) or b"")
        for row in range(result.ntuples)
        for column in range(result.nfields)
    )
    size = values + result.ntuples * _OVERHEAD + _OVERHEAD
    return size + size // 32  # TLS


def _value(result: PGresult, number: int, column: int, codec: str) -> Any:
    """One value: bytes as they are where they are UTF-8 or nobody knows, else text."""
    value = result.get_value(number, column)
    if value is None:
        return None
    kind = result.ftype(column)
    if kind == _BYTEA:
        return bytes.fromhex(value[2:].decode())
    if kind == _BPCHAR:
        value = value.rstrip(b" ")  # padding is no part of it
    if column == _TS:
        return _time(value.decode(codec, "replace"), kind)
    if codec != "utf-8":
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode(codec)
    return value


def _time(text: str, kind: int) -> datetime | str:
    if kind in _TIMES:
        with contextlib.suppress(ValueError):  # infinity, or a year that is not of four digits
            return datetime.fromisoformat(text)
    return text


def _complaint(result: PGresult, codec: str) -> str:
    """The server's account of an error. Not where: that would quote the query."""
    parts = (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.MESSAGE_HINT)
    said = [(result.error_field(part) or b"").decode(codec, "replace") for part in parts]
    # libpq's own complaint of what it was sent has no fields.
    said = [*filter(None, said)] or [result.error_message.decode(codec, "replace")]
    return "; ".join(filter(None, said)) or "the server gives an error without a message"


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


def split(rest: str) -> tuple[str, str]:
    """The conninfo and the query, which begins after the first ``;`` outside quotes."""
    if _URI.match(rest):
        conninfo, _, query = rest.partition(";")
    else:
        found = _UNTIL_SEMICOLON.match(rest)
        assert found is not None  # it matches the empty text
        conninfo, query = found[0], rest[found.end() + 1 :]
    return conninfo.strip(), query.strip().rstrip("; ")


def parse(conninfo: str, query: str = "") -> dict[str, str]:
    """The parameters in a conninfo, as libpq reads it.

    A conninfo that could show a piece of a password as a host, a port or a query is refused. No
    text that could have one is quoted. Raises MonitorURLError.
    """
    hidden = bool(_MAY_HIDE.search(conninfo))
    try:
        found = {key: str(value) for key, value in libpq.conninfo_to_dict(conninfo).items()}
    except (psycopg.Error, ValueError) as error:
        told = " ".join(str(error).split())
        told = _QUOTED.sub('"…"', told) if hidden else told
        raise MonitorURLError(
            f"pg://: the connection cannot be understood ({names.shown(told)}); write it as for"
            " psql: pg://host=… user=… dbname=…;SELECT … or postgresql://user@host/db;SELECT …"
        ) from None
    is_uri = _URI.match(conninfo)
    if is_uri and _MISPLACED_AT.match(conninfo):
        raise MonitorURLError(
            "pg://: the URI has an @ in a wrong place; in a user name, a password or a database"
            " name write @ as %40, / as %2F, : as %3A and ; as %3B"
        )
    _check_ports(found.get("port", ""), conninfo)
    if (hidden or is_uri) and query and not _STATEMENT.match(query):
        raise MonitorURLError(
            "pg://: what follows the first ; is no SQL statement; if the ; is of a password, write"
            " password='…' around it, or %3B for it in a URI"
        )
    return found


def _check_ports(ports: str, conninfo: str) -> None:
    """Refuse what is no port. Raises MonitorURLError.

    In a URI without an @ a port may be a password whose host is missing, so it is not quoted.
    """
    for port in filter(None, ports.split(",")):
        if _URI.match(conninfo) and "@" not in conninfo and not port.isdecimal():
            raise MonitorURLError(
                "pg://: in the URI a host is followed by : and no port, a number from 1 to 65535;"
                " a user and a password end with an @, and within them : is %3A, / is %2F, ; is %3B"
            )
        if quantities.port(port) is None:
            given = "" if _MAY_HIDE.search(conninfo) else f" {names.shown(port[:20])!r}"
            raise MonitorURLError(f"pg://: the port{given} is no number from 1 to 65535")


def with_service(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters, and what the service that they name adds to them.

    libpq would do it as well, but then look up the service's host while all of us wait. It is
    left to libpq to complain of a service that is not found.
    """
    name = parameters.get("service") or os.environ.get("PGSERVICE")
    if not name:
        return dict(parameters)
    own = os.environ.get("PGSERVICEFILE") or os.path.expanduser("~/.pg_service.conf")
    shared = os.environ.get("PGSYSCONFDIR") or "/etc/postgresql-common"
    for path in (own, os.path.join(shared, "pg_service.conf")):
        section = _section(path, name)
        if section is not None:
            rest = {key: value for key, value in parameters.items() if key != "service"}
            return section | rest
    return dict(parameters)


def _section(path: str, name: str) -> dict[str, str] | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return None
    found: dict[str, str] | None = None
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = found is None and line == f"[{name}]"
            found = {} if inside else found
        elif inside and found is not None and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, value)
    return found


def url_of(parameters: Mapping[str, str], query: str) -> str:
    """The source's identity: the same however the conninfo is spelled and the secrets change."""
    known = {key: value for key, value in parameters.items() if not _SECRET.search(key)}
    first = [key for key in _FIRST if key in known]
    shown = (f"{key}={_quoted(known[key])}" for key in (*first, *sorted(known.keys() - {*first})))
    return f"pg://{' '.join(shown)};" + _SECRET_IN_QUERY.sub(r"\1\2***", query)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\s'\\;]+", value):
        return value
    return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"
