"""The vassals that a request is about: told by name, by pattern (``app-*``), or all of them.

A name that a vassal has is no pattern, whatever characters it has. A request is refused as a whole
if one name or pattern in it fits no vassal. So a mistyped word never lets half of it happen.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import translate
from typing import Any, Final, NamedTuple

from ...monitors.names import LONGEST
from ..cli.nearest import did_you_mean, is_pattern, nearest
from ..host import threads
from .server import Refused
from .told import told

MOST: Final = 10_000  # names and patterns of one request
_MOST_PATTERNS: Final = 100
_LONGEST_PATTERN: Final = 1000  # characters
_LONGEST: Final = 300  # characters of a name that are told


class Chosen(NamedTuple):
    """Names of vassals, sorted: those that the client wrote itself, and others that fit."""

    named: list[str]
    matched: list[str]


def is_of_many(request: Mapping[str, Any]) -> bool:
    """Whether a request has the form that can be about many vassals."""
    return "names" in request or "all" in request


def names_others(known: Collection[str], request: Mapping[str, Any]) -> bool:
    """Whether vassals are meant that the request does not name itself: by a pattern, or all."""
    names = request.get("names")
    if not isinstance(names, list):
        return request.get("all") is True
    some = names[:MOST]  # more are refused
    return any(isinstance(name, str) and name not in known and is_pattern(name) for name in some)


async def choose(
    known: Collection[str], request: Mapping[str, Any], *, strangers: bool = False
) -> Chosen:
    """The vassals of a request; with ``strangers`` also names that no vassal has. Raises Refused.

    ``known`` may change meanwhile.
    """
    names, everything = request.get("names", []), request.get("all", False)
    if isinstance(names, list) and len(names) > MOST:
        raise Refused(f"names: {MOST} at most")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused("names: a list of texts is needed")
    if not isinstance(everything, bool):
        raise Refused("all: true or false is needed")
    if bool(names) == everything:
        raise Refused("names or all: one of them is needed")
    named = [name for name in names if name in known]
    others = [name for name in names if name not in known]
    if strangers:
        named += [checked(name) for name in others if not is_pattern(name)]
        others = [name for name in others if is_pattern(name)]
    if len(others) > _MOST_PATTERNS:
        text = f"there is no vassal {told(others[0], _LONGEST)}"
        raise Refused(f"{text}; {len(others)} of the names are no vassal's")
    if everything:
        return Chosen([], sorted(known))
    if not others:
        return Chosen(sorted(set(named)), [])
    # Many patterns over many names take long.
    matched = await threads.run_sync(_fitting, list(known), others)
    return Chosen(sorted(set(named)), sorted(matched - set(named)))


def checked(name: str) -> str:
    """A name that a vassal may have later. Raises Refused for one that is too long for any."""
    if len(name) > LONGEST:
        text = f"there is no vassal {told(name, _LONGEST)}"
        raise Refused(f"{text}; a name has {LONGEST} bytes at most")
    return name


def _fitting(known: Sequence[str], names: Sequence[str]) -> set[str]:
    found = set[str]()
    for name in names:
        fits = _fits(known, name)
        if not fits:
            raise Refused(unknown(known, name))
        found.update(fits)
    return found


def _fits(known: Collection[str], name: str) -> list[str]:
    """The vassals that a pattern fits; none where it is no pattern, or is too long.

    To compile a pattern takes time by its length. ``fnmatchcase`` would keep 32,768 of them.
    """
    if not is_pattern(name) or len(name) > _LONGEST_PATTERN:
        return []
    match = re.compile(translate(name)).match
    return [each for each in known if match(each)]


def unknown(known: Collection[str], name: str) -> str:
    """That no vassal has a name, or fits a pattern, and which names are near."""
    text = told(name, _LONGEST)
    if is_pattern(name):
        long = f"; a pattern has {_LONGEST_PATTERN} characters at most"
        return f"no vassal fits {text}{long if len(name) > _LONGEST_PATTERN else ''}"
    guess = did_you_mean(nearest(name, known))
    return "; ".join(filter(None, (f"there is no vassal {text}", guess)))


def not_one(known: Collection[str], name: str) -> str:
    """That a request about one vassal does not have the name of one."""
    fits = _fits(known, name)
    if not fits:
        return unknown(known, name)
    some = "a vassal" if len(fits) == 1 else f"{len(fits)} vassals"
    return f"{told(name, _LONGEST)} is a pattern, which fits {some}; name one of them"
