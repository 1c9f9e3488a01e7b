"""How fast a journal of a million events is read: ``emperor-replay``, as an operator runs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

from emperord.daemon.core.actions import Action
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import to_json
from emperord.daemon.core.fold import fold
from emperord.journal import chain
from emperord.journal.events import Announced, Body, Event, Spec
from emperord.journal.store import SNAPSHOT_EVERY, Journal, Snapshot
from journals import Story
from measuring import Result, at_most, bench

EVENTS = 1_000_000
VASSALS = 1000
TEXTS = 20  # different configs a vassal has in turn
URL = "dir:///etc/vassals"
COMMANDS = (("history", "v500.ini"), ("state",))
SECONDS = 0.3
MEGABYTES = 60


def text(name: str, turn: int) -> bytes:
    """A config of some length, as people write them."""
    lines = [f"{key} = {name} {value}" for value, key in enumerate(("chdir", "module", "home"))]
    plugins = "\n".join(f"env = SETTING_{i}={name}" for i in range(20))
    return f"[uwsgi]\nprocesses = {turn}\n{plugins}\n{chr(10).join(lines)}\n".encode()


class Deployments(Story):
    """The same story, in which each change of a vassal brings another text, and has an outcome."""

    def __init__(self) -> None:
        self.configs: dict[str, bytes] = {}
        self.deploys = Deploys()
        self._turn = 0
        names = [f"v{number}.ini" for number in range(VASSALS)]
        super().__init__({name: self._spec(name, 0) for name in names}, URL)

    def _spec(self, name: str, turn: int) -> Spec:
        content = text(name, turn)
        digest = chain.digest(content)
        self.configs[digest] = content
        return Spec(ts=self._turn, config=digest, path=f"/etc/vassals/{name}")

    def row(self, kind: str, body: Body, vassal: str | None = None) -> chain.Columns:
        if kind == "vassal_changed" and vassal is not None:
            assert isinstance(body, Announced)
            self._turn += 1
            body = Announced(spec=self._spec(vassal, self._turn % TEXTS), change=body.change)
        return super().row(kind, body, vassal)

    def folded(self, event: Event) -> list[Action]:
        return self.deploys.take(self.fleet, event, fold=fold)


def make(path: Path, events: int = EVENTS) -> None:
    """The journal, as a daemon would have written it."""
    told = Deployments()
    rows = iter(told)
    with Journal.open(str(path)) as journal:
        while journal.seq < events:
            turn = [next(rows) for _ in range(SNAPSHOT_EVERY - told.fleet.seq % SNAPSHOT_EVERY)]
            journal.append(
                turn, told.configs, Snapshot(told.fleet.seq, to_json(told.fleet)), told.deploys.rows
            )
            told.configs.clear()
            told.deploys.touched.clear()
        turn = [next(rows) for _ in range(6000)]
        journal.append(turn, told.configs, None, told.deploys.rows)


# The commands


def _measured(journal: Path, *arguments: str) -> tuple[float, float]:
    """Seconds from the start to the end, and the most memory that it had, in MB."""
    command = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal), *arguments]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    took = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{arguments} ended with {child.returncode}")
    return took, used.ru_maxrss / 1024


@bench
def replay(folder: Path) -> list[Result]:
    """Commands that are to answer at once, whatever the journal's length."""
    journal = folder / "journal.db"
    make(journal)
    results: list[Result] = []
    for arguments in COMMANDS:
        runs = [_measured(journal, *arguments) for _ in range(5)]
        what = f"{EVENTS:,} events: {' '.join(arguments)}"
        results.append(at_most(what, min(took for took, _ in runs), SECONDS, "s"))
        results.append(at_most(f"{what}: memory", max(most for _, most in runs), MEGABYTES, "MB"))
    return results
