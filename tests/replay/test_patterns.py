"""Commands about a vassal take a pattern, and then answer for each that it means."""

import json
from pathlib import Path

import pytest
from journal_builder import building
from support.replaying import asking

ask = asking()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        for name in ("app-1.ini", "app-2.ini", "other.ini"):
            builder.up(name, b"good = 1\n")
        for name in ("app-1.ini", "app-2.ini"):
            builder.changed(name, b"bad = 1\n")
            builder.exited(name, code=1)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


@pytest.mark.parametrize("command", ["incident", "graph", "bisect", "blame", "why"])
def test_each_that_a_pattern_means(path: str, command: str) -> None:
    result = ask(path, command, "app-*", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    named = [one["vassal"] for one in json.loads(result.stdout)]
    assert sorted(set(named)) == ["app-1.ini", "app-2.ini"]
    text = ask(path, command, "app-*").stdout
    for name in ("app-1.ini", "app-2.ini"):
        alone = ask(path, command, name).stdout
        assert alone in text, text
    assert isinstance(json.loads(ask(path, command, "app-?.ini", "--json").stdout), list)


def test_one_of_a_pattern_without_an_answer_hides_no_other(path: str) -> None:
    result = ask(path, "bisect", "*", "--json")
    assert (result.exit_code, len(json.loads(result.stdout))) == (0, 2)
    assert "no deploy of other.ini is bad" in result.stderr
    result = ask(path, "bisect", "o*")
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize("command", ["incident", "graph", "bisect", "blame"])
def test_a_pattern_that_fits_none(path: str, command: str) -> None:
    result = ask(path, command, "shop-*")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no vassal that was ever known here fits shop-*" in result.stderr


def test_a_picture_is_of_one(path: str) -> None:
    assert ask(path, "graph", "app-*", "-o", "svg").exit_code == 2
    assert ask(path, "graph", "app-1*", "-o", "svg").stdout.startswith("<svg")


def test_texts_for_programs(path: str) -> None:
    shown = json.loads(ask(path, "show", "app-1.ini", "--json").stdout)
    assert (shown["vassal"], shown["text"], len(shown["config"])) == ("app-1.ini", "bad = 1\n", 64)
    found = json.loads(ask(path, "diff", "app-1.ini", "--json").stdout)
    assert found["diff"].endswith("-good = 1\n+bad = 1\n")
    assert ask(path, "diff", "app-1.ini", "nonsense", "--json").exit_code == 2
