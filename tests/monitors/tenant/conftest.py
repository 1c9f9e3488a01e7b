"""Ground for files of tenants, and both ways in which the kernel resolves links."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.monitors import resolving
from support.tyrant import common_ground


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that all can reach, with a directory ``vassals`` that only root can write to."""
    with common_ground() as folder:
        (folder / "vassals").mkdir()
        yield folder


@pytest.fixture(params=["openat2", "older kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels before 5.6 have no openat2(2), and answer what this one says to another number."""
    if request.param == "older kernel":
        monkeypatch.setattr(resolving, "_OPENAT2", 100_000)
