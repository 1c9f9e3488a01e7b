"""Preflights over ends of the daemon, of its keeper and of the machine, at each of their steps."""

import itertools
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.kept import Emperor
from support.root import need_root
from support.vassals import Application, shell

from ..conftest import MakeEmperor
from .test_preflights import copies, refusal, says

STEPS = ("ordered", "runs", "ends", "judged", "stopped")


class Deploys:
    """One vassal, whose config number N is checked by a preflight that waits for gate N."""

    def __init__(self, emperor: Emperor, folder: Path) -> None:
        self.emperor = emperor
        self._folder = folder
        self._numbers = itertools.count(1)
        self.checks = folder / "checks"  # the pids of all preflights
        self.starts = folder / "starts"  # the number of the config of each start
        self.checks.touch()
        self.starts.touch()

    def change(self, code: int) -> tuple[int, Path]:
        """Another config, whose preflight ends with this code; its number and gate."""
        number = next(self._numbers)
        gate = self._folder / f"gate {number}"
        check = f"echo $$ >> {self.checks}; until test -e {gate.name!r}; do sleep 0.02; done"
        check = check.replace("'", '"')
        self.emperor.put(
            "a.ini",
            shell(
                f"echo {number} >> {self.starts}; exec sleep 1000",
                preflight=f"sh -c 'cd {self._folder}; {check}; exit {code}'",
            ),
        )
        return number, gate

    def at(self, step: str, gate: Path, code: int, after: int, checks: int) -> None:
        """Wait for a step of the deploy that has begun after that event."""
        self.emperor.event("vassal_changed", "a.ini", after=after)
        if step == "ordered":
            return
        self.emperor.until(lambda: len(self.pids()) > checks, "its preflight runs")
        if step == "runs":
            return
        gate.touch()
        if step == "ends":
            return
        verdict = "preflight_passed" if code == 0 else "deploy_refused"
        self.emperor.event(verdict, "a.ini", after=after)
        if step == "stopped" and code == 0:
            self.emperor.event("exited", "a.ini", after=after)

    def pids(self) -> list[int]:
        return [int(line) for line in self.checks.read_text().split()]

    def check(self, number: int, code: int, before: int) -> int:
        """The deploy comes to its end, whatever was killed; the pid of the vassal."""
        if code == 0:
            wanted = f"config {number} runs"
            self.emperor.until(
                lambda: self.starts.read_text().split()[-1:] == [f"{number}"], wanted
            )
        self.emperor.until(lambda: self._is_settled(code), f"config {number} is settled")
        vassal = self.emperor.phase("a.ini", "ready")
        assert vassal.pid is not None
        if code:
            assert vassal.pid == before
            assert str(number) not in self.starts.read_text().split()
        assert self.emperor.running_for("a.ini") == [vassal.pid]
        assert not any(map(processes.alive, self.pids()))
        return vassal.pid

    def _is_settled(self, code: int) -> bool:
        vassal = self.emperor.vassal("a.ini")
        assert vassal is not None
        return vassal.check is None and (vassal.refused is not None) == bool(code)


def kill_keeper(emperor: Emperor) -> None:
    """The daemon goes on without one, and is killed, too, before the next ones start."""
    assert emperor.process is not None
    daemon = emperor.daemon_pid()
    emperor.kill()
    processes.kill(daemon)
    emperor.start()


VICTIMS: dict[str, Callable[[Emperor], object]] = {
    "daemon": Emperor.restart,
    "keeper": kill_keeper,
}


ROWS = {f"{victim}, {step}": (victim, step) for victim in VICTIMS for step in STEPS}


@pytest.mark.few("daemon, ends", "keeper, judged")
@pytest.mark.parametrize(("victim", "step"), ROWS.values(), ids=ROWS)
def test_a_kill_at_each_step(
    make_emperor: MakeEmperor, tmp_path: Path, victim: str, step: str
) -> None:
    """Each check has its verdict in the end; a refused config is never started."""
    emperor = make_emperor("--throttle", "50")
    deploys = Deploys(emperor, tmp_path)
    number, gate = deploys.change(0)
    gate.touch()
    emperor.start()
    pid = deploys.check(number, 0, 0)
    for code in (1, 0):
        after, checks = emperor.last_seq(), len(deploys.pids())
        number, gate = deploys.change(code)
        deploys.at(step, gate, code, after, checks)
        VICTIMS[victim](emperor)
        gate.touch()
        pid = deploys.check(number, code, pid)
    emperor.stop()


REBOOTED = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


@pytest.mark.parametrize("lost", [False, True], ids=["its copy is there", "its copy is lost"])
def test_a_reboot_starts_the_former_text_from_a_copy(
    make_emperor: MakeEmperor, tmp_path: Path, lost: bool
) -> None:
    need_root("give a daemon another boot id")
    emperor = make_emperor("--throttle", "50")
    app = Application(tmp_path)
    path = emperor.vassals / "a.ini"
    path.write_text(app.config("old"))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    path.write_text(app.config("new") + "[emperor]\npreflight = false\n")
    refusal(emperor)
    os.kill(emperor.pid_of("a.ini"), 9)
    emperor.event("vassal_accepting", "a.ini", count=2)
    [copy] = copies(emperor)
    emperor.clean_up()  # all at once, as in a crash of the machine
    boot = tmp_path / "boot"
    boot.write_text(f"{uuid.uuid4()}\n")
    if lost:
        shutil.rmtree(copy.parents[1])
    emperor.before = ["unshare", "--mount", "sh", "-c", REBOOTED, str(boot)]
    after = emperor.last_seq()
    emperor.start()
    emperor.event("vassal_accepting", "a.ini", after=after)
    started = emperor.event("daemon_started", after=after)
    assert started.body["boot"] == boot.read_text().strip()
    assert says(emperor, app) == "old"
    assert copies(emperor) == [copy]
    assert emperor.phase("a.ini", "accepting").refused is not None
    emperor.stop()
