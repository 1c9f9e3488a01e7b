"""Opens the config file of a vassal, with whose rights it must be, and judges whose it may be.

In tyrant mode the *tenant* is the user that the vassal runs as. That is the owner of the file, or
of the symlink in its place (--tyrant-nofollow). The file is opened with the tenant's rights
(``tenant.py``), and its place is judged before it is read (``ownership.py``).
"""

import os
import stat
from typing import Final, NamedTuple

from ..journal.locked_files import refuse
from . import names, ownership, working_directory
from .listing import status_for
from .options import MonitorOptions
from .path_owners import PathWalker, WalkedPath
from .regular_file import NotRegular, opened
from .tenant import Tenant, Tenants

LARGEST: Final = 1 << 20  # bytes of a config: all of it is read for its settings, and journaled
Place = tuple[int, str, str]
"""An open directory, its path, and the file's name in it."""


class TooLarge(Exception):
    """A config that is too long to be read to its end. The rest would be ignored silently."""

    def __init__(self) -> None:
        super().__init__(f"it has more than {LARGEST >> 20} MiB, the most that a config may have")


class Taken(NamedTuple):
    """The opened file's status; why it may not run, or None; its content, None if not read.

    ``way`` is what was judged besides the file; it is empty outside tyrant mode.
    """

    status: os.stat_result
    bar: str | None
    content: bytes | None
    way: WalkedPath


class ConfigFiles:
    """Reads config files. ``cwd`` is where their vassals run, if the monitor says so."""

    def __init__(self, options: MonitorOptions, cwd: str | None, tenants: Tenants) -> None:
        self._cwd = cwd
        self._tyrant = options.tyrant
        self._link_owner = options.tyrant_nofollow
        self._nofollow = options.nofollow
        self._locked = options.locked
        self._tenants = tenants

    def take(self, name: str, place: Place, own: os.stat_result, ways: PathWalker) -> Taken:
        """The file of the vassal ``name``; ``own`` is the status of the name itself.

        In tyrant mode a file of root's is not read: no vassal may run as root. Raises Denied,
        NotRegular, TooLarge, NotKnown, OSError (LockedFile); Replaced if it changes meanwhile.
        """
        linked = stat.S_ISLNK(own.st_mode)
        if not self._tyrant:
            return self._read(name, place, own, None, ways, follow=linked)
        whose = own
        if linked and not self._link_owner:
            whose = self._target(name, place)
        tenant = self._tenants.of(whose.st_uid, whose.st_gid)
        if tenant is None:
            status = whose if whose is not own else os.stat(place[2], dir_fd=place[0])
            if not stat.S_ISREG(status.st_mode):
                raise NotRegular
            refuse(status, self._locked.ids(), place[2])
            judgement = self._ownership_flaw(place, own, status, ways)
            return Taken(status, judgement.bar, None, judgement.way)
        self._check_way(name, place, tenant)
        taken = self._read(name, place, own, tenant, ways, follow=linked)
        if not (linked and self._link_owner) and not _same(whose, taken.status):
            raise ownership.Replaced
        return taken

    def _read(
        self,
        name: str,
        place: Place,
        own: os.stat_result,
        tenant: Tenant | None,
        ways: PathWalker,
        *,
        follow: bool,
    ) -> Taken:
        shown = self._shown(name)
        with opened(
            place[2], tenant, locked=self._locked, at=place[0], follow=follow, shown=shown
        ) as descriptor:
            status = os.fstat(descriptor)
            bar, way = (
                self._ownership_flaw(place, own, status, ways) if self._tyrant else (None, ())
            )
            content = contents_of(descriptor, status.st_size) if bar is None else None
            after = os.fstat(descriptor)
        if (status.st_mtime_ns, status.st_size) != (after.st_mtime_ns, after.st_size):
            raise ownership.Replaced
        return Taken(status, bar, content, way)

    def _ownership_flaw(
        self, place: Place, own: os.stat_result, opened: os.stat_result, ways: PathWalker
    ) -> ownership.Judgement:
        """Whether tyrant mode runs a vassal of this. Raises Replaced, NotKnown, OSError."""
        directory, path, file = place
        return ownership.ownership_flaw(
            ways,
            own if self._link_owner else opened,
            opened,
            own,
            os.fstat(directory),
            (os.path.join(working_directory.current(), path), file),
            nofollow=self._nofollow,
        )

    def _target(self, name: str, place: Place) -> os.stat_result:
        """The target of a symlink, found with the rights of the user who chose it.

        Otherwise the reason that is told would tell that user what is there. Raises Denied,
        OSError.
        """
        chosen = ownership.chooser((os.path.join(working_directory.current(), place[1]), place[2]))
        maker = None
        if chosen is not None:
            uid, gids = chosen
            known = self._tenants.of(uid, gids[0])
            maker = Tenant(uid, gids[0], tuple({*gids, *(known.groups if known else ())}))
        if maker is None:
            return os.stat(place[2], dir_fd=place[0])
        return status_for(maker, place[2], place[0], self._shown(name))

    def _check_way(self, name: str, place: Place, tenant: Tenant) -> None:
        """Make sure that the tenant can reach the directory, where its vassal must.

        One that runs in the directory has it from the daemon. Raises Denied, Replaced, OSError.
        """
        if self._cwd is not None:
            return
        reached = status_for(tenant, os.path.join(place[1], "."), None, self._shown(name))
        if not os.path.samestat(reached, os.fstat(place[0])):
            raise ownership.Replaced

    def _shown(self, name: str) -> str:
        return names.shown(os.path.join(self._cwd or "", name))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether it is the same file, of the same owner."""
    ids = ((each.st_uid, each.st_gid) for each in (one, other))
    return os.path.samestat(one, other) and len(set(ids)) == 1


def contents_of(descriptor: int, size: int) -> bytes:
    """All of an open file. Raises TooLarge, OSError."""
    if size > LARGEST:
        raise TooLarge
    chunks = []
    total = 0
    while chunk := os.read(descriptor, max(size - total, 0) + 512):
        chunks.append(chunk)
        total += len(chunk)
        if total > LARGEST:
            raise TooLarge
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
