"""The author of a change, as far as its source tells: see ``attrs`` of a vassal.

The nearest to a person comes first. The owner of a file is no proof of who wrote it.
"""

import pwd
from typing import Any, Final

from ..journal.errors import JournalError
from ..journal.reading import Reader, Row

# Attributes that sources need themselves.
_TECHNICAL: Final = frozenset(("version", "mount", "url"))
# Keys of attrs, and the words before the value.
_KEYS: Final = (
    ("author", ""),
    ("user", "user "),
    ("modifiersName", ""),
    ("client", "client "),
    ("owner", "file of uid "),
)


def author(body: Any) -> str | None:
    """The author of a change in words, from the body of its event; None where nothing tells."""
    spec = getattr(body, "spec", None)
    if spec is None:
        return None
    attrs = spec.attrs
    found = next((words + attrs[key] for key, words in _KEYS if key in attrs), None)
    # In tyrant mode a file's vassal runs as its owner.
    if found is None and spec.path is not None and spec.uid is not None:
        return f"file of uid {spec.uid}"
    return found


def further(body: Any) -> dict[str, str]:
    """More that the source says for people: a release, a ticket; by its own names."""
    spec = getattr(body, "spec", None)
    if spec is None:
        return {}
    known = {key for key, _ in _KEYS} | _TECHNICAL
    return {key: value for key, value in spec.attrs.items() if key not in known}


def is_by(body: Any, told: str) -> bool:
    """Whether a change has this author: a name as its source tells it, or a file's owner."""
    spec = getattr(body, "spec", None)
    if spec is None:
        return False
    names = [spec.attrs[key] for key, _ in _KEYS if key in spec.attrs and key != "owner"]
    if told in (*names, author(body)):
        return True
    uid = uid_of(told)
    owner = spec.attrs.get("owner", spec.uid if spec.path is not None else None)
    return uid is not None and str(owner) == str(uid)


def uid_of(told: str) -> int | None:
    """The number of a user, from its number or its name on this machine."""
    if told.isascii() and told.isdigit():
        return int(told)
    try:
        return pwd.getpwnam(told).pw_uid
    except (KeyError, ValueError):
        return None


def body_of(reader: Reader, row: Row | None) -> Any:
    """The body of the event in a row; None where it cannot be read."""
    try:
        return None if row is None else reader.decode(row).body
    except JournalError:
        return None
