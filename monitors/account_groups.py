"""Tyrant mode: whether the account of a file's owner is in the group of the file.

A file does not tell. A directory with the set-gid bit gives its group to the files that any user
makes there, and ``mv`` keeps that. So does a set-gid program that makes a file. A user also keeps
files of a group that it has left. A vassal would run with that group.

The name service is asked in a thread of its own, as in ``private_groups.py``.
"""

import os
import pwd
import threading
import time
from collections.abc import Callable
from typing import Final

from .private_groups import PATIENCE, NotKnown, Question, state

_FRESH: Final = 60.0  # seconds that answers count, if the files with accounts stay as they are
_LATE: Final = (
    "the name service does not say in time whether its owner is in its group; mend the name service"
)

Groups = frozenset[int]


class AccountGroups:
    """Tells the groups of accounts, and remembers for a while what ``ask`` said of a uid.

    ``files`` tells the state of the files with accounts. Answers count while it is the same.
    """

    def __init__(
        self,
        ask: Callable[[int], Groups | None] | None = None,
        patience: float = PATIENCE,
        files: Callable[[], tuple[object, ...]] = state,
    ) -> None:
        self._ask = ask or groups_of
        self._patience = patience
        self._files = files
        self._lock = threading.Lock()
        self._asked: Question[tuple[int, Groups | None]] | None = None
        self._known: dict[int, Groups | None] = {}
        self._until = 0.0
        self._of: tuple[object, ...] = ()  # the state of the files that the answers are of

    def has(self, uid: int, gid: int) -> bool:
        """Whether the account is in this group. True if there is no account that could tell.

        Raises NotKnown: if the answer is late, and at once while an earlier one is.
        """
        groups = self._groups(uid)
        return groups is None or gid in groups

    def _groups(self, uid: int) -> Groups | None:
        with self._lock:
            now, files = time.monotonic(), self._files()
            if now >= self._until or files != self._of:
                self._known, self._until, self._of = {}, now + _FRESH, files
            if uid in self._known:
                return self._known[uid]
            if (late := self._asked) is not None and not late.ended:
                raise NotKnown(_LATE)
            question = Question(lambda: (uid, self._ask(uid)), now + self._patience)
            self._asked = question
            question.thread.join(self._patience)
            if question.answer is None:
                raise NotKnown(_LATE)
            self._asked = None
            self._known[uid] = question.answer[1]
            return question.answer[1]


def groups_of(uid: int) -> Groups | None:
    """The gids of an account: its primary group, and those that list it. None without an account.

    Blocks.
    """
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return None
    return frozenset(os.getgrouplist(account.pw_name, account.pw_gid))


GROUPS: Final = AccountGroups()
