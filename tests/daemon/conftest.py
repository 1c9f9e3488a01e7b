"""Daemons for tests: each on a folder of its own, and ended whatever happens."""

import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.kept import Emperor
from support.tyrant import TyrantDaemon, account_in_a_group, common_ground
from support.vassals import speaker_path

MakeDaemon = Callable[..., Daemon]
MakeEmperor = Callable[..., Emperor]

# Quick, so that what has to be waited for comes soon; none of the tests depends on these.
QUICK = ("--freq", "0.2", "--throttle", "100")


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Make a daemon that is ended with the test; ``speakers`` lets speakers run for uWSGI."""
    with ExitStack() as stack:

        def make(*options: str, speakers: bool = False, **more: Any) -> Daemon:
            if speakers:
                options = ("--uwsgi", speaker_path(tmp_path), *options)
            return stack.enter_context(Daemon(tmp_path, *QUICK, *options, **more))

        yield make


@pytest.fixture
def make_tyrant() -> Iterator[Callable[..., TyrantDaemon]]:
    """Make a daemon in tyrant mode, on a folder that all users can reach."""
    with ExitStack() as stack:

        def make(*options: str, **more: Any) -> TyrantDaemon:
            folder = stack.enter_context(common_ground())
            made = TyrantDaemon(folder, *QUICK, "--tyrant", *options, **more)
            return stack.enter_context(made)

        yield make


@pytest.fixture
def tyrant(make_tyrant: Callable[..., TyrantDaemon]) -> TyrantDaemon:
    """A daemon in tyrant mode with quick options, not started yet."""
    return make_tyrant()


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    """A daemon with quick options, not started yet."""
    return make_daemon()


@pytest.fixture
def make_emperor(tmp_path: Path) -> Iterator[MakeEmperor]:
    """Make an emperor, a keeper and its daemon, ended with the test."""
    with ExitStack() as stack:

        def make(*options: str, speakers: bool = False, **more: Any) -> Emperor:
            if speakers:
                options = ("--uwsgi", speaker_path(tmp_path), *options)
            return stack.enter_context(Emperor(tmp_path, *QUICK, *options, **more))

        yield make


@pytest.fixture
def emperor(make_emperor: MakeEmperor) -> Emperor:
    """An emperor with quick options, not started yet."""
    return make_emperor()


@pytest.fixture
def account() -> Iterator[pwd.struct_passwd]:
    """An account that is in a group besides its own, and is gone after the test."""
    with account_in_a_group() as made:
        yield made
