"""Comparing a journal with the lines of a witness.

Each line names an event and its hash. With a whole chain, a journal that has this event has all
events before it as well. So one line that fits proves all events before it. The first line that
does not fit tells between which events the journal was rewritten, or where it was rolled back.

After an operator adopted a journal that was not the witnessed one, the daemon's next line says so
(``why`` is ``adopted``). Lines before it that do not fit are notes then, as the witness knows why.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ..journal import signatures
from ..journal.damage import Audit
from ..journal.errors import JournalError
from ..journal.reading import Reader
from ..journal.times import rfc3339
from ..journal.witness import Line, flaw, lines_of
from ..monitors.names import shown

STDIN: Final = "-"


class Witness(msgspec.Struct):
    """The lines of a witness, as they were read before the journal was."""

    name: str
    lines: list[tuple[int, Line]]
    unreadable: list[int]  # lines, by number
    checks: list[signatures.Check] = []  # a line is signed if one of them says so


def read(path: str, keys: Sequence[str] = ()) -> Witness:
    """Read a witness's lines, from a file or from standard input. Raises JournalError."""
    checks = [signatures.checker(key) for key in keys]
    witness = Witness("standard input" if path == STDIN else path, [], [], checks)
    with _opened(path) as file:
        for number, line in lines_of(file):
            if line is None:
                witness.unreadable.append(number)
            else:
                witness.lines.append((number, line))
    return witness


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None


def compare(witness: Witness, reader: Reader, audit: Audit) -> None:
    """Find what the witness knows better, and note how far it goes."""
    name = shown(witness.name)
    _check_signatures(witness, audit)
    if witness.unreadable:
        count = len(witness.unreadable)
        audit.notes.append(f"{count} lines of {name} are none of a witness's, or cut off")
    if not witness.lines:
        audit.find(f"the witness {name} has no line that can be read: nothing is compared")
        return
    adoptions = [i for i, (_, line) in enumerate(witness.lines) if line.why == "adopted"]
    adopted = max(adoptions, default=0)
    last = 0  # event that is as it was witnessed
    for index, (number, line) in enumerate(witness.lines):
        what = flaw(line, reader.anchor.seq, reader.head.seq, reader.hash_of)
        if what is None:
            last = max(last, line.seq)
        elif index < adopted:
            audit.notes.append(
                f"line {number} of {name} does not fit: {what}; a later line says that an operator"
                " adopted this journal"
            )
        else:
            proven = f"up to event {last} it is as witnessed" if last else "none is as witnessed"
            audit.witnessed_to = last
            audit.find(
                f"rewritten or rolled back: {what} (line {number} of {name}, of {line.time});"
                f" {proven}; {_how(line, reader, last)}",
                line.seq,
            )
            return
    behind = reader.head.seq - last
    audit.notes.append(
        f"{len(witness.lines)} lines of {name} fit; the last is of event {last}, and {behind}"
        " events behind it are not witnessed"
    )


def _how(line: Line, reader: Reader, last: int) -> str:
    """The way in which the journal became another, as far as its times tell.

    An attacker chooses the times as well, so nothing here is a proof.
    """
    head = reader.head.seq
    if line.seq > head:
        if last == head:
            return f"an older copy was put back: it ends with event {head}, which was witnessed"
        return "its tail was cut, or an older copy was put back"
    row = reader.row(line.seq)
    if row is None or row[1].__class__ is not int:
        return "its past was rewritten"
    time = rfc3339(row[1])
    if time == line.time:
        return f"event {line.seq} has the time that was witnessed, so its past was rewritten"
    if time > line.time:
        return (
            f"event {line.seq} is of {time}, which is later, so a daemon went on with an older copy"
        )
    return f"event {line.seq} is of {time}, which is earlier, so its past was rewritten"


def _check_signatures(witness: Witness, audit: Audit) -> None:
    if not witness.checks:
        if any(line.signature is not None for _, line in witness.lines):
            audit.notes.append("signatures of the witness are not checked; give --witness-key")
        return
    unsigned, foreign = list[int](), list[int]()
    for number, line in witness.lines:
        signature = line.signature
        if signature is None:
            unsigned.append(number)
        elif not any(check(line.signed, signature) for check in witness.checks):
            foreign.append(number)
    if unsigned:
        audit.find(
            f"{_lines(unsigned, witness)}: not signed by the key nor by another one, so anybody can"
            " have written it"
        )
    if foreign:
        audit.find(
            f"{_lines(foreign, witness)}: not signed by the key, so somebody else wrote or changed"
            " it; if the key was replaced, give the former one by --witness-key, too"
        )


def _lines(numbers: Sequence[int], witness: Witness) -> str:
    more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
    return f"line {numbers[0]}{more} of {shown(witness.name)}"
