"""Two servers test their application in their own start: a config that fails answers no client.

docs/deploys.md advises this, as a kept socket gives clients to each instance that accepts.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.ports import free_port
from support.replaced import asking

from ..conftest import MakeDaemon
from .test_replacements import known
from .test_replacements_under_load import APP, deploy, gunicorn, uwsgi

Config = Callable[[Path, int, str], str]
BROKEN = "broken"


def own_uwsgi(folder: Path, port: int, says: str) -> str:
    """It runs a command when its application is loaded, and ends if that fails."""
    check = "exit 1" if says == BROKEN else "exit 0"
    return uwsgi(folder, port, says).replace("\n[emperor]", f"exec-post-app = {check}\n\n[emperor]")


def own_gunicorn(folder: Path, port: int, says: str) -> str:
    """It calls a function before its first worker starts, and ends if that raises."""
    text = f"def when_ready(server):\n    assert {says!r} != {BROKEN!r}\n"
    (folder / f"{says}_conf.py").write_text(text)
    return gunicorn(folder, port, says).replace("--preload", f"--preload -c {says}_conf.py")


SERVERS = {"uwsgi": own_uwsgi, "gunicorn": own_gunicorn}


@pytest.mark.parametrize("config", SERVERS.values(), ids=SERVERS)
def test_a_config_that_fails_its_own_test_answers_no_client(
    make_daemon: MakeDaemon, tmp_path: Path, config: Config
) -> None:
    daemon, port = make_daemon(), free_port()
    (tmp_path / "app.py").write_text(APP)
    (daemon.vassals / "a.ini").write_text(config(tmp_path, port, "0"))
    daemon.start()
    daemon.phase("a.ini", "accepting")
    with asking(port) as clients:
        for says in ("1", BROKEN, "2"):
            deploy(daemon, {"a.ini": config(tmp_path, port, says)}, good=says != BROKEN)
    assert known(daemon).refused is None
    assert clients.failures == []
    assert set(clients.answers) <= {"0", "1", "2"}
    daemon.stop()
