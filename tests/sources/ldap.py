"""ldap:// as a row."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from emperord.monitors.contract import Monitor
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.monitor import DirectoryService
from emperord.monitors.options import MonitorOptions
from support.daemon import Daemon
from support.ldap import Directory, LdapSource
from support.services import Service

from .row import Guarded, Row


class LdapRow(Row):
    """A branch of the directory, where synchronization is."""

    service = "openldap"
    silent_at_read = "the server was silent for 1 s"
    below: ClassVar[str] = "suffix"

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        directory = Directory(self.server)
        self.source = LdapSource(server=self.server, directory=directory, below=self.below)

    def close(self) -> None:
        self.source.directory.close()

    @property
    def url(self) -> str:
        return f"ldap://{self.source.rest()}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        return self.source.hurried(options, limit, port=port)

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        place = ldap_url.read("ldap", f"{host}:{port}/o=x")
        return DirectoryService(place, options, limit=1)

    def put(self, name: str, config: str) -> None:
        self.source.put(name, config)

    def remove(self, name: str) -> None:
        self.source.remove(name)

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        for name, config in configs:
            self.source.directory.change(self.source.dn(name), emperorConfig=config)

    def fill(self, configs: Iterable[tuple[str, str]]) -> None:
        for name, config in configs:
            self.put(name, config)

    def again(self) -> None:
        self.source.directory.close()
        self.source.directory = Directory(self.server)

    def put_bad(self) -> dict[str, str]:
        self.put("bad", "x")
        self.put("nul.ini", "a\0b")
        return {"bad": "extension", "nul.ini": "NUL"}

    def spoil(self, name: str) -> None:
        self.put(name, "a\0b")

    def guarded(self) -> Guarded:
        where = self.server.where
        (self.folder / "secrets").mkdir()
        urls = []
        for name, password, scope in (
            ("good", where["password"], "sub"),
            ("bad", "s3cr/t no", "one"),
        ):
            path = self.folder / "secrets" / name
            path.write_text(password)
            path.chmod(0o600)
            bind = f"cn=reader,{where['suffix']}".replace(",", "%2C")
            more = f"??{scope}??bindname={bind},x-bindpw-file={path},!x-starttls"
            urls.append(f"ldap://{self.source.rest(more)},x-tls-cacert={where['certificate']}")

        def provoke(_: Daemon) -> None:
            self.source.fail()

        reason = "does not take the DN or the password of cn=reader"
        return Guarded(urls, [b"s3cr"], reason, 2, provoke)


class PlainLdapRow(LdapRow):
    """Where there is no synchronization, so that it is polled, however seldom it is to be."""

    below = "plain"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        often = msgspec.structs.replace(options, freq=min(options.freq, 0.05))
        return super().monitor(often, limit, port)
