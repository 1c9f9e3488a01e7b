"""Sockets of vassals that the keeper holds: their owners, and their names.

A name has the number of the attempt and the vassal. A number means something in one journal only.
After ``adopt`` the journal is numbered on, and a process goes on as another attempt. After
``restore`` an older journal knows the process by its former number. A later attempt may get a
number that an attempt in the lost events had. So sockets are matched by what is true of their
process: pid and start time, else the mark. The name decides only where a daemon of 0.1.0 entrusted
them, because it gave neither.

    8:app.ini         of attempt 8, which the journal knows
    process:8:app.ini of attempt 8, which has no sockets: the keeper holds its pidfd
    left:8:app.ini    of a process that the journal does not know: no attempt of it has this name
"""

from collections.abc import Iterable

from ..keeper.link import KeeperLink, Kept
from ..keeper.protocol import LEFT, PROCESS, is_process
from .process import kept_name
from .recovery import Survivor
from .unjournaled import UnjournaledProcess


def arrange(keeper: KeeperLink, survivors: Iterable[Survivor]) -> None:
    """Have the keeper hold each survivor's sockets under the name of its present attempt."""
    owners = _Owners(survivors)
    held: dict[str, str] = {}  # the name that it should have -> the name under which it is held
    for name, kept in list(keeper.kept.items()):
        own = owners.name_of(name, kept)
        if own is not None and is_process(name):
            own = PROCESS + own
        if name != own and name in owners.names:
            name = _set_aside(keeper, name)
        # A daemon that died between the two packets of a rename left both names.
        if own is not None and held.get(own) != own:
            held[own] = name
    for own, name in held.items():
        if own != name:
            keeper.rename(name, own)


def set_aside(keeper: KeeperLink, left: Iterable[UnjournaledProcess]) -> None:
    """Keep unjournaled processes' sockets under names that no attempt of this journal will get."""
    for each in left:
        if each.kept is not None and not each.kept.startswith(LEFT):
            each.kept = _set_aside(keeper, each.kept)


def _set_aside(keeper: KeeperLink, name: str) -> str:
    new = LEFT + name
    while new in keeper.kept:
        new = LEFT + new
    keeper.rename(name, new)
    return new


class _Owners:
    """The survivors, by all by which sockets may be known as theirs."""

    def __init__(self, survivors: Iterable[Survivor]) -> None:
        self._by_process: dict[tuple[object, object], str] = {}
        self._by_mark: dict[object, str] = {}
        self.names: set[str] = set()
        for each in survivors:
            assert each.vassal.attempt is not None
            name = kept_name(each.vassal.name, each.vassal.attempt)
            self._by_process[each.pid, each.start_time] = name
            self._by_mark[each.mark] = name
            self.names |= {name, PROCESS + name}

    def name_of(self, name: str, kept: Kept) -> str | None:
        """The name that these sockets should have; None where they are no survivor's."""
        about = kept.about
        if about.get("pid") is not None:
            return self._by_process.get((about["pid"], about.get("start")))
        if about.get("mark") is not None:
            return self._by_mark.get(about["mark"])
        return name if name in self.names else None
