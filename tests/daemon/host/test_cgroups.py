"""Each attempt is a cgroup: nothing outlives a stop, however it hides. Real cgroups.

Where the kernel gives no cgroup v2, each test asserts that vassals run and are ended without.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.host import cgroups
from emperord.daemon.startup.identity import short
from emperord.journal.store import Journal
from support import processes
from support.cgroups import attempts, below, members, own_cgroup, within
from support.daemon import Daemon
from support.former import Installation
from support.kept import Emperor
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground
from support.vassals import SLEEPER, program, shell
from support.waiting import PATIENCE

from ..conftest import MakeDaemon, MakeEmperor
from .test_recovery import Crafted, started

# It forks twice, leads its own session, resets its limits, ignores TERM, has no environment.
HOSTILE = """
import os, resource, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_RTTIME, (unlimited, unlimited))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(sys.argv[1], "w") as file:
            file.write(f"{os.getpid()}\\n")
        os.execve("/bin/sleep", ["sleep", "3000"], {})
    os._exit(0)
os.wait()
os.execve("/bin/sleep", ["sleep", "1000"], dict(os.environ))
"""


@pytest.fixture
def base() -> Iterator[Path | None]:
    """A cgroup for the test; None where there can be none."""
    with own_cgroup() as made:
        yield made


def given(base: Path | None) -> tuple[str, str]:
    """The option. Where there is no cgroup v2, its path is one that cannot be used."""
    return ("--cgroup", "/nowhere" if base is None else str(base))


@contextmanager
def hostile(daemon: Daemon, name: str = "a.ini") -> Iterator[Callable[[], int]]:
    """A vassal with a hostile descendant. Gives the pid of that; ends it whatever happens."""
    note = daemon.folder / f"{name}.hostile"
    note.touch()
    note.chmod(0o666)
    code = daemon.folder / "hostile.py"
    code.write_text(HOSTILE)
    text = program(sys.executable, "-I", "-S", str(code), str(note))
    if isinstance(daemon, TyrantDaemon):
        text = program("/usr/bin/python3", "-I", "-S", str(code), str(note))
        daemon.put(name, text)
    else:
        (daemon.vassals / name).write_text(text)

    def there() -> bool:
        return note.read_text().endswith("\n") and hidden(int(note.read_text()))

    def pid() -> int:
        daemon.until(there, "it is there")
        return int(note.read_text())

    try:
        yield pid
    finally:
        if there():
            processes.kill(int(note.read_text()))


def hidden(pid: int) -> bool:
    return processes.argv_of(pid) == ["sleep", "3000"] and processes.environment_of(pid) == {}


def removed(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").unlink()


def crashed(daemon: Daemon) -> None:
    processes.kill(daemon.pid_of("a.ini"))


ENDS = [pytest.param(removed, id="removed"), pytest.param(crashed, id="crashed")]


@pytest.mark.parametrize("ends", ENDS)
def test_a_hostile_descendant_is_dead_before_the_end_is_told(
    make_daemon: MakeDaemon, base: Path | None, ends: Callable[[Daemon], None]
) -> None:
    daemon = make_daemon(*given(base))
    with hostile(daemon) as find:
        daemon.start()
        pid = find()
        ends(daemon)
        daemon.event("exited", "a.ini")
        assert hidden(pid) is (base is None)
        (daemon.vassals / "a.ini").unlink(missing_ok=True)
        daemon.stop()
        if base is None:
            assert f"process {pid} (sleep)" in daemon.log()
        else:
            assert below(base) == []


@pytest.mark.parametrize("ends", ENDS)
def test_a_hostile_descendant_does_not_outlive_a_stop_by_the_next_daemon(
    make_emperor: MakeEmperor, base: Path | None, ends: Callable[[Daemon], None]
) -> None:
    emperor = make_emperor(*given(base))
    with hostile(emperor) as find:
        emperor.start()
        pid = find()
        emperor.restart()
        ends(emperor)
        emperor.event("exited", "a.ini")
        assert hidden(pid) is (base is None)
        emperor.stop()
        if base is None:
            assert f"process {pid} (sleep)" in emperor.log()
        else:
            assert below(base) == []


def test_a_tenants_hostile_descendant_is_dead_or_reported(
    make_tyrant: Callable[..., TyrantDaemon], base: Path | None
) -> None:
    tyrant = make_tyrant(*given(base))
    with hostile(tyrant) as find:
        tyrant.start()
        pid = find()
        removed(tyrant)
        tyrant.gone("a.ini")
        assert hidden(pid) is (base is None)
        tyrant.stop()
        assert (f"process {pid} (sleep) of uid {ALICE}" in tyrant.log()) is (base is None)


def test_without_a_cgroup_what_is_left_is_in_the_status(
    make_tyrant: Callable[..., TyrantDaemon],
) -> None:
    tyrant = make_tyrant("--cgroup", "none")
    tyrant.put("b.ini")  # another vassal of the same user runs on
    with hostile(tyrant) as find:
        tyrant.start()
        pid = find()
        tyrant.phase("b.ini", "ready")
        assert attention(tyrant) == []
        removed(tyrant)
        tyrant.gone("a.ini")
        tyrant.until(lambda: attention(tyrant), "it is found")
        (left,) = attention(tyrant)
        assert left["what"] == "left process"
        assert left["reason"].startswith(f"process {pid} (sleep) of uid {ALICE} runs")
        assert f"process {pid} (sleep) of uid {ALICE} runs" in tyrant.log()
        processes.kill(pid)
        tyrant.until(lambda: not attention(tyrant), "it has gone")
    tyrant.stop()


def attention(daemon: Daemon) -> list[dict[str, str]]:
    """The findings of ``status`` about left processes and cgroups."""
    status = ask(daemon, "status")["status"]
    kinds = ("left process", "no cgroup")
    return [each for each in status["attention"] if each["what"] in kinds]


def listed(daemon: Daemon, name: str) -> str | None:
    """The cgroup that ``list`` gives for a vassal."""
    (its,) = (each for each in ask(daemon, "list")["vassals"] if each["name"] == name)
    cgroup: str | None = its["cgroup"]
    return cgroup


def ask(daemon: Daemon, do: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.journal) + ".sock")
        connection.sendall(json.dumps({"do": do}).encode() + b"\n")
        with connection.makefile() as answer:
            told: dict[str, Any] = json.loads(answer.readline())
    return told


# It notes each fact before anything else is executed, and then waits.
NOTES = "cat /proc/self/cgroup >cgroup; env -0 >environment; grep SigIgn /proc/self/status >ignored"


def test_the_program_begins_in_its_cgroup(make_daemon: MakeDaemon, base: Path | None) -> None:
    daemon = make_daemon(*given(base))
    (daemon.vassals / "a.ini").write_text(shell(f"{NOTES}; echo >up; exec sleep 1000"))
    daemon.start()
    daemon.until((daemon.vassals / "up").exists, "it is up")
    (line,) = (
        (
            line
            for line in (daemon.vassals / "cgroup").read_text().splitlines()
            if line.startswith("0::")
        )
        if base is not None
        else ("0::/",)
    )
    if base is None:
        assert listed(daemon, "a.ini") is None
    else:
        identity, attempt, *_ = os.path.basename(line).split(".")
        environment = processes.environment_of(daemon.pid_of("a.ini"))
        assert identity == environment["EMPERORD_IDENTITY"]
        assert attempt == environment["EMPERORD_ATTEMPT"].split(".")[0]
        assert listed(daemon, "a.ini") == str(base / os.path.basename(line))
    daemon.stop()


def test_a_cgroup_changes_nothing_else(make_daemon: MakeDaemon, base: Path | None) -> None:
    """A shell in between would drop a variable that is no identifier; Python ignores SIGPIPE."""
    daemon = make_daemon("--cgroup", "none", environ={"a.b": "1", "LC_ALL": "", "PWD": "/x"})
    for variable in ("LANG", "LC_ALL", "LC_CTYPE"):  # then Python sets LC_CTYPE for itself
        daemon.environ.pop(variable, None)
    noted: list[dict[str, object]] = []
    for options in (("--cgroup", "none"), given(base)):
        daemon.options[-2:] = options
        (daemon.vassals / "a.ini").write_text(shell(f"{NOTES}; echo >up; exec sleep 1000"))
        daemon.start()
        daemon.until((daemon.vassals / "up").exists, "it is up")
        pairs = (daemon.vassals / "environment").read_bytes().split(b"\0")
        kept = {
            key: value
            for key, _, value in (pair.partition(b"=") for pair in pairs)
            if key not in (b"EMPERORD_ATTEMPT", b"UWSGI_EMPEROR_FD", b"INVOCATION_ID")
        }
        ignored = (daemon.vassals / "ignored").read_text()
        noted.append({"environment": kept, "ignored": ignored})
        daemon.stop()
        (daemon.vassals / "up").unlink()
    assert noted[0] == noted[1]


def test_a_program_that_cannot_be_executed_is_barred(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    (daemon.vassals / "a.ini").write_text(program("/nowhere/at/all"))
    daemon.start()
    assert "/nowhere/at/all" in str(daemon.phase("a.ini", "barred").reason)
    assert base is None or below(base) == []
    daemon.stop()


def test_a_tenant_cannot_leave_its_cgroup(
    make_tyrant: Callable[..., TyrantDaemon], base: Path | None
) -> None:
    if base is None:
        tyrant = make_tyrant(*given(base))
        tyrant.put("a.ini")
        tyrant.start()
        tyrant.phase("a.ini", "ready")
        return
    tyrant = make_tyrant(*given(base))
    note = tyrant.folder / "note"
    note.touch()
    note.chmod(0o666)
    outside = base / "outside"
    outside.mkdir()
    tries = [
        f"echo 0 >{outside}/cgroup.procs",
        f"echo 0 >{base}/cgroup.procs",
        f"mkdir {base}/$(grep ^0:: /proc/self/cgroup | sed s,.*/,,)/inner",
        f"echo 1 >{base}/$(grep ^0:: /proc/self/cgroup | sed s,.*/,,)/cgroup.freeze",
    ]
    script = "; ".join(f"({one}) && echo done: >>{note}" for one in tries)
    tyrant.put("a.ini", shell(f"{script}; echo over >>{note}; exec sleep 1000"))
    tyrant.start()
    tyrant.until(lambda: note.read_text().endswith("over\n"), "it has tried all")
    assert note.read_text() == "over\n"
    (name,) = (each for each in below(base) if each != "outside")
    assert members(base / name) == [tyrant.pid_of("a.ini")]
    assert {(base / name).stat().st_uid, (base / name / "cgroup.procs").stat().st_uid} == {0}
    tyrant.stop()
    assert below(base) == ["outside"]


def test_mercy_ends_for_the_whole_tree(make_daemon: MakeDaemon, base: Path | None) -> None:
    daemon = make_daemon("--mercy", "0.5", *given(base))
    with hostile(daemon, "b.ini") as find:
        daemon.start()
        pid = find()
        leader = daemon.pid_of("b.ini")
        os.kill(leader, signal.SIGSTOP)  # so it does not end by itself
        (daemon.vassals / "b.ini").unlink()
        daemon.gone("b.ini")
        assert not processes.alive(leader)
        assert hidden(pid) is (base is None)
        daemon.stop()


def test_the_next_daemon_goes_on_with_the_same_cgroup(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    emperor = make_emperor(*given(base))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    before = listed(emperor, "a.ini")
    assert (before is None) is (base is None)
    emperor.restart()
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") == before
    emperor.ctl("upgrade")
    emperor.event("daemon_ready", count=3)
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") == before
    emperor.stop()
    assert base is None or below(base) == []


def test_the_next_daemon_ends_what_it_does_not_adopt(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    """The leader has died with its daemon; its descendant can be found in its cgroup alone."""
    emperor = make_emperor(*given(base))
    with hostile(emperor) as find:
        emperor.start()
        pid, leader = find(), emperor.pid_of("a.ini")
        os.kill(emperor.pid, signal.SIGSTOP)  # the keeper: there is no next daemon yet
        emperor.kill_daemon()
        processes.kill(leader)
        seq = emperor.last_seq()
        os.kill(emperor.pid, signal.SIGCONT)
        emperor.event("exited", "a.ini", after=seq)
        assert hidden(pid) is (base is None)
        emperor.next_ready(seq)
        emperor.event("spawned", "a.ini", count=2)
        if base is not None:
            emperor.until(lambda: len(below(base)) == 1, "its new one alone")
        emperor.stop()


def test_what_a_leader_left_in_its_cgroup_lives_on_with_it(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    """The leader moves out, as container engines do; the next daemon adopts it."""
    emperor = make_emperor(*given(base))
    outside = Path("/dev/null")
    if base is not None:
        (base / "outside").mkdir()
        outside = base / "outside" / "cgroup.procs"
    script = f"sleep 3000 & echo 0 >{outside}; echo $! >inside; exec sleep 1000"
    (emperor.vassals / "a.ini").write_text(shell(script))
    note = emperor.vassals / "inside"
    emperor.start()
    emperor.until(lambda: note.exists() and note.read_text().endswith("\n"), "it has moved")
    pids, pid, before = emperor.up("a.ini"), int(note.read_text()), listed(emperor, "a.ini")
    assert (before is None) is (base is None)
    emperor.restart()
    assert emperor.up("a.ini") == pids
    assert processes.argv_of(pid) == ["sleep", "3000"]
    assert listed(emperor, "a.ini") == before
    emperor.stop()
    assert not processes.alive(pid)
    assert base is None or below(base) == ["outside"]


def test_cgroups_that_nothing_entered_are_removed(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    """The daemon died between the mkdir and the fork. Other journals' are left alone."""
    emperor = make_emperor(*given(base))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    if base is None:
        assert [each["what"] for each in attention(emperor)] == ["no cgroup"]
        return
    (name,) = below(base)
    identity, attempt, at, _ = name.split(".")
    others = "0" * 16
    for made in (
        f"{identity}.{attempt}.{at}.{others}",  # of an attempt that the journal knows
        f"{identity}.{int(attempt) + 90}.{at}.{others}",  # of one that it does not know
        f"{others}.{attempt}.{at}.{others}",  # another journal's
        "probe.4194305",  # of a process that has died
    ):
        (base / made).mkdir()
    emperor.restart()
    emperor.until(
        lambda: below(base) == sorted([name, f"{others}.{attempt}.{at}.{others}"]), "they are gone"
    )
    emperor.stop()


