"""Lookups of the accounts that vassals run as, in a user database that may not answer.

A directory service (LDAP, SSSD) may be behind the user database (NSS), and no lookup there can be
interrupted. One thread starts all vassals, so it makes no lookup. Each account has a thread of its
own, which is left behind when the answer is late. Then starts of this account's vassals fail at
once, and those of others go on.
"""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

from ...journal.events import Spec
from ...journal.policy import Policy
from .user_threads import PATIENCE, Account, NoAnswer, UserThreads
from .users import User, user_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_AT_ONCE: Final = 64  # lookups of different accounts; so many vassals start at once by default


class NotAnswered(Exception):
    """The user database did not tell an account in time; the text says so."""


class Accounts:
    """Looks accounts up. ``look`` is the lookup, ``patience`` the seconds for one."""

    def __init__(
        self,
        look: Callable[[Spec, Policy], User | None] = user_of,
        patience: float = PATIENCE,
    ) -> None:
        self._look = look
        # Its own, so that late lookups take no place from jobs on tenants' files.
        self._threads = UserThreads(patience, _AT_ONCE)

    async def user_of(self, spec: Spec, policy: Policy) -> User | None:
        """The user that a vassal of this spec runs as; None for the daemon's own.

        Raises NoAccount; NotAnswered if the answer is late, or an earlier one for the account is.
        """
        account = account_of(spec, policy)
        if account is None:
            return None
        return await self.run(account, self._look, spec, policy)

    async def run(self, account: Account, look: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of another lookup of an account. Raises NotAnswered as above."""
        try:
            return await self._threads.run(account, look, *args)
        except NoAnswer as error:
            raise NotAnswered(f"the user database gives {error}") from None


def account_of(spec: Spec, policy: Policy) -> Account | None:
    """The account that has to be looked up for a vassal of this spec; None if there is none."""
    if policy.tyrant:
        return Account(spec.uid, spec.gid)
    if policy.user is not None:
        return Account(*policy.user)
    named = spec.settings.get("user")
    return None if named is None else Account(named, spec.settings.get("group"))
