"""Runs of what a config says of its deploys: preflights, readiness, health and kept sockets."""

import os
import signal
import socket
from pathlib import Path

from of_files import QUICK, put
from support.kept import Emperor
from support.notifier import Notifier
from support.ports import free_port
from support.vassals import program

CHECK = "sh -c 'if grep -q wro[n]g $EMPERORD_CONFIG; then echo no such column; exit 3; fi'"


def _sleeps(text: str, **settings: str) -> str:
    return f"; {text}\n{program('sleep', '1000', **settings)}"


def preflights(folder: Path) -> None:
    """A change is refused, twice. The vassal is killed and runs as before; the next one passes."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", _sleeps("release 1", preflight=CHECK))
        put(emperor.vassals, "new.ini", _sleeps("wrong from the first", preflight=CHECK))
        emperor.start()
        emperor.up("shop.ini")
        emperor.event("deploy_refused", "new.ini")
        put(emperor.vassals, "shop.ini", _sleeps("release 2 is wrong", preflight=CHECK))
        emperor.event("deploy_refused", "shop.ini")
        emperor.ctl("retry", "shop.ini")
        emperor.event("deploy_refused", "shop.ini", count=2)
        os.kill(emperor.pid_of("shop.ini"), signal.SIGKILL)
        emperor.event("spawned", "shop.ini", count=2)
        for name in ("shop.ini", "new.ini"):
            after = emperor.last_seq()
            put(emperor.vassals, name, _sleeps("release 3", preflight=CHECK))
            emperor.event("spawned", name, after=after)
        emperor.stop()


def not_ready_in_time(folder: Path) -> None:
    """A deploy waits for an address at which nothing listens, and is killed; an edit mends it."""
    waits = {"ready": f"tcp://127.0.0.1:{free_port()}", "ready_timeout": "400ms"}
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", _sleeps("release 1"))
        emperor.start()
        emperor.up("shop.ini")
        after = emperor.last_seq()
        put(emperor.vassals, "shop.ini", _sleeps("release 2", **waits))
        emperor.event("exited", "shop.ini", after=after, count=3)
        after = emperor.last_seq()
        put(emperor.vassals, "shop.ini", _sleeps("release 3"))
        emperor.event("spawned", "shop.ini", after=after)
        emperor.stop()


def health_lost(folder: Path) -> None:
    """Checks fail: one vassal is restarted, of the other it is noted, and is well again."""
    sick = folder / "sick"
    checked = {
        "health": f"exec:test ! -e {sick}", "health_interval": "1s", "health_failures": "1",
    }  # fmt: skip
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", _sleeps("restarts", **checked))
        put(emperor.vassals, "noted.ini", _sleeps("is noted", health_action="record", **checked))
        emperor.start()
        emperor.up("shop.ini", "noted.ini")
        sick.touch()
        emperor.event("health_lost", "shop.ini")
        emperor.event("health_lost", "noted.ini")
        sick.unlink()
        emperor.event("spawned", "shop.ini", count=2)
        emperor.event("health_regained", "noted.ini")
        emperor.stop()


def kept_sockets(folder: Path) -> None:
    """A new address is taken, so the vassal runs on; then it is free, and a reload opens it."""
    with Emperor(folder, *QUICK) as emperor, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        put(emperor.vassals, "shop.ini", _sleeps("release 1", listen=f"127.0.0.1:{free_port()}"))
        emperor.start()
        emperor.up("shop.ini")
        put(emperor.vassals, "shop.ini", _sleeps("release 2", listen=taken))
        emperor.event("listen_refused", "shop.ini")
        other.close()
        emperor.ctl("reload", "shop.ini")
        emperor.event("spawned", "shop.ini", count=2)
        emperor.stop()


def notifies(folder: Path) -> None:
    """A program says that it is ready, asks for time, reloads by itself, and falls silent."""
    with Emperor(folder, *QUICK, "--required-heartbeat", "0.5") as emperor:
        program_ = Notifier(emperor)
        program_.put()
        emperor.start()
        emperor.up("a.ini")
        program_.say("EXTEND_TIMEOUT_USEC=2000000")
        emperor.event("timeout_extended", "a.ini")
        program_.say("READY=1")
        emperor.event("vassal_accepting", "a.ini")
        program_.say("RELOADING=1")
        emperor.event("vassal_reloading", "a.ini")
        program_.say("READY=1")
        emperor.event("vassal_accepting", "a.ini", count=2)
        program_.say("WATCHDOG=1")
        emperor.event("heartbeat_lost", "a.ini")
        emperor.event("spawned", "a.ini", count=2)
        emperor.stop()


RUNS = (preflights, not_ready_in_time, health_lost, kept_sockets, notifies)
