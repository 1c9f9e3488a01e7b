"""An error of the daemon's own about one vassal: that one is barred, the others are served.

Each place is a function that raises for one vassal. The daemon around it is whole and real.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import trio
from emperord.daemon.core import deaths, fold, process_moves, reloads, source_moves, starts
from emperord.daemon.host import command, procfs, reap, spawn
from emperord.daemon.host.config_sender import ConfigSender
from emperord.daemon.host.controller import Controller
from emperord.daemon.host.exit_handler import ExitHandler
from emperord.daemon.host.listeners import Listeners
from emperord.daemon.host.mailbox import Mailbox
from emperord.daemon.host.on_demand import OnDemand
from emperord.daemon.host.reap import ProcessTrees
from emperord.daemon.host.spawn import Starter
from emperord.daemon.host.vassal_log import LogDirectory
from emperord.daemon.host.watch import ProcessWatch
from emperord.daemon.loop import pending, vassal_news
from emperord.daemon.loop.announcer import Announcer
from emperord.daemon.loop.observer import Observer
from emperord.monitors.contract import Destroyed, Seen, Touched
from emperord.replay.verify import verify
from journal_builder import building
from support import processes
from support.hostile import SECRET, VICTIM, plant
from support.steered import Source, Steered, inline, steered
from support.vassals import speaker_path

SPEAKS: Final = "say 1 5 17\n"


class Story:
    """A daemon with a good vassal and a bad one, and what is done to the bad one."""

    def __init__(self, folder: Path, daemon: Steered, source: Source) -> None:
        self.folder = folder
        self.daemon = daemon
        self.source = source
        self.seen: dict[str, Seen] = {}
        self.ts = 0
        self.address = "bad.sock"

    async def has(self, *names: str, **spec: Any) -> None:
        """The source lists these, with what is new of them; the others are gone."""
        self.ts += 1
        for name in names:
            self.seen.setdefault(name, inline(SPEAKS, 1))
        self.seen = {name: self.seen[name] for name in names}
        if spec or "bad" in names:
            self.seen["bad"] = inline(f"{SPEAKS}; {self.ts}\n", self.ts, **spec)
        await self.source.lists(**self.seen)

    async def add(self) -> None:
        await self.has("good", "bad")

    async def listen(self) -> None:
        await self.has("good", "bad", socket=str(self.folder / self.address))

    async def change(self) -> None:
        await self.add()
        await self.daemon.phase(VICTIM, "accepting")
        await self.has("good", "bad")

    async def listen_elsewhere(self) -> None:
        """At another address than before."""
        await self.listen()
        await self.daemon.phase(VICTIM, "listening")
        self.address = "other.sock"
        await self.listen()

    async def remove(self) -> None:
        await self.add()
        await self.daemon.phase(VICTIM, "accepting")
        await self.has("good")

    async def die(self) -> None:
        await self.add()
        await self.daemon.phase(VICTIM, "accepting")
        vassal = self.daemon.vassal(VICTIM)
        assert vassal is not None
        assert vassal.pid is not None
        processes.kill(vassal.pid)


Act = Callable[[Story], Awaitable[None]]


class Place(NamedTuple):
    """A function that raises, when, and whether only once, as other errors need it to end well."""

    owner: Any
    name: str
    act: Act
    once: bool = False
    policy: dict[str, Any] = {}


PLACES: Final = {
    "fold: added": Place(source_moves, "add", Story.add),
    "fold: begins": Place(source_moves, "begin", Story.add, once=True),
    "fold: launched when the daemon is ready": Place(starts, "launch", Story.add),
    "fold: spawned": Place(starts, "spawn", Story.add),
    "fold: its turn comes": Place(starts, "spawn", Story.add, policy={"max_starting": 1}),
    "fold: its start is recorded": Place(fold.TABLE["spawned"], "starting", Story.add),
    "fold: accepts": Place(process_moves, "await_forgiveness", Story.add),
    "fold: changed": Place(source_moves, "take_spec", Story.change, once=True),
    "fold: reloaded": Place(reloads, "reload", Story.change),
    "fold: dies": Place(deaths, "judge", Story.die),
    "fold: its death is told twice": Place(process_moves, "clear_attempt", Story.die, once=True),
    "fold: removed": Place(fold.TABLE["vassal_removed"], "accepting", Story.remove),
    "fold: stopped": Place(source_moves, "end", Story.remove, once=True),
    "fold: forgotten": Place(starts, "forget", Story.remove, once=True),
    "observer: seen": Place(Observer, "_compare", Story.add),
    "observer: announced": Place(Announcer, "announce", Story.add),
    "loop: what it says": Place(vassal_news, "meaning_of_byte", Story.add),
    "host: started": Place(Starter, "start", Story.add),
    "host: started, and not held": Place(spawn, "attach", Story.add),
    "host: what it runs": Place(command, "argv", Story.add),
    "host: listened to": Place(ProcessWatch, "add_process", Story.add),
    "host: heard": Place(Mailbox, "hear", Story.add),
    "host: its config sent": Place(ConfigSender, "send", Story.change),
    "host: told": Place(Controller, "order", Story.change, once=True),
    "host: its reload": Place(Controller, "_reload", Story.change),
    "host: told to stop": Place(Controller, "_send", Story.remove, once=True),
    "host: reaped": Place(ExitHandler, "_reap", Story.die),
    "host: its tree ended": Place(ProcessTrees, "end", Story.die),
    "host: reaped as ordered": Place(ProcessTrees, "reap_leader", Story.remove),
    "host: its descendants looked for": Place(reap, "_remnants", Story.remove),
    "host: let go of": Place(ExitHandler, "_release", Story.remove),
    "host: the record of its end": Place(ExitHandler, "_draft", Story.remove),
    "host: its last lines": Place(LogDirectory, "last_lines", Story.die),
    "host: its log": Place(LogDirectory, "is_in_order", Story.add),
    "host: ordered to listen": Place(OnDemand, "listen", Story.listen),
    "host: listened for": Place(Listeners, "opening", Story.listen),
    "host: its address given back": Place(Listeners, "forget", Story.listen_elsewhere),
}


@pytest.fixture
def speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
    return speaker_path(tmp_path)


def test_each_place_is_there() -> None:
    """Most rows are slow, so a function that is renamed would be missed for long."""
    missing = [
        title
        for title, (owner, name, *_) in PLACES.items()
        if not (name in owner if isinstance(owner, dict) else hasattr(owner, name))
    ]
    assert missing == []


@pytest.mark.few(8)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_the_daemon_goes_on(
    place: Place, tmp_path: Path, speaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"uwsgi": speaker, "mercy": 1.0, **place.policy}
    source = Source()
    with monkeypatch.context() as planting:
        raised = plant(planting, place.owner, place.name, once=place.once)
        async with steered(tmp_path, source, **policy) as daemon:
            story = Story(tmp_path, daemon, source)
            await place.act(story)
            await daemon.until(lambda: "vassal_failed" in daemon.kinds(VICTIM), "it is recorded")
            assert raised
            await daemon.phase("good.ini", "accepting")
            await daemon.until(lambda: is_barred_or_gone(daemon), "it is barred")
            good = daemon.vassal("good.ini")
            planting.undo()
            check_reason(daemon)
            await story.has("good", "late", *(("bad",) if daemon.vassal(VICTIM) else ()))
            await daemon.phase("late.ini", "accepting")
            if daemon.vassal(VICTIM) is not None:
                await daemon.phase(VICTIM, "accepting")
            same = daemon.vassal("good.ini")
            assert good is not None
            assert same is not None
            assert same.pid == good.pid
    assert alive(tmp_path) == []
    check_record(tmp_path)
    monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
    again = Source()
    async with steered(tmp_path, again, **policy) as daemon:
        await again.lists(**story.seen)
        await daemon.phase("good.ini", "accepting")
        await daemon.phase("late.ini", "accepting")
    verdict = verify(str(tmp_path / "journal.db"))
    assert (verdict.exit_code, verdict.first, verdict.audit.findings) == (0, None, [])


async def test_a_look_that_fails_is_made_again(
    tmp_path: Path, speaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for all that ended, so its error is about none of them."""
    look = procfs.all_processes
    failed: list[str] = []

    def fail_once(*args: Any) -> procfs.Processes:
        if not failed:
            failed.append("once")
            raise ValueError("a bug")
        return look(*args)

    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(SPEAKS, 1), b=inline(SPEAKS, 1))
        await daemon.phase("a.ini", "accepting")
        await daemon.phase("b.ini", "accepting")
        monkeypatch.setattr(procfs, "all_processes", fail_once)
        await source.lists(a=inline(SPEAKS, 1))
        await daemon.until(lambda: "exited" in daemon.kinds("b.ini"), "its end is recorded")
        assert failed
        assert "vassal_failed" not in daemon.kinds()
        await daemon.phase("a.ini", "accepting")


