"""Replacements of real servers under load: no request fails, and no refused config answers one."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.ports import free_port
from support.replaced import asking
from support.vassals import program

from ..conftest import MakeDaemon
from .test_replacements import known

Config = Callable[[Path, int, str], str]
APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["SAYS"].encode()]
"""
BAD = "bad"  # the answer of a config that is to be refused


def uwsgi(folder: Path, port: int, says: str) -> str:
    """An application under uWSGI; it cannot be loaded if its answer begins with BAD."""
    file = folder / ("nowhere.py" if says.startswith(BAD) else "app.py")
    return f"""[uwsgi]
http-socket = fd://3
wsgi-file = {file}
master = true
need-app = true
processes = 2
env = SAYS={says}
disable-logging = true

[emperor]
listen = 127.0.0.1:{port}
reload = replace
replace-settle = 200ms
"""


def gunicorn(folder: Path, port: int, says: str) -> str:
    """The same under gunicorn. Without --preload it notifies before its application is loaded."""
    module = "nowhere" if says.startswith(BAD) else "app"
    return program(
        *(sys.executable, "-m", "gunicorn", f"{module}:application", "--preload", "-w", "2"),
        directory=str(folder),
        environment=f"SAYS={says}",
        listen=f"127.0.0.1:{port}",
        reload="replace",
        ready="notify",
        replace_settle="200ms",
    )


SERVERS = {"uwsgi": uwsgi, "gunicorn": gunicorn}


def deploy(daemon: Daemon, configs: dict[str, str], *, good: bool) -> None:
    """Change vassals, and wait for the end of their replacements."""
    before, seq = {name: known(daemon, name).pid for name in configs}, daemon.last_seq()
    for name, config in configs.items():
        (daemon.vassals / name).write_text(config)
    for name in configs:
        daemon.event("exited", name, after=seq)  # the old one, or the new one
        assert (known(daemon, name).pid != before[name]) == good
        assert (known(daemon, name).refused is None) == good


def run(daemon: Daemon, folder: Path, config: Config, vassals: int, rounds: int) -> None:
    """Replace so many vassals so often, each fourth time by one that fails."""
    (folder / "app.py").write_text(APP)
    names = [f"v{number}.ini" for number in range(vassals)]
    ports = {name: free_port() for name in names}
    said = {"0"}
    for name, port in ports.items():
        (daemon.vassals / name).write_text(config(folder, port, "0"))
    daemon.start()
    for name in names:
        daemon.phase(name, "accepting")
    with ExitStack() as stack:
        clients = {name: stack.enter_context(asking(port)) for name, port in ports.items()}
        for number in range(1, rounds + 1):
            good = number % 4 != 3
            says = f"{number}" if good else f"{BAD}{number}"
            told = {name: config(folder, port, says) for name, port in ports.items()}
            deploy(daemon, told, good=good)
            said |= {says} if good else set()
    for name, of in clients.items():
        assert of.failures == [], name
        assert set(of.answers) == said
        assert len(of.answers) > 10 * rounds
    daemon.stop()


@pytest.mark.parametrize("config", SERVERS.values(), ids=SERVERS)
def test_a_few_replacements_lose_no_request(
    make_daemon: MakeDaemon, tmp_path: Path, config: Config
) -> None:
    run(make_daemon(), tmp_path, config, vassals=1, rounds=6)


@pytest.mark.slow
@pytest.mark.parametrize("config", SERVERS.values(), ids=SERVERS)
def test_two_hundred_replacements_lose_no_request(
    make_daemon: MakeDaemon, tmp_path: Path, config: Config
) -> None:
    run(make_daemon(), tmp_path, config, vassals=4, rounds=50)
