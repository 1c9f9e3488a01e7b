"""pg:// as a row."""

from collections.abc import Sequence
from pathlib import Path

from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.postgres.monitor import DEFAULT_QUERY, Postgres
from emperord.monitors.postgres.url import parse
from support.daemon import Daemon
from support.postgres import ALL_COLUMNS, blocks, conninfo_of, talking
from support.services import Service

from .row import Guarded, Row

PUT = (
    "INSERT INTO vassals (name, config) VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET config = excluded.config"
)


class PostgresRow(Row):
    """A database with nothing in it but the table of the page."""

    service = "postgres"
    silent_at_read = "reading it took longer than 1 s"

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        with talking(conninfo_of(self.server, "postgres")) as link:
            link.execute("DROP DATABASE IF EXISTS emperor WITH (FORCE)")
            link.execute("CREATE DATABASE emperor")
        self.execute(blocks()[0])

    def execute(self, *statements: str) -> None:
        """Have SQL carried out."""
        with talking(conninfo_of(self.server)) as link:
            for statement in statements:
                link.execute(statement.encode())

    @property
    def url(self) -> str:
        return f"pg://{conninfo_of(self.server)};{ALL_COLUMNS}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        given = conninfo_of(self.server)
        if port is not None:
            given = given.replace(f"port={self.server.where['port']}", f"port={port}")
        return Postgres(parse(given), DEFAULT_QUERY, options, limit=limit)

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        given = f"host={host} port={port} user=me password=hidden dbname=x"
        return Postgres(parse(given), DEFAULT_QUERY, options, limit=1)

    def put(self, name: str, config: str) -> None:
        self.change([(name, config)])

    def remove(self, name: str) -> None:
        with talking(conninfo_of(self.server)) as link:
            link.execute("DELETE FROM vassals WHERE name = %s", (name,))

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        with talking(conninfo_of(self.server)) as link:
            for each in configs:  # a transaction and a NOTIFY each
                link.execute(PUT, each)

    def put_bad(self) -> dict[str, str]:
        self.put("bad", "x")
        self.put("empty.ini", "")
        return {"bad": "extension", "empty.ini": "empty"}

    def change_behind(self, name: str, config: str) -> None:
        self.execute("ALTER TABLE vassals DISABLE TRIGGER vassals_touch")
        self.put(name, config)

    def touch(self, name: str) -> None:
        self.execute(f"UPDATE vassals SET ts = now() WHERE name = '{name}'")

    def guarded(self) -> Guarded:
        secret = "s3cr3t' ;@/x"  # noqa: S105
        literal = secret.replace("'", "''")
        self.execute(
            "DROP ROLE IF EXISTS guarded",
            f"CREATE ROLE guarded LOGIN PASSWORD '{literal}' IN ROLE needs_password",
            "GRANT SELECT ON vassals TO guarded",
        )
        port = self.server.where["port"]
        good = f"pg://postgresql://guarded:s3cr3t%27%20%3B%40%2Fx@127.0.0.1:{port}/emperor"
        bad = f"pg://host=127.0.0.1 port={port} user=guarded password='s3cr3t no'"

        def provoke(_: Daemon) -> None:
            self.execute("ALTER TABLE vassals RENAME TO away")

        reason = "password authentication failed"
        return Guarded([good, bad], [b"s3cr3t", b"%27"], reason, 2, provoke)
