"""``why`` of several vassals."""

import json
from pathlib import Path

import pytest
from journal_builder import building
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("app-1.ini")  # 3, 4, 5
        builder.up("app-2.ini")  # 6, 7, 8
        builder.up("other.ini")  # 9, 10, 11
    return path


run = asking("why")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        pytest.param(("app-*",), ["app-1.ini", "app-2.ini"], id="pattern"),
        pytest.param(("other.ini", "app-1.ini"), ["app-1.ini", "other.ini"], id="names"),
        pytest.param(("*-2.ini",), ["app-2.ini"], id="one-fits"),
    ],
)
def test_several(path: str, names: tuple[str, ...], found: list[str]) -> None:
    told = json.loads(run(path, *names, "--json").stdout)
    one = json.loads(run(path, found[0], "--json").stdout)
    assert told[0] == one  # each as by itself
    assert len(told) == len(found)
    stories = run(path, *names).stdout.split("\n\n\n")
    texts = "".join(stories)
    assert [name for name in ("app-1.ini", "app-2.ini", "other.ini") if f"{name} is" in texts] == (
        found
    )


def test_one_that_was_not_known_then_hides_no_other(path: str) -> None:
    result = run(path, "app-*", "--at", "@5")
    assert (result.exit_code, "app-1.ini is" in result.stdout) == (0, True)
    assert "app-2.ini was not known then" in result.stderr


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        (("x*",), 1, "no vassal that was ever known here fits x*"),
        (("app-1.ini", "app-3.ini"), 1, "did you mean"),
        ((), 2, "NAME..."),
    ],
)
def test_what_cannot_be_told(path: str, names: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *names)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
