"""The config that a process has, told apart from the wanted one: in words and in JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from emperord.journal import chain
from emperord.journal.events import Spec
from journal_builder import Builder, building
from support.incidents import known, told

OLD, NEW, NEWER = (f"[uwsgi]\nsays = {word}\n".encode() for word in ("old", "new", "newer"))
BUSY: Final = "busy.ini"
PROGRAM: Final = {"command": "sleep 9"}


def changed(builder: Builder) -> None:
    builder.changed("a.ini", NEW)


def confirmed(builder: Builder) -> None:
    changed(builder)
    builder.accepting("a.ini")


def not_confirmed(builder: Builder) -> None:
    changed(builder)
    builder.at += 60 * 10**9
    builder.event("deadline_passed", "a.ini", deadline=builder.fleet.vassals["a.ini"].deadline)


def not_sent(builder: Builder) -> None:
    changed(builder)
    builder.of_attempt("reload_failed", "a.ini", reason="its text is gone")


def waits_for_a_slot(builder: Builder) -> None:
    builder.up(BUSY)
    builder.changed(BUSY, NEW)
    changed(builder)


def waits_twice_changed(builder: Builder) -> None:
    waits_for_a_slot(builder)
    builder.changed("a.ini", NEWER)


def changed_while_it_reloads(builder: Builder) -> None:
    changed(builder)
    builder.changed("a.ini", NEWER)


def waits_to_restart(builder: Builder) -> None:
    builder.up(BUSY)
    builder.changed(BUSY, NEW)
    builder.changed("a.ini", NEW, settings={"reload": "restart"})


def never_reloads(builder: Builder) -> None:
    builder.changed("a.ini", NEW, settings={"reload": "none"})
    builder.of_attempt("vassal_loyal", "a.ini")


def adopted(builder: Builder) -> None:
    waits_for_a_slot(builder)
    builder.start(max_starting=1)
    for name in ("a.ini", BUSY):
        builder.of_attempt("adopted", name, pid=4, start_time=4, control=True)


def taken_over(builder: Builder) -> None:
    builder.up("text.ini", NEW)  # so the journal has the text
    runs = Spec(ts=1, config=chain.digest(NEW), path="/etc/vassals/a.ini")
    _again(builder, mark="1.1.a.ini", runs=runs)


def taken_over_unknown(builder: Builder) -> None:
    _again(builder, mark="1.1.a.ini")


def _again(builder: Builder, **how: Any) -> None:
    builder.exited("a.ini", code=1)
    builder.changed("a.ini", OLD)
    builder.of_attempt("spawned", "a.ini", pid=5, start_time=5, **how)


def deaf(builder: Builder) -> None:
    changed(builder)
    builder.of_attempt("vassal_deaf", "a.ini")


def restarted(builder: Builder) -> None:
    deaf(builder)
    builder.exited("a.ini", code=0)


def died(builder: Builder) -> None:
    builder.exited("a.ini", code=1)


def program(builder: Builder) -> None:
    builder.exited("a.ini", code=1)
    builder.changed("a.ini", OLD, settings=PROGRAM)
    builder.spawned("a.ini")


def program_signalled(builder: Builder) -> None:
    program(builder)
    builder.changed("a.ini", NEW, settings=PROGRAM)


def program_after_a_second(builder: Builder) -> None:
    program_signalled(builder)
    builder.event("deadline_passed", "a.ini", deadline=builder.fleet.vassals["a.ini"].deadline)


def program_again(builder: Builder) -> None:
    program_after_a_second(builder)
    builder.changed("a.ini", NEWER, settings=PROGRAM)


Case = tuple[bytes | None, bytes, str | None, str | None]
WAITS: Final = "reload waits (1 in line)"
CASES: Final[dict[Callable[[Builder], None], Case]] = {
    # the events: the config that runs, the wanted one, the step, the words
    changed: (OLD, NEW, None, None),
    confirmed: (NEW, NEW, None, None),
    not_confirmed: (OLD, NEW, None, None),
    not_sent: (OLD, NEW, None, None),
    waits_for_a_slot: (OLD, NEW, "reload", WAITS),
    waits_twice_changed: (OLD, NEWER, "reload", WAITS),
    changed_while_it_reloads: (OLD, NEWER, "reload", "reload waits for the end of its reload"),
    waits_to_restart: (OLD, NEW, "restart", "restart waits (1 in line)"),
    never_reloads: (OLD, NEW, "start", "its change waits for the next start"),
    adopted: (OLD, NEW, "reload", WAITS),
    taken_over: (NEW, OLD, "reload", "reload waits for the end of its start"),
    taken_over_unknown: (None, OLD, None, None),
    deaf: (OLD, NEW, "start", None),
    restarted: (NEW, NEW, None, None),
    died: (None, OLD, "start", None),
    program: (OLD, OLD, None, None),
    program_signalled: (OLD, NEW, None, None),
    program_after_a_second: (NEW, NEW, None, None),
    program_again: (NEW, NEWER, None, None),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_which_config_runs_and_what_is_due(tmp_path: Path, case: Callable[[Builder], None]) -> None:
    runs, wanted, due, words = CASES[case]
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start(max_starting=1)
        builder.up("a.ini", OLD)
        case(builder)
    (vassal,) = (v for v in known(path, "state")["vassals"] if v["name"] == "a.ini")
    digest = None if runs is None else chain.digest(runs)
    assert (vassal["running"], vassal["due"]) == (digest, due)
    assert vassal["config"] == chain.digest(wanted)
    assert told(path, "show", "a.ini").encode() == wanted
    if runs is not None:
        assert told(path, "show", "a.ini", "--running").encode() == runs
    row = next(line for line in told(path, "state").splitlines() if line.startswith("a.ini  "))
    facts = told(path, "why", "a.ini")
    if digest is not None and runs != wanted:
        assert f"  {digest[:12]}  {chain.digest(wanted)[:12]}  " in row
        assert f"runs:            {digest[:12]}\nwanted:          {vassal['config'][:12]}" in facts
    if words is not None:
        assert row.endswith(words)
        assert f"due:             {words}" in facts


def test_one_without_a_process_runs_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        died(builder)
    assert told(path, "show", "a.ini", "--running", code=1) == ""


def test_a_process_whose_config_is_unknown_has_no_text(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", OLD)
        taken_over_unknown(builder)
    assert told(path, "show", "a.ini", "--running", code=1) == ""


def test_midway_through_a_change_of_fifty(incident: Callable[[str], str]) -> None:
    """Is it complete; how many run what, and what waits? One command says it."""
    journal = incident("rolling")
    text = told(journal, "state")
    assert "6 of 50 that run have the wanted config, 44 have another; 42 reloads wait\n" in text
    assert text.count("reload waits (42 in line)") == 42
    vassals = known(journal, "state")["vassals"]
    assert sum(vassal["running"] == vassal["config"] for vassal in vassals) == 6
    assert sum(vassal["due"] == "reload" for vassal in vassals) == 42
    assert told(journal, "show", "app49.ini").startswith("; release 3\n")
    assert told(journal, "show", "app49.ini", "--running").startswith("; release 1\n")
