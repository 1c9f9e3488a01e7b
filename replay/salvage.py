"""Reading on past damage, where an operator asks for that (``--salvage``).

Without it, a fleet that follows from a damaged event is not told. With it, such an event is left
out, and those behind it are folded as if it had not been. The command says so and exits with 3.
"""

from typing import Final
from weakref import WeakKeyDictionary

from ..journal.errors import JournalError
from ..journal.reading import Reader

OPTION: Final = "emperord.salvage"  # in click's meta

_left_out: WeakKeyDictionary[Reader, dict[int, str]] = WeakKeyDictionary()


def allow(reader: Reader) -> None:
    """Have folds by this reader read on."""
    _left_out[reader] = {}


def is_allowed(reader: Reader) -> bool:
    """Whether folds by this reader read on."""
    return reader in _left_out


def leave_out(reader: Reader, seq: int, error: JournalError) -> None:
    """Leave this event out; raises the error where that is not asked for."""
    known = _left_out.get(reader)
    if known is None:
        raise error
    known.setdefault(seq, str(error))


def told(reader: Reader) -> str | None:
    """The events that were left out, in words; None where there are none."""
    seqs = sorted(_left_out.get(reader, {}))
    if not seqs:
        return None
    some = ", ".join(map(str, seqs[:10])) + (", ..." if len(seqs) > 10 else "")
    return (
        f"{reader.path}: read on past damage, without {'event' if len(seqs) == 1 else 'events'}"
        f" {some}: what follows from them is not in the answer"
    )
