"""Tasks beside the fleet: what an error of one does, and a working directory that was removed."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.loop import beside
from support.vassals import SLEEPER

from ..conftest import MakeEmperor


class Failing:
    """A task that fails so many times, and then runs."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.runs = 0
        self.works = trio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.times:
            async with trio.open_nursery() as nursery:  # its error comes in a group
                nursery.start_soon(self._fail)
        self.works.set()
        await trio.sleep_forever()

    async def _fail(self) -> None:
        raise ValueError("pg://a:secret@b/\nc")


def test_a_task_that_fails_is_run_again_and_ends_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = 12
    trio.run(_fail_often, times, clock=trio.testing.MockClock(autojump_threshold=0))
    assert caplog.text.count("--stats x: error, so it is run again: ValueError") == times
    assert "secret" not in caplog.text


async def _fail_often(times: int) -> None:
    failing, other, troubles = Failing(times), Failing(0), beside.Troubles()
    async with trio.open_nursery() as nursery:
        for name, task in (("--stats x", failing), ("--keep", other)):
            nursery.start_soon(beside.run, name, task.run, troubles, lambda: 7)
        await trio.testing.wait_all_tasks_blocked()
        assert troubles == {"--stats x": (7, r"ValueError: pg://a:***@b/\nc")}
        began = trio.current_time()
        await failing.works.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() - began > 6 * 60  # with pauses that grow to a minute
        assert (troubles, other.runs) == ({}, 1)
        nursery.cancel_scope.cancel()


def test_a_task_that_had_run_for_long_is_run_again_soon() -> None:
    lives, began = [0.0, 0, 0, 3600, 0], list[float]()

    async def task() -> None:
        began.append(trio.current_time())
        if lives:
            await trio.sleep(lives.pop(0))
            raise ValueError

    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(beside.run, "--stats x", task, beside.Troubles(), lambda: 7, clock=clock)
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses == [1, 2, 4, 3601, 2]


@pytest.mark.parametrize("when", ["before the start", "later"])
def test_a_working_directory_that_was_removed_ends_nothing(
    when: str, make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    gone, early = tmp_path / "gone", when == "before the start"
    gone.mkdir()
    script = 'cd "$0"; ' + ('rmdir "$0"; ' if early else "") + 'exec "$@"'
    pid_file, stats = tmp_path / "x.pid", tmp_path / "stats.sock"
    emperor = make_emperor(
        *("--pidfile", str(pid_file), "--stats", str(stats), "--keep", "9d"),
        *("--log-file", str(tmp_path / "own.log"), "--start-hook", "true"),
        before=["/bin/sh", "-c", script, str(gone)],
    )
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    if not early:
        gone.rmdir()
    emperor.restart()
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.up("b.ini")
    assert pid_file.read_text() == f"{emperor.pid}\n"
    assert json.loads(emperor.ctl("status", "--json").stdout)["attention"] == []
    emperor.stop()
    assert not pid_file.exists()


def test_a_relative_path_in_a_removed_directory_is_named(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    script = 'cd "$0"; rmdir "$0"; exec "$@"'
    (tmp_path / "gone").mkdir()
    emperor = make_emperor(
        "--log-file", "own.log", before=["/bin/sh", "-c", script, str(tmp_path / "gone")]
    )
    emperor.launch()
    assert emperor.wait() == 3
    assert "the working directory was removed; give absolute paths" in emperor.log()


def test_a_service_that_does_not_work_is_told(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    none = tmp_path / "none"
    emperor = make_emperor("--pidfile", f"{none}/x", "--stats", f"{none}/y", keeper=False).start()

    def told() -> list[str]:
        status = json.loads(emperor.ctl("status", "--json").stdout)
        return [each["reason"] for each in status["attention"] if each["what"] == "no service"]

    missing = "No such file or directory"
    expected = [
        f"--pidfile {none}/x: not written: {missing}",
        f"--stats {none}/y: it cannot listen: {missing}; tried again",
    ]
    emperor.until(lambda: told() == expected, "status says it")
    none.mkdir()
    emperor.until(lambda: told() == expected[:1], "it listens")
    emperor.stop()
