"""Results of a query, as the server sends them: rows that come in pieces, values, complaints."""

import contextlib
import time
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import DiagnosticField
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Wait

from ..polling import SourceFailed

_TS: Final = 2  # which column it is
OVERHEAD: Final = 64  # bytes that a row or notification has besides its values
_BYTEA, _BPCHAR = 17, 1042
_TIMES: Final = (1082, 1114, 1184)  # date, timestamp, timestamptz
_LABOUR: Final = 0.05  # seconds of processor time that libpq may need from one result to the next


def ask(pgconn: PGconn, query: bytes, chunk: int) -> PQGen[None]:
    """Send a query of one statement, for rows that come in pieces."""
    pgconn.send_query_params(query, None)
    if chunk > 1 and psycopg.capabilities.has_stream_chunked():
        pgconn.set_chunked_rows_mode(chunk)
    else:
        pgconn.set_single_row_mode()
    yield from generators.send(pgconn)


def fetch(pgconn: PGconn) -> PQGen[PGresult | None]:
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
                f"the server sends bytes that take libpq more than {_LABOUR:g} s, and are no row"
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


def size_of(result: PGresult) -> int:
    """About how many bytes of the connection a result took."""
    values = sum(
        len(result.get_value(row, column) or b"")
        for row in range(result.ntuples)
        for column in range(result.nfields)
    )
    size = values + result.ntuples * OVERHEAD + OVERHEAD
    return size + size // 32  # TLS


def value(result: PGresult, number: int, column: int, codec: str) -> Any:
    """One value: bytes as they are where they are UTF-8 or of unknown encoding, else text."""
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


def complaint(result: PGresult, codec: str) -> str:
    """The server's account of an error, without its place: libpq would quote the query there."""
    parts = (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.MESSAGE_HINT)
    said = [(result.error_field(part) or b"").decode(codec, "replace") for part in parts]
    # libpq's own complaint of what it was sent has no fields.
    said = [*filter(None, said)] or [result.error_message.decode(codec, "replace")]
    return "; ".join(filter(None, said)) or "the server gives an error without a message"
