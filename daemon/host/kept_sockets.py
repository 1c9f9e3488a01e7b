"""Sockets that are kept for a vassal (``listen``), from its first start until it is removed.

The daemon opens them before the vassal's process starts, with the vassal's rights as for sockets on
demand (``opening.py``). The keeper has copies. A process gets them as systemd gives them, from
descriptor 3 on (``enter.py``). Over a restart, a crash or a change of the program clients wait in
the backlog.

A change opens what it adds before it closes what it no longer has. If one address cannot be had,
those that were opened with it are closed again, and all others stay.
"""

import errno
import grp
import logging
import pwd
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from typing import Any, Final

import trio

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors.names import shown
from ..core.listening import addresses
from ..keeper.link import KeeperLink
from ..keeper.protocol import LEFT
from . import descriptors, socket_limits
from .accounts import Account, Accounts, NotAnswered, reduced
from .listen_address import CannotListen, parse
from .listeners import ALWAYS, from_kept
from .opening import Listener, Opening, run_opening, thread_key
from .passed_sockets import PassedSockets
from .socket_files import Terms, remove, terms
from .user_threads import NoAnswer, UserThreads
from .users import NoAccount, user_of

log = logging.getLogger("emperor.host")

ROOTS: Final = 1024  # ports below it are root's
# The settings that the terms depend on.
_OF_TERMS: Final = ("user", "group", "listen-owner", "listen-mode", "listen-backlog")
Prepare = Callable[[Callable[[], Awaitable[Terms]]], Awaitable[Terms]]
_SEPARATOR: Final = "\n"  # of vassal and address in the keeper's names; names have none


class OwnerNotTold(CannotListen):
    """The user database did not tell the owner of a socket in time."""


