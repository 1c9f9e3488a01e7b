"""``blame``: the deploy that brought each line of a config."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from emperord.replay import blame
from hypothesis import given
from hypothesis import strategies as st
from journal_builder import MONITOR, SECOND, building
from support.replaying import asking

OTHER = "pg://db;SELECT 1"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", b"[uwsgi]\none = 1\ntwo = 2\n")  # 3, 4, 5
        builder.changed("a.ini", b"[uwsgi]\none = 1\ntwo = 3\n", attrs={"author": "ann"})  # 6
        builder.added("a.ini", b"four = 4\n", OTHER)  # 7: refused
        builder.changed("a.ini", b"[uwsgi]\none = 1\ntwo = 3\n")  # 8: touched
        builder.removed("a.ini")  # 9
        builder.added("a.ini", b"[uwsgi]\r\none = 1\n# \xff\ntwo = 3\nend", uid=1007)  # 10
        builder.up("b.ini", b"x\ny\n")  # 11, 12, 13
        builder.changed("b.ini", b"x\nz\n")  # 14
        builder.removed("b.ini")  # 15
        builder.added("c.ini", b"x\nz\n")  # 16: b.ini, renamed
        builder.changed("c.ini", b"x\nz\nmore\n")  # 17
        builder.added("same.ini", b"x\nz\n")  # 18: b.ini went, but c.ini is what came of it
        builder.added("large.ini", None)  # 19
        builder.changed("large.ini", b"x\n")  # 20
    return path


run = asking("blame")


def told(path: str, *arguments: str) -> list[dict[str, Any]]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    lines = json.loads(result.stdout)
    assert isinstance(lines, list)
    return lines


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        pytest.param(("a.ini",), [10, 3, 10, 6, 10], id="present"),
        pytest.param(("a.ini", "--seq", "5"), [3, 3, 3], id="first"),
        pytest.param(("a.ini", "--seq", "8"), [3, 3, 6], id="touched-and-refused"),
        pytest.param(("a.ini", "--at", "2026-11-24T06:00:06Z"), [3, 3, 6], id="time"),
        pytest.param(("a.ini", "--seq", "9"), [3, 3, 6], id="removed"),
        pytest.param(("c.ini",), [11, 14, 17], id="renamed"),
        pytest.param(("large.ini",), [20], id="not-recorded-before"),
        pytest.param(("a.ini", "--until", "@8"), [3, 3, 6], id="until"),
        pytest.param(("a.ini", "--until", "@999"), [10, 3, 10, 6, 10], id="until-after-the-end"),
    ],
)
def test_lines(path: str, arguments: tuple[str, ...], seqs: list[int]) -> None:
    assert [one["seq"] for one in told(path, *arguments)] == seqs


def test_it_reads_as_many_deploys_as_the_lines_need(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [told(path, name) for name in ("a.ini", "c.ini", "large.ini")]
    monkeypatch.setattr(blame, "_FEW", 1)  # then 4, then 16
    assert [told(path, name) for name in ("a.ini", "c.ini", "large.ini")] == whole


def test_every_key(path: str) -> None:
    lines = told(path, "a.ini")
    assert lines[3] == {
        "line": 4,
        "seq": 6,
        "at": "2026-11-24T06:00:06.000000000Z",
        "kind": "vassal_changed",
        "vassal": "a.ini",
        "monitor": MONITOR,
        "author": "ann",
        "config": chain.digest(b"[uwsgi]\none = 1\ntwo = 3\n"),
        "boundary": False,
        "altered": False,
        "text": "two = 3",
    }
    assert [one["author"] for one in lines] == [
        "file of uid 1007", None, "file of uid 1007", "ann", "file of uid 1007",
    ]  # fmt: skip
    assert told(path, "c.ini")[0]["vassal"] == "b.ini"


def test_for_people_the_bytes_are_unchanged(path: str) -> None:
    assert run(path, "a.ini").stdout_bytes == (
        b"10  2026-11-24 06:00:10  file of uid 1007  1) [uwsgi]\r\n"
        b" 3  2026-11-24 06:00:03  -                 2) one = 1\n"
        b"10  2026-11-24 06:00:10  file of uid 1007  3) # \xff\n"
        b" 6  2026-11-24 06:00:06  ann               4) two = 3\n"
        b"10  2026-11-24 06:00:10  file of uid 1007  5) end\n"
    )
    assert run(path, "c.ini").stdout.splitlines()[1].split() == [
        "14", "2026-11-24", "06:00:14", "b.ini", "2)", "z"
    ]  # fmt: skip


def test_a_line_that_may_be_older_is_at_the_boundary(path: str) -> None:
    assert run(path, "large.ini").stdout.startswith("^20 ")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM event WHERE seq < 6")  # as if it were archived
    assert [(one["seq"], one["boundary"]) for one in told(path, "a.ini")] == [
        (10, False), (6, True), (10, False), (6, True), (10, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "marks"),
    [
        pytest.param(("a.ini", "--since", "@3", "--until", "@8"), ["3", "3", "6"], id="all"),
        pytest.param(("a.ini", "--since", "@4", "--until", "@8"), ["^3", "^3", "6"], id="some"),
        pytest.param(("a.ini", "--since", "@7", "--until", "@8"), ["^6"] * 3, id="none"),
        pytest.param(("a.ini", "--since", "2026-11-24T06:00:07Z"), ["10", "^6", "10", "^6", "10"],
                     id="behind-a-removal"),
        pytest.param(("a.ini", "--since", "@7", "--at", "@5"), None, id="order"),
        pytest.param(("c.ini", "--since", "@14"), ["^11", "14", "17"], id="across-a-rename"),
        pytest.param(("c.ini", "--since", "@17"), ["^16", "^16", "17"], id="not-beyond-a-rename"),
    ],
)  # fmt: skip
def test_lines_that_did_not_change_in_the_period(
    path: str, arguments: tuple[str, ...], marks: list[str] | None
) -> None:
    result = run(path, *arguments)
    if marks is None:
        assert (result.exit_code, "--since is after --at" in result.stderr) == (2, True)
        return
    assert [line.split()[0] for line in result.stdout.splitlines()] == marks
    assert [one["boundary"] for one in told(path, *arguments)] == [mark[0] == "^" for mark in marks]


def test_an_event_that_was_altered_is_marked(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = replace(body, 'ann', 'bob') WHERE seq = 6")
    result = run(path, "a.ini")
    assert (result.exit_code, "event 6 is not what was written" in result.stderr) == (3, True)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["10", "3", "10", "!6", "10"]


def test_one_that_is_gone_is_told_with_that(path: str) -> None:
    result = run(path, "b.ini")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert "b.ini is not there any more: event 15 removed it" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("a",), 1, "did you mean"),
        (("a.ini", "--seq", "2"), 1, "no config of a.ini is in this journal before event 2"),
        (("large.ini", "--seq", "19"), 1, "that event 19 deployed was not recorded"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


LINES = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), max_size=12)


@given(LINES, LINES)
def test_lines_that_match_are_the_same_and_rise(old: list[bytes], new: list[bytes]) -> None:
    for compare in (blame.matched, lambda *both: dict(blame.unique(*both))):
        places = compare(old, new)
        assert all(new[there] == old[here] for there, here in places.items())
        assert [places[there] for there in sorted(places)] == sorted(set(places.values()))


def test_lines_of_long_texts_match_but_those_that_moved() -> None:
    old = [b"%d" % i for i in range(3000)]
    new = [old[-1], *old[:1500], b"new", *old[1500:-1]]
    assert len(blame.matched(old, new)) == 2999


def test_vassals_of_one_listing_with_the_same_text_are_no_renames(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("a.ini", b"x\n")  # 3
        builder.at -= SECOND  # listed with it
        builder.added("b.ini", b"x\n")  # 4
        builder.removed("a.ini")  # 5
    assert [(one["seq"], one["vassal"]) for one in told(path, "b.ini")] == [(4, "b.ini")]
