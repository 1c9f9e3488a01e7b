"""The heavy part of what a running daemon does with its journal, in a process of its own.

    python -m emperord.replay.for_daemon archive JOURNAL BEFORE [FILE]
    python -m emperord.replay.for_daemon backup JOURNAL FILE

It only reads the journal. So it delays the daemon as little as any reader does, and has the lowest
priority. It prints a line of JSON: what is done, or an error. Its standard input is a pipe of the
daemon's. When that ends, this process ends, so that no two of them work on a journal.
"""

import contextlib
import os
import signal
import sqlite3
import sys
import threading
from typing import Final

import msgspec

from ..journal import archive_file
from ..journal.archive_file import UNFINISHED
from ..journal.errors import JournalError
from ..journal.files import Files
from ..journal.places import default_archives
from ..journal.reading import Reader, error_text, open_journal
from ..journal.times import moment
from . import archiving
from .verify import verify

_LOWEST: Final = 19  # nice(2)
_SUFFIX: Final = ".db"


def archive(path: str, before: str, file: str | None) -> dict[str, object]:
    """Write and verify an archive of the events before a time. Raises JournalError."""
    with open_journal(path) as reader:
        cut = archiving.cut_of(reader, moment(before))
        if cut.seq <= reader.anchor.seq:
            return {"archive": None, "reason": archiving.reason(cut)}
        file = _begun(reader, path, cut) if file is None else file
        there = os.path.lexists(file)
        archiving.check_place(path, file)
        begin, end = archiving.span_of(reader, file, cut) if there else archiving.span(reader, cut)
        part = archiving.part_of(reader, begin, end)
        if not there:
            archive_file.write(reader.files, file, part)
        verified = archiving.finish(part, path, file, there, lambda *_: None)
        fleets = archiving.rows_of(part, file)
        if archiving.identity(path, file) != verified:
            raise archiving.changed(file)
        try:
            texts, looked_to = archive_file.unneeded(reader.db, end.seq, part.after)
        except sqlite3.Error as error:
            raise JournalError(f"{path}: cannot be read: {error_text(error)}") from None
    return {
        "archive": file,
        "first": begin.seq + 1,
        "last": end.seq,
        "fleets": fleets,
        "verified": verified,
        "texts": texts,
        "looked_to": looked_to,
    }


def _begun(reader: Reader, path: str, cut: archiving.Cut) -> str:
    """The archive that a former run has begun, or the name of a new one.

    A file that a run has left unfinished is removed.
    """
    folder = default_archives(path)
    new = os.path.join(folder, f"{reader.anchor.seq + 1}-{cut.seq}{_SUFFIX}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        archiving.check_place(path, new)
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise JournalError(f"{folder}: cannot be used: {error.strerror}") from None
    for name in names:
        file = os.path.join(folder, name)
        if name.endswith(_SUFFIX + UNFINISHED):
            archive_file.discard(file.removesuffix(UNFINISHED))
        elif name.endswith(_SUFFIX):
            with contextlib.suppress(JournalError):
                archiving.span_of(reader, file, cut)
                return file
    return new


def backup(path: str, file: str) -> dict[str, object]:
    """Write and verify a copy of a journal. Raises JournalError."""
    if os.path.lexists(file):
        raise JournalError(f"{file}: is there already; name another file")
    archiving.check_place(path, file)
    unfinished = file + UNFINISHED
    files = Files(path)
    archive_file.copy(files, file)
    try:
        verdict = verify(unfinished)
        if verdict.exit_code == _DAMAGED:
            found = [finding.what for finding in verdict.audit.findings]
            raise JournalError(
                f"{file}: the copy would not verify: {found[0] if found else 'newer rules'}; there"
                " is none. See what 'verify' says of the journal"
            )
        with open_journal(unfinished) as copied, open_journal(path) as reader:
            head = copied.head
            if reader.hash_of(head.seq) != head.hash:
                raise JournalError(f"{file}: event {head.seq}, the last, is another in the journal")
            first = copied.anchor.seq + 1
        archive_file.publish(file)
    except BaseException:
        archive_file.discard(file)
        raise
    return {
        "file": file,
        "first": first,
        "last": head.seq,
        "events": head.seq - first + 1,
        "head": head.hash.hex(),
        "bytes": os.stat(file).st_size,
    }


_DAMAGED: Final = 3


def _end_with_daemon() -> None:
    """End this process and those that it started when the daemon ends or has enough."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.killpg(0, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Do it, and print what is done."""
    os.nice(_LOWEST)
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_daemon, daemon=True).start()
    do, path, *more = arguments
    try:
        if do == "archive":
            done = archive(path, more[0], more[1] if len(more) > 1 else None)
        else:
            done = backup(path, more[0])
    except JournalError as error:
        done = {"error": str(error)}
    except OSError as error:
        done = {"error": f"{error.filename or path}: {error.strerror}"}
    sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
