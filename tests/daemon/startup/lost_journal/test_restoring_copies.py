"""An estranged daemon goes on with a copy of the journal that is put back."""

import os
from pathlib import Path

import pytest
from emperord.journal.store import Journal
from journal_builder import building
from support.estranged import (
    Lose,
    answered,
    backup,
    decide,
    estrange,
    last_told,
    remove,
    verified,
    waiting,
)
from support.kept import Emperor
from support.vassals import APP, Application


def spoil(emperor: Emperor, older: Path) -> None:
    remove(emperor, older)
    emperor.journal.write_bytes(b"no journal at all" * 100)


@pytest.mark.few(2)
@pytest.mark.parametrize("lost", [True, False], ids=["older", "whole"])
@pytest.mark.parametrize("lose", [remove, spoil])
def test_a_copy_is_restored(
    emperor: Emperor, app: Application, tmp_path: Path, lose: Lose, lost: bool
) -> None:
    before, last = emperor.environments(), last_told(emperor)
    backup(emperor.journal, tmp_path / "whole.db")
    other = tmp_path / "other.db"
    with building(str(other)) as builder:
        builder.start()
    estrange(emperor, lose, tmp_path)
    if lose is spoil:
        assert "restore FILE" in emperor.ctl("adopt").stderr
    for bad, why in ((other, "another journal"), (tmp_path / "nosuch.db", "no such file")):
        refused = emperor.ctl("restore", str(bad))
        assert refused.returncode == 1
        assert why in refused.stderr
    copy = tmp_path / ("older.db" if lost else "whole.db")
    with Journal.open(str(copy)) as journal:
        count = last - journal.seq
    done = emperor.ctl("restore", str(copy))
    assert done.returncode == 0
    assert (f"{count} events are lost" in done.stdout) == lost
    emperor.until(lambda: emperor.log().count("emperor: ready: ") == 2, "it goes on")
    emperor.event("journal_adopted", file=str(copy))
    emperor.event("daemon_ready", after=last - count + 1)
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    aside = list(emperor.state.glob("journal.db.replaced-*"))
    assert len(aside) == (lose is spoil)
    assert not list(emperor.state.glob("*.restoring*"))
    verified(emperor)
    emperor.stop()


@pytest.mark.slow
def test_copies_from_before_and_after_an_adoption_are_restored(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """A process is another attempt in each of these journals. Its sockets follow it."""
    before, worker = emperor.environments(), answered(app)
    early = backup(emperor.journal, tmp_path / "early.db")
    estrange(emperor, remove, tmp_path)
    decide(emperor, "adopt")
    emperor.phase("app.ini", "accepting")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    late = backup(emperor.journal, tmp_path / "late.db")
    for copy in (early, late):
        estrange(emperor, remove, tmp_path)
        with Journal.open(str(copy)) as journal:
            last = journal.seq
        assert emperor.ctl("restore", str(copy)).returncode == 0
        assert emperor.event("adopted", "app.ini", after=last).body["control"]
        assert emperor.environments() == before
        assert answered(app) == worker
    emperor.until(lambda: emperor.log().count("emperor: ready: ") == 4, "it goes on")
    (emperor.vassals / "app.ini").write_text(app.config("changed"))
    emperor.until(lambda: answered(app).says == "changed", "it reloads in place")
    assert answered(app).master == worker.master
    verified(emperor)
    emperor.stop()


def test_a_copy_from_amid_a_start_is_restored(emperor: Emperor, tmp_path: Path) -> None:
    """It says once that it accepts, and that event is lost. The keeper knows it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    app = Application(tmp_path, f"open({str(gate)!r}).close()\n{APP}")
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    emperor.start()
    emperor.up("app.ini")
    copy = backup(emperor.journal, tmp_path / "copy.db")
    gate.write_text("")
    worker = answered(app)
    before = emperor.environments()
    emperor.event("vassal_loyal", "app.ini")
    estrange(emperor, remove, tmp_path)
    assert emperor.ctl("restore", str(copy)).returncode == 0
    emperor.phase("app.ini", "accepting")
    with Journal.open(str(copy)) as journal:
        emperor.event("vassal_loyal", "app.ini", after=journal.seq)
    assert emperor.environments() == before
    assert answered(app) == worker
    verified(emperor)
    emperor.stop()
