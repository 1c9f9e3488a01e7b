"""A vassal that notifies (sd_notify(3)) as a test tells it to."""

import sys
from pathlib import Path

from .daemon import Daemon
from .vassals import program

# Sends each line that is appended to the file in argv[1]; "\\n" in it is a line end.
NOTIFIER = r"""
import os, signal, socket, sys, time
signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[1] + ".reloaded", "w").close())
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.connect(os.environ["NOTIFY_SOCKET"])
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
sent = 0
while True:
    lines = open(sys.argv[1]).read().split("\n")[:-1]
    for line in lines[sent:]:
        end.send(line.replace("\\n", "\n").encode())
    sent = len(lines)
    open(sys.argv[1] + ".sent", "w").write(str(sent))
    time.sleep(0.02)
"""


class Notifier:
    """A vassal that sends messages as a test tells it to."""

    def __init__(self, daemon: Daemon, name: str = "a") -> None:
        self._until = daemon.until
        self.config = daemon.vassals / f"{name}.ini"
        self._script = daemon.folder / "notifier.py"
        self._said = daemon.folder / f"{name}.said"
        self._said.touch()

    def put(self, *, below_shell: bool = False, **settings: str) -> None:
        """Write its config. ``below_shell``: a shell leads it and waits for it."""
        self._script.write_text(NOTIFIER)
        words: tuple[str, ...] = (sys.executable, "-IS", str(self._script), str(self._said))
        if below_shell:
            words = ("sh", "-c", '"$0" "$@"; true', *words)
        self.config.write_text(program(*words, ready="notify", **settings))

    def pid(self) -> int:
        """Its own pid, not that of the vassal's leader."""
        return int(Path(f"{self._said}.pid").read_text())

    def until_reloaded(self) -> None:
        """Wait until it has got its reload signal."""
        self._until(self.is_reloaded, "it is to reload")

    def is_reloaded(self) -> bool:
        """Whether it has got its reload signal."""
        return Path(f"{self._said}.reloaded").exists()

    def say(self, *assignments: str) -> None:
        with self._said.open("a") as file:
            file.write("\\n".join(assignments) + "\n")
        count, sent = len(self._said.read_text().splitlines()), Path(f"{self._said}.sent")
        self._until(lambda: sent.exists() and sent.read_text() == str(count), "it is sent")
