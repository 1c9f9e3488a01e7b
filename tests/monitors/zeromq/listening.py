"""A monitor of zmq:// that listens, for as long as a test needs it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import zmq
import zmq.auth
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Observation,
    Seen,
    Touched,
)
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

from ..watching import OFTEN, Watching

BUSY = MonitorOptions(freq=OFTEN)


class Keys:
    """A server's key and a client's, in files as pyzmq makes them."""

    def __init__(self, folder: Path) -> None:
        _, self.file = zmq.auth.create_certificates(folder, "server")
        os.chmod(self.file, 0o600)
        self.server, secret = zmq.auth.load_certificate(self.file)
        assert secret is not None
        self.secret = secret
        public, own = zmq.curve_keypair()
        self.client = (self.server, public, own)

    def write(self, content: bytes) -> None:
        """Put something else into the server's file."""
        Path(self.file).write_bytes(content)


@asynccontextmanager
async def listening(
    endpoint: str, options: MonitorOptions = BUSY, known: Mapping[str, Spec] = {}
) -> AsyncIterator[Watching]:
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", options).run, watch.tell, known)
        await watch.until(lambda: watch.told)
        yield watch
        nursery.cancel_scope.cancel()


async def told(watch: Watching, count: int) -> list[Observation]:
    """So many observations after the first, which said that it listens."""
    await watch.until(lambda: len(watch.told) > count)
    assert len(watch.told) == count + 1
    return watch.told[1:]


def touched(observation: Observation) -> Seen:
    assert isinstance(observation, Touched)
    return observation.seen
