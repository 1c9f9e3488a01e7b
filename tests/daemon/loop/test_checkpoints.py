"""The daemon records checkpoints: at its start, each thousand events, and before a clean stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.core.checkpoints import CHECKPOINT_EVERY, digest_of
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Vassal, copied, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.clock import Clock
from emperord.daemon.loop.deadlines import Deadlines
from emperord.daemon.loop.pending import Pending
from emperord.daemon.loop.turn import Turn
from emperord.journal.events import Announced, DaemonStarted, Empty, Spec
from emperord.journal.policy import Policy
from emperord.replay.verify import verify
from support.daemon import Daemon
from support.vassals import program

URL = "dir:///v"


async def _told(_: Callable[..., Any]) -> None:
    raise AssertionError("no deadline is watched here")


class Loop:
    """The fleet that runs ahead of the journal, and the one that is recorded."""

    def __init__(self) -> None:
        self.recorded = Fleet()
        clock = Clock(1)
        self.pending = Pending(self.recorded, Deploys(), Deadlines(clock, _told), clock)
        self.kinds: list[str] = []

    def turn(self, *drafts: Draft, requests: bool = False) -> Turn:
        turn = Turn(self.pending.deploys, (), requests=requests)
        for draft in drafts:
            self.pending.take(draft, turn)
        return turn

    def record(self, turn: Turn) -> None:
        """The turn is durable. Each checkpoint has the digest of the fleet before it."""
        for each in turn.folded:
            body: Any = each.event.body
            if each.event.kind == "checkpoint":
                assert body.digest == digest_of(self.recorded)
            fold(self.recorded, each.event)
            self.kinds.append(each.event.kind)

    def start(self) -> None:
        started = DaemonStarted(
            version="0", boot="b", pid=1, policy=Policy(), monitors=(URL,), rules=RULES
        )
        self.record(self.turn(Draft("daemon_started", started)))
        self.record(self.turn(*self.pending.checkpoint()))


def _change(number: int) -> Draft:
    kind = "vassal_added" if number < 7 else "vassal_changed"
    return Draft(kind, Announced(spec=Spec(ts=number)), URL, f"{number % 7}.ini")


def test_each_thousand_events() -> None:
    loop = Loop()
    loop.start()
    loop.record(loop.turn(Draft("daemon_ready", Empty())))
    for number in range(0, 2500, 50):
        loop.record(loop.turn(*map(_change, range(number, number + 50))))
    checkpoints = [seq for seq, kind in enumerate(loop.kinds, 1) if kind == "checkpoint"]
    assert checkpoints == [2, 3 + CHECKPOINT_EVERY, 4 + 2 * CHECKPOINT_EVERY]


@pytest.mark.parametrize(("vassals", "events"), [(7, 1_000), (250, 1_000), (1_000, 4_000)])
def test_a_large_fleet_has_one_each_four_events_a_vassal(vassals: int, events: int) -> None:
    loop = Loop()
    loop.start()
    for number in range(2 * events):
        added = Announced(spec=Spec(ts=number))
        kind = "vassal_added" if number < vassals else "vassal_changed"
        loop.record(loop.turn(Draft(kind, added, URL, f"{number % vassals}.ini")))
    checkpoints = [seq for seq, kind in enumerate(loop.kinds, 1) if kind == "checkpoint"]
    assert checkpoints == [2, 3 + events, 4 + 2 * events]


def test_a_turn_that_is_given_up_takes_its_checkpoint_with_it() -> None:
    loop = Loop()
    loop.start()
    loop.record(loop.turn(*map(_change, range(CHECKPOINT_EVERY - 1))))
    given_up = loop.turn(_change(1_000), requests=True)
    assert [each.event.kind for each in given_up.folded] == ["vassal_changed", "checkpoint"]
    loop.pending.give_up(given_up)
    loop.record(loop.turn(_change(1_001)))
    assert loop.kinds[-2:] == ["vassal_changed", "checkpoint"]


def test_at_the_start_and_before_a_clean_stop(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.start()
        daemon.stop()
        assert [event.kind for event in daemon.events()] == [
            "daemon_started",
            "checkpoint",
            "daemon_ready",
            "daemon_stopping",
            "checkpoint",
            "daemon_stopped",
        ]
        assert daemon.query("SELECT seq FROM snapshot") == [(6,)]
        daemon.start()
        daemon.kill()
        daemon.start()
        daemon.stop()
    verdict = verify(str(daemon.journal))
    assert (verdict.exit_code, verdict.states.count) == (0, 5)
    assert verdict.snapshots == 2  # none where it was killed


def test_the_order_of_settings_and_names_decides_nothing(tmp_path: Path) -> None:
    """A config has its settings in any order, and an event in that of their names."""
    other = tmp_path / "other"
    other.mkdir()
    with Daemon(tmp_path) as daemon:
        daemon.options += ["--name", f"{daemon.vassals}=a", "--name", f"{other}=z"]
        daemon.monitors.append(other)
        (daemon.vassals / "a.ini").write_text(program("sleep", "1000", umask="027", nofile="99"))
        daemon.start()
        daemon.phase("a.ini", "ready")
        daemon.stop()
    verdict = verify(str(daemon.journal))
    assert (verdict.exit_code, verdict.states.count, verdict.snapshots) == (0, 2, 1)


def test_a_snapshot_of_another_order_is_of_the_same_fleet() -> None:
    orders = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    specs = [Spec(ts=1, settings=settings, attrs=settings) for settings in orders]
    fleets = [
        Fleet(vassals={"a": Vassal("a", URL, each, "ready", 1, 1, running=each, kept=each)})
        for each in specs
    ]
    assert to_json(fleets[0]) != to_json(fleets[1])
    assert to_json(copied(fleets[0])) == to_json(copied(fleets[1]))
