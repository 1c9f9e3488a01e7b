"""``bisect`` on a journal that was cut anywhere: what it says of the deploys at the cut."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.chain import digest
from journal_builder import Builder, building
from msgspec.structs import replace
from support.archives import ask, cut

FIRST, SECOND, THIRD, LAST = (b"version = %d\n" % number for number in range(4))
PLAIN = {"command": "serve"}

pytestmark = pytest.mark.usefixtures("few_stay")


def dies(b: Builder, times: int = 1) -> None:
    for number in range(times):
        if number:
            b.spawned("a.ini")
        b.exited("a.ini", code=1)
        if number < times - 1 and (deadline := b.fleet.vassals["a.ini"].deadline) is not None:
            b.at = max(b.at, deadline)
            b.event("deadline_passed", "a.ini", after=0, deadline=deadline)


def a_reload_that_dies(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.of_attempt("vassal_loyal", "a.ini")
    b.changed("a.ini", SECOND)
    b.event("pressure_observed", cpu=1)
    dies(b, 2)


def a_start_that_dies(b: Builder) -> None:
    b.added("a.ini", FIRST)
    b.spawned("a.ini")
    dies(b, 2)


def a_change_that_waits_for_a_start(b: Builder) -> None:
    b.added("a.ini", FIRST)
    b.changed("a.ini", SECOND)
    b.spawned("a.ini")
    b.accepting("a.ini")
    dies(b, 2)


def a_program_that_dies_of_it(b: Builder) -> None:
    b.added("a.ini", FIRST, settings=PLAIN)
    b.spawned("a.ini")
    b.event("pressure_observed", after=100, cpu=1)
    b.changed("a.ini", SECOND, settings=PLAIN)
    b.exited("a.ini", code=0)
    b.spawned("a.ini")
    dies(b)


def a_start_after_a_stop_dies(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.operator("stop", "a.ini")
    b.exited("a.ini", code=0)
    b.changed("a.ini", SECOND)
    b.event("pressure_observed", cpu=1)
    b.operator("start", "a.ini")
    b.spawned("a.ini")
    dies(b)


def one_that_may_not_run(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.changed("a.ini", SECOND, bar="owned by root")
    b.exited("a.ini", code=0)


def one_that_is_rolled_back(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.changed("a.ini", SECOND, settings={"rollback": "2"})
    b.accepting("a.ini")
    b.event("pressure_observed", cpu=1)
    dies(b, 2)


def one_that_an_operator_rolls_back(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.changed("a.ini", SECOND)
    b.accepting("a.ini")
    b.event("pressure_observed", cpu=1)
    first = replace(b.fleet.vassals["a.ini"].spec, config=digest(FIRST))
    asked: dict[str, Any] = {"request": "rollback", "back_to": first, "deploy": 3, "uid": 0}
    b.event("operator_requested", "a.ini", **asked)
    b.exited("a.ini", code=0)


def one_that_waits_and_is_good(b: Builder) -> None:
    b.up("a.ini", FIRST)
    b.changed("a.ini", SECOND)
    b.event("pressure_observed", cpu=1)
    b.accepting("a.ini")


def again(b: Builder) -> None:
    """Its throttle is over, it is started, and it accepts."""
    b.at = max(b.at, b.fleet.vassals["a.ini"].deadline or 0)
    b.event("deadline_passed", "a.ini", after=0, deadline=b.at)
    b.spawned("a.ini")
    b.accepting("a.ini")


def a_loop_that_is_up_for_moments(b: Builder, **settings: str) -> None:
    b.up("a.ini", FIRST)
    b.changed("a.ini", SECOND, settings=settings)
    for _ in range(3):
        b.exited("a.ini", code=1)
        again(b)
    b.event("pressure_observed", cpu=1)


def such_a_loop_on_trial(b: Builder) -> None:
    a_loop_that_is_up_for_moments(b, rollback="9")


STORIES: list[Callable[[Builder], None]] = [
    a_reload_that_dies, a_start_that_dies, a_change_that_waits_for_a_start,
    a_program_that_dies_of_it, a_start_after_a_stop_dies, one_that_may_not_run,
    one_that_is_rolled_back, one_that_an_operator_rolls_back, one_that_waits_and_is_good,
    a_loop_that_is_up_for_moments, such_a_loop_on_trial,
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_it_says_the_same_or_names_the_archive(
    tmp_path: Path, story: Callable[[Builder], None]
) -> None:
    whole = tmp_path / "whole.db"
    with building(str(whole)) as builder:
        builder.start()
        story(builder)
        end = builder.seq
        builder.changed("a.ini", THIRD)
        if builder.fleet.vassals["a.ini"].phase in ("starting", "throttled"):
            builder.spawned("a.ini")
        builder.exited("a.ini", code=1)
        builder.changed("a.ini", LAST)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    truth = json.loads(ask(whole, "bisect", "a.ini", "--json").stdout)
    for seq in range(3, end + 1):
        path = tmp_path / f"{seq}.db"
        shutil.copy(whole, path)
        cut(path, seq, tmp_path / f"old-{seq}.db")
        result = ask(path, "bisect", "a.ini", "--json")
        if truth["first_bad"]["seq"] <= seq:
            assert result.exit_code == 1, f"{seq}: {result.stdout}"
            assert f"before this file begins, with event {seq + 1}; look in" in result.stderr
        else:
            found = json.loads(result.stdout)
            assert found["first_bad"] == truth["first_bad"], seq
            assert _config(found["last_good"]) == _config(truth["last_good"]), seq


def _config(deploy: Any) -> Any:
    return None if deploy is None else deploy["config"]


def test_the_outcome_of_a_deploy_before_the_file_has_its_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        one_that_waits_and_is_good(builder)
        builder.changed("a.ini", THIRD)
        builder.exited("a.ini", code=1)
    cut(path, 7, tmp_path / "old.db")
    good = ask(path, "bisect", "a.ini").stdout.splitlines()[1]
    assert re.fullmatch(r"last good: +- +before event 8 +\w+  accepting \(event 8\)", good), good


# A death behind which it is up where the file begins


def stays(b: Builder) -> None:
    b.event("pressure_observed", after=59, cpu=1)


def stays_beyond_a_heartbeat(b: Builder) -> None:
    b.of_attempt("heartbeat_started", "a.ini")
    stays(b)


def is_loyal(b: Builder) -> None:
    b.of_attempt("vassal_loyal", "a.ini")


def dies_soon(b: Builder) -> None:
    b.event("pressure_observed", after=57, cpu=1)


def died_once(b: Builder) -> int:
    """A vassal ran well, died, and is up again; the number of the last event."""
    b.start(forgive=60)
    b.up("a.ini", FIRST)
    b.exited("a.ini", after=1000, code=1)
    again(b)
    return b.seq


@pytest.mark.parametrize(
    ("story", "is_good"),
    [(stays, True), (stays_beyond_a_heartbeat, True), (is_loyal, True), (dies_soon, False)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_config_is_good_behind_a_death_if_the_vassal_stays_up(
    tmp_path: Path, story: Callable[[Builder], None], is_good: bool
) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        end = died_once(builder)
        story(builder)
        builder.changed("a.ini", SECOND)
        bad = builder.seq
        builder.exited("a.ini", code=1)
    cut(path, end, tmp_path / "old.db")
    result = ask(path, "bisect", "a.ini", "--json")
    good = ask(path, "show", "a.ini", "--last-good")
    if is_good:
        found = json.loads(result.stdout)
        assert (found["first_bad"]["seq"], _config(found["last_good"])) == (bad, digest(FIRST))
        assert good.stdout == FIRST.decode()
    else:
        told = "the first bad deploy of a.ini may have come before this file begins, with event"
        assert told in result.stderr
        assert told in good.stderr


def test_a_vassal_may_stay_up_to_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        end = died_once(builder)
        for _ in range(3):
            builder.event("pressure_observed", after=20, cpu=1)
    cut(path, end, tmp_path / "old.db")
    assert "a.ini has no deploy up to event" in ask(path, "bisect", "a.ini").stderr
