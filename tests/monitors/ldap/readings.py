"""One reading of the source, and what it was not able to read."""

from pathlib import Path

from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.monitor import DirectoryService
from emperord.monitors.options import MonitorOptions
from support.ldap import (
    Directory,
    LdapSource,
    entry,
    state,
)
from support.services import Service

from ..watching import NEVER, OFTEN

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)


def password_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def as_account(folder: Path, name: str, server: Service) -> str:
    """The extensions of a URL that name a user and its password."""
    dn = f"cn={name},{server.where['suffix']}".replace(",", "%2C")
    return f"bindname={dn},x-bindpw-file={password_file(folder, server.where['password'])}"


def filled(server: Service, below: str = "suffix") -> LdapSource:
    directory = Directory(server)
    source = LdapSource(server=server, directory=directory, below=below)
    source.put("a.ini", "one")
    return source


def scripted_monitor(
    port: int, more: str = "", options: MonitorOptions = SELDOM, limit: float = 10
) -> DirectoryService:
    return DirectoryService(
        ldap_url.read("ldap", f"127.0.0.1:{port}/o=x{more}"), options, limit=limit
    )


def vassal(number: int, key: int, text: str, kind: int | None = 1) -> bytes:
    """An entry, added unless told otherwise; None: without a word of synchronization."""
    return entry(
        number,
        f"cn=v{key}.ini,o=x",
        None if kind is None else state(kind, key),
        cn=f"v{key}.ini",
        emperorConfig=text,
        entryCSN=f"2026112409310{key}.000000Z#000000#000#000000",
    )
