"""The daemon in a simulated world: it holds in all seeds, and those that do not hold are caught."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.core.actions import Action
from emperord.daemon.loop import input_queue, listings, shell
from emperord.daemon.loop.shell import Shell
from support.effort import examples

from .approvals import REFUSED
from .canaries import (
    CANARIES,
    FOLDS,
    forgets_failed_replacements,
    overlooks,
    planted,
    punishes_reloads,
)
from .rollout_canaries import ROLLOUTS
from .script import MOMENTS, Script, Step, write
from .shrink import Failure, shrunk, trouble
from .trouble import Violation
from .world import play

SIMULATE = Path(__file__).parents[2] / "tools" / "simulate"


def simulate(*arguments: str, hash_seed: int = 0) -> str:
    """The output of tools/simulate, which has to succeed."""
    done = subprocess.run(
        [sys.executable, SIMULATE, *arguments],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(280)
def test_all_seeds_hold() -> None:
    """``tools/test slow`` has twenty thousand others, in all cores and without a time limit."""
    simulate("--seeds", f"0..{examples(500)}")


def test_a_seed_gives_one_run_to_the_byte() -> None:
    """Whatever the order of sets is, and in whatever process it runs."""
    assert simulate("--seeds", "0..12", hash_seed=1) == simulate("--seeds", "0..12", hash_seed=2)
    record = simulate("--seed", "7", "--record", hash_seed=1)
    assert record == simulate("--seed", "7", "--record", hash_seed=2)
    assert "daemon_started" in record


def test_hops_give_other_orders_and_the_seed_gives_the_hops() -> None:
    """Without them the digest of a seed stays what it was."""
    hopping = simulate("--seeds", "0..12", "--hops", hash_seed=1)
    assert hopping == simulate("--seeds", "0..12", "--hops", hash_seed=2)
    assert hopping != simulate("--seeds", "0..12")
    assert {write(seed, hops=True).hops for seed in range(100)} == set(range(6))
    failure = Failure(write(7, hops=True), Violation("settles", "not"), [0])
    assert "tools/simulate --seed 7 --hops --only '0'" in str(failure)


@pytest.mark.slow
def test_daemons_are_killed_at_every_moment() -> None:
    """A script that never meets one would prove nothing about it."""
    left = set(MOMENTS)
    for seed in range(500):
        lines: list[str] = []
        play(write(seed), note=lines.append)
        [killed] = [line for line in lines if line.startswith("killed at:")]
        left -= set(killed.split()[2:])
        if not left:
            return
    pytest.fail(f"never in 500 seeds: {left}")


def test_turns_may_take_one_event_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other inputs come between any two events of one, and all holds as before."""
    monkeypatch.setattr(input_queue, "SHARE", 1)
    monkeypatch.setattr(listings, "_PART", 1)
    monkeypatch.setattr(shell, "MOST", 3)
    for seed in range(30):
        play(write(seed))


def test_a_daemon_whose_keeper_dies_does_not_leave_to_be_replaced() -> None:
    """It was asked to while there was one; now no keeper would hold the vassals' sockets."""
    steps = (
        Step(0.0, "put", "files", "a.ini healthy"),
        Step(5.0, "usr2"),
        Step(5.05, "keeper"),
    )
    lines: list[str] = []
    play(Script(1, steps, length=6.0, max_starting=1, graceful=False), note=lines.append)
    kinds = [line.split()[2] for line in lines if line[0].isdigit()]
    assert "operator_requested" in kinds
    assert kinds.count("daemon_started") == 1


def test_a_successor_takes_over_from_a_daemon_without_a_keeper() -> None:
    """With all sockets, and for the next keeper to keep; no vassal is started or ends."""
    steps = (
        Step(0.0, "put", "files", "a.ini healthy"),
        Step(5.0, "keeper", much=0.5),
        Step(6.5, "crash"),
    )
    lines: list[str] = []
    play(Script(1, steps, length=8.0, max_starting=1, graceful=False), note=lines.append)
    kinds = [line.split()[2] for line in lines if line[0].isdigit()]
    assert kinds.count("daemon_started") == 3
    assert kinds.count("spawned") == 1
    adopted = [line for line in lines if " adopted " in line]
    assert ["true" if '"control":true' in line else "false" for line in adopted] == ["true"] * 2


