"""A private PostgreSQL."""

import subprocess
from typing import Any

from .base import Server, find_program


class Postgres(Server):
    """Superuser ``emperor``, database ``emperor``, no password on loopback."""

    name = "postgres"
    packages = ("postgresql",)
    user = "postgres"

    def _program(self, name: str) -> str:
        return find_program(f"/usr/lib/postgresql/*/bin/{name}", name)

    def prepare(self) -> None:
        self.run(
            self._program("initdb"),
            *("--pgdata", str(self.folder / "data")),
            *("--username", "emperor", "--auth", "trust", "--encoding", "UTF8", "--no-sync"),
        )
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
            self.run(*psql, "-d", "postgres", "-qc", "create database emperor")
            self._made = True
        return True

    def address(self) -> dict[str, Any]:
        conninfo = f"host=127.0.0.1 port={self.port} user=emperor dbname=emperor"
        return {"port": self.port, "conninfo": conninfo}
