"""Plugins that a config of uWSGI asks for and its binary lacks, and what to do about it.

A binary has plugins built in, and loads others as ``DIR/NAME_plugin.so``. PyPI's uWSGI has Python
built in as ``python``, so Debian's ``plugins = python3`` names a file that it does not have. uWSGI
says that in one line among many, and goes on: without an application, if no other plugin serves it.

Another binary of the machine may have them. Then it runs the vassal, unless ``--uwsgi`` names one.

Nothing is executed: the binary may be anything. Its symbols name what is built in, and its compiler
flags name its plugins' directory. They are read once for each binary.
"""

import functools
import glob
import os
import re
import shutil
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors.names import shown
from . import command

_LOOKED_AT: Final = 1 << 16  # bytes of a config
_LARGEST: Final = 1 << 26  # bytes of a binary
_BINARIES: Final = 16  # that are remembered
_REMEMBERED: Final = 30  # seconds for which the binaries of this machine are
_FOLDERS: Final = ("/usr/local/bin", "/usr/bin", "/usr/sbin")
_MOST: Final = 32  # plugins of a config
# As .ini, YAML, JSON and XML write them; and comments in these formats.
_ASKS: Final = re.compile(
    rb"""(?m:^|(?<=[<{,"\s]))["']?(need-plugins?|plugins?|plugins?-dir)["']?\s*[=:>]\s*["']?"""
    rb"""([^\s"'<>]+)"""
)
_COMMENT: Final = re.compile(rb"(?m:^[ \t]*[;#].*$)|(?s:<!--.*?(?:-->|\Z))")
_NAME: Final = re.compile(r"(?:\d+:)?([A-Za-z0-9_]+)")
_SYMBOL: Final = re.compile(rb"\0([a-z0-9_]+)_plugin(?=\0)")
_FLAG: Final = b"-DUWSGI_PLUGIN_DIR=".hex().encode()
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2})+")


Asked = tuple[tuple[str, str], ...]  # options of plugins, with their values


class Lack(NamedTuple):
    """A plugin that is missing; ``needed`` says that uWSGI ends without it."""

    text: str
    needed: bool


class _Binary(NamedTuple):
    symbols: frozenset[str]
    folder: str  # of its plugins

    def has(self, name: str) -> bool:
        """Whether a plugin is built in, or may be: linkers keep only the longer of two names."""
        return any(each == name or each.endswith(f"_{name}") for each in self.symbols)


def lacks(
    spec: Spec, content: bytes | None, policy: Policy, *, own_folders: bool = True
) -> list[Lack]:
    """The plugins that this vassal's uWSGI will not find. Blocks.

    Without ``own_folders`` nothing is told of a config that names folders: they may not answer.
    There are none where that cannot be told: the program is no uWSGI, a wrapper or a script.
    """
    asked = asked_by(spec, content, policy)
    try:
        path = choose(spec, asked, policy) or command.find_uwsgi(policy) if asked else ""
    except command.CannotRun:
        return []
    return _lacks_of(path, spec, asked, own_folders=own_folders) or []


def asked_by(spec: Spec, content: bytes | None, policy: Policy) -> Asked:
    """The options of plugins in a config of uWSGI; none where another program runs."""
    if content is None or policy.wrapper is not None or "command" in spec.settings:
        return ()
    asked = tuple(_asked(content))
    return asked if any("dir" not in key and any(_names(value)) for key, value in asked) else ()


def choose(spec: Spec, asked: Asked, policy: Policy) -> str | None:
    """A binary that has the plugins, where the usual one lacks some; else None. Blocks.

    Raises CannotRun.
    """
    if not asked:
        return None
    usual = command.find_uwsgi(policy)
    if not _lacks_of(usual, spec, asked, own_folders=False):
        return None
    if policy.uwsgi is not None:
        others = command.given_uwsgis(policy.uwsgi)
    else:
        others = _installed(os.environ.get("PATH", os.defpath), int(time.monotonic() / _REMEMBERED))
    for path in others:
        if path == usual or not command.is_program(path):
            continue
        if _lacks_of(path, spec, asked, own_folders=False) == []:
            return path
    return None


