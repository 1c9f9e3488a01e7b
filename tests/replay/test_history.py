"""``history``: which deploys it shows, and in which formats."""

import csv
import json
from pathlib import Path

import pytest
from emperord.journal import chain
from journal_builder import MONITOR, building, busy_fleet
from support.deploys import OTHER, history, run


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.added("b.ini", b"two\n", OTHER, path=None)  # 6
        builder.changed("a.ini", b"three\n")  # 7
        builder.accepting("a.ini", after=2.5)  # 8
        builder.removed("a.ini")  # 9
        builder.exited("a.ini", code=0)  # 10
        builder.up("a.ini", b"one\n")  # 11, 12, 13
    return path


def test_every_key(path: str) -> None:
    deploys = history(path, "a.ini")
    assert list(deploys[1].items()) == [
        ("seq", 7),
        ("at", "2026-11-24T06:00:07.000000000Z"),
        ("vassal", "a.ini"),
        ("monitor", MONITOR),
        ("kind", "vassal_changed"),
        ("config", chain.digest(b"three\n")),
        ("previous", chain.digest(b"one\n")),
        ("by", None),
        ("outcome", "accepting"),
        ("outcome_seq", 8),
        ("outcome_at", "2026-11-24T06:00:09.500000000Z"),
        ("removed", None),
        ("same_as", None),
    ]
    one, three = chain.digest(b"one\n"), chain.digest(b"three\n")
    assert [(deploy["config"], deploy["previous"]) for deploy in deploys] == [
        (one, None),
        (three, one),
        (None, three),
        (one, None),
    ]
    assert [(deploy["removed"], deploy["same_as"]) for deploy in deploys] == [
        (None, None), (None, None), (None, None), (9, 3),
    ]  # fmt: skip


def test_one_that_comes_back_is_told_with_what_it_had_before(path: str) -> None:
    one, three = (chain.digest(text)[:12] for text in (b"one\n", b"three\n"))
    row = run(path, "a.ini").stdout.splitlines()[-1]
    assert f"  {three} (removed, 9) -> {one} (as in event 3)  accepting" in row


def test_one_that_comes_back_with_another_text(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.removed("a.ini")  # 6
        builder.exited("a.ini", code=0)
        builder.up("a.ini", b"new\n")  # 8
    one, new = (chain.digest(text)[:12] for text in (b"one\n", b"new\n"))
    row = run(path, "a.ini").stdout.splitlines()[-1]
    assert f"  {one} (removed, 6) -> {new}  accepting" in row
    assert history(path, "a.ini")[-1]["same_as"] is None


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        ((), [3, 6, 7, 9, 11]),
        (("a.ini",), [3, 7, 9, 11]),
        (("b.ini",), [6]),
        (("--monitor", OTHER), [6]),
        (("--monitor", MONITOR, "--kind", "destroyed"), []),
        (("--kind", "vassal_removed"), [9]),
        (("--kind", "added", "--kind", "changed"), [3, 6, 7, 11]),
        (("--since", "2026-11-24T06:00:07Z"), [7, 9, 11]),
        (("--since", "2026-11-24T06:00:07.000000001Z"), [9, 11]),
        (("--until", "2026-11-24T06:00:06Z"), [3, 6]),
        (("a.ini", "--since", "2026-11-24T06:00:04Z", "--until", "2026-11-24T06:00:08Z"), [7]),
        (("--since", "-10m"), []),
    ],
)
def test_filters(
    path: str, arguments: tuple[str, ...], seqs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # An hour later, by the clock of who reads.
    monkeypatch.setattr("emperord.journal.times.now", lambda: 1_795_503_600_000_000_000)
    found = history(path, *arguments)
    assert [deploy["seq"] for deploy in found] == seqs
    all_of_them = {deploy["seq"]: deploy for deploy in history(path)}
    for deploy in found:  # events that are left out change nothing about the others
        assert deploy == all_of_them[deploy["seq"]]


def test_what_became_of_it_may_lie_behind_the_period(path: str) -> None:
    (deploy,) = history(path, "--until", "2026-11-24T06:00:04Z")
    assert (deploy["outcome"], deploy["outcome_seq"]) == ("accepting", 5)


def test_from_snapshots_it_is_the_same(tmp_path: Path) -> None:
    paths = []
    for every in (20, 10_000):
        paths.append(str(tmp_path / f"{every}.db"))
        with building(paths[-1], snapshot_every=every) as builder:
            busy_fleet(builder, 200, 5)
    for since in ("2026-11-24T06:01:00Z", "2026-11-24T06:02:30Z"):
        with_snapshots, without = (history(path, "--since", since) for path in paths)
        assert with_snapshots == without
        assert with_snapshots
    assert history(paths[0], "app003.ini") == [
        deploy for deploy in history(paths[1]) if deploy["vassal"] == "app003.ini"
    ]


def test_for_people(path: str) -> None:
    lines = run(path, "a.ini").stdout.splitlines()
    assert lines[0].split()[:2] == ["SEQ", "AT"]
    assert len(lines) == 5
    assert lines[2].split() == [
        "7", "2026-11-24", "06:00:07.000", "changed",
        chain.digest(b"one\n")[:12], "->", chain.digest(b"three\n")[:12],
        "accepting", "after", "2.50s", "a.ini,", "dir:vassals",
    ]  # fmt: skip


def test_a_monitor_without_deploys_is_none_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start((MONITOR, OTHER))
    result = run(path, "--monitor", OTHER)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("no deploys\n")
    listed = "there are dir:vassals (dir:///etc/vassals), pg:db"
    assert listed in run(path, "--monitor", "zoo://h/p").stderr


def test_as_a_table_for_programs(path: str) -> None:
    records = history(path)
    rows = list(csv.DictReader(run(path, "-o", "csv").stdout.splitlines()))
    assert rows == [{k: "" if v is None else str(v) for k, v in each.items()} for each in records]
    lines = run(path, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == records
    assert json.loads(run(path, "-o", "json").stdout) == records
    head, *table = run(path, "-o", "wide").stdout.splitlines()
    assert head.split() == [key.upper() for key in records[0]]
    assert [line.split()[0] for line in table] == [str(each["seq"]) for each in records]
    nothing = run(path, "-o", "csv", "--since", "2099-01-01")
    assert nothing.stdout == ",".join(records[0]) + "\n"


def test_nothing_to_tell(path: str) -> None:
    result = run(path, "--since", "2099-01-01")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("no deploys\n")
    assert run(path, "--json", "--since", "2099-01-01").stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("c.ini",), 1, "no vassal c.ini was ever known here\n"),
        (("B",), 1, "no vassal B was ever known here; did you mean b.ini?"),
        (("--kind", "chnged"), 2, "did you mean vassal_changed"),
        (("--kind", "nonsuch"), 2, "there are vassal_added, vassal_changed, vassal_removed,"),
        (("--monitor", "nonsuch"), 1, f"there are dir:vassals ({MONITOR}), pg:db ({OTHER})"),
        (("--monitor", f"{MONITOR}s"), 1, f"did you mean {MONITOR}?"),
        (("--since", "@9", "--until", "@7"), 2, "--since is after --until"),
        (("--json", "-o", "csv"), 2, "--json is -o json; give one of them"),
        (("-o", "xml"), 2, "'xml' is not one of 'short', 'wide', 'json', 'jsonl', 'csv'"),
        (("--kind", "exited"), 2, "there is no kind 'exited'"),
        (("--since", "soon"), 2, "'soon' is not a time"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
