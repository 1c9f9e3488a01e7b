"""A journal that was put back while the daemon waited is not lost by the next request."""

import os
import shutil
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from emperord.daemon.control.caller import Caller
from emperord.daemon.control.server import Refused
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.keeper.link import KeeperLink
from emperord.daemon.startup import estranged, other_vassals, restoring
from emperord.daemon.startup.estranged import Decision, Estranged
from emperord.daemon.startup.identity import Holder
from emperord.journal.store import Journal
from journal_builder import building
from support.posix_locks import locks


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A journal with events."""
    path = tmp_path / "copy.db"
    with building(str(path)) as builder:
        builder.start()
    return path


def waiting(path: Path, copy: Path) -> Estranged:
    """An estranged daemon, which has an empty journal open."""
    journal = Journal.open(str(path))
    with Journal.open(str(copy)) as lost:
        known = lost.head
    assert known is not None
    keeper = KeeperLink(None)
    holder = Holder(keeper, str(path), str(path.parent / "run"))
    return Estranged(str(path), journal, Fleet(), known, "no events", keeper, holder)


def put_back(copy: Path, path: Path) -> None:
    """Put a journal where the empty one was."""
    other = path.with_name("other.db")
    shutil.copyfile(copy, other)
    other.rename(path)


@pytest.mark.parametrize("back", [True, False], ids=["put back", "still empty"])
def test_restore_keeps_what_has_content(tmp_path: Path, copy: Path, back: bool) -> None:
    path = tmp_path / "journal.db"
    life = waiting(path, copy)
    verified = restoring.verify(str(copy), str(path), life.known)
    assert life.journal is not None
    opened = life.journal.opened
    if back:
        put_back(copy, path)
    life.journal.leave()
    aside = restoring.put(verified, str(path), opened)
    with Journal.open(str(path)) as restored:
        assert restored.head == life.known
    found = list(map(str, tmp_path.glob("journal.db.replaced-*Z")))
    assert found == ([aside] if back else [])
    if back:
        assert Path(found[0]).read_bytes() == copy.read_bytes()


def test_two_restores_in_one_second_keep_both(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(copy)) as lost:
        known = lost.head
    assert known is not None
    for _ in range(2):
        verified = restoring.verify(str(copy), str(path), known)
        path.write_bytes(copy.read_bytes())
        restoring.put(verified, str(path), None)
    assert len(list(tmp_path.glob("journal.db.replaced-*"))) == 2


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to])
def test_a_file_where_the_copy_is_made_is_refused_and_stays(
    tmp_path: Path, copy: Path, suffix: str, link: Callable[[Path, Path], None] | None
) -> None:
    """An operator may have given the copy that name: it may be the only one."""
    with Journal.open(str(copy)) as lost:
        known = lost.head
    assert known is not None
    there = copy.rename(tmp_path / f"journal.db.restoring{suffix}")
    content, given = there.read_bytes(), there
    if link is not None:
        given = tmp_path / "given.db"
        link(given, there)
    with pytest.raises(Refused, match="is where a copy is made"):
        restoring.verify(str(given), str(tmp_path / "journal.db"), known)
    assert there.read_bytes() == given.read_bytes() == content


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"], ids=["journal", "log", "index"])
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_the_journal_itself_is_no_copy(
    tmp_path: Path, copy: Path, link: Callable[[Path, Path], None], suffix: str
) -> None:
    """To read it and to close it would end the locks of SQLite."""
    with Journal.open(str(copy)) as lost:
        known = lost.head
        assert known is not None
        before = locks(copy, os.getpid())
        link(given := tmp_path / "given.db", Path(f"{copy}{suffix}"))
        with pytest.raises(Refused, match="is a file of the journal itself"):
            restoring.verify(str(given), str(copy), known)
        assert locks(copy, os.getpid()) == before != set()


@pytest.mark.parametrize("do", ["adopt", "restore"])
@pytest.mark.parametrize("suffix", ["", "-wal"], ids=["journal", "log"])
def test_nothing_is_done_to_a_file_that_was_written_over(
    tmp_path: Path, copy: Path, do: str, suffix: str
) -> None:
    """It keeps its name and its inode, so only its content tells."""
    path = tmp_path / "journal.db"
    life = waiting(path, copy)
    assert life.journal is not None
    over = Path(f"{path}{suffix}")
    shutil.copyfile(copy, over)
    asked = (Caller(os.getuid()), "")
    order = partial(life.adopt, asked) if do == "adopt" else partial(life.restore, str(copy), asked)
    with pytest.raises(Refused, match="another program has written to the files"):
        trio.run(order)
    life.journal.leave()
    assert over.read_bytes() == copy.read_bytes()
    assert not list(tmp_path.glob("journal.db.re*"))


def test_adopt_is_refused_when_another_file_is_there(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "journal.db"
    life = waiting(path, copy)
    put_back(copy, path)
    with pytest.raises(Refused, match="emperor-ctl upgrade"):
        trio.run(life.adopt, (Caller(os.getuid()), ""))
    assert life.journal is not None
    life.journal.leave()
    assert path.read_bytes() == copy.read_bytes()


class Pause:
    """A step that takes until the test lets it go on, the first time."""

    def __init__(self) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def take(self, *_: object) -> None:
        if not self.begun.is_set():
            self.begun.set()
            assert self.goes_on.wait(20)

    async def two_of(self, request: Callable[[], Awaitable[None]]) -> None:
        """Make a request twice: the second comes while the first is at this step."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request)
            await trio.to_thread.run_sync(self.begun.wait, 20)
            nursery.start_soon(request)
            await trio.testing.wait_all_tasks_blocked()
            self.goes_on.set()


