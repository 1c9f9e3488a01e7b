"""Properties: whatever a well-formed world does, the fold keeps its promises.

``World`` plays everything around the fold: sources, processes, people, the clock and daemons
that die at any moment. A checker of its own (``checker.py``) watches each event. When a run
ends the world turns honest: faults cease, and the fleet must become what the sources say.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from emperord.daemon.core import slots
from emperord.daemon.core.actions import Action, recorded
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from emperord.daemon.core.fold import TABLE, fold
from emperord.daemon.core.rules import RULES
from emperord.journal.events import KINDS, Body, Event, Spec
from emperord.journal.policy import Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.effort import examples

from .checker import Checker, Violated
from .script import fold_and_plan

NAMES: Final = ("a.ini", "b.ini", "c.ini", "d.ini")
MONITORS: Final = ("one", "two")
START: Final = 1_700_000_000_000_000_000

specs = st.builds(
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
        ]
    ),
    bar=st.sampled_from([None, None, None, "not a config"]),
)
policies = st.builds(
    Policy,
    max_starting=st.integers(1, 3),
    max_starting_ceiling=st.sampled_from([0, 0, 2, 4, 8]),
    throttle=st.sampled_from([0, 1000]),
    max_throttle=st.just(3000),
    forgive=st.sampled_from([0.0, 60.0]),
    tyrant=st.booleans(),
)
names = st.sampled_from(NAMES)
monitors = st.sampled_from(MONITORS)
requests = st.sampled_from(["start", "stop", "reload", "retry", "upgrade"])


class Process(msgspec.Struct):
    """A process as the world has it. Orders reach it at once; it obeys when it likes."""

    vassal: str
    attempt: int
    born: bool = False
    told: str | None = None  # to stop or to be killed
    loads: bool = True  # is starting or reloading
    pipe: bool = True


class World:
    """Everything but the fold, and the journal that both write."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.checker = Checker()
        self.now = START
        self.journal: list[tuple[Event, str]] = []
        self.processes: dict[str, Process] = {}  # one a vassal; the checker sees to that
        self.sources: dict[str, dict[str, Spec]] = {each: {} for each in MONITORS}
        self.refused: set[tuple[str, str]] = set()
        self.policy = Policy()
        self.configured: tuple[str, ...] = MONITORS
        self.rules = RULES  # of the next daemon

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
        self.checker.see(event, self.fleet, actions)
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        if action.attempt is None:
            return
        if action.do == "spawn":
            self.processes[action.vassal] = Process(action.vassal, action.attempt)
        elif action.do == "reload":
            self.processes[action.vassal].loads = True
        else:
            self.processes[action.vassal].told = action.do

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
                del self.processes[process.vassal]
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

    # Processes

    def say(self, process: Process, kind: str) -> None:
        running = self.fleet.vassals[process.vassal].running
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
        del self.processes[process.vassal]
        fields = {"code": code} if not reload else {"signal": 1, "reload": True}
        self.happen("exited", process.vassal, attempt=process.attempt, **fields)

    def pass_deadline(self, name: str) -> None:
        deadline = self.fleet.vassals[name].deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.happen("deadline_passed", name, deadline=deadline)

    # The end of a run

    def turn_honest(self) -> None:
        """No more faults: everybody does what is asked, until nothing is left to do."""
        self.policy = msgspec.structs.replace(self.policy, tyrant=False)
        self.start_daemon(lambda: True, lambda: "alive")
        self.look_around()
        self.happen("daemon_ready")
        self.happen("operator_requested", request="retry")  # lifts bars that faults put up
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
        for name, vassal in list(self.fleet.vassals.items()):
            if name in self.fleet.vassals and vassal.phase == "listening":
                self.happen("connection_waiting", name)

    def _wait(self) -> bool:
        """Nothing else is left to do: time passes. Whether that was news to anybody."""
        pending = [name for name, each in self.fleet.vassals.items() if each.deadline is not None]
        for name in pending[:1]:
            self.pass_deadline(name)
        return bool(pending)

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
            elif vassal.spec.bar:
                assert (vassal.phase, vassal.reason) == ("barred", vassal.spec.bar)
            else:
                assert vassal.phase in ("ready", "accepting")
                assert vassal.running == vassal.spec or vassal.spec.settings["reload"] == "none"
                assert name in self.processes
        assert self.fleet.starting == 0
        assert not slots.waits(self.fleet)

    def check_again(self) -> None:
        """The same events, the same bytes."""
        again = Fleet()
        for event, actions in self.journal:
            assert recorded(fold(again, event)) == actions
        assert to_json(again) == to_json(self.fleet)


