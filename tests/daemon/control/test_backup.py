"""``emperor-ctl backup``: a verified copy of a journal that its daemon writes to."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from emperord.daemon.client import archive, backup
from emperord.replay.verify import verify
from support.archives import sql
from support.asking import asked, refused
from support.kept import Emperor
from support.root import need_root
from support.tyrant import ALICE, ALICES
from support.vassals import SLEEPER

from ..conftest import QUICK, MakeEmperor


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


def test_a_copy_goes_its_own_way_elsewhere(
    make_emperor: MakeEmperor, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The original runs on, and both have written to the same witness."""
    witness = tmp_path / "witness"
    emperor = make_emperor("--witness", str(witness), "--witness-every", "1")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pid = emperor.up("a.ini")["a.ini"]
    other = Emperor(
        tmp_path_factory.mktemp("other"), *QUICK, "--restore", "--witness", str(witness)
    )
    with other:
        other.state.mkdir()
        last = asked(emperor, "backup", str(other.journal))["last"]
        (other.vassals / "b.ini").write_text(SLEEPER)
        other.start()
        assert other.up("b.ini")["b.ini"] != pid
        (forked,) = other.events("journal_forked")
        assert forked.seq == last + 1
        assert other.events("vassal_removed", "a.ini")
        emperor.ctl("reopen")
        event = emperor.events()[-1].seq
        emperor.until(lambda: f'"seq":{event},' in witness.read_text(), "it is witnessed")
        other.kill_daemon()
        other.until(lambda: len(other.events("daemon_ready", after=forked.seq)) == 2, "it is back")
        assert "estranged" not in other.log()
        other.stop()
    assert verify(str(other.journal)).exit_code == 0
    assert emperor.pid_of("a.ini") == pid


def test_root_writes_no_copy_where_a_tenant_decides(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """SQLite opens the file by its name, and follows a symlink there."""
    need_root("give a directory to another user")
    emperor = make_emperor().start()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, ALICE, ALICES)
    reason = refused(emperor, "backup", f"{theirs}/x.db")
    assert f"root writes no file below {theirs}, which belongs to uid {ALICE}" in reason
    assert list(theirs.iterdir()) == []
    emperor.stop()


@pytest.mark.parametrize(
    ("command", "options"),
    [(backup.command, []), (archive.command, ["--before", "1d", "-o"])],
    ids=["backup", "archive"],
)
def test_a_path_that_leads_nowhere_is_told(
    command: click.Command, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon is not asked."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for file, said in {
        "": "is empty; give the path of a new file",
        "y.db": "the working directory was removed; give an absolute path",
    }.items():
        result = CliRunner().invoke(command, [*options, file], obj=str(tmp_path / "no.sock"))
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
