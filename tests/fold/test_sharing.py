"""Slots are shared: no user delays another, however many of its vassals start and hang."""

from collections.abc import Sequence
from typing import Final

import pytest
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples

from .checker import Checker
from .script import Script

USERS: Final = ("5", "6", "7", "8")
DOES: Final = ("add", "add", "add", "touch", "accept", "accept", "hang", "crash", "retry", "press")

steps = st.lists(
    st.tuples(st.sampled_from(DOES), st.sampled_from(USERS), st.integers(0, 5)),
    min_size=20,
    max_size=60,
)


class Tenants:
    """A fleet of some users in tyrant mode, or of one source each. A checker sees every event."""

    def __init__(self, slots: int, ceiling: int = 0, *, tyrant: bool = True) -> None:
        self.script = Script()
        self.checker = Checker()
        self.tyrant = tyrant
        if not tyrant:
            self.script.feed(f"monitors {' '.join(USERS)}")
        mode = "yes" if tyrant else "no"
        self.script.feed(
            f"policy max_starting={slots} max_starting_ceiling={ceiling} tyrant={mode}"
        )
        self.feed("daemon started")

    @property
    def fleet(self) -> Fleet:
        return self.script.fleet

    def feed(self, line: str) -> None:
        told = len(self.script.events)
        orders = self.script.actions
        orders.clear()
        self.script.feed(line)
        for event in self.script.events[told:]:
            self.checker.see(event, self.fleet, orders)

    def add(self, user: str, number: int, ts: int = 1) -> None:
        name = f"u{user}-{number}.ini"
        whose = f"uid={user} gid={user}" if self.tyrant else f"from={user}"
        word = "changed" if name in self.fleet.vassals else "added"
        how = " reload=restart" if number == 5 else ""
        self.feed(f"{word} {name} ts={ts} {whose}{how}")

    def starting(self, user: str = "") -> list[str]:
        """The vassals that hold a slot, of one user or of all."""
        return [
            vassal.name
            for vassal in self.fleet.vassals.values()
            if vassal.slot and vassal.name.startswith(f"u{user}")
        ]

    def do(self, does: str, user: str, number: int, ts: int) -> None:
        starting = self.starting()
        if does == "add":
            self.add(user, number, ts)
        elif does == "touch":
            for vassal in list(self.fleet.vassals.values()):
                if vassal.name.startswith(f"u{user}"):
                    self.add(user, int(vassal.name[3]), ts)
        elif does == "press":
            self.feed(f"pressure cpu={number}")
        elif does == "retry":
            throttled = [v.name for v in self.fleet.vassals.values() if v.phase == "throttled"]
            for name in throttled[:1]:
                self.feed(f"deadline {name}")
        elif starting:
            name = starting[number % len(starting)]
            says = {"accept": f"accepting {name}", "hang": f"deadline {name}"}
            self.feed(says.get(does, f"exited {name} code=1"))


# A change of the only vassal that a user has waiting left that user without its place.
CHANGED: Final = [
    *(("add", "5", 0), ("add", "5", 1), ("add", "6", 0)),
    *[("accept", "5", 5)] * 6,
    *(("add", "5", 0), ("add", "5", 2), ("add", "6", 1), ("crash", "5", 0), ("retry", "5", 0)),
    *(("accept", "5", 0), ("accept", "5", 0), ("add", "6", 0), ("accept", "5", 0)),
]


@pytest.mark.search
@example(CHANGED, 1, 0, False)
@settings(max_examples=examples(100))
@given(steps, st.integers(1, 4), st.sampled_from([0, 4]), st.booleans())
def test_each_start_comes_after_at_most_one_of_each_other_user(
    given_steps: Sequence[tuple[str, str, int]], slots: int, ceiling: int, tyrant: bool
) -> None:
    tenants = Tenants(slots, ceiling, tyrant=tyrant)
    for number, (does, user, which) in enumerate(given_steps):
        if number == 8:
            tenants.feed("daemon ready")
        tenants.do(does, user, which, ts=number)
    assert to_json(from_json(to_json(tenants.fleet))) == to_json(tenants.fleet)


@pytest.mark.parametrize("tyrant", [True, False], ids=["users", "sources"])
def test_sixty_starts_of_one_user_that_hang_delay_no_other(tyrant: bool) -> None:
    tenants = Tenants(slots=4, tyrant=tyrant)
    tenants.feed("daemon ready")
    for number in range(60):
        tenants.add("5", number)
    began = tenants.script.now
    for number in range(20):
        tenants.add("6", number)
        assert f"u6-{number}.ini" in tenants.starting("6")
        tenants.feed(f"accepting u6-{number}.ini")
    # One that crashed is in no other case.
    tenants.feed("exited u6-0.ini code=1")
    tenants.feed("deadline u6-0.ini")
    assert tenants.starting("6") == ["u6-0.ini"]
    assert (tenants.script.now - began) / 1e9 < 1.1


def test_a_user_alone_has_all_slots_but_one_and_a_source_alone_all() -> None:
    tenants = Tenants(slots=4)
    tenants.feed("daemon ready")
    for number in range(6):
        tenants.add("5", number)
    assert len(tenants.starting()) == 3
    script = Script()
    for line in ("policy max_starting=4", "daemon started", "daemon ready"):
        script.feed(line)
    for number in range(6):
        script.feed(f"added v{number}.ini")
    assert script.fleet.starting == 4


@pytest.mark.parametrize("lines", ["added", "touched", "crashed"])
def test_what_waits_under_the_first_rules_waits_on_under_the_present_ones(lines: str) -> None:
    script = Script(rules=1)
    script.feed("policy max_starting=1 tyrant=yes")
    for line in ("daemon started", "daemon ready", "added up.ini uid=5 gid=5"):
        script.feed(line)
    script.feed("accepting up.ini")
    script.feed("added crashes.ini uid=6 gid=6")
    script.feed("exited crashes.ini code=1")
    script.feed("added hangs.ini uid=5 gid=5")
    waits = {
        "added": ["added new.ini uid=6 gid=6"],
        "touched": ["changed up.ini ts=2 uid=5 gid=5"],
        "crashed": ["deadline crashes.ini"],
    }[lines]
    for line in waits:
        script.feed(line)
    assert not script.fleet.users
    assert not script.fleet.held
    script.rules = 2
    script.feed("daemon started")
    assert not script.fleet.express
    assert not script.fleet.queue
    assert not script.fleet.retries
    assert script.fleet.held == {"uid 5": 1}
    assert len(script.fleet.users) == 1
    script.feed("daemon ready")
    orders = [line for line in script.feed("accepting hangs.ini") if line.startswith("=>")]
    assert len(orders) == 1


def test_a_user_whose_last_vassal_is_barred_waits_for_no_turn() -> None:
    tenants = Tenants(slots=1, tyrant=False)
    tenants.feed("daemon ready")
    for line in ("a.ini uid=5 gid=5", "b.ini uid=6", "c.ini uid=5 gid=5"):
        tenants.feed(f"added {line} from=5")
    tenants.script.feed("policy max_starting=4 tyrant=yes")
    for line in ("daemon started", "exited a.ini away=yes", "daemon ready"):
        tenants.feed(line)  # the checker counts the starts while others wait
    phases = {name: vassal.phase for name, vassal in tenants.fleet.vassals.items()}
    assert phases == {"a.ini": "starting", "b.ini": "barred", "c.ini": "starting"}
