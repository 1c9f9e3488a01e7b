"""A fixture for tests of the keeper's start."""

import pytest


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeper and each daemon executes Python, as users' do (tests/support/warm.py)."""
    monkeypatch.setenv("STARTS", "cold")