class KeptSockets:
    """The sockets, by vassal and address.

    ``others`` are those on demand. ``accounts`` looks up the owners of files.
    """

    def __init__(
        self,
        keeper: KeeperLink,
        threads: UserThreads,
        policy: Callable[[], Policy],
        others: Callable[[], list[Listener]],
        passed: PassedSockets | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self._accounts = Accounts() if accounts is None else accounts
        self._keeper = keeper
        self._passed = PassedSockets(keeper) if passed is None else passed
        self._threads = threads
        self._policy = policy
        self._others = others
        self._by_vassal: dict[str, dict[str, Listener]] = {}
        self._turns: dict[str, trio.Lock] = {}
        self._given_back: dict[str, int] = {}  # how often
        self._nursery: trio.Nursery | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """From now on files of sockets can be removed."""
        self._nursery = nursery

    def all(self) -> list[Listener]:
        """All sockets."""
        return [each for held in self._by_vassal.values() for each in held.values()]

    def held(self, vassal: str) -> list[Listener]:
        """The sockets of a vassal."""
        return list(self._by_vassal.get(vassal, {}).values())

    def of(self, vassal: str, spec: Spec) -> list[Listener]:
        """The sockets of a vassal of this spec, in its order. Raises OSError."""
        held = self._by_vassal.get(vassal, {})
        wanted = addresses(spec)
        missing = [each for each in wanted if each not in held]
        if missing:
            raise OSError(errno.ENOTCONN, f"its socket {shown(missing[0])} is not there")
        return [held[each] for each in wanted]

    def given_back(self, vassal: str) -> int:
        """How often the sockets of a vassal were given back."""
        return self._given_back.get(vassal, 0)

    async def open(
        self,
        vassal: str,
        spec: Spec,
        also: Collection[str] = (),
        given_back: int | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        """Listen at the addresses of a spec, and close others but those that are in ``also``.

        ``given_back`` is how often its sockets had been given back when this was ordered. Where
        that was done once more, nothing is opened: no later order would close it.
        ``prepare`` awaits the lookup of their owner, if they have one. It may give up.
        Raises CannotListen, and the errors of ``prepare``. Then all is as it was.
        """
        wanted = addresses(spec)
        before = self.given_back(vassal) if given_back is None else given_back
        if not wanted and vassal not in self._by_vassal:
            return
        turn = self._turns.setdefault(vassal, trio.Lock())
        begin = partial(self._begin, turn, spec)
        how = await (begin() if prepare is None or not _has_owner(spec) else prepare(begin))
        try:
            made: list[Listener] = []
            try:
                for address in wanted:
                    await self._open(vassal, address, how, made, before)
            except BaseException:
                for listener in made:
                    if listener in self.held(vassal):
                        self._close(listener)
                        self._remove(listener)
                raise
            for address, listener in list(self._by_vassal.get(vassal, {}).items()):
                if address not in wanted and address not in also:
                    self._close(listener)
                    self._remove(listener)
        finally:
            turn.release()

    async def _begin(self, turn: trio.Lock, spec: Spec) -> Terms:
        """Take the turn of a vassal, and tell how to listen for it. Raises CannotListen."""
        await turn.acquire()  # an earlier order may have it, and wait for the user database
        try:
            return await self._terms(spec)
        except BaseException:
            turn.release()
            raise

    async def _terms(self, spec: Spec) -> Terms:
        """How to listen for a vassal of this spec. Raises CannotListen.

        A directory service may not answer for its accounts. None of the threads that all share
        waits for that, because ends and stops of other vassals need them.
        """
        if not _has_owner(spec):
            return terms_of(spec, self._policy())
        account = Account(*map(spec.settings.get, ("user", "group", "listen-owner")))
        try:
            own = reduced(spec, _OF_TERMS)
            return await self._accounts.run(account, terms_of, own, self._policy())
        except NotAnswered as error:
            reason = f"the owner of its sockets cannot be looked up: {error}"
            raise OwnerNotTold(reason, "resources") from None
        except NoAccount as error:
            raise CannotListen(f"[emperor] listen-owner: {error}", "address") from None

    async def _open(
        self, vassal: str, address: str, how: Terms, made: list[Listener], before: int
    ) -> None:
        """Listen at one address; what listens there already goes on. Raises CannotListen."""
        self._check_wanted(vassal, address, before)
        _check_port(address, self._policy())
        known = self._by_vassal.get(vassal, {}).get(address) or self._take_back(vassal, address)
        if known is None:
            socket_limits.check(address, how.user, self.all())
        held = [each for each in (*self.all(), *self._others()) if each is not known]
        opening = Opening(vassal, address, how, known, tuple(held), self._passed)
        try:
            await run_opening(self._threads, opening)
            self._check_wanted(vassal, address, before)
        except BaseException:
            opening.abandon()
            raise
        if opening.made is None:
            assert known is not None
            known.how = how
            return
        if known is not None:  # it was shut down, or its file had gone
            self._close(known)
            log.warning(
                "%s: its socket %s is made anew; an instance that runs already has the former one,"
                " until 'emperor-ctl restart %s'",
                *map(shown, (vassal, address, vassal)),
            )
        listening, file = opening.made
        listener = Listener(vassal, address, listening, file, how, passed=opening.is_passed)
        self._hold(listener, how.user)
        made.append(listener)

    def _hold(self, listener: Listener, user: int | None) -> None:
        """Have it, and give the keeper a copy."""
        vassal, address = listener.vassal, listener.address
        self._by_vassal.setdefault(vassal, {})[address] = listener
        about: dict[str, Any] = {"address": address, "file": listener.file}
        if user is not None:
            about["user"] = user
        self._keeper.keep(_kept_name(vassal, address), [listener.socket.fileno()], about)

    def _check_wanted(self, vassal: str, address: str, before: int) -> None:
        """Raise CannotListen if its sockets were given back once more than ``before``."""
        if self.given_back(vassal) != before:
            raise CannotListen(f"{shown(address)} was given back meanwhile", "busy")

    def _take_back(self, vassal: str, address: str) -> Listener | None:
        """Go on with the socket that was set aside as a journal was lost, if there is one."""
        name = _kept_name(vassal, address)
        kept = self._keeper.take(LEFT + name)
        if kept is None:
            return None
        listener = from_kept(vassal, kept, self._passed)
        self._by_vassal.setdefault(vassal, {})[address] = listener
        self._keeper.keep(name, kept.descriptors, kept.about)
        self._keeper.drop(LEFT + name)
        return listener

    def give_back(self, vassal: str) -> None:
        """Close all sockets of a vassal, at once: another one may be about to have the address."""
        self._given_back[vassal] = self.given_back(vassal) + 1
        for listener in list(self._by_vassal.get(vassal, {}).values()):
            self._close(listener)
            self._remove(listener)

    async def give_back_all(self) -> None:
        """Close all sockets and remove their files: the daemon stops, and no other follows."""
        closed = self.all()
        for listener in closed:
            self._close(listener)
        for listener in closed:
            await self._unlink(listener)

    async def inherit(self, wanted: dict[str, set[str]]) -> None:
        """Go on with the sockets that a former daemon entrusted; the addresses of each vassal."""
        unwanted = []
        for name in [name for name in self._keeper.kept if name.startswith(ALWAYS)]:
            kept = self._keeper.take(name)
            assert kept is not None
            vassal, _, address = name.removeprefix(ALWAYS).partition(_SEPARATOR)
            try:
                listener = from_kept(vassal, kept, self._passed)
            except Exception:  # it is bound anew when its vassal starts
                log.exception("%s: its socket cannot be gone on with", shown(vassal))
                continue
            self._by_vassal.setdefault(vassal, {})[address] = listener
            if address not in wanted.get(vassal, ()):
                self._close(listener)
                unwanted.append(listener)
        for listener in unwanted:
            await self._unlink(listener)

    def reclaim(self, listener: Listener) -> None:
        """Go on with a socket that only the vassal's process still had, or the manager, too."""
        if self._passed.owns(listener.socket):
            listener.passed, listener.file = True, None
        self._hold(listener, listener.user)

    def close(self) -> None:
        """Close our copies. Vassals and the keeper have their own."""
        for listener in self.all():
            listener.socket.close()
        self._by_vassal.clear()

    def _close(self, listener: Listener) -> None:
        """Forget a socket; its file is still there."""
        held = self._by_vassal.get(listener.vassal, {})
        if held.get(listener.address) is listener:
            del held[listener.address]
            if not held:
                del self._by_vassal[listener.vassal]
        if not listener.passed:
            descriptors.empty(listener.socket)
        self._keeper.drop(_kept_name(listener.vassal, listener.address))
        listener.socket.close()

    def _remove(self, listener: Listener) -> None:
        if listener.file is not None and self._nursery is not None:
            self._nursery.start_soon(self._unlink, listener)

    async def _unlink(self, listener: Listener) -> None:
        """Remove the file of a socket, if it has one and it is still that."""
        if listener.file is None:
            return
        key = thread_key(listener.file.path, listener.how)
        try:
            await self._threads.run(key, remove, listener.file, listener.how)
        except NoAnswer:
            return  # the next listener there replaces it


def _has_owner(spec: Spec) -> bool:
    """Whether its settings name the owner of its sockets, who has to be looked up."""
    return "user" in spec.settings or "listen-owner" in spec.settings


def terms_of(spec: Spec, policy: Policy) -> Terms:
    """How to listen for a vassal of this spec. Raises NoAccount.

    May block where its settings name a user or an owner.
    """
    settings = spec.settings
    how = terms(spec, policy)._replace(setting="a socket of its listen")
    mode, backlog = settings.get("listen-mode"), settings.get("listen-backlog")
    if mode is not None:
        how = how._replace(mode=int(mode, 8))
    if backlog is not None:
        how = how._replace(backlog=int(backlog))
    if policy.on_demand_owner is None and "user" in settings:
        user = user_of(spec, policy)
        if user is not None:
            how = how._replace(uid=user.uid, gid=user.gid)
    owner = settings.get("listen-owner")
    if owner is not None:
        if policy.tyrant:
            raise NoAccount("in tyrant mode its source says whose it is; remove it")
        uid, gid = _owner(owner, how)
        how = how._replace(uid=uid, gid=gid)
    return how


def _owner(text: str, how: Terms) -> tuple[int, int]:
    """The uid and gid of ``USER`` or ``USER:GROUP``. Raises NoAccount."""
    user, _, group = text.partition(":")
    try:
        if user.isdigit():
            uid, gid = int(user), how.gid
        else:
            account = pwd.getpwnam(user)
            uid, gid = account.pw_uid, account.pw_gid
        if group:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise NoAccount(f"{text}: there is no such account or group") from None
    return uid, gid


def _check_port(address: str, policy: Policy) -> None:
    """Raise CannotListen for a port that no tenant may have."""
    port = parse(address).port
    if port is None or not policy.tyrant or port >= ROOTS:
        return
    if not any(first <= port <= last for first, last in policy.allow_ports):
        reason = (
            f"cannot listen at {shown(address)}: in tyrant mode ports below {ROOTS} are root's;"
            f" --allow-ports {port} allows it"
        )
        raise CannotListen(reason, "address")


def _kept_name(vassal: str, address: str) -> str:
    return f"{ALWAYS}{vassal}{_SEPARATOR}{address}"


def names_of(listeners: Collection[Listener]) -> Iterator[str]:
    """The names of sockets, for ``LISTEN_FDNAMES``: a colon separates those."""
    for each in listeners:
        yield "".join(
            c if c.isascii() and c.isprintable() and c != ":" else "-" for c in each.address
        )
