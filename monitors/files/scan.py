"""From files to vassals: what dir:// and glob:// share when they look.

A rescan looks at every file but reads only those that differ from last time. A *signature* shows a
difference: times, inode, device and size. A signature can lie: two edits within one tick of the
file system's clock leave the same times. So one taken soon after the file changed is not kept
(``RACY``), and the file is read once more by the next rescan.

A *record* holds what was last told of a file. Reading never changes records: it makes new ones, and
its caller puts them in place. So a thread that hangs on a dead network file system and comes back
an hour later does no harm.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from ...journal.chain import digest
from ...journal.events import Spec
from .. import given, names, ownership, settings, unexpected
from ..config_file import LARGEST as LARGEST
from ..config_file import ConfigFiles
from ..config_file import TooLarge as TooLarge
from ..contract import Seen
from ..options import MonitorOptions
from ..os_errors import error_text
from ..path_owners import Way, Ways
from ..private_groups import NotKnown
from ..regular_file import Denied, NotRegular
from ..tenant import Tenants
from .on_demand import Addresses, BadAddress, NoAnswer

RACY: Final = 2_000_000_000  # nanoseconds; FAT has ticks of 2 s, all others finer ones
_YOUNG: Final = 10_000_000_000  # nanoseconds
_NOTHING: Final = digest(b"")
_ENTRIES: Final = 100  # of a directory that are looked at in one step
HOPS: Final = 40  # symlinks on one path, as the kernel

_GONE: Final = (errno.ENOENT, errno.ENOTDIR)

Signature = tuple[int, ...]
Key = tuple[int, int]  # device and inode: which directory or file it is, whatever its path
Step = tuple[str, str]  # a directory, and the name in it that leads on
Watch = Callable[[tuple[Step, ...]], None]


class Record(msgspec.Struct, frozen=True):
    """The state of a file that was last told, without its content.

    ``signature`` is None where it could not be trusted. ``trail`` is the way from a symlink to
    its target, empty for plain files. ``way`` is what tyrant mode judged besides the file.
    ``owner`` is the owner of the name itself in tyrant mode: of the symlink, if it is one.
    """

    signature: Signature | None
    seen: Seen
    trail: tuple[Step, ...] = ()
    way: Way = ()
    owner: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A config is there. ``content`` is given when the spec differs from the known one."""

    record: Record
    content: bytes | None


class Unreadable(msgspec.Struct, frozen=True):
    """Something is there, but not what it says."""

    reason: str


class Absent(msgspec.Struct, frozen=True):
    """Nothing is there that could be a config."""


class Unsettled(msgspec.Struct, frozen=True):
    """It is being written, or replaced; or its new state is not taken for this ``reason``."""

    reason: str = ""


Sight = Found | Unreadable | Absent | Unsettled
ABSENT: Final = Absent()


NO_OWNER: Final = -1  # instead of a uid: of a name that is not there, or cannot be looked at


def is_there(directory: int, file: str) -> bool:
    """Whether the open directory has this name."""
    return owner_of(directory, file) is not None


def owner_of(directory: int, file: str) -> int | None:
    """The owner of a name in the open directory, None if it is not there."""
    try:
        return os.stat(file, dir_fd=directory, follow_symlinks=False).st_uid
    except OSError as error:
        return None if error.errno in _GONE else NO_OWNER


def key_of(status: os.stat_result) -> Key:
    """Which file or directory this is."""
    return status.st_dev, status.st_ino


