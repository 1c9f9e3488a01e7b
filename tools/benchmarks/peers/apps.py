"""A real fleet: Python applications under uWSGI, each at a port of its own, with a client each."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .clients import Clients, Count
from .installing import PREFIX
from .marks import Marks, TookTooLongError
from .sitting import FAILURES, Cell, Row
from .supervisors import PATIENCE, CEmperor, Emperord, Place, Supervisor

UWSGI = Path(sys.executable).with_name("uwsgi")
KINDS: dict[str, type[Supervisor]] = {
    "C Emperor": CEmperor, "emperord": Emperord, "emperord, listen =": Emperord,
}  # fmt: skip
PATIENCE_AT_END = 10.0
QUIET = 2.0  # seconds without a lost request after which all is well again
# With imports such as real applications have.
APP = """
import asyncio, decimal, email.message, http.client, logging.config, sqlite3
from pathlib import Path
TEXT = Path(__file__).with_name("text").read_bytes()
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TEXT]
"""


def rows(count: int) -> dict[str, Row]:
    return {
        "apps-begin": Row(f"{count} applications from nothing: the first serves", "s"),
        "apps-half": Row("half of them serve", "s"),
        "apps-start": Row("all serve", "s"),
        "apps-answered": Row("requests answered until then", ""),
        "apps-first": Row(f"all {count} touched: the first serves the new text", "s"),
        "apps-median": Row("the median", "s"),
        "apps-last": Row("the last", "s"),
        "apps-lost": Row("requests lost meanwhile", ""),
        "apps-kill": Row("`kill -9` of the emperor until a new application is served", "s"),
        "apps-kill-lost": Row("requests lost meanwhile, a client a port", ""),
        "apps-kill-whole": Row("until all applications serve again", "s"),
    }


class Fleet:
    """The configs of the applications, and their clients."""

    def __init__(self, folder: Path, peer: str, ports: list[int]) -> None:
        self.folder, self._peer, self.ports = folder, peer, ports
        self._vassals = folder / "vassals"
        self._vassals.mkdir()
        (folder / "app.py").write_text(APP)

    def say(self, text: str) -> None:
        (self.folder / "text").write_text(text)

    def add(self, port: int) -> None:
        kept = self._peer.endswith("listen =")
        address = "fd://3" if kept else f"127.0.0.1:{port}"
        text = (
            f"[uwsgi]\nhttp-socket = {address}\nwsgi-file = {self.folder / 'app.py'}\n"
            "master = true\nneed-app = true\ndisable-logging = true\n"
        )
        if kept:
            text += f"\n[emperor]\nlisten = 127.0.0.1:{port}\n"
        (self._vassals / f"v{port}.ini").write_text(text)

    def touch(self) -> None:
        for port in self.ports:
            os.utime(self._vassals / f"v{port}.ini")


def measure(peer: str, count: int, note: Callable[[str, float], None]) -> None:
    """One run of one peer: it starts all, all are touched, and it is killed."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    marks = Marks(1)
    *ports, new = _free_ports(count + 1)
    try:
        place = Place(UWSGI, marks, folder, 20_000, PREFIX)
        emperor = KINDS[peer](place, count)
        fleet = Fleet(folder, peer, ports)
        fleet.say("one")
        for port in ports:
            fleet.add(port)
        with Clients(ports) as clients:
            try:
                _run(emperor, fleet, clients, new, note)
            finally:
                _end(emperor)
    finally:
        marks.close()
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    emperor: Supervisor, fleet: Fleet, clients: Clients, new: int,
    note: Callable[[str, float], None],
) -> None:  # fmt: skip
    clients.begin("one")
    emperor.start()
    served = _all_serve(clients, fleet.ports)
    note("apps-begin", min(served.served.values()))
    note("apps-half", statistics.median(served.served.values()))
    note("apps-start", max(served.served.values()))
    note("apps-answered", served.requests - served.lost)
    time.sleep(3)  # the machine is quiet again, and a second has passed since the configs
    fleet.say("two")
    clients.begin("two")
    fleet.touch()
    served = _all_serve(clients, fleet.ports)
    note("apps-first", min(served.served.values()))
    note("apps-median", statistics.median(served.served.values()))
    note("apps-last", max(served.served.values()))
    note("apps-lost", served.lost)
    time.sleep(3)
    with Clients([new]) as other:
        clients.begin("two")
        other.begin("two")
        _kill(emperor)
        fleet.add(new)
        _all_serve(other, [new])
        note("apps-kill", other.count().served[new])
    count = _quiet(clients)
    note("apps-kill-lost", count.lost)
    note("apps-kill-whole", count.last_lost)


def _kill(emperor: Supervisor) -> None:
    """The daemon of ours, which its keeper replaces; the C Emperor is started again at once."""
    if isinstance(emperor, Emperord):
        os.kill(emperor.daemon_pid(), 9)
    else:
        emperor.kill_main()
        emperor.start()


def _all_serve(clients: Clients, ports: list[int]) -> Count:
    end = time.monotonic() + PATIENCE
    while len((count := clients.count()).served) < len(ports):
        if time.monotonic() > end:
            missing = len(ports) - len(count.served)
            raise TookTooLongError(f"{missing} of {len(ports)} did not serve in {PATIENCE:g} s")
        time.sleep(0.02)
    return count


def _quiet(clients: Clients) -> Count:
    """Wait until no request is lost any more."""
    end = time.monotonic() + PATIENCE
    while True:
        count = clients.count()
        now = time.monotonic()
        if now > count.began + count.last_lost + QUIET and now > count.began + QUIET:
            return count
        if now > end:
            raise TookTooLongError(f"requests are lost after {PATIENCE:g} s")
        time.sleep(0.1)


def _end(emperor: Supervisor) -> None:
    """Stop all: its applications end with it, each a few processes."""
    if emperor.alive():
        assert emperor.process is not None
        emperor.process.send_signal(emperor.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            emperor.process.wait(PATIENCE_AT_END)
    emperor.end()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


@contextmanager
def _told(found: dict[str, Row], peer: str, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        say(f"{peer}: applications: {error}")
        for row in found.values():
            cell = row.cells.setdefault(peer, Cell())
            cell.reason = "" if cell.runs else str(error)


def measured(peers: list[str], count: int, runs: int, say: Callable[[str], None]) -> dict[str, Row]:
    """All runs, the peers in turn; ours with kept sockets only once."""
    found = rows(count)
    for turn in range(runs):
        for peer in KINDS:
            if peer.partition(",")[0] not in peers or (turn and peer not in peers):
                continue
            say(f"{peer}, {count} applications, run {turn + 1}")

            def note(row: str, value: float, peer: str = peer) -> None:
                found[row].cells.setdefault(peer, Cell()).runs.append(value)

            with _told(found, peer, say):
                measure(peer, count, note)
    return found
