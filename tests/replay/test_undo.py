"""``undo``: what would bring back what an event changed."""

import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from journal_builder import MONITOR, building
from support.replaying import asking

ROWS = "pg://dbname=emperor;SELECT name, config, ts FROM ops.apps"
DOCUMENTS = 'mongodb://one,two.example,emperor.vassals,{"a.b":1}'
MESSAGES = "zmq://tcp://127.0.0.1:5000"
ODD = "it's -- \\ \u202e\nDROP TABLE vassals;\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, ROWS, DOCUMENTS, MESSAGES))
        builder.up("a b.ini", b"one\n")  # 3, 4, 5
        builder.changed("a b.ini", b"two\n")  # 6
        builder.changed("a b.ini", b"two\n")  # 7: touched
        builder.added("row.ini", b"one\n", ROWS, path=None)  # 8
        builder.changed("row.ini", ODD.encode(), ROWS, path=None)  # 9
        builder.removed("row.ini", ROWS)  # 10
        builder.added("doc.ini", b'"one"\n', DOCUMENTS, path=None)  # 11
        builder.removed("doc.ini", DOCUMENTS)  # 12
        builder.added("msg.ini", b"one\n", MESSAGES, path=None)  # 13
        builder.removed("msg.ini", MESSAGES)  # 14
        builder.added("a b.ini", b"other\n", ROWS, path=None)  # 15: refused
        builder.operator("stop", "a b.ini")  # 16
        builder.operator("reload", "a b.ini")  # 17
        builder.up("c.ini", b"one\n")  # 18, 19, 20
        builder.operator("stop")  # 21: all, of which one was held before
        builder.added("large.ini", None)  # 22
        builder.changed("large.ini", b"x\n")  # 23
        builder.removed("c.ini")  # 24
        builder.removed("large.ini")  # 25
        builder.added("bin.ini", b"\xff", ROWS, path=None)  # 26
        builder.removed("bin.ini", ROWS)  # 27
        builder.added("-rf.ini", b"x\n", path="/etc/vassals/-rf.ini")  # 28
        builder.changed("-rf.ini", b"y\n", path="/etc/vassals/-rf.ini")  # 29
    return path


run = asking("undo")


