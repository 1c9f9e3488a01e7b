"""The files for systemd: systemd itself takes them, and a daemon works with the unit's limits."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.host.listen_address import parse
from support.root import need_root
from support.tyrant import ALICE, TyrantDaemon, common_ground, status_of

SHARE: Final = Path(__file__).resolve().parents[2] / "share"
PAGE: Final = SHARE.parent / "docs" / "packaging.md"
UNIT: Final = SHARE / "systemd" / "emperord.service"
SOCKETS: Final = SHARE / "systemd" / "emperord.socket"
SETTINGS: Final = re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M)


def run(*argv: str | Path) -> str:
    """Run a program; its output, errors included."""
    done = subprocess.run(
        argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    """The command is not installed where the unit looks for it, so another one is named."""
    copy, sockets = tmp_path / UNIT.name, tmp_path / SOCKETS.name
    copy.write_text(UNIT.read_text().replace("/opt/emperord/bin/emperor", "/bin/true"))
    shutil.copy(SOCKETS, sockets)
    assert run("systemd-analyze", "verify", "--man=no", copy, sockets) == ""


def test_the_socket_unit_passes_what_the_daemon_takes() -> None:
    """Streams that listen. Its name is the service's, so systemd passes them to that."""
    told = dict(re.findall(r"^(\w+)=(.*)$", SOCKETS.read_text(), re.M))
    assert SOCKETS.stem == UNIT.stem
    assert told["Accept"] == "no"
    parse(told["ListenStream"])


def test_the_page_has_the_exposure_that_systemd_sees() -> None:
    """Versions of systemd rate a little differently."""
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    level = re.search(r"exposure level for emperord.service: (\d+\.\d)", told)
    assert level is not None
    named = re.search(r"exposure of the unit at \*\*(.+?)\*\*", PAGE.read_text())
    assert named is not None
    assert abs(float(named[1]) - float(level[1])) < 0.5


def test_the_page_names_each_limit_that_is_not_set() -> None:
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    missing = set(re.findall(r"^✗ (\w+)=", told, re.M)) - {
        # Set, but not to the utmost; or of the whole machine's set-up.
        "CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter", "Delegate",
        "NotifyAccess", "ProtectSystem",
    }  # fmt: skip
    assert {name for name in missing if f"`{name}=`" not in PAGE.read_text()} == set()


def test_sysusers_and_tmpfiles_make_what_the_unit_names(tmp_path: Path) -> None:
    """Below another root. The user's number is the tool's choice."""
    need_root("make users and directories of root's")
    for kind in ("sysusers.d", "tmpfiles.d"):
        (tmp_path / "usr/lib" / kind).mkdir(parents=True)
        shutil.copy(SHARE / kind / "emperord.conf", tmp_path / "usr/lib" / kind)
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}")
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", "emperord.conf")
    (account,) = (tmp_path / "etc/passwd").read_text().splitlines()
    name, _, uid, gid, _, home, shell = account.split(":")
    assert (name, uid, home, shell) == ("emperord", gid, "/nonexistent", "/usr/sbin/nologin")
    unit = dict(SETTINGS)
    for path, mode in {
        f"var/lib/{unit['StateDirectory']}": unit["StateDirectoryMode"],
        f"var/log/{unit['LogsDirectory']}": unit["LogsDirectoryMode"],
        f"run/{unit['RuntimeDirectory']}": unit["RuntimeDirectoryMode"],
        f"etc/{unit['ConfigurationDirectory']}/vassals": "0755",
    }.items():
        assert (tmp_path / path).stat().st_mode & 0o7777 == int(mode, 8), path


def bounded() -> tuple[str, ...]:
    """A command before another one, which then has the capabilities of the unit."""
    dropped = [
        name.removeprefix("CAP_").lower()
        for key, value in SETTINGS
        if key == "CapabilityBoundingSet"
        for name in value.removeprefix("~").split()
    ]
    assert len(dropped) > 20
    return ("setpriv", "--bounding-set", ",".join(f"-{name}" for name in dropped))


@pytest.fixture
def tyrant() -> Iterator[TyrantDaemon]:
    """A daemon in tyrant mode with the unit's capabilities and no others."""
    with common_ground() as folder, TyrantDaemon(folder, "--tyrant", before=bounded()) as daemon:
        yield daemon


def test_the_capabilities_of_the_unit_suffice_for_tyrant_mode(tyrant: TyrantDaemon) -> None:
    tyrant.put("a.ini")
    tyrant.start()
    vassal = tyrant.executed("a.ini")
    bounding = int(status_of(vassal)["CapBnd"][0], 16)
    assert not bounding >> 17 & 1  # CAP_SYS_RAWIO
    assert bounding >> 7 & 1  # CAP_SETUID
    assert status_of(vassal)["Uid"] == [str(ALICE)] * 4
    tyrant.stop()
