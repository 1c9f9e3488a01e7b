"""The options that say which events: names, a user, a boot, a number; and following a journal."""

import json
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.core.fleet import Fleet
from emperord.journal.policy import Policy
from emperord.journal.reading import Reader
from emperord.replay import sources
from emperord.replay.main import cli
from emperord.replay.rebuild import base
from journal_builder import MONITOR, Builder, building
from support.replaying import asking

BOOTS = ("5e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e", "6e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e")
PATIENCE = 30.0


def started(builder: Builder, boot: str) -> int:
    return builder.event(
        "daemon_started", version="1", boot=boot, pid=1, policy=Policy(), monitors=(MONITOR,)
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        started(builder, BOOTS[0])  # 1
        builder.event("daemon_ready")  # 2
        builder.added("app-1.ini")  # 3
        builder.added("app-2.ini")  # 4
        builder.added("other.ini")  # 5
        started(builder, BOOTS[0])  # 6: the same boot
        builder.operator("stop", "app-1.ini", uid=1000)  # 7
        started(builder, BOOTS[1])  # 8
        builder.operator("start", "app-1.ini", uid=0)  # 9
        builder.changed("app-2.ini", b"two\n")  # 10
        started(builder, BOOTS[0])  # 11: another machine, or a copy
        builder.event("operator_requested", "other.ini", request="stop", uid=0, loginuid=1000)  # 12
    return path


run = asking()


def test_a_journal_without_a_start_has_no_boot(tmp_path: Path) -> None:
    empty = str(tmp_path / "empty.db")
    with building(empty):
        pass
    result = run(empty, "events", "--boot", "0")
    assert result.exit_code == 1
    assert "no daemon_started is in this journal" in result.stderr


@pytest.mark.parametrize(
    "command",
    [("state",), ("show", "app-2.ini"), ("why", "app-2.ini"), ("export-configs", "--sql")],
    ids=lambda command: command[0],
)
def test_until_is_at_where_a_moment_is_told(path: str, command: tuple[str, ...]) -> None:
    told = run(path, *command, "--until", "@9")
    assert (told.exit_code, told.stdout) == (0, run(path, *command, "--at", "@9").stdout)
    assert told.stdout != run(path, *command).stdout


def seqs(path: str, *arguments: str) -> list[int]:
    result = run(path, *arguments, "-o", "jsonl")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["seq"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param(("app-*",), [3, 4, 7, 9, 10], id="pattern"),
        pytest.param(("app-?.ini", "other.ini"), [3, 4, 5, 7, 9, 10, 12], id="patterns"),
        pytest.param(("app-[2].ini",), [4, 10], id="one-fits"),
        pytest.param(("app-*", "-n", "2"), [9, 10], id="last-of-some"),
        pytest.param(("app-*", "-n", "99"), [3, 4, 7, 9, 10], id="more-than-there-are"),
        pytest.param(("-n", "2"), [11, 12], id="last"),
        pytest.param(("-n", "0"), [], id="none"),
        pytest.param(("-n", "1", "--kind", "changed"), [10], id="last-of-a-kind"),
        pytest.param(("-n", "1", "--until", "@9"), [9], id="last-of-a-period"),
        pytest.param(("-n", "9", "--since", "@11"), [11, 12], id="no-more-than-the-period"),
        pytest.param(("--by", "1000"), [7, 12], id="by"),
        pytest.param(("--by", pwd.getpwuid(0).pw_name), [9, 12], id="by-name"),
        pytest.param(("--by", "1000", "-n", "1"), [12], id="last-by"),
        pytest.param(("--boot", "0"), [11, 12], id="last-boot"),
        pytest.param(("--boot", "-1"), [8, 9, 10], id="boot-before"),
        pytest.param(("--boot", "1"), [1, 2, 3, 4, 5, 6, 7], id="first-boot"),
        pytest.param(("--boot", BOOTS[1]), [8, 9, 10], id="boot-id"),
        pytest.param(("--boot", BOOTS[1].replace("-", "")), [8, 9, 10], id="boot-id-plain"),
        pytest.param(("--boot", "-1", "--since", "@9"), [9, 10], id="boot-and-period"),
    ],
)
def test_events(path: str, arguments: tuple[str, ...], found: list[int]) -> None:
    assert seqs(path, "events", *arguments) == found


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param((), [3, 4, 5, 10], id="all"),
        pytest.param(("app-*",), [3, 4, 10], id="pattern"),
        pytest.param(("app-*", "-n", "2"), [4, 10], id="last-of-some"),
        pytest.param(("-n", "2"), [5, 10], id="last"),
        pytest.param(("--boot", "-1"), [10], id="boot"),
    ],
)
@pytest.mark.parametrize("full", [(), ("--full",)], ids=["stored", "folded"])
def test_history(
    path: str, arguments: tuple[str, ...], found: list[int], full: tuple[str, ...]
) -> None:
    assert seqs(path, "history", *arguments, *full) == found


