"""``emperor-ctl backup``: a verified copy of a journal that its daemon writes to."""

import os
from pathlib import Path

from emperord.replay.verify import verify
from support.archives import sql
from support.asking import asked, refused
from support.vassals import SLEEPER

from ..conftest import MakeEmperor


def test_the_copy_is_whole_and_private(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    file = tmp_path / "copy.db"
    done = asked(emperor, "backup", str(file))
    assert (done["file"], done["first"], done["events"]) == (str(file), 1, done["last"])
    (row,) = emperor.query("SELECT hash FROM event WHERE seq = ?", done["last"])
    assert done["head"] == bytes(row[0]).hex()
    assert file.stat().st_size == done["bytes"]
    assert file.stat().st_mode & 0o777 == 0o600
    verdict = verify(str(file))
    assert (verdict.exit_code, verdict.events) == (0, done["events"])
    assert [name for name in os.listdir(tmp_path) if name.startswith("copy")] == ["copy.db"]
    text = emperor.ctl("backup", str(tmp_path / "2.db")).stdout
    assert text.startswith(f"{tmp_path / '2.db'}: ")
    assert ", verified; " in text


def test_it_replaces_nothing(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor().start()
    file = tmp_path / "copy.db"
    file.write_text("x")
    assert "is there already; name another file" in refused(emperor, "backup", str(file))
    assert file.read_text() == "x"
    missing = tmp_path / "no" / "copy.db"
    assert "its directory is not there; make it" in refused(emperor, "backup", str(missing))


def test_a_damaged_journal_gives_no_copy(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    sql(emperor.journal, "UPDATE event SET vassal = 'b.ini' WHERE seq = 3")
    file = tmp_path / "copy.db"
    said = refused(emperor, "backup", str(file))
    assert "the copy would not verify: event 3: its row is not what was written" in said
    assert os.listdir(tmp_path).count("copy.db") == 0
