"""A daemon with vassals, for operators to ask."""

import os
import tempfile
from collections.abc import Iterator

import pytest
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER

from ..conftest import MakeEmperor


@pytest.fixture
def emperor(make_emperor: MakeEmperor) -> Emperor:
    """A daemon that nothing restarts, not started yet: its answers need no keeper."""
    return make_emperor(keeper=False)


@pytest.fixture
def kept(make_emperor: MakeEmperor) -> Emperor:
    """An emperor with a keeper, not started yet."""
    return make_emperor()


@pytest.fixture
def running(emperor: Emperor) -> Emperor:
    """A daemon with one vassal."""
    return with_a_vassal(emperor)


@pytest.fixture
def kept_running(kept: Emperor) -> Emperor:
    """An emperor with a keeper and one vassal."""
    return with_a_vassal(kept)


def with_a_vassal(emperor: Emperor) -> Emperor:
    """Start it with one vassal."""
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
