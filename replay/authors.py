"""The author of a change, as far as its source tells: see ``attrs`` of a vassal.

The nearest to a person comes first. The owner of a file is no proof of who wrote it.
"""

from typing import Any, Final

from ..journal.errors import JournalError
from ..journal.reading import Reader

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


def author_at(reader: Reader, seq: int) -> str | None:
    """The author of the change that an event tells; None where it cannot be known or read."""
    row = reader.row(seq)
    try:
        return None if row is None else author(reader.decode(row).body)
    except JournalError:
        return None
