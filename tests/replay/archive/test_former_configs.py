"""Configs to which vassals go back, where the events that brought them went to an archive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.control.former import Config, FormerConfigs
from emperord.journal import chain
from emperord.journal.announcements import NotFound
from journal_builder import MONITOR, Builder, building
from support.archives import cut

A = "a.ini"
OLDER, GOOD, BAD, WORSE = b"older\n", b"good\n", b"bad\n", b"worse\n"
PROGRAM: dict[str, Any] = {"settings": {"command": "serve"}}
Story = Callable[[Builder], object]

pytestmark = pytest.mark.usefixtures("few_stay")


def came_up(b: Builder) -> None:
    b.up(A, GOOD)


def of_two(b: Builder) -> None:
    b.up(A, OLDER)
    b.changed(A, GOOD)
    b.accepting(A)


def starts(b: Builder) -> None:
    """It has not said that it accepts."""
    b.added(A, GOOD)
    b.spawned(A)


def program_runs(b: Builder) -> None:
    b.added(A, GOOD, **PROGRAM)
    b.spawned(A)


def program_waits(b: Builder) -> None:
    """Its address does not answer yet."""
    b.added(A, GOOD, settings={"command": "serve", "ready": "exec:true"})
    b.spawned(A)


def on_trial(b: Builder) -> None:
    """It was good with the first one. The second one died."""
    b.up(A, GOOD)
    b.changed(A, BAD)
    b.exited(A, code=1)


def is_bad(b: Builder) -> None:
    b.changed(A, BAD)
    b.exited(A, code=1)


def accepts_and_is_bad(b: Builder) -> None:
    b.accepting(A)
    b.event("pressure_observed", after=60, cpu=1)
    is_bad(b)


def is_worse(b: Builder) -> None:
    b.changed(A, WORSE)
    b.exited(A, code=1)


def nothing(b: Builder) -> None:
    """Nothing is deployed."""


def goes_back(b: Builder) -> None:
    is_bad(b)
    spec = FormerConfigs(b.journal.announcements).last_good(A, b.fleet.vassals[A]).spec
    b.event("operator_requested", A, request="rollback", back_to=spec)
    b.accepting(A)


ARCHIVED = "no config before with which it was accepting; events up to [0-9]+ are in an archive"


def asked(
    tmp_path: Path, before: Story, after: Story, find: Callable[[FormerConfigs, Builder], Config]
) -> Config:
    """Ask for a config between whose vassal's events the journal was cut."""
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        before(builder)
        begin = builder.seq
        for _ in range(5):
            builder.event("pressure_observed", cpu=1)
    cut(path, begin, tmp_path / "old.db")
    with building(str(path)) as builder:
        after(builder)
        builder.flush()
        found = find(FormerConfigs(builder.journal.announcements), builder)
        assert builder.journal.texts.content(found.spec.config or "") is not None
    return found


def last_good(former: FormerConfigs, builder: Builder) -> Config:
    return former.last_good(A, builder.fleet.vassals[A])


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        pytest.param(came_up, is_bad, GOOD, id="it accepted"),
        pytest.param(program_runs, is_bad, GOOD, id="a program ran"),
        pytest.param(on_trial, nothing, GOOD, id="the one before was good"),
        pytest.param(on_trial, is_worse, GOOD, id="the one before was good, and it changed"),
        pytest.param(starts, accepts_and_is_bad, GOOD, id="it accepted later"),
    ],
)
def test_the_last_good_one(tmp_path: Path, before: Story, after: Story, text: bytes) -> None:
    found = asked(tmp_path, before, after, last_good)
    assert (found.seq, found.monitor) == (None, MONITOR)
    assert found.spec.config == chain.digest(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(came_up, nothing, id="none was before"),
        pytest.param(of_two, goes_back, id="it went back to the last one that is known"),
        pytest.param(starts, is_bad, id="it did not accept"),
        pytest.param(program_waits, is_bad, id="a program was not ready"),
    ],
)
def test_no_good_one_is_known(tmp_path: Path, before: Story, after: Story) -> None:
    with pytest.raises(NotFound, match=ARCHIVED):
        asked(tmp_path, before, after, last_good)


@pytest.mark.parametrize(
    ("before", "text", "says"),
    [
        pytest.param(came_up, GOOD, None, id="wanted"),
        pytest.param(starts, GOOD, None, id="it did not accept"),
        pytest.param(on_trial, BAD, None, id="it died of it"),
        pytest.param(on_trial, GOOD, None, id="the good one"),
        pytest.param(
            of_two, OLDER, "no config [0-9a-f]+ of it; events up to 7 are in an archive",
            id="only archived",
        ),
    ],
)  # fmt: skip
def test_by_digest(tmp_path: Path, before: Story, text: bytes, says: str | None) -> None:
    digest = chain.digest(text)

    def find(former: FormerConfigs, _: Builder) -> Config:
        return former.by_digest(A, digest[:12])

    if says is not None:
        with pytest.raises(NotFound, match=says):
            asked(tmp_path, before, is_worse, find)
    else:
        assert asked(tmp_path, before, is_worse, find).spec.config == digest


def test_by_number(tmp_path: Path) -> None:
    says = "events up to 5 are in an archive; --to takes a digest as well"
    with pytest.raises(NotFound, match=says):
        asked(tmp_path, came_up, is_bad, lambda former, _: former.by_number(A, 3))
    found = asked(tmp_path / "again", came_up, is_bad, lambda former, _: former.by_number(A, 12))
    assert (found.seq, found.spec.config) == (12, chain.digest(BAD))
