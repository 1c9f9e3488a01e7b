"""The ZooKeeper that tests of zoo:// read from."""

import threading
from collections.abc import Iterator

import pytest
from support.zookeeper import ZooSource

from .readings import Meddler


@pytest.fixture
def source() -> ZooSource:
    return ZooSource()


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [each.name for each in threading.enumerate() if each.name == "kazoo"] == []


@pytest.fixture
def meddler(monkeypatch: pytest.MonkeyPatch) -> Meddler:
    return Meddler(monkeypatch)
