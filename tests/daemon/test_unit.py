"""The systemd unit that is shipped: what it gives, and a daemon with that, as a user of its own."""

import configparser
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kept import Emperor
from support.root import need_root
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground, status_of
from support.vassals import SLEEPER

UNIT = Path(__file__).resolve().parents[2] / "share" / "systemd" / "emperord.service"
KINDS = {
    "StateDirectory": "STATE",
    "LogsDirectory": "LOGS",
    "ConfigurationDirectory": "CONFIGURATION",
}
# Wherever the tests' own Python is, that user may read it; it may write in its directories only.
USER = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # fmt: skip


class UnitDaemon(TyrantDaemon):
    """A daemon that is told of its places by systemd alone."""

    @property
    def argv(self) -> list[str]:
        return [*self.before, *self.command("daemon.main"), *self.options, *map(str, self.monitors)]

    def command(self, module: str) -> list[str]:
        return [sys.executable, "-P", "-W", "error", "-m", f"emperord.{module}"]

    def ask(self, module: str, *words: str) -> str:
        asked = subprocess.run(
            [*self.before, *self.command(module), *words],
            env=self.environ,
            cwd="/",
            check=False,
            capture_output=True,
            text=True,
        )
        assert asked.returncode == 0, asked.stderr
        return asked.stdout


@pytest.fixture
def unit() -> Iterator[UnitDaemon]:
    """A daemon with ``User=`` and the directories of the unit, below another root."""
    parser = configparser.ConfigParser(strict=False)
    parser.read(UNIT)
    service = parser["Service"]
    with common_ground() as root:
        environ = {"HOME": "/nonexistent"}
        for key, variable in KINDS.items():
            directory = root / variable.lower() / service[key.lower()]
            directory.mkdir(parents=True, mode=0o755)
            if key != "ConfigurationDirectory":
                os.chown(directory, ALICE, ALICES)
                directory.chmod(int(service[f"{key}Mode"], 8))
            environ[f"{variable}_DIRECTORY"] = str(directory)
        with UnitDaemon(root, before=USER, environ=environ) as daemon:
            daemon.environ.pop("XDG_STATE_HOME", None)
            daemon.journal = root / "state" / service["StateDirectory"] / "journal.db"
            yield daemon


def test_systemd_never_gives_up() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    assert parser["Unit"]["StartLimitIntervalSec"] == "0"
    assert parser["Service"]["Restart"] == "always"


def test_systemd_hears_the_main_process_and_no_vassal(emperor: Emperor) -> None:
    """The daemon speaks for the keeper. The kernel tells the sender (SCM_CREDENTIALS)."""
    need_root("speak for another process")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.bind(str(emperor.folder / "notify"))
        systemd.settimeout(30)
        emperor.environ["NOTIFY_SOCKET"] = str(emperor.folder / "notify")
        emperor.start()
        while True:
            said, more, _, _ = systemd.recvmsg(4096, socket.CMSG_SPACE(12))
            if b"READY=1" in said:
                break
        ((_, _, sender),) = more
    assert struct.unpack("iii", sender) == (emperor.pid, 0, 0)
    assert emperor.pid != emperor.daemon_pid()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    assert (parser["Service"]["Type"], parser["Service"]["NotifyAccess"]) == ("notify", "main")
    emperor.stop()


def test_a_user_of_its_own_needs_no_other_place(unit: UnitDaemon) -> None:
    config = Path(unit.environ["CONFIGURATION_DIRECTORY"]) / "emperor.yml"
    config.write_text(f"emperor: {unit.vassals}\nfreq: 200ms\n")
    unit.monitors = []
    (unit.vassals / "a.ini").write_text(SLEEPER)
    unit.start()
    unit.phase("a.ini", "ready")
    assert status_of(unit.pid)["Uid"] == [str(ALICE)] * 4
    log = Path(unit.environ["LOGS_DIRECTORY"]) / "journal.db.logs" / "a.ini.log"
    assert log.stat().st_uid == ALICE
    assert json.loads(unit.ask("daemon.ctl", "status", "--json"))["journal"] == str(unit.journal)
    state = json.loads(unit.ask("replay.main", "state", "--json"))
    assert [vassal["name"] for vassal in state["vassals"]] == ["a.ini"]
    unit.stop()
