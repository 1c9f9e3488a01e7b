"""A daemon under load for long does not grow: the short form of ``tools/bench --hour``."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.loop.recorder import Recorder

from .lasting import Look, lasting

MORE = 60  # entries of one container that come and go: a few vassals wait, or are new
OBJECTS = 500  # of Python that come and go: 24 vassals and their tasks have 1,600


def most(looks: list[Look]) -> Counter[str]:
    """The most entries that each container had."""
    found: Counter[str] = Counter()
    for look in looks:
        found |= look.lengths
    return found


def grown(looks: list[Look]) -> list[str]:
    """The containers that have more entries in the last looks than in those before."""
    middle = len(looks) // 2
    before, after = most(looks[:middle]), most(looks[middle:])
    return [way for way in after if after[way] > before[way] * 1.5 + MORE]


def test_nothing_grows_under_load(tmp_path: Path) -> None:
    looks = lasting(tmp_path / "journal.db", seconds=400, looks=10)[2:]
    assert looks[-1].events > 2 * looks[0].events > 1000
    assert grown(looks) == []
    first, last = looks[0], looks[-1]
    assert last.objects.total() < first.objects.total() + OBJECTS
    assert last.files <= first.files + 2
    assert last.tasks <= first.tasks + 8
    assert max(each.snapshot for each in looks) < 2 * min(each.snapshot for each in looks)


def test_what_is_kept_by_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that forgets to forget, or the test above shows nothing."""
    commit = Recorder.commit

    async def keeps(self: Any, turn: Any) -> None:
        vars(self).setdefault("remembered", []).extend(turn.folded)
        await commit(self, turn)

    monkeypatch.setattr(Recorder, "commit", keeps)
    looks = lasting(tmp_path / "journal.db", seconds=100, looks=4)
    assert "shell._recorder.remembered" in grown(looks)