def test_more_names_than_are_read_by_the_index(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=100) as builder:
        builder.start()
        for turn in range(3):
            for number in range(30):
                announce = builder.changed if turn else builder.added
                announce(f"app-{number}.ini", b"%d\n" % turn)
        builder.added("other.ini")
    assert seqs(path, "events", "app-*") == list(range(3, 93))
    assert seqs(path, "events", "app-*", "-n", "3") == [90, 91, 92]
    assert seqs(path, "history", "app-1*") == seqs(path, "history", "app-1*", "--full")


def test_a_name_with_the_characters_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("a[1].ini")  # 3
        builder.added("a1.ini")  # 4
    assert seqs(path, "events", "a[1].ini") == [3]
    assert seqs(path, "events", "a[[]1].ini", "a?.ini") == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("x*",), 1, "no vassal that was ever known here fits x*"),
        (("app-3.ini",), 1, "did you mean"),
        (("--boot", "4"), 1, "there is no boot 4 here; 3 boots are in this journal"),
        (("--boot", "-3"), 1, "there is no boot -3 here"),
        (("--boot", "f" * 32), 1, "there is no boot"),
        (("--boot", "x"), 2, "write 0, -1, 1 or a boot id"),
        (("--by", "nonsuch-user"), 2, "there is no user nonsuch-user"),
        (("-n", "-1"), 2, "0 or more"),
        (("-f", "-o", "json"), 2, "-o json has an end; with -f say short, jsonl or csv"),
        (("-f", "--until", "@3"), 2, "-f has no end"),
    ],
)
def test_what_cannot_be_told(path: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = run(path, "events", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


# Following


@contextmanager
def following(path: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "emperord.replay.main", "--journal", path, "events", "-f"]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_seq(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["seq"])


def test_follow_tells_what_is_written_and_ends_by_an_interrupt(path: str) -> None:
    with following(path, "--json", "-n", "1", "app-*") as process:
        assert next_seq(process) == 10
        with building(path) as builder:
            builder.added("other-2.ini")  # 13
            builder.added("app-3.ini")  # 14: new, and fits
            assert next_seq(process) == 14
            builder.changed("app-1.ini")  # 15
            assert next_seq(process) == 15
        with building(path) as builder:  # a daemon that starts again
            builder.changed("app-1.ini", b"again\n")  # 16
        assert next_seq(process) == 16
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not os.path.exists(path + "-wal")  # the journal was closed as if no process had read it


def test_follow_of_a_table_has_one_head(path: str) -> None:
    with following(path, "-o", "csv", "-n", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("seq,at,kind")
        with building(path) as builder:
            builder.changed("app-1.ini")
            assert process.stdout.readline().startswith("13,")
            builder.changed("app-2.ini")
            assert process.stdout.readline().startswith("14,")


def test_follow_ends_with_its_reader_though_nothing_happens(path: str) -> None:
    with following(path, "--json", "-n", "1") as process:
        assert next_seq(process) == 12
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == -signal.SIGPIPE


def test_follow_ends_where_another_journal_is_put_in_place(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    with building(other) as builder:
        builder.start()
    with following(path, "--json", "-n", "1") as process:
        assert next_seq(process) == 12
        os.replace(other, path)
        assert process.wait(PATIENCE) == 3
        assert process.stderr is not None
        assert "another journal is there now, without the event 12" in process.stderr.read()


def test_a_damaged_start_hides_no_other_boot(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE event SET body = '{' WHERE seq = 6")
    assert seqs(path, "events", "--boot", "-1") == [8, 9, 10]


def test_the_last_of_several_journals(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    with building(other) as builder:
        builder.start()
        builder.event(
            "operator_requested", after=60, request="reload", uid=0
        )  # 3: the last of both
    journals = ("--journal", f"a={path}", "--journal", f"b={other}")
    result = CliRunner().invoke(cli, [*journals, "events", "-n", "2", "--json"])
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["host"], one["seq"]) for one in told] == [("a", 12), ("b", 3)]
    result = CliRunner().invoke(cli, [*journals, "history", "app-*", "-n", "1", "-o", "jsonl"])
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [10]


def test_the_names_of_sources_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=4) as builder:
        builder.start()
        builder.up("a.ini")
        builder.event("daemon_stopped")
    read = list[int]()

    def counted(reader: Reader, upto: int) -> tuple[Fleet, bytes]:
        read.append(upto)
        return base(reader, upto)

    monkeypatch.setattr(sources, "base", counted)
    result = run(path, "events", "--monitor", "dir:vassals")
    assert (result.exit_code, len(read)) == (0, 1)
