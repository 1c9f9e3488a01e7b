"""Comparing the server's stamps with ours: how polling finds changes, and how following is checked.

Every ``freq`` seconds the server is asked whether anything was written (its contextCSN). If so, it
is asked for the stamps of our entries, not for the entries. Without synchronization, stamps that
moved have the entries read again. With it, the stamps are the safety net: OpenLDAP, for one, does
not tell of entries that moved along with one above them.

A contextCSN may be frozen: the overlay was removed, or the database comes from the dump of
a server that had it. So polling trusts it only after it was seen to move, and for a minute at most.

``modifyTimestamp`` counts seconds, and an entry may change twice in one. Where the server gives
nothing finer, entries are read again until such a second is over.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

import ldap  # type: ignore[import-untyped]
import trio

from . import entries as ldap_entries
from . import url
from .connection import error_text
from .entries import Mark
from .follower import Follower
from .requests import Requests
from .sync import Content

_TRUSTED: Final = 60.0  # seconds for which a contextCSN that stays the same is believed
_SETTLED: Final = 2.0  # seconds until a stamp that counts seconds cannot be given again
# How servers say that we are given no more.
LIMITS: Final = (ldap.SIZELIMIT_EXCEEDED, ldap.TIMELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED)

_log: Final = logging.getLogger("emperor")


class Stamps:
    """The stamps of one connection. ``redacted`` takes secrets out of a text."""

    def __init__(
        self,
        ldap_url: url.LdapUrl,
        requests: Requests,
        content: Content,
        follower: Follower,
        redacted: Callable[[str], str],
    ) -> None:
        self._ldap_url = ldap_url
        self._requests = requests
        self._content = content
        self._follower = follower
        self._redacted = redacted
        self.asked = trio.current_time()  # when we asked for stamps
        self._csn: list[bytes] = []  # contextCSN when all stamps were as ours
        self._csn_moves = False  # it was seen to
        self._looked = -math.inf  # when the stamps came
        self._strange: set[tuple[bytes, Mark]] = set()  # stamps that were not as ours, last time
        self._is_unverified = False  # the server does not give all stamps, which was logged

    async def verify(self) -> None:
        """Make sure that we were told of every change; if not, have all entries sent again."""
        csn = await self._ask_csn()
        if self._is_idle(csn) and not self._strange:
            return
        try:
            theirs = await self._ask()
        except LIMITS as error:  # changes are told correctly all the same
            self._leave_unverified(csn, error)
            return
        await self._follower.catch_up()  # changes may have been on their way
        strange = _difference(theirs, self._ours())
        if not strange:
            self._csn = csn
        if strange & self._strange:  # and it did not come since we asked before
            _log.info("%s: not all changes are told, so all is read again", self._ldap_url.shown)
            self._follower.restart()
            await self._follower.catch_up()
            strange = set()
        self._strange = strange

    async def poll(self) -> None:
        """Read all entries if anything says that one has changed."""
        now = trio.current_time()
        csn = await self._ask_csn()
        content = self._content
        if self._is_idle(csn) and content.unsettled is None:
            return
        written = csn != self._csn
        self._csn_moves |= written and bool(self._csn)
        marks = await self._ask()
        moved = marks != self._ours()
        coarse = not all(csn for _, csn, _ in marks.values())
        if moved or content.unsettled is not None or (written and coarse):
            content.replace(await self._requests.entries())
        if moved and coarse:
            content.unsettled = trio.current_time()
        elif content.unsettled is not None and now - content.unsettled > _SETTLED:
            content.unsettled = None
        self._csn = csn

    def _leave_unverified(self, csn: list[bytes], error: ldap.LDAPError) -> None:
        if not self._is_unverified:
            _log.warning(
                "%s: changes are told, but not all entries given, as they have to be after a"
                " restart (%s): have the server allow us more",
                self._ldap_url.shown,
                self._redacted(error_text(error)),
            )
        self._is_unverified = True
        self._csn, self._looked = csn, trio.current_time()

    def _is_idle(self, csn: list[bytes]) -> bool:
        """Whether, by the contextCSN, nothing was written since all stamps were as ours."""
        is_kept = self._follower.is_on or self._csn_moves
        is_old = trio.current_time() - self._looked > _TRUSTED
        return bool(csn) and csn == self._csn and is_kept and not is_old

    async def _ask_csn(self) -> list[bytes]:
        self.asked = trio.current_time()
        return await self._requests.csn()

    async def _ask(self) -> dict[bytes, Mark]:
        entries = await self._requests.entries(ldap_entries.MARKS)
        self._looked = trio.current_time()
        return {key: ldap_entries.mark_of(entry) for key, entry in entries.items()}

    def _ours(self) -> dict[bytes, Mark]:
        return {key: ldap_entries.mark_of(entry) for key, entry in self._content.entries.items()}


def _difference(one: Mapping[bytes, Mark], other: Mapping[bytes, Mark]) -> set[tuple[bytes, Mark]]:
    return set(one.items()) ^ set(other.items())
