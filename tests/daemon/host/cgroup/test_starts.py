"""Each attempt starts in a cgroup of its own, which changes nothing else for it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from support import processes
from support.cgroups import below, members
from support.hostile_descendants import attention, given, hidden, hostile, listed
from support.tyrant import TyrantDaemon
from support.vassals import SLEEPER, program, shell

from ...conftest import MakeDaemon, MakeEmperor

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
