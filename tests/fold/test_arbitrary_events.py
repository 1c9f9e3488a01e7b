"""Properties: no order of events breaks the fold, not even an impossible one."""

from typing import Any, Final

import msgspec
import pytest
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.journal.events import KINDS, Event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples

from .checker import Checker
from .world import MONITORS, START, monitors, names, policies, requests, specs

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
        "change": attempts,
        "failures": st.just(3),
        "check": attempts,
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
