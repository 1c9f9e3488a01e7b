"""A PostgreSQL for the tests of one process, and sources in it, each in a schema of its own."""

import atexit
import functools
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.postgres.monitor import open_url

# isort: split
import psycopg  # after the monitor, which has to be the first to import it

from .services import Service, service

PAGE = Path(__file__).parents[2] / "docs" / "sources-postgres.md"
ALL_COLUMNS = "SELECT name,config,ts,uid,gid,socket FROM vassals"


def blocks() -> list[str]:
    """The SQL that the page tells people to paste: table and triggers, role, what to do then."""
    return re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def conninfo_of(server: Service, database: str = "emperor", user: str = "emperor") -> str:
    """How to reach a server."""
    return f"host=127.0.0.1 port={server.where['port']} user={user} dbname={database}"


@functools.cache
def shared() -> Service:
    """The server that tests share which do it no harm."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(service("postgres"))


@contextmanager
def talking(conninfo: str, encoding: str = "UTF8") -> Iterator[psycopg.Connection[Any]]:
    """A connection of a test's own."""
    with psycopg.connect(conninfo, autocommit=True, client_encoding=encoding) as link:
        yield link


@functools.cache
def _talk() -> psycopg.Connection[Any]:
    link = psycopg.connect(conninfo_of(shared()), autocommit=True)
    atexit.register(link.close)
    return link


class PostgresSource:
    """The table of the documentation, in a schema of its own."""

    def __init__(self, _: Path | None = None) -> None:
        self.schema = f"s{uuid.uuid4().hex}"
        self.conninfo = f"{conninfo_of(shared())} options='-c search_path={self.schema}'"
        _talk().execute(f"CREATE SCHEMA {self.schema}")
        self.execute(blocks()[0])

    def execute(self, sql: str, *values: object) -> list[Any]:
        """Have SQL carried out in the schema; the rows it gives."""
        _talk().execute(f"SET search_path TO {self.schema}")
        done = _talk().execute(sql, values or None)
        return done.fetchall() if done.description is not None else []

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor of the table."""
        return open_url(f"{self.conninfo};{ALL_COLUMNS}", options)

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str) -> None:
        """Insert a row, or change it."""
        self.execute(
            "INSERT INTO vassals (name, config) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET config = excluded.config",
            file,
            content,
        )

    def remove(self, file: str) -> None:
        """Delete the row."""
        self.execute("DELETE FROM vassals WHERE name = %s", file)

    def fail(self) -> None:
        """Take the table away."""
        self.execute("ALTER TABLE vassals RENAME TO away")

    def mend(self) -> None:
        """Give it back."""
        self.execute("ALTER TABLE away RENAME TO vassals")
