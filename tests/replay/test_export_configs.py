"""``export-configs``: all config texts as of a moment."""

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.replay import exports, sql
from emperord.replay.output_files import NotWritten
from hypothesis import given
from hypothesis import strategies as st
from journal_builder import MONITOR, building
from support.replaying import asking

ODD = b"[uwsgi]\r\nname = \xff\x00"
HOSTILE = ("../x.ini", "/etc/passwd.ini", "..", ".hidden.ini", "a/../../b.ini", "-rf.ini")


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.changed("a.ini", ODD)  # 6
        builder.added("b.ini", b"two\n", uid=1007, gid=1008)  # 7
        builder.added("gone.ini", b"gone\n")  # 8
        builder.removed("gone.ini")  # 9
    return path


run = asking("export-configs")


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param((), {"a.ini": ODD, "b.ini": b"two\n"}, id="present"),
        pytest.param(("--seq", "5"), {"a.ini": b"one\n"}, id="seq"),
        pytest.param(
            ("--at", "2026-11-24T06:00:08Z"),
            {"a.ini": ODD, "b.ini": b"two\n", "gone.ini": b"gone\n"},
            id="at",
        ),
        pytest.param(("b*",), {"b.ini": b"two\n"}, id="pattern"),
    ],
)
def test_files(
    path: str, tmp_path: Path, arguments: tuple[str, ...], found: dict[str, bytes]
) -> None:
    folder = tmp_path / "out"
    result = run(path, "-o", str(folder), *arguments)
    assert result.exit_code == 0, result.stderr
    assert files(folder) == found
    assert result.stdout.splitlines() == list(found)
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_hostile_names_stay_in_the_folder(tmp_path: Path) -> None:
    path, folder = str(tmp_path / "journal.db"), tmp_path / "in" / "out"
    folder.parent.mkdir()
    with building(path) as builder:
        builder.start()
        for name in HOSTILE:
            builder.added(name, name.encode())
    result = run(path, "-o", str(folder))
    assert result.exit_code == 0, result.stderr
    assert sorted(files(folder).values()) == sorted(name.encode() for name in HOSTILE)
    assert [each.name for each in folder.parent.iterdir()] == ["out"]
    assert sorted(each.name for each in folder.iterdir()) == [
        "%2D".join(("", "rf.ini")), "%2E.", "%2E.%2Fx.ini", "%2Ehidden.ini",
        "%2Fetc%2Fpasswd.ini", "a%2F..%2F..%2Fb.ini",
    ]  # fmt: skip


def test_a_link_in_the_folder_is_not_followed(path: str, tmp_path: Path) -> None:
    folder, target = tmp_path / "out", tmp_path / "target"
    folder.mkdir()
    (folder / "b.ini").symlink_to(target)
    result = run(path, "-o", str(folder))
    assert (result.exit_code, "b.ini is there already" in result.stderr) == (1, True)
    assert not target.exists()
    assert [each.name for each in folder.iterdir()] == ["b.ini"]  # none is half written
    place = exports.Folder(str(folder))
    with pytest.raises(NotWritten, match="File exists"), closing(place):  # put there after the look
        place.write("b.ini", b"two\n")


NAMES = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=300)


@given(st.lists(NAMES | st.sampled_from(HOSTILE), unique=True, max_size=8))
def test_a_file_name_is_one_component_and_its_own(names: list[str]) -> None:
    encodable = [name for name in names if _is_utf8(name)]
    told = [exports.file_name(name) for name in encodable]
    assert len(set(told)) == len(told)
    for one in told:
        assert 0 < len(os.fsencode(one)) <= 255
        assert one[0] not in ".-"
        assert not {"/", "\0", "\n"} & set(one)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_a_long_name_is_cut_but_stays_its_own() -> None:
    one, other = exports.file_name("ü" * 200 + "1"), exports.file_name("ü" * 200 + "2")
    assert one != other
    # No name gives itself the mark of another.
    assert exports.file_name(one) != one


def test_for_programs(path: str, tmp_path: Path) -> None:
    result = run(path, "-o", str(tmp_path / "out"), "--json", "b.ini")
    assert json.loads(result.stdout) == [
        {
            "vassal": "b.ini",
            "monitor": MONITOR,
            "config": chain.digest(b"two\n"),
            "file": "b.ini",
            "path": "/etc/vassals/b.ini",
            "uid": 1007,
            "gid": 1008,
            "socket": None,
            "reason": None,
        }
    ]


def test_sql_for_programs(path: str) -> None:
    result = run(path, "--sql", "--json", "--table", "apps")
    assert (result.exit_code, "a.ini is left out: it" in result.stderr) == (1, True)
    odd, plain = json.loads(result.stdout)
    assert (odd["vassal"], odd["config"], odd["sql"]) == ("a.ini", chain.digest(ODD), None)
    assert "a.ini is left out: " + odd["reason"] in result.stderr
    assert (plain["vassal"], plain["config"]) == ("b.ini", chain.digest(b"two\n"))
    assert (plain["file"], plain["reason"]) == (None, None)
    script = run(path, "--sql", "--table", "apps").stdout
    assert script == f"BEGIN;\n{plain['sql']}\nCOMMIT;\n"
    assert plain["sql"].startswith("INSERT INTO apps ")


def test_a_text_that_is_not_there_is_said(path: str, tmp_path: Path) -> None:
    with building(path) as builder:
        builder.added("large.ini", None)
    result = run(path, "-o", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "large.ini is left out: it was not recorded" in result.stderr
    assert sorted(files(tmp_path / "out")) == ["a.ini", "b.ini"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE config SET content = 'x' WHERE digest = ?", (chain.digest(b"two\n"),))
    assert run(path, "-o", str(tmp_path / "other")).exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "say where to: -o DIR, or --sql"),
        (("--sql", "-o", "x"), 2, "say where to"),
        (("--sql", "--seq", "2"), 1, "no vassal was wanted after event 2"),
        (("--sql", "b"), 1, "did you mean"),
        (("-o", "/proc/none"), 1, "/proc/none: cannot be written: No such file"),
    ],
)
def test_what_cannot_be_done(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(None, "NULL", id="null"),
        pytest.param("it's\n", "'it''s\n'", id="quote"),
        pytest.param("a\\b'", "E'a\\\\b'''", id="backslash"),
        pytest.param("\r\u202e\U000e0001", r"E'\u000d\u202e\U000e0001'", id="control"),
    ],
)
def test_literals(text: str | None, told: str) -> None:
    assert sql.literal(text) == told


@pytest.mark.parametrize("text", ["a\0", "a\udcff"])
def test_a_text_that_postgresql_cannot_hold(text: str) -> None:
    with pytest.raises(ValueError, match="PostgreSQL"):
        sql.literal(text)
