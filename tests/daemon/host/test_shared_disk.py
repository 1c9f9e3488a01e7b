"""The operator is told where logs of tenants can fill the journal's disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.daemon.host import shared_disk
from support.tyrant import TyrantDaemon, common_ground

OTHER = "/sys"  # another file system, in each Linux


def test_paths_on_one_file_system_and_on_two(tmp_path: Path) -> None:
    journal = str(tmp_path / "not" / "yet" / "journal.db")
    said = shared_disk.warning(journal, str(tmp_path / "logs"))
    assert said is not None
    assert "give a --log-directory on another one" in said
    assert shared_disk.warning(journal, f"{OTHER}/not/yet") is None


@pytest.fixture
def daemon() -> Iterator[TyrantDaemon]:
    with common_ground() as folder, TyrantDaemon(folder, "--tyrant") as made:
        yield made


@pytest.mark.parametrize("apart", [False, True], ids=["shared", "apart"])
def test_check_and_a_start_warn(daemon: TyrantDaemon, apart: bool) -> None:
    if apart:
        daemon.options += ["--log", "inherit"]
    daemon.put("a.ini")
    daemon.launch("--check")
    daemon.wait()
    assert ("warning: logs of vassals" in daemon.log()) is not apart
    daemon.start()
    assert (daemon.log().count("are on the journal's file system") == 2) is not apart
    daemon.stop()