def told(path: str, seq: int) -> dict[str, Any]:
    result = run(path, str(seq), "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


SHOW = "emperor-replay --journal {path} show --at @{seq} {name}"
FILE = "'/etc/vassals/a b.ini'"


@pytest.mark.parametrize(
    ("seq", "by", "command"),
    [
        pytest.param(3, "shell", f"rm {FILE}", id="file-added"),
        pytest.param(
            6, "shell", SHOW.format(path="{path}", seq=5, name="'a b.ini'") + f" > {FILE}",
            id="file-changed",
        ),
        pytest.param(
            29, "shell",
            SHOW.format(path="{path}", seq=28, name="-- -rf.ini") + " > /etc/vassals/-rf.ini",
            id="name-like-an-option",
        ),
        pytest.param(
            24, "shell",
            SHOW.format(path="{path}", seq=23, name="c.ini") + " > /etc/vassals/c.ini",
            id="file-removed",
        ),
        pytest.param(8, "sql", "DELETE FROM ops.apps WHERE name = 'row.ini';", id="row-added"),
        pytest.param(
            9, "sql",
            "UPDATE ops.apps SET config = 'one\n', ts = clock_timestamp() WHERE name = 'row.ini';",
            id="row-changed",
        ),
        pytest.param(
            10, "sql",
            "INSERT INTO ops.apps (name, config, ts, uid, gid, socket) VALUES ('row.ini',"
            " E'it''s -- \\\\ \\u202e\nDROP TABLE vassals;\n', clock_timestamp(),"
            " NULL, NULL, NULL);",
            id="row-removed",
        ),
        pytest.param(
            11, "mongosh",
            'db.getSiblingDB("emperor").getCollection("vassals").deleteOne({{name: "doc.ini"}})',
            id="document-added",
        ),
        pytest.param(
            12, "mongosh",
            'db.getSiblingDB("emperor").getCollection("vassals").updateOne({{name: "doc.ini"}},'
            ' {{$set: {{config: "\\"one\\"\\n", ts: new Date()}}}}, {{upsert: true}})',
            id="document-removed",
        ),
        pytest.param(
            14, "shell", SHOW.format(path="{path}", seq=13, name="msg.ini"), id="message-removed"
        ),
        pytest.param(13, "hand", f"take msg.ini away from {MESSAGES}", id="message-added"),
        pytest.param(16, "shell", "emperor-ctl start 'a b.ini'", id="stop"),
        pytest.param(21, "shell", "emperor-ctl start c.ini", id="stop-of-all"),
    ],
)  # fmt: skip
def test_commands(path: str, seq: int, by: str, command: str) -> None:
    step = told(path, seq)["undo"][0]
    wanted = command if by == "sql" else command.format(path=path)
    assert (step["by"], step["command"]) == (by, wanted)


def test_every_key(path: str) -> None:
    assert told(path, 14) == {
        "seq": 14,
        "kind": "vassal_removed",
        "vassal": "msg.ini",
        "monitor": MESSAGES,
        "undo": [
            {"by": "shell", "command": SHOW.format(path=path, seq=13, name="msg.ini")},
            {"by": "hand", "command": f"give this text to {MESSAGES} as msg.ini"},
        ],
        "notes": [],
    }


@pytest.mark.parametrize(
    ("seq", "note"),
    [
        pytest.param(3, "since then event 6 and 2 later changed it again", id="later"),
        pytest.param(8, "it is so now already", id="so-already"),
        pytest.param(24, "2 vassals were removed together, by events 24 to 25", id="together"),
    ],
)
def test_notes(path: str, seq: int, note: str) -> None:
    assert any(note in each for each in told(path, seq)["notes"])
    assert note in run(path, str(seq)).stdout


@pytest.mark.parametrize(
    ("gaps", "seq", "told_"),
    [
        pytest.param((0.1, 0.1), 6, "3 vassals were removed together, by events 6 to 8", id="all"),
        pytest.param((0.1, 3600), 6, "2 vassals were removed together, by events 6 to 7", id="two"),
        pytest.param((3600, 0.1), 8, "2 vassals were removed together, by events 7 to 8", id="end"),
        pytest.param((3600, 3600), 7, None, id="hours-apart"),
    ],
)
def test_a_run_of_removals_ends_after_a_second(
    tmp_path: Path, gaps: tuple[float, float], seq: int, told_: str | None
) -> None:
    path, names = str(tmp_path / "journal.db"), ("a.ini", "b.ini", "c.ini")
    with building(path) as builder:
        builder.start()
        for name in names:
            builder.added(name)  # 3, 4, 5
        for name, after in zip(names, (1, *gaps), strict=True):
            builder.event("vassal_removed", name, MONITOR, after=after, reason="")  # 6, 7, 8
    notes = [note.partition(";")[0] for note in told(path, seq)["notes"]]
    assert notes == ([] if told_ is None else [told_])


@pytest.mark.parametrize(
    ("seq", "code", "says"),
    [
        pytest.param("7", 1, "event 7 changed the time of a b.ini only", id="touched"),
        pytest.param("15", 1, "15 changed nothing: a b.ini was another source's", id="refused"),
        pytest.param("17", 1, "event 17 (reload) left nothing to bring back", id="reload"),
        pytest.param("4", 1, "(spawned) changed nothing that was wanted; it came of event 3",
                     id="no-change"),
        pytest.param("23", 1, "config of large.ini before event 23 was not recorded", id="large"),
        pytest.param("27", 1, "cannot be told in SQL: it is not UTF-8", id="no-text"),
        pytest.param("99", 1, "there is no event 99", id="behind-the-end"),
        pytest.param("now", 2, "now is no event; write its number", id="no-number"),
    ],
)  # fmt: skip
def test_what_cannot_be_undone(path: str, seq: str, code: int, says: str) -> None:
    result = run(path, seq)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_an_event_that_was_altered_is_not_undone(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET vassal = 'c.ini' WHERE seq = 16")
    result = run(path, "16")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "event 16 is not what was written" in result.stderr


def test_a_shell_writes_what_was_there(tmp_path: Path) -> None:
    path, target = str(tmp_path / "journal of 'it'.db"), tmp_path / "$(x) 'it'.ini"
    name = "$(touch x) 'it';\".ini"
    with building(path) as builder:
        builder.start()
        builder.added(name, b"\xffone\r\n", path=str(target))  # 3
        builder.changed(name, b"two\n", path=str(target))  # 4
    program = f"{shlex.quote(sys.executable)} -m emperord.replay.main"
    commands = run(path, "4").stdout.replace("emperor-replay", program, 1)
    done = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert target.read_bytes() == b"\xffone\r\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [Path(path).name, Path(path).name + ".lock", target.name]
    )


def test_a_name_cannot_leave_its_comment(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MESSAGES,))
        builder.added("a\ntouch x.ini", b"one\n", MESSAGES, path=None)  # 3
    (line,) = run(path, "3").stdout.splitlines()
    assert line.startswith("# take a\\ntouch x.ini away from")