def is_barred_or_gone(daemon: Steered) -> bool:
    vassal = daemon.vassal(VICTIM)
    return vassal is None or vassal.phase == "barred"


def check_reason(daemon: Steered) -> None:
    vassal = daemon.vassal(VICTIM)
    if vassal is not None:
        assert vassal.reason is not None
        assert "Planted: password=***" in vassal.reason


def alive(folder: Path) -> list[int]:
    """Processes of this test's vassals."""
    mark = f"SPEAKER_NOTES={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0") and b"EMPERORD_" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def check_record(folder: Path) -> None:
    """The trace is there, and no secret."""
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        rows = journal.execute(
            "SELECT body FROM event WHERE kind = 'vassal_failed' AND vassal = ?", (VICTIM,)
        ).fetchall()
        skipped = journal.execute("SELECT count(*) FROM event WHERE actions = 'null'").fetchone()
    assert rows
    for (body,) in rows:
        assert SECRET not in body
        assert len(body) <= 4096
        assert "hostile" in body
        assert "daemon/" in body, "the trace has paths below the package"
    assert skipped[0] < 10
    assert len(rows) < 10


async def test_an_error_about_a_source_is_its_outage(
    tmp_path: Path, speaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = Source("test://bad"), Source("test://good")
    translate = Observer.translate

    def hostile(observer: Observer, fleet: Any, source: Any, seen: Any) -> Any:
        if source.url == bad.url:
            raise KeyError("password=hunter2")
        return translate(observer, fleet, source, seen)

    monkeypatch.setattr(Observer, "translate", hostile)
    async with steered(tmp_path, bad, good, uwsgi=speaker) as daemon:
        await bad.lists(a=inline(SPEAKS, 1))
        await bad.lists(a=inline(SPEAKS, 1))
        await good.lists(b=inline(SPEAKS, 1))
        await daemon.phase("b.ini", "accepting")
        assert daemon.fleet.outages[bad.url].reason == (
            "error of the daemon: KeyError: 'password=***"
        )
        assert daemon.kinds().count("monitor_failed") == 1
        monkeypatch.undo()
        monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
        await bad.lists(a=inline(SPEAKS, 1))
        await daemon.phase("a.ini", "accepting")
        assert daemon.fleet.outages == {}
        await trio.lowlevel.checkpoint()


async def test_an_address_that_ended_daemons_bars_its_vassal(tmp_path: Path, speaker: str) -> None:
    """Six characters of the port were checked and all bound: the journal ended each daemon."""
    source, address = Source(), "127.0.0.1:00102480"
    with building(str(tmp_path / "journal.db")) as journal:
        journal.start((source.url,))
        journal.added(VICTIM, SPEAKS.encode(), source.url, path=None, socket=address)
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.says(Touched("good.ini", inline(SPEAKS, 1)))
        await daemon.phase("good.ini", "accepting")
        await daemon.phase(VICTIM, "barred")
        vassal = daemon.vassal(VICTIM)
        assert vassal is not None
        assert vassal.reason == f"{address} has no port from 1 to 65535"
        await source.says(Destroyed(VICTIM))
        assert daemon.vassal(VICTIM) is None
        await source.says(Touched("again.ini", inline(SPEAKS, 1, socket=address)))
        await daemon.phase("again.ini", "barred")
        assert "vassal_failed" not in daemon.kinds()


async def test_an_error_in_what_the_log_says_bars_none(
    tmp_path: Path, speaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = plant(monkeypatch, pending, "say")
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(good=inline(SPEAKS, 1), bad=inline(SPEAKS, 1))
        await daemon.phase(VICTIM, "accepting")
        await daemon.phase("good.ini", "accepting")
        assert raised
        assert "vassal_failed" not in daemon.kinds()
