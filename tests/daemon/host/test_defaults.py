"""``--vassal-defaults`` of a running daemon: what vassals get, and when they get another value."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.tyrant import TyrantDaemon
from support.vassals import shell

from ..conftest import MakeDaemon

SAYS = 'echo "$(umask) $(ulimit -n) $A"; exec sleep 1000'
MakeTyrant = Callable[..., TyrantDaemon]


def test_vassals_get_them(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "defaults.ini"
    file.write_text("[emperor]\numask = 077\nnofile = 100\nenvironment = A=1\n")
    daemon = make_daemon("--vassal-defaults", str(file))
    (daemon.vassals / "a.ini").write_text(shell(SAYS))
    (daemon.vassals / "b.ini").write_text(
        shell(SAYS, umask="027", nofile="5000", environment="A=2")
    )
    daemon.start()

    def said(name: str, lines: int) -> str:
        daemon.until(lambda: len(daemon.vassal_log(name).splitlines()) == lines, "it says so")
        return daemon.vassal_log(name).splitlines()[-1]

    assert (said("a.ini", 1), said("b.ini", 1)) == ("0077 100 1", "0027 100 2")
    pid = daemon.pid_of("b.ini")
    # The next daemon reads the file again. Only a vassal for which it matters starts anew.
    daemon.kill()
    file.write_text("[emperor]\numask = 022\nnofile = 100\nenvironment = A=1\n")
    daemon.start()
    assert said("a.ini", 2) == "0022 100 1"
    change = daemon.event("vassal_changed", "a.ini")
    assert (change.body["change"], change.actions[0]["do"]) == ("settings", "stop")
    assert not daemon.events("vassal_changed", "b.ini")
    assert daemon.phase("b.ini", "ready").pid == pid
    daemon.stop()


def test_a_former_config_has_the_present_limits(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """Its change fails and is rolled back. A limit that was lowered since holds all the same."""
    file = tmp_path / "defaults.ini"
    file.write_text("[emperor]\nnofile = 5000\n")
    daemon = make_daemon("--vassal-defaults", str(file), "--throttle", "50")
    path = daemon.vassals / "a.ini"
    path.write_text(shell(SAYS, ready="100ms", rollback="1"))
    daemon.start()
    daemon.phase("a.ini", "accepting")
    path.write_text(shell("exit 3", ready="100ms", rollback="1"))
    daemon.event("vassal_accepting", "a.ini", count=2)
    daemon.kill()
    file.write_text("[emperor]\nnofile = 100\nnproc = 5000\n")
    daemon.start()
    daemon.event("vassal_accepting", "a.ini", count=3)
    vassal = daemon.phase("a.ini", "accepting")
    assert vassal.refused is not None
    assert vassal.refused.rolled_back
    said = [line.split()[1] for line in daemon.vassal_log("a.ini").splitlines()]
    assert said == ["5000", "5000", "100"]
    daemon.stop()


def test_a_file_that_cannot_be_used_refuses_the_start(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    file = tmp_path / "defaults.ini"
    daemon = make_daemon("--vassal-defaults", str(file))
    refused = [f"--vassal-defaults {file} cannot be read: No such file or directory"]
    for text, reason in (
        (None, refused[0]),
        ("[emperor]\nx = 1\n", f"--vassal-defaults {file}: [emperor] x: no such setting"),
    ):
        if text is not None:
            file.write_text(text)
        done = subprocess.run(
            daemon.argv, env=daemon.environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 3
        assert reason in done.stderr


def test_in_tyrant_mode_the_file_is_roots(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    file = tyrant.folder / "defaults.ini"
    file.write_text("[emperor]\nnofile = 100\n")
    os.chown(file, 61_001, 62_001)
    tyrant.options += ["--vassal-defaults", str(file)]
    done = subprocess.run(
        tyrant.argv, env=tyrant.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert f"--vassal-defaults {file} is used for every vassal, but" in done.stderr
    assert "belongs to uid 61001; chown it to root" in done.stderr


def test_a_default_user_bars_tenants(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    file = tyrant.folder / "defaults.ini"
    file.write_text("[emperor]\nuser = nobody\n")
    tyrant.options += ["--vassal-defaults", str(file)]
    tyrant.put("a.ini")
    tyrant.start()
    assert "in tyrant mode its source says" in (tyrant.phase("a.ini", "barred").reason or "")
    tyrant.stop()
