"""Which processes the journal does not know, and may be taken over."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emperord.daemon.host import procfs, unjournaled
from emperord.daemon.host.unjournaled import UnjournaledProcess, UnjournaledProcesses
from emperord.daemon.keeper.link import Kept
from emperord.journal.events import Spec
from emperord.journal.rows import IN_ARCHIVE
from support import processes
from support.kept import Emperor
from support.vassals import program
from support.waiting import until

OURS, AT = "0011223344556677", 1_795_500_000_000_000_000
MARK = f"7.{AT}.a.ini"
SPEC = Spec(ts=1, path="/a.ini", config="c1", attrs={"owner": "somebody"})


class Machine:
    """One process, 50, that leads its session and carries our identity, unless told otherwise."""

    def __init__(self, mark: str = MARK, **but: Any) -> None:
        self.mark = mark
        self.but = {"start": 5, "session": 50, "foreign": None, "identity": OURS} | but

    def all_processes(self, *, marks: Mapping[int, str]) -> procfs.Processes:
        tagged = {procfs.limit_tag(self.mark): [50]} if self.but.get("wiped") else {}
        return procfs.Processes({} if tagged else {self.mark: [50]}, tagged, {})

    def start_time(self, pid: int) -> int | None:
        return self.but["start"] if pid == 50 else None

    def session(self, pid: int) -> int | None:
        return self.but["session"]  # type: ignore[no-any-return]

    def foreign(self, pid: int) -> int | None:
        return self.but["foreign"]  # type: ignore[no-any-return]

    def is_below(self, pid: int, above: Collection[int]) -> bool:
        return os.getpid() in above and self.but["foreign"] is None

    def identity_of(self, pid: int) -> str | None:
        return self.but["identity"]  # type: ignore[no-any-return]


class Neighbours(Machine):
    """Process 40 is of another emperor, and of an attempt with the same number and vassal."""

    def all_processes(self, *, marks: Mapping[int, str]) -> procfs.Processes:
        return procfs.Processes({f"7.{AT - 1}.a.ini": [40], self.mark: [50]}, {}, {})

    def start_time(self, pid: int) -> int | None:
        return {40: 4, 50: 5}.get(pid)

    def session(self, pid: int) -> int | None:
        return pid

    def foreign(self, pid: int) -> int | None:
        return self.but["emperor"] if pid == 40 else None

    def is_below(self, pid: int, above: Collection[int]) -> bool:
        return pid == 50

    def identity_of(self, pid: int) -> str | None:
        return self.but["other"] if pid == 40 else None


def found(
    machine: Machine,
    kept: dict[str, Kept] | None = None,
    known: Mapping[int, str] | None = None,
    times: dict[int, int] | None = None,
    identity: str | None = OURS,
) -> list[UnjournaledProcess]:
    return unjournaled.find(
        kept or {}, known or {}, identity, lambda seq: (times or {}).get(seq, 0), machine
    )


BARE = UnjournaledProcess(name="a.ini", pid=50, start=5, mark=MARK)


@pytest.mark.parametrize(
    ("machine", "known", "times", "identity"),
    [
        pytest.param(Machine(identity="8" * 16), {}, {}, OURS, id="another journal's"),
        pytest.param(Machine(identity=None), {}, {}, OURS, id="of no journal"),
        pytest.param(Machine(identity=None), {}, {}, None, id="to a new journal"),
        pytest.param(Machine(foreign=9), {}, {}, OURS, id="below another emperor"),
        pytest.param(Machine(session=49), {}, {}, OURS, id="no leader"),
        pytest.param(Machine(start=None), {}, {}, OURS, id="dead"),
        pytest.param(Machine(), {50: MARK}, {}, OURS, id="adopted"),
        pytest.param(Machine(), {}, {7: AT}, OURS, id="its end is recorded"),
        pytest.param(Machine(), {}, {7: IN_ARCHIVE}, OURS, id="its end is in an archive"),
        pytest.param(Machine("nonsense"), {}, {}, OURS, id="no mark of ours"),
    ],
)
def test_a_process_that_is_nobody_to_take_over(
    machine: Machine, known: Mapping[int, str], times: dict[int, int], identity: str | None
) -> None:
    assert found(machine, None, known, times, identity) == []


@pytest.mark.parametrize("times", [{}, {7: AT + 1}], ids=["unknown attempt", "another's attempt"])
def test_one_that_the_journal_does_not_know(times: dict[int, int]) -> None:
    assert found(Machine(), times=times) == [BARE]


def kept(**about: Any) -> dict[str, Kept]:
    return {"7:a.ini": Kept(about, [3]), "control": Kept({}, [4]), "listener:a.ini": Kept({}, [5])}


TOLD = unjournaled.about(MARK, SPEC) | {"pid": 50, "start": 5, "said": [5, 17]}
WITH_ALL = msgspec.structs.replace(
    BARE, spec=msgspec.structs.replace(SPEC, attrs={}), said=(5, 17), kept="7:a.ini"
)


@pytest.mark.parametrize("wiped", [False, True], ids=["marked", "wiped environment"])
def test_one_whose_sockets_the_keeper_holds(wiped: bool) -> None:
    assert found(Machine(wiped=wiped, identity=None), kept(**TOLD), identity=None) == [WITH_ALL]


@pytest.mark.parametrize("wiped", [False, True], ids=["marked", "wiped environment"])
def test_one_whose_daemon_died_amid_its_start(wiped: bool) -> None:
    about = unjournaled.about(MARK, SPEC)
    expected = msgspec.structs.replace(WITH_ALL, said=())
    assert found(Machine(wiped=wiped), kept(**about)) == [expected]


def test_one_whose_sockets_were_set_aside() -> None:
    name = "left:left:7:a.ini"
    expected = msgspec.structs.replace(WITH_ALL, kept=name)
    assert found(Machine(), {name: Kept(TOLD, [3])}) == [expected]


def test_one_that_the_release_before_started() -> None:
    expected = msgspec.structs.replace(BARE, kept="7:a.ini")
    assert found(Machine(identity=None), kept(), identity=None) == [expected]


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(Neighbours(emperor=9, other=None), id="which runs"),
        pytest.param(Neighbours(emperor=None, other=None), id="which has died"),
        pytest.param(Neighbours(emperor=None, other="8" * 16), id="of this release"),
    ],
)
def test_one_of_the_release_before_beside_another_emperors(machine: Machine) -> None:
    """0.1.0 gave the keeper no mark, so two attempts may be told apart by their emperors only."""
    expected = msgspec.structs.replace(BARE, kept="7:a.ini")
    assert found(machine, kept(), identity=None) == [expected]


@pytest.mark.parametrize(
    ("machine", "about", "times"),
    [
        pytest.param(Machine(start=6, identity=None), TOLD, {}, id="another has its pid"),
        pytest.param(Machine(), TOLD, {7: AT}, id="its end is recorded"),
        pytest.param(Machine(foreign=9), TOLD, {}, id="below another emperor"),
        pytest.param(Machine(f"8.{AT}.a.ini"), {}, {8: AT}, id="another attempt"),
    ],
)
def test_sockets_of_nobody(machine: Machine, about: dict[str, Any], times: dict[int, int]) -> None:
    assert found(machine, kept(**about), times=times) == []


def test_a_spec_that_does_not_fit_a_packet_is_not_told() -> None:
    long = msgspec.structs.replace(SPEC, settings={"command": "x" * 20_000})
    assert unjournaled.about(MARK, long)["spec"] is None
    assert unjournaled.about(MARK, SPEC)["spec"]["config"] == "c1"


def test_each_is_taken_once_and_the_newest_first(caplog: pytest.LogCaptureFixture) -> None:
    left = UnjournaledProcesses()
    newer = msgspec.structs.replace(BARE, pid=60, start=6, kept="8:a.ini")
    left.add([BARE, newer])
    assert "a.ini: process 60 runs, and this journal does not know of it" in caplog.text
    assert "a.ini" in left
    assert left.kept == {"8:a.ini"}
    assert [left.take("a.ini"), left.take("a.ini"), left.take("a.ini")] == [newer, BARE, None]
    assert "a.ini" not in left


def test_of_very_many_some_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """A user can make processes that carry our identity, as many as it may have."""
    left = UnjournaledProcesses()
    left.add([msgspec.structs.replace(BARE, pid=pid) for pid in range(1000)])
    assert len(caplog.records) == 101
    assert "and so do 900 others" in caplog.text


# Real processes below real emperors


def test_a_process_below_another_emperor_is_foreign(emperor: Emperor) -> None:
    (emperor.vassals / "a.ini").write_text(program("sleep", "1000"))
    emperor.start()
    pid = emperor.up("a.ini")["a.ini"]
    (daemon,) = emperor.daemons()
    assert procfs.foreign(pid) == daemon
    os.kill(emperor.pid, 19)  # between two daemons it is the keeper's
    processes.kill(daemon)
    until(lambda: not processes.alive(daemon), "the daemon is dead")
    until(lambda: procfs.parent(pid) == emperor.pid, "the keeper has it")
    assert procfs.foreign(pid) == emperor.pid
    there = procfs.all_processes()
    (mark,) = [mark for mark, pids in there.marked.items() if pid in pids]
    assert procfs.remnants(there, mark, None, None) == []
    os.kill(emperor.pid, 18)
    emperor.daemon_pid()
    emperor.stop()


def test_a_process_of_our_own_is_not() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        assert procfs.foreign(child.pid) is None
        assert procfs.foreign(os.getpid()) is None
        assert procfs.foreign(1) is None
        child.kill()


def test_an_emperor_may_be_a_vassal(emperor: Emperor, tmp_path: Path) -> None:
    """It is below ours and has vassals of its own. Both of ours are killed, and it is adopted."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "x.ini").write_text(program("sleep", "1001"))
    words = (sys.executable, "-P", "-m", "emperord.daemon.keeper", "--as-root")
    command = program(*words, "--journal", str(tmp_path / "inner.db"), str(inner))
    (emperor.vassals / "inner.ini").write_text(command)
    emperor.start()
    pid = emperor.up("inner.ini")["inner.ini"]
    (x,) = emperor.until(lambda: emperor.running_for("x.ini"), "it runs its own")
    (outer,) = (each for each in emperor.daemons() if procfs.parent(each) == emperor.pid)
    processes.kill(outer)
    emperor.kill()
    until(lambda: not processes.alive(outer), "both are dead")
    emperor.start()
    assert emperor.pid_of("inner.ini") == pid
    assert emperor.running_for("x.ini") == [x]
    emperor.stop()
