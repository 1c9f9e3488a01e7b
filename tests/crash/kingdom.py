"""Sources and what they ask for, held against what runs and what is recorded."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from emperord.daemon.core.fleet import Fleet

from . import record, world
from .churn import ALWAYS_UP, NEVER_UP, command_of, kind_of
from .running import PATIENCE, until


class Kingdom:
    """A directory of vassals, their journal, and the mark of all that runs.

    ``more`` gives what another source has; ``logs`` is where vassals write.
    """

    def __init__(
        self,
        files: Path,
        journal: Path,
        tag: str,
        more: Callable[[], dict[str, str]] = dict,
        logs: Path | None = None,
    ) -> None:
        self.files = files
        self.journal = journal
        self.tag = tag
        self._more = more
        self._logs = logs

    def texts(self) -> dict[str, str]:
        """The texts of all configs that the sources have, by name."""
        return {path.name: path.read_text() for path in self.files.glob("*.ini")} | self._more()

    def log(self, name: str) -> str:
        """The last that a vassal wrote."""
        path = None if self._logs is None else self._logs / f"{name}.log"
        if path is None or not path.exists():
            return ""
        return f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-40:])

    def leaders(self) -> dict[str, int]:
        return {p.vassal: p.pid for p in world.processes(self.tag) if p.leads}

    def unequal(self) -> list[str]:
        """Processes that differ from the sources at this moment."""
        wrong: list[str] = []
        running = world.by_vassal(world.processes(self.tag))
        files = self.texts()
        wrong += [f"{name} is not wanted and runs" for name in running if name not in files]
        for name, text in files.items():
            kind = kind_of(name)
            leaders = [process.pid for process in running.get(name, []) if process.leads]
            if kind in ALWAYS_UP and len(leaders) != 1:
                wrong.append(f"{name} has leaders {leaders}")
            elif kind in NEVER_UP and leaders:
                wrong.append(f"{name} cannot run and does: {leaders}")
            elif kind in ALWAYS_UP and kind != "uwsgi":
                line = world.command_line(leaders[0])
                if line != command_of(text):
                    wrong.append(f"{name} runs {line}")
        return wrong

    def unequal_fleet(self, fleet: Fleet) -> list[str]:
        """Vassals of the record that differ from the sources."""
        wrong: list[str] = []
        files = {name: text.encode() for name, text in self.texts().items()}
        vassals = fleet.vassals
        if vassals.keys() != files.keys():
            wrong.append(f"known: {sorted(vassals)}, files: {sorted(files)}")
        for name in vassals.keys() & files.keys():
            vassal, kind = vassals[name], kind_of(name)
            if vassal.spec.config != hashlib.sha256(files[name]).hexdigest():
                wrong.append(f"{name}: another text is known")
            if kind in NEVER_UP and vassal.phase != "barred":
                wrong.append(f"{name}: {vassal.phase}, not barred")
            if kind in ALWAYS_UP and vassal.phase not in ("ready", "accepting"):
                wrong.append(f"{name}: {vassal.phase}")
            if kind in ALWAYS_UP and vassal.running != vassal.spec:
                wrong.append(f"{name}: runs what is no longer wanted")
        return wrong


def wait_until_equal(kingdom: Kingdom, what: str, patience: float = PATIENCE) -> None:
    """Until processes and record both are as the sources; says what is not."""
    last: list[str] = []

    def equal() -> bool:
        last[:] = kingdom.unequal()
        if not last:
            last[:] = kingdom.unequal_fleet(record.refold(record.rows(kingdom.journal)))
        return not last

    try:
        until(equal, what, patience)
    except AssertionError as error:
        names = {name for wrong in last for name in wrong.replace(":", "").split()[:1]}
        told = [row for row in record.rows(kingdom.journal) if row.vassal in names][-12:]
        lines = "\n".join(" ".join(map(str, row[:8])) for row in told)
        logs = "\n".join(filter(None, map(kingdom.log, sorted(names))))
        raise AssertionError(f"{error}: {last}\n{lines}\n{logs}") from None
