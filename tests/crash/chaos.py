"""Chaos: a whole emperor under load, and its daemon killed over and over. ``tools/chaos`` runs it.

Vassals of real uWSGI that the test leaves alone answer requests all the time. Beside them files
come, go and change (``churn.py``), and rows of a database if it is told so (``rows.py``). The
daemon is killed at random moments, of its start as well as of its work. At the end no request has
failed, and no vassal that was left alone has another pid. None ever ran twice, and no start or
reload hung. The fleet is as its sources say. The record is whole, and has every death with its
status. The seed is printed; it gives the same changes and the same plan of kills.
"""

import argparse
import contextlib
import http.client
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.core.fleet import UP
from simulation.script import write
from support import processes
from support.former import FORMER, Installation, require
from support.kept import Emperor
from support.postgres import ALL_COLUMNS
from support.vassals import Application

from . import record, world
from .churn import Churn
from .ground import Commoner, Disk, mounted
from .kingdom import Kingdom, wait_until_equal
from .rows import Rows
from .running import until
from .stage import staged

WEB: Final = 3  # vassals under load
OPTIONS: Final = ("--freq", "0.5", "--throttle", "200", "--max-throttle", "400", "--mercy", "0.5")
_PAUSE: Final = 0.01  # seconds between a client's requests


class Load:
    """Clients that ask all the time, and remember what failed."""

    def __init__(self, apps: list[Application]) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(app,)) for app in apps]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, app: Application) -> None:
        while not self._over.wait(_PAUSE):
            connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
                self.answers += 1
            except Exception as error:
                self.failures.append(f"port {app.port}: {type(error).__name__}: {error}")
            finally:
                connection.close()


class Chaos:
    """One run."""

    def __init__(self, folder: Path, emperor: Emperor, seed: int) -> None:
        self.emperor = emperor
        self.chance = random.Random(seed)
        self.kills = 0
        self.faults = 0  # other ones
        self.keepers_lost = 0
        self.upgrades: dict[int, Callable[[], None]] = {}  # by the number of kills before
        self._killed_at = 0  # the last event before
        self.apps: dict[str, Application] = {}
        for number in range(WEB):
            home = folder / f"web{number}"
            home.mkdir()
            app = self.apps[f"web-{number}.ini"] = Application(home)
            text = app.config("chaos", processes="2", disable_logging="true", listen="100")
            (emperor.vassals / f"web-{number}.ini").write_text(text)

    def daemon(self) -> int:
        """The pid of the daemon proper, however far it has come."""

        def found() -> int | None:
            assert self.emperor.process is not None
            assert self.emperor.process.poll() is None, self.emperor.account()
            mine = Path(f"/proc/{self.emperor.pid}/task/{self.emperor.pid}/children").read_text()
            argvs = {int(pid): processes.argv_of(int(pid)) for pid in mine.split()}
            return next(
                (pid for pid, argv in argvs.items() if "emperord.daemon.main" in argv), None
            )

        return self.emperor.until(found, "there is a daemon", patience=60)

    def at_work(self) -> int:
        """The pid of a daemon that has come so far as to be ready."""
        self.emperor.event("daemon_ready", after=self._killed_at, patience=60)
        return self.daemon()

    def kill(self, mostly_at_work: bool = True) -> None:
        """Kill the daemon at some moment, most often when it works, now and then as it starts.

        One that is killed as it starts has failed, so the next is put off. With too many of those
        in a row there is mostly no daemon to kill.
        """
        pid = self.daemon()
        if mostly_at_work and self.chance.random() < 0.75:
            pid = self.at_work()
        time.sleep(self.chance.random() * 0.5)
        self._killed_at = self.emperor.last_seq()
        self.upgrades.pop(self.kills, lambda: None)()
        processes.kill(pid)
        until(lambda: not processes.alive(pid), "the daemon dies")
        self.kills += 1

    def stop_for_a_while(self) -> None:
        """SIGSTOP, and SIGCONT up to a second later."""
        self.faults += 1
        pid = self.daemon()
        processes.kill(pid, signal.SIGSTOP)
        time.sleep(self.chance.random())
        processes.kill(pid, signal.SIGCONT)

    def fill_for_a_while(self, disk: Disk) -> None:
        """The journal's disk is full; the daemon may be killed meanwhile."""
        self.faults += 1
        disk.fill()
        if self.chance.random() < 0.5:
            self.kill(mostly_at_work=False)
        time.sleep(self.chance.random())
        disk.free()

    def starve_for_a_while(self, user: Commoner) -> None:
        """Not one more descriptor, or no process and no thread, is to be had for the daemon.

        One that works: Python cannot even start without.
        """
        self.faults += 1
        pid = self.at_work()
        what, full = "nofile", len(os.listdir(f"/proc/{pid}/fd"))
        if self.chance.random() < 0.5:
            what, full = "nproc", 1
        was = soft_limit(pid, what)
        user.limit(pid, what, full)
        if self.chance.random() < 0.3:
            self.kill(mostly_at_work=False)
            return
        time.sleep(self.chance.random())
        if processes.alive(pid):
            user.limit(pid, what, was)

    def lose_keeper(self) -> None:
        """Kill the keeper; after a while a new emperor takes over from the daemon that is left."""
        self.faults += 1
        self.keepers_lost += 1
        self.at_work()
        assert self.emperor.process is not None
        self._killed_at = self.emperor.last_seq()
        self.emperor.process.kill()
        self.emperor.process.wait()
        time.sleep(self.chance.random())
        self.emperor.launch()
        self.at_work()

    def hang_for_a_while(self, rows: Rows) -> None:
        """The database answers no client."""
        self.faults += 1
        rows.hang(on=True)
        time.sleep(self.chance.random())
        rows.hang(on=False)

    def break_disk(self, device: Path) -> None:
        """The journal's file system turns read-only, and is mounted anew under a later daemon."""
        self.faults += 1
        state = str(self.emperor.state)
        subprocess.run(["mount", "-o", "remount,abort", state], check=True)
        time.sleep(self.chance.random())
        pid = self.daemon()
        self.emperor.send(signal.SIGSTOP)  # so that none starts before the disk is back
        self._killed_at = self.emperor.last_seq()
        processes.kill(pid)
        until(lambda: not processes.alive(pid), "the daemon dies")
        self.kills += 1
        self.emperor.let_go()
        subprocess.run(["umount", "--lazy", state], check=True)
        subprocess.run(["mount", "-o", "loop", str(device), state], check=True)
        self.emperor.send(signal.SIGCONT)


