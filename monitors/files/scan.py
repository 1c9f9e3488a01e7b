"""One scan of all files of dir:// or glob://: every file is looked at, and few are read.

A scan of 10,000 files must not take long, so it goes by signatures. A file whose times, inode and
size are as they were is not opened, if the way to it is as it was, too. The hot loop is
``_unchanged``: one stat(2) a file. The rest goes through ``Reader``, which knows races, links and
permissions.

Every name has one of these outcomes: known and unchanged, read anew, refused with a reason, or kept
as it is known. It is kept where it is being written, or where the time is over. It is never lost by
an error, because a file that is not listed ends its vassal.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from .. import named_files, names
from ..contract import Seen
from ..options import MonitorOptions
from ..path_owners import PathWalker
from .file_state import Absent, Found, Record, Signature, Step, Unreadable, Unsettled
from .links import GONE, is_there, owner_of
from .reader import Reader

_TEMPLATE: Final = "it is a template without an instance; make one by a link, as app@one.ini"
_ENTRIES: Final = 100  # of a directory that are looked at in one step


class ConfigFolder(msgspec.Struct, frozen=True):
    """A directory whose files may be vassals.

    ``path`` leads to it; ``prefix`` is what stands before a file's name in the vassal's.
    ``accepts`` tells whether a file name is one to look at. ``only`` is the one name there can be,
    where that is known: then the directory need not be listed. ``given``: it was named as a monitor
    itself.
    """

    path: str
    prefix: str
    accepts: Callable[[str], object]
    only: str | None = None
    given: bool = False


class Scan:
    """One look at all files of all folders; what comes of it is collected here.

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
        self._ways = PathWalker()
        self.records: dict[str, Record] = {}
        self.seen: dict[str, Seen] = {}
        self.fresh: set[str] = set()  # names that were read
        self.waiting: set[str] = set()  # names not known yet that are being written
        self.kept: set[str] = set()  # names of which nothing new is told
        self.refused: dict[str, str] = {}
        self.passed_over: set[str] = set()  # prefixes of directories that cannot be read
        # Names that are to be read, and were not, with the owner of each.
        self.put_off: dict[str, int] = {}
        # A file may change without an event of its directory: it has hard links, or a mount.
        self.has_blind_spots = False
        self._instances: dict[str, set[str]] = {}  # folder -> templates that have instances in it

    def folder(self, folder: ConfigFolder, directory: int) -> Iterator[None]:
        """Take in one folder, open as ``directory``. Raises OSError if it cannot be listed."""
        others = [] if folder.only is None else [folder.only]
        self.has_blind_spots |= folder.only is not None  # hard links of that one are not counted
        if folder.only is None:
            yield from self._unchanged(folder, directory, others)
        for file in others:
            self._beat()
            self._one(folder, directory, file)
            yield

    def pass_over(self, prefix: str, reason: str) -> None:
        """Note that a directory cannot be read, as ``reason`` says; others are looked at."""
        self.passed_over.add(prefix)
        self.refused[names.shown(prefix)] = (
            f"the directory cannot be read: {reason}; its vassals stay as they are"
        )

    def _unchanged(self, folder: ConfigFolder, directory: int, others: list[str]) -> Iterator[None]:
        """Take in what is as known, and add the other names. Hot: once a file and rescan."""
        addresses = self._reader.addresses
        beside = addresses.beside is not None
        extensions, accepts, prefix = self._extensions, folder.accepts, folder.prefix
        everything = folder.accepts is ANY
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
                    linked = entry.is_symlink()
                    if status.st_nlink > 1 or (not linked and entry.inode() != status.st_ino):
                        self.has_blind_spots = True
                    if linked:
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

    def _one(self, folder: ConfigFolder, directory: int, file: str) -> None:
        name = folder.prefix + file
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
        force = folder.only is None or record is None or record.signature is None
        if force and self._is_late() and (owner := owner_of(directory, file)) is not None:
            self._keep(name, record)
            self.put_off[name] = owner
            return
        state = self._reader.look(
            name,
            (directory, folder.path, file),
            record,
            lambda way: self._watch(name, way),
            force=force,
            scanning=True,
            ways=self._ways,
        )
        if isinstance(state, Found) and (flaw := misfit(folder, state, self._options)) is not None:
            self.refused[names.shown(name)] = flaw
            if record is not None:
                self._keep(name, record)
        elif isinstance(state, Found):
            self.records[name] = state.record
            seen = state.record.seen
            self.seen[name] = seen if state.content is None else Seen(seen.spec, state.content)
            if state.record is not record:
                self.fresh.add(name)
        elif isinstance(state, Absent):
            if names.is_template(file) and (
                folder.given or not self._has_instance(folder, directory, file)
            ):
                self.refused[names.shown(name)] = _TEMPLATE
                return
            what = folder.given and named_files.kind(directory, file, follow=not self._tyrant)
            if what and record is None:
                self.refused[names.shown(name)] = f"it {what}"
        elif isinstance(state, Unreadable):
            self.refused[names.shown(name)] = f"it cannot be read: {state.reason}"
            if record is not None:
                self._keep(name, record)
        elif isinstance(state, Unsettled):
            self._keep(name, record)

    def _has_instance(self, folder: ConfigFolder, directory: int, template: str) -> bool:
        """Whether an instance of the template is beside it. A folder is listed once a scan."""
        if folder.path not in self._instances:
            self._instances[folder.path] = {
                file.partition("@")[0]
                for file in os.listdir(directory)
                if file.endswith(self._extensions) and names.instance(file)
            }
        return template.partition("@")[0] in self._instances[folder.path]

    def _keep(self, name: str, record: Record | None) -> None:
        self.kept.add(name)
        if record is None:
            self.waiting.add(name)
        else:
            self.records[name] = record
            self.seen[name] = record.seen
            if record.trail:
                self._watch(name, record.trail)

    def end(self) -> None:
        """Let go of the survey, which has this scan.

        Otherwise a cycle of both would wait for Python's collector, with a record of each file.
        Minutes pass until that has 20,000 objects to look at.
        """
        del self._watch, self._is_late

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


def misfit(folder: ConfigFolder, found: Found, options: MonitorOptions) -> str | None:
    """Why a file that was named as a monitor itself may not be a vassal, if it may not."""
    if not folder.given or found.content is None:
        return None
    what = named_files.misfit(folder.only or "", found.content, templates=options.templates)
    return None if what is None else f"it {what}"


def _may_be_config(directory: int, file: str, *, follow: bool) -> bool:
    """Whether a file with a bad name is worth a complaint: directories and devices are not.

    Without ``follow`` a symlink is: in tyrant mode, the link's owner may not know what it leads to.
    """
    try:
        status = os.stat(file, dir_fd=directory, follow_symlinks=follow)
    except OSError as error:
        return error.errno not in GONE
    return stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)


def ANY(file: str) -> bool:  # noqa: N802  # a constant, compared by identity
    """Accepts every name that has an extension of a config."""
    return True
