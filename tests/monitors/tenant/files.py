"""Files of tenants, of root and of others, for tests of tyrant mode."""

import os
from pathlib import Path

from emperord.journal.events import Spec
from emperord.monitors import listing, regular_file, rows
from emperord.monitors.contract import Seen
from emperord.monitors.options import MonitorOptions
from emperord.monitors.rows import Row
from emperord.monitors.tenant import Tenant
from support.tyrant import ALICE, ALICES

PLAIN = "[uwsgi]\nplain = text\n"
PLACED = Spec(ts=1, path="a.ini")
ME = Tenant(ALICE, ALICES, (ALICES,))


def file_of(path: Path, uid: int, gid: int, mode: int = 0o644, text: str = PLAIN) -> Path:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, uid, gid)
    return path


def closed(ground: Path) -> Path:
    """A directory that only root can search."""
    (ground / "closed").mkdir(mode=0o700)
    return ground / "closed"


TYRANT = MonitorOptions(tyrant=True)


# Directories


def listed(path: Path) -> list[str] | str:
    """The names in a directory, or why they are not told."""
    try:
        descriptor = listing.open_directory(f"{path}/", tyrant=True)
    except regular_file.Denied as error:
        return str(error)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


# Sources that give a path with the user


def by_row(path: Path, uid: int | None, gid: int | None) -> Seen:
    row = Row(str(path), None, 1, uid, gid)
    return rows.seen_of_file(row, TYRANT)[1]
