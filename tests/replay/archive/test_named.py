"""Commands that lack older events name the archive that has them."""

import json
import re
from pathlib import Path

import pytest
from emperord.journal.chain import digest
from emperord.journal.times import rfc3339
from journal_builder import MONITOR, OTHER, SECOND, Builder, building
from support.archives import ask, cut, joined, sql

ADVICE = "look in the archive old.db: give it by another --journal, before this one"
GOOD, BAD, NEWER = b"good = 1\n", b"bad = 1\n", b"newer = 1\n"

pytestmark = pytest.mark.usefixtures("few_stay")


def before(b: Builder) -> None:
    b.up("looped.ini", GOOD)
    b.changed("looped.ini", b"only-here = 1\n")
    b.exited("looped.ini", code=1)
    b.changed("looped.ini", b"only = 1\n")
    b.accepting("looped.ini")
    b.up("gone.ini", GOOD)
    b.removed("gone.ini")
    b.exited("gone.ini", code=0)
    b.up("held.ini", GOOD)
    b.operator("stop", "held.ini")
    b.exited("held.ini", code=0)
    b.up("breaks.ini", GOOD)
    b.up("is_bad.ini", GOOD)
    b.changed("is_bad.ini", BAD)
    b.exited("is_bad.ini", code=1)


def after(b: Builder) -> None:
    b.event("pressure_observed", cpu=1)
    b.changed("breaks.ini", BAD)
    b.exited("breaks.ini", code=1)
    b.changed("is_bad.ini", NEWER)
    b.exited("is_bad.ini", code=1)
    b.up("new.ini", GOOD)
    b.changed("new.ini", BAD)
    b.exited("new.ini", code=1)
    b.event("daemon_stopping", reason="SIGTERM")
    b.event("daemon_stopped")


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    """The archive, and the journal that goes on behind it."""
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start((MONITOR, OTHER))
        before(builder)
        end = builder.seq
        after(builder)
    cut(path, end, tmp_path / "old.db")
    return tmp_path / "old.db", path


CASES = {
    "incident looped.ini": (0, "# looped.ini had no incident since event "),
    "why looped.ini --at @{begin}": (0, "older events:"),
    "why held.ini": (0, "stopped by:      an operator; the event is not in this file"),
    "history looped.ini": (0, "no deploys; "),
    "blame looped.ini": (1, "brought the config of looped.ini; "),
    "bisect looped.ini": (1, "looped.ini has no deploy up to event "),
    "bisect is_bad.ini": (
        1,
        "the first bad deploy of is_bad.ini came before this file begins, with event ",
    ),
    "bisect new.ini --line newer": (1, "no deploy of new.ini is bad"),
    "show looped.ini --last-good": (1, "looped.ini has no deploy up to event "),
    "search only-here": (1, "no config in this journal has it; "),
    "history gone.ini": (1, "no vassal gone.ini was ever known here; "),
    "incident gone.ini": (1, "no vassal gone.ini was ever known here; "),
    "why gone.ini": (1, "no vassal gone.ini was ever known here; "),
    "events gone*": (1, "no vassal that was ever known here fits gone*; "),
    "history --monitor dir:else": (1, "no monitor dir:else was ever known here; "),
    "events --boot 2": (1, "no daemon_started is in this journal"),
    "incident": (1, "no incident is in this journal"),
    "why new.ini --at @{begin}": (1, "new.ini was not known then; "),
    "show new.ini --at @{begin}": (1, "new.ini was not known then; "),
}


@pytest.mark.parametrize(("command", "told"), CASES.items(), ids=list(CASES))
def test_it_names_the_archive(
    paths: tuple[Path, Path], command: str, told: tuple[int, str]
) -> None:
    result = ask(paths[1], *command.format(begin=begin(paths[1])).split())
    assert (result.exit_code, told[1] in result.output) == (told[0], True), result.output
    assert ADVICE in result.output


@pytest.mark.parametrize(
    "command",
    [
        "why breaks.ini",
        "why new.ini",
        "incident new.ini",
        "history held.ini --since {since}",
        "search only-here --since {since}",
        "incident --since {since}",
        "bisect new.ini --since {since}",
        "bisect held.ini --since {since}",
    ],
)
@pytest.mark.parametrize("by_time", [False, True], ids=["number", "time"])
def test_it_does_not_where_this_file_has_all(
    paths: tuple[Path, Path], command: str, by_time: bool
) -> None:
    path = paths[1]
    result = ask(path, *command.format(since=moment(path, begin(path), by_time)).split())
    assert ADVICE not in result.output


@pytest.mark.parametrize(
    "command", ["history held.ini", "search only-here", "incident", "bisect held.ini"]
)
@pytest.mark.parametrize("by_time", [False, True], ids=["number", "time"])
def test_it_does_where_the_last_event_before_this_file_is_asked_for(
    paths: tuple[Path, Path], command: str, by_time: bool
) -> None:
    path = paths[1]
    result = ask(path, *command.split(), "--since", moment(path, begin(path) - 1, by_time))
    assert ADVICE in result.output


@pytest.mark.parametrize("command", CASES)
def test_with_the_archive_there_is_no_advice(paths: tuple[Path, Path], command: str) -> None:
    assert ADVICE not in joined(*paths, command=command.format(begin=begin(paths[1]))).output


def begin(path: Path) -> int:
    """The first event of a journal."""
    ((seq,),) = sql(path, "SELECT min(seq) FROM event")
    return int(seq)


def moment(path: Path, seq: int, by_time: bool) -> str:
    """An event near the beginning of a journal, by its number or by its time."""
    if not by_time:
        return f"@{seq}"
    ((first, at),) = sql(path, "SELECT min(seq), min(at) FROM event")
    return rfc3339(at + (seq - first) * SECOND)


# The configs that the fleet has where the file begins


def test_bisect_takes_the_config_that_ran_where_the_file_begins(paths: tuple[Path, Path]) -> None:
    path = paths[1]
    bad = begin(path) + 1
    lines = ask(path, "bisect", "breaks.ini").stdout.splitlines()
    assert lines[0] == f"breaks.ini: event {bad} is the first bad deploy"
    assert re.match(rf"last good: +- +before event {bad - 1} +{digest(GOOD)[:12]}", lines[1])
    assert lines[-2:] == ["-good = 1", "+bad = 1"]
    told = json.loads(ask(path, "bisect", "breaks.ini", "--json").stdout)["last_good"]
    assert (told["seq"], told["kind"], told["config"]) == (None, None, digest(GOOD))


@pytest.mark.parametrize("name", ["breaks.ini", "is_bad.ini"])
def test_the_last_good_text_may_be_the_one_before_the_file(
    paths: tuple[Path, Path], name: str
) -> None:
    assert ask(paths[1], "show", name, "--last-good").stdout == GOOD.decode()


def test_undo_brings_back_the_config_from_before_the_file(paths: tuple[Path, Path]) -> None:
    path = paths[1]
    told = ask(path, "undo", str(begin(path) + 1)).stdout
    assert f"show --at @{begin(path)} breaks.ini" in told
    assert ask(path, "show", "--at", f"@{begin(path)}", "breaks.ini").stdout == GOOD.decode()
