"""Following a search that goes on for ever (RFC 4533), where the server has synchronization.

First the server sends all that we lack, then each change when it happens. After a lost connection
we send the cookie of the last change, and need not read all again.
"""

import logging
from collections.abc import Callable
from typing import Final

import ldap  # type: ignore[import-untyped]
from ldap.controls import RequestControl  # type: ignore[import-untyped]

from ..polling import SourceFailed
from . import entries as ldap_entries
from . import sync, url
from .connection import Message, code_of, control_value, error_text
from .requests import Requests
from .sync import Content

_BATCH: Final = 1000  # messages that are taken in before the outcome is told
# How servers say that they have no synchronization, or not here.
_NO_SYNC: Final = (
    ldap.UNAVAILABLE_CRITICAL_EXTENSION,
    ldap.UNWILLING_TO_PERFORM,
    ldap.PROTOCOL_ERROR,
)
_REFRESH_REQUIRED: Final = 4096  # RFC 4533: the cookie is too old

_log: Final = logging.getLogger("emperor")


class Follower:
    """The search that goes on for ever. ``redacted`` takes secrets out of a text."""

    def __init__(
        self,
        ldap_url: url.LdapUrl,
        requests: Requests,
        content: Content,
        redacted: Callable[[str], str],
    ) -> None:
        self._ldap_url = ldap_url
        self._requests = requests
        self._content = content
        self._redacted = redacted
        self._number: int | None = None  # of the request
        self.is_on = not ldap_url.poll
        requests.listen = self._hear

    def start(self) -> None:
        """Ask for all that we lack, and all that changes."""
        if not self._may_resume():
            self._content.cookie = None
        self._content.begin()
        value = sync.request(self._content.cookie)
        self._number = self._requests.search(RequestControl(sync.REQUEST, True, value))

    def restart(self) -> None:
        """Ask for all entries again."""
        self._abandon()
        self._content.cookie = None
        self.start()

    async def catch_up(self) -> None:
        """Take in all that is here, and wait for the rest of a refresh."""
        for _ in range(_BATCH):
            if not self._requests.take_now():
                break
        while self.is_on and self._content.refreshing:
            await self._requests.take_owed()

    def _may_resume(self) -> bool:
        """Whether the server will find what we missed.

        OpenLDAP looks for it by entryCSN, with our rights. It does not find entries whose entryCSN
        we may not see, and does not say so.
        """
        content = self._content
        if b"csn=" not in (content.cookie or b""):
            return True  # another server, with another way
        return bool(content.entries) and all(
            ldap_entries.CSN in entry.attributes for entry in content.entries.values()
        )

    def _hear(self, message: Message) -> None:
        if message.number != self._number:
            return
        if message.is_last:
            self._end(message.error)
        elif message.kind == ldap.RES_SEARCH_ENTRY:
            for dn, attributes, controls in message.data:
                state = control_value(controls, sync.STATE)
                if state is None:
                    self._give_up("the server does not know of synchronization")
                    return
                self._content.take_entry(state, ldap_entries.entry_of(dn, attributes))
        elif message.kind == ldap.RES_INTERMEDIATE:
            for name, value, _ in message.data:
                if name == sync.INFO:
                    self._content.take_info(value or b"")
        # Else it is a referral to another server, where we do not follow.

    def _end(self, error: Exception | None) -> None:
        """The search that was to go on for ever has ended."""
        self._number = None
        content = self._content
        if content.cookie is not None and (
            code_of(error) == _REFRESH_REQUIRED
            or (content.refreshing and not isinstance(error, ldap.BUSY | ldap.UNAVAILABLE))
        ):
            content.cookie = None  # the server does not take it, so we ask for all there is
            self.start()
        elif content.refreshing and (error is None or isinstance(error, _NO_SYNC)):
            reason = "it ended the search" if error is None else self._redacted(error_text(error))
            self._give_up(f"the server has no synchronization here ({reason})")
        else:
            raise error or SourceFailed("the server ended the search that was to go on")

    def _give_up(self, reason: str) -> None:
        _log.info("%s: it is polled: %s", self._ldap_url.shown, reason)
        self._abandon()
        self.is_on = False
        self._content.give_up()
        self._content.cookie = None

    def _abandon(self) -> None:
        if self._number is not None:
            self._requests.connection.abandon(self._number)
        self._number = None
