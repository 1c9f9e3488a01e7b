"""amqp:// messages that name a config file: the monitor watches the file from then on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Vanished,
)
from support.rabbitmq import Publisher

from ..watching import watching
from .messages import BUSY, monitor, recovered, touched

# Files


async def test_a_file_by_its_path(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.shows(str(path), "one")
        spec = watch.seen[str(path)].spec
        assert (spec.path, spec.cwd) == (str(path), None)
        path.write_text("two")
        publisher.publish("", str(path))
        await watch.shows(str(path), "two")
        # Without a further message, and long before the next rescan.
        path.unlink()
        await watch.until(lambda: str(path) not in watch.seen)
        assert watch.told[-1] == Vanished(str(path), "the file is gone")
        publisher.publish("", str(path))
        await watch.until(lambda: watch.refused.get(str(path)) == "there is no such file")


async def test_an_edit_without_a_message_says_nothing(publisher: Publisher, tmp_path: Path) -> None:
    path, other = tmp_path / "a.ini", tmp_path / "b.ini"
    path.write_text("one")
    other.write_text("one")
    async with watching(monitor(BUSY)) as watch:
        publisher.publish("", str(path))
        publisher.publish("", str(other))
        await watch.until(lambda: len(watch.seen) == 2)
        path.write_text("two")
        aside = tmp_path / "aside"
        aside.write_text("three")
        path.rename(tmp_path / "a.ini~")  # as editors do
        aside.rename(path)
        other.unlink()
        await watch.until(lambda: str(other) not in watch.seen)
        assert len(touched(watch, str(path))) == 1
        assert str(path) in watch.seen


async def test_a_file_goes_with_what_leads_to_it(publisher: Publisher, tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
    (tmp_path / "one" / "a.ini").write_text("one")
    current = tmp_path / "current"
    current.symlink_to("one")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.ini").write_text("b")
    async with watching(monitor()) as watch:
        publisher.publish("", f"{current}/a.ini")
        publisher.publish("", f"{folder}/b.ini")
        await watch.until(lambda: len(watch.seen) == 2)
        fresh = tmp_path / "fresh"
        fresh.symlink_to("two")
        fresh.rename(current)
        await watch.until(lambda: f"{current}/a.ini" not in watch.seen)
        folder.rename(tmp_path / "elsewhere")
        await watch.until(lambda: not watch.seen)


async def test_files_are_watched_on_after_a_restart(publisher: Publisher, tmp_path: Path) -> None:
    path, gone = tmp_path / "a.ini", tmp_path / "gone.ini"
    path.write_text("one")
    gone.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        publisher.publish("", str(gone))
        await watch.until(lambda: len(watch.seen) == 2)
        known = {name: seen.spec for name, seen in watch.seen.items()}
    gone.unlink()
    async with watching(monitor(), known=known) as watch:
        await watch.until(lambda: str(gone) not in watch.seen)
        assert list(watch.seen) == [str(path)]
        path.unlink()
        await watch.until(lambda: not watch.seen)
        assert "Touched" not in watch.kinds()


async def test_a_file_is_not_gone_when_its_file_system_is(tmp_path: Path) -> None:
    path = str(tmp_path / "away" / "a.ini")
    known = {path: Spec(ts=1, path=path, attrs={"mount": str(tmp_path / "away")})}
    async with watching(monitor(BUSY), known=known) as watch:
        await watch.until(lambda: "mounted" in watch.refused.get(path, ""))
        (tmp_path / "away").mkdir()
        (tmp_path / "away" / "a.ini").write_text("back")
        await recovered(watch)
        assert list(watch.seen) == [path]
        assert watch.kinds().count("Refused") == 1


async def test_a_destroyed_file_is_watched_no_longer(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor(BUSY)) as watch:
        publisher.publish("", str(path))
        publisher.publish(str(path), "")
        await watch.until(lambda: "Destroyed" in watch.kinds())
        path.unlink()
        publisher.publish("b.ini", "two")
        await watch.shows("b.ini", "two")
        assert "Vanished" not in watch.kinds()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(Path.mkdir, "there is no such file", id="directory"),
        pytest.param(lambda path: os.mkfifo(path), "there is no such file", id="FIFO"),
        pytest.param(lambda path: path.symlink_to(path), "cannot be read", id="loop"),
        pytest.param(lambda path: path.symlink_to("nowhere"), "no such file", id="dangling"),
    ],
)
async def test_what_is_no_file(
    publisher: Publisher, tmp_path: Path, make: Callable[[Path], Any], reason: str
) -> None:
    path = tmp_path / "a.ini"
    make(path)
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.until(lambda: str(path) in watch.refused)
        assert reason in watch.refused[str(path)]
