"""An emperor that faults happen to: its vassals, what is done to them, and what has to hold."""

import hashlib
import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

from crash import record
from emperord.daemon.core.fleet import UP, Fleet, Vassal
from emperord.replay.verify import verify
from support import processes
from support.kept import Emperor
from support.vassals import SLEEPER, Application, program
from support.waiting import breathe, until

from .plan import Plan

OPTIONS: Final = (
    *("--freq", "0.5", "--throttle", "200", "--max-throttle", "400", "--mercy", "0.5"),
    *("--on-demand-extension", ".socket"),
    *("--stop-hook", "true", "--exec-as-emperor", "true", "--keep", "1d"),
)
PATIENCE: Final = 40.0  # seconds for all to be well again
_ASKED: Final = 10.0  # seconds for an answer at the control socket


class Broken(AssertionError):
    """Something did not hold."""


class Standing(NamedTuple):
    """How things are at one moment."""

    fleet: Fleet
    pids: dict[str, int]


class Realm:
    """One emperor with a few vassals of each kind."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.plan = plan
        services = (
            *("--pidfile", str(folder / "emperor.pid"), "--stats", str(folder / "stats.sock")),
            *("--log-file", str(folder / "daemon.log")),  # where the tool reads it
        )
        self.emperor = Emperor(folder, *OPTIONS, *services, environ=plan.environ)
        # A daemon that leaves because of an error closes nothing, which Python would warn of.
        self.emperor.warnings = "ignore::ResourceWarning"
        self.app = Application(folder)
        self.texts: dict[str, str] = {}
        self.victim = 0
        self._edits = 0
        self._read = 0  # bytes of the log that were looked at
        self._pids: dict[str, int] = {}  # of those that no step touches
        self.put("web.ini", self.app.config("faults", processes="1", disable_logging="true"))
        self.put("steady.ini", SLEEPER)
        self.put("crashes.ini", SLEEPER)
        self.put("touched.ini", program("sleep", "1000", reload_signal="CONT"))
        self.address = folder / "lazy.sock"
        (self.emperor.vassals / "lazy.ini.socket").write_text(f"{self.address}\n")
        self.put("lazy.ini", SLEEPER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.plan.clear()
        self.emperor.clean_up()

    # Acts

    def put(self, name: str, text: str) -> None:
        """Write a vassal's file, at once."""
        beside = self.emperor.vassals / f"{name}.new"
        beside.write_text(text)
        beside.rename(self.emperor.vassals / name)
        self.texts[name] = text

    def drop(self, name: str) -> None:
        (self.emperor.vassals / name).unlink()
        del self.texts[name]

    def touch(self, name: str) -> None:
        self._edits += 1
        self.put(name, self.texts[name].partition("#")[0] + f"# {self._edits}\n")

    def pid(self, name: str) -> int:
        """The pid of a vassal when all is well."""
        return self._standing().pids[name]

    def ask(self, **request: str) -> dict[str, object]:
        """The daemon's answer to a request. Raises OSError, ValueError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASKED)
            connection.connect(str(self.emperor.control))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer: dict[str, object] = json.loads(stream.readline())
        return answer

    def connect(self) -> None:
        """Be a client of the vassal on demand."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ASKED)
            client.connect(str(self.address))

    def kill_daemon(self) -> int:
        """Kill the daemon proper, if there is one at this moment."""
        for pid in self.emperor.daemons():
            processes.kill(pid)
            return pid
        return 0

    # How it is

    def _standing(self) -> Standing:
        found = record.rows(self.emperor.journal)
        fleet = record.refold(found)
        pids = {v.name: v.pid for v in fleet.vassals.values() if v.phase in UP and v.pid}
        return Standing(fleet, pids)

    def _unsettled(self) -> str:
        """The first thing that is not as it should be yet; empty if all is."""
        try:
            answer = self.ask(do="status").get("status")
        except (OSError, ValueError) as error:
            return f"status: {error}"
        if not isinstance(answer, dict) or answer["paused"] or answer["stopping"]:
            return f"status: {answer}"
        if not answer["keeper"] or answer["outages"] or answer["unrecorded"]:
            return f"status: {answer}"
        standing = self._standing()
        if standing.fleet.vassals.keys() != self.texts.keys():
            return f"vassals: {sorted(standing.fleet.vassals)}"
        for vassal in standing.fleet.vassals.values():
            if reason := self._unequal(vassal):
                return f"{vassal.name}: {reason}"
        return self._astray(standing.pids)

    def _unequal(self, vassal: Vassal) -> str:
        wanted = ("listening", "ready") if vassal.name == "lazy.ini" else ("ready", "accepting")
        if vassal.phase not in wanted or (vassal.name == "web.ini" and vassal.phase == "ready"):
            return f"{vassal.phase} ({vassal.reason})"
        digest = hashlib.sha256(self.texts[vassal.name].encode()).hexdigest()
        running = vassal.running
        if vassal.spec.config != digest or running is None or running.config != digest:
            return "has another config"
        return ""

    def _astray(self, pids: dict[str, int]) -> str:
        """Leaders other than the record says."""
        leaders: dict[str, list[int]] = {}
        for pid, its in self.emperor.environments().items():
            if os.getsid(pid) == pid:
                leaders.setdefault(its["EMPERORD_ATTEMPT"].split(".", 2)[2], []).append(pid)
        recorded = {name: [pid] for name, pid in pids.items()}
        return "" if leaders == recorded else f"run: {leaders}, recorded: {recorded}"

    def settle(self) -> None:
        """Return when all is as it should be."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                reason = self._unsettled()
            except ProcessLookupError:  # a process that was listed has ended
                reason = "an end"
            if not reason:
                return
            process = self.emperor.process
            if process is None or process.poll() is not None:
                raise Broken(f"the keeper ended; {reason}")
            if time.monotonic() > deadline:
                raise Broken(f"not in {PATIENCE:g} s: {reason}")
            breathe()

    # Conditions

    def unread(self) -> str:
        """The lines of the log since ``said``."""
        return self.emperor.log()[self._read :]

    def said(self) -> str:
        """The lines of the log since the last look."""
        new = self.unread()
        self._read += len(new)
        return new

    def check(self) -> None:
        """All is well, the record is whole, and nothing happened to those that no step touches."""
        said = self.said()
        for word in ("Traceback", "Warning", "error in", "Exception ignored"):
            if word in said:
                raise Broken(f"in the log: {said[said.index(word) :][:6000]}")
        found = record.rows(self.emperor.journal)
        record.check_chain(found)
        record.check_one_attempt_at_a_time(found)
        fleet = record.refold(found)
        steady = {name: fleet.vassals[name].pid or 0 for name in ("web.ini", "steady.ini")}
        if self._pids and steady != self._pids:
            raise Broken(f"who was not touched was started again: {self._pids}, now {steady}")
        self._pids = steady
        self._check_ends(found, fleet)
        until(self._has_locks, "SQLite has its locks; a close of another descriptor loses them")

    def _check_ends(self, found: list[record.Row], fleet: Fleet) -> None:
        """Every attempt that was ordered runs or has its end in the record."""
        over = {
            (row.vassal, row.field("attempt"))
            for row in found
            if row.kind in ("exited", "spawn_failed")
        }
        on = {(vassal.name, vassal.attempt) for vassal in fleet.vassals.values()}
        for row in found:
            for action in row.orders():
                if action["do"] == "spawn":
                    which = (action["vassal"], action["attempt"])
                    if which not in over | on:
                        raise Broken(f"an attempt without an end: {row}")
            if row.kind == "exited" and row.field("code") is None and row.field("signal") is None:
                raise Broken(f"nobody knows how it ended: {row}")

    def _has_locks(self) -> bool:
        pid = self.emperor.daemon_pid()
        if not self._shm().exists():  # the daemon is about to be another
            return False
        files = {self.emperor.journal.stat().st_ino, self._shm().stat().st_ino}
        for line in Path("/proc/locks").read_text().splitlines():
            words = [word for word in line.split() if word != "->"]
            if words[1] == "POSIX" and words[4] == str(pid):
                files.discard(int(words[5].rpartition(":")[2]))
        return not files

    def _shm(self) -> Path:
        return self.emperor.journal.with_name(self.emperor.journal.name + "-shm")

    def verify(self) -> None:
        verdict = verify(str(self.emperor.journal))
        if verdict.exit_code:
            raise Broken(f"verify: {verdict.audit.findings}, {verdict.first}")

    # Its life

    def start(self) -> None:
        self.emperor.launch()
        self.settle()
        self.check()

    def ended(self) -> int | None:
        """The keeper's exit code, None if it runs."""
        return None if self.emperor.process is None else self.emperor.process.poll()

    def stopped(self) -> None:
        """It was told to stop: it does, and leaves nothing."""
        self._ended()
        if code := self.ended():
            raise Broken(f"ended with {code}")
        self.emperor.process = None
        if left := self.emperor.running():
            raise Broken(f"left running: {[processes.argv_of(pid) for pid in left]}")
        if (last := record.rows(self.emperor.journal)[-1]).kind != "daemon_stopped":
            raise Broken(f"the last event is {last}")
        self._pids = {}

    def _ended(self) -> None:
        process = self.emperor.process
        assert process is not None
        until(lambda: process.poll() is not None, "it ends", patience=PATIENCE)


