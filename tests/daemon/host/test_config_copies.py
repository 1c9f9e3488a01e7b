"""Private copies of configs: who can read them, when they are removed."""

import os
import stat
from pathlib import Path

import pytest
from emperord.daemon.host.command import CannotRun
from emperord.daemon.host.config_copies import NOT_THERE, ConfigCopies
from emperord.daemon.host.users import User
from emperord.journal.places import copies_of_users

TEXTS = {"d1": b"one\n", "d2": b"two\n", "bound": b"[uwsgi]\nchdir = %d\n"}
TENANT = User(4242, 4243, (4243,), {})


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return str(tmp_path / "copies"), copies_of_users(str(tmp_path / "journal.db"))


@pytest.fixture
def copies(folders: tuple[str, str]) -> ConfigCopies:
    return ConfigCopies(folders, TEXTS.get)


def open_to_all(tmp_path: Path) -> None:
    """Let all users pass the folders of tests, which are pytest's own."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & stat.S_IXOTH == 0 and folder.owner() == "root":
            folder.chmod(0o711)


NAMES = {
    "a file": ("a.ini", "a.ini"),
    "a path": ("/etc/x/a.ini", "*/a.ini"),
    "no name of a file": ("..", "*/config"),
    "a folder": ("a/", "*/config"),
    "a long one": ("x" * 300, "*/config"),
}


@pytest.mark.parametrize(("name", "pattern"), NAMES.values(), ids=NAMES)
def test_its_path(copies: ConfigCopies, tmp_path: Path, name: str, pattern: str) -> None:
    """It has the name of the file, and lies in a directory of its text."""
    path = Path(copies.make((name, 1), "d1", None))
    assert path.read_bytes() == b"one\n"
    assert path.relative_to(tmp_path / "copies").match(f"d1/{pattern}")
    copies.release((name, 1))
    assert not (tmp_path / "copies").exists()


def test_it_is_kept_as_long_as_one_holds_it(copies: ConfigCopies) -> None:
    path = copies.make(("a.ini", 1), "d1", None)
    assert copies.make(("a.ini", 2), "d1", None) == path
    copies.release(("a.ini", 1))
    copies.release(("a.ini", 1))
    assert os.path.exists(path)
    copies.release(("a.ini", 2))
    assert not os.path.exists(path)


READERS = {"the daemon's user": None, "another user": TENANT}


@pytest.mark.parametrize("user", READERS.values(), ids=READERS)
def test_a_sweep_leaves_those_that_are_held(
    copies: ConfigCopies, folders: tuple[str, str], tmp_path: Path, user: User | None
) -> None:
    open_to_all(tmp_path)
    left = ConfigCopies(folders, TEXTS.get)
    for number, digest in enumerate(TEXTS):
        left.make(("a.ini", number), digest, user)
    copies.hold(("a.ini", 7), "d2")
    copies.sweep()
    assert [path.parent.name for path in tmp_path.rglob("a.ini")] == ["d2"]


def test_only_its_user_can_read_it(copies: ConfigCopies, tmp_path: Path) -> None:
    open_to_all(tmp_path)
    path = Path(copies.make(("a.ini", 1), "d1", TENANT))
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4242, 4243, 0o400)
    for folder in (path.parent, tmp_path / "run"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    copies.release(("a.ini", 1))
    assert list((tmp_path / "run" / "configs").iterdir()) == []


def test_a_folder_that_the_user_cannot_pass(copies: ConfigCopies, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(CannotRun, match=f"uid 4242 .* as it may not pass {tmp_path}"):
        copies.make(("a.ini", 1), "d1", TENANT)


FAULTS = {
    "altered": ("d3", NOT_THERE),
    "not recorded": (None, NOT_THERE),
    "bound to its place": ("bound", "its former text has %d"),
}


@pytest.mark.parametrize(("digest", "reason"), FAULTS.values(), ids=FAULTS)
def test_texts_without_a_copy(copies: ConfigCopies, digest: str | None, reason: str) -> None:
    with pytest.raises(CannotRun, match=reason):
        copies.make(("a.ini", 1), digest, None, to_run=True)


def test_one_that_cannot_be_written_leaves_nothing(copies: ConfigCopies, tmp_path: Path) -> None:
    path = Path(copies.path("a.ini", "d1"))
    path.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        copies.make(("a.ini", 1), "d1", None)
    assert not [*tmp_path.rglob("*.new")]
