"""An OpenLDAP for the tests of one process, and sources in it, each a branch of its own."""

import atexit
import functools
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ldap  # type: ignore[import-untyped]
import ldap.modlist  # type: ignore[import-untyped]
import msgspec
from emperord.monitors import ldap_url, polling
from emperord.monitors.directory_service import DirectoryService
from emperord.monitors.options import MonitorOptions

from .services import Service, service

VASSAL = "emperorVassal"


@functools.cache
def shared() -> Service:
    """The server that tests share which do it no harm."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(service("openldap"))


class Directory:
    """A client of a test's own, as the one who may do all. Values are text or bytes."""

    def __init__(self, server: Service) -> None:
        self._link = ldap.initialize(f"ldap://127.0.0.1:{server.where['port']}")
        self._link.simple_bind_s(server.where["admin"], server.where["password"])

    def close(self) -> None:
        """Hang up."""
        self._link.unbind_s()

    def add(self, dn: str, kind: str, **values: Any) -> None:
        """Add an entry."""
        self._link.add_s(
            dn, ldap.modlist.addModlist({"objectClass": [kind.encode()], **_all(values)})
        )

    def change(self, dn: str, **values: Any) -> None:
        """Give attributes other values; None removes one."""
        self._link.modify_s(
            dn, [(ldap.MOD_REPLACE, name, value) for name, value in _all(values).items()]
        )

    def remove(self, dn: str) -> None:
        """Delete an entry."""
        self._link.delete_s(dn)

    def rename(self, dn: str, rdn: str, above: str | None = None) -> None:
        """Give it another RDN, or another place; all below comes along."""
        self._link.rename_s(dn, rdn, above)

    def has(self, dn: str) -> bool:
        """Whether there is such an entry."""
        try:
            self._link.search_s(dn, ldap.SCOPE_BASE, attrlist=["1.1"])
        except ldap.NO_SUCH_OBJECT:
            return False
        return True

    def values(self, dn: str, attribute: str) -> list[bytes]:
        """The values of an attribute."""
        ((_, found),) = self._link.search_s(dn, ldap.SCOPE_BASE, attrlist=[attribute])
        values: list[bytes] = found.get(attribute, [])
        return values


def _all(values: dict[str, Any]) -> dict[str, list[bytes] | None]:
    return {
        name: None
        if value is None
        else [
            each.encode() if isinstance(each, str) else each
            for each in (value if isinstance(value, list) else [value])
        ]
        for name, value in values.items()
    }


@contextmanager
def talking(server: Service) -> Iterator[Directory]:
    """A client for a while."""
    directory = Directory(server)
    try:
        yield directory
    finally:
        directory.close()


@functools.cache
def talk() -> Directory:
    """The tests' own client of the shared server."""
    directory = Directory(shared())
    atexit.register(directory.close)
    return directory


class LdapSource:
    """``ou=vassals`` in a branch of its own. ``plain``: where there is no synchronization."""

    def __init__(
        self,
        _: Path | None = None,
        *,
        plain: bool = False,
        server: Service | None = None,
        directory: Directory | None = None,
    ) -> None:
        self.server = server or shared()
        self.directory = directory or talk()
        self.branch = f"o={uuid.uuid4().hex},{self.server.where['plain' if plain else 'suffix']}"
        self.base = f"ou=vassals,{self.branch}"
        self.directory.add(self.branch, "organization")
        self.directory.add(self.base, "organizationalUnit")

    def rest(self, more: str = "", port: int | None = None) -> str:
        """What follows ``ldap://``."""
        return f"127.0.0.1:{port or self.server.where['port']}/{self.base}{more}"

    def monitor(self, options: MonitorOptions) -> DirectoryService:
        """A monitor of the entries below."""
        return self.hurried(options, polling.LIMIT)

    def hurried(
        self,
        options: MonitorOptions,
        limit: float = 1,
        more: str = "",
        port: int | None = None,
    ) -> DirectoryService:
        """One that waits ``limit`` seconds for its server, not more."""
        place = ldap_url.read("ldap", self.rest(more, port))
        return DirectoryService(place, options, limit=limit)

    def dn(self, name: str) -> str:
        """Where the entry of a vassal is."""
        return f"cn={ldap.dn.escape_dn_chars(name)},{self.base}"

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str | bytes, **more: str | Sequence[str]) -> None:
        """Add an entry, or change it."""
        if self.directory.has(self.dn(file)):
            self.directory.change(self.dn(file), emperorConfig=content, **more)
        else:
            self.directory.add(self.dn(file), VASSAL, emperorConfig=content, **more)

    def remove(self, file: str) -> None:
        """Delete it."""
        self.directory.remove(self.dn(file))

    def fail(self) -> None:
        """Take the place away that is searched."""
        self.directory.rename(self.base, "ou=away")

    def mend(self) -> None:
        """Give it back."""
        self.directory.rename(f"ou=away,{self.branch}", "ou=vassals")


class PlainLdapSource(LdapSource):
    """Where there is no synchronization, so that it is asked often."""

    def __init__(self, _: Path | None = None) -> None:
        super().__init__(plain=True)

    def monitor(self, options: MonitorOptions) -> DirectoryService:
        """A monitor that polls, however seldom it is to."""
        return super().monitor(msgspec.structs.replace(options, freq=min(options.freq, 0.05)))
