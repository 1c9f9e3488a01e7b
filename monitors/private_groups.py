"""Tyrant mode: which groups have one member only, so that the group is that user.

With user private groups (umask 002) each account is the only member of its own group. So a file
that this group may write to is still the user's own. A member is an account that the group lists
(``/etc/group``), and an account whose primary group it is (``/etc/passwd``). A group without
members is no user's: programs that are set-gid may have it.

The name service may be slow, or not answer, so it is asked in a thread of its own. A scan does not
wait for it longer than ``PATIENCE``, and not at all while an earlier question is late.
"""

import grp
import os
import pwd
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

PATIENCE: Final = 5.0  # seconds for the name service to list all accounts and groups
_FRESH: Final = 60.0  # seconds that its answer counts, if the files below stay as they are
_FILES: Final = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")

_WHO_MAY_WRITE: Final = (
    "the name service does not say in time which users are in the groups that may write to it;"
    " chmod g-w, or mend the name service"
)

T = TypeVar("T")

Answer = Mapping[int, frozenset[int | None]]
"""The members of each group; None is one whose uid is not known."""


class NotKnown(Exception):
    """The name service has not said who is in which group; the text says so."""

    def __init__(self, text: str = _WHO_MAY_WRITE) -> None:
        super().__init__(text)


class Members:
    """Tells the only members of groups, and remembers for a while what ``ask`` said."""

    def __init__(self, ask: Callable[[], Answer] | None = None, patience: float = PATIENCE) -> None:
        self._ask = ask or all_members
        self._patience = patience
        self._lock = threading.Lock()
        self._asked: Question[Answer] | None = None
        self._known: Answer = {}
        self._until = 0.0
        self._of: tuple[object, ...] = ()  # the state of the files that the answer is of

    def only(self, gid: int) -> int | None:
        """The uid of the group's only member, None if it has none, or several.

        Root does not count as another member. Raises NotKnown.
        """
        members = self._members().get(gid, frozenset())
        one = members - {0} or members
        return next(iter(one)) if len(one) == 1 else None

    def _members(self) -> Answer:
        with self._lock:
            now, files = time.monotonic(), state()
            if now < self._until and files == self._of:
                return self._known
            question = self._asked
            if question is None or question.ended:
                question = self._asked = Question(self._ask, now + self._patience)
            elif now >= question.due:
                raise NotKnown
            question.thread.join(max(0.0, question.due - now))
            if question.answer is None:
                raise NotKnown
            self._known, self._until, self._of = question.answer, now + _FRESH, files
            self._asked = None
            return self._known


class Question(Generic[T]):
    """One question to the name service, in a thread that no caller has to wait for.

    ``due`` is the time, of the monotonic clock, until which it is waited for.
    """

    def __init__(self, ask: Callable[[], T], due: float) -> None:
        self._put = ask
        self.due = due
        self.answer: T | None = None
        self.thread = threading.Thread(target=self._ask, name="members", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # no more threads can be had
            raise NotKnown from None

    @property
    def ended(self) -> bool:
        return not self.thread.is_alive()

    def _ask(self) -> None:
        self.answer = self._put()


def all_members() -> Answer:
    """The members of all groups, as the name service lists them. Blocks."""
    uids: dict[str, int] = {}
    members: dict[int, set[int | None]] = {}
    for account in pwd.getpwall():
        uids.setdefault(account.pw_name, account.pw_uid)
        members.setdefault(account.pw_gid, set()).add(account.pw_uid)
    for group in grp.getgrall():
        # A member that is no account could become one.
        members.setdefault(group.gr_gid, set()).update(map(uids.get, group.gr_mem))
    return {gid: frozenset(each) for gid, each in members.items()}


def state() -> tuple[object, ...]:
    """Numbers that differ when one of the files with accounts and groups does."""
    return tuple(map(_state_of, _FILES))


def _state_of(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size


MEMBERS: Final = Members()
