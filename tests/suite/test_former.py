"""Former releases come from the history of git; a clone without it says how to get it."""

import subprocess
from pathlib import Path

import pytest
from support.former import require

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def shallow(tmp_path: Path) -> tuple[Path, str]:
    """A shallow clone of two commits, and the first of them."""
    whole, clone = tmp_path / "whole", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", str(whole))
    for name in ("first", "second"):
        (whole / name).write_text(name)
        git(whole, "add", name)
        git(whole, *IDENTITY, "commit", "--quiet", "--message", name)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{whole}", str(clone))
    return clone, git(whole, "rev-parse", "HEAD~")


def test_a_shallow_clone_is_told_what_to_do(shallow: tuple[Path, str]) -> None:
    clone, first = shallow
    with pytest.raises(pytest.fail.Exception, match="git fetch --unshallow") as failed:
        require(first, clone)
    assert failed.value.pytrace is False
    git(clone, "fetch", "--quiet", "--unshallow")
    require(first, clone)


def test_a_folder_without_git_says_so(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="not a git repository"):
        require("HEAD", tmp_path)
