"""Tyrant mode: what runs for a user can have been written only by root or that user."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.monitors import ownership
from emperord.monitors.private_groups import Members, NotKnown
from support.accounts import private_account, run
from support.acl import GROUP, USER, set_acl
from support.tyrant import common_ground

ALICE, BOB, STAFF = 61_001, 61_002, 62_009
PATH = "a.ini"


@pytest.fixture
def folder() -> Iterator[Path]:
    with common_ground() as ground:
        (ground / "files").mkdir()
        yield ground / "files"


def file_of(uid: int, path: Path, mode: int = 0o644, gid: int = STAFF) -> Path:
    path.write_text("[uwsgi]\n")
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def folder_of(uid: int, path: Path, mode: int, gid: int = STAFF) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def link_of(uid: int, path: Path, target: Path) -> None:
    path.symlink_to(target)
    os.lchown(path, uid, uid)


def judged(folder: Path, uid: int = ALICE) -> str | None:
    """The reason that bars the file ``a.ini``, with the folder left out."""
    path = str(folder / PATH)
    reason = ownership.ownership_flaw_at(path, uid, os.stat(path))
    return (
        None if reason is None else reason.replace(f"{folder}/", "").removeprefix("tyrant mode: ")
    )


def plain(folder: Path) -> None:
    file_of(ALICE, folder / PATH)


def a_file_for_the_group(folder: Path) -> None:
    file_of(ALICE, folder / PATH, 0o664)


def a_file_for_all(folder: Path) -> None:
    file_of(ALICE, folder / PATH, 0o646)


def roots_file_for_the_group(folder: Path) -> None:
    file_of(0, folder / PATH, 0o664)


def behind_a_link_for_the_group(folder: Path) -> None:
    link_of(0, folder / PATH, file_of(ALICE, folder / "b.ini", 0o664))


def below_a_directory_for_the_group(folder: Path) -> None:
    file_of(ALICE, folder_of(ALICE, folder / "d", 0o775) / "b.ini")
    link_of(0, folder / PATH, folder / "d" / "b.ini")


def over_a_directory_for_the_group(folder: Path) -> None:
    folder_of(0, folder / "d", 0o775)
    file_of(ALICE, folder_of(ALICE, folder / "d" / "e", 0o755) / "b.ini")
    link_of(0, folder / PATH, folder / "d" / "e" / "b.ini")


def over_a_directory_for_all(folder: Path) -> None:
    folder_of(ALICE, folder / "d", 0o757)
    link_of(ALICE, folder / PATH, file_of(ALICE, folder / "d" / "b.ini"))


def over_a_link_in_a_directory_for_the_group(folder: Path) -> None:
    """The target of the link is in order, but not the folder of the link itself."""
    file_of(ALICE, folder / "b.ini")
    link_of(ALICE, folder_of(0, folder / "d", 0o775) / "link", folder / "b.ini")
    link_of(ALICE, folder / PATH, folder / "d" / "link")


def up_from_a_directory_for_the_group(folder: Path) -> None:
    folder_of(0, folder / "d", 0o775)
    file_of(ALICE, folder / "b.ini")
    link_of(ALICE, folder / PATH, Path("d/../b.ini"))


def sticky(folder: Path, owner: int, mode: int = 0o1777) -> Path:
    path = file_of(owner, folder_of(0, folder / "sticky", mode) / "b.ini")
    link_of(0, folder / PATH, path)
    return path


def own_file_in_a_sticky_directory(folder: Path) -> None:
    sticky(folder, ALICE)


def own_file_in_a_sticky_one_for_the_group(folder: Path) -> None:
    sticky(folder, ALICE, 0o1775)


def own_directory_in_a_sticky_directory(folder: Path) -> None:
    own = folder_of(ALICE, folder_of(0, folder / "sticky", 0o1777) / "d", 0o755)
    link_of(0, folder / PATH, file_of(0, own / "b.ini"))


def roots_file_in_a_sticky_directory(folder: Path) -> None:
    """It may have been moved there: it is another's log of root's, say."""
    sticky(folder, 0)


def roots_link_in_a_sticky_directory(folder: Path) -> None:
    link_of(0, folder_of(0, folder / "sticky", 0o1777) / "link", file_of(ALICE, folder / "b.ini"))
    link_of(ALICE, folder / PATH, folder / "sticky" / "link")


def a_hard_link_in_a_sticky_directory(folder: Path) -> None:
    (folder / "old.ini").hardlink_to(sticky(folder, ALICE))


def bobs_directory_in_a_sticky_directory(folder: Path) -> None:
    bobs = folder_of(BOB, folder_of(0, folder / "sticky", 0o1777) / "d", 0o755)
    link_of(0, folder / PATH, file_of(ALICE, bobs / "b.ini"))


def a_list_that_lets_bob_write(folder: Path) -> None:
    set_acl(file_of(ALICE, folder / PATH), (USER, BOB, 0o6))


def a_list_that_lets_a_group_write(folder: Path) -> None:
    set_acl(file_of(ALICE, folder / PATH), (GROUP, STAFF + 1, 0o6))


def a_list_that_lets_its_own_group_write(folder: Path) -> None:
    set_acl(file_of(ALICE, folder / PATH), (USER, BOB, 0o4), group=0o6)


def a_list_that_lets_bob_move_things(folder: Path) -> None:
    set_acl(folder_of(0, folder / "d", 0o755), (USER, BOB, 0o7))
    link_of(0, folder / PATH, file_of(ALICE, folder / "d" / "b.ini"))


def a_list_whose_mask_lets_nobody_write(folder: Path) -> None:
    set_acl(file_of(ALICE, folder / PATH), (USER, BOB, 0o7), mask=0o5)


def a_list_that_lets_alice_and_root_write(folder: Path) -> None:
    set_acl(file_of(0, folder / PATH), (USER, ALICE, 0o6), (USER, 0, 0o6))


CASES = [
    pytest.param(plain, None, id="plain"),
    pytest.param(a_file_for_the_group, "group 62009 may write to a.ini; chmod g-w", id="g+w"),
    pytest.param(a_file_for_all, "everybody may write to a.ini; chmod o-w", id="o+w"),
    pytest.param(
        roots_file_for_the_group, "group 62009 may write to a.ini; chmod g-w", id="root's g+w"
    ),
    pytest.param(
        behind_a_link_for_the_group, "group 62009 may write to b.ini; chmod g-w", id="link to g+w"
    ),
    pytest.param(
        below_a_directory_for_the_group,
        "leads over d, where group 62009 may move things; chmod g-w or +t",
        id="directory g+w",
    ),
    pytest.param(
        over_a_directory_for_the_group,
        "leads over d, where group 62009 may move things; chmod g-w or +t",
        id="directory above g+w",
    ),
    pytest.param(
        over_a_directory_for_all,
        "leads over d, where everybody may move things; chmod o-w or +t",
        id="directory o+w",
    ),
    pytest.param(
        over_a_link_in_a_directory_for_the_group,
        "leads over d, where group 62009 may move things",
        id="link in g+w",
    ),
    pytest.param(
        up_from_a_directory_for_the_group,
        "leads over d, where group 62009 may move things",
        id="up from g+w",
    ),
    pytest.param(own_file_in_a_sticky_directory, None, id="own in sticky"),
    pytest.param(own_file_in_a_sticky_one_for_the_group, None, id="own in sticky g+w"),
    pytest.param(own_directory_in_a_sticky_directory, None, id="own directory in sticky"),
    pytest.param(
        roots_file_in_a_sticky_directory,
        "leads over sticky/b.ini, which is root's in a sticky directory",
        id="root's in sticky",
    ),
    pytest.param(
        roots_link_in_a_sticky_directory,
        "leads over sticky/link, which is root's in a sticky directory",
        id="root's link in sticky",
    ),
    pytest.param(
        a_hard_link_in_a_sticky_directory,
        "leads over sticky/b.ini, which has several hard links",
        id="hard link in sticky",
    ),
    pytest.param(
        bobs_directory_in_a_sticky_directory,
        f"leads over sticky/d, which belongs to uid {BOB}",
        id="bob's directory in sticky",
    ),
    pytest.param(
        a_list_that_lets_bob_write, f"uid {BOB} may write to a.ini; chmod g-w", id="acl: bob"
    ),
    pytest.param(
        a_list_that_lets_a_group_write, "group 62010 may write to a.ini; chmod g-w", id="acl: group"
    ),
    pytest.param(
        a_list_that_lets_its_own_group_write, "group 62009 may write to a.ini", id="acl: own group"
    ),
    pytest.param(
        a_list_that_lets_bob_move_things,
        f"leads over d, where uid {BOB} may move things; chmod g-w or +t",
        id="acl: directory",
    ),
    pytest.param(a_list_whose_mask_lets_nobody_write, None, id="acl: mask"),
    pytest.param(a_list_that_lets_alice_and_root_write, None, id="acl: alice and root"),
]


@pytest.mark.parametrize(("make", "reason"), CASES)
def test_who_may_write(folder: Path, make: Callable[[Path], None], reason: str | None) -> None:
    make(folder)
    said = judged(folder)
    if reason is None or said is None:
        assert said == reason
    else:
        assert said.endswith(reason) or f"{reason}:" in said or f"{reason};" in said


def test_a_group_whose_only_member_is_the_owner(folder: Path) -> None:
    """umask 002: it is the owner. With another member it is not, whatever makes one a member."""
    with private_account() as alice, private_account() as bob:
        uid, gid = alice.pw_uid, alice.pw_gid
        own = folder_of(uid, folder / "d", 0o2775, gid)
        link_of(uid, folder / PATH, file_of(uid, own / "b.ini", 0o664, gid))
        assert judged(folder, uid) is None
        set_acl(own / "b.ini", (USER, bob.pw_uid, 0o6), group=0o6)
        assert judged(folder, uid) == f"uid {bob.pw_uid} may write to d/b.ini; chmod g-w"
        os.removexattr(own / "b.ini", "system.posix_acl_access")
        assert judged(folder, uid) is None
        said = f"leads over d, where group {gid} may move things; chmod g-w or +t"
        os.chown(own / "b.ini", uid, bob.pw_gid)
        assert judged(folder, uid) == f"group {bob.pw_gid} may write to d/b.ini; chmod g-w"
        os.chown(own / "b.ini", uid, gid)
        run("usermod", "-a", "-G", alice.pw_name, bob.pw_name)
        assert (judged(folder, uid) or "").endswith(said)
        run("usermod", "-G", "", bob.pw_name)
        assert judged(folder, uid) is None
        run("usermod", "-g", alice.pw_name, bob.pw_name)
        assert (judged(folder, uid) or "").endswith(said)


def test_a_group_without_a_member_is_nobodys(folder: Path) -> None:
    """Programs that are set-gid may have it."""
    with private_account() as alice:
        file_of(alice.pw_uid, folder / PATH, 0o664, STAFF)
        assert judged(folder, alice.pw_uid) == f"group {STAFF} may write to a.ini; chmod g-w"


def test_a_name_service_that_does_not_answer() -> None:
    """It is waited for once; the scans after that go on at once, until it answers."""
    asked, answers = threading.Semaphore(0), threading.Event()

    def ask() -> dict[int, frozenset[int | None]]:
        asked.release()
        answers.wait()
        return {7: frozenset({ALICE, 0}), 8: frozenset({ALICE, None}), 9: frozenset({0})}

    members = Members(ask, patience=0.05)
    for _ in range(100):
        with pytest.raises(NotKnown, match="the name service does not say in time"):
            members.only(7)
    assert asked.acquire(timeout=10)
    assert not asked.acquire(blocking=False)
    answers.set()
    slow = Members(ask, patience=10)
    assert [slow.only(gid) for gid in (7, 8, 9, 10)] == [ALICE, None, 0, None]
