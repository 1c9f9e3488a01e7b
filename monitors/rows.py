"""Rows: what databases, queues and trees say of one vassal, as fields.

Whatever the source, a vassal is a name, a config, a ts and perhaps a uid, a gid and a socket. Here
untrusted values of these become a ``Seen``, or a ``Flaw`` that says which field is wrong and why,
for the author of the row.
"""

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..journal.chain import digest
from ..journal.events import Spec
from . import config_file, internal_error, names, ownership, settings
from .config_file import TooLarge
from .contract import Seen
from .options import MonitorOptions
from .os_errors import error_text
from .private_groups import NotKnown
from .regular_file import Denied, NotRegular, opened
from .tenant import Tenant, Tenants

LONGEST_CONFIG: Final = 0xFFFF  # bytes; more does not fit the emperor protocol
MUCH: Final = 128 << 10  # bytes of configs; to understand more, some formats take too long
_LONGEST_NUMBER: Final = 40  # characters of a number that is given as text
_LARGEST_ID: Final = 0xFFFFFFFE  # of a uid or gid; the one above means "unchanged"
MOST_ATTRS: Final = 16  # further values of a row that are recorded
LONGEST_ATTR: Final = 200  # characters of one
_LONGEST_KEY: Final = 64
_LONGEST_ADDRESS: Final = 255  # bytes
_SECOND: Final = 1_000_000_000
_LARGEST_TS: Final = (1 << 63) // _SECOND  # seconds; as nanoseconds it fits 64 bits


class Flaw(Exception):
    """A row that cannot be a vassal; the text says why."""


class Barred(Exception):
    """The file that a row names may not run, though it may be a vassal's; the text says why."""


class Row(msgspec.Struct):
    """The fields of one vassal, as the source gave them. None and "" mean omitted.

    ``ts`` is in seconds since 1970, or a time.
    """

    name: Any
    config: Any
    ts: Any
    uid: Any = None
    gid: Any = None
    socket: Any = None
    attrs: dict[str, Any] = {}  # more that the source knows, for people


class TooLong(msgspec.Struct, frozen=True):
    """Stands for a value that the source kept, as it has so many bytes."""

    size: int


def seen_of(row: Row, options: MonitorOptions) -> tuple[str, Seen]:
    """The vassal's name and what is seen of it. Raises Flaw."""
    name = name_of(row.name, options)
    with _refusing(name):
        content = content_of(row.config)
        return name, Seen(_spec(name, row, content, options), content)


def seen_of_file(row: Row, options: MonitorOptions) -> tuple[str, Seen]:
    """As ``seen_of``, for a row without a config: its name is the path of a file. Blocks.

    The file's own times do not count, the row's ts does. Raises Flaw.
    """
    name = name_of(row.name, options)
    with _refusing(name):
        return name, _seen_of_file(name, row, options)


@contextlib.contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Refuse the row for an unexpected error. The others of its source are served."""
    try:
        yield
    except Flaw:
        raise
    except Exception as error:
        raise Flaw(internal_error.log_and_describe(names.shown(name), error)) from None


def _seen_of_file(name: str, row: Row, options: MonitorOptions) -> Seen:
    path = path_of(name)
    spec = _spec(name, row, None, options, path)
    tenant = Tenants(initgroups=options.tyrant_initgroups).of(spec.uid, spec.gid)
    if options.tyrant and tenant is None:
        return Seen(spec)  # it may not run, so nothing is read
    try:
        shown = names.shown(path)
        with opened(path, tenant, locked=options.locked, shown=shown) as descriptor:
            content = contents_of(descriptor, path, tenant)
    except (Barred, Denied) as bar:
        return Seen(msgspec.structs.replace(spec, bar=str(bar)))
    except NotRegular:
        raise Flaw(f"it has no config, and {names.shown(path)} is no file") from None
    except OSError as error:
        raise Flaw(f"it has no config, and {names.shown(path)}: {error_text(error)}") from None
    except TooLarge as error:
        raise Flaw(f"it has no config, and {names.shown(path)}: {error}") from None
    return Seen(_spec(name, row, content, options, path), content)


def _spec(
    name: str, row: Row, content: bytes | None, options: MonitorOptions, path: str | None = None
) -> Spec:
    found, flaw = ({}, None) if content is None else settings.read(name, content)
    uid, gid = (id_of("uid", row.uid), id_of("gid", row.gid))
    return Spec(
        ts=ts_of(row.ts),
        config=None if content is None else digest(content),
        path=path,
        # A daemon that is started in another directory finds it where it was.
        cwd=None if path in (None, name) else os.getcwd(),
        # The owner matters only in tyrant mode, where vassals run as their owners.
        uid=uid if options.tyrant else None,
        gid=gid if options.tyrant else None,
        socket=socket_of(row.socket),
        settings=found,
        attrs=attrs_of(row.attrs),
        bar=flaw,
    )


def attrs_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Further values of a source as they are recorded: short, printable texts."""
    found = {}
    for key, value in list(values.items())[:MOST_ATTRS]:
        if value is None or value in ("", b""):
            continue
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        text = f"({value.size} bytes)" if isinstance(value, TooLong) else names.shown(str(value))
        found[names.shown(str(key))[:_LONGEST_KEY]] = text[:LONGEST_ATTR]
    return found


