"""A daemon goes on with a journal whose older events went to an archive."""

from pathlib import Path

import pytest
from emperord.journal.times import EventNumber
from emperord.replay import archiving
from emperord.replay.archiving import Archived
from emperord.replay.verify import verify
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import QUICK


def test_it_knows_the_vassals_and_how_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "KEPT", 2)
    file = str(tmp_path / "old.db")
    with Emperor(tmp_path, *QUICK) as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        emperor.start()
        emperor.up("a.ini")
        emperor.stop()
        path = str(emperor.journal)
        done = archiving.archive(path, EventNumber(1 << 40), file, lambda *_: None)
        assert isinstance(done, Archived)
        emperor.start()
        assert emperor.event("spawned", after=done.event).vassal == "a.ini"
        (started,) = emperor.events("daemon_started")
        assert started.body["before"]["how"] == "told"
        assert [each.seq > done.last for each in emperor.events("vassal_added")] == []
        emperor.stop()
    assert verify(path).exit_code == 0
    assert verify(path, archives=[file]).exit_code == 0
