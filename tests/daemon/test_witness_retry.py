"""A witness that failed gets its line within 30 s, whichever events came since."""

from pathlib import Path

import pytest
import trio
from emperord.daemon.witness import writer as writer_module
from emperord.daemon.witness.writer import Interval, Writer
from emperord.journal.store import Journal
from emperord.journal.witness import Line

SOON = 0.05  # seconds, in place of 30
LONG = 20.0  # seconds, after which it is not tried again


class FailsOnce:
    """A target that takes no line at first."""

    reads_back = False

    def __init__(self, taken: trio.Event) -> None:
        self._taken = taken
        self._failed = False

    def write(self, line: bytes) -> None:
        if not self._failed:
            self._failed = True
            raise OSError("not yet")
        trio.from_thread.run_sync(self._taken.set)

    def last(self) -> Line | None:
        return None

    def abandon(self) -> None:
        pass


@pytest.mark.parametrize(
    "interval",
    [
        pytest.param(Interval(events=1_000), id="events"),
        pytest.param(Interval(seconds=600.0), id="seconds"),
    ],
)
def test_after_a_failure_the_line_is_due(
    tmp_path: Path, interval: Interval, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_RETRY", SOON)

    async def run(journal: Journal) -> None:
        taken = trio.Event()
        writer = Writer("w", FailsOnce(taken), interval, "0")
        writer.follow(journal, adopted=False)
        journal.append([(1, 1, "daemon_ready", None, None, None, "{}", "[]")])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            with trio.fail_after(LONG):
                await taken.wait()
            nursery.cancel_scope.cancel()

    with Journal.open(str(tmp_path / "journal.db")) as journal:
        trio.run(run, journal)
