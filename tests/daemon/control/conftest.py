"""A daemon with vassals, for operators to ask."""

import os
import tempfile
from collections.abc import Iterator

import pytest
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER


@pytest.fixture
def running(emperor: Emperor) -> Emperor:
    """An emperor with one vassal."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return emperor


@pytest.fixture
def control(emperor: Emperor) -> Iterator[str]:
    """The control socket of a daemon that runs, where other users can get at its path."""
    need_root("be several users")
    # Not below pytest's own folder, which others may not enter.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103
        path = f"{folder}/control"
        emperor.options += ["--control", path]
        emperor.start()
        yield path
        emperor.stop()
