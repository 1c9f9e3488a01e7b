"""The ways in which the daemon runs asyncio clients, so that a suite can run under each."""

import pytest
from emperord.monitors import asyncio_loop

# Python 3.14 cannot import trio-asyncio.
WAYS = ["thread"] if asyncio_loop.trio_asyncio is None else ["trio-asyncio", "thread"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of them, in force for the test."""
    monkeypatch.setenv("EMPEROR_ASYNCIO", request.param)
    return str(request.param)
