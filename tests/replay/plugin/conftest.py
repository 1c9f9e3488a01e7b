"""Histories for tests of the pytest plugin, made by a fold of today."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.replay.histories.folding import anew
from emperord.replay.histories.history import Header, History, Step
from emperord.replay.histories.text import write
from emperord.replay.testing import BareFleet
from emperord.replay.testing.fleets import MONITOR

PROGRAM = "[emperor]\ncommand = gunicorn app\n"


def history_of(fleet: BareFleet) -> History:
    """The events that a fleet was fed, with what this version decides."""
    header = Header(version="0.2.0", sources={MONITOR: "vassals"})
    return anew(History(header, steps=tuple(map(Step, fleet.events)), texts=fleet.texts))


def throttled(others: int = 3) -> History:
    """``shop.ini`` dies of its own while others come, run and are stopped."""
    fleet = BareFleet()
    for name in (*(f"other{number}.ini" for number in range(others)), "shop.ini"):
        fleet.added(name, PROGRAM)
        fleet.feed("spawned", name)
    fleet.feed("exited", "shop.ini", code=1)
    fleet.at("+1s")
    fleet.feed("spawned", "shop.ini")
    fleet.operator("stop")
    return history_of(fleet)


@pytest.fixture
def text() -> str:
    """The text of a history that comes out the same."""
    return write(throttled())


WriteHistory = Callable[..., Path]


@pytest.fixture
def history(pytester: pytest.Pytester, text: str) -> WriteHistory:
    """Writes ``shop.history`` in the folder of an inner run, with some words replaced."""

    def made(old: str = "", new: str = "", *, name: str = "shop") -> Path:
        assert old in text
        path = pytester.path / f"{name}.history"
        path.write_text(text.replace(old, new, 1) if old else text)
        return path

    return made
