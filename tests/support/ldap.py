"""An OpenLDAP for the tests of one process, and sources in it, each a branch of its own."""

import atexit
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ldap  # type: ignore[import-untyped]
import ldap.modlist  # type: ignore[import-untyped]
import msgspec
import trio
from emperord.monitors import polling
from emperord.monitors.ldap import sync as ldap_sync
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.ber import BadMessage, element, elements, length_of
from emperord.monitors.ldap.monitor import DirectoryService
from emperord.monitors.options import MonitorOptions
from ldap.controls.simple import ManageDSAITControl  # type: ignore[import-untyped]

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
        self._server = server
        self._connect()

    def _connect(self) -> None:
        where = self._server.where
        self._link = ldap.initialize(f"ldap://127.0.0.1:{where['port']}")
        self._link.simple_bind_s(where["admin"], where["password"])

    def revive(self) -> None:
        """Start the server again if it has crashed; it keeps its entries."""
        try:
            self._link.whoami_s()
        except ldap.SERVER_DOWN:
            self._server("kill")
            self._server("start")
            self._connect()

    def close(self) -> None:
        """Hang up."""
        self._link.unbind_s()

    def add(self, dn: str, kind: str, **values: Any) -> None:
        """Add an entry."""
        self._link.add_s(
            dn, ldap.modlist.addModlist({"objectClass": [kind.encode()], **_all(values)})
        )

    def refer(self, dn: str, url: str) -> None:
        """Add an entry that refers to another server."""
        values = {"objectClass": ["referral", "extensibleObject"], "ref": url}
        control = ManageDSAITControl()
        self._link.add_ext_s(dn, ldap.modlist.addModlist(_all(values)), serverctrls=[control])

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
def _directory() -> Directory:
    directory = Directory(shared())
    atexit.register(directory.close)
    return directory


def talk() -> Directory:
    """The tests' own client of the shared server.

    slapd before 2.5.15 may crash when a client hangs up while a change is on its way to it
    (ITS#10016). That is its fault, and no test's: the next test finds it running again.
    """
    _directory().revive()
    return _directory()


class LdapSource:
    """``ou=vassals`` in a branch of its own, below the suffix that is called so.

    ``suffix``: where synchronization is; ``plain``: where there is none; ``stale``: nor is there,
    but a contextCSN that stays as it is.
    """

    def __init__(
        self,
        _: Path | None = None,
        *,
        below: str = "suffix",
        server: Service | None = None,
        directory: Directory | None = None,
    ) -> None:
        self.server = server or shared()
        self.directory = directory or talk()
        self.branch = f"o={uuid.uuid4().hex},{self.server.where[below]}"
        self.base = f"ou=vassals,{self.branch}"
        self.directory.add(self.branch, "organization")
        self.directory.add(self.base, "organizationalUnit")

    def rest(self, more: str = "", port: int | None = None) -> str:
        """The rest of the URL after ``ldap://``."""
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
        super().__init__(below="plain")

    def monitor(self, options: MonitorOptions) -> DirectoryService:
        """A monitor that polls, however seldom it is to."""
        return super().monitor(msgspec.structs.replace(options, freq=min(options.freq, 0.05)))


# A server that says what a test has it say


def message(number: int, *operation: bytes, controls: bytes = b"") -> bytes:
    """A message of LDAP."""
    given = [element(0xA0, controls)] if controls else []
    return element(0x30, element(0x02, number.to_bytes(4, "big")), *operation, *given)


def result(number: int, code: int = 0, text: str = "", tag: int = 0x65) -> bytes:
    """That a request is done; of a search unless another tag is given."""
    parts = (element(0x0A, bytes((code >> 8, code & 0xFF))), element(0x04), _text(text))
    return message(number, element(tag, *parts))


def entry(number: int, dn: str, state: bytes | None = None, **values: str) -> bytes:
    """An entry that was found, with the value of a sync state control."""
    attributes = [
        element(0x30, _text(name), element(0x31, _text(value))) for name, value in values.items()
    ]
    controls = b"" if state is None else element(0x30, _text(ldap_sync.STATE), element(0x04, state))
    found = element(0x64, _text(dn), element(0x30, *attributes))
    return message(number, found, controls=controls)


def info(number: int, value: bytes) -> bytes:
    """A sync info message."""
    name, content = element(0x80, ldap_sync.INFO.encode()), element(0x81, value)
    return message(number, element(0x79, name, content))


def state(kind: int, key: int, cookie: str | None = None) -> bytes:
    """The value of a sync state control: 0 present, 1 add, 2 modify, 3 delete."""
    given = [] if cookie is None else [_text(cookie)]
    return element(0x30, element(0x0A, bytes((kind,))), element(0x04, uuid_of(key)), *given)


def uuid_of(key: int) -> bytes:
    """An entryUUID."""
    return key.to_bytes(16, "big")


def _text(text: str) -> bytes:
    return element(0x04, text.encode())


class Request(NamedTuple):
    """A client's request: the tag of the operation, its number, and all its bytes."""

    tag: int
    number: int
    whole: bytes

    @property
    def is_sync(self) -> bool:
        """Whether it asks to be told of changes."""
        return ldap_sync.REQUEST.encode() in self.whole


@asynccontextmanager
async def scripted(answer: Callable[[Request], bytes | None]) -> AsyncIterator[int]:
    """A server on a loopback port; it sends what ``answer`` gives, or hangs up at None."""

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        async with stream:
            # The server hangs up on bytes that are no LDAP, such as the beginning of TLS.
            with contextlib.suppress(trio.BrokenResourceError, BadMessage, ValueError):
                async for more in stream:
                    data += more
                    while (length := length_of(data)) is not None and length <= len(data):
                        request, data = data[:length], data[length:]
                        ((_, content),) = elements(request)
                        (_, number), (tag, _), *_ = elements(content)
                        said = answer(Request(tag, int.from_bytes(number, "big"), request))
                        if said is None:
                            return
                        await stream.send_all(said)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, serve, 0, host="127.0.0.1", handler_nursery=nursery)
        )
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
