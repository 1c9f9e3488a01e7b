"""A journal that begins with a snapshot tells of vassals that have no event in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from emperord.journal.reading import Reader
from emperord.replay import search
from journal_builder import MONITOR, OTHER, building
from support.archives import ask, cut

CUT = 19


@pytest.fixture
def path(tmp_path: Path, few_stay: None) -> Path:
    """Events 1 to ``CUT`` went to an archive."""
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start((MONITOR, OTHER))
        for name in ("silent.ini", "changed.ini", "ignored.ini", "removed.ini"):
            builder.up(name, b"[uwsgi]\nworkers = 4\n")  # 3-5, 6-8, 9-11, 12-14
        builder.up("other.ini", b"[uwsgi]\n")  # 15, 16, 17
        builder.removed("removed.ini")  # 18: stops
        builder.checkpoint()  # 19
        builder.exited("removed.ini", code=0)  # 20
        builder.changed("changed.ini", b"[uwsgi]\n")  # 21
        builder.added("ignored.ini", b"[uwsgi]\n", OTHER)  # 22: the name is another source's
        builder.changed("other.ini", b"workers = 4\n")  # 23
        builder.checkpoint()
    cut(path, CUT, tmp_path / "old.db")
    return path


def found(path: Path, *words: str) -> list[tuple[Any, ...]]:
    result = ask(path, "search", "--json", *words)
    assert result.exit_code == 0, result.stderr
    keys = ("vassal", "came_seq", "went_seq")
    return [tuple(each[key] for key in keys) for each in json.loads(result.stdout)]


IGNORED, SILENT = ("ignored.ini", None, None), ("silent.ini", None, None)
CHANGED, LATER = ("changed.ini", None, 21), ("other.ini", 23, None)


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        pytest.param(("workers = 4",), [CHANGED, IGNORED, SILENT, LATER], id="all"),
        pytest.param(("workers = 4", "--now"), [IGNORED, SILENT, LATER], id="now"),
        pytest.param(("workers = 4", "silent.ini"), [SILENT], id="name"),
        pytest.param(("workers = 4", "s*"), [SILENT], id="pattern"),
        pytest.param(("workers = 4", "--until", "@20"), [CHANGED, IGNORED, SILENT], id="until"),
        pytest.param(("workers = 4", "--since", "@22"), [IGNORED, SILENT, LATER], id="since"),
        pytest.param(
            ("workers = 4", "--monitor", MONITOR), [CHANGED, IGNORED, SILENT, LATER], id="source"
        ),
    ],
)
@pytest.mark.parametrize("way", ["few", "many", "folded"])
def test_search_finds_what_came_before_the_file(
    path: Path, way: str, words: tuple[str, ...], stays: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "few":
        monkeypatch.setattr(search, "FEW", -1)
    if way == "folded":
        monkeypatch.setattr(Reader, "has_deploys", lambda _: False)
    assert found(path, *words) == stays


def test_search_and_show_agree_on_the_present(path: Path) -> None:
    now = {name for name, *_ in found(path, "workers = 4", "--now")}
    state = json.loads(ask(path, "state", "--json").stdout)
    names = [each["name"] for each in state["vassals"]]
    assert now == {name for name in names if "workers = 4" in ask(path, "show", name).stdout}
    assert "before" in ask(path, "search", "workers = 4", "silent.ini").stdout


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        pytest.param("why silent.ini", 0, "silent.ini is accepting", id="why"),
        pytest.param("report silent.ini", 0, "silent.ini", id="report"),
        pytest.param("runs silent.ini", 0, "silent.ini", id="runs"),
        pytest.param("events silent.ini", 0, "", id="events"),
        pytest.param("blame silent.ini", 1, "brought the config of silent.ini;", id="blame"),
        pytest.param("why silent.in", 1, "did you mean silent.ini", id="a near name"),
    ],
)
def test_a_vassal_without_an_event_is_known(path: Path, command: str, code: int, says: str) -> None:
    result = ask(path, *command.split())
    assert result.exit_code == code, result.output
    assert says in result.output


def test_diff_begins_with_the_config_that_a_vassal_had_there(path: Path) -> None:
    whole = ask(path, "diff", "changed.ini")
    assert whole.exit_code == 0
    old, new, _, *lines = whole.stdout.splitlines()
    assert old.startswith(f"--- changed.ini\tbefore event {CUT + 1}, ")
    assert new.startswith("+++ changed.ini\tevent 21, ")
    assert lines == [" [uwsgi]", "-workers = 4"]
    digest = chain.digest(b"[uwsgi]\nworkers = 4\n")
    assert ask(path, "diff", "changed.ini", digest[:8], "@21").stdout == whole.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(
            ("silent.ini",), "no other config of silent.ini from before event 19", id="no"
        ),
        pytest.param(("changed.ini", "@6"), "had no config at event 6 in this file", id="event"),
        pytest.param(("changed.ini", "abcdef"), "had no config abcdef in this file", id="digest"),
    ],
)
def test_diff_names_the_archive(path: Path, words: tuple[str, ...], says: str) -> None:
    told = ask(path, "diff", *words)
    assert told.exit_code != 0
    assert says in told.stderr
    assert "; look in the archive" in told.stderr


def test_why_and_incident_name_the_config_that_ran_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    digest = chain.digest(b"good\n")[:12]
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini", b"good\n")
        for _ in range(120):
            builder.event("pressure_observed", cpu=1)
        builder.changed("a.ini", b"bad\n")  # 126
        builder.exited("a.ini", code=1)
    cut(path, CUT, tmp_path / "old.db")
    told = ask(path, "why", "a.ini").stdout
    assert f"broken by 126, last good config {digest} (archived)" in told
    told = ask(path, "incident", "a.ini").stdout
    assert f"--- config {digest} (archived)\n+++ event 126" in told


@pytest.mark.usefixtures("few_stay")
@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param(1, "broken by 11, none good before", id="may be in a loop"),
        pytest.param(60, "broken by 11, last good config ", id="stays up"),
    ],
)
def test_a_config_that_died_before_the_file_is_good_if_the_vassal_stays_up(
    tmp_path: Path, after: int, told: str
) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini", b"first\n")
        builder.exited("a.ini", code=1)
        deadline = builder.fleet.vassals["a.ini"].deadline
        builder.event("deadline_passed", "a.ini", deadline=deadline)
        builder.spawned("a.ini")
        builder.accepting("a.ini")  # 9
        builder.event("pressure_observed", after=after, cpu=1)
        builder.changed("a.ini", b"bad\n")  # 11
        builder.exited("a.ini", code=1)
    cut(path, 9, tmp_path / "old.db")
    assert told in ask(path, "why", "a.ini").stdout
