"""supervisord and circus, which restart a program by a command."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .marks import STARTED
from .supervisors import PATIENCE, NotPossibleError, Supervisor


class _Restarting(Supervisor):
    """No reload of its own: a restart by its command is what comes nearest."""

    told = STARTED

    def program(self, word: str) -> str:
        return str(self.place.prefix / "venv/bin" / word)

    def run(self, *words: str) -> None:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.folder, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise NotPossibleError(f"{Path(words[0]).name}: {done.stdout.strip()[-200:]}")

    def again(self) -> tuple[float, str]:
        """It leaves its programs behind, and starts each of them a second time."""
        before = self.place.marks.pids()
        began = self.kill_main()
        time.sleep(0.5)
        left = sum(os.path.exists(f"/proc/{pid}") for pid in before)
        self.start()
        try:
            took = self.all_started(began)
        finally:
            for pid in before:
                if os.path.exists(f"/proc/{pid}"):
                    os.kill(pid, 9)
        return took - 0.5, f"{left} vassals go on, and each is started a second time"


class Supervisord(_Restarting):
    """By XML over a Unix socket; a group of its own for each program."""

    name = "supervisord"

    def command(self) -> list[str]:
        return [self.program("supervisord"), "-n", "-c", str(self.folder / "conf")]

    def write(self) -> None:
        head = (
            f"[supervisord]\nlogfile = {self.folder}/supervisord.log\nloglevel = warn\n"
            f"pidfile = {self.folder}/pid\n"
            f"[unix_http_server]\nfile = {self.folder}/socket\n"
            f"[supervisorctl]\nserverurl = unix://{self.folder}/socket\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory ="
            " supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        programs = (
            f"[program:v{index}]\ncommand = {self.place.vassal} v{index}\nstartsecs = 0\n"
            "redirect_stderr = true\nstdout_logfile = NONE\n"
            for index in range(self.count)
        )
        (self.folder / "conf").write_text(head + "".join(programs))

    def tell(self, those: Sequence[int]) -> None:
        words = [self.program("supervisorctl"), "-c", str(self.folder / "conf"), "restart"]
        self.run(*words, *(f"v{index}" for index in those))


class Circus(_Restarting):
    """By ZeroMQ; a watcher of one process for each program."""

    name = "circus"

    def command(self) -> list[str]:
        return [self.program("circusd"), "--log-level", "warning", str(self.folder / "conf")]

    def write(self) -> None:
        head = (
            f"[circus]\nendpoint = ipc://{self.folder}/control\n"
            f"pubsub_endpoint = ipc://{self.folder}/events\n"
        )
        programs = (
            f"[watcher:{self._name(index)}]\ncmd = {self.place.vassal} v{index}\nnumprocesses = 1\n"
            "copy_env = true\n"
            for index in range(self.count)
        )
        (self.folder / "conf").write_text(head + "".join(programs))

    def _name(self, index: int) -> str:
        """The first half has names that one pattern takes."""
        return f"{'a' if index < self.count // 2 else 'b'}{index}"

    def tell(self, those: Sequence[int]) -> None:
        words = [self.program("circusctl"), "--timeout", str(int(PATIENCE)), "--endpoint"]
        words += [f"ipc://{self.folder}/control", "restart"]
        if len(those) > 1:
            self.run(*words, "a*", "--match", "glob")
        else:
            self.run(*words, self._name(those[0]))