# Scripts of seeds that failed once, cut down, with the cause of each.
MET: Final = {
    # daemon_ready let the vassal wait for its throttle, and the shell did not plan that deadline.
    "a throttle that begins when the daemon is ready ends": Script(
        107277,
        (
            Step(6.308, "put", "rows", "a.ini resigns"),
            Step(8.053, "crash at", what="forked", much=1),
            Step(8.376, "crash at", what="bury", much=1),
            Step(8.406, "wall", much=-56968.463),
        ),
        length=11.228303954992963,
        max_starting=3,
        graceful=False,
    ),
    # One turn took in that its patience had ended, which ordered the reload, and that the old
    # program accepted. That was taken for the success of the reload.
    "a word that comes with the order to reload is the old program's": Script(
        110008,
        (
            Step(0.0, "put", "files", "b.ini slow"),
            Step(0.117, "put", "files", "b.ini healthy"),
            Step(1.669, "full", much=0.503),
            Step(1.826, "usr2"),
        ),
        length=8.726716739862185,
        max_starting=2,
        graceful=False,
    ),
    # The journal was paused for longer than the patience of a reload. It passed before the order
    # was carried out, and the daemon was killed in between: the reload was lost.
    "patience begins when the order is carried out": Script(
        514399,
        (
            Step(0.0, "put", "files", "a.ini masterless"),
            Step(0.0, "put", "rows", "c.ini fragile"),
            Step(0.0, "put", "messages", "d.ini shares"),
            Step(1.031, "crash at", what="appended", much=2),
            Step(1.744, "put", "rows", "b.ini healthy"),
            Step(3.167, "crash at", what="appended", much=5),
            Step(3.417, "stop", "c.ini"),
            Step(3.8, "full", much=3.172),
            Step(3.81, "hup"),
        ),
        length=13.085844894200559,
        max_starting=3,
        graceful=False,
    ),
    # The process has the address for as long as it lives, and no daemon knows that any more. The
    # other vassal is tried again and again. The rule of the test did not allow for that.
    "an address whose keeper is dead is tried again": Script(
        110113,
        (
            Step(0.0, "put", "files", "a.ini shares"),
            Step(2.627, "connect", "a.ini"),
            Step(3.775, "keeper", much=1.95),
            Step(5.45, "crash"),
            Step(5.906, "put", "rows", "b.ini shares"),
        ),
        length=6.368363830792448,
        max_starting=1,
        graceful=False,
    ),
    # The job had ended well and was held. Its change left it finished, so that a start of all
    # vassals passed it over.
    "a job that is held and changes is finished no longer": Script(
        1,
        (
            Step(0.0, "put", "files", "a.ini once"),
            Step(5.0, "stop", "a.ini"),
            Step(6.0, "put", "files", "a.ini healthy"),
        ),
        length=7.0,
        max_starting=2,
        graceful=False,
    ),
    # As in seed 886605457. The end of a vassal was recorded, and the daemon was killed before it
    # closed the addresses. The next host closes them; the simulated one kept a held vassal's.
    "addresses that a killed daemon was to give back are closed by the next": Script(
        1,
        (
            Step(0.0, "put", "messages", "d.ini keeps"),
            Step(1.0, "stop", "d.ini"),
            Step(1.1, "crash at", what="act", much=1),
            Step(3.9, "sources", what="rows"),
            Step(4.0, "crash"),
        ),
        length=6.0,
        max_starting=2,
        graceful=True,
    ),
}


@pytest.mark.parametrize("name", MET)
def test_a_script_that_failed_once_holds(name: str) -> None:
    play(MET[name])


def first_failure(
    daemon: type[Shell], chosen: Callable[[Script], object] = bool
) -> tuple[int, Violation]:
    """The first seed in which a daemon fails, of those with a script that is ``chosen``."""
    for tried, seed in enumerate(seed for seed in count() if chosen(write(seed))):
        assert tried < 300, f"{daemon.__name__} gets away with it"
        found = trouble(write(seed), daemon)
        if found is not None:
            return seed, found
    raise AssertionError


@pytest.mark.few(2)
@pytest.mark.parametrize("daemon", CANARIES, ids=lambda daemon: daemon.__name__)
def test_a_planted_bug_is_caught_and_cut_down(daemon: type[Shell]) -> None:
    seed, found = first_failure(daemon)
    assert found.rule in CANARIES[daemon], found
    script = write(seed)
    failure = shrunk(script, found, daemon)
    assert 0 < len(failure.kept) <= 6 < len(script.steps), failure
    # The remaining steps fail in the same way, and none of them can go.
    again = trouble(script.only(failure.kept), daemon)
    assert again is not None
    assert again.rule == found.rule
    assert f"tools/simulate --seed {seed} --only" in str(failure)
    assert trouble(script.only(failure.kept)) is None  # it is the bug, not the script


@pytest.mark.few(
    *("loyalty is overlooked", "pressure has no effect"),
    *("sources take no turns", "refused configs are taken"),
    *("all change at once", "a new daemon changes again"),
)
@pytest.mark.parametrize("bug", FOLDS)
def test_a_wrong_decision_is_caught(bug: str) -> None:
    decide, rules = FOLDS[bug]
    with planted(decide):
        chosen = attrgetter("rollout") if bug in ROLLOUTS else bool
        seed, found = first_failure(Shell, chosen)
    assert found.rule in rules, found
    assert trouble(write(seed)) is None


def test_a_replacement_that_failed_and_is_forgotten_is_caught() -> None:
    """Few seeds have a change that fails so. Its config is started after the reboot."""
    steps = (
        Step(0.0, "put", "files", "a.ini healthy replaces"),
        Step(3.0, "put", "files", "a.ini exile replaces"),
        Step(6.0, "reboot"),
    )
    script = Script(1, steps, length=8.0, max_starting=2, graceful=False)
    with planted(forgets_failed_replacements):
        found = trouble(script)
    assert found is not None
    assert found.rule == REFUSED
    assert trouble(script) is None


def test_a_reload_that_is_punished_is_caught() -> None:
    """Few seeds reload a program that SIGHUP ends, while nothing else happens."""
    steps = (Step(0.0, "put", "rows", "a.ini fragile"), Step(2.0, "touch", "rows", "a.ini"))
    script = Script(1, steps, length=10.0, max_starting=1, graceful=False)
    with planted(punishes_reloads):
        found = trouble(script)
    assert found is not None
    assert found.rule == "started at once"
    assert trouble(script) is None


def test_a_retry_that_is_overlooked_is_caught() -> None:
    """Few seeds ask for one while the vassal waits for its next start."""
    steps = (Step(0.0, "put", "files", "a.ini crashes"), Step(4.0, "retry", "a.ini"))
    script = Script(1, steps, length=8.0, max_starting=2, graceful=False)
    with planted(overlooks("operator_requested", "retry")):
        found = trouble(script)
    assert found is not None
    assert found.rule == "started at once"
    assert trouble(script) is None


def test_a_bug_of_another_kind_is_a_failure_too() -> None:
    class Stumbles(Shell):
        def _act(self, action: Action, at: int) -> None:
            raise KeyError("no such thing")

    found = trouble(write(0), Stumbles)
    assert found is not None
    assert found.rule == "KeyError"
