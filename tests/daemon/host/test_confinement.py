"""Vassals in namespaces of their own, and with few capabilities."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.host.confinement import NONE, Confinement
from emperord.daemon.main import main
from support.root import need_root
from support.tyrant import ALICE, status_of
from support.vassals import SLEEPER
from support.waiting import until

from ..conftest import MakeDaemon

KINDS = ("mnt", "ipc", "net", "uts", "pid")


def spaces(pid: int | str) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS}


def test_a_vassal_has_namespaces_in_which_its_hooks_mount(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    need_root("make namespaces")
    place = tmp_path / "place"
    place.mkdir()
    daemon = make_daemon(
        *("--namespaces", "fs,net"),
        *("--exec-as-vassal", f"mount -t tmpfs none {place} && touch {place}/own"),
    )
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.pid_of("a.ini")
    own = place.relative_to("/") / "own"
    until(lambda: Path(f"/proc/{pid}/root", own).exists(), "its hook has mounted")
    ours, its = spaces("self"), spaces(pid)
    assert {kind for kind in KINDS if ours[kind] != its[kind]} == {"mnt", "net"}
    assert list(place.iterdir()) == []
    daemon.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_a_vassal_of_roots_has_the_capabilities_that_are_left_alone(
    make_daemon: MakeDaemon,
) -> None:
    need_root("take capabilities")
    daemon = make_daemon("--capability-bounding-set", "kill,CAP_NET_BIND_SERVICE")
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    (daemon.vassals / "b.ini").write_text(f"{SLEEPER}user = {ALICE}\nnofile = 4096\n")
    daemon.start()
    pid, other = daemon.pid_of("a.ini"), daemon.pid_of("b.ini")
    kept = f"{1 << 5 | 1 << 10:016x}"
    until(lambda: status_of(pid)["CapEff"] == [kept], "the others are taken")
    assert status_of(pid)["CapBnd"] == [kept]
    until(lambda: status_of(other)["CapEff"] == ["0" * 16], "a user has none")
    daemon.stop()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--namespaces", "fs,pid"], "'pid': the daemon knows a vassal by its pid"),
        (["--namespaces", "fs,"], "'' is none of fs, ipc, net, uts"),
        (["--capability-bounding-set", "fly"], "'fly' is no capability; see capabilities(7)"),
    ],
)
def test_a_wrong_name_is_told(arguments: list[str], told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--check", *arguments, str(tmp_path)])
    assert result.exit_code == 2
    assert told in result.stderr


def test_only_root_confines(monkeypatch: pytest.MonkeyPatch) -> None:
    confined = Confinement(("net",), ("kill",))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert NONE.flaw() is None
    assert (confined.flaw() or "").startswith("--namespaces: only root can confine vassals")
    assert (Confinement((), ()).flaw() or "").startswith("--capability-bounding-set: only root")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert confined.flaw() is None
