"""Requests to a server of LDAP, and the limits of its answers.

However much there is to read, and however slow the line: the limit is silence. A reading goes on as
long as message follows message. It ends all the same, because entries are limited (``sync``), and
so are all messages and those that bring nothing.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import ldap  # type: ignore[import-untyped]
import ldap.dn  # type: ignore[import-untyped]
import trio
from ldap.controls import RequestControl  # type: ignore[import-untyped]

from ..polling import SourceFailed
from . import entries as ldap_entries
from . import sync, url
from .ber import BadMessage, element, sequence
from .connection import PAGED, LdapConnection, Message, control_value
from .sync import Entry

_PAGE: Final = 500  # entries
_MOST_MESSAGES: Final = 1_000_000  # in one reading; some bring no entry
_MOST_USELESS: Final = 10_000  # messages from one reading to the next that bring nothing
_SCOPES: Final = {
    "base": ldap.SCOPE_BASE,
    "one": ldap.SCOPE_ONELEVEL,
    "sub": ldap.SCOPE_SUBTREE,
}
# How servers say that there is no such entry, for us.
_HIDDEN: Final = (ldap.NO_SUCH_OBJECT, ldap.INSUFFICIENT_ACCESS)


class Requests:
    """Sends requests over one connection, and waits for the answers.

    ``listen`` is called with each message before it is handed on: the search that goes on for
    ever has its messages among the answers.
    """

    def __init__(self, connection: LdapConnection, ldap_url: url.LdapUrl, limit: float) -> None:
        self.connection = connection
        self._ldap_url = ldap_url
        self._limit = limit
        self._patience = math.inf  # seconds for the next message; connecting has its own limit
        self._taken = 0  # messages in this reading
        self._useless = 0  # those since the last reading began that brought nothing
        self._context = ldap_url.base  # the entry that has the contextCSN
        self.listen: Callable[[Message], None] = lambda _: None

    def begin_reading(self) -> None:
        """Count messages from here on."""
        self._patience, self._taken, self._useless = self._limit, 0, 0

    # Messages

    async def take(self) -> Message:
        """Take the next message in, however long that takes."""
        message = await self.connection.take()
        self._hear(message)
        if message.kind == ldap.RES_SEARCH_REFERENCE:
            self._useless += 1
            if self._useless > _MOST_USELESS:
                raise SourceFailed(f"the server sent more than {_MOST_USELESS:,} referrals")
        return message

    async def take_owed(self) -> Message:
        """As ``take``, of a server that owes us one. Any message shows that it is not silent."""
        self._taken += 1
        if self._taken > _MOST_MESSAGES:
            raise SourceFailed(f"the server sent {_MOST_MESSAGES:,} messages and was not done")
        with trio.move_on_after(self._patience):
            return await self.take()
        raise SourceFailed(f"the server was silent for {self._patience:g} s")

    def take_now(self) -> bool:
        """Take the next message in if it is here; whether it was."""
        message = self.connection.take_now()
        if message is None:
            return False
        self._hear(message)
        return True

    def _hear(self, message: Message) -> None:
        if message.number == 0:  # a notice of disconnection
            raise message.error or SourceFailed("the server is about to hang up")
        self.listen(message)

    async def answer(
        self, number: int, take: Callable[[Message], None] = lambda _: None
    ) -> Message:
        """The last message about a request; those before are handed to ``take``."""
        while True:
            message = await self.take_owed()
            if message.number != number:
                continue
            if message.error is not None:
                raise message.error
            if message.is_last:
                return message
            take(message)

    # Requests

    async def bind(self, name: str, password: str) -> None:
        """Log in."""
        await self.answer(self.connection.bind(name, password))

    def search(self, control: RequestControl, attributes: tuple[str, ...] | None = None) -> int:
        """Ask for all entries, whole ones unless some attributes are named; its number."""
        ldap_url = self._ldap_url
        if attributes is None:
            attributes = (*ldap_url.attributes, *ldap_entries.MARKS, ldap_entries.AUTHOR)
        return self.connection.search(
            ldap_url.base, _SCOPES[ldap_url.scope], ldap_url.filter, attributes, control
        )

    async def find_context(self) -> None:
        """Find the top of the database that the base is in, as far as the server tells."""
        found = await self._look("", "namingContexts")
        above = [
            context
            for value in found
            if _is_below(self._ldap_url.base, context := value.decode("utf-8", "replace"))
        ]
        self._context = max(above, key=len, default=self._ldap_url.base)

    async def _look(self, dn: str, attribute: str) -> list[bytes]:
        """The values of one attribute of one entry."""
        found: list[bytes] = []

        def take(message: Message) -> None:
            if message.kind == ldap.RES_SEARCH_ENTRY:
                for _, attributes, _ in message.data:
                    for values in attributes.values():
                        found.extend(values)

        number = self.connection.search(dn, ldap.SCOPE_BASE, "(objectClass=*)", (attribute,))
        await self.answer(number, take)
        return found

    async def csn(self) -> list[bytes]:
        """The contextCSN, which changes with every write, if the server has it."""
        csn = await self._look(self._ldap_url.base, "contextCSN")  # fails if the base has gone
        if not csn and self._context != self._ldap_url.base:
            with suppress(*_HIDDEN):  # our user may see nothing but the branch of the vassals
                csn = await self._look(self._context, "contextCSN")
        return sorted(csn)

    async def entries(self, attributes: tuple[str, ...] | None = None) -> dict[bytes, Entry]:
        """All entries, page by page; whole ones unless some attributes are named."""
        found: dict[bytes, Entry] = {}
        size = 0

        def take(message: Message) -> None:
            nonlocal size
            if message.kind != ldap.RES_SEARCH_ENTRY:
                return  # a referral
            for dn, values, _ in message.data:
                entry = ldap_entries.entry_of(dn, values)
                found[ldap_entries.key_of(entry)] = entry
                size += entry.size()
            sync.check_size(len(found), size)

        cookie = b""
        while True:
            page = element(0x30, element(0x02, _PAGE.to_bytes(2, "big")), element(0x04, cookie))
            # The control is not critical: a server without pages sends all at once.
            number = self.search(RequestControl(PAGED, False, page), attributes)
            last = await self.answer(number, take)
            cookie = _next_page(last)
            if not cookie:
                return found


def _next_page(last: Message) -> bytes:
    value = control_value(last.controls, PAGED)
    if not value:
        return b""
    parts = sequence(value)
    if len(parts) != 2:
        raise BadMessage
    return parts[1][1]


def _is_below(dn: str, top: str) -> bool:
    """Whether ``dn`` is ``top`` or below it."""
    try:
        inner, outer = ([_plain(rdn) for rdn in ldap.dn.str2dn(each)] for each in (dn, top))
    except ldap.DECODING_ERROR:
        return False
    return bool(outer) and inner[-len(outer) :] == outer


def _plain(rdn: list[tuple[str, str, int]]) -> list[tuple[str, str]]:
    return [(kind.lower(), value.lower()) for kind, value, _ in rdn]
