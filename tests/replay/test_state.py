"""``state``: the fleet as it stood."""

import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.daemon.core.fleet import to_json
from emperord.journal import chain
from emperord.journal.reading import open_journal
from emperord.replay.main import cli
from emperord.replay.rebuild import fleet_at
from emperord.replay.state import HEAD
from journal_builder import MONITOR, START, Builder, building, busy_fleet
from support.replaying import asking


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start(throttle=5000)  # 1, 2
        builder.up("a.ini", b"one\n", pid=41)  # 3, 4, 5
        builder.of_attempt("vassal_loyal", "a.ini")  # 6
        builder.added("b.ini", b"two\n", uid=33, gid=34)  # 7
        builder.spawned("b.ini")  # 8
        builder.exited("b.ini", code=1)  # 9
        builder.added("c.ini", None, path=None, socket="127.0.0.1:3031")  # 10
    return path


run = asking("state")


def state(path: str, *arguments: str) -> Any:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_key_of_a_vassal(path: str) -> None:
    fleet = state(path)
    assert list(fleet) == ["seq", "at", "vassals"]
    assert (fleet["seq"], fleet["at"]) == (10, "2026-11-24T06:00:10.000000000Z")
    assert list(fleet["vassals"][0].items()) == [
        ("name", "a.ini"),
        ("monitor", MONITOR),
        ("phase", "accepting"),
        ("loyal", True),
        ("deaf", False),
        ("done", False),
        ("listens", False),
        ("pid", 41),
        ("attempt", 3),
        ("config", chain.digest(b"one\n")),
        ("running", chain.digest(b"one\n")),
        ("due", None),
        ("target", chain.digest(b"one\n")),
        ("check", None),
        ("refused", None),
        ("rolled_back", None),
        ("rollout", None),
        ("candidate", None),
        ("path", "/etc/vassals/a.ini"),
        ("ts", START + 2 * 10**9),
        ("uid", None),
        ("gid", None),
        ("socket", None),
        ("deaths", 0),
        ("restarts", 0),
        ("last_exit", None),
        ("hold", None),
        ("not_before", None),
        ("reason", None),
    ]


def test_a_vassal_that_waits_for_its_next_try(path: str) -> None:
    assert state(path)["vassals"][1] == {
        "name": "b.ini",
        "monitor": MONITOR,
        "phase": "throttled",
        "loyal": False,
        "deaf": False,
        "done": False,
        "listens": False,
        "pid": None,
        "attempt": None,
        "config": chain.digest(b"two\n"),
        "running": None,
        "due": "start",
        "target": chain.digest(b"two\n"),
        "check": None,
        "refused": None,
        "rolled_back": None,
        "rollout": None,
        "candidate": None,
        "path": "/etc/vassals/b.ini",
        "ts": START + 6 * 10**9,
        "uid": 33,
        "gid": 34,
        "socket": None,
        "deaths": 1,
        "restarts": 1,
        "last_exit": {
            "seq": 9,
            "at": "2026-11-24T06:00:09.000000000Z",
            "how": "exit code 1",
            "whose": None,
            "code": 1,
            "signal": None,
            "order": None,
            "oom": None,
        },
        "hold": None,
        "not_before": "2026-11-24T06:00:14.000000000Z",
        "reason": "exit code 1",
    }


def test_a_vassal_on_demand(path: str) -> None:
    listening = state(path)["vassals"][2]
    assert listening["phase"] == "listening"
    assert (listening["config"], listening["path"], listening["socket"]) == (
        None,
        None,
        "127.0.0.1:3031",
    )


@pytest.mark.parametrize(
    ("arguments", "seq", "phases"),
    [
        (("--seq", "0"), 0, []),
        (("--seq", "3"), 3, ["starting"]),
        (("--seq", "5"), 5, ["accepting"]),
        (("--at", "2026-11-24T06:00:05Z"), 5, ["accepting"]),
        (("--at", "2026-11-24T06:00:05.999999999Z"), 5, ["accepting"]),
        (("--at", "2026-11-24T07:00:04+01:00"), 4, ["starting"]),
        (("--at", "2026-11-23"), 0, []),
        (("--at", "2099-01-01"), 10, ["accepting", "throttled", "listening"]),
    ],
)
def test_at_a_time_or_an_event(
    path: str, arguments: tuple[str, ...], seq: int, phases: list[str]
) -> None:
    fleet = state(path, *arguments)
    assert fleet["seq"] == seq
    assert (fleet["at"] is None) == (seq == 0)
    assert [vassal["phase"] for vassal in fleet["vassals"]] == phases


def test_for_people(path: str) -> None:
    lines = run(path).stdout.splitlines()
    assert lines[0] == "after event 10, 2026-11-24 06:00:10.000 UTC: 3 vassals"
    assert lines[1] == "b.ini: throttled: death 1 in a row: exit code 1"
    assert lines[2].split() == " ".join(HEAD).split()
    assert lines[3].split()[:2] == ["a.ini", "accepting"]
    assert "exit code 1; next try 06:00:14.000" in lines[4]
    starts = {line.index("dir:vassals") for line in lines[3:]}
    assert len(starts) == 1, "the columns are not aligned"
    assert run(path, "--seq", "0").stdout == "before the first event: no vassals\n"


