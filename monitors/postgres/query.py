"""The query of pg:// with values that are too long left out, so that the server keeps them.

The user's query becomes a subquery. For each of its columns there are two: the value, or NULL where
it is too long, and how many bytes it has. A query that cannot be a subquery (SHOW, EXECUTE, a WITH
that writes) runs as it is. Its values that are too long come over the line and are refused here.
"""

from typing import Final

from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from ..rows import LONGEST_CONFIG

LONGEST_FIELD: Final = 4096  # bytes of a value that is no config
_CONFIG: Final = 1  # which column it is
_BYTEA: Final = 17


def guarded(query: str, kinds: list[int]) -> str:
    """The query with its values guarded; ``kinds`` are the types (OIDs) of its columns."""
    columns = [f"c{number}" for number in range(len(kinds))]
    values, sizes = [], []
    for number, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        size = f"octet_length(v.{column}{'' if kind == _BYTEA else '::text'})"
        most = LONGEST_CONFIG if number == _CONFIG else LONGEST_FIELD
        values.append(f"CASE WHEN {size} > {most} THEN NULL ELSE v.{column} END")
        sizes.append(size)
    # On a line of its own: the query may end in a comment.
    return f"SELECT {', '.join((*values, *sizes))} FROM ({query}\n) AS v({', '.join(columns)})"


def described(pgconn: PGconn, query: bytes) -> PQGen[list[tuple[bytes, int]] | None]:
    """Names and types of the columns that a query would give, None if the server does not say."""
    pgconn.send_prepare(b"", query)
    (prepared, *_) = yield from generators.execute(pgconn)
    if prepared.status != ExecStatus.COMMAND_OK:
        return None
    pgconn.send_describe_prepared(b"")
    (described, *_) = yield from generators.execute(pgconn)
    if described.status != ExecStatus.COMMAND_OK:
        return None
    return [
        (described.fname(number) or b"", described.ftype(number))
        for number in range(described.nfields)
    ]
