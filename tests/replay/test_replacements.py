"""Replacements in the replay: a second instance that ends is no death of its vassal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.daemon.core.candidate import Candidate
from emperord.replay.main import cli
from journal_builder import SECOND, Builder, building

REPLACED: dict[str, Any] = {"settings": {"listen": ":80", "reload": "replace"}}
NAME = "a.ini"


def begin(b: Builder) -> None:
    b.start()
    b.added(NAME, b"one\n", **REPLACED)  # 3
    b.spawned(NAME)
    b.accepting(NAME)  # 5


def second(b: Builder) -> Candidate:
    found = b.fleet.vassals[NAME].candidate
    assert found is not None
    return found


def change(b: Builder, text: bytes) -> int:
    """A change whose new instance starts."""
    seq = b.changed(NAME, text, **REPLACED)
    of_second(b, "spawned", pid=seq, start_time=seq)
    return seq


def of_second(b: Builder, kind: str, **fields: Any) -> int:
    one = second(b)
    return b.event(kind, NAME, cause=one.order, attempt=one.attempt, **fields)


def in_time(b: Builder) -> int:
    """The deadline of the second instance passes."""
    one = second(b)
    assert one.deadline is not None
    after = (one.deadline - b.at) / SECOND
    fields: dict[str, Any] = {"attempt": one.attempt, "deadline": one.deadline}
    return b.event("deadline_passed", NAME, cause=one.because, after=after, **fields)


def taken_over(b: Builder) -> None:
    begin(b)
    change(b, b"two\n")  # 6, 7
    of_second(b, "vassal_accepting")  # 8
    in_time(b)  # 9
    of_second(b, "exited", code=0)  # 10


def former_was_killed(b: Builder) -> None:
    begin(b)
    change(b, b"two\n")  # 6, 7
    of_second(b, "vassal_accepting")  # 8
    in_time(b)  # 9
    in_time(b)  # 10
    of_second(b, "exited", signal=9)  # 11


def died(b: Builder) -> None:
    begin(b)
    change(b, b"two\n")  # 6, 7
    of_second(b, "vassal_accepting")  # 8
    of_second(b, "exited", signal=11)  # 9


def died_again_and_again(b: Builder) -> None:
    begin(b)
    for number in range(4):
        change(b, b"%d\n" % number)
        of_second(b, "exited", code=1)


def was_late(b: Builder) -> None:
    begin(b)
    change(b, b"two\n")  # 6, 7
    in_time(b)  # 8
    in_time(b)  # 9
    of_second(b, "exited", signal=9)  # 10


def was_sick(b: Builder) -> None:
    begin(b)
    change(b, b"two\n")  # 6, 7
    of_second(b, "vassal_accepting")  # 8
    of_second(b, "health_lost", failures=1)  # 9
    of_second(b, "exited", code=0)  # 10


# A story, and lines of ``why``. No instance that served was down in any of them.
UP: dict[str, tuple[Callable[[Builder], None], tuple[str, ...]]] = {
    "it takes over": (
        taken_over,
        (
            "vassal_accepting (its new instance)  (event 8)",
            "its new instance had settled after 5.00s -> retire  (event 9)",
            "exited (its former instance): exit code 0  (event 10)",
        ),
    ),
    "the former one is killed": (
        former_was_killed,
        (
            "its former instance had not stopped after 30s -> kill  (event 10)",
            "(its former instance): killed by signal 9 (SIGKILL), by emperord: it did not stop in",
        ),
    ),
    "it dies": (died, ("exited (its new instance): killed by signal 11 (SIGSEGV)  (event 9)",)),
    "four die": (died_again_and_again, ("exited (its new instance): exit code 1  (event 17)",)),
    "it is late": (
        was_late,
        (
            "its new instance was not ready after 30s -> retire  (event 8)",
            "its new instance had not stopped after 30s -> kill  (event 9)",
        ),
    ),
    "it is sick": (was_sick, ("health_lost (its new instance): ", "-> retire  (event 9)")),
}


def written(path: Path, story: Callable[[Builder], None]) -> str:
    with building(str(path / "journal.db")) as b:
        story(b)
        b.event("daemon_stopping", reason="SIGTERM")
        if b.fleet.vassals[NAME].attempt is not None:
            b.exited(NAME, code=0)
        b.event("daemon_stopped")
    return str(path / "journal.db")


def said(path: str, *words: str, code: int = 0) -> str:
    run = CliRunner().invoke(cli, ["--journal", path, *words])
    assert run.exit_code == code, run.output
    return run.output


@pytest.mark.parametrize(("story", "lines"), UP.values(), ids=UP)
def test_it_was_never_down(
    tmp_path: Path, story: Callable[[Builder], None], lines: tuple[str, ...]
) -> None:
    path = written(tmp_path, story)
    told = said(path, "why", NAME)
    assert "down" not in told
    assert "throttle" not in told
    for line in lines:
        assert line in told
    assert "a.ini had no incident" in said(path, "incident", NAME)
    assert "no incident is in this journal" in said(path, "incident", code=1)
    assert "was not ready in time" not in said(path, "timeline", "-o", f"{tmp_path}/t.svg")
    assert "was not ready in time" not in (tmp_path / "t.svg").read_text()


def test_a_death_of_the_one_that_serves_is_told(tmp_path: Path) -> None:
    """The config of the new instance is not to blame. When that has taken over, it is up."""

    def story(b: Builder) -> None:
        begin(b)
        change(b, b"two\n")  # 6, 7
        of_second(b, "vassal_accepting")  # 8
        b.exited(NAME, signal=11)  # 9: the old one

    told = said(written(tmp_path, story), "why", NAME)
    assert "down since" in told
    assert "broken by 3" in told


def test_its_own_death_after_it_took_over_is_told(tmp_path: Path) -> None:
    def story(b: Builder) -> None:
        taken_over(b)
        b.exited(NAME, code=1)  # 11

    told = json.loads(said(written(tmp_path, story), "why", NAME, "--json"))
    assert told["break"]["broken_by"]["seq"] == 6
    assert told["break"]["last_good"]["seq"] == 3


def test_a_change_that_its_new_instance_failed_is_a_repair_that_was_refused(tmp_path: Path) -> None:
    def story(b: Builder) -> None:
        begin(b)
        b.exited(NAME, code=1)  # 6
        deadline = b.fleet.vassals[NAME].deadline
        b.event("deadline_passed", NAME, cause=6, deadline=deadline)  # 7
        b.spawned(NAME)
        b.accepting(NAME)  # 9
        change(b, b"two\n")  # 10, 11
        of_second(b, "exited", code=1)  # 12

    told = json.loads(said(written(tmp_path, story), "why", NAME, "--json"))
    assert told["break"]["deaths"] == 1
    assert [(each["seq"], each["outcome"]) for each in told["break"]["repairs"]] == [
        (10, "refused")
    ]
