"""``search``: in which configs a text was, from when to when."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from emperord.journal.reading import Reader, open_journal
from emperord.replay import search
from emperord.replay.rebuild import NotFound
from journal_builder import MONITOR, building
from support.replaying import asking

BAD = b"[uwsgi]\r\nname = \xff\r\n  workers = 64\r\nlast"
OTHER = "pg://db;SELECT 1"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.changed("a.ini", BAD)  # 6
        builder.changed("a.ini", b"# also\nworkers = 64\n")  # 7: another text that has it
        builder.changed("a.ini", b"two\n")  # 8
        builder.added("b.ini", BAD)  # 9
        builder.removed("b.ini")  # 10
        builder.added("c.ini", BAD)  # 11
        builder.added("a.ini", BAD, OTHER)  # 12: refused, the name is another's
        builder.changed("a.ini", b"one\n")  # 13
        builder.changed("a.ini", BAD)  # 14
        builder.added("large.ini", None)  # 15
    return path


run = asking("search")


def found(path: str, *arguments: str) -> list[dict[str, Any]]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    stays = json.loads(result.stdout)
    assert isinstance(stays, list)
    return stays


STAYS = [
    ("a.ini", 6, 8, False),
    ("b.ini", 9, 10, False),
    ("c.ini", 11, None, True),
    ("a.ini", 14, None, True),
]


@pytest.mark.parametrize(
    ("arguments", "stays"),
    [
        pytest.param(("workers = 64",), STAYS, id="literal"),
        pytest.param(("workers = 64", "--now"), STAYS[2:], id="now"),
        pytest.param(("workers = 64", "a.ini"), [STAYS[0], STAYS[3]], id="name"),
        pytest.param(("workers = 64", "[bc].ini"), STAYS[1:3], id="pattern"),
        pytest.param(("workers = 64", "[bc].ini", "a.ini"), STAYS, id="patterns"),
        pytest.param(("# also",), [("a.ini", 7, 8, False)], id="one-text"),
        pytest.param(("one",), [("a.ini", 3, 6, False), ("a.ini", 13, 14, False)], id="again"),
        pytest.param(("workers = 64", "--until", "@8"), STAYS[:1], id="until"),
        pytest.param(("workers = 64", "--since", "@9"), STAYS[1:], id="since"),
        pytest.param(("workers = 64", "--since", "@8", "--until", "@8"), STAYS[:1], id="went-then"),
        pytest.param((r"^\s*workers\s=\s\d+\r?$", "--regex"), STAYS, id="regex"),
        pytest.param(("^# A(?i:LSO)$|^# also$", "--regex"), [("a.ini", 7, 8, False)], id="lines"),
    ],
)
def test_stays(path: str, arguments: tuple[str, ...], stays: list[tuple[object, ...]]) -> None:
    told = found(path, *arguments)
    keys = ("vassal", "came_seq", "went_seq", "now")
    assert [tuple(each[key] for key in keys) for each in told] == stays


def test_many_texts_are_looked_up_one_by_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FEW", -1)
    told = [(each["vassal"], each["came_seq"], each["went_seq"]) for each in found(path, "workers")]
    assert told == [stay[:3] for stay in STAYS]


def test_every_key(path: str) -> None:
    assert found(path, "workers")[0] == {
        "vassal": "a.ini",
        "monitor": MONITOR,
        "config": chain.digest(BAD),
        "came_seq": 6,
        "came_at": "2026-11-24T06:00:06.000000000Z",
        "came_kind": "vassal_changed",
        "went_seq": 8,
        "went_at": "2026-11-24T06:00:08.000000000Z",
        "went_kind": "vassal_changed",
        "now": False,
        "line": 3,
        "text": "  workers = 64\r",
    }


def test_for_people(path: str) -> None:
    lines = run(path, "name = ").stdout.splitlines()
    assert lines[1].split() == [
        "6", "2026-11-24", "06:00:06.000", "7", "2026-11-24", "06:00:07.000",
        "a.ini:2:", "name", "=", r"\xff",
    ]  # fmt: skip
    assert lines[2].endswith("(vassal_removed)")
    assert lines[3].split()[3:6] == ["-", "still", "there"]


def test_bytes_that_are_no_text_are_found(path: str) -> None:
    assert len(found(path, "\udcff")) == 4


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM deploy",
        "UPDATE deploy SET previous = (SELECT previous FROM deploy WHERE seq = 7) WHERE seq = 6",
    ],
)
def test_rows_of_deploys_that_are_gone_or_false(path: str, harm: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(harm)
    told = [(each["vassal"], each["came_seq"], each["went_seq"]) for each in found(path, "workers")]
    assert told == [stay[:3] for stay in STAYS]


def test_a_text_from_before_the_file_begins(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM event WHERE seq <= 6")
    assert [each["came_seq"] for each in found(path, "workers", "a.ini")] == [None, 14]
    assert "-  before" in run(path, "workers").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nonsense",), 1, "no config in this journal has it"),
        (("# also", "--now"), 1, "no vassal has it now"),
        (("workers", "--until", "@3"), 1, "no config that was deployed then has it"),
        (("workers", "b"), 1, "did you mean"),
        (("workers", "x*"), 1, "no vassal that was ever known here fits x*"),
        (("",), 2, "TEXT is empty"),
        (("(", "--regex"), 2, "is not a regular expression"),
        (("workers", "--since", "@9", "--until", "@7"), 2, "--since is after --until"),
    ],
)
def test_what_is_not_found(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_an_altered_text_is_not_told_as_deployed(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE config SET content = ? WHERE content = ?", (b"workers = 65", BAD))
    result = run(path, "workers = 65")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not what was deployed" in result.stderr


def test_a_pattern_without_end_is_given_up() -> None:
    find = search.pattern("(a+)+$")
    with pytest.raises(NotFound, match="takes more than"), search.limited(0.1):
        find(b"a" * 64 + b"!")


@pytest.mark.parametrize("seed", range(6))
def test_every_way_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Vassals come, change and go; some deploys are another source's, and are ignored."""
    path, chance = str(tmp_path / "journal.db"), random.Random(seed)
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        for _ in range(120):
            name = chance.choice(("a.ini", "b.ini", "c.ini"))
            text = b"%s\n" % chance.choice((b"workers = 1", b"workers = 2", b"none", b"other"))
            if name not in builder.fleet.vassals:
                builder.added(name, text)
            elif chance.random() < 0.2:
                builder.removed(name, chance.choice((MONITOR, OTHER)))
            else:
                builder.changed(name, text, chance.choice((MONITOR, MONITOR, OTHER)))
    with open_journal(path) as reader:
        having = search.having(reader, search.literal(b"workers"))
        few = search.presences(reader, having)
        monkeypatch.setattr(search, "FEW", -1)
        assert search.presences(reader, having) == few
        monkeypatch.setattr(Reader, "has_deploys", lambda _: False)
        assert search.presences(reader, having) == few
        assert len(few) > 10