class Step(NamedTuple):
    """Something that is done to a realm that is well. ``before`` makes it possible."""

    do: Callable[[Realm], object]
    before: Callable[[Realm], object] = lambda _: None
    after: Callable[[Realm], object] = lambda _: None
    ends: bool = False  # the emperor
    starts: bool = False


def _gone(realm: Realm) -> None:
    if "comes.ini" in realm.texts:
        realm.drop("comes.ini")


def _there(realm: Realm) -> None:
    if "comes.ini" not in realm.texts:
        realm.put("comes.ini", SLEEPER)


def _asleep(realm: Realm) -> None:
    """The vassal on demand listens."""
    if realm._standing().fleet.vassals["lazy.ini"].phase != "listening":
        realm.drop("lazy.ini")
        realm.settle()
        realm.put("lazy.ini", SLEEPER)


def _chosen(realm: Realm) -> None:
    realm.victim = realm.pid("crashes.ini")


def _renew(realm: Realm) -> None:
    realm.victim = realm.emperor.daemon_pid()
    realm.emperor.send(signal.SIGUSR2)


def _renewed(realm: Realm) -> None:
    """There is another daemon, or the log says why not."""
    until(
        lambda: realm.victim not in realm.emperor.daemons() or "not replaced" in realm.unread(),
        "the daemon is replaced",
    )


