"""An upgrade from each former release, while clients ask uWSGI without a pause."""

import sqlite3
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from emperord.replay.verify import verify
from support.former import FLAT, RELEASES, Installation
from support.kept import Emperor
from support.load import FAST, Client, NewClients
from support.vassals import SLEEPER, Application

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")

ENOUGH = 50  # answers that each client gets before, between and after


def application(folder: Path) -> tuple[Application, str]:
    """A uWSGI application that keeps connections, and its config."""
    app = Application(folder, FAST)
    options = app.options("hello", processes="4")
    options["http11-socket"] = options.pop("http-socket")
    return app, "[uwsgi]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())


def copied(journal: Path, target: Path) -> Path:
    """A copy of a journal that a daemon writes."""
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target


@pytest.fixture
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """A former release, to be upgraded."""
    return Installation(tmp_path, request.param)


@pytest.mark.parametrize(
    "installed",
    [
        pytest.param(FLAT, id="flat"),
        *(
            pytest.param(commit, id=release, marks=pytest.mark.slow)
            for release, commit in RELEASES.items()
        ),
    ],
    indirect=True,
)
def test_no_request_fails_and_no_pid_changes(
    make_emperor: MakeEmperor, installed: Installation, tmp_path: Path
) -> None:
    emperor = make_emperor(environ=installed.environ)
    app, text = application(tmp_path)
    emperor.put("app.ini", text)
    emperor.put("plain.ini", SLEEPER)
    emperor.start()
    emperor.phase("app.ini", "accepting")
    pids, before = emperor.up("app.ini", "plain.ini"), set(emperor.environments())
    daemons = {emperor.daemon_pid()}
    with ExitStack() as stack:
        clients = [stack.enter_context(kind(app)) for kind in (Client, NewClients)]
        served(emperor, clients)
        former = copied(emperor.journal, tmp_path / "former.db")
        installed.upgrade()
        for _ in range(2):  # from the former release to this one, and from this one to itself
            seq = emperor.last_seq()
            done = emperor.ctl("upgrade")
            assert done.returncode == 0, done.stderr
            daemons.add(emperor.next_ready(seq))
            served(emperor, clients)
        assert [client.error for client in clients] == [None, None]
    assert len(daemons) == 3
    assert set(emperor.environments()) == before
    assert {name: emperor.pid_of(name) for name in pids} == pids
    assert emperor.kinds().count("spawned") == 2
    assert "exited" not in emperor.kinds()
    assert verify(str(former)).exit_code == 0
    # The present daemon controls them: a change reloads in place.
    seq = emperor.last_seq()
    emperor.put("app.ini", text + "# changed\n")
    emperor.event("vassal_accepting", "app.ini", after=seq)
    assert emperor.pid_of("app.ini") == pids["app.ini"]
    emperor.stop()
    assert verify(str(emperor.journal)).exit_code == 0


def served(emperor: Emperor, clients: list[Client]) -> None:
    """Wait until each client has got some more answers."""
    for client in clients:
        emperor.until(partial(client.moved_on, client.answers + ENOUGH), "it serves")
