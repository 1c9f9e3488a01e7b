"""Tyrant mode: no tenant gets the rights of a group that its account does not have.

A set-gid directory gives its group to a file, and ``mv`` keeps it.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.monitors.account_groups import AccountGroups, groups_of
from emperord.monitors.files import file_state as files
from emperord.monitors.files.reader import Reader
from emperord.monitors.options import MonitorOptions
from emperord.monitors.private_groups import NotKnown
from support.root import need_root
from support.tyrant import ALICE, ALICES, BOBS, account_in_a_group

from .files import PLAIN, file_of

Ids = tuple[int, int, int]
"""The uid of an account, its primary group, and another one that lists it."""


@pytest.fixture
def account() -> Iterator[Ids]:
    need_root("make an account")
    with account_in_a_group() as made:
        (other,) = set(os.getgrouplist(made.pw_name, made.pw_gid)) - {made.pw_gid}
        yield made.pw_uid, made.pw_gid, other


def bar_of(path: Path, *, nofollow: bool = False) -> str | None:
    """Why the vassal of a file may not run; its text is read only where it may."""
    reader = Reader(MonitorOptions(tyrant=True, tyrant_nofollow=nofollow), None)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        step = (directory, str(path.parent), path.name)
        sight = reader.look(str(path), step, None, lambda _: None)
    finally:
        os.close(directory)
    assert isinstance(sight, files.Found)
    bar = sight.record.seen.spec.bar
    assert sight.content == (PLAIN.encode() if bar is None else None)
    return bar


def flaw(uid: int, gid: int, path: Path) -> str:
    return (
        f"tyrant mode: uid {uid} is not in group {gid}, which {path} has, and not only root can put"
        " files there; chgrp it"
    )


@pytest.mark.parametrize(
    ("group", "is_barred"),
    [
        pytest.param("primary", False, id="its primary group"),
        pytest.param("other", False, id="a group that lists it"),
        pytest.param("foreign", True, id="a group that it is not in"),
    ],
)
def test_in_its_own_directory(ground: Path, account: Ids, group: str, is_barred: bool) -> None:
    uid, primary, other = account
    gid = {"primary": primary, "other": other, "foreign": BOBS}[group]
    (ground / "home").mkdir()
    os.chown(ground / "home", uid, primary)
    path = file_of(ground / "home" / "a.ini", uid, gid)
    assert bar_of(path) == (flaw(uid, gid, path) if is_barred else None)


def test_where_a_set_gid_directory_gave_it(ground: Path, account: Ids) -> None:
    """Also behind root's symlink: the directory of the file itself counts."""
    uid, primary, _ = account
    (ground / "home").mkdir()
    os.chown(ground / "home", uid, primary)
    (ground / "crash").mkdir()
    os.chown(ground / "crash", 0, BOBS)
    (ground / "crash").chmod(0o3777)
    made = ground / "crash" / "x"
    made.write_text(PLAIN)
    os.chown(made, uid, -1)
    path = made.rename(ground / "home" / "a.ini")
    link = ground / "vassals" / "a.ini"
    link.symlink_to(path)
    assert bar_of(path) == bar_of(link) == flaw(uid, BOBS, path)


@pytest.mark.parametrize("nofollow", [False, True])
def test_where_only_root_puts_files(ground: Path, account: Ids, nofollow: bool) -> None:
    uid, _, _ = account
    assert bar_of(file_of(ground / "vassals" / "a.ini", uid, BOBS), nofollow=nofollow) is None


def test_a_symlink_that_says_whose_it_is(ground: Path, account: Ids) -> None:
    uid, primary, _ = account
    (ground / "home").mkdir()
    os.chown(ground / "home", uid, primary)
    link = ground / "home" / "a.ini"
    link.symlink_to(file_of(ground / "vassals" / "t", 0, 0))
    os.lchown(link, uid, BOBS)
    assert bar_of(link, nofollow=True) == flaw(uid, BOBS, link)


def test_a_uid_without_an_account(ground: Path) -> None:
    """There is nothing that could tell."""
    assert groups_of(ALICE) is None
    (ground / "home").mkdir()
    os.chown(ground / "home", ALICE, ALICES)
    assert bar_of(file_of(ground / "home" / "a.ini", ALICE, BOBS)) is None


def test_an_answer_is_kept_while_the_files_with_accounts_stay() -> None:
    asked: list[int] = []
    files = [1]

    def ask(uid: int) -> frozenset[int]:
        asked.append(uid)
        return frozenset((uid + 1,))

    groups = AccountGroups(ask, files=lambda: tuple(files))
    told = [groups.has(uid, 11) for uid in (10, 20, 10)]
    assert (told, asked) == ([True, False, True], [10, 20])
    files.append(2)
    assert groups.has(10, 11)
    assert asked == [10, 20, 10]


def test_a_name_service_that_does_not_answer_is_waited_for_once() -> None:
    answers = threading.Event()
    asked: list[int] = []

    def ask(uid: int) -> frozenset[int]:
        asked.append(uid)
        answers.wait()
        return frozenset((uid,))

    groups = AccountGroups(ask, patience=0.01)
    for uid in (1, 2, 1):
        with pytest.raises(NotKnown, match="mend the name service"):
            groups.has(uid, uid)
    answers.set()
    assert asked == [1]