def label_of(name: Any) -> str:
    """A name to call a row by when it is refused, whatever its name is."""
    if name is None or name in ("", b""):
        return "(no name)"
    if isinstance(name, TooLong):
        return f"(a name of {name.size} bytes)"
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if not isinstance(name, str):
        name = repr(name)
    return names.shown(name if len(name) <= 300 else name[:300] + "…")


def name_of(value: Any, options: MonitorOptions) -> str:
    """The name of a vassal. Raises Flaw."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise Flaw(_not("name", "a text", value))
    flaw = names.flaw(value, options.extra_extension)
    if flaw is not None:
        raise Flaw(flaw)
    return value


def content_of(value: Any) -> bytes:
    """The config text. Raises Flaw."""
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes | TooLong):
        raise Flaw(_not("config", "a text", value))
    if not value:
        raise Flaw("the config is empty")
    size = value.size if isinstance(value, TooLong) else len(value)
    if isinstance(value, TooLong) or size > LONGEST_CONFIG:
        raise Flaw(f"the config has {size} bytes, {LONGEST_CONFIG} fit the emperor protocol")
    if b"\0" in value:
        raise Flaw("the config has a NUL byte")
    return value


def path_of(name: str) -> str:
    """The path that a name stands for where the source's contract has it stand for one.

    It is absolute, or below the daemon's working directory. Raises Flaw.
    """
    if "://" in name:
        raise Flaw("the name is no path: uWSGI would take what precedes :// for a scheme")
    if ".." in name.split("/"):
        raise Flaw("the name is a path that goes up (..)")
    return os.path.abspath(name)


def contents_of(descriptor: int, path: str, tenant: Tenant | None) -> bytes:
    """All of an open file, to which the path leads.

    Raises Flaw, OSError, TooLarge; Barred, if it is not for the tenant to run.
    """
    status = os.fstat(descriptor)
    if tenant is not None:
        _check_owner(path, tenant.uid, status)
    return config_file.contents_of(descriptor, status.st_size)


def _check_owner(path: str, uid: int, opened: os.stat_result) -> None:
    """In tyrant mode, make sure that a file may run as this user. Raises Barred, Flaw, OSError."""
    try:
        bar = ownership.ownership_flaw_at(path, uid, opened)
    except ownership.Replaced:
        raise Flaw(f"{names.shown(path)} was replaced while it was read") from None
    except NotKnown as error:
        raise Flaw(f"{names.shown(path)} cannot be read: {error}") from None
    if bar is not None:
        raise Barred(bar)


def ts_of(value: Any) -> int:
    """Nanoseconds since the epoch from seconds (any kind of number) or a time. Raises Flaw."""
    if isinstance(value, datetime):
        whole = value if value.tzinfo else value.replace(tzinfo=UTC)
        since = whole - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1000
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER:
            raise Flaw(f"the ts has {len(value)} characters, {_LONGEST_NUMBER} are allowed")
        try:
            value = Decimal(value)
        except ArithmeticError:
            raise Flaw(
                f"the ts is no number but {names.shown(value[:40])!r}; it is seconds since 1970"
            ) from None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Flaw(_not("ts", "a number or a time", value))
    if not _finite(value):
        raise Flaw("the ts is not finite")
    # Before it is scaled: 1e999999 is a Decimal, but as nanoseconds it is an hour's work.
    if not -_LARGEST_TS < value < _LARGEST_TS:
        raise Flaw("the ts is out of range; it is seconds since 1970")
    return int(value * _SECOND) if not isinstance(value, float) else round(value * _SECOND)


def id_of(what: str, value: Any) -> int | None:
    """A uid or gid, None if omitted. Raises Flaw."""
    if value is None or value in ("", b""):
        return None
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]+", value):
            raise Flaw(f"the {what} is no whole number but {names.shown(value[:40])!r}")
        # Text is never cut before it is read: that would make it another user's id.
        if len(value) > _LONGEST_NUMBER:
            raise Flaw(f"the {what} is too long, it must be from 0 to {_LARGEST_ID}")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Flaw(_not(what, "a whole number", value))
    if not _finite(value):
        raise Flaw(f"the {what} is {value}, it must be a whole number")
    # Before it is made whole: 1e999999 is a Decimal, but as an int it is an hour's work.
    if not 0 <= value <= _LARGEST_ID:
        raise Flaw(f"the {what} is {_brief(value)}, it must be from 0 to {_LARGEST_ID}")
    if value != int(value):
        raise Flaw(f"the {what} is {_brief(value)}, it must be a whole number")
    return int(value)


def _brief(value: int | float | Decimal) -> str:
    # Python refuses to write out an int of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 128:
        return "far too " + ("large" if value > 0 else "small")
    return str(value)[:40]


def socket_of(value: Any) -> str | None:
    """An on-demand address, None if omitted. Raises Flaw."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Flaw(_not("socket", "a text", value))
    size = len(value.encode("utf-8", "surrogateescape"))
    if size > _LONGEST_ADDRESS:
        raise Flaw(
            f"the socket is not an address: it has {size} bytes, {_LONGEST_ADDRESS} are allowed"
        )
    if not value.isprintable():
        raise Flaw("the socket is not an address: it has a character that cannot be printed")
    return value


def _finite(value: int | float | Decimal) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, Decimal) or value.is_finite()


def _not(what: str, kind: str, value: Any) -> str:
    if value is None:
        return f"the {what} is missing"
    if isinstance(value, TooLong):
        return f"the {what} has {value.size} bytes, which is too long"
    return f"the {what} is not {kind} but of type {type(value).__name__}"
