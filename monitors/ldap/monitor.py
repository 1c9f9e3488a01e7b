"""ldap://HOST/BASE?ATTRIBUTES?SCOPE?FILTER?EXTENSIONS: each entry that is found is a vassal.

Where the server has content synchronization (``ldap_sync``), ``follower`` has it tell of changes as
they happen. ``stamps`` polls: it finds changes where the server does not tell of them, and checks
what the server told. ``session`` is one connection with both.
"""

import socket
from collections.abc import Mapping
from functools import partial

import trio

from ...journal.events import Spec
from .. import polling
from ..contract import Tell
from ..options import MonitorOptions
from ..table import Table
from ..urls import MonitorURLError

try:
    import ldap  # type: ignore[import-untyped]
except ImportError:
    raise MonitorURLError(
        "ldap:// needs python-ldap, which is not installed: pip install 'emperord[ldap]'"
    ) from None

import ldap.dn  # type: ignore[import-untyped]

from . import url
from .connection import LdapConnection
from .credentials import credentials
from .session import Session
from .sync import Content
from .transport import connect


class DirectoryService:
    """The monitor of ldap:// and ldaps://."""

    # The stamp is no row's to forget: it stays when a dump is edited and loaded.
    trusts_content = True

    def __init__(
        self, ldap_url: url.LdapUrl, options: MonitorOptions, *, limit: float = polling.LIMIT
    ) -> None:
        self.url = ldap_url.shown
        self._ldap_url = ldap_url
        self._options = options
        self._limit = limit

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the entries until cancelled."""
        table, content = Table(self._options, known), Content()
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                await polling.poll(
                    partial(self._connect, table, content, nursery),
                    tell,
                    self._options.freq,
                    limit=polling.LONGEST,  # besides, each answer has a limit
                )
            except Exception as error:  # carried past the nursery, which would wrap it
                failure = error
        if failure is not None:
            raise failure

    async def _connect(self, table: Table, content: Content, nursery: trio.Nursery) -> Session:
        opening = self._open(table, content, nursery)
        return await polling.within(self._limit, opening, "connecting to it")

    async def _open(self, table: Table, content: Content, nursery: trio.Nursery) -> Session:
        given = await trio.to_thread.run_sync(
            credentials, self._ldap_url, self._options.locked, abandon_on_cancel=True
        )
        wire = await connect(self._ldap_url)
        session = Session(
            self._ldap_url, self._options, given, table, content, LdapConnection(wire), self._limit
        )
        nursery.start_soon(wire.carry)
        try:
            await session.open()
        except BaseException:
            with trio.CancelScope(shield=True):
                await session.close()
            raise
        return session


def open_url(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldap://rest``. Raises MonitorURLError."""
    return _open("ldap", rest, options)


def open_secured(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldaps://rest``. Raises MonitorURLError."""
    return _open("ldaps", rest, options)


def _open(scheme: str, rest: str, options: MonitorOptions) -> DirectoryService:
    ldap_url = url.read(scheme, rest)
    try:
        ldap.dn.str2dn(ldap_url.base)
        _check_filter(ldap_url)
    except ldap.DECODING_ERROR:
        raise MonitorURLError(
            f"{ldap_url.shown}: the base is no DN, such as ou=vassals,dc=example,dc=com"
        ) from None
    except ldap.FILTER_ERROR:
        raise MonitorURLError(
            f"{ldap_url.shown}: the filter is none, such as (objectClass=emperorVassal); within a"
            " value, ( is written \\28, ) is \\29, * is \\2a and \\ is \\5c"
        ) from None
    return DirectoryService(ldap_url, options)


def _check_filter(ldap_url: url.LdapUrl) -> None:
    """Have libldap encode the filter, and send it nowhere."""
    near, far = socket.socketpair()
    with near:
        link = ldap.initialize("ldap://", fileno=far.detach())
        try:
            link.search_ext(ldap_url.base, ldap.SCOPE_BASE, ldap_url.filter)
        finally:
            link.unbind_ext()