def trail(directory: str, name: str) -> tuple[Step, ...]:
    """Every place where a change makes the path ``directory/name`` lead to something else.

    Those are the symlinks on the way and the last step: the target, or the first thing missing.
    """
    steps: list[Step] = []
    ahead = [part for part in reversed(name.split("/")) if part not in ("", ".")]
    at = directory
    hops = 0
    while ahead:
        part = ahead.pop()
        here = os.path.join(at, part)
        try:
            target = os.readlink(here)
        except OSError as error:
            if error.errno != errno.EINVAL or not ahead:  # EINVAL: it is no symlink
                steps.append((at, part))
            if error.errno != errno.EINVAL:
                break
            at = here
            continue
        steps.append((at, part))
        hops += 1
        if hops > HOPS:
            break
        if target.startswith("/"):
            at = "/"
        ahead.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
    return tuple(steps)


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
        sweeping: bool = False,
        ways: Ways | None = None,
    ) -> Sight:
        """Look at the file of this vassal's name.

        ``step`` is the open directory, its path, and the file's name in it. ``watch`` is told the
        way a symlink leads before its target is read, so that no edit falls in between. Without
        ``force`` a file whose signature is as known is not read. ``sweeping``: no event called for
        this look, so a change of the file may be under way. ``ways`` is that of the scan, if it is
        one.
        """
        directory, path, file = step
        ways = ways or Ways()
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
            return self._read(name, step, own, way, known, sweeping, ways)
        except OSError as error:
            return ABSENT if error.errno in _GONE else Unreadable(error_text(error))
        except (NoAnswer, NotKnown, TooLarge) as error:
            return Unreadable(str(error))
        except ownership.Replaced:
            return Unsettled()
        except Exception as error:
            return Unreadable(unexpected.told(names.shown(name), error))

    def _read(
        self,
        name: str,
        step: tuple[int, str, str],
        own: os.stat_result,
        way: tuple[Step, ...],
        known: Record | None,
        sweeping: bool,
        ways: Ways,
    ) -> Sight:
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
        if known is not None and empty and _being_emptied(status, known, taken, sweeping):
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

        ``Sweep`` computes the same in line.
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


def _being_emptied(status: os.stat_result, known: Record, taken: int, sweeping: bool) -> bool:
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
    return sweeping and taken - status.st_mtime_ns < RACY


class Home(msgspec.Struct, frozen=True):
    """A directory whose files may be vassals.

    ``path`` leads to it; ``prefix`` is what stands before a file's name in the vassal's.
    ``accepts`` tells whether a file name is one to look at; ``only`` is the one name there can
    be, where that is known, so that the directory need not be listed. ``given``: it was named as
    a monitor itself.
    """

    path: str
    prefix: str
    accepts: Callable[[str], object]
    only: str | None = None
    given: bool = False


