"""One connection to a server of LDAP: opening it, reading, and the listing of its entries."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Final

import ldap  # type: ignore[import-untyped]
import trio

from .. import names
from ..contract import Listing, Seen, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..table import Table
from . import entries as ldap_entries
from . import url
from .ber import BadMessage
from .connection import LdapConnection, error_text
from .credentials import Credentials
from .follower import Follower
from .requests import Requests
from .stamps import LIMITS, Stamps
from .sync import Content, OutOfStep, TooMuch

_CHUNK: Final = 100  # entries that are listed before others have their turn


class Session:
    """One connection. ``table`` and ``content`` outlive it."""

    def __init__(
        self,
        ldap_url: url.LdapUrl,
        options: MonitorOptions,
        given: Credentials,
        table: Table,
        content: Content,
        connection: LdapConnection,
        limit: float,
    ) -> None:
        self._ldap_url = ldap_url
        self._options = options
        self._given = given
        self._table = table
        self._content = content
        self._requests = Requests(connection, ldap_url, limit)
        self._follower = Follower(ldap_url, self._requests, content, self._redacted)
        self._stamps = Stamps(ldap_url, self._requests, content, self._follower, self._redacted)
        self._listed: Listing | None = None  # the last time

    async def open(self) -> None:
        """Log in, and begin to follow changes. Raises SourceFailed."""
        with self._failing():
            if self._given.name:
                await self._requests.bind(self._given.name, self._given.password)
            await self._requests.find_context()
            if self._follower.is_on:
                self._follower.start()

    async def read(self) -> Listing | tuple[Touched, ...]:
        """All entries there are."""
        self._requests.begin_reading()
        with self._failing():
            if self._follower.is_on:
                await self._follower.catch_up()
            asked_long_ago = trio.current_time() - self._stamps.asked > self._options.freq
            if self._follower.is_on and asked_long_ago:
                await self._stamps.verify()
            if not self._follower.is_on:
                await self._stamps.poll()
        return await self._listing()

    async def wait(self) -> None:
        """Return when the server told that an entry changed."""
        with self._failing():
            while not self._content.changed:
                await self._requests.take()

    async def close(self) -> None:
        """Hang up."""
        self._content.give_up()
        await self._requests.connection.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except ldap.INVALID_CREDENTIALS:
            raise SourceFailed(
                f"the server does not take the DN or the password of {self._given.name}"
            ) from None
        except ldap.NO_SUCH_OBJECT:
            raise SourceFailed(
                f"there is no entry {names.shown(self._ldap_url.base)}, or we may not see it; it is"
                " waited for"
            ) from None
        except LIMITS as error:
            raise SourceFailed(
                "the server does not give us all entries"
                f" ({self._redacted(error_text(error))}): have it allow us more, or narrow the"
                " filter"
            ) from None
        except ldap.LDAPError as error:
            raise SourceFailed(self._redacted(error_text(error))) from None
        except (BadMessage, OutOfStep):
            self._content.cookie = None
            raise SourceFailed("the server's news of changes makes no sense") from None
        except TooMuch as flaw:
            self._content.cookie = None
            raise SourceFailed(str(flaw)) from None

    def _redacted(self, text: str) -> str:
        password = self._given.password
        return text.replace(password, "***") if password else text

    async def _listing(self) -> Listing | tuple[Touched, ...]:
        if self._listed is not None and not self._content.changed:
            return self._listed
        self._content.changed = False
        reading = self._table.reading()
        # In a fixed order: of two entries with one name, it is always the same that counts.
        entries = sorted(self._content.entries.items(), key=itemgetter(0))
        for number, (_, entry) in enumerate(entries):
            ldap_entries.add(reading, entry, self._ldap_url.attributes, self._options)
            if number % _CHUNK == _CHUNK - 1:
                await trio.lowlevel.checkpoint()
        listing = reading.listing()
        if isinstance(listing, tuple):
            self._content.changed = True  # the rest of it is to be listed
            return listing
        # The journal has the texts now, so a later listing tells the same specs without them.
        seen = {
            name: one if one.content is None else Seen(one.spec)
            for name, one in listing.seen.items()
        }
        self._listed = Listing(seen, listing.refused)
        return listing
