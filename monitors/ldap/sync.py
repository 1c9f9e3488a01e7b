"""Content synchronization (RFC 4533): what the server's messages amount to.

A search with the sync request control goes through two stages. In *refresh* the server brings us
from what we have (the cookie says what that is; none: nothing) to what there is now. Then, in
*persist*, it sends each change when it happens.

A refresh sends new and changed entries. Then it names the unchanged ones in a *present* phase, and
all others are gone. Or it names the gone ones in a *delete* phase. It may also have both phases.
Nothing of it counts until it is over: a connection that is lost half-way leaves the content, and
the cookie, of before.

This is pure: no connection, no clock.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from .ber import BadMessage, element, elements, sequence

REQUEST: Final = "1.3.6.1.4.1.4203.1.9.1.1"
STATE: Final = "1.3.6.1.4.1.4203.1.9.1.2"
DONE: Final = "1.3.6.1.4.1.4203.1.9.1.3"
INFO: Final = "1.3.6.1.4.1.4203.1.9.1.4"

MOST_ENTRIES: Final = 100_000
MOST_BYTES: Final = 64 << 20  # of all entries together, as Entry.size counts them
_ENTRY: Final = 640  # bytes that an entry takes besides its values
_VALUE: Final = 64  # bytes that a value takes besides its text

_PRESENT, _ADD, _MODIFY, _DELETE = range(4)
_NEW_COOKIE, _REFRESH_DELETE, _REFRESH_PRESENT, _ID_SET = range(0xA0, 0xA4)
_NEW_COOKIE_TAG: Final = 0x80


class OutOfStep(Exception):
    """A message of the server contradicts an earlier one. All must be read anew."""


class TooMuch(Exception):
    """More than we can hold; the text says what."""


class Entry(msgspec.Struct, gc=False):
    """An entry of the directory as it was sent; it never changes, another takes its place.

    ``attributes`` are named in lower case. ``memo`` is for a caller's result that need not be
    computed twice.
    """

    dn: str
    attributes: Mapping[str, list[bytes]]
    memo: Any = None

    def size(self) -> int:
        """About how many bytes of memory it takes."""
        values = [value for values in self.attributes.values() for value in values]
        return _ENTRY + len(self.dn) + sum(map(len, values)) + _VALUE * len(values)


class Content:
    """The entries that a search finds, by their entryUUID, as far as the server told."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.cookie: bytes | None = None
        self.refreshing = False
        self.changed = False  # since the last reading set it to False
        self.unsettled: float | None = None  # when stamps moved that may not move again
        self._size = 0  # at most so much, in bytes
        self._stage: dict[bytes, Entry] = {}
        self._present: set[bytes] = set()
        self._new_cookie: bytes | None = None

    def begin(self) -> None:
        """A search begins, with the cookie that is here."""
        self.refreshing = True
        self._stage = {} if self.cookie is None else dict(self.entries)
        self._present = set()
        self._new_cookie = self.cookie

    def give_up(self) -> None:
        """Forget the entries of the running refresh."""
        self._stage, self._present, self.refreshing = {}, set(), False

    def replace(self, entries: dict[bytes, Entry]) -> None:
        """All was read, by an ordinary search."""
        self.entries, self.cookie, self.refreshing, self.changed = entries, None, False, True

    # Messages of the server. All of these raise BadMessage, OutOfStep or TooMuch.

    def take_entry(self, state: bytes, entry: Entry) -> None:
        """An entry came, with its sync state control."""
        parts = sequence(state)
        if len(parts) < 2 or parts[0][0] != 0x0A or len(parts[1][1]) != 16:
            raise BadMessage
        kind, key = int.from_bytes(parts[0][1], "big"), parts[1][1]
        if kind == _PRESENT:
            self._note_present(key)
        elif kind in (_ADD, _MODIFY):
            self._put(key, entry)
        elif kind == _DELETE:
            self._drop(key)
        else:
            raise BadMessage
        if len(parts) > 2:
            self._take_cookie(parts[2][1])

    def take_info(self, value: bytes) -> None:
        """A sync info message came."""
        ((tag, content),) = _one(value)
        if tag == _NEW_COOKIE_TAG:
            self._take_cookie(content)
            return
        cookie, flag, keys = _parts(content)
        if cookie is not None:
            self._take_cookie(cookie)
        if tag == _ID_SET:
            for key in keys:
                if flag:  # refreshDeletes
                    self._drop(key)
                else:
                    self._note_present(key)
        elif tag in (_REFRESH_PRESENT, _REFRESH_DELETE):
            self._end_phase(present=tag == _REFRESH_PRESENT, done=flag is not False)
        else:
            raise BadMessage

    # How

    def _target(self) -> dict[bytes, Entry]:
        return self._stage if self.refreshing else self.entries

    def _put(self, key: bytes, entry: Entry) -> None:
        target = self._target()
        target[key] = entry
        self._present.add(key)
        self._size += entry.size()
        if self._size > MOST_BYTES:  # replaced and removed entries counted, too
            self._size = sum(each.size() for each in target.values())
        check_size(len(target), self._size)
        self.changed = self.changed or not self.refreshing

    def _drop(self, key: bytes) -> None:
        self._target().pop(key, None)
        self._present.discard(key)
        self.changed = self.changed or not self.refreshing

    def _note_present(self, key: bytes) -> None:
        if key not in self._target():
            raise OutOfStep
        self._present.add(key)

    def _take_cookie(self, cookie: bytes) -> None:
        self._new_cookie = cookie
        if not self.refreshing:
            self.cookie = cookie

    def _end_phase(self, *, present: bool, done: bool) -> None:
        if not self.refreshing:
            raise OutOfStep
        if present:
            self._stage = {k: e for k, e in self._stage.items() if k in self._present}
        if done:
            self.entries, self.cookie = self._stage, self._new_cookie
            self._stage, self._present = {}, set()
            self.refreshing, self.changed = False, True


def check_size(count: int, size: int) -> None:
    """Whether so many entries of so many bytes can be held. Raises TooMuch."""
    if count > MOST_ENTRIES:
        raise TooMuch(f"more than {MOST_ENTRIES:,} entries fit the filter; narrow it")
    if size > MOST_BYTES:
        raise TooMuch(
            f"the entries that fit the filter have more than {MOST_BYTES >> 20} MiB; narrow it"
        )


def request(cookie: bytes | None) -> bytes:
    """The value of a sync request control: refresh, then persist."""
    given = [] if cookie is None else [element(0x04, cookie)]
    return element(0x30, element(0x0A, b"\x03"), *given)


def _one(value: bytes) -> list[tuple[int, bytes]]:
    found = list(elements(value))
    if len(found) != 1:
        raise BadMessage
    return found


def _parts(content: bytes) -> tuple[bytes | None, bool | None, Iterator[bytes]]:
    """Of a sync info: its cookie, its flag if there is one, and its entryUUIDs."""
    cookie: bytes | None = None
    flag: bool | None = None
    keys: list[bytes] = []
    for tag, part in elements(content):
        if tag == 0x04:
            cookie = part
        elif tag == 0x01:
            flag = part != b"\x00"
        elif tag == 0x31:
            keys = [key for _, key in elements(part)]
        else:
            raise BadMessage
    if any(len(key) != 16 for key in keys):
        raise BadMessage
    return cookie, flag, iter(keys)
