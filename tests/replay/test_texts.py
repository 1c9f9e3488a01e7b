"""``show`` and ``diff``: config texts as they were deployed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from journal_builder import building
from support.replaying import asking

ODD = b"[uwsgi]\r\nname = \xff\xfe\x00 b\xc3\xbccher\r\n\r\nlast"
NEW = b"[uwsgi]\r\nname = \xff\xfe\x00 b\xc3\xbccher\r\nprocesses = 4\r\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", ODD)  # 3
        builder.changed("a.ini", NEW)  # 6
        builder.changed("a.ini", NEW)  # 7: touched
        builder.up("once.ini", b"only\n")  # 8, 9, 10
        builder.added("large.ini", None)  # 11
        builder.up("gone.ini", b"gone\n")  # 12, 13, 14
        builder.removed("gone.ini")  # 15
        builder.exited("gone.ini", code=0)  # 16
        builder.changed("a.ini", b"third\n")  # 17
    return path


run = asking()


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        (("a.ini",), b"third\n"),
        (("a.ini", "--seq", "3"), ODD),
        (("a.ini", "--seq", "5"), ODD),
        (("a.ini", "--seq", "6"), NEW),
        (("a.ini", "--at", "2026-11-24T06:00:05.9Z"), ODD),
        (("gone.ini", "--seq", "14"), b"gone\n"),
    ],
)
def test_show_gives_the_bytes(path: str, arguments: tuple[str, ...], content: bytes) -> None:
    result = run(path, "show", *arguments)
    assert (result.exit_code, result.stdout_bytes) == (0, content)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "a"), 1, "did you mean a.ini"),
        (("show", "gone.ini"), 1, "event 15 removed it; 'show gone.ini --seq 14' shows what"),
        (("show", "a.ini", "--seq", "2"), 1, "event 3 is the first that speaks of it"),
        (("show", "large.ini"), 1, "over 1 MiB"),
        (("show",), 2, "NAME"),
        (("show", "a.ini", "--seq", "2", "--at", "-1m"), 2, "give one of them"),
        (("diff", "a.yaml"), 1, "did you mean a.ini"),
        (("diff", "once.ini"), 1, "had no other config before event 8"),
        (("diff", "large.ini", "11", "11"), 1, "over 1 MiB"),
        (("diff", "a.ini", "2"), 1, "a.ini had no config at event 2"),
        (("diff", "a.ini", "ffffffff"), 1, "a.ini had no config ffffffff"),
        (("diff", "a.ini", "3", "999"), 1, "there is no event 999; the last one is "),
        (("diff", "a.ini", "3", "9" * 12), 1, f"a.ini had no config {'9' * 12}"),
        (("diff", "a.ini", "-99999d"), 1, "a.ini had no config at"),
        (("diff", "a.ini", "@2"), 1, "a.ini had no config at event 2"),
        (("diff", "a.ini", "@999"), 1, "there is no event 999; the last one is "),
        (("diff", "a.ini", "soon"), 2, "is not a time"),
        (("diff", "a.ini", "--nonsense"), 2, "No such option"),
    ],
)
def test_what_is_not_there(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def label(seq: int, content: bytes) -> bytes:
    digest = chain.digest(content)[:12]
    return f"a.ini\tevent {seq}, 2026-11-24T06:00:{seq:02}.000000000Z, {digest}".encode()


FIRST_CHANGE = (
    b"--- " + label(3, ODD) + b"\n+++ " + label(6, NEW) + b"\n@@ -1,4 +1,3 @@\n"
    b" [uwsgi]\r\n name = \xff\xfe\x00 b\xc3\xbccher\r\n-\r\n-last\n"
    b"\\ No newline at end of file\n+processes = 4\r\n"
)


@pytest.mark.parametrize(
    "told",
    [
        ("3", "6"),
        ("4", "7"),
        (chain.digest(ODD), chain.digest(NEW)),
        (chain.digest(ODD)[:8], chain.digest(NEW)[:4].upper()),
        ("2026-11-24T06:00:03Z", "2026-11-24T06:00:16Z"),
    ],
    ids=["events", "events between", "digests", "short digests", "times"],
)
def test_diff_of_two_that_are_told(path: str, told: tuple[str, str]) -> None:
    result = run(path, "diff", "a.ini", *told)
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == FIRST_CHANGE


def test_diff_of_the_last_two_different_ones(path: str) -> None:
    result = run(path, "diff", "a.ini")
    assert result.exit_code == 0
    assert result.stdout_bytes.splitlines()[:2] == [
        b"--- " + label(6, NEW),
        b"+++ " + label(17, b"third\n"),
    ]
    assert result.stdout_bytes.splitlines()[-1] == b"+third"


def test_diff_from_one_to_the_present(path: str) -> None:
    assert run(path, "diff", "a.ini", "3").stdout_bytes.startswith(b"--- " + label(3, ODD))


def test_diff_with_relative_times(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emperord.journal.times.now", lambda: 1_795_500_060_000_000_000)
    assert run(path, "diff", "a.ini", "-56s", "-50s").stdout_bytes == FIRST_CHANGE


def test_the_same_has_no_difference(path: str) -> None:
    result = run(path, "diff", "a.ini", "6", "7")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_damaged_text_is_not_shown(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE config SET content = x'00' WHERE digest = ?", [chain.digest(NEW)])
    for arguments in (("show", "a.ini", "--seq", "6"), ("diff", "a.ini", "3", "6")):
        result = run(path, *arguments)
        assert (result.exit_code, result.stdout) == (3, "")
        assert chain.digest(NEW) in result.stderr


def test_a_text_that_was_dropped(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM config")
    result = run(path, "show", "a.ini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not in this journal" in result.stderr