class Life(RuleBasedStateMachine):
    """Random lives of a fleet. Stages of a daemon: away, recovering, ready, stopping."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.stage = "away"

    # The daemon

    @rule(
        policy=policies,
        configured=st.sampled_from(
            [MONITORS, MONITORS, MONITORS[::-1], MONITORS[:1], MONITORS[1:]]
        ),
        data=st.data(),
    )
    def daemon_starts(
        self, policy: Policy, configured: tuple[str, ...], data: st.DataObject
    ) -> None:
        self.world.policy, self.world.configured = policy, configured
        self.world.start_daemon(
            lambda: data.draw(st.booleans(), "its pipe is there"),
            lambda: data.draw(st.sampled_from(["alive", "gone"]), "its process is"),
        )
        self.stage = "recovering"

    @precondition(lambda self: self.stage == "recovering")
    @rule()
    def daemon_is_ready(self) -> None:
        self.world.look_around()
        self.world.happen("daemon_ready")
        self.stage = "ready"

    @precondition(lambda self: self.stage in ("recovering", "ready"))
    @rule()
    def daemon_stops(self) -> None:
        self.world.happen("daemon_stopping", reason="asked to")
        self.stage = "stopping"

    @precondition(lambda self: self.stage == "stopping" and not self.world.processes)
    @rule()
    def daemon_has_stopped(self) -> None:
        self.world.happen("daemon_stopped")
        self.stage = "away"

    # Sources

    @rule(name=names, monitor=monitors, spec=specs, look=st.booleans())
    def source_has(self, name: str, monitor: str, spec: Spec, look: bool) -> None:
        self.world.sources[monitor][name] = spec
        self._look(monitor, look)

    @rule(name=names, monitor=monitors, look=st.booleans())
    def source_loses(self, name: str, monitor: str, look: bool) -> None:
        self.world.sources[monitor].pop(name, None)
        self._look(monitor, look)

    def _look(self, monitor: str, look: bool) -> None:
        if look and self.stage != "away" and monitor in self.world.configured:
            self.world.look(monitor)

    @precondition(lambda self: self.stage != "away" and self.world.fleet.vassals)
    @rule(data=st.data())
    def source_announces_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.fleet.vassals)))
        monitor = self.world.fleet.vassals[name].monitor
        if name in self.world.sources[monitor]:
            spec = self.world.sources[monitor][name]
            self.world.happen("vassal_changed", name, monitor, spec=spec)

    # Processes, while a daemon is there to see

    def _some_process(self, data: st.DataObject) -> Process:
        return self.world.processes[data.draw(st.sampled_from(sorted(self.world.processes)), "of")]

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data())
    def process_is_born(self, data: st.DataObject) -> None:
        self.world.bear(self._some_process(data))

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(
        data=st.data(),
        kind=st.sampled_from(
            [
                "vassal_ready",
                "vassal_accepting",
                "vassal_accepting",
                "vassal_loyal",
                "vassal_resigned",
                "vassal_deaf",
                "heartbeat_started",
            ]
        ),
    )
    def process_says(self, data: st.DataObject, kind: str) -> None:
        self.world.say(self._some_process(data), kind)

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data())
    def process_falls_silent(self, data: st.DataObject) -> None:
        process = self._some_process(data)
        if self.world.fleet.vassals[process.vassal].heartbeat:
            fields = {"attempt": process.attempt, "silent": 30}
            self.world.happen("heartbeat_lost", process.vassal, None, **fields)

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 1, 26, None]), reload=st.booleans())
    def process_dies(self, data: st.DataObject, code: int | None, reload: bool) -> None:
        process = self._some_process(data)
        self.world.bear(process)
        self.world.end(process, code, reload=reload and code is None)

    @precondition(lambda self: self.stage != "away")
    @rule(vassal=names, also=st.lists(names, max_size=2))
    def daemon_errs(self, vassal: str, also: list[str]) -> None:
        fields = {"place": "fold", "reason": "KeyError", "also": tuple(also)}
        self.world.happen("vassal_failed", vassal, None, **fields)

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data())
    def daemon_errs_about_a_death(self, data: st.DataObject) -> None:
        process = self._some_process(data)
        del self.world.processes[process.vassal]
        fields = {"place": "reap", "reason": "KeyError", "gone": process.attempt}
        self.world.happen("vassal_failed", process.vassal, None, **fields)

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data(), fault=st.sampled_from(["exec", "resources"]))
    def process_cannot_be(self, data: st.DataObject, fault: str) -> None:
        process = self._some_process(data)
        if not process.born:
            del self.world.processes[process.vassal]
            fields = {"attempt": process.attempt, "reason": "no", "fault": fault}
            self.world.happen("spawn_failed", process.vassal, None, **fields)

    @precondition(lambda self: self.stage != "away")
    @rule(name=names)
    def client_connects(self, name: str) -> None:
        vassal = self.world.fleet.vassals.get(name)
        if vassal is not None and vassal.phase == "listening":
            self.world.happen("connection_waiting", name)

    @precondition(lambda self: self.stage != "away")
    @rule(
        name=names,
        address=st.sampled_from([":80", ":81"]),
        fault=st.sampled_from(["address", "busy", "resources"]),
        holder=st.none() | names,
        held_as=st.sampled_from([":80", ":81"]),
    )
    def address_cannot_be_had(
        self, name: str, address: str, fault: str, holder: str | None, held_as: str
    ) -> None:
        if name in self.world.fleet.vassals and holder != name:
            fields = {"address": address, "reason": "no", "fault": fault}
            self.world.happen("listen_failed", name, None, holder=holder, held_as=held_as, **fields)

    # Time, the machine and people

    @precondition(lambda self: self.stage == "ready")
    @rule(cpu=st.integers(0, 5), memory=st.sampled_from([0, 0, 3]))
    def machine_is_under_pressure(self, cpu: int, memory: int) -> None:
        self.world.happen("pressure_observed", cpu=cpu, memory=memory)

    @precondition(lambda self: self.stage != "away")
    @rule(name=names)
    def deadline_passes(self, name: str) -> None:
        vassal = self.world.fleet.vassals.get(name)
        if vassal is not None and vassal.deadline is not None:
            self.world.pass_deadline(name)

    @precondition(lambda self: self.stage != "away")
    @rule(name=st.none() | names, request=requests)
    def operator_asks(self, name: str | None, request: str) -> None:
        self.world.happen("operator_requested", name, request=request)

    @invariant()
    def processes_agree(self) -> None:
        known = {(each.vassal, each.attempt) for each in self.world.processes.values()}
        assert known == self.world.checker.alive

    def teardown(self) -> None:
        self.world.turn_honest()
        self.world.check_rest()
        self.world.check_again()


TestLife = pytest.mark.search(Life.TestCase)
TestLife.settings = settings(
    max_examples=examples(40),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# Events as no world would send them: a damaged journal or a bug elsewhere.

attempts = st.integers(1, 30)
bodies: Final[dict[str, st.SearchStrategy[Any]]] = {
    "deadline_passed": st.builds(
        KINDS["deadline_passed"],
        deadline=st.integers(1, 90).map(lambda seconds: START + seconds * 10**9),
    ),
    "daemon_started": st.builds(
        KINDS["daemon_started"],
        version=st.just("1"),
        boot=st.just("b"),
        pid=st.just(1),
        policy=policies,
        monitors=st.sampled_from([MONITORS, MONITORS[:1], ()]),
        rules=st.integers(1, RULES),
    ),
    "operator_requested": st.builds(KINDS["operator_requested"], request=requests),
    "spawn_failed": st.builds(
        KINDS["spawn_failed"],
        attempt=attempts,
        reason=st.just("x"),
        fault=st.sampled_from(["exec", "resources", "interrupted"]),
    ),
    "listen_failed": st.builds(
        KINDS["listen_failed"],
        address=st.sampled_from([":80", ":81"]),
        reason=st.just("x"),
        fault=st.sampled_from(["address", "busy", "resources"]),
        holder=st.none() | names,
        held_as=st.sampled_from([None, ":80", ":81"]),
    ),
    "exited": st.builds(
        KINDS["exited"],
        attempt=attempts,
        code=st.sampled_from([None, 0, 26]),
        reload=st.booleans(),
        away=st.booleans(),
    ),
    "vassal_added": st.builds(KINDS["vassal_added"], spec=specs),
    "vassal_changed": st.builds(KINDS["vassal_changed"], spec=specs),
}


@st.composite
def arbitrary_events(draw: st.DrawFn) -> list[Event]:
    """Any kinds in any order, for names and attempts that may or may not be."""
    events: list[Event] = []
    now = START
    for seq in range(1, draw(st.integers(1, 60)) + 1):
        now += draw(st.sampled_from([1, 10**9, 30 * 10**9]))
        kind = draw(st.sampled_from(sorted(KINDS)))
        vassal = draw(st.none() | names) if kind == "operator_requested" else draw(names)
        made = bodies[kind] if kind in bodies else st.builds(KINDS[kind], **_any_fields(kind))
        events.append(Event(seq, now, kind, draw(monitors), vassal, None, draw(made)))
    return events


def _any_fields(kind: str) -> dict[str, st.SearchStrategy[Any]]:
    fields = {field.name for field in msgspec.structs.fields(KINDS[kind])}
    any_of: dict[str, st.SearchStrategy[Any]] = {
        "attempt": attempts,
        "pid": st.just(1),
        "start_time": st.just(1),
        "control": st.booleans(),
        "silent": st.just(30.0),
        "reason": st.just("x"),
        "name": names,
        "missing": st.just(()),
        "known": st.just(0),
    }
    return {name: any_of[name] for name in any_of.keys() & fields}


@pytest.mark.search
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=arbitrary_events())
def test_no_order_of_events_breaks_it(events: list[Event]) -> None:
    fleet, checker = Fleet(), Checker()
    for event in events:
        checker.see(event, fleet, fold(fleet, event))


# A checker that never bites proves nothing.


def spawn_beside(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.attempt = event.seq
    actions.append(Action("spawn", vassal.name, event.seq, vassal.spec.config))


def forget_process(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    del fleet.vassals[vassal.name]


def lose_change(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.spec = event.body.spec  # type: ignore[attr-defined]


def overtake(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.slot, vassal.phase, vassal.deadline = True, "reloading", event.at + 1
    actions.append(Action("reload", vassal.name, vassal.attempt))


@pytest.mark.parametrize(
    ("kind", "phase", "defect"),
    [
        pytest.param("vassal_changed", "starting", spawn_beside, id="two of one"),
        pytest.param("vassal_removed", "starting", forget_process, id="an orphan"),
        pytest.param("vassal_changed", "accepting", lose_change, id="a lost change"),
        pytest.param("vassal_loyal", "accepting", overtake, id="a slot not counted"),
    ],
)
def test_the_checker_bites(
    monkeypatch: pytest.MonkeyPatch, kind: str, phase: str, defect: Any
) -> None:
    world = World()
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    world.happen("vassal_added", "a.ini", "one", spec=Spec(1))
    process = world.processes["a.ini"]
    world.bear(process)
    if phase == "accepting":
        world.say(process, "vassal_accepting")
    monkeypatch.setitem(TABLE[kind], phase, defect)
    fields: dict[str, Any] = {"attempt": process.attempt} if kind == "vassal_loyal" else {}
    if kind == "vassal_changed":
        fields = {"spec": Spec(2)}
    with pytest.raises(Violated):
        world.happen(kind, "a.ini", "one", **fields)
