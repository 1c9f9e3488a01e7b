"""Real servers for tests, by ``tools/services``: private, on free ports, gone afterwards."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import trio

TOOL = Path(__file__).resolve().parents[2] / "tools" / "services"
Order = Literal["start", "stop", "kill", "freeze", "thaw"]


class Service:
    """A running server; ``where`` is what a client needs to know."""

    def __init__(self, name: str, where: dict[str, Any], orders: IO[str], answers: IO[str]) -> None:
        self.name = name
        self.where = where
        self._orders = orders
        self._answers = answers
        self.is_down = False

    def __call__(self, order: Order) -> None:
        """Have something done to the server; returns when it is done."""
        self._orders.write(f"{order} {self.name}\n")
        self._orders.flush()
        answer = self._answers.readline().strip()
        assert answer == "done", f"{order} {self.name}: {answer}"
        if order in ("start", "stop", "kill"):
            self.is_down = order != "start"


async def order(server: Service, *orders: Any) -> None:
    """Have these things done to a server, one after the other."""
    for each in orders:
        await trio.to_thread.run_sync(server, each)


@contextmanager
def service(name: str) -> Iterator[Service]:
    """A server of that name. A server that cannot be had fails the test, it skips nothing."""
    with subprocess.Popen(
        [sys.executable, TOOL, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tool:
        assert tool.stdin is not None
        assert tool.stdout is not None
        try:
            line = tool.stdout.readline()
            assert line, f"tools/services {name} did not start it; it said why on stderr"
            yield Service(name, json.loads(line)[name], tool.stdin, tool.stdout)
        finally:
            tool.stdin.close()
            tool.wait(60)