@functools.lru_cache(1)
def _installed(path: str, _: int) -> list[str]:
    """The binaries of uWSGI in the folders of PATH and in the usual ones."""
    folders = dict.fromkeys([*(each for each in path.split(":") if each), *_FOLDERS])
    found = (
        os.path.join(folder, name)
        for folder in folders
        for pattern in ("uwsgi", "uwsgi[-_]*")
        for name in sorted(glob.glob(pattern, root_dir=folder))
    )
    return [each for each in found if os.path.isabs(each)]


def _lacks_of(path: str, spec: Spec, asked: Asked, *, own_folders: bool) -> list[Lack] | None:
    """The plugins that this binary will not find, those that end uWSGI first.

    None where that cannot be told.
    """
    if not asked:
        return []
    names = [(key, name) for key, value in asked if "dir" not in key for name in _names(value)]
    try:
        status = os.stat(path)
        binary = _read(path, status.st_mtime_ns, status.st_ino)
    except OSError:
        return None
    if binary is None:
        return None
    folders = [value for key, value in asked if "dir" in key and "%" not in value]
    if own_folders:
        folders = [os.path.join(spec.cwd or "", each) for each in (*folders, binary.folder)]
    elif folders:
        return None
    elif os.path.isabs(binary.folder):
        folders = [binary.folder]
    loaded = _named_after(path)
    first = sorted(names[:_MOST], key=lambda pair: not pair[0].startswith("need"))
    missing: dict[str, str] = {}
    for key, name in first:
        if name in loaded or binary.has(name):
            continue
        if not any(os.path.exists(os.path.join(each, f"{name}_plugin.so")) for each in folders):
            missing.setdefault(name, key)
    return [
        Lack(_text(path, key, name, binary, spec), key.startswith("need"))
        for name, key in missing.items()
    ]


def hint(content: bytes | None, spec: Spec, policy: Policy) -> str:
    """A line for the end of a start that failed; empty where no plugin is missing. Blocks."""
    return "".join(
        f"\nemperor: {each.text}" for each in lacks(spec, content, policy, own_folders=False)
    )


def _asked(content: bytes) -> Iterator[tuple[str, str]]:
    text = _COMMENT.sub(b"", content[:_LOOKED_AT])
    for key, value in _ASKS.findall(text):
        yield key.decode(), value.decode("utf-8", "replace")


def _names(value: str) -> Iterator[str]:
    """The plain names in a value; paths, URLs and placeholders are left out."""
    for each in value.split(","):
        if match := _NAME.fullmatch(each):
            yield match[1]


def _named_after(path: str) -> list[str]:
    """The plugins that uWSGI loads because of the name of its binary, as ``uwsgi_python3``."""
    return os.path.basename(path).split("_")[1:]


@functools.lru_cache(_BINARIES)
def _read(path: str, mtime: int, inode: int) -> _Binary | None:
    """A binary as of this time; None if it is no uWSGI that can be understood."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            return None
        text = file.read()
    at = text.find(_FLAG)
    if not text.startswith(b"\x7fELF") or at < 0:
        return None
    digits = _HEX.match(text, at + len(_FLAG), at + len(_FLAG) + 8192)
    flag = bytes.fromhex(digits[0].decode()) if digits else b""
    folder = flag.split(b" ")[0].decode("utf-8", "replace").strip('\\"')
    return _Binary(frozenset(name.decode() for name in _SYMBOL.findall(text)), folder)


def _text(path: str, key: str, name: str, binary: _Binary, spec: Spec) -> str:
    family = re.sub(r"\d+$", "", name)
    has = f" has {family} built in and" if binary.has(family) else " has"
    other = shutil.which(f"uwsgi_{name}")
    do = [] if has == " has" else [f"remove {key} = {name}"]
    do += [f"give --uwsgi {other}"] if other else []
    folder = os.path.normpath(os.path.join(spec.cwd or "", binary.folder))
    do = do or [f"install it in {shown(folder)}, or give --uwsgi another one"]
    return f"this uwsgi ({shown(path)}){has} no plugin {name}: {', or '.join(do)}"
