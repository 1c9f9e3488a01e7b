"""Names that may have been meant by one that is not known: all commands suggest them alike."""

import os
from collections.abc import Iterable, Mapping
from typing import Final

from ...monitors.names import shown

_MOST: Final = 3  # names that are suggested
_CUTOFF: Final = 0.6
_URL_CUTOFF: Final = 0.8  # URLs of two sources have much in common
_COMPARED: Final = 2_000  # names that are compared character by character
_LONGEST: Final = 100  # characters of a name that are compared


def is_pattern(told: str) -> bool:
    """Whether a name may stand for several."""
    return any(character in told for character in "*?[")


def _close(told: str, known: Iterable[str], most: int, cutoff: float) -> list[str]:
    import difflib  # only an error needs it

    return difflib.get_close_matches(told, list(known), most, cutoff)


def did_you_mean(near: Iterable[str]) -> str:
    """The question that an error ends with; empty where nothing is near."""
    names = " or ".join(map(shown, near))
    return f"did you mean {names}?" if names else ""


def nearest(told: str, known: Iterable[str]) -> list[str]:
    """The vassals that are near: names without ending or folder first."""
    names = sorted(known)
    wanted = told.casefold()
    short = [name for name in names if wanted in _short_forms(name)]
    if not short and len(wanted) > 1:
        short = [name for name in names if _stem(name).startswith(wanted)]
    if short or not told:
        return short[:_MOST]
    if len(names) > _COMPARED:
        first = _stem(told)[:1]
        names = [name for name in names if _stem(name).startswith(first)]
    compared = {_stem(name): name for name in names[:_COMPARED]}
    near = _close(_stem(told), compared, _MOST, _CUTOFF)
    return [compared[name] for name in near]


def nearest_words(told: str, known: Iterable[str]) -> list[str]:
    """The words of a fixed list that are near: commands, kinds, keys."""
    return _close(told.casefold(), known, _MOST, _CUTOFF)


def other_source(told: str, sources: Mapping[str, str]) -> str:
    """The source that may be meant by one that is not known, or else which there are.

    ``sources`` are short names by URL; a source without a name has an empty one.
    """
    known = dict.fromkeys(filter(None, (*sources.values(), *sources)))
    near = _close(told, known, 1, _URL_CUTOFF)
    listed = ", ".join(f"{name or '-'} ({shown(url)})" for url, name in sources.items())
    return did_you_mean(near) or f"there are {listed or 'none'}"


def _stem(name: str) -> str:
    """The part of a name that is compared: endings are the same few, folders often the same."""
    return os.path.splitext(os.path.basename(name))[0].casefold()[:_LONGEST]


def _short_forms(name: str) -> set[str]:
    """The forms of a name that people type: no ending, no folder, another case."""
    base = os.path.basename(name)
    forms = (name, base, os.path.splitext(name)[0], os.path.splitext(base)[0])
    return {form.casefold() for form in forms}