def soft_limit(pid: int, what: str) -> int:
    """The soft limit of a process; a great many if it is not limited."""
    name = {"nofile": "Max open files", "nproc": "Max processes"}[what]
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    soft = next(line for line in lines if line.startswith(name))[len(name) :].split()[0]
    return 1_000_000 if soft == "unlimited" else int(soft)


def run(kills: int, seed: int, options: argparse.Namespace) -> str:
    """Do it all; what was seen, in words. Raises AssertionError."""
    tag = uuid.uuid4().hex
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        stack.callback(world.kill_all, tag)
        logs = ("--log-directory", str(folder / "logs"))
        control = ("--control", str(folder / "control"))
        user = Commoner() if options.starve else None
        before = user.before if user is not None else []
        environ = {world.TAG: tag}
        former = Installation(folder) if options.former else None
        if former is not None:
            environ |= former.environ
        emperor = Emperor(folder, *OPTIONS, *logs, *control, environ=environ, before=before)
        emperor.state.mkdir()
        disk, device = stack.enter_context(_ground(folder, emperor.state, options))
        stack.enter_context(emperor)
        chaos = Chaos(folder, emperor, seed)
        faults: list[tuple[float, Callable[[], None]]] = []
        if options.stop:
            faults.append((0.3, chaos.stop_for_a_while))
        if options.keeper:
            faults.append((0.3, chaos.lose_keeper))
        if disk is not None:
            faults.append((0.2, partial(chaos.fill_for_a_while, disk)))
        if device is not None:
            faults.append((0.2, partial(chaos.break_disk, device)))
        if user is not None:
            faults.append((0.3, partial(chaos.starve_for_a_while, user)))
        rows = None
        if options.rows:
            rows = Rows(Churn(emperor.vassals, folder, seed).text, seed)
            emperor.monitors.append(f"pg://{rows.source.conninfo};{ALL_COLUMNS}")
            faults.append((0.1, partial(chaos.hang_for_a_while, rows)))
        if former is not None:
            chaos.upgrades[kills // 3] = former.upgrade
        return _run(chaos, tag, seed, kills, faults, rows)


@contextlib.contextmanager
def _ground(
    folder: Path, state: Path, options: argparse.Namespace
) -> Iterator[tuple[Disk | None, Path | None]]:
    if options.full_disk:
        with mounted(state, "-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs") as disk:
            yield disk, None
    elif options.read_only:
        device = folder / "device"
        with device.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(device)], check=True)
        with mounted(state, "-o", "loop", str(device)):
            yield None, device
    else:
        yield None, None


