"""The writer's lock outlives the daemon for as long as a child of it is not known yet."""

import os
import time
from pathlib import Path

import pytest
from emperord.journal.errors import JournalLocked
from emperord.journal.store import Journal

CHILD = 0.5  # seconds that the child takes to its exec


def die_with_the_lock(path: Path) -> None:
    """Take the lock in a process of its own, which dies and leaves a child with it."""
    owner = os.fork()
    if owner == 0:
        Journal.open(str(path))
        if os.fork() == 0:
            time.sleep(CHILD)
            os._exit(0)
        os._exit(0)
    os.waitpid(owner, 0)


def test_a_child_on_its_way_to_exec_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    began = time.monotonic()
    die_with_the_lock(path)
    with Journal.open(str(path)):
        assert time.monotonic() - began >= CHILD * 0.9


def test_a_living_owner_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)):
        began = time.monotonic()
        with pytest.raises(JournalLocked, match=f"pid {os.getpid()}"):
            Journal.open(str(path))
        assert time.monotonic() - began < CHILD