def leave(life: Estranged) -> None:
    """Let go of its journal, which it has to have."""
    assert life.journal is not None
    life.journal.leave()


async def test_the_first_request_counts(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one is refused, also where it began first."""
    life = waiting(tmp_path / "journal.db", copy)
    pause = Pause()
    monkeypatch.setattr(estranged, "try_new_version", pause.take)
    monkeypatch.setattr(KeeperLink, "alive", True)
    asked = (Caller(0), "")
    refused: list[Refused] = []

    async def upgrade() -> None:
        try:
            await life._renew()
        except Refused as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upgrade)
        await trio.to_thread.run_sync(pause.begun.wait, 20)
        await life.restore(str(copy), asked)
        pause.goes_on.set()
    assert [str(each) for each in refused] == ["another request was first; ask again in a moment"]
    assert life._choice.decision.do == "restore"
    staged = life._choice.decision.copy
    assert staged is not None
    life._choice.make(Decision("leave"))  # as a signal does
    assert not await trio.Path(staged.staged).exists()
    leave(life)


async def test_a_second_restore_leaves_the_copy_of_the_first(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    life = waiting(path, copy)
    pause, verify = Pause(), restoring.verify

    def slow(*arguments: Any) -> restoring.Copy:
        pause.take()
        return verify(*arguments)

    monkeypatch.setattr(restoring, "verify", slow)
    told: list[dict[str, Any] | str] = []

    async def restore() -> None:
        try:
            told.append(await life.restore(str(copy), (Caller(0), "")))
        except Refused as refused:
            told.append(str(refused))

    await pause.two_of(restore)
    assert told == [
        {"after": life.known.seq, "lost": 0},
        "another request was first; ask again in a moment",
    ]
    kept = life._choice.decision.copy
    assert kept is not None
    assert life.journal is not None
    restoring.put(kept, str(path), life.journal.opened)
    life.journal.leave()
    with Journal.open(str(path)) as restored:
        assert restored.head == life.known


async def test_a_second_adopt_leaves_the_journal_of_the_first(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = waiting(tmp_path / "journal.db", copy)
    assert life.journal is not None
    life.journal.leave()
    life.journal, life._missing = None, True
    pause = Pause()
    monkeypatch.setattr(other_vassals, "refusal", pause.take)
    refused: list[str] = []

    async def adopt() -> None:
        try:
            await life.adopt((Caller(0), ""))
        except Refused as error:
            refused.append(str(error))

    await pause.two_of(adopt)
    assert refused == ["another request was first; ask again in a moment"]
    assert life._choice.decision.do == "adopt"
    leave(life)
