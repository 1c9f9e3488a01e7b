"""``why``: the story of how a vassal came to be as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.journal.events import Spec
from emperord.replay.main import cli
from journal_builder import MONITOR, Builder, building

SPEC = Spec(ts=1, path="/etc/vassals/a.ini")


def run(path: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--journal", path, "why", *arguments])


Story = Callable[[Builder], object]


def throttled(b: Builder) -> None:
    b.added("a.ini")  # 3
    b.spawned("a.ini")
    b.exited("a.ini", code=1, log="Traceback (most recent call last):\nImportError: \x1b[31mapp")


def held(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.operator("stop", "a.ini", uid=1017)  # 6
    b.exited("a.ini", signal=15)  # 7


def held_with_all(b: Builder) -> None:
    b.up("a.ini")
    b.operator("stop", uid=0)  # 6
    b.exited("a.ini", code=0)


def barred(b: Builder) -> None:
    b.added("a.ini", bar="owned by root")


def accepting_by_another(b: Builder) -> None:
    b.start(max_starting=1)  # 3, 4
    b.added("b.ini")  # 5
    b.added("a.ini")  # 6
    b.accepting("b.ini")  # 7: gives its slot to a.ini


def restarted(b: Builder) -> None:
    b.up("a.ini")
    b.of_attempt("heartbeat_started", "a.ini")
    b.of_attempt("heartbeat_lost", "a.ini", silent=30.0)  # 7
    b.exited("a.ini", signal=9)  # 8


def broken_by_a_change(b: Builder) -> None:
    b.up("a.ini")  # 3, 4, 5
    b.changed("a.ini", b"workers = two\n")  # 6
    b.exited("a.ini", code=1)  # 7


def reloaded(b: Builder) -> None:
    b.up("a.ini")
    b.operator("reload", "a.ini")  # 6
    b.accepting("a.ini")  # 7


def removed(b: Builder) -> None:
    b.up("a.ini")
    b.removed("a.ini", reason="the file is gone")  # 6
    b.exited("a.ini", code=0)  # 7


def away(b: Builder) -> None:
    b.up("a.ini")
    b.event("monitor_failed", monitor=MONITOR, reason="no such directory")


STORIES: dict[Story, list[str]] = {
    throttled: [
        "a.ini is throttled: exit code 1 (for 0.00s, as of event 5)",
        "06:00:03.000  vassal_added: config",
        f"from {MONITOR} -> spawn  (event 3)",
        "06:00:05.000  exited: exit code 1  (event 5)",
        "    | Traceback (most recent call last):",
        "    | ImportError: \\x1b[31mapp",
        "phase:           throttled since 2026-11-24 06:00:05.000 UTC",
        "deaths in a row: 1",
        "next try:        2026-11-24 06:00:06.000 UTC, 1.00s after this",
        "last deploy:     2026-11-24 06:00:03.000 UTC (event 3)",
        "last exit:       exit code 1, 2026-11-24 06:00:05.000 UTC (event 5)",
    ],
    held: [
        "a.ini is held: stopped by an operator",
        "operator_requested: stop by uid 1017 via emperor-ctl -> stop  (event 6)",
        "exited: killed by signal 15 (SIGTERM)  (event 7)",
        "stopped by:      uid 1017 via emperor-ctl, 2026-11-24 06:00:06.000 UTC (event 6)",
    ],
    held_with_all: ["stopped by:      uid 0 via emperor-ctl", "(event 6)"],
    barred: [
        "a.ini is barred: owned by root",
        "may not run: owned by root",
        "next try:        when its config changes",
    ],
    accepting_by_another: ["a.ini is starting", "vassal_accepting b.ini -> spawn  (event 7)"],
    restarted: [
        "a.ini is starting",
        "heartbeat_lost: silent for 30 s -> kill  (event 7)",
        "exited: killed by signal 9 (SIGKILL) -> spawn  (event 8)",
        "last exit:       killed by signal 9 (SIGKILL)",
    ],
    broken_by_a_change: [
        "a.ini is throttled: exit code 1",
        "vassal_added: config",
        "vassal_changed: config",
        "-> reload  (event 6)",
        "exited: exit code 1  (event 7)",
    ],
    reloaded: ["a.ini is accepting", "reload by uid 1000", "vassal_accepting  (event 7)"],
    removed: [
        "a.ini is not there any more (as of event 7)",
        f"vassal_removed: the file is gone, from {MONITOR} -> stop  (event 6)",
        "exited: exit code 0  (event 7)",
        f"removed:         2026-11-24 06:00:06.000 UTC, by {MONITOR} (event 6)",
        "last exit:       exit code 0",
    ],
    away: [
        "a.ini is accepting",
        "process:         pid 4000",
        "its source:      cannot be read since 2026-11-24 06:00:06.000 UTC: no such directory",
    ],
}


@pytest.mark.parametrize(
    ("story", "says"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_it_tells(tmp_path: Path, story: Story, says: list[str]) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    result = run(path, "a.ini")
    assert result.exit_code == 0, result.output
    rest = result.stdout
    for part in says:  # in this order
        assert part in rest, result.stdout
        rest = rest[rest.index(part) :]
    assert "\x1b" not in result.stdout
    numbers = [
        line.split("(event ")[1] for line in result.stdout.splitlines() if "  (event" in line
    ]
    assert numbers == sorted(numbers), "a story goes forward"


def test_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        held(builder)
        removed_at = builder.removed("a.ini")
    assert removed_at == 8
    assert "a.ini is accepting" in run(path, "a.ini", "--at", "2026-11-24T06:00:05Z").stdout
    assert "a.ini is stopping" in run(path, "a.ini", "--at", "2026-11-24T06:00:06Z").stdout
    assert "a.ini is held" in run(path, "a.ini", "--at", "2026-11-24T06:00:07Z").stdout
    assert "is not there any more" in run(path, "a.ini").stdout
    result = run(path, "a.ini", "--at", "2026-11-24T06:00:02Z")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a.ini was not known then; event 3" in result.stderr


def test_a_name_that_was_never_known(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("webshop.ini")
        builder.event(
            "observation_rejected",
            monitor=MONITOR,
            name="café.ini\\x07",
            reason="control character",
        )
    result = run(path, "webhsop.ini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean webshop.ini?" in result.stderr
    result = run(path, "zzzzzz")
    assert result.exit_code == 1
    assert "did you mean" not in result.stderr
    result = run(path, "café.ini\x07")
    assert result.exit_code == 1
    assert "event 4 refused it: control character" in result.stderr


def test_a_loop_of_causes_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event("vassal_added", "a.ini", MONITOR, 4, spec=SPEC)
        builder.event("vassal_accepting", "a.ini", cause=3, attempt=3)
    assert run(path, "a.ini").stdout.count("(event 3)") >= 1


def test_a_cause_that_is_not_in_this_file_ends_the_story(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.event("vassal_added", "a.ini", MONITOR, 4000, spec=SPEC)
    assert run(path, "a.ini").exit_code == 0
