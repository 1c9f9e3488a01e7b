"""Logs are looked at when one of them may have changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.host import log_watch
from emperord.daemon.host.directory_changes import DirectoryChanges
from emperord.daemon.host.log_watch import LogWatch
from emperord.daemon.host.news import Outbox
from emperord.daemon.host.process_table import ProcessTable
from emperord.daemon.host.vassal_log import LogDirectory
from emperord.daemon.host.vassal_tasks import VassalTasks

MANY = 25  # looks


class Counted(LogDirectory):
    """Counts the looks. ``after`` is called when there were many."""

    def __init__(self, path: str, limit: int, after: Callable[[], object] = lambda: None) -> None:
        super().__init__(path, limit)
        self.looks = 0
        self._after = after

    def look_for_others(self) -> bool:
        self.looks += 1
        if self.looks == MANY:
            trio.from_thread.run_sync(self._after)
        return super().look_for_others()


def watch_of(logs: LogDirectory) -> LogWatch:
    return LogWatch(logs, ProcessTable(), VassalTasks(Outbox()))


async def test_logs_that_nothing_writes_to_are_seldom_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_watch, "_INTERVAL", 0.001)
    logs = Counted(str(tmp_path / "logs"), 1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_of(logs).run)
        while not logs.looks:
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(0.5):
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    logs.close()
    assert logs.looks < MANY  # without a watch they are hundreds


async def test_a_daemon_that_leaves_looks_without_a_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_watch, "_INTERVAL", 0.001)
    before = len(os.listdir("/proc/self/fd"))
    async with trio.open_nursery() as nursery:
        logs = Counted(str(tmp_path / "logs"), 1000, after=nursery.cancel_scope.cancel)
        watch = watch_of(logs)
        nursery.start_soon(watch.run)
        while not logs.looks:
            await trio.lowlevel.checkpoint()
        watch.leave()
    logs.close()
    assert logs.looks >= MANY
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_watch_that_met_an_error_can_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    monkeypatch.setattr(log_watch, "_INTERVAL", 0.001)

    def fail() -> None:
        raise ValueError("nonsense")

    logs = Counted(str(tmp_path / "logs"), 1000, after=fail)
    watch = watch_of(logs)
    if leaves:
        watch.leave()
    for _ in range(2):
        logs.looks = MANY - 1
        with pytest.raises(ValueError, match="nonsense"):
            await watch.run()
    logs.close()


async def test_logs_are_looked_at_all_the_time_where_nothing_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_watch, "_INTERVAL", 0.001)
    other = LogDirectory(str(tmp_path / "logs"), 1000)
    other.look_for_others()  # it has the lock, and no event says that it gives it back

    async with trio.open_nursery() as nursery:
        logs = Counted(str(tmp_path / "logs"), 1000, after=nursery.cancel_scope.cancel)
        nursery.start_soon(watch_of(logs).run)
    other.close()
    assert logs.looks >= MANY


def _append(folder: Path) -> None:
    with (folder / "a.log").open("a") as log:
        log.write("more")


def _rename(folder: Path) -> None:
    (folder / "a.log").rename(folder.parent / "a.log")


def _make(folder: Path) -> None:
    (folder / "b.log").touch()


def _chmod(folder: Path) -> None:
    (folder / "a.log").chmod(0o600)


@pytest.mark.parametrize("change", [_append, _rename, _make, _chmod])
async def test_a_change_of_a_file_is_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = tmp_path / "logs"
    os.mkdir(folder)
    (folder / "a.log").touch()
    changes = DirectoryChanges(str(folder))
    for _ in range(2):
        assert changes.arm()
        with trio.move_on_after(0.05) as quiet:
            await changes.wait()
        assert quiet.cancelled_caught
    change(folder)
    await changes.wait()
    assert changes.arm()
    await changes.close()


async def test_what_cannot_be_watched_counts_as_changed(tmp_path: Path) -> None:
    changes = DirectoryChanges(str(tmp_path / "none"))
    assert not changes.arm()
    await changes.close()


@pytest.mark.parametrize("armed", [True, False])
async def test_a_thread_that_comes_back_after_the_end_opens_nothing(
    tmp_path: Path, armed: bool
) -> None:
    before = os.listdir("/proc/self/fd")
    changes = DirectoryChanges(str(tmp_path))
    if armed:
        assert changes.arm()
    await changes.close()
    assert not changes.arm()
    assert len(os.listdir("/proc/self/fd")) == len(before)
