"""A private PostgreSQL."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from .base import Server, find_program


class Postgres(Server):
    """Superuser ``emperor``, database ``emperor``, no password on loopback.

    A user in the role ``needs_password`` has to give one.
    """

    name = "postgres"
    packages = ("postgresql",)
    user = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # TERM waits for clients to leave

    def _program(self, name: str) -> str:
        return find_program(f"/usr/lib/postgresql/*/bin/{name}", name)

    def prepare(self) -> None:
        self.run(
            self._program("initdb"),
            *("--pgdata", str(self.folder / "data")),
            *("--username", "emperor", "--auth", "trust", "--encoding", "UTF8", "--no-sync"),
        )
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text("host all +needs_password all scram-sha-256\n" + rules.read_text())
        self._made = False

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [self._program("postgres"), "-D", str(self.folder / "data"), *options]

    def is_ready(self) -> bool:
        psql = [self._program("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "emperor"]
        asked = subprocess.run(
            [*psql, "-d", "postgres", "-qAtc", "select 1"], capture_output=True, check=False
        )
        if asked.returncode != 0:
            return False
        if not self._made:
            for order in ("create role needs_password", "create database emperor"):
                self.run(*psql, "-d", "postgres", "-qc", order)
            self._made = True
        return True

    def _signal(self, number: signal.Signals) -> None:
        """As the base does, to each process: every one here leads a session of its own."""
        started = None if self._process is None else self._process.pid
        for pid in () if started is None else (started, *_children(started)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def address(self) -> dict[str, Any]:
        conninfo = f"host=127.0.0.1 port={self.port} user=emperor dbname=emperor"
        return {"port": self.port, "conninfo": conninfo}


def _children(parent: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(stat.parent.name)
