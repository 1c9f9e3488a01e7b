"""A daemon imports the libraries of what it runs, and no others: it starts sooner, stays small."""

import re
from pathlib import Path

from support.daemon import Daemon
from support.vassals import SLEEPER

# By top-level name. A new journal, a source of files and a vassal need none of them.
UNUSED = {
    *("asyncio", "kazoo", "ldap", "pika", "psycopg", "pymongo", "trio_asyncio", "zmq"),  # sources
    *("httpcore2", "httpx2", "configparser", "xml", "yaml"),  # configs
    *("cryptography", "dateutil", "numpy", "pandas", "pluggy", "rich", "sqlite_utils"),
}
_IMPORT = re.compile(r"^import time: +\d+ \| +\d+ \| +(\w+)", re.MULTILINE)


def test_a_daemon_of_files_with_a_new_journal(tmp_path: Path) -> None:
    with Daemon(tmp_path, environ={"PYTHONPROFILEIMPORTTIME": "1"}) as daemon:
        daemon.vassals.joinpath("a.ini").write_text(SLEEPER)
        daemon.start()
        daemon.pid_of("a.ini")
        daemon.stop()
        imported = set(_IMPORT.findall(daemon.log()))
    assert imported > {"emperord", "sqlite3", "trio"}
    assert imported & UNUSED == set()
