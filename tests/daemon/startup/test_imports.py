"""A process imports the libraries of what it runs, and no others: it starts sooner, stays small."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.vassals import SLEEPER

# By top-level name. A new journal, a source of files and a vassal need none of them.
UNUSED = {
    *("asyncio", "kazoo", "ldap", "pika", "psycopg", "pymongo", "trio_asyncio", "zmq"),  # sources
    *("httpcore2", "httpx2", "configparser", "xml", "yaml"),  # configs
    *("cryptography", "dateutil", "numpy", "pandas", "pluggy", "rich", "sqlite_utils"),
    "difflib",  # errors
}
# Ours that only some starts need. A count of the others, as each takes 0.15 ms of a start.
OURS_UNUSED = (
    *("emperord.daemon.client", "emperord.daemon.migrating", "emperord.daemon.uwsgi"),
    *("emperord.daemon.check", "emperord.daemon.from_uwsgi", "emperord.replay"),
)
MOST = 350
_NAME = re.compile(r"^import time: +\d+ \| +\d+ \| +(emperord\.\S+)", re.MULTILINE)
_IMPORT = re.compile(r"^import time: +\d+ \| +\d+ \| +(\w+)", re.MULTILINE)


def test_a_daemon_of_files_with_a_new_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARTS", "cold")  # tests/support/warm.py
    with Daemon(tmp_path, environ={"PYTHONPROFILEIMPORTTIME": "1"}) as daemon:
        daemon.vassals.joinpath("a.ini").write_text(SLEEPER)
        daemon.start()
        daemon.pid_of("a.ini")
        daemon.stop()
        imported = set(_IMPORT.findall(daemon.log()))
    assert imported > {"emperord", "sqlite3", "trio"}
    ours = set(_NAME.findall(daemon.log()))
    assert imported & UNUSED == set()
    assert [name for name in ours if name.startswith(OURS_UNUSED)] == []
    assert 200 < len(ours) < MOST


@pytest.mark.parametrize("command", ["emperord.daemon.ctl", "emperord.replay.main"])
def test_the_garbage_collector_passes_over_what_a_command_imported(command: str) -> None:
    code = (
        f"import atexit, gc, {command} as command\n"
        "most = len(gc.get_objects()) // 2\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > most > 1000))\n"
        "command.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1:] == ["True"]
