"""Lookups of the accounts that vassals run as, in a user database that may not answer.

A directory service (LDAP, SSSD) may be behind the user database (NSS), and no lookup there can be
interrupted. One thread starts all vassals, so it makes no lookup. Each account has a thread of its
own, which is left behind when the answer is late. Then starts of this account's vassals fail at
once, and those of others go on.

A lookup belongs to no caller: it goes on when its caller is cancelled, and its answer is for all
that wait for the same. It hangs only after it has itself taken longer than the patience.

Each start that waits has a slot of ``--max-starting``. So while a lookup hangs, starts of other
accounts wait for a shorter time. Each answer may take longer than that. So a late one is kept for
the next try. "No such account" is an answer, too, but not after the patience. Python tells the same
of a directory service that could not be reached, which takes that long.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, TypeVarTuple

import trio

from ...journal.events import Spec
from ...journal.policy import Policy
from . import threads
from .expiring import Expiring
from .users import NoAccount, User, user_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE: Final = 5.0  # seconds for one lookup
SHORT: Final = 0.5  # seconds for one while another hangs
_KEPT: Final = 60.0  # seconds for which an answer is kept that came late
_AT_ONCE: Final = 64  # lookups of different accounts; so many vassals start at once by default
_OF_USER: Final = ("user", "group")  # the settings that a vassal's user depends on
_What = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments


class Account(NamedTuple):
    """The key of a lookup: ids or names.

    ``owner`` is whose the sockets of the vassal are, where its settings say so.
    """

    user: int | str | None
    group: int | str | None = None
    owner: str | None = None


class NotAnswered(Exception):
    """The user database did not tell an account in time; the text says so."""


class _Lookup:
    """One lookup, which runs in a thread, and its answer. Times are ``trio.current_time()``."""

    def __init__(self, look: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.what: _What = look, args
        self.began = trio.current_time()
        self.over = trio.Event()
        self.waiting = 0  # callers
        self.given_up = False  # by a caller, as it was late
        self._answers: list[Any] = []
        self._error: Exception | None = None

    def run(self) -> None:
        """Make it. Blocks, for a thread."""
        look, args = self.what
        try:
            self._answers.append(look(*args))
        except Exception as error:
            self._error = error

    @property
    def has_answer(self) -> bool:
        """Whether it has ended without an error."""
        return bool(self._answers)

    @property
    def has_no_account(self) -> bool:
        """Whether it has ended because there is no such account."""
        return isinstance(self._error, NoAccount)

    def answer(self) -> Any:
        """Its answer. Raises the error that it has ended with."""
        if self._error is not None:
            raise self._error
        return self._answers[0]


class Accounts:
    """Looks accounts up. ``look`` is the lookup, ``patience`` the seconds for one.

    ``short`` are the seconds for one while another hangs.
    """

    def __init__(
        self,
        look: Callable[[Spec, Policy], User | None] = user_of,
        patience: float = PATIENCE,
        short: float = SHORT,
    ) -> None:
        self._look = look
        self._patience = patience
        self._short = short
        self._lookups: dict[Account, _Lookup] = {}  # that have not ended
        # Those that ended when no caller waited any more, by account and function.
        self._late: Expiring[tuple[Account, Callable[..., Any]], _Lookup] = Expiring(_KEPT)
        # Its own, so that late lookups take no place from jobs on tenants' files.
        self._places = trio.Semaphore(_AT_ONCE)

    async def user_of(self, spec: Spec, policy: Policy) -> User | None:
        """The user that a vassal of this spec runs as; None for the daemon's own.

        Raises NoAccount; NotAnswered if the answer is late, or an earlier one for the account is.
        """
        account = account_of(spec, policy)
        if account is None:
            return None
        return await self.run(account, self._look, reduced(spec, _OF_USER), policy)

    async def run(self, account: Account, look: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of another lookup of an account. Raises NotAnswered as above.

        Callers with equal arguments share one lookup. An account has one lookup at a time.
        """
        what: _What = look, args
        found = self._kept(account, what)
        while found is None:
            lookup = self._lookups.get(account)
            if lookup is not None:
                await self._wait(lookup)
            else:
                async with self._places:
                    if account in self._lookups:  # another caller has begun it meanwhile
                        continue
                    lookup = self._begin(account, _Lookup(look, args))
                    await self._wait(lookup)
            if lookup.what == what:
                found = lookup
        answer: T = found.answer()
        return answer

    def _kept(self, account: Account, what: _What) -> _Lookup | None:
        """The lookup whose answer came after its callers had given up, for the next one."""
        late = self._late.take((account, what[0]))
        return late if late is not None and late.what == what else None

    def _begin(self, account: Account, lookup: _Lookup) -> _Lookup:
        """Have it run in a thread. Raises NotAnswered if there can be none."""
        token = trio.lowlevel.current_trio_token()

        def deliver(_: object) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(self._end, account, lookup)

        try:
            trio.lowlevel.start_thread_soon(lookup.run, deliver)
        except RuntimeError as error:
            if not threads.refused(error):
                raise
            reason = "the user database gives no answer, as there are no more threads"
            raise NotAnswered(reason) from None
        self._lookups[account] = lookup
        return lookup

    def _end(self, account: Account, lookup: _Lookup) -> None:
        del self._lookups[account]
        answered = lookup.has_answer or (lookup.has_no_account and not self._hangs(lookup))
        if answered and lookup.given_up and not lookup.waiting:
            self._late.put((account, lookup.what[0]), lookup)
        lookup.over.set()

    async def _wait(self, lookup: _Lookup) -> None:
        """Wait for its end. Raises NotAnswered if that is late."""
        until = lookup.began + self._patience
        if any(self._hangs(each) for each in self._lookups.values()):
            until = min(until, trio.current_time() + self._short)
        lookup.waiting += 1
        try:
            with trio.move_on_at(until):
                await lookup.over.wait()
        finally:
            lookup.waiting -= 1
        if not lookup.over.is_set():
            lookup.given_up = True
            seconds = f"{until - lookup.began:.3g} s"
            raise NotAnswered(f"the user database gives no answer within {seconds}")

    def _hangs(self, lookup: _Lookup) -> bool:
        return trio.current_time() >= lookup.began + self._patience


def account_of(spec: Spec, policy: Policy) -> Account | None:
    """The account that has to be looked up for a vassal of this spec; None if there is none."""
    if policy.tyrant:
        return Account(spec.uid, spec.gid)
    if policy.user is not None:
        return Account(*policy.user)
    named = spec.settings.get("user")
    return None if named is None else Account(named, spec.settings.get("group"))


def reduced(spec: Spec, names: tuple[str, ...]) -> Spec:
    """A spec with these settings and the uid and gid alone: equal for all that may share."""
    settings = {name: spec.settings[name] for name in names if name in spec.settings}
    return Spec(ts=0, uid=spec.uid, gid=spec.gid, settings=settings)