def in_its_cgroup(crafted: Crafted, base: Path | None) -> str:
    """A shell's words to enter the cgroup of an attempt, which are made; none without a base."""
    if base is None:
        return ":"
    with Journal.open(str(crafted.daemon.journal)) as journal:
        assert journal.head is not None
        identity = short(journal.head.identity)
    name = cgroups.name_of(identity, crafted.environ["EMPERORD_ATTEMPT"])
    (base / str(name)).mkdir()
    return f"echo 0 >{base}/{name}/cgroup.procs"


def test_a_start_that_was_not_recorded_is_found_in_its_cgroup(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    """The daemon died between the fork and the record."""
    daemon = make_daemon(*given(base))
    crafted = Crafted(daemon)
    script = f"{in_its_cgroup(crafted, base)}; exec sleep 1000"
    with started("sh", "-c", script, **crafted.environ) as child:
        daemon.until(lambda: processes.argv_of(child.pid)[:1] == ["sleep"], "it is in there")
        daemon.start()
        assert daemon.event("adopted", "a.ini").body["pid"] == child.pid
        if base is not None:
            assert [listed(daemon, "a.ini")] == [str(made) for made in attempts(base)]
        daemon.stop()
        assert child.wait(PATIENCE) == -signal.SIGTERM
    assert base is None or below(base) == []


def test_a_start_that_was_not_recorded_and_hides_is_ended(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    crafted = Crafted(daemon)
    script = f"{in_its_cgroup(crafted, base)}; exec env -i sleep 1000"
    with started("sh", "-c", script, **crafted.environ) as child:
        daemon.until(lambda: processes.argv_of(child.pid)[:1] == ["sleep"], "it is in there")
        daemon.start()
        daemon.event("spawn_failed", "a.ini")
        assert processes.alive(child.pid) is (base is None)
        daemon.event("spawned", "a.ini")
        daemon.stop()
    assert base is None or below(base) == []


def test_a_process_outside_of_its_cgroup_is_told_and_ended(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    """Root can move it; the daemon does not rely on its cgroup then."""
    daemon = make_daemon(*given(base))
    script = "(env -i setsid sleep 3000 & echo $! >hidden); exec sleep 1000"
    (daemon.vassals / "a.ini").write_text(shell(script))
    note = daemon.vassals / "hidden"
    daemon.start()
    daemon.until(lambda: note.exists() and note.read_text().endswith("\n"), "it hides")
    daemon.phase("a.ini", "ready")
    if base is not None:
        (base / "outside").mkdir()
        for pid in (daemon.pid_of("a.ini"), int(note.read_text())):
            (base / "outside" / "cgroup.procs").write_text(str(pid))
    daemon.until(lambda: attention(daemon), "it is told")
    told = attention(daemon)[0]["reason"]
    assert base is None or told == f"a.ini: process {daemon.pid_of('a.ini')} is not in its cgroup"
    daemon.stop()
    assert not processes.alive(int(note.read_text()))
    assert base is None or below(base) == ["outside"]


def test_daemons_of_two_journals_share_a_base(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    one = make_daemon(*given(base))
    (one.vassals / "a.ini").write_text(SLEEPER)
    one.start()
    one.phase("a.ini", "ready")
    (tmp_path / "two").mkdir()
    with Daemon(tmp_path / "two", *one.options) as two:
        (two.vassals / "a.ini").write_text(SLEEPER)
        two.start()
        two.phase("a.ini", "ready")
        if base is not None:
            assert len({name.split(".")[0] for name in below(base)}) == 2
        two.kill()
        two.start()
        two.stop()
        assert processes.alive(one.pid_of("a.ini"))
        assert base is None or len(below(base)) == 1
    one.stop()


def test_what_systemd_delegated_is_used(make_emperor: MakeEmperor, base: Path | None) -> None:
    """The unit's cgroup has an attribute; daemon and keeper make room in it."""
    if base is not None:
        os.setxattr(base, "trusted.delegate", b"1")
    emperor = make_emperor(before=() if base is None else within(base))
    with hostile(emperor) as find:
        emperor.start()
        pid = find()
        if base is None:
            assert listed(emperor, "a.ini") is None
            return
        for _ in range(2):
            leaf = f"daemon.{emperor.pid}"
            assert members(base) == []
            assert sorted(members(base / leaf)) == sorted([emperor.pid, emperor.daemon_pid()])
            assert [listed(emperor, "a.ini")] == [str(made) for made in attempts(base)]
            emperor.restart()
        seq = emperor.last_seq()
        emperor.ctl("upgrade")  # the keeper executes itself anew
        emperor.next_ready(seq)
        assert sorted(members(base / leaf)) == sorted([emperor.pid, emperor.daemon_pid()])
        removed(emperor)
        emperor.gone("a.ini")
        assert not hidden(pid)
        emperor.stop()
        assert below(base) == []


def test_what_was_not_delegated_is_not_touched(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    emperor = make_emperor(before=() if base is None else within(base))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    assert listed(emperor, "a.ini") is None
    assert attention(emperor) == []
    assert base is None or below(base) == []
    emperor.stop()


def test_the_subgroup_of_a_delegated_unit(make_emperor: MakeEmperor, base: Path | None) -> None:
    """DelegateSubgroup=: systemd has made the leaf, and starts the keeper there."""
    before: tuple[str, ...] = ()
    if base is not None:
        os.setxattr(base, "user.delegate", b"1")
        (base / "emperor").mkdir()
        before = within(base / "emperor")
    emperor = make_emperor(before=before)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    if base is None:
        assert listed(emperor, "a.ini") is None
        return
    assert len(below(base)) == 2
    assert str(listed(emperor, "a.ini")).startswith(f"{base}/")
    both = sorted([emperor.pid, emperor.daemon_pid()])
    emperor.until(lambda: sorted(members(base / "emperor")) == both, "the vassal is elsewhere")
    emperor.stop()
    assert below(base) == ["emperor"]


def test_an_emperor_that_is_a_vassal_has_its_own_below(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    inner = Emperor(tmp_path / "inner", "--freq", "0.2")
    (inner.vassals / "a.ini").write_text(SLEEPER)
    outer = make_daemon(*given(base))
    with inner:
        variables = [f"{key}={inner.environ[key]}" for key in ("STARTED_BY_TEST",)]
        run = f"EMPEROR_AS_ROOT=1 RUNTIME_DIRECTORY={tmp_path}/inner/run"
        words = shlex.join([*variables, *inner.argv])
        (outer.vassals / "inner.ini").write_text(shell(f"{run} exec env {words}"))
        outer.start()
        inner.event("spawned", "a.ini")
        pid = inner.pid_of("a.ini")
        if base is None:
            assert listed(inner, "a.ini") is None
        else:
            (outers,) = attempts(base)
            (inners,) = attempts(outers)
            assert f"daemon.{outer.pid_of('inner.ini')}" in below(outers)
            assert listed(inner, "a.ini") == str(inners)
            outer.until(lambda: members(inners) == [pid], "it is in there")
        outer.stop()
        assert not processes.alive(pid)
        assert base is None or below(base) == []


def test_a_user_with_a_cgroup_of_its_own(base: Path | None) -> None:
    """As below a user's systemd: the cgroup and its files belong to the user."""
    user = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
            "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # fmt: skip
    before: tuple[str, ...] = user
    if base is not None:
        for file in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(base / file, ALICE, ALICES)
        before = (*within(base), *user)
    with common_ground() as folder:
        for made in ("state", "vassals", "run"):
            (folder / made).mkdir()
            os.chown(folder / made, ALICE, ALICES)
        with (
            TyrantDaemon(folder, "--freq", "0.2", before=before) as daemon,
            hostile(daemon) as find,
        ):
            daemon.start()
            pid = find()
            if base is not None:
                assert members(base) == []
                assert f"daemon.{daemon.pid}" in below(base)
                assert [made.stat().st_uid for made in attempts(base)] == [ALICE]
            removed(daemon)
            daemon.gone("a.ini")
            assert hidden(pid) is (base is None)
            daemon.stop()
            assert base is None or below(base) == []


def missing(base: Path) -> str:
    return "/nowhere"


def open_to_others(base: Path) -> str:
    (base / "open").mkdir()
    (base / "open").chmod(0o777)
    return str(base / "open")


def below_anothers(base: Path) -> str:
    (base / "alices" / "roots").mkdir(parents=True)
    os.chown(base / "alices", ALICE, ALICES)
    return str(base / "alices" / "roots")


def too_deep(base: Path) -> str:
    (base / "cgroup.max.descendants").write_text("0")
    return str(base)


def of_threads(base: Path) -> str:
    (base / "threads").mkdir()
    (base / "threads" / "cgroup.type").write_text("threaded")
    return str(base / "threads")


UNUSABLE = [
    pytest.param(missing, "/nowhere: it is not in a cgroup v2", id="no cgroup"),
    pytest.param(open_to_others, "could move processes out", id="others may write"),
    pytest.param(below_anothers, "could move processes out", id="below another user's"),
    pytest.param(too_deep, "Resource temporarily unavailable", id="may have none below"),
    pytest.param(of_threads, "not supported", id="for threads"),
]


@pytest.mark.few(1)
@pytest.mark.parametrize(("make", "reason"), UNUSABLE)
def test_where_none_can_be_made_vassals_run_without(
    make_daemon: MakeDaemon, base: Path | None, make: Callable[[Path], str], reason: str
) -> None:
    path = "/nowhere" if base is None else make(base)
    reason = "no cgroup v2 is mounted" if base is None else reason
    daemon = make_daemon("--cgroup", path)
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell("(env -i setsid sleep 3000 &); exec sleep 1000"))
    check = subprocess.run(
        [*daemon.argv, "--check"], env=daemon.environ, capture_output=True, text=True, check=False
    )
    assert check.returncode == 1
    assert "vassals would run without cgroups: " in check.stdout
    assert reason in check.stdout
    daemon.start()
    for name in ("a.ini", "b.ini"):
        daemon.phase(name, "ready")
    assert daemon.log().count(f"--cgroup {path}: ") == 1
    (entry,) = attention(daemon)
    assert entry["what"] == "no cgroup"
    assert reason in entry["reason"]
    daemon.stop()  # and nothing is left, by what the processes inherit


def test_a_base_that_is_used_up_later_bars_nothing(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    daemon.start()
    if base is not None:
        (base / "cgroup.max.descendants").write_text("0")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
        daemon.phase(name, "ready")
        assert listed(daemon, name) is None
    assert [each["what"] for each in attention(daemon)] == ["no cgroup"]
    assert daemon.log().count("vassals are ended by what their processes inherit") == 1
    daemon.stop()


def test_check_starts_nothing_where_cgroups_can_be_made(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    check = subprocess.run(
        [*daemon.argv, "--check"], env=daemon.environ, capture_output=True, text=True, check=False
    )
    assert check.returncode == (1 if base is None else 0), check.stdout
    assert base is None or below(base) == []


def test_a_base_that_is_missing_is_made(make_daemon: MakeDaemon, base: Path | None) -> None:
    path = Path("/nowhere") if base is None else base / "made" / "for it"
    daemon = make_daemon("--cgroup", str(path))
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    if base is None:
        assert listed(daemon, "a.ini") is None
    else:
        (name,) = below(path)
        assert listed(daemon, "a.ini") == f"{path}/{name}"
    daemon.stop()


def test_another_mount_of_the_hierarchy(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    """The same cgroup has two paths then."""
    if base is None:
        return test_a_base_that_is_missing_is_made(make_daemon, base)
    mount = tmp_path / "mount point"
    mount.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", mount], check=True)
    try:
        daemon = make_daemon("--cgroup", str(mount / base.name))
        with hostile(daemon) as find:
            daemon.start()
            pid = find()
            assert str(listed(daemon, "a.ini")).startswith(f"{mount}/{base.name}/")
            daemon.kill()
            daemon.start()
            assert str(listed(daemon, "a.ini")).startswith(f"{mount}/{base.name}/")
            removed(daemon)
            daemon.gone("a.ini")
            assert not hidden(pid)
            daemon.stop()
        assert below(base) == []
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def test_a_former_keeper_and_its_vassals_below_a_delegated_cgroup(
    make_emperor: MakeEmperor, base: Path | None, tmp_path: Path
) -> None:
    """They were all in the unit's own cgroup; keeper and daemon leave it, the vassals stay."""
    if base is not None:
        os.setxattr(base, "trusted.delegate", b"1")
    installed = Installation(tmp_path)
    before = () if base is None else within(base)
    emperor = make_emperor(environ=installed.environ, before=before)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    installed.upgrade()
    emperor.restart()
    assert emperor.up("a.ini") == pids
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.phase("b.ini", "ready")
    assert listed(emperor, "a.ini") is None
    if base is not None:
        leaf = base / f"daemon.{emperor.pid}"
        assert members(base) == list(pids.values())
        both = sorted([emperor.pid, emperor.daemon_pid()])
        emperor.until(lambda: sorted(members(leaf)) == both, "the vassal is elsewhere")
        assert [listed(emperor, "b.ini")] == [str(made) for made in attempts(base)]
    emperor.stop()
    assert base is None or below(base) == []


def test_vassals_of_the_former_version_are_gone_on_with(
    make_emperor: MakeEmperor, base: Path | None, tmp_path: Path
) -> None:
    """They have no cgroup: they keep the brand, and what starts next has one."""
    installed = Installation(tmp_path)
    emperor = make_emperor(environ=installed.environ)
    hides = "(env -i setsid sleep 3000 & echo $! >hidden); exec sleep 1000"
    (emperor.vassals / "a.ini").write_text(shell(hides))
    emperor.start()
    pids = emperor.up("a.ini")
    note = emperor.vassals / "hidden"
    emperor.until(lambda: note.exists() and note.read_text().endswith("\n"), "it hides")
    pid = int(note.read_text())
    installed.upgrade()
    emperor.options += given(base)
    # The keeper of the former version refuses options that it does not know, so both are replaced.
    emperor.kill()
    emperor.start()
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") is None
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.phase("b.ini", "ready")
    assert (listed(emperor, "b.ini") is None) is (base is None)
    removed(emperor)
    emperor.gone("a.ini")
    assert not processes.alive(pid)
    emperor.stop()
    assert base is None or below(base) == []
