"""The lines that a deploy brought, and the vassals whose configs have one of them now."""

import difflib
from typing import Final

import msgspec

from ..daemon.core.fleet import Fleet
from ..journal.reading import Reader

_MOST_LINES: Final = 20


class Found(msgspec.Struct):
    """A line, and other vassals whose wanted config has it."""

    line: str
    vassals: list[str]


def text_of(reader: Reader, digest: str | None) -> list[str] | None:
    """The lines of a config text; None where it is not in the journal."""
    content = None if digest is None else reader.config_text(digest)
    return None if content is None else content.decode("utf-8", "backslashreplace").split("\n")


def diff(old: list[str] | None, new: list[str] | None, old_name: str, new_name: str) -> list[str]:
    """Lines of a unified diff; empty where the texts are the same, or one is not known."""
    if old is None or new is None:
        return []
    return list(difflib.unified_diff(old, new, old_name, new_name, lineterm=""))


def added(old: list[str] | None, new: list[str] | None) -> list[str]:
    """The lines that only the new text has, without comments and empty ones."""
    if new is None:
        return []
    before = {line.strip() for line in old or ()}
    lines = dict.fromkeys(line.strip() for line in new)
    return [each for each in lines if each and each not in before and each[0] not in "[;#"]


def elsewhere(reader: Reader, fleet: Fleet, lines: list[str], but: str) -> list[Found]:
    """The vassals that have one of these lines now, by line; only lines that some have."""
    wanted = lines[:_MOST_LINES]
    by_digest: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {line: [] for line in wanted}
    for name in sorted(fleet.vassals):
        digest = fleet.vassals[name].spec.config
        if name == but or digest is None:
            continue
        if digest not in by_digest:
            text = {line.strip() for line in text_of(reader, digest) or ()}
            by_digest[digest] = text.intersection(wanted)
        for line in by_digest[digest]:
            found[line].append(name)
    return [Found(line, names) for line, names in found.items() if names]
