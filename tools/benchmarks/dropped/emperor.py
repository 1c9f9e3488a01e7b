"""A whole emperor, keeper included, with one server in each variant, and what happens to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .servers import APP, MISSING, VARIANTS, Config

PATIENCE = 90.0
Sockets = Sequence[socket.socket]
# Passes descriptors as systemd does: 3 and on, with the pid of the process in the environment.
PASSES = """
import os, sys
given = [os.dup2(int(each), 900 + at) for at, each in enumerate(sys.argv[1].split(","))]
for at, each in enumerate(given): os.dup2(each, 3 + at)
os.closerange(3 + len(given), 1000)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), LISTEN_FDNAMES="")
os.execv(sys.argv[2], sys.argv[2:])
"""
TRIES = 0.05


class Emperor:
    """``emperor`` on ``folder/vassals``, and a vassal for each port."""

    def __init__(
        self, folder: Path, config: Config, ports: dict[str, int], sockets: Sockets = ()
    ) -> None:
        self._folder, self._config = folder, config
        self._sockets = sockets  # that a service manager passes to it
        self._ports = ports  # by the variant
        self.names = {variant: f"v{VARIANTS.index(variant)}.ini" for variant in ports}
        self._vassals = folder / "vassals"
        self._journal = folder / "journal.db"
        self._vassals.mkdir()
        (folder / "app.py").write_text(APP)
        self.deploy("app")
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "emperord", "--journal", str(self._journal)]
        options = ["--throttle", "500ms", "--as-root", "--required-heartbeat", "600"]
        passed = [each.fileno() for each in self._sockets]
        if passed:
            command = [sys.executable, "-c", PASSES, ",".join(map(str, passed)), *command]
        with (self._folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [*command, *options, str(self._vassals)], stdout=log, stderr=log, pass_fds=passed
            )

    def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.terminate()
            self._keeper.wait(PATIENCE)

    def deploy(self, module: str) -> None:
        """Write each vassal's config; a module that is not there is a deploy that fails."""
        for variant, port in self._ports.items():
            text = self._config(self._folder, port, variant, module)
            (self._vassals / self.names[variant]).write_text(text)

    @property
    def _kept(self) -> list[str]:
        """Those that have ``listen``."""
        return [name for variant, name in self.names.items() if variant != VARIANTS[0]]

    def ctl(self, *words: str) -> str:
        command = [sys.executable, "-m", "emperord", "ctl", "--control", f"{self._journal}.sock"]
        done = subprocess.run(
            [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        return done.stdout if done.returncode in (0, 3) else ""

    def vassals(self) -> dict[str, dict[str, Any]]:
        """The fleet; empty where no daemon answers."""
        text = self.ctl("list", "--json")
        return {each["name"]: each for each in json.loads(text)["vassals"]} if text else {}

    def settled(self, is_it: Callable[[dict[str, dict[str, Any]]], bool]) -> None:
        """Wait until the fleet is up, nothing is due, and a condition holds."""
        end = time.monotonic() + PATIENCE
        while True:
            fleet = self.vassals()
            up = [v for v in fleet.values() if v["phase"] in ("ready", "accepting") and not v["due"]
                  and v["config"] == v["running"] and not v.get("candidate")]  # fmt: skip
            if len(up) == len(self._ports) and is_it(fleet):
                return
            if time.monotonic() > end:
                raise SystemExit(f"it did not come up: {fleet}\n{self.log()}")
            time.sleep(TRIES)

    def log(self) -> str:
        logs = sorted(self._folder.glob("journal.db.logs/*.log"))
        texts = [
            f"{path.name}:\n{path.read_text()[-1500:]}" for path in (self._folder / "log", *logs)
        ]
        return "\n".join(texts)

    # Events

    def daemon_pid(self) -> int:
        return int(Path(f"{self._journal}.lock").read_text())

    def touch(self) -> None:
        for name in self.names.values():
            os.utime(self._vassals / name)

    def stop_and_start(self) -> None:
        self.ctl("stop", *self.names.values())
        self.ctl("start", *self.names.values())

    def keep_listening(self) -> None:
        """Stop those that have an address with it open, the others without."""
        self.ctl("stop", "--keep-listening", *self._kept)
        self.ctl("stop", self.names[VARIANTS[0]])
        self.ctl("start", *self.names.values())

    def stop_and_start_all(self) -> None:
        """As ``systemctl restart`` does with the unit."""
        self.stop()
        self.start()

    def restart(self) -> None:
        self.ctl("restart", *self.names.values())

    def kill_vassals(self) -> None:
        for vassal in self.vassals().values():
            os.kill(vassal["pid"], signal.SIGKILL)

    def kill_daemon(self) -> None:
        os.kill(self.daemon_pid(), signal.SIGKILL)

    def kill_keeper(self) -> None:
        """Kill it, and start the next one as systemd does."""
        assert self._keeper is not None
        self._keeper.kill()
        self._keeper.wait()
        self.start()

    def kill_both(self) -> None:
        assert self._keeper is not None
        daemon = self.daemon_pid()
        self._keeper.kill()
        os.kill(daemon, signal.SIGKILL)
        self._keeper.wait()
        self.start()

    def upgrade(self) -> None:
        self.ctl("upgrade")

    def failed_deploy(self) -> None:
        """A module that is not there; three seconds later the right one again."""
        self.deploy(MISSING)
        time.sleep(3)
        self.deploy("app")


EVENTS: dict[str, tuple[str, Callable[[Emperor], None]]] = {
    "touch": ("touch", Emperor.touch),
    "restart": ("restart", Emperor.restart),
    "stop-start": ("stop and start", Emperor.stop_and_start),
    "keep-listening": ("stop --keep-listening, start", Emperor.keep_listening),
    "service": ("restart of the emperor", Emperor.stop_and_start_all),
    "kill-vassal": ("kill -9 of the vassal", Emperor.kill_vassals),
    "kill-daemon": ("kill -9 of the daemon", Emperor.kill_daemon),
    "kill-keeper": ("kill -9 of the keeper", Emperor.kill_keeper),
    "kill-both": ("kill -9 of daemon and keeper", Emperor.kill_both),
    "upgrade": ("upgrade", Emperor.upgrade),
    "failed-deploy": ("failed deploy", Emperor.failed_deploy),
}