def _stop_and_start(realm: Realm) -> None:
    for do in ("stop", "start"):
        _is_asked(realm, do)


def _started(realm: Realm) -> None:
    """The stop was recorded, and the start was not."""
    until(lambda: _is_asked(realm, "start"), "it answers")


def _is_asked(realm: Realm, do: str) -> bool:
    """Whether a daemon has answered; a keeper answers while there is none."""
    try:
        return "no_daemon" not in realm.ask(do=do, name="crashes.ini")
    except (OSError, ValueError):
        return False


def _back_up(realm: Realm) -> None:
    """A copy is whole, or there is none, and then the answer says why."""
    file = realm.emperor.folder / f"copy{next(_NUMBERS)}.db"
    try:
        answer = realm.ask(do="backup", file=str(file))
    except (OSError, ValueError):
        return  # no answer came in time; the daemon ends that work
    if file.exists() and verify(str(file)).exit_code:
        raise Broken(f"{file.name} does not verify: {answer}")
    if not file.exists() and "error" not in answer:
        raise Broken(f"there is no copy: {answer}")


_NUMBERS: Final = itertools.count()
STEPS: Final = {
    "start": Step(lambda realm: realm.emperor.launch(), starts=True),
    "add": Step(_there, _gone),
    "touch": Step(lambda realm: realm.touch("touched.ini")),
    "crash": Step(lambda realm: processes.kill(realm.victim), _chosen),
    "remove": Step(_gone, _there),
    "connect": Step(Realm.connect, _asleep),
    "ask": Step(_stop_and_start, after=_started),
    "backup": Step(_back_up),
    "kill": Step(Realm.kill_daemon),
    "renew": Step(_renew, after=_renewed),
    "stop": Step(lambda realm: realm.emperor.send(signal.SIGTERM), ends=True),
}
