"""``-f``: events of several journals, and deploys whose outcomes come later."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from emperord.journal.events import Spec
from journal_builder import MONITOR, building
from support.replaying import asking

PATIENCE = 30.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()  # 1, 2
        builder.up("a.ini")  # 3, 4, 5
    return path


@contextmanager
def following(journals: list[str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    told = [word for each in journals for word in ("--journal", each)]
    command = [sys.executable, "-m", "emperord.replay.main", *told, *arguments, "-f"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    one: dict[str, object] = json.loads(process.stdout.readline())
    return one


def outcome(process: subprocess.Popen[str]) -> dict[str, object]:
    """The next one that is not pending: a deploy may be seen before its outcome has come."""
    while (one := told(process))["outcome"] == "pending":
        pass
    return one


def test_several_journals(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    with building(other) as builder:
        builder.start()
    with following([f"one={path}", f"two={other}"], "events", "-n", "1", "--json") as process:
        told(process)
        with building(other) as builder:
            builder.added("b.ini")  # 3: a name that was not known before
        first = told(process)
        with building(path) as builder:
            builder.changed("a.ini", b"2\n")  # 6
        second = told(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert [(one["host"], one["seq"]) for one in (first, second)] == [("two", 3), ("one", 6)]


def test_a_name_that_one_of_the_journals_knows_later(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    with building(other) as builder:
        builder.start()
    journals = [f"one={path}", f"two={other}"]
    with following(journals, "events", "a.ini", "-n", "1", "--json") as process:
        assert (first := told(process))["host"] == "one", first
        with building(other) as builder:
            builder.added("a.ini")
        assert (second := told(process))["host"] == "two", second


def test_a_deploy_when_it_comes_and_with_its_outcome(path: str) -> None:
    with following([path], "history", "-n", "1", "-o", "jsonl") as process:
        assert told(process)["outcome"] == "accepting"
        with building(path) as builder:
            builder.changed("a.ini", b"2\n")  # 6
            builder.flush()
            assert (one := told(process))["outcome"] == "pending", one
            builder.event("monitor_failed", None, "pg://db", reason="refused")  # no news of it
            builder.accepting("a.ini")  # 8
            builder.flush()
            one = told(process)
            assert (one["seq"], one["outcome"], one["outcome_seq"]) == (6, "accepting", 8)
            builder.removed("a.ini")  # 9
            builder.flush()
            assert (told(process))["seq"] == 9
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_a_deploy_that_is_taken_back_after_its_outcome_was_told(path: str) -> None:
    """One that died and then went back by itself, and one that works and that an operator took."""
    name = "a.ini"
    with following([path], "history", "-n", "1", "-o", "jsonl") as process:
        assert told(process)["outcome"] == "accepting"
        with building(path) as builder:
            for number in (1, 2):
                if number == 2:
                    deadline = builder.fleet.vassals[name].deadline
                    builder.event("deadline_passed", name, deadline=deadline)
                else:
                    builder.changed(name, b"2\n", settings={"rollback": "2"})
                builder.exited(name, code=1)
                builder.flush()
                assert outcome(process)["outcome"] == ["died", "rolled_back"][number - 1]
            name = "b.ini"
            builder.up(name)
            builder.flush()
            assert outcome(process)["outcome"] == "accepting"
            former = Spec(ts=1, config="0" * 64)
            seq = builder.event("operator_requested", name, request="rollback", back_to=former)
            builder.flush()
            one = outcome(process)
            assert (one["outcome"], one["outcome_seq"]) == ("rolled_back", seq)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_deploys_by_an_author(path: str) -> None:
    with building(path) as builder:
        builder.event(
            "vassal_changed", "a.ini", MONITOR, spec=Spec(ts=1, attrs={"author": "ann"})
        )  # 6
        builder.event(
            "vassal_added", "b.ini", MONITOR, spec=Spec(ts=1, attrs={"owner": "1017"})
        )  # 7
        builder.event("vassal_changed", "b.ini", MONITOR, spec=Spec(ts=2, attrs={"owner": "0"}))
        builder.removed("b.ini")  # 9
        builder.event("daemon_stopped")
    history = asking("history")

    def seqs(*arguments: str) -> list[int]:
        result = history(path, "-o", "jsonl", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line)["seq"] for line in result.stdout.splitlines()]

    assert seqs("--by", "ann") == [6]
    assert seqs("--by", "1017") == [7]
    assert seqs("--by", "root") == [8]
    assert seqs("--by", "0", "a.ini") == []
    assert seqs("-n", "1", "--by", "1017") == [7]
    assert history(path, "--by", "nobody-at-all").stderr == "no deploys\n"
