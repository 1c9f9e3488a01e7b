"""A journal with an altered config text: that text is never run, and is taken anew."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.daemon.control.attention import attention
from emperord.daemon.host import altered
from emperord.journal import chain
from emperord.journal.store import Journal
from emperord.monitors.contract import Touched
from support.steered import Source, inline, steered
from support.vassals import notes, program, speaker_path

from ..conftest import MakeDaemon

SWAPPED = "UPDATE config SET content = CAST('[emperor]\ncommand = evil' AS BLOB)"
GONE = "DELETE FROM config"


def harmed(journal: Path, statement: str) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute(statement)
    connection.close()


def verify(journal: Path) -> int:
    words = [sys.executable, "-m", "emperord.replay.main", "--journal", str(journal), "verify"]
    return subprocess.run(words, check=False, capture_output=True).returncode


def test_a_file_is_taken_anew_and_recorded(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    text = program("sleep", "1000")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(f"; {name}\n{text}")
    daemon.start()
    pids = {name: daemon.phase(name, "ready").pid for name in ("a.ini", "b.ini")}
    daemon.kill()
    digest = hashlib.sha256(f"; a.ini\n{text}".encode()).hexdigest()
    harmed(daemon.journal, f"{SWAPPED} WHERE digest = '{digest}'")
    assert verify(daemon.journal) == 3
    after = daemon.last_seq()
    daemon.start()
    restored = daemon.event("config_restored", "a.ini", after=after)
    assert restored.body == {"config": digest}
    assert daemon.config_text(digest) == f"; a.ini\n{text}".encode()
    assert f"a.ini: the journal's text of its config is not what was recorded ({digest})" in (
        daemon.log()
    )
    assert "config_restored" not in daemon.kinds("b.ini", after=after)
    # The same config runs, so nothing is reloaded, and nothing was deployed.
    assert "vassal_changed" not in daemon.kinds(after=after)
    assert {name: daemon.pid_of(name) for name in pids} == pids
    assert "exited" not in daemon.kinds(after=after)
    daemon.stop()
    assert verify(daemon.journal) == 0
    # Nothing is said of it any more.
    after = daemon.last_seq()
    daemon.start()
    assert not {"vassal_changed", "config_restored"} & set(daemon.kinds(after=after))
    daemon.stop()


def test_a_running_file_is_left_alone_where_its_text_is_gone(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    (daemon.vassals / "a.ini").write_text(program("sleep", "1000"))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    daemon.kill()
    harmed(daemon.journal, GONE)
    after = daemon.last_seq()
    daemon.start()
    assert "vassal_changed" not in daemon.kinds(after=after)
    assert daemon.running() == [pid]
    daemon.stop()


TEXT = "; text\nsay 1 5 17\n"


@pytest.fixture
def speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
    return speaker_path(tmp_path)


async def deployed_and_harmed(folder: Path, speaker: str, statement: str) -> None:
    """A journal with an inline vassal whose text was altered while no daemon ran."""
    source = Source()
    async with steered(folder, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(TEXT, 1))
        await daemon.phase("a.ini", "accepting")
    harmed(folder / "journal.db", statement)


@pytest.mark.parametrize("statement", [SWAPPED, GONE], ids=["swapped", "gone"])
async def test_an_inline_config_is_not_run_until_its_source_gives_it(
    tmp_path: Path, speaker: str, statement: str
) -> None:
    await deployed_and_harmed(tmp_path, speaker, statement)
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await daemon.phase("a.ini", "barred")
        vassal = daemon.vassal("a.ini")
        assert vassal is not None
        assert vassal.reason is not None
        assert vassal.reason.startswith("its config is not in the journal as it was recorded")
        assert source.known["a.ini"].config is None
        await source.says(Touched("a.ini", inline(TEXT, 1)))
        await daemon.phase("a.ini", "accepting")
        assert notes(tmp_path, "a.ini", "loaded") == ["; text"] * 2
    assert verify(tmp_path / "journal.db") == 0


async def test_an_inline_config_that_its_source_lists_at_once_is_no_matter(
    tmp_path: Path, speaker: str
) -> None:
    await deployed_and_harmed(tmp_path, speaker, SWAPPED)
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(TEXT, 1))
        await daemon.phase("a.ini", "accepting")
        assert "spawn_failed" not in daemon.kinds("a.ini")
        assert daemon.kinds("a.ini").count("config_restored") == 1
        assert "vassal_changed" not in daemon.kinds("a.ini")


ADVICE = {
    "test://source": "the daemon asks its source for it at each start",
    "zmq://tcp://127.0.0.1:1": "announce it again",
    "amqp://127.0.0.1": "announce it again",
}


@pytest.mark.parametrize(("url", "advice"), ADVICE.items(), ids=["asked", "zmq", "amqp"])
async def test_the_advice_fits_the_source(
    tmp_path: Path, speaker: str, caplog: pytest.LogCaptureFixture, url: str, advice: str
) -> None:
    source = Source(url)
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(TEXT, 1))
        await daemon.phase("a.ini", "accepting")
    harmed(tmp_path / "journal.db", SWAPPED)
    source = Source(url)
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await daemon.phase("a.ini", "barred")
        vassal = daemon.vassal("a.ini")
        assert vassal is not None
        assert vassal.reason is not None
        assert advice in vassal.reason
        assert f"); {advice}" in caplog.text
        found = {each["what"]: each for each in attention(daemon.shell.view, 0)}
        assert found["text altered"]["vassal"] == "a.ini"
        assert advice in found["text altered"]["reason"]
        await source.says(Touched("a.ini", inline(TEXT, 1)))
        await daemon.phase("a.ini", "accepting")
        assert attention(daemon.shell.view, 0) == []


@pytest.mark.parametrize("statement", [SWAPPED, GONE], ids=["swapped", "gone"])
async def test_a_reload_without_its_text_is_not_sent(
    tmp_path: Path, speaker: str, statement: str
) -> None:
    """uWSGI would wait for the text and end."""
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(TEXT, 1))
        await daemon.phase("a.ini", "accepting")
        before = daemon.vassal("a.ini")
        assert before is not None
        pid = before.pid
        harmed(tmp_path / "journal.db", statement)
        signal.raise_signal(signal.SIGHUP)
        await daemon.until(lambda: "reload_failed" in daemon.kinds("a.ini"), "it is told")
        await daemon.phase("a.ini", "ready")  # the record comes a moment before
        vassal = daemon.vassal("a.ini")
        assert vassal is not None
        assert (vassal.phase, vassal.pid) == ("ready", pid)
        assert vassal.reason == f"not reloaded: {altered.NOT_THERE}"
        assert notes(tmp_path, "a.ini", "loaded") == ["; text"]
        assert [each["what"] for each in attention(daemon.shell.view, 0)] == ["text altered"]
        await source.says(Touched("a.ini", inline("; text\nsay 1 5 17 \n", 2)))
        await daemon.phase("a.ini", "accepting")
        assert "exited" not in daemon.kinds("a.ini")
        assert attention(daemon.shell.view, 0) == []


async def test_a_program_needs_no_text(tmp_path: Path, speaker: str) -> None:
    """A command from a database is reloaded, and started again, whatever its text is now."""
    text = "[emperor]\ncommand = sleep 1000"
    source = Source()
    async with steered(tmp_path, source, uwsgi=speaker) as daemon:
        await source.lists(a=inline(text, 1, settings={"command": "sleep 1000"}))
        await daemon.phase("a.ini", "ready")
        harmed(tmp_path / "journal.db", GONE)
        signal.raise_signal(signal.SIGHUP)
        await daemon.until(lambda: daemon.kinds("a.ini").count("spawned") == 2, "it is restarted")
        await daemon.phase("a.ini", "ready")
        assert not {"reload_failed", "spawn_failed"} & set(daemon.kinds("a.ini"))


def test_a_text_that_is_stored_again_is_put_right(tmp_path: Path) -> None:
    path, digest, other = tmp_path / "journal.db", chain.digest(b"good"), chain.digest(b"other")
    with Journal.open(str(path)) as journal:
        journal.append([ROW], {digest: b"good", other: b"other"})
        assert journal.texts.altered([digest, other]) == {}
    harmed(path, f"UPDATE config SET content = 'good' WHERE digest = '{other}'")
    with Journal.open(str(path)) as journal:
        assert journal.texts.altered([digest, other, "no such"]) == {
            other: "changed",
            "no such": "gone",
        }
        journal.append([(2, 2, *ROW[2:])], {other: b"other"})
        assert journal.texts.altered([digest, other]) == {}
        assert journal.texts.content(other) == b"other"


ROW = (1, 1, "daemon_ready", None, None, None, "{}", "[]")
