"""A look at one file: dir://, glob:// and the bodies of amqp:// that are paths share it.

A file is read only if it differs from last time. A *signature* shows a difference: times, inode,
device and size. A signature can lie: two edits within one tick of the file system's clock leave
the same times. So one taken soon after the file changed is not kept (``RACY``), and the file is
read once more by the next rescan.
"""

import contextlib
import os
import stat
import time
from typing import Final

import msgspec

from ...journal.chain import digest
from ...journal.events import Spec
from .. import internal_error, names, ownership, settings
from ..config_file import ConfigFiles, TooLarge
from ..contract import Seen
from ..options import MonitorOptions
from ..os_errors import error_text
from ..path_owners import PathWalker
from ..private_groups import NotKnown
from ..regular_file import Denied, NotRegular
from ..tenant import Tenants
from .file_state import (
    ABSENT,
    FileState,
    Found,
    Record,
    Signature,
    Step,
    Unreadable,
    Unsettled,
    Watch,
)
from .links import GONE, trail
from .on_demand import Addresses, BadAddress, NoAnswer

RACY: Final = 2_000_000_000  # nanoseconds; FAT has ticks of 2 s, all others finer ones
_YOUNG: Final = 10_000_000_000  # nanoseconds since its change for which a file is young
_NOTHING: Final = digest(b"")


