"""The release before: its code, taken from the repository's history, to be run beside today's."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

FORMER: Final = "e0a8b5fa1d2b"  # the commit with the decisions of 0.1.0, the first rules
RELEASES: Final = {"0.1.0": FORMER}  # each former release, and its commit
FLAT: Final = "9fdd396"  # the commit before the files of the daemon were sorted into packages
_ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("__init__.py", "version.py", "journal", "daemon", "monitors", "replay")


def require(commit: str, root: Path = _ROOT) -> None:
    """Fail the test, without a traceback, where a clone does not have this commit."""
    asked = subprocess.run(
        ["git", "-C", str(root), "cat-file", "-e", f"{commit}^{{tree}}"],
        check=False,
        capture_output=True,
        text=True,
    )
    if asked.returncode != 0:
        pytest.fail(
            f"{root}: the commit {commit} is not there. This test runs a former release, whose code"
            " comes from the history of git. A shallow clone lacks it; get it with:"
            f" git fetch --unshallow ({asked.stderr.strip()})",
            pytrace=False,
        )


class Installation:
    """A folder for PYTHONPATH in which ``emperord`` is a former version until it is upgraded."""

    def __init__(self, folder: Path, commit: str = FORMER) -> None:
        self.path = folder / "installation"
        self.path.mkdir()
        require(commit)
        archive = subprocess.run(
            ["git", "-C", str(_ROOT), "archive", commit, *_PACKAGES],
            check=True,
            capture_output=True,
        ).stdout
        former = folder / "former"
        with tarfile.open(fileobj=BytesIO(archive)) as packed:
            packed.extractall(former, filter="data")
        (self.path / "emperord").symlink_to(former)

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which this is what is installed."""
        return {"PYTHONPATH": str(self.path)}

    def upgrade(self) -> None:
        """From now on what starts is of today's version."""
        link = self.path / "emperord"
        link.unlink()
