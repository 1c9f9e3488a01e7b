"""Properties: in every well-formed world, the fold keeps its promises."""

import msgspec
import pytest
from emperord.daemon.core.attempts import of_attempt
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.effort import examples

from .world import MONITORS, Process, World, monitors, names, policies, requests, specs


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

    @precondition(lambda self: self.stage != "away" and self.world.checked)
    @rule(data=st.data(), passes=st.booleans())
    def check_ends(self, data: st.DataObject, passes: bool) -> None:
        name = data.draw(st.sampled_from(self.world.checked))
        self.world.end_check(name, passes=passes)

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
        its = of_attempt(self.world.fleet.vassals[process.vassal], process.attempt)
        if its is not None and its.heartbeat:
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
        del self.world.processes[process.key]
        fields = {"place": "reap", "reason": "KeyError", "gone": process.attempt}
        self.world.happen("vassal_failed", process.vassal, None, **fields)

    @precondition(lambda self: self.stage != "away" and self.world.processes)
    @rule(data=st.data(), fault=st.sampled_from(["exec", "resources"]))
    def process_cannot_be(self, data: st.DataObject, fault: str) -> None:
        process = self._some_process(data)
        if not process.born:
            del self.world.processes[process.key]
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
    @rule(data=st.data())
    def deadline_passes(self, data: st.DataObject) -> None:
        pending = self.world.deadlines
        if pending:
            self.world.pass_deadline(*data.draw(st.sampled_from(pending)))

    @rule(seconds=st.sampled_from([1, 31, 61]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += seconds * 10**9

    @precondition(lambda self: self.stage != "away" and self.world.fleet.rollouts)
    @rule(data=st.data())
    def rollout_is_due(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.world.fleet.rollouts)))
        if self.world.fleet.rollouts[seq].deadline is not None:
            self.world.pass_rollout_deadline(seq)

    @precondition(lambda self: self.stage != "away")
    @rule(name=st.none() | names, request=requests)
    def operator_asks(self, name: str | None, request: str) -> None:
        self.world.happen("operator_requested", name, request=request)

    @precondition(lambda self: self.stage != "away" and self.world.fleet.vassals)
    @rule(data=st.data(), spec=specs, mine=st.booleans())
    def operator_goes_back(self, data: st.DataObject, spec: Spec, mine: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.fleet.vassals)))
        wanted = self.world.fleet.vassals[name].spec
        if mine:
            spec = msgspec.structs.replace(spec, uid=wanted.uid, gid=wanted.gid)
        self.world.happen("operator_requested", name, request="rollback", back_to=spec)

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
