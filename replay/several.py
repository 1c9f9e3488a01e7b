"""The answers of a command about each of several vassals: names, patterns, a source."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from ..daemon.cli.nearest import is_pattern
from ..journal.reading import Reader
from .of_source import chosen_of, url_of
from .rebuild import NotFound
from .shared import complain

T = TypeVar("T")

_MOST: Final = 10  # vassals without an answer that are told


def meant(
    reader: Reader, told: Sequence[str], monitor: str | None = None
) -> tuple[list[str], bool]:
    """The vassals that are meant, and if they are to be answered as several. Raises NotFound.

    One name that is told is one, though it may not be known. A pattern is several, also where only
    one vassal fits.
    """
    one = len(told) == 1 and (not is_pattern(told[0]) or reader.first_of(told[0]) is not None)
    if one and monitor is None:
        return list(told), False
    return chosen_of(reader, told, url_of(reader, monitor)), not one


def of_each(
    reader: Reader, told: Sequence[str], look: Callable[[str], T], monitor: str | None = None
) -> tuple[list[T], bool]:
    """The answers of ``look`` about each vassal that is meant, and if they are several.

    Stderr says why one of several has no answer. Raises NotFound where none has.
    """
    names, several = meant(reader, told, monitor)
    return list(answers(names, look)), several


def answers(names: Sequence[str], look: Callable[[str], T]) -> Iterator[T]:
    """The answers about vassals, one at a time. Raises NotFound where none has one.

    Of many that have none, the first are told, and how many others there are.
    """
    missed, found = list[NotFound](), False
    for name in names:
        try:
            answer = look(name)
        except NotFound as error:
            missed.append(error)
            continue
        found = True
        yield answer
    first = 0 if found else 1
    for each in missed[first : first + _MOST]:
        complain(each)
    if (others := len(missed) - first - _MOST) > 0:
        complain(f"{others} others have no answer either")
    if not found:
        raise missed[0]
