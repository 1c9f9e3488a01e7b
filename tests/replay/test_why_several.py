"""``why`` of several vassals."""

import json
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet
from emperord.journal.events import KINDS, Event
from emperord.journal.reading import open_journal
from emperord.replay import rebuild
from emperord.replay.rebuild import Step, folded
from emperord.replay.waits import watch
from journal_builder import Builder, building
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("app-1.ini")  # 3, 4, 5
        builder.up("app-2.ini")  # 6, 7, 8
        builder.up("other.ini")  # 9, 10, 11
    return path


@pytest.fixture
def crowded(tmp_path: Path) -> str:
    """Eight vassals and two slots: waits, changes that came together, a stop, a loop, a removal."""
    path = str(tmp_path / "crowded.db")
    with building(path) as builder:
        builder.start(max_starting=2)
        names = [f"app-{number}.ini" for number in range(8)]
        for name in names:
            builder.at -= 990_000_000
            builder.added(name)
        _serve(builder)
        builder.operator("reload")
        _serve(builder)
        for name in names[:5]:
            builder.at -= 990_000_000
            builder.changed(name, b"bad = 1\n")
        _serve(builder)
        builder.operator("stop", names[0])
        builder.exited(names[0], signal=15)
        for _ in range(3):
            builder.exited(names[1], code=1)
            deadline = builder.fleet.vassals[names[1]].deadline
            assert deadline is not None
            builder.at = max(builder.at, deadline)
            builder.event("deadline_passed", names[1], deadline=deadline)
            _serve(builder)
        builder.removed(names[2])
        builder.exited(names[2], signal=15)
        builder.operator("reload")
    return path


def _serve(builder: Builder) -> None:
    """Let each vassal that has a slot become ready, until none has one."""
    while starting := [v.name for v in builder.fleet.vassals.values() if v.slot]:
        for name in starting:
            if builder.fleet.vassals[name].phase == "starting":
                builder.spawned(name)
            builder.accepting(name)


run = asking("why")


def test_only_vassals_that_an_event_may_have_changed_are_looked_at(crowded: str) -> None:
    of_all = Event(0, 0, "daemon_ready", None, None, None, KINDS["daemon_ready"]())
    with open_journal(crowded) as reader:
        names, last = reader.vassals(), reader.head.seq
        told = watch(folded(reader, last), names)
        each = watch(((fleet, Step(of_all)) for fleet, _ in folded(reader, last)), names)
    assert [(one.waits, one.changed) for one in told.values()] == [
        (one.waits, one.changed) for one in each.values()
    ]
    assert any(len(one.waits) > 1 for one in told.values())


@pytest.mark.parametrize("command", ["why", "incident", "graph"])
def test_many_are_folded_once(crowded: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()
    fold_one = rebuild.fold_one

    def counted(fleet: Fleet, event: Event) -> list[Action]:
        seen.append(event.seq)
        return fold_one(fleet, event)

    monkeypatch.setattr(rebuild, "fold_one", counted)
    result: Any = asking(command)(crowded, "*")
    assert result.exit_code == 0
    assert seen == list(range(1, seen[-1] + 1))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        pytest.param(("app-*",), ["app-1.ini", "app-2.ini"], id="pattern"),
        pytest.param(("other.ini", "app-1.ini"), ["app-1.ini", "other.ini"], id="names"),
        pytest.param(("*-2.ini",), ["app-2.ini"], id="one-fits"),
    ],
)
def test_several(path: str, names: tuple[str, ...], found: list[str]) -> None:
    told = json.loads(run(path, *names, "--json").stdout)
    one = json.loads(run(path, found[0], "--json").stdout)
    assert told[0] == one  # each as by itself
    assert len(told) == len(found)
    stories = run(path, *names).stdout.split("\n\n\n")
    texts = "".join(stories)
    assert [name for name in ("app-1.ini", "app-2.ini", "other.ini") if f"{name} is" in texts] == (
        found
    )


def test_one_that_was_not_known_then_hides_no_other(path: str) -> None:
    result = run(path, "app-*", "--at", "@5")
    assert (result.exit_code, "app-1.ini is" in result.stdout) == (0, True)
    assert "app-2.ini was not known then" in result.stderr


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        (("x*",), 1, "no vassal that was ever known here fits x*"),
        (("app-1.ini", "app-3.ini"), 1, "did you mean"),
        ((), 2, "NAME..."),
    ],
)
def test_what_cannot_be_told(path: str, names: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *names)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
