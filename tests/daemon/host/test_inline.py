"""Vassals without a file: the config goes through a socket, one frame for each request."""

import os
from functools import partial
from pathlib import Path

import pytest
import trio
from emperord.monitors.contract import Destroyed, Touched
from support.steered import Source, inline, steered
from support.vassals import Answer, Application, notes, speaker_path
from support.waiting import breathe


@pytest.fixture
def speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
    return speaker_path(tmp_path)


def has_loaded(folder: Path, times: int) -> bool:
    return len(notes(folder, "a.ini", "loaded")) == times


async def test_each_reload_loads_the_newest(tmp_path: Path, speaker: str) -> None:
    """uWSGI's Emperor loads the one before, from the second reload on."""
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        for number in range(5):
            await source.lists(a=inline(f"; {number}\nsay 1 5 17\n", number))
            await daemon.until(partial(has_loaded, tmp_path, number + 1), "it has loaded another")
            await daemon.phase("a.ini", "accepting")
        assert notes(tmp_path, "a.ini", "loaded") == [f"; {number}" for number in range(5)]
        assert notes(tmp_path, "a.ini", "heard") == ["1"] * 4
        assert daemon.kinds("a.ini").count("spawned") == 1


async def test_one_frame_at_the_start_and_one_for_each_request(
    tmp_path: Path, speaker: str
) -> None:
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        # One more frame than it asked for would be taken for the answer to the next request.
        await source.lists(a=inline("; old\nsay 1 5\nsay 2 2 2\ntake 3\nsay 17\n", 1))
        await daemon.until(lambda: "vassal_loyal" in daemon.kinds("a.ini"), "it has taken three")
        assert notes(tmp_path, "a.ini", "loaded") == ["; old"] * 4
        await source.lists(a=inline("; new\nsay 5\n", 2))
        await daemon.until(lambda: len(notes(tmp_path, "a.ini", "loaded")) == 5, "it reloads")
        assert notes(tmp_path, "a.ini", "loaded")[-1] == "; new"


async def test_frames_that_do_not_fit_the_socket_arrive_whole(tmp_path: Path, speaker: str) -> None:
    """It asks for many and reads none of them for a while."""
    source = Source()
    orders = f"; long\nsay 1 5\nsay {'2 ' * 40}\nawait {tmp_path}/go\ntake 40\nsay 17\n"
    text = orders + "#" * (65535 - len(orders))
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(text, 1), b=inline("say 1 5 17\n", 1))
        await daemon.phase("a.ini", "accepting")
        await daemon.phase("b.ini", "accepting")  # the loop goes on meanwhile
        (tmp_path / "go").touch()
        await daemon.until(lambda: "vassal_loyal" in daemon.kinds("a.ini"), "it has taken all")
        assert notes(tmp_path, "a.ini", "loaded") == ["; long"] * 41


async def test_a_config_that_does_not_fit_is_rejected(tmp_path: Path, speaker: str) -> None:
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline("#" * 65536, 1), b=inline("; b\nsay 1 5\n", 1))
        await daemon.phase("b.ini", "accepting")
        assert daemon.vassal("a.ini") is None
        assert daemon.kinds("a.ini") == ["observation_rejected"]
        await source.lists(a=inline("; a\nsay 1 5\n", 2), b=inline("; b\nsay 1 5\n", 1))
        await daemon.phase("a.ini", "accepting")


async def test_announced_ones_come_and_go_one_by_one(tmp_path: Path, speaker: str) -> None:
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.says(Touched("a.ini", inline("; 1\nsay 1 5\n", 1)))
        await source.says(Touched("b.ini", inline("; 1\nsay 1 5\n", 1)))
        await daemon.phase("a.ini", "accepting")
        await daemon.phase("b.ini", "accepting")
        await source.says(Destroyed("a.ini"))
        await daemon.until(lambda: daemon.vassal("a.ini") is None, "it is gone")
        assert daemon.vassal("b.ini") is not None


async def test_a_dead_one_is_started_again(tmp_path: Path, speaker: str) -> None:
    """Its source says nothing more: the text comes from the journal."""
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.says(Touched("a.ini", inline("; text\nsay 1 5 17\n", 1)))
        await daemon.until(lambda: "vassal_loyal" in daemon.kinds("a.ini"), "it is loyal")
        vassal = daemon.vassal("a.ini")
        assert vassal is not None
        assert vassal.pid is not None
        os.kill(vassal.pid, 9)
        await daemon.until(lambda: daemon.kinds("a.ini").count("vassal_loyal") == 2, "again")
        assert notes(tmp_path, "a.ini", "loaded") == ["; text"] * 2


async def answering(app: Application, says: str) -> Answer:
    """Ask in a thread: the daemon runs in this one, and a reload waits for it."""
    while True:
        answer = await trio.to_thread.run_sync(app.answers)
        if answer is not None and answer.says == says:
            return answer
        await trio.to_thread.run_sync(breathe)


@pytest.mark.parametrize("name", ["app.ini", "a:b.ini", "$(touch x) %n.ini", "../x.ini"])
async def test_real_uwsgi_loads_the_newest_each_time(tmp_path: Path, name: str) -> None:
    source = Source()
    app = Application(tmp_path)
    masters = set()
    async with steered(tmp_path, source) as daemon:
        for number in range(4):
            says = f"number {number}"
            await source.says(Touched(name, inline(app.config(says), number)))

            masters.add((await answering(app, says)).master)
            await daemon.phase(name, "accepting")
        assert len(masters) == 1
        assert daemon.kinds(name).count("spawned") == 1


async def test_real_uwsgi_with_a_long_config(tmp_path: Path) -> None:
    source = Source()
    app = Application(tmp_path)
    text = app.config("long")
    text += ";" * (65535 - len(text))
    async with steered(tmp_path, source):
        await source.says(Touched("a.ini", inline(text, 1)))
        await answering(app, "long")


# Monitors that fail


async def test_a_monitor_that_raises_is_run_again(tmp_path: Path, speaker: str) -> None:
    source, other = Source(), Source("test://other")
    source.failures = [ValueError("nonsense")]
    async with steered(tmp_path, source, other, uwsgi=speaker) as daemon:
        await daemon.until(lambda: source.url in daemon.fleet.outages, "its failure is known")
        assert daemon.fleet.outages[source.url].reason == "ValueError: nonsense"
        await other.lists(b=inline("say 1 5\n", 1))  # the other source is not held up
        await daemon.phase("b.ini", "accepting")
        await source.lists(a=inline("say 1 5\n", 1))
        await daemon.phase("a.ini", "accepting")
        assert source.runs == 2
        assert daemon.kinds().count("monitor_failed") == 1
        assert daemon.kinds().count("monitor_recovered") == 1


async def test_a_silent_source_holds_up_the_start_for_a_moment_only(
    tmp_path: Path, speaker: str
) -> None:
    source, silent = Source(), Source("test://silent")
    async with steered(tmp_path, source, silent, uwsgi=speaker) as daemon:
        await source.lists(a=inline("say 1 5\n", 1))
        assert not daemon.fleet.open  # the other may still say something
        await daemon.phase("a.ini", "accepting")