class Sweep:
    """One look at all files of all homes; what comes of it is collected here.

    ``held`` are names that are being written: they stay as they are known. If there is more to
    say of one than that, it has a reason. Once it ``is_late`` no file is read any more: what
    would be is put off, and stays as it is known.
    """

    def __init__(
        self,
        reader: Reader,
        options: MonitorOptions,
        known: Mapping[str, Record],
        held: Mapping[str, str],
        watch: Callable[[str, tuple[Step, ...]], None],
        beat: Callable[[], None],
        is_late: Callable[[], bool],
    ) -> None:
        self._is_late = is_late
        self._reader = reader
        self._options = options
        self._extra = options.extra_extension
        self._extensions = (*names.EXTENSIONS, *options.extra_extension)
        self._follow = not options.nofollow
        self._tyrant = options.tyrant
        self._known = known
        self._held = held
        self._watch = watch
        self._beat = beat
        self._ways = Ways()
        self.records: dict[str, Record] = {}
        self.seen: dict[str, Seen] = {}
        self.fresh: set[str] = set()  # names that were read
        self.waiting: set[str] = set()  # names not known yet that are being written
        self.refused: dict[str, str] = {}
        # Names that are to be read, and were not, with the owner of each.
        self.put_off: dict[str, int] = {}

    def home(self, home: Home, directory: int) -> Iterator[None]:
        """Take in one home, open as ``directory``. Raises OSError if it cannot be listed."""
        others = [] if home.only is None else [home.only]
        if home.only is None:
            yield from self._unchanged(home, directory, others)
        for file in others:
            self._beat()
            self._one(home, directory, file)
            yield

    def _unchanged(self, home: Home, directory: int, others: list[str]) -> Iterator[None]:
        """Take in what is as known, and add the other names. Hot: once a file and rescan."""
        addresses = self._reader.addresses
        beside = addresses.beside is not None
        extensions, accepts, prefix = self._extensions, home.accepts, home.prefix
        everything = home.accepts is ANY
        known, held, follow = self._known.get, self._held, self._follow
        records, seen = self.records, self.seen
        is_same = self._ways.is_same
        with os.scandir(directory) as entries:
            for number, entry in enumerate(entries, 1):
                if not number % _ENTRIES:
                    self._beat()
                    yield
                file = entry.name
                if not file.endswith(extensions) or not (everything or accepts(file)):
                    continue
                name = prefix + file if prefix else file
                record = known(name)
                if record is None or record.signature is None or (held and name in held):
                    others.append(file)
                    continue
                try:
                    status = entry.stat(follow_symlinks=follow)
                    signature: Signature = (
                        status.st_mtime_ns,
                        status.st_ctime_ns,
                        status.st_ino,
                        status.st_dev,
                        status.st_size,
                    )
                    if entry.is_symlink():
                        link = entry.stat(follow_symlinks=False)
                        signature = (*signature, link.st_ino, link.st_ctime_ns)
                    if beside:
                        signature += addresses.signature(directory, file)
                except OSError:
                    others.append(file)
                    continue
                if signature == record.signature and (not record.way or is_same(record.way)):
                    records[name] = record
                    seen[name] = record.seen
                    if record.trail:
                        self._watch(name, record.trail)
                else:
                    others.append(file)

    def _one(self, home: Home, directory: int, file: str) -> None:
        name = home.prefix + file
        record = self._known.get(name)
        if record is None and (flaw := names.flaw(name, self._extra)) is not None:
            if _may_be_config(directory, file, follow=not self._tyrant):
                self.refused[names.shown(name)] = flaw
            return
        reason = self._held.get(name)
        if reason is not None and is_there(directory, file):
            self._keep(name, record)
            if reason:
                self.refused[names.shown(name)] = reason
            return
        force = home.only is None or record is None or record.signature is None
        if force and self._is_late() and (owner := owner_of(directory, file)) is not None:
            self._keep(name, record)
            self.put_off[name] = owner
            return
        sight = self._reader.look(
            name,
            (directory, home.path, file),
            record,
            lambda way: self._watch(name, way),
            force=force,
            sweeping=True,
            ways=self._ways,
        )
        if isinstance(sight, Found) and (flaw := misfit(home, sight, self._options)) is not None:
            self.refused[names.shown(name)] = flaw
            if record is not None:
                self._keep(name, record)
        elif isinstance(sight, Found):
            self.records[name] = sight.record
            seen = sight.record.seen
            self.seen[name] = seen if sight.content is None else Seen(seen.spec, sight.content)
            if sight.record is not record:
                self.fresh.add(name)
        elif isinstance(sight, Absent):
            what = home.given and given.kind(directory, file, follow=not self._tyrant)
            if what and record is None:
                self.refused[names.shown(name)] = f"it {what}"
        elif isinstance(sight, Unreadable):
            self.refused[names.shown(name)] = f"it cannot be read: {sight.reason}"
            if record is not None:
                self._keep(name, record)
        elif isinstance(sight, Unsettled):
            self._keep(name, record)

    def _keep(self, name: str, record: Record | None) -> None:
        if record is None:
            self.waiting.add(name)
        else:
            self.records[name] = record
            self.seen[name] = record.seen
            if record.trail:
                self._watch(name, record.trail)

    def revert(self, name: str) -> None:
        """Undo what was read of this name: it changed meanwhile, and will be looked at again."""
        record = self._known.get(name)
        if record is None:
            if self.records.pop(name, None) is not None:
                self.waiting.add(name)
            self.seen.pop(name, None)
        else:
            self.records[name] = record
            self.seen[name] = record.seen
        self.fresh.discard(name)


def misfit(home: Home, found: Found, options: MonitorOptions) -> str | None:
    """Why a file that was named as a monitor itself may not be a vassal, if it may not."""
    if not home.given or found.content is None:
        return None
    what = given.misfit(home.only or "", found.content, templates=options.templates)
    return None if what is None else f"it {what}"


def _may_be_config(directory: int, file: str, *, follow: bool) -> bool:
    """Whether a file with a bad name is worth a complaint: directories and devices are not.

    Without ``follow`` a symlink is: in tyrant mode, the link's owner may not know what it leads to.
    """
    try:
        status = os.stat(file, dir_fd=directory, follow_symlinks=follow)
    except OSError as error:
        return error.errno not in _GONE
    return stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)


def ANY(file: str) -> bool:  # noqa: N802  # a constant, compared by identity
    """Accepts every name that has an extension of a config."""
    return True
