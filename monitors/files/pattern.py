"""glob://PATTERN: each config file that matches is a vassal, known by its path as matched.

Patterns are those of glob(3). ``*``, ``?``, ``[a-z]``, ``[!a-z]`` and ``[^a-z]`` match within one
component. ``\\`` takes the next character as it is. A leading dot must be matched by a dot, and
``**`` is the same as ``*``. The walk is our own, because an unreadable directory must not look like
a missing one. ENOENT, ENOTDIR and ELOOP are holes in the tree. A directory with any other error is
refused, and its vassals stay as they are known (``lost_folders``). It may be a tenant's, and says
nothing about other directories.

The part before the first wildcard must exist and be readable: where it is not, a disk is missing
rather than every vassal. The whole cannot be told either where the daemon itself has no descriptors
or memory left.
"""

import errno
import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Final

from .. import names
from ..options import MonitorOptions
from ..os_errors import error_text, is_exhaustion
from ..regular_file import Denied
from ..urls import MonitorURLError
from .scan import ConfigFolder
from .survey import Survey
from .watcher import FileMonitor

_HOLES: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_ESCAPED: Final = re.compile(r"\\(.)|\[\^", re.DOTALL)
_WILD: Final = re.compile(r"(?<!\\)(?:\\\\)*[*?\[]")

Matcher = Callable[[str], object]


def _is_wild(component: str) -> bool:
    return _WILD.search(component) is not None


def _plain(component: str) -> str:
    return re.sub(r"\\(.)", r"\1", component, flags=re.DOTALL)


def matcher(component: str) -> Matcher:
    """A function that tells whether a name matches one component of a pattern."""
    translated = fnmatch.translate(
        _ESCAPED.sub(lambda found: f"[{found[1]}]" if found[1] else "[!", component)
    )
    match = re.compile(translated).match
    if component.startswith((".", "\\.")):
        return match
    return lambda name: not name.startswith(".") and match(name)


class Pattern:
    """The place of glob://: a tree of directories, walked component by component."""

    cwd: str | None = None

    def __init__(self, pattern: str, extra_extension: tuple[str, ...]) -> None:
        components = pattern.split("/")
        first = next(
            (at for at, part in enumerate(components) if _is_wild(part)), len(components) - 1
        )
        fixed = _plain("/".join(components[:first]))
        self._prefix = f"{fixed}/" if first else ""
        self.root = self._prefix or "."
        # Each component: how to match it, or the one name it can be.
        parts = [part for part in components[first:] if part]
        self._parts: list[Matcher | str] = [
            matcher(part) if _is_wild(part) else _plain(part) for part in parts
        ]
        self._extra = extra_extension

    def survey(self, survey: Survey) -> Iterator[None]:
        """Walk the directories. Raises OSError where a part cannot be read."""
        survey.root(self.root)
        yield from self._walk(survey, self._prefix, 0)

    def _walk(self, survey: Survey, prefix: str, depth: int) -> Iterator[None]:
        part = self._parts[depth]
        if depth == len(self._parts) - 1:
            yield from self._last(survey, prefix, part)
        elif isinstance(part, str):
            # The name may come and go, and a watch here sees that.
            survey.parent(prefix, part.__eq__)
            yield from self._walk(survey, f"{prefix}{part}/", depth + 1)
        else:
            survey.parent(prefix, part)
            for name in self._branches(survey, prefix, part):
                yield
                yield from self._walk(survey, f"{prefix}{name}/", depth + 1)

    def _last(self, survey: Survey, prefix: str, part: Matcher | str) -> Iterator[None]:
        if isinstance(part, str):
            if not names.has_extension(part, self._extra):
                return
            given = len(self._parts) == 1
            folder = ConfigFolder(prefix or ".", prefix, part.__eq__, only=part, given=given)
        else:
            folder = ConfigFolder(prefix or ".", prefix, part)
        try:
            yield from survey.folder(folder)
        except (Denied, OSError) as error:
            self._pass_over(survey, prefix, error)

    def _branches(self, survey: Survey, prefix: str, match: Matcher) -> list[str]:
        try:
            return [name for name in survey.branches(prefix or ".") if match(name)]
        except (Denied, OSError) as error:
            self._pass_over(survey, prefix, error)
            return []

    def _pass_over(self, survey: Survey, prefix: str, error: Denied | OSError) -> None:
        """Go on without a directory. Raises the error if the whole cannot be told because of it."""
        if isinstance(error, Denied):
            survey.found.refused[names.shown(prefix)] = str(error)
        elif prefix == self._prefix or is_exhaustion(error):
            raise error
        elif error.errno not in _HOLES:
            survey.found.pass_over(prefix, error_text(error))
        elif error.errno == errno.ENOENT:
            survey.gap(self._prefix, prefix)

    def locate(self, name: str) -> tuple[str, str]:
        """The prefix of the folder and the file's name in it, for a vassal's name."""
        head, slash, file = name.rpartition("/")
        return head + slash, file


def open_url(rest: str, options: MonitorOptions) -> FileMonitor:
    """The monitor of ``glob://rest``; a relative pattern stays relative, as do its vassals."""
    if not rest or rest.endswith("/"):
        raise MonitorURLError("glob:// names no files: write glob:///etc/vassals/*.ini")
    return FileMonitor(f"glob://{rest}", Pattern(rest, options.extra_extension), options)