class Reader:
    """Looks at files. ``cwd`` is where their vassals run, and what makes names into paths."""

    def __init__(self, options: MonitorOptions, cwd: str | None) -> None:
        self._cwd = cwd
        self._nofollow = options.nofollow
        self.tyrant = options.tyrant
        self._link_owner = options.tyrant_nofollow
        self._tenants = Tenants(initgroups=options.tyrant_initgroups)
        self._configs = ConfigFiles(options, cwd, self._tenants)
        self.addresses = Addresses(options)

    def look(
        self,
        name: str,
        step: tuple[int, str, str],
        known: Record | None,
        watch: Watch,
        *,
        force: bool = True,
        scanning: bool = False,
        ways: PathWalker | None = None,
    ) -> FileState:
        """Look at the file of this vassal's name.

        ``step`` is the open directory, its path, and the file's name in it. ``watch`` is told the
        way a symlink leads before its target is read, so that no edit falls in between. Without
        ``force`` a file whose signature is as known is not read. ``scanning``: no event called for
        this look, so a change of the file may be under way. ``ways`` is that of the scan, if it is
        one.
        """
        directory, path, file = step
        if names.is_template(file):
            return ABSENT
        ways = ways or PathWalker()
        try:
            own = os.stat(file, dir_fd=directory, follow_symlinks=False)
            way: tuple[Step, ...] = ()
            if linked := stat.S_ISLNK(own.st_mode):
                if not self._nofollow:
                    way = trail(path, file)
                    watch(way)
            elif not stat.S_ISREG(own.st_mode):
                return ABSENT
            if known is not None and not (force and not (linked and self._nofollow)):
                with contextlib.suppress(OSError):  # the reader's rights decide what is told
                    status = own if self._nofollow else os.stat(file, dir_fd=directory)
                    signature = self.signature(status, own if linked else None)
                    unchanged = known.signature == signature + self._beside(directory, file)
                    if unchanged and ways.is_same(known.way):
                        return Found(known, None)
            return self._read(name, step, own, way, known, scanning, ways)
        except OSError as error:
            return ABSENT if error.errno in GONE else Unreadable(error_text(error))
        except (NoAnswer, NotKnown, TooLarge) as error:
            return Unreadable(str(error))
        except ownership.Replaced:
            return Unsettled()
        except Exception as error:
            return Unreadable(internal_error.log_and_describe(names.shown(name), error))

    def _read(
        self,
        name: str,
        step: tuple[int, str, str],
        own: os.stat_result,
        way: tuple[Step, ...],
        known: Record | None,
        scanning: bool,
        ways: PathWalker,
    ) -> FileState:
        link = own if stat.S_ISLNK(own.st_mode) else None
        taken = time.time_ns()
        beside = self._beside(step[0], step[2])
        try:
            status, bar, content, judged_way = self._configs.take(name, step, own, ways)
        except NotRegular:
            return ABSENT
        except Denied as error:
            # Read again by the next rescan: no signature tells of directories on the way.
            spec = msgspec.structs.replace(
                self._identity(name, own, own, own),
                uid=error.tenant.uid,
                gid=error.tenant.gid,
                bar=str(error),
            )
            record = Record(None, Seen(spec), way, owner=own.st_uid)
            return self._found(record, None, known)
        judged = link if link is not None and self._nofollow else status
        spec = self._identity(name, judged, link or status, status)
        empty = bar is None and content == b""
        if known is not None and empty and _being_emptied(status, known, taken, scanning):
            return Unsettled()
        # A link judged by itself is not read again: edits of its target must not be noticed.
        racy = judged is status and _racy(status, taken)
        racy = racy or any(abs(taken - each) < RACY for each in beside[:2])
        signature = None if racy else self.signature(judged, link) + beside
        if bar is not None:
            spec = msgspec.structs.replace(spec, bar=bar)
        elif content is not None:
            spec = self._complete(spec, name, content, step, known)
        owner = own.st_uid if self.tyrant else None
        record = Record(signature, Seen(spec), way, ways.keep(judged_way), owner)
        return self._found(record, content, known)

    @staticmethod
    def _found(record: Record, content: bytes | None, known: Record | None) -> Found:
        """The news of a file; its content counts only if the spec is another than before."""
        if known is not None and known.seen.spec == record.seen.spec:
            return Found(msgspec.structs.replace(record, seen=known.seen), None)
        return Found(record, content)

    def _identity(
        self,
        name: str,
        judged: os.stat_result,
        own: os.stat_result,
        opened: os.stat_result,
    ) -> Spec:
        """The spec of a file, without its content."""
        owner = own if self._link_owner else opened
        return Spec(
            ts=judged.st_mtime_ns,
            path=name if self._cwd is None else os.path.join(self._cwd, name),
            cwd=self._cwd,
            uid=owner.st_uid if self.tyrant else None,
            gid=owner.st_gid if self.tyrant else None,
            # In tyrant mode it is the uid above.
            attrs={} if self.tyrant else {"owner": str(own.st_uid)},
        )

    def _complete(
        self,
        spec: Spec,
        name: str,
        content: bytes | None,
        step: tuple[int, str, str],
        known: Record | None,
    ) -> Spec:
        """The spec with what the content and its address say. Raises OSError, NoAnswer."""
        mark = None if content is None else digest(content)
        ours: dict[str, str] = {}
        flaw = None
        before = None if known is None else known.seen.spec
        if before is not None and before.bar is None and mark is not None and before.config == mark:
            ours = before.settings
        elif content is not None:
            ours, flaw = settings.read(name, content)
        address = None
        try:
            tenant = self._tenants.of(spec.uid, spec.gid)
            address = self.addresses.find(name, spec, step[0], step[2], tenant)
        except BadAddress as error:
            flaw = flaw or str(error)
        return msgspec.structs.replace(spec, config=mark, settings=ours, bar=flaw, socket=address)

    def _beside(self, directory: int, file: str) -> Signature:
        """The part of a signature that the file with the address has."""
        if self.addresses.beside is None:
            return ()
        return self.addresses.signature(directory, file)

    def signature(self, status: os.stat_result, link: os.stat_result | None) -> Signature:
        """Numbers that differ when the file does. ``link`` is the symlink's own status, if it is
        one.

        ``Scan`` computes the same in line.
        """
        plain = (
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_dev,
            status.st_size,
        )
        return plain if link is None else (*plain, link.st_ino, link.st_ctime_ns)


def _racy(status: os.stat_result, now: int) -> bool:
    return status.st_ctime_ns > now - RACY or abs(now - status.st_mtime_ns) < RACY


def _being_emptied(status: os.stat_result, known: Record, taken: int, scanning: bool) -> bool:
    """Whether an empty file is probably one that is about to be written anew.

    To write a file in place is to empty it first. Some file systems show it empty, with its old
    times, for many milliseconds before they are done with that, and only then send an event.
    """
    if status.st_size or known.seen.spec.config == _NOTHING:
        return False
    if status.st_mtime_ns == known.seen.spec.ts:
        if known.signature is not None:
            return status.st_ctime_ns == known.signature[1]
        # Its former time is not known: then it was young, and is so still.
        unmoved = abs(status.st_ctime_ns - status.st_mtime_ns) < RACY
        return unmoved and taken - status.st_ctime_ns < _YOUNG
    return scanning and taken - status.st_mtime_ns < RACY
