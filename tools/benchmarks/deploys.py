"""How long a deploy of many takes: all configs are written anew at once, until all serve it.

The C Emperor of the same uWSGI binary is measured in turn with ours. It polls every second here
(``--emperor-freq 1``); by default it would notice a change up to three seconds later.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import PATIENCE, Result, at_most, bench, daemon

UWSGI = Path(sys.executable).with_name("uwsgi")
TURNS = 3
OURS = tuple(os.environ.get("BENCH_OPTIONS", "").split())  # to compare them
SMALL = ""
REAL = "import asyncio, decimal, email.message, http.client, logging.config, sqlite3\n"
ANSWER = """
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["SAYS"].encode()]
"""


class Applications:
    """Applications under uWSGI, each at a port of its own."""

    def __init__(self, folder: Path, count: int, imports: str) -> None:
        self._vassals = folder / "vassals"
        self._vassals.mkdir()
        self._module = folder / "app.py"
        self._module.write_text(imports + ANSWER)
        self._text = 0
        self.ports = _free_ports(count)

    def deploy(self) -> float:
        """Write all configs anew; seconds until each application serves its new text."""
        self._text += 1
        began = time.monotonic()
        for port in self.ports:
            (self._vassals / f"v{port}.ini").write_text(
                f"[uwsgi]\nhttp-socket = 127.0.0.1:{port}\nwsgi-file = {self._module}\n"
                f"master = true\nneed-app = true\nenv = SAYS={self._text}\n"
            )
        for port in self.ports:
            while not self._serves(port):
                if time.monotonic() > began + PATIENCE:
                    sys.exit(f"port {port} does not serve text {self._text}")
                time.sleep(0.02)
        return time.monotonic() - began

    def _serves(self, port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read() == str(self._text).encode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Lateness:
    """How late a process is woken that sleeps for 10 ms, again and again: in ms."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure)

    def __enter__(self) -> "Lateness":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(0.01)
            self._late.append((time.monotonic() - began - 0.01) * 1e3)

    def worst(self) -> float:
        """The 99th percentile."""
        return statistics.quantiles(self._late, n=100)[-1]


@contextlib.contextmanager
def c_emperor(folder: Path) -> Iterator[None]:
    """uWSGI's own Emperor on ``folder/vassals``."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [UWSGI, "--emperor", folder / "vassals", "--emperor-freq", "1"],
            stdout=log,
            stderr=log,
            env={k: v for k, v in os.environ.items() if not k.startswith("UWSGI_")},
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def _deploys(
    folder: Path, count: int, imports: str, emperor: contextlib.AbstractContextManager[object]
) -> tuple[float, float, float]:
    """The first start of all, a later deploy of all, and how late others are woken meanwhile."""
    applications = Applications(folder, count, imports)
    with emperor:
        started = applications.deploy()
        time.sleep(3)  # the machine is quiet again
        with Lateness() as lateness:
            return started, applications.deploy(), lateness.worst()


def compared(folder: Path, what: str, count: int, imports: str) -> list[Result]:
    """Ours and the C Emperor's in turn."""
    figures: dict[str, list[tuple[float, float, float]]] = {"ours": [], "C": []}
    for turn in range(TURNS):
        for name in figures:
            place = folder / f"{name}{turn}"
            place.mkdir()
            emperor = c_emperor(place) if name == "C" else daemon(place, *OURS)
            figures[name].append(_deploys(place, count, imports, emperor))
            shutil.rmtree(place)
    ours, theirs = (
        [statistics.median(each) for each in zip(*rows, strict=True)] for rows in figures.values()
    )
    late = f"{ours[2]:.3g} ms (C: {theirs[2]:.3g} ms)"
    return [
        at_most(f"{what}: first start (C: {theirs[0]:.3g} s)", ours[0], theirs[0], "s"),
        at_most(f"{what}: deploy (C: {theirs[1]:.3g} s)", ours[1], theirs[1], "s"),
        (f"{what}: others are woken late, 99 %", late, "", True),
    ]


@bench
def deploy(folder: Path) -> list[Result]:
    """60 applications with imports such as real ones have."""
    return compared(folder, "60 applications", 60, REAL)


@bench
def deploy_small(folder: Path) -> list[Result]:
    """40 that import nothing."""
    return compared(folder, "40 small applications", 40, SMALL)
