"""A journal of 400 events, and one that may be cut anywhere."""

import shutil
from pathlib import Path

import pytest
from emperord.replay import archiving
from support.archives import write


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("pristine") / "journal.db")


@pytest.fixture
def journal(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "journal.db"))


@pytest.fixture
def few_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short journals can be cut."""
    monkeypatch.setattr(archiving, "KEPT", 3)
