"""``show`` and ``diff`` of several vassals: names, patterns, and those of one source."""

import json
from pathlib import Path
from typing import Any

import pytest
from emperord.replay import rebuild
from emperord.replay.commands import show
from journal_builder import MONITOR, OTHER, building, of_two_sources
from support.replaying import asking

ask = asking()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with of_two_sources(path) as builder:
        builder.up("app-1.ini", b"one = 1\n")  # 3, 4, 5
        builder.up("app-2.ini", b"two = 1")  # 6, 7, 8
        builder.added("shop.ini", b"shop = 1\n", OTHER)  # 9
        builder.changed("app-1.ini", b"one = 2\n")  # 10
        builder.changed("shop.ini", b"shop = 2\n", OTHER)  # 11
    return path


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("app-*",), ["app-1.ini", "app-2.ini"]),
        (("shop.ini", "app-2.ini"), ["app-2.ini", "shop.ini"]),
        (("app-1*",), ["app-1.ini"]),
        (("*", "--monitor", "dir:other"), ["shop.ini"]),
    ],
    ids=["pattern", "names", "one fits", "source"],
)
def test_show(path: str, arguments: tuple[str, ...], found: list[str]) -> None:
    told = json.loads(ask(path, "show", *arguments, "--json").stdout)
    assert [one["vassal"] for one in told] == found
    for one in told:
        assert one == json.loads(ask(path, "show", one["vassal"], "--json").stdout)
    text = ask(path, "show", *arguments).stdout
    assert [line[4:-4] for line in text.splitlines() if line.startswith("==> ")] == found


def test_show_puts_a_line_before_each_text(path: str) -> None:
    result = ask(path, "show", "app-*", "--at", "@8")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "==> app-1.ini <==\none = 1\n\n==> app-2.ini <==\ntwo = 1\n"


def test_show_of_one_name_has_its_bytes_only(path: str) -> None:
    assert ask(path, "show", "app-2.ini").stdout == "two = 1"


def test_show_folds_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = list[int]()

    def counted(*arguments: Any) -> Any:
        folds.append(arguments[1])
        return rebuild.fleet_at(*arguments)

    monkeypatch.setattr(show, "fleet_at", counted)
    assert ask(path, "show", "*").exit_code == 0
    assert folds == [13]


def test_one_without_a_text_hides_no_other(path: str) -> None:
    result = ask(path, "show", "*", "--at", "@5")
    assert (result.exit_code, result.stdout) == (0, "==> app-1.ini <==\none = 1\n")
    assert "app-2.ini was not known then" in result.stderr
    assert "shop.ini was not known then" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("app-1.ini", "shop.ini"), ["app-1.ini", "shop.ini"]),
        (("app-1.ini", "shop.ini", "3", "9"), []),
        (("*", "@9", "@11"), ["app-1.ini", "shop.ini"]),
        (("*", "9", "10"), ["app-1.ini"]),
        (("shop.ini", "app-*", "9"), ["app-1.ini", "shop.ini"]),
        (("app-1*", "9"), ["app-1.ini"]),
        (("*", "--monitor", OTHER), ["shop.ini"]),
        (("*", "--running", "--monitor", MONITOR), ["app-1.ini"]),
    ],
    ids=[
        "names",
        "unchanged",
        "two times",
        "two events",
        "to now",
        "one fits",
        "source",
        "running",
    ],
)
def test_diff(path: str, arguments: tuple[str, ...], found: list[str]) -> None:
    result = ask(path, "diff", *arguments)
    assert result.exit_code == 0, result.stderr
    labels = [line for line in result.stdout.splitlines() if line.startswith("+++ ")]
    assert [line[4:].partition("\t")[0] for line in labels] == found
    told = json.loads(ask(path, "diff", *arguments, "--json").stdout)
    assert [one["vassal"] for one in told] == found
    assert "".join(one["diff"] for one in told) == result.stdout


def test_diff_of_one_has_no_list(path: str) -> None:
    told = json.loads(ask(path, "diff", "app-1.ini", "9", "10", "--json").stdout)
    assert told["diff"].endswith("-one = 1\n+one = 2\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "x*"), 1, "no vassal that was ever known here fits x*"),
        (("show", "app-1.ini", "app-3.ini"), 1, "did you mean"),
        (("diff", "app-1.ini", "app-3.ini"), 2, "app-3.ini"),
        (("diff", "app-1.ini", "3", "6", "9"), 2, "3 is no vassal that was ever known here"),
        (("diff", "*", "soon"), 2, "is not a time"),
        (("diff", "*", "3", "--running"), 2, "give no FROM and TO"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = ask(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_many_without_an_answer_are_counted(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        for number in range(30):
            builder.added(f"app-{number:02}.ini")
        builder.changed("app-00.ini", b"other\n")
    result = ask(path, "diff", "*")
    assert result.exit_code == 0
    assert result.stderr.count("had no other config") == 10
    assert "19 others have no answer either" in result.stderr
