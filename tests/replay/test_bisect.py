"""``bisect``: the deploy that first made a vassal fail."""

import json
from pathlib import Path
from typing import Any

import pytest
from journal_builder import building
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"[uwsgi]\nworkers = 4\n")  # 3, 4, 5: good
        builder.changed("a.ini", b"[uwsgi]\nworkers = 5\n")  # 6
        builder.changed("a.ini", b"[uwsgi]\nworkers = 64\n")  # 7: 6 tells nothing
        builder.accepting("a.ini")  # 8: with 6, so 7 is reloaded
        builder.exited("a.ini", code=1)  # 9: 7 is the first bad one
        builder.changed("a.ini", b"[uwsgi]\nworkers = 64\nlazy = 1\n")  # 10
        builder.spawned("a.ini")  # 11
        builder.exited("a.ini", code=1)  # 12
        builder.changed("a.ini", b"[uwsgi]\nworkers = 4\n")  # 13
        builder.spawned("a.ini")  # 14
        builder.accepting("a.ini")  # 15: good again
        builder.added("always.ini", b"bad\n")  # 16
        builder.spawned("always.ini")  # 17
        builder.exited("always.ini", code=1)  # 18
        builder.up("good.ini")  # 19, 20, 21
        builder.up("same.ini", b"one\n")  # 22, 23, 24
        builder.changed("same.ini", b"one\n")  # 25
        builder.exited("same.ini", code=1)  # 26
        builder.added("large.ini", None)  # 27
        builder.spawned("large.ini")  # 28
        builder.accepting("large.ini")  # 29
        builder.changed("large.ini", b"x\n")  # 30
        builder.exited("large.ini", code=1)  # 31
    return path


run = asking("bisect")


def found(path: str, *arguments: str) -> dict[str, Any]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(
    ("arguments", "first_bad", "last_good", "between", "good_again"),
    [
        pytest.param(("a.ini",), 7, 3, [6], 13, id="by-outcome"),
        pytest.param(("a.ini", "--seq", "12"), 7, 3, [6], None, id="as-it-was"),
        pytest.param(("a.ini", "--outcome", "died"), 7, 3, [6], 13, id="an-outcome"),
        pytest.param(("a.ini", "--outcome", "accepting"), 13, 10, [], None, id="good-is-bad"),
        pytest.param(("a.ini", "--outcome", "superseded"), 6, 3, [], 7, id="superseded"),
        pytest.param(("a.ini", "--line", "= 64"), 7, 6, [], 13, id="by-line"),
        pytest.param(("a.ini", "--line", "lazy"), 10, 7, [], 13, id="by-another-line"),
        pytest.param(("always.ini",), 16, None, [], None, id="never-good"),
        pytest.param(("same.ini",), 25, 22, [], None, id="same-config"),
        pytest.param(("a.ini", "--since", "@7", "--until", "@12"), 7, 3, [6], None, id="period"),
        pytest.param(("a.ini", "--until", "2026-11-24T06:00:12Z"), 7, 3, [6], None, id="until"),
        pytest.param(("a.ini", "--since", "@10", "--line", "lazy"), 10, 7, [], 13, id="since"),
        pytest.param(("a.ini", "--until", "@999"), 7, 3, [6], 13, id="until-after-the-end"),
        pytest.param(("large.ini", "--line", "x"), 30, None, [27], None, id="not-recorded"),
    ],
)
def test_deploys(
    path: str,
    arguments: tuple[str, ...],
    first_bad: int,
    last_good: int | None,
    between: list[int],
    good_again: int | None,
) -> None:
    told = found(path, *arguments)
    seqs = [None if told[key] is None else told[key]["seq"] for key in ("last_good", "good_again")]
    assert (told["first_bad"]["seq"], *seqs) == (first_bad, last_good, good_again)
    assert [each["seq"] for each in told["between"]] == between


def test_the_difference(path: str) -> None:
    diff = "@@ -1,2 +1,2 @@\n [uwsgi]\n-workers = 4\n+workers = 64\n"
    assert found(path, "a.ini")["diff"].endswith(diff)
    assert found(path, "always.ini")["diff"] == ""
    assert found(path, "large.ini")["diff"] is None
    assert run(path, "a.ini").stdout.endswith(diff)


def test_for_people(path: str) -> None:
    lines = run(path, "a.ini").stdout.splitlines()
    assert lines[0] == "a.ini: event 7 is the first bad deploy"
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["last", "good:", "3"],
        ["tells", "nothing:", "6"],
        ["first", "bad:", "7"],
    ]
    assert lines[3].endswith("died after 2.00s (event 9)")
    assert lines[4] == "bad since then: 2 deploys"
    assert lines[5].startswith("good again:")
    assert "both have the same config" in run(path, "same.ini").stdout
    assert "no good deploy before it" in run(path, "always.ini").stdout
    assert "over 1 MiB" in run(path, "large.ini").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("good.ini",), 1, "no deploy of good.ini is bad; it has 1, of them 1 good"),
        (("a.ini", "--seq", "2"), 1, "a.ini has no deploy up to event 2"),
        (("a",), 1, "did you mean"),
        (
            ("a.ini", "--since", "@10"),
            1,
            "a.ini was bad before the period: event 7 is the first bad",
        ),
        (("a.ini", "--since", "@13"), 1, "of a.ini in the period (events 13 to 31) is bad; it has"),
        (("a.ini", "--since", "@14"), 1, "a.ini has no deploy in the period (events 14 to 31)"),
        (("a.ini", "--since", "@99"), 1, "no deploy in the period, in which no event is"),
        (("a.ini", "--since", "@9", "--until", "@7"), 2, "--since is after --until"),
        (("a.ini", "--since", "@9", "--seq", "7"), 2, "--since is after --seq"),
        (("a.ini", "--seq", "9", "--until", "@8"), 2, "--seq and --until both say when"),
        (("a.ini", "--line", ""), 2, "--line is empty"),
        (("a.ini", "--line", "x", "--outcome", "died"), 2, "give one"),
        (("a.ini", "--outcome", "bad"), 2, "'bad' is not one of"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_the_text_before_the_bad_deploys(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"good = 1\n")
        builder.changed("a.ini", b"bad = 1\n")
        builder.exited("a.ini", code=1)
    show = asking("show")
    assert show(path, "a.ini").stdout == "bad = 1\n"
    assert show(path, "a.ini", "--last-good").stdout == "good = 1\n"
    assert show(path, "a.ini", "--last-good", "--running").exit_code == 2
    early = show(path, "a.ini", "--last-good", "--seq", "5")
    assert (early.exit_code, "no deploy of a.ini is bad" in early.stderr) == (1, True)
