"""From uWSGI's Emperor to ours: requests lost while both run, and as the former one stops."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from .clients import Clients, Count
from .emperor import Emperor
from .servers import VARIANTS

UWSGI = Path(sys.executable).with_name("uwsgi")
PATIENCE = 30.0


def shared(folder: Path, port: int, _: str, module: str) -> str:
    """A config for both emperors: each binds the port with SO_REUSEPORT."""
    lines = (
        "[uwsgi]",
        f"http-socket = 127.0.0.1:{port}",
        "reuse-port = true",
        f"wsgi-file = {folder / module}.py",
        "master = true",
        "need-app = true",
        "processes = 2",
        "disable-logging = true",
    )
    return "\n".join(lines) + "\n"


def measure(folder: Path, port: int, clients: int, after: float, *, beside: bool) -> Count:
    """Run the former emperor and then ours: beside it, or when it has stopped."""
    emperor = Emperor(folder, shared, {VARIANTS[0]: port})
    options = ["--emperor", str(folder / "vassals"), "--emperor-graceful-shutdown"]
    with (folder / "former.log").open("wb") as log:
        former = subprocess.Popen([str(UWSGI), *options], stdout=log, stderr=log)
    with Clients(port, clients) as of:
        try:
            _answered(of, 100)
            of.begin()
            if not beside:
                _stop(former)
            emperor.start()
            emperor.settled(lambda fleet: True)
            time.sleep(after)
            _stop(former)
            time.sleep(after)
            return of.end()
        finally:
            former.kill()
            former.wait()
            emperor.stop()


def _stop(former: "subprocess.Popen[bytes]") -> None:
    if former.poll() is None:
        former.send_signal(signal.SIGTERM)
        former.wait(PATIENCE)


def _answered(of: Clients, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while of.answers() < count:
        if time.monotonic() > end:
            raise SystemExit("the former emperor's vassal does not answer")
        time.sleep(0.05)