def test_many_that_are_not_well_do_not_bury_the_table(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        for number in range(12):
            builder.added(f"a{number:02}.ini", bar="owned by root")
    lines = run(path).stdout.splitlines()
    assert lines[1] == "a00.ini: barred: owned by root"
    assert lines[11] == "and 2 others are barred"
    assert lines[12].startswith("VASSAL")


def test_names_cannot_upset_a_terminal(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("\x1b[31mred\n.ini")
    text = run(path).stdout
    assert "\x1b" not in text
    assert "\\x1b[31mred\\n.ini" in text


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--seq", "11"), 1, "there is no event 11; the last one is 10"),
        (("--seq", "-1"), 2, "--seq"),
        (("--at", "soon"), 2, "'soon' is not a time"),
        (("--at", "2026-11-24", "--seq", "3"), 2, "give one of them"),
        (("extra",), 1, "no vassal extra was ever known here"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


def test_a_damaged_tail_is_named_and_what_is_before_it_can_be_seen(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET vassal = 'a.ini' WHERE seq = 9")
    result = run(path)
    assert result.exit_code == 3
    assert "event 9 is not what was written" in result.stderr
    assert "--seq 8" in result.stderr
    assert len(state(path, "--seq", "8")["vassals"]) == 2


# Snapshots


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("long") / "journal.db")
    with building(path, snapshot_every=100) as builder:
        busy_fleet(builder, 350, 7)
    return path


def test_with_and_without_snapshots_it_is_the_same(long: str) -> None:
    with open_journal(long) as reader:
        for seq in range(0, reader.head.seq + 1, 7):
            quick, full = fleet_at(reader, seq), fleet_at(reader, seq, full=True)
            assert to_json(quick) == to_json(full)
            assert quick.seq == seq


LIE = "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 300"


def test_a_snapshot_is_a_shortcut_unless_told_otherwise(long: str, tmp_path: Path) -> None:

    path = str(tmp_path / "journal.db")
    shutil.copy(long, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (packed,) = db.execute("SELECT fleet FROM snapshot WHERE seq = 300").fetchone()
        lie = zlib.compress(zlib.decompress(packed).replace(b"app003.ini", b"bpp003.ini"))
        db.execute(LIE, (lie, chain.digest(lie)))
    assert "bpp003.ini" in {vassal["name"] for vassal in state(path)["vassals"]}
    assert state(path, "--full") == state(long)
    assert state(path, "--seq", "299") == state(long, "--seq", "299")


@pytest.mark.parametrize("fleet", [b"not zlib", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_snapshot_that_cannot_be_used_is_passed_over(
    long: str, tmp_path: Path, fleet: bytes
) -> None:

    path = str(tmp_path / "journal.db")
    shutil.copy(long, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE snapshot SET fleet = ?, check_sum = ?", (fleet, chain.digest(fleet)))
    assert state(path) == state(long)


# After an archive of old events


def behind(path: str, seq: int) -> None:
    """Cut off the events up to ``seq``, as ``archive`` does; a snapshot of it must be there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "UPDATE chain SET (seq, hash) = (SELECT seq, hash FROM event WHERE seq = ?)"
            " WHERE name = 'anchor'",
            (seq,),
        )
        db.execute("DELETE FROM snapshot WHERE seq < ?", (seq,))
        for table in ("event", "deploy"):
            db.execute(f"DELETE FROM {table} WHERE seq <= ?", (seq,))


def test_a_file_that_does_not_begin_with_the_first_event(long: str, tmp_path: Path) -> None:

    path = str(tmp_path / "journal.db")
    shutil.copy(long, path)
    behind(path, 200)
    assert state(path) == state(path, "--full") == state(long)
    assert state(path, "--seq", "200") == state(long, "--seq", "200")
    result = run(path, "--seq", "199")
    assert result.exit_code == 1
    assert "begins with event 201; look in the archive" in result.stderr
    result = run(path, "--at", "2026-11-24")
    assert result.exit_code == 1
    assert "look in the archive" in result.stderr
    verified = CliRunner().invoke(cli, ["--journal", path, "verify"])
    assert verified.exit_code == 0, verified.output


def test_a_source_that_is_away_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        assert isinstance(builder, Builder)
        builder.start()
        builder.event("monitor_failed", monitor="pg://db;SELECT 1", reason="refused")
    assert (
        "cannot be read since 2026-11-24 06:00:03.000: pg://db;SELECT 1: refused"
        in run(path).stdout
    )


def test_a_young_journal_copied_without_its_log(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with building(str(tmp_path / "journal.db")) as builder:
        builder.start()
        shutil.copy(tmp_path / "journal.db", copy)
    result = run(str(copy))
    assert (result.exit_code, result.stdout) == (0, "before the first event: no vassals\n")
    assert result.stderr == (
        f"emperor-replay: {copy}: no event was written yet;"
        " if it was copied, its -wal file must be copied with it\n"
    )
