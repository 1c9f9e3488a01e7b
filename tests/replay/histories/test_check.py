"""A history is folded again: the same, diverged, damaged, or of a newer version."""

from pathlib import Path

import msgspec
import pytest
from emperord.daemon.core.actions import Action
from emperord.journal.policy import Policy
from emperord.journal.reading import open_journal
from emperord.replay.histories.check import check, check_text
from emperord.replay.histories.folding import anew, rewritten
from emperord.replay.histories.history import History
from emperord.replay.histories.recorded import recorded
from emperord.replay.histories.text import write
from journal_builder import MONITOR, building


def test_a_history_folds_to_what_it_says(whole: History, later: History) -> None:
    assert check(whole).same
    assert check(later).same


@pytest.mark.parametrize(
    ("old", "new", "seq", "field"),
    [
        pytest.param("-> spawn a.ini", "-> kill a.ini", 3, "1: field 'do'", id="action"),
        pytest.param('"deaths":1', '"deaths":2', 9, "field 'deaths'", id="expectation"),
        pytest.param("a.ini throttled", "a.ini barred", 9, "field 'phase'", id="phase"),
        pytest.param('  = "my app.ini" gone\n', "", 12, "an expectation that is not recorded",
                     id="not-recorded"),
        pytest.param('  -> stop "my app.ini" {"attempt":6}\n', "", 11,
                     "1: an action that is not recorded", id="action-not-recorded"),
        pytest.param('  = "my app.ini" gone\n', '  = "my app.ini" gone\n  = b.ini gone\n', 12,
                     "an expectation that does not come any more", id="no-more"),
    ],
)  # fmt: skip
def test_the_first_difference_is_told(
    whole: History, old: str, new: str, seq: int, field: str
) -> None:
    outcome = check_text(write(whole).replace(old, new, 1), "a.history")
    assert (outcome.kind, outcome.seq, outcome.field) == ("diverged", seq, field)
    assert whole.steps[outcome.place].event.seq == seq
    assert len(outcome.before) == min(10, seq - 1)
    assert (outcome.rules, outcome.version) == (2, "0.1.0")


def test_a_difference_is_told_with_ten_events_before_it(whole: History) -> None:
    outcome = check_text(write(whole).replace("-> stop a.ini", "-> kill a.ini"), "a.history")
    assert list(outcome.lines())[:7] == [
        "diverged: event 13 is decided otherwise than it was",
        '  13 +12s daemon_stopping - - {"reason":"SIGTERM"}',
        "  action of a.ini, 1: field 'do'",
        '    recorded: -> kill a.ini {"attempt":10}',
        '    computed: -> stop a.ini {"attempt":10}',
        "  decided by rules 2, recorded by version 0.1.0",
        "  the 10 events before it:",
    ]
    assert len(outcome.before) == 10


def test_an_event_that_breaks_the_fold_diverges(whole: History) -> None:
    text = (
        write(whole)
        .replace("12 +11s exited", "12 +11s monitor_failed")
        .replace('{"attempt":6,"signal":15}', '{"reason":"gone"}')
    )
    outcome = check_text(text, "a.history")
    assert (outcome.kind, outcome.seq, outcome.what) == ("diverged", 12, "fold")
    assert "event 12 (monitor_failed) cannot be folded" in outcome.computed


def test_damaged_and_newer_are_told_apart(whole: History) -> None:
    text = write(whole)
    assert check_text(text.replace("| master", "| mister"), "a.history").kind == "damaged"
    assert check_text(text.replace("rules: 2", "rules: 3"), "a.history").kind == "newer"


def test_a_history_of_old_rules_is_folded_by_them(tmp_path: Path) -> None:
    """By rules 1, a program that ends of its reload is punished. By rules 2, it is not."""
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.event(
            "daemon_started", version="0.1.0", boot="b", pid=1, policy=Policy(), monitors=(MONITOR,)
        )
        builder.event("daemon_ready")
        builder.added("a.ini", settings={"command": "sleep 9"})
        builder.spawned("a.ini")
        builder.changed("a.ini", b"[emperor]\n", settings={"command": "sleep 9"})
        builder.exited("a.ini", signal=1, reload=True)
    with open_journal(path) as reader:
        history = recorded(reader, 0, reader.head.seq)
    assert history.steps[-1].expectations[0].phase == "throttled"
    assert check(history).same
    newer = write(history).replace("rules: 1", "rules: 2")
    newer = newer.replace('"version":"0.1.0"', '"rules":2,"version":"0.1.0"')
    outcome = check_text(newer, "a.history")
    assert (outcome.kind, outcome.seq, outcome.rules) == ("diverged", 6, 2)
    assert outcome.computed.startswith("-> spawn a.ini")


def test_what_this_version_decides_can_be_taken(whole: History) -> None:
    first = whole.steps[2]
    wrong = msgspec.structs.replace(first, actions=(Action("kill", "a.ini"),), comments=("# a",))
    history = whole.replaced(steps=(*whole.steps[:2], wrong, *whole.steps[3:]))
    assert not check(history).same
    right = rewritten(history, "2026-11-26 it is started again")
    assert check(right).same
    assert right.steps[2] == msgspec.structs.replace(first, comments=("# a",))
    assert right.header.rewritten == ("2026-11-26 it is started again",)
    assert anew(whole) == whole
