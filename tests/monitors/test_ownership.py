"""Tyrant mode: files that a source names by path, for a user that it gives, too."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.journal.events import Spec
from emperord.monitors import rows
from emperord.monitors.contract import Seen
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zeromq import monitor as zeromq
from support.tyrant import common_ground

ALICE, BOB = 61_001, 61_002


def by_row(path: Path) -> Seen:
    """The vassal of a document without a config."""
    row = rows.Row(str(path), None, 1, ALICE, ALICE)
    return rows.seen_of_file(row, MonitorOptions(tyrant=True))[1]


def by_message(path: Path) -> Seen:
    """The vassal of a message without a config."""
    spec = Spec(ts=1, uid=ALICE, gid=ALICE)
    options = MonitorOptions(tyrant=True)
    return zeromq.see_file(str(path.parents[1]), f"{path.parent.name}/{path.name}", spec, options)


@pytest.fixture
def folder() -> Iterator[Path]:
    with common_ground() as ground:
        (ground / "files").mkdir()
        yield ground / "files"


def file_of(uid: int, path: Path) -> Path:
    path.write_text("[uwsgi]\n")
    os.chown(path, uid, uid)
    return path


def alices(folder: Path) -> None:
    file_of(ALICE, folder / "a.ini")


def roots(folder: Path) -> None:
    file_of(0, folder / "a.ini")


def bobs(folder: Path) -> None:
    file_of(BOB, folder / "a.ini")


def alices_link_to_roots(folder: Path) -> None:
    (folder / "a.ini").symlink_to(file_of(0, folder / "b.ini"))
    os.lchown(folder / "a.ini", ALICE, ALICE)


def alices_link_to_bobs(folder: Path) -> None:
    (folder / "a.ini").symlink_to(file_of(BOB, folder / "b.ini"))
    os.lchown(folder / "a.ini", ALICE, ALICE)


def bobs_link_to_alices(folder: Path) -> None:
    (folder / "a.ini").symlink_to(file_of(ALICE, folder / "b.ini"))
    os.lchown(folder / "a.ini", BOB, BOB)


def in_bobs_directory(folder: Path) -> None:
    file_of(ALICE, folder / "a.ini")
    os.chown(folder, BOB, BOB)


def a_hard_link_in_alices_directory(folder: Path) -> None:
    (folder / "a.ini").hardlink_to(file_of(0, folder.parent / "secret"))
    os.chown(folder, ALICE, ALICE)


def a_hard_link_of_roots(folder: Path) -> None:
    (folder / "a.ini").hardlink_to(file_of(ALICE, folder.parent / "deployed"))


CASES = [
    pytest.param(alices, None, id="alice's"),
    pytest.param(roots, None, id="root's"),
    pytest.param(alices_link_to_roots, None, id="alice's link to root's"),
    pytest.param(a_hard_link_of_roots, None, id="root's hard link"),
    pytest.param(bobs, f"and {{}} belongs to uid {BOB}", id="bob's"),
    pytest.param(alices_link_to_bobs, f"and {{}} belongs to uid {BOB}", id="alice's link to bob's"),
    pytest.param(
        bobs_link_to_alices, f"leads over {{}}, which belongs to uid {BOB}", id="bob's link"
    ),
    pytest.param(in_bobs_directory, "files, which belongs to uid", id="bob's directory"),
    pytest.param(a_hard_link_in_alices_directory, "it has 2 hard links", id="alice's hard link"),
]


@pytest.mark.parametrize("see", [by_row, by_message])
@pytest.mark.parametrize(("make", "reason"), CASES)
def test_whose_it_must_be(
    folder: Path, make: Callable[[Path], None], reason: str | None, see: Callable[[Path], Seen]
) -> None:
    make(folder)
    seen = see(folder / "a.ini")
    assert (seen.spec.uid, seen.spec.path) == (ALICE, str(folder / "a.ini"))
    if reason is None:
        assert (seen.spec.bar, seen.content) == (None, b"[uwsgi]\n")
    else:
        assert reason.format(folder / "a.ini") in (seen.spec.bar or "")
        assert (seen.spec.config, seen.content) == (None, None)
