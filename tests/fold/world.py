"""The world of the fold's properties: sources, processes, operators, the clock and daemons.

The daemons die at any moment. A checker (``checker.py``) sees each event. When a run ends the
world turns honest: faults cease, and the fleet must become what the sources say.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from emperord.daemon.core import slots
from emperord.daemon.core.actions import Action, recorded
from emperord.daemon.core.attempts import of_attempt
from emperord.daemon.core.checkpoints import States, digest_of
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.journal.events import KINDS, Body, Event, Spec
from emperord.journal.policy import Policy
from hypothesis import strategies as st

from .checker import Checker, Violated, runs
from .passing import Passing
from .script import fold_and_plan

NAMES: Final = ("a.ini", "b.ini", "c.ini", "d.ini")
MONITORS: Final = ("one", "two")
START: Final = 1_700_000_000_000_000_000

several = st.builds(
    Spec,
    ts=st.integers(1, 3),
    config=st.sampled_from(["c1", "c2"]),
    path=st.sampled_from(["/etc/x", None]),
    uid=st.sampled_from([None, 0, 5, 5, 5, 6, 6]),
    gid=st.sampled_from([None, 5, 5]),
    socket=st.sampled_from([None, None, ":80", ":81"]),
    settings=st.sampled_from(
        [
            {},
            {},
            {"command": "gunicorn"},
            {"command": "sleep 9", "restart": "on-failure"},
            {"reload": "restart"},
            {"reload": "none"},
            {"restart": "no"},
            {"preflight": "check"},
            {"rollback": "1"},
            {"rollback": "2"},
            {"preflight": "check", "rollback": "1"},
            {"command": "gunicorn", "rollback": "1"},
            {"canary": "yes"},
            {"command": "gunicorn", "preflight": "check"},  # sorted, as an event has them
        ]
    ),
    bar=st.sampled_from([None, None, None, "not a config"]),
)
# So alike that a change from one to the other is carried out by a replacement.
replaced = st.builds(
    Spec,
    ts=st.integers(1, 3),
    config=st.sampled_from(["c1", "c2"]),
    path=st.sampled_from(["/etc/x", "/etc/x", None]),
    uid=st.just(5),
    gid=st.just(5),
    settings=st.sampled_from(
        [
            {"listen": ":90", "reload": "replace"},
            {"listen": ":90", "reload": "replace"},
            {"listen": ":90", "preflight": "check", "reload": "replace"},
            {"command": "gunicorn", "listen": ":90", "reload": "replace"},
            {"listen": ":90", "reload": "replace", "replace-settle": "0"},
            {"listen": ":90"},
        ]
    ),
)
specs = several | replaced
policies = st.builds(
    Policy,
    max_starting=st.integers(1, 3),
    max_starting_ceiling=st.sampled_from([0, 0, 2, 4, 8]),
    throttle=st.sampled_from([0, 1000]),
    max_throttle=st.just(3000),
    forgive=st.sampled_from([0.0, 60.0]),
    tyrant=st.booleans(),
    rollout=st.sampled_from(["", "", "1", "1", "2", "50%"]),
    rollout_of=st.sampled_from([(), (), (("two", "1"),), (("one", "2"),)]),
    rollout_failures=st.sampled_from([1, 1, 2]),
    rollback=st.sampled_from([0, 1, 2]),
)
names = st.sampled_from(NAMES)
monitors = st.sampled_from(MONITORS)
requests = st.sampled_from(
    ["start", "stop", "restart", "reload", "retry", "cancel_rollback", "reopen", "upgrade",
     "rollout_continue", "rollout_abort"]
)  # fmt: skip


class Process(msgspec.Struct):
    """A process as the world has it. Orders reach it at once; it obeys when it likes."""

    vassal: str
    attempt: int
    born: bool = False
    told: str | None = None  # to stop or to be killed
    loads: bool = True  # is starting or reloading
    pipe: bool = True
    config: str | None = None  # as it was started or reloaded last

    @property
    def key(self) -> tuple[str, int]:
        """Which attempt it is."""
        return self.vassal, self.attempt


class World(Passing):
    """All there is beside the fold, and the journal that both write."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.states = States()
        self.checker = Checker()
        self.now = START
        self.journal: list[tuple[Event, str]] = []
        # By vassal and attempt: one a vassal, or two in a replacement; the checker sees to that.
        self.processes: dict[tuple[str, int], Process] = {}
        self.sources: dict[str, dict[str, Spec]] = {each: {} for each in MONITORS}
        self.refused: set[tuple[str, str]] = set()
        self.policy = Policy()
        self.configured: tuple[str, ...] = MONITORS
        self.rules = RULES  # of the next daemon
        self.loses_reloads = False  # the daemon is killed before it sends the order

    def happen(
        self, kind: str, vassal: str | None = None, monitor: str | None = None, **fields: Any
    ) -> None:
        """Journal and fold one event, and carry out what it orders."""
        self.now += 1
        seq = len(self.journal) + 1
        body: Body = msgspec.convert(fields, KINDS[kind])
        event = Event(seq, self.now, kind, monitor, vassal, None, body)
        restored = from_json(to_json(self.fleet))
        actions = fold_and_plan(self.fleet, event)
        self.journal.append((event, recorded(actions)))
        # A fleet from its snapshot decides the same; by induction so does any tail after any cut.
        assert fold(restored, event) == actions
        assert to_json(restored) == to_json(self.fleet)
        # The sum that is kept up to date is that of all vassals.
        self.states.note(self.fleet, event, actions)
        assert self.states.digest(self.fleet) == digest_of(restored)
        self.checker.see(event, self.fleet, actions)
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        if action.attempt is None or action.do == "check":
            return
        its = (action.vassal, action.attempt)
        if action.do == "spawn":
            self.processes[its] = Process(action.vassal, action.attempt, config=action.config)
        elif action.do == "reload":
            if not self.loses_reloads:
                self.processes[its].loads = True
                self.processes[its].config = action.config
        else:
            self.processes[its].told = action.do

    # Daemons

    def start_daemon(self, pipes: Callable[[], bool], outcomes: Callable[[], str]) -> None:
        """A daemon takes over, whatever became of the one before."""
        self.happen(
            "daemon_started",
            version="1",
            boot="b",
            pid=1,
            policy=self.policy,
            monitors=self.configured,
            rules=self.rules,
        )
        for process in list(self.processes.values()):
            attempt = process.attempt
            if outcomes() == "gone":
                del self.processes[process.key]
                if process.born:
                    self.happen("exited", process.vassal, attempt=attempt, away=True)
                else:
                    self.happen(
                        "spawn_failed",
                        process.vassal,
                        attempt=attempt,
                        reason="never tried",
                        fault="interrupted",
                    )
            else:
                process.born, process.pipe = True, process.pipe and pipes()
                self.happen(
                    "adopted",
                    process.vassal,
                    attempt=attempt,
                    pid=attempt,
                    start_time=1,
                    control=process.pipe,
                )

    # Sources

    def look(self, monitor: str) -> None:
        """An honest monitor tells what of its source is news."""
        has = self.sources[monitor]
        for name, vassal in list(self.fleet.vassals.items()):
            if vassal.monitor == monitor and vassal.wanted and name not in has:
                self.happen("vassal_removed", name, monitor)
        for name, spec in has.items():
            known = self.fleet.vassals.get(name)
            if known is None or not known.wanted or known.monitor not in self.configured:
                self.happen("vassal_added", name, monitor, spec=spec)
            elif known.monitor != monitor and self._is_first(monitor, known.monitor):
                self.happen("vassal_changed", name, monitor, spec=spec)
            elif known.monitor != monitor and (monitor, name) not in self.refused:
                self.refused.add((monitor, name))
                self.happen("observation_rejected", None, monitor, name=name, reason="not yours")
            elif known.monitor == monitor and known.spec != spec:
                self.happen("vassal_changed", name, monitor, spec=spec)

    def _is_first(self, monitor: str, owner: str) -> bool:
        return self.configured.index(monitor) < self.configured.index(owner)

    def look_around(self) -> None:
        for name, vassal in list(self.fleet.vassals.items()):
            if vassal.monitor not in self.configured and vassal.wanted:
                claimed = any(name in self.sources[monitor] for monitor in self.configured)
                if not claimed:
                    self.happen("vassal_removed", name, vassal.monitor)
        for monitor in self.configured:
            self.look(monitor)

    # Preflights

    @property
    def checked(self) -> list[str]:
        """The vassals with a check under way."""
        return sorted(self.checker.approvals.checks)

    def end_check(self, name: str, *, passes: bool) -> None:
        """The preflight of a vassal has ended."""
        check = self.checker.approvals.checks[name]
        if passes:
            self.happen("preflight_passed", name, None, check=check)
        else:
            self.happen("deploy_refused", name, None, check=check, reason="exit code 1")

    # Processes

    def say(self, process: Process, kind: str) -> None:
        its = of_attempt(self.fleet.vassals[process.vassal], process.attempt)
        assert its is not None
        running = its.running
        assert running is not None
        if kind == "vassal_deaf" and not process.loads:
            return  # only an order that was given can be ignored
        if process.pipe and process.born and "command" not in running.settings:
            process.loads = process.loads and kind != "vassal_accepting"
            self.happen(kind, process.vassal, attempt=process.attempt)

    def bear(self, process: Process) -> None:
        if not process.born:
            process.born = True
            self.happen("spawned", process.vassal, attempt=process.attempt, pid=1, start_time=1)

    def end(self, process: Process, code: int | None = 0, *, reload: bool = False) -> None:
        del self.processes[process.key]
        fields = {"code": code} if not reload else {"signal": 1, "reload": True}
        self.happen("exited", process.vassal, attempt=process.attempt, **fields)

    # The end of a run

    def turn_honest(self) -> None:
        """No more faults: everybody does what is asked, until nothing is left to do."""
        self.policy = msgspec.structs.replace(
            self.policy, tyrant=False, rollout="", rollout_of=(), rollout_failures=9
        )
        self.start_daemon(lambda: True, lambda: "alive")
        self.look_around()
        self.happen("daemon_ready")
        self.happen("operator_requested", request="retry")  # lifts bars that faults put up
        self.happen("operator_requested", request="rollout_continue")
        for rollout in list(self.fleet.rollouts.values()):
            for name in rollout.names if rollout.aborted is not None else ():
                vassal = self.fleet.vassals[name]
                self.happen("vassal_changed", name, vassal.monitor, spec=vassal.spec)
        for _ in range(60):
            before = len(self.journal)
            self._oblige()
            self.look_around()
            if before == len(self.journal) and not self._wait():
                fleet = self.fleet.vassals.values()
                if not any(each.failed and each.phase == "barred" for each in fleet):
                    return
                # It was still being stopped when the bars were lifted.
                self.happen("operator_requested", request="retry")
        raise Violated("the fleet does not come to rest")

    def _oblige(self) -> None:
        for process in list(self.processes.values()):
            if process.told:
                self.end(process)
                continue
            self.bear(process)
            if process.loads:
                self.say(process, "vassal_accepting")
        for name in self.checked:
            self.end_check(name, passes=True)
        self.open_all()
        for name, vassal in list(self.fleet.vassals.items()):
            if name in self.fleet.vassals and vassal.phase == "listening":
                self.happen("connection_waiting", name)

    def _wait(self) -> bool:
        """Nothing else is left to do: time passes. Whether that led to an event."""
        pending = self.deadlines
        for name, attempt in pending[:1]:
            self.pass_deadline(name, attempt)
        rollouts = self.fleet.rollouts
        due = [seq for seq, each in rollouts.items() if each.deadline is not None]
        for seq in due[:1]:
            self.pass_rollout_deadline(seq)
        return bool(pending or due)

    def check_rest(self) -> None:
        """The fleet is what the sources say."""
        claims = {name for each in self.configured for name in self.sources[each]}
        assert set(self.fleet.vassals) == claims
        for name, vassal in self.fleet.vassals.items():
            first = next(each for each in self.configured if name in self.sources[each])
            assert vassal.monitor == first
            assert vassal.spec == self.sources[vassal.monitor][name]
            if vassal.held:
                assert vassal.phase == "held"
            elif vassal.done:
                assert vassal.phase == "barred"  # its work is over
            elif vassal.spec.bar and vassal.kept is None:
                assert (vassal.phase, vassal.reason) == ("barred", vassal.spec.bar)
            else:
                assert vassal.phase in ("ready", "accepting")
                may = vassal.target
                waits = vassal.aim.settings.get("reload") == "none"
                assert waits or (may is not None and runs(vassal, may))
                if may != vassal.spec:
                    assert vassal.refused is not None
                    assert vassal.refused.rolled_back
                assert (name, vassal.attempt) in self.processes
            assert vassal.candidate is None
        assert self.fleet.starting == 0
        assert not slots.waits(self.fleet)
        assert not self.fleet.rollouts

    def check_again(self) -> None:
        """The same events, the same bytes."""
        again = Fleet()
        for event, actions in self.journal:
            assert recorded(fold(again, event)) == actions
        assert to_json(again) == to_json(self.fleet)
