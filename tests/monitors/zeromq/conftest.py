"""Endpoints, a client and keys for tests of zmq://."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ports import free_port
from support.pushing import Pusher

from .listening import Keys


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def pusher(endpoint: str) -> Iterator[Pusher]:
    with Pusher(endpoint) as made:
        yield made


@pytest.fixture
def keys(here: Path) -> Keys:
    return Keys(here)
