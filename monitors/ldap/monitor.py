"""ldap://HOST/BASE?ATTRIBUTES?SCOPE?FILTER?EXTENSIONS: each entry that is found is a vassal.

Where the server has content synchronization (``ldap_sync``) the search goes on for ever: first
all that we lack comes, then each change when it happens. After a lost connection we say how far
we had come, and need not read all again.

Every ``freq`` seconds the server is asked whether anything was written (its contextCSN) and, if
so, for the stamps of our entries, but not for the entries. That shows, too, whether it is still
there. Where it has no synchronization, stamps that moved have the entries read again. Where it
has, they are the safety net: OpenLDAP, for one, does not tell of entries that moved along with
one above them.

A contextCSN that nobody keeps any more (the overlay was removed, or the database comes from the
dump of a server that had it) stays as it is for ever. So a poll heeds it once it was seen to move,
and nobody does for longer than a minute.

However much there is to read, and however slow the line: what has a limit is silence. A reading
goes on as long as message follows message; that they come to an end, the limits of ``ldap_sync``
see to, and one for messages that bring nothing.

``modifyTimestamp`` counts seconds, and an entry may change twice in one. Where the server gives
us nothing finer, entries are read again until such a second is over.
"""

import logging
import math
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from operator import itemgetter
from typing import Final

import trio

from ...journal.events import Spec
from .. import polling
from ..contract import Listing, Seen, Tell, Touched
from ..options import MonitorOptions
from ..polling import SourceFailed
from ..rows import Table
from ..urls import MonitorURLError

try:
    import ldap  # type: ignore[import-untyped]
except ImportError:
    raise MonitorURLError(
        "ldap:// needs python-ldap, which is not installed: pip install 'emperord[ldap]'"
    ) from None

import ldap.dn  # type: ignore[import-untyped]
from ldap.controls import RequestControl  # type: ignore[import-untyped]

from .. import names
from . import entries as ldap_entries
from . import sync, url
from .ber import BadMessage, element, sequence
from .connection import PAGED, LdapConnection, Message, code_of, control_value, error_text
from .credentials import Credentials, credentials
from .entries import Mark
from .sync import Content, Entry, OutOfStep, TooMuch
from .transport import connect

_PAGE: Final = 500  # entries
_CHUNK: Final = 100  # entries that are listed before others have their turn
_BATCH: Final = 1000  # messages that are taken in before what they amount to is told
_MOST_MESSAGES: Final = 1_000_000  # in one reading; some bring no entry
_MOST_USELESS: Final = 10_000  # messages from one reading to the next that bring nothing
_TRUSTED: Final = 60.0  # seconds for which a contextCSN that stays the same is believed
_SETTLED: Final = 2.0  # seconds until a stamp that counts seconds cannot be given again
_SCOPES: Final = {
    "base": ldap.SCOPE_BASE,
    "one": ldap.SCOPE_ONELEVEL,
    "sub": ldap.SCOPE_SUBTREE,
}
# How servers say that they have no synchronization, or not here.
_NO_SYNC: Final = (
    ldap.UNAVAILABLE_CRITICAL_EXTENSION,
    ldap.UNWILLING_TO_PERFORM,
    ldap.PROTOCOL_ERROR,
)
# How they say that there is no such entry, for us.
_HIDDEN: Final = (ldap.NO_SUCH_OBJECT, ldap.INSUFFICIENT_ACCESS)
# How they say that we are given no more.
_LIMITS: Final = (ldap.SIZELIMIT_EXCEEDED, ldap.TIMELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED)
_REFRESH_REQUIRED: Final = 4096  # RFC 4533: the cookie is too old

_log: Final = logging.getLogger("emperor")


