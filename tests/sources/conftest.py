"""The rows of the suite; a server starts once for all tests of its row that follow each other."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.daemon import Daemon
from support.services import Service, service

from .row import Row
from .table import ROWS

QUICK = ("--freq", "0.2", "--throttle", "100")

MakeDaemon = Callable[..., Daemon]


class Running(NamedTuple):
    """A kind of row, and its server."""

    kind: type[Row]
    server: Service | None


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    module, _, name = ROWS[request.param].partition(":")
    kind: type[Row] = getattr(importlib.import_module(f"sources.{module}"), name)
    with ExitStack() as stack:
        server = stack.enter_context(service(kind.service)) if kind.service else None
        yield Running(kind, server)


@pytest.fixture
def row(running: Running, tmp_path: Path) -> Iterator[Row]:
    """A row with nothing in it. Its server runs again when the test is over."""
    made = running.kind(tmp_path, running.server)
    yield made
    if running.server is not None:
        running.server("thaw")
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
