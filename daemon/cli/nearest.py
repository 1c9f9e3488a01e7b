"""Names that may have been meant by one that is not known."""

import difflib
import os
from collections.abc import Iterable
from typing import Final

_MOST: Final = 3  # names that are suggested
_CUTOFF: Final = 0.6
_COMPARED: Final = 2_000  # names that are compared character by character
_LONGEST: Final = 100  # characters of a name that are compared


def is_pattern(told: str) -> bool:
    """Whether a name may stand for several."""
    return any(character in told for character in "*?[")


def nearest(told: str, known: Iterable[str]) -> list[str]:
    """The names that are near, the nearest first: those without ending or folder before others."""
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
    near = difflib.get_close_matches(_stem(told), compared, _MOST, _CUTOFF)
    return [compared[name] for name in near]


def _stem(name: str) -> str:
    """The part of a name that is compared: endings are the same few, folders often the same."""
    return os.path.splitext(os.path.basename(name))[0].casefold()[:_LONGEST]


def _short_forms(name: str) -> set[str]:
    """The forms of a name that people type: no ending, no folder, another case."""
    base = os.path.basename(name)
    forms = (name, base, os.path.splitext(name)[0], os.path.splitext(base)[0])
    return {form.casefold() for form in forms}