class DirectoryService:
    """The monitor of ldap:// and ldaps://."""

    # The stamp is no row's to forget: it stays when a dump is edited and loaded.
    trusts_content = True

    def __init__(
        self, place: url.LdapUrl, options: MonitorOptions, *, limit: float = polling.LIMIT
    ) -> None:
        self.url = place.shown
        self._place = place
        self._options = options
        self._limit = limit
        self._polls_only = ""  # why, once that was logged

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the entries until cancelled."""
        table, content = Table(self._options), Content()
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

    async def _connect(self, table: Table, content: Content, nursery: trio.Nursery) -> "_Session":
        opening = self._open(table, content, nursery)
        return await polling.within(self._limit, opening, "connecting to it")

    async def _open(self, table: Table, content: Content, nursery: trio.Nursery) -> "_Session":
        given = await trio.to_thread.run_sync(credentials, self._place, abandon_on_cancel=True)
        wire = await connect(self._place)
        session = _Session(
            self._place, self._options, given, table, content, LdapConnection(wire), self._limit
        )
        nursery.start_soon(wire.carry)
        try:
            await session.open()
        except BaseException:
            with trio.CancelScope(shield=True):
                await session.close()
            raise
        return session


class _Session:
    """One connection."""

    def __init__(
        self,
        place: url.LdapUrl,
        options: MonitorOptions,
        given: Credentials,
        table: Table,
        content: Content,
        link: LdapConnection,
        limit: float,
    ) -> None:
        self._place = place
        self._options = options
        self._given = given
        self._table = table
        self._content = content
        self._link = link
        self._limit = limit
        self._patience = math.inf  # seconds for the next message; connecting has its own limit
        self._taken = 0  # messages in this reading
        self._useless = 0  # those since the last reading began that brought nothing
        self._follows = not place.poll
        self._news: int | None = None  # the request that goes on for ever
        self._context = place.base  # the entry that has the contextCSN
        self._asked = trio.current_time()  # when we asked for stamps
        self._csn: list[bytes] = []  # contextCSN when all stamps were as ours
        self._csn_moves = False  # it was seen to
        self._looked = -math.inf  # when the stamps came
        self._listed: Listing | None = None  # the last time
        self._strange: set[tuple[bytes, Mark]] = set()  # stamps that were not, last time
        self._is_unverified = False  # as the server does not give all stamps, which was logged

    # What polling asks of it

    async def read(self) -> Listing | tuple[Touched, ...]:
        """All entries there are."""
        self._patience, self._taken, self._useless = self._limit, 0, 0
        with self._failing():
            if self._follows:
                await self._catch_up()
            if self._follows and trio.current_time() - self._asked > self._options.freq:
                await self._verify()
            if not self._follows:
                await self._read_what_moved()
        return await self._listing()

    async def wait(self) -> None:
        """Until an entry changed, as far as the server tells."""
        with self._failing():
            while not self._content.changed:
                await self._take()

    async def close(self) -> None:
        """Hang up."""
        self._content.give_up()
        await self._link.close()

    # The connection

    async def open(self) -> None:
        """Say who we are, and begin to follow what changes. Raises SourceFailed."""
        with self._failing():
            if self._given.name:
                await self._answer(self._link.bind(self._given.name, self._given.password))
            self._context = await self._find_context()
            if self._follows:
                self._follow()

    async def _find_context(self) -> str:
        """The top of the database that the base is in, as far as the server tells."""
        found = await self._look("", "namingContexts")
        above = [
            context
            for value in found
            if _is_below(self._place.base, context := value.decode("utf-8", "replace"))
        ]
        return max(above, key=len, default=self._place.base)

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
                f"there is no entry {names.shown(self._place.base)}, or we may not see it; it is"
                " waited for"
            ) from None
        except _LIMITS as error:
            raise SourceFailed(
                "the server does not give us all entries"
                f" ({self._redacted(error_text(error))}): have it allow us more, or narrow the"
                " filter"
            ) from None
        except ldap.LDAPError as error:
            raise SourceFailed(self._redacted(error_text(error))) from None
        except (BadMessage, OutOfStep):
            self._content.cookie = None
            raise SourceFailed("what the server tells of changes makes no sense") from None
        except TooMuch as flaw:
            self._content.cookie = None
            raise SourceFailed(str(flaw)) from None

    def _redacted(self, text: str) -> str:
        password = self._given.password
        return text.replace(password, "***") if password else text

    # Messages

    async def _take(self) -> Message:
        """Take the next message in; if it is news of the entries, that is done with."""
        message = await self._link.take()
        self._sort(message)
        if message.kind == ldap.RES_SEARCH_REFERENCE:
            self._useless += 1
            if self._useless > _MOST_USELESS:
                raise SourceFailed(f"the server sent more than {_MOST_USELESS:,} referrals")
        return message

    async def _await(self) -> Message:
        """As ``_take``, of a server that owes us one. Any message will do: it is not silent."""
        self._taken += 1
        if self._taken > _MOST_MESSAGES:
            raise SourceFailed(f"the server sent {_MOST_MESSAGES:,} messages and was not done")
        with trio.move_on_after(self._patience):
            return await self._take()
        raise SourceFailed(f"the server was silent for {self._patience:g} s")

    def _sort(self, message: Message) -> None:
        if message.number == 0:  # a notice of disconnection
            raise message.error or SourceFailed("the server is about to hang up")
        if message.number == self._news:
            self._take_news(message)

    async def _answer(
        self, number: int, take: Callable[[Message], None] = lambda _: None
    ) -> Message:
        """The last message about a request; those before are handed to ``take``."""
        while True:
            message = await self._await()
            if message.number != number:
                continue
            if message.error is not None:
                raise message.error
            if message.is_last:
                return message
            take(message)

    # Following

    def _follow(self) -> None:
        """Ask for all that we lack, and all that changes."""
        if not self._may_resume():
            self._content.cookie = None
        self._content.begin()
        value = sync.request(self._content.cookie)
        self._news = self._search(RequestControl(sync.REQUEST, True, value))

    def _may_resume(self) -> bool:
        """Whether the server will find what we missed.

        OpenLDAP looks for it by entryCSN, on our behalf: what we may not see, it does not find,
        and says nothing of it.
        """
        content = self._content
        if b"csn=" not in (content.cookie or b""):
            return True  # another server, with another way
        return bool(content.entries) and all(
            ldap_entries.CSN in entry.attributes for entry in content.entries.values()
        )

    def _search(self, control: RequestControl, attributes: tuple[str, ...] | None = None) -> int:
        place = self._place
        attributes = (*place.attributes, *ldap_entries.MARKS) if attributes is None else attributes
        return self._link.search(
            place.base, _SCOPES[place.scope], place.filter, attributes, control
        )

    def _take_news(self, message: Message) -> None:
        if message.is_last:
            self._end_news(message.error)
        elif message.kind == ldap.RES_SEARCH_ENTRY:
            for dn, attributes, controls in message.data:
                state = control_value(controls, sync.STATE)
                if state is None:
                    self._give_up_following("the server does not know of synchronization")
                    return
                self._content.take_entry(state, ldap_entries.entry_of(dn, attributes))
        elif message.kind == ldap.RES_INTERMEDIATE:
            for name, value, _ in message.data:
                if name == sync.INFO:
                    self._content.take_info(value or b"")
        # Else it is a referral to another server, where we do not follow.

    def _end_news(self, error: Exception | None) -> None:
        """The search that was to go on for ever has ended."""
        self._news = None
        content = self._content
        if content.cookie is not None and (
            code_of(error) == _REFRESH_REQUIRED
            or (content.refreshing and not isinstance(error, ldap.BUSY | ldap.UNAVAILABLE))
        ):
            content.cookie = None  # it is not taken: all that there is, then
            self._follow()
        elif content.refreshing and (error is None or isinstance(error, _NO_SYNC)):
            reason = "it ended the search" if error is None else self._redacted(error_text(error))
            self._give_up_following(f"the server has no synchronization here ({reason})")
        else:
            raise error or SourceFailed("the server ended the search that was to go on")

    def _give_up_following(self, reason: str) -> None:
        _log.info("%s: it is polled: %s", self._place.shown, reason)
        if self._news is not None:
            self._link.abandon(self._news)
        self._news, self._follows = None, False
        self._content.give_up()
        self._content.cookie = None

    async def _catch_up(self) -> None:
        """Take in all that is here, and wait for the rest of a refresh."""
        for _ in range(_BATCH):
            if (message := self._link.take_now()) is None:
                break
            self._sort(message)
        while self._follows and self._content.refreshing:
            await self._await()

    async def _verify(self) -> None:
        """See to it that what we were told is what is there."""
        csn = await self._ask_csn()
        if self._is_idle(csn) and not self._strange:
            return
        try:
            theirs = await self._ask_marks()
        except _LIMITS as error:  # what is told of changes is right all the same
            self._leave_unverified(csn, error)
            return
        await self._catch_up()  # some of it may have been on its way
        strange = _difference(theirs, self._marks())
        if not strange:
            self._csn = csn
        if strange & self._strange:  # and it did not come since we asked before
            _log.info("%s: not all changes are told, so all is read again", self._place.shown)
            if self._news is not None:
                self._link.abandon(self._news)
            self._content.cookie = None
            self._follow()
            await self._catch_up()
            strange = set()
        self._strange = strange

    def _leave_unverified(self, csn: list[bytes], error: ldap.LDAPError) -> None:
        if not self._is_unverified:
            _log.warning(
                "%s: changes are told, but not all entries given, as they have to be after a"
                " restart (%s): have the server allow us more",
                self._place.shown,
                self._redacted(error_text(error)),
            )
        self._is_unverified = True
        self._csn, self._looked = csn, trio.current_time()

    def _is_idle(self, csn: list[bytes]) -> bool:
        """Whether nothing was written since all stamps were as ours, as contextCSN has it."""
        is_kept = self._follows or self._csn_moves
        is_old = trio.current_time() - self._looked > _TRUSTED
        return bool(csn) and csn == self._csn and is_kept and not is_old

    # Polling

    async def _read_what_moved(self) -> None:
        """Read all entries if anything says that one has changed."""
        now = trio.current_time()
        csn = await self._ask_csn()
        content = self._content
        if self._is_idle(csn) and content.unsettled is None:
            return
        written = csn != self._csn
        self._csn_moves |= written and bool(self._csn)
        marks = await self._ask_marks()
        moved = marks != self._marks()
        coarse = not all(csn for _, csn, _ in marks.values())
        if moved or content.unsettled is not None or (written and coarse):
            content.replace(await self._ask_entries())
        if moved and coarse:
            content.unsettled = trio.current_time()
        elif content.unsettled is not None and now - content.unsettled > _SETTLED:
            content.unsettled = None
        self._csn = csn

    async def _look(self, dn: str, attribute: str) -> list[bytes]:
        """The values of one attribute of one entry."""
        found: list[bytes] = []

        def take(message: Message) -> None:
            if message.kind == ldap.RES_SEARCH_ENTRY:
                for _, attributes, _ in message.data:
                    for values in attributes.values():
                        found.extend(values)

        number = self._link.search(dn, ldap.SCOPE_BASE, "(objectClass=*)", (attribute,))
        await self._answer(number, take)
        return found

    async def _ask_csn(self) -> list[bytes]:
        """What changes when anything is written, if the server has it."""
        self._asked = trio.current_time()
        csn = await self._look(self._place.base, "contextCSN")  # fails if the base has gone
        if not csn and self._context != self._place.base:
            with suppress(*_HIDDEN):  # whoever may see nothing but the branch of the vassals
                csn = await self._look(self._context, "contextCSN")
        return sorted(csn)

    async def _ask_marks(self) -> dict[bytes, Mark]:
        entries = await self._ask_entries(ldap_entries.MARKS)
        self._looked = trio.current_time()
        return {key: ldap_entries.mark_of(entry) for key, entry in entries.items()}

    def _marks(self) -> dict[bytes, Mark]:
        return {key: ldap_entries.mark_of(entry) for key, entry in self._content.entries.items()}

    async def _ask_entries(self, attributes: tuple[str, ...] | None = None) -> dict[bytes, Entry]:
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
            # Not critical: who has no pages sends all at once.
            number = self._search(RequestControl(PAGED, False, page), attributes)
            last = await self._answer(number, take)
            cookie = _next_page(last)
            if not cookie:
                return found

    # What it amounts to

    async def _listing(self) -> Listing | tuple[Touched, ...]:
        if self._listed is not None and not self._content.changed:
            return self._listed
        self._content.changed = False
        reading = self._table.reading()
        # Of two with one name, it is always the same that counts.
        entries = sorted(self._content.entries.items(), key=itemgetter(0))
        for number, (_, entry) in enumerate(entries):
            ldap_entries.add(reading, entry, self._place.attributes, self._options)
            if number % _CHUNK == _CHUNK - 1:
                await trio.lowlevel.checkpoint()
        listing = reading.listing()
        if isinstance(listing, tuple):
            self._content.changed = True  # the rest of it is to be listed
            return listing
        # Told again, it needs no texts.
        seen = {
            name: one if one.content is None else Seen(one.spec)
            for name, one in listing.seen.items()
        }
        self._listed = Listing(seen, listing.refused)
        return listing


def _next_page(last: Message) -> bytes:
    value = control_value(last.controls, PAGED)
    if not value:
        return b""
    parts = sequence(value)
    if len(parts) != 2:
        raise BadMessage
    return parts[1][1]


def _difference(one: Mapping[bytes, Mark], other: Mapping[bytes, Mark]) -> set[tuple[bytes, Mark]]:
    return set(one.items()) ^ set(other.items())


def _is_below(dn: str, top: str) -> bool:
    """Whether ``dn`` is ``top`` or below it."""
    try:
        inner, outer = ([_plain(rdn) for rdn in ldap.dn.str2dn(each)] for each in (dn, top))
    except ldap.DECODING_ERROR:
        return False
    return bool(outer) and inner[-len(outer) :] == outer


def _plain(rdn: list[tuple[str, str, int]]) -> list[tuple[str, str]]:
    return [(kind.lower(), value.lower()) for kind, value, _ in rdn]


def open_url(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldap://rest``. Raises MonitorURLError."""
    return _open("ldap", rest, options)


def open_secured(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldaps://rest``. Raises MonitorURLError."""
    return _open("ldaps", rest, options)


def _open(scheme: str, rest: str, options: MonitorOptions) -> DirectoryService:
    place = url.read(scheme, rest)
    try:
        ldap.dn.str2dn(place.base)
        _check_filter(place)
    except ldap.DECODING_ERROR:
        raise MonitorURLError(
            f"{place.shown}: the base is no DN, such as ou=vassals,dc=example,dc=com"
        ) from None
    except ldap.FILTER_ERROR:
        raise MonitorURLError(
            f"{place.shown}: the filter is none, such as (objectClass=emperorVassal); within a"
            " value, ( is written \\28, ) is \\29, * is \\2a and \\ is \\5c"
        ) from None
    return DirectoryService(place, options)


def _check_filter(place: url.LdapUrl) -> None:
    """Have libldap encode the filter, for nobody."""
    near, far = socket.socketpair()
    with near:
        link = ldap.initialize("ldap://", fileno=far.detach())
        try:
            link.search_ext(place.base, ldap.SCOPE_BASE, place.filter)
        finally:
            link.unbind_ext()
