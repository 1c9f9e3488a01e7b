"""The rows of the suite; a server starts once for all tests of its row that follow each other."""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.daemon import Daemon
from support.services import Service, service

from .row import Row
from .table import ROWS, THREAD, WAYS

QUICK = ("--freq", "0.2", "--throttle", "100")

MakeDaemon = Callable[..., Daemon]


class Running(NamedTuple):
    """A kind of row, and its server."""

    name: str
    kind: type[Row]
    server: Service | None


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Service]]:
    """Gives a server by its name; it is started once."""
    with ExitStack() as stack:
        yield functools.cache(lambda name: stack.enter_context(service(name)))


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest, server_of: Callable[[str], Service]) -> Running:
    module, _, name = (ROWS | WAYS)[request.param].partition(":")
    kind: type[Row] = getattr(importlib.import_module(f"sources.{module}"), name)
    return Running(request.param, kind, server_of(kind.service) if kind.service else None)


@pytest.fixture
def row(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Row]:
    """A row with nothing in it. Its server runs again when the test is over."""
    if running.name.endswith(THREAD):
        monkeypatch.setenv("EMPEROR_ASYNCIO", "thread")
    made = running.kind(tmp_path, running.server)
    yield made
    if running.server is not None:
        running.server("thaw")
        if running.server.is_down:
            running.server("start")
    made.close()


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    with ExitStack() as stack:

        def make(*options: str, **more: Any) -> Daemon:
            return stack.enter_context(Daemon(tmp_path, *QUICK, *options, **more))

        yield make


@pytest.fixture
def daemon(make_daemon: MakeDaemon, row: Row) -> Daemon:
    """A daemon that reads the row, not started yet."""
    return make_daemon(monitors=[row.url])