def _run(
    chaos: Chaos,
    tag: str,
    seed: int,
    kills: int,
    faults: list[tuple[float, Callable[[], None]]],
    rows: Rows | None,
) -> str:
    emperor = chaos.emperor
    more = dict if rows is None else rows.texts
    kingdom = Kingdom(emperor.vassals, emperor.journal, tag, more, emperor.folder / "logs")
    churn = Churn(emperor.vassals, emperor.folder, seed)
    emperor.start()
    for name in chaos.apps:
        emperor.phase(name, "accepting", patience=60)
    untouched = {name: kingdom.leaders()[name] for name in chaos.apps}
    with world.Watchman(tag) as watchman, Load(list(chaos.apps.values())) as load:
        with churn, rows or contextlib.nullcontext():
            for turn in itertools.count():
                chaos.kill()
                for chance, fault in faults:
                    if turn == 0 or chaos.chance.random() < chance:
                        fault()
                if chaos.kills >= kills:
                    break
                assert not watchman.wrong, watchman.wrong
                assert not load.failures, load.failures
        wait_until_equal(kingdom, "all is as its sources say", patience=60)
        leaders = kingdom.leaders()
    assert not load.failures, load.failures
    assert not watchman.wrong, watchman.wrong
    assert not chaos.upgrades, "the former version was never replaced"
    assert {name: leaders[name] for name in untouched} == untouched, "an untouched one restarted"
    emperor.send(signal.SIGTERM)
    assert emperor.wait(60) == 0, emperor.account()
    assert world.processes(tag) == []
    assert "Traceback" not in emperor.log(), emperor.log()
    said = check_record(emperor.journal, watchman.marks, known=not chaos.keepers_lost)
    hung = record.out_of_patience(record.rows(emperor.journal))
    assert not hung, "\n".join(f"{row}\n{kingdom.log(row.vassal or '')}" for row in hung)
    of_rows = "" if rows is None else f" {rows.done} of rows,"
    return (
        f"{chaos.kills} kills, {chaos.faults} other faults, {load.answers} answers,"
        f" {churn.done} changes of files,{of_rows} {said}"
    )


def act(seeds: range) -> int:
    """Act a script a seed; how many did not hold."""
    failed = 0
    for seed in seeds:
        began, tag = time.monotonic(), uuid.uuid4().hex
        with tempfile.TemporaryDirectory(prefix="stage-") as name:
            script = write(seed)
            with staged(Path(name).resolve(), script, tag) as stage:
                try:
                    print(
                        f"seed {seed}: {stage.run()} in {time.monotonic() - began:.0f} s",
                        flush=True,
                    )
                except AssertionError as error:
                    failed += 1
                    steps = "\n".join(map(str, script.steps))
                    print(
                        f"seed {seed} FAILED: {error}\n{steps}\n{stage.emperor.account()}",
                        flush=True,
                    )
    print(f"{len(seeds)} scripts, {failed} failed")
    return 1 if failed else 0


def check_record(journal: Path, marks: set[str], *, known: bool) -> str:
    """The record is whole, every attempt and its end stands in it; how much there is.

    ``known``: the exit of each is known, too, as its parent, the keeper, has lived on.
    """
    found, fleet = record.check(journal)
    verify = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal), "verify"]
    subprocess.run(verify, check=True, capture_output=True)
    assert marks <= set(record.ordered_marks(found)), "one ran unrecorded"
    assert not [vassal.name for vassal in fleet.vassals.values() if vassal.phase in UP]
    ends = {
        (row.vassal, row.field("attempt"))
        for row in found
        if row.kind in ("exited", "spawn_failed")
    }
    for row in found:
        for action in row.orders():
            if action["do"] == "spawn":
                assert (action["vassal"], action["attempt"]) in ends, f"its end is missing: {row}"
        if row.kind == "exited":
            told = row.field("code") is not None or row.field("signal") is not None
            assert told or not known, f"nobody knows how it ended: {row}"
    deaths = sum(row.kind == "exited" for row in found)
    return f"{len(found)} events, {deaths} deaths"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tools/chaos", description=(__doc__ or "").strip())
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument(
        "--scripts",
        type=int,
        metavar="N",
        help="act N scripts of the simulation on real processes instead, from --seed on",
    )
    parser.add_argument("--stop", action="store_true", help="SIGSTOP the daemon now and then, too")
    parser.add_argument("--keeper", action="store_true", help="kill the keeper now and then, too")
    parser.add_argument("--full-disk", action="store_true", help="as root: fill it now and then")
    parser.add_argument("--rows", action="store_true", help="rows of a PostgreSQL change, too")
    parser.add_argument("--former", action="store_true", help="begin with the release before")
    parser.add_argument("--starve", action="store_true", help="as root: no descriptors, no forks")
    parser.add_argument("--read-only", action="store_true", help="as root: let its disk fail")
    options = parser.parse_args()
    if options.former:
        try:
            require(FORMER)
        except pytest.fail.Exception as lacking:
            parser.error(str(lacking))
    if options.scripts is not None:
        return act(range(options.seed, options.seed + options.scripts))
    print(f"seed {options.seed}, {options.kills} kills", flush=True)
    began = time.monotonic()
    print(run(options.kills, options.seed, options), f"in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    os.environ.pop("EMPEROR_JOURNAL", None)
    sys.exit(main())
