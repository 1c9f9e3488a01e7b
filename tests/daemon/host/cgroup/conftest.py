"""A cgroup for the daemons of a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cgroups import own_cgroup


@pytest.fixture
def base() -> Iterator[Path | None]:
    """A cgroup for the test; None where there can be none."""
    with own_cgroup() as made:
        yield made
