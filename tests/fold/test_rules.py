"""The rules have versions: a journal is folded by those of its day, and by no later ones."""

import msgspec
import pytest
from emperord.daemon.core import rules, slots
from emperord.daemon.core.checkpoints import NEWEST, PARTS, PROJECTIONS
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.fold import fold
from emperord.daemon.core.reloads import is_ordered_again
from emperord.journal.decoding import decode_body
from emperord.journal.errors import NewerFormat
from emperord.journal.events import KINDS, Event, Spec
from emperord.journal.policy import Policy

from .script import Script

STARTED = KINDS["daemon_started"]


def started(version: int) -> Event:
    body = STARTED(version="1", boot="b", pid=1, policy=Policy(), rules=version)  # type: ignore[call-arg]
    return Event(1, 1, "daemon_started", None, None, None, body)


def test_a_start_of_the_first_release_has_no_version_and_means_the_first() -> None:
    body = decode_body("daemon_started", '{"version":"0.1.0","boot":"b","pid":1,"policy":{}}')
    fleet = Fleet()
    fold(fleet, Event(1, 1, "daemon_started", None, None, None, body))
    assert fleet.rules == 1


@pytest.mark.parametrize("version", range(1, rules.RULES + 1))
def test_the_fleet_keeps_the_version_of_the_daemon_that_decides(version: int) -> None:
    fleet = Fleet()
    fold(fleet, started(version))
    assert fleet.rules == version


def test_rules_of_a_later_version_are_refused_and_change_nothing() -> None:
    fleet = Fleet()
    with pytest.raises(NewerFormat, match="use the version of emperord that wrote it"):
        fold(fleet, started(rules.RULES + 1))
    assert fleet.rules == 1
    assert fleet.boot == ""


def changes() -> dict[str, rules.Change]:
    return {name: each for name, each in vars(rules).items() if isinstance(each, rules.Change)}


@pytest.mark.parametrize("name", sorted(changes()))
def test_a_changed_decision_says_since_when_and_why(name: str) -> None:
    change = changes()[name]
    assert 1 < change.since <= rules.RULES
    assert change.decision.endswith(".")
    assert change.reason.endswith(".")


@pytest.mark.parametrize(
    ("struct", "listed"),
    [
        (Vassal, PROJECTIONS[NEWEST].vassal),
        (Spec, PROJECTIONS[NEWEST].spec),
        (Fleet, PROJECTIONS[NEWEST].fleet),
        (Policy, PROJECTIONS[NEWEST].policy),
    ],
    ids=["vassal", "spec", "fleet", "policy"],
)
def test_each_field_of_the_fleet_is_in_the_digest_of_checkpoints(
    struct: type[msgspec.Struct], listed: tuple[str, ...]
) -> None:
    fields = set(struct.__struct_fields__) - PARTS
    assert sorted(listed) == sorted(fields), "a new field needs a new version of the projection"


@pytest.mark.parametrize(
    ("version", "orders"),
    [
        pytest.param(1, ["=> stop a.ini #1"], id="1: at once, above max-starting"),
        pytest.param(2, ["=> reload a.ini #1 with c2"], id="2: in its turn"),
    ],
)
def test_a_reload_that_waits_for_a_slot_when_its_vassal_is_adopted(
    version: int, orders: list[str]
) -> None:
    """A reload without a slot is under way meanwhile."""
    script = Script(rules=version)
    story = (
        "policy max_starting=1; daemon started; daemon ready; added a.ini ts=1 command=x;"
        "spawned a.ini; changed a.ini ts=2 command=x; added b.ini ts=1;"
        "changed a.ini ts=3 command=x reload=restart; daemon started"
    )
    for line in story.split(";"):
        script.feed(line)
    assert is_ordered_again(script.fleet.vassals["a.ini"])  # the host waits for that
    printed = script.feed("adopted a.ini")
    assert [line for line in printed if line.startswith("=>")] == orders


@pytest.mark.parametrize(
    ("version", "waits"),
    [pytest.param(1, True, id="1: it keeps its place"), pytest.param(2, False, id="2: it leaves")],
)
def test_a_reload_that_waited_for_a_slot_when_its_change_is_to_wait_for_the_next_start(
    version: int, waits: bool
) -> None:
    script = Script(rules=version)
    story = (
        "policy max_starting=1; daemon started; daemon ready; added a.ini ts=1 command=x;"
        "spawned a.ini; added b.ini ts=1; changed a.ini ts=2 command=x reload=restart;"
        "changed a.ini ts=3 command=x reload=none"
    )
    for line in story.split(";"):
        script.feed(line)
    assert slots.waits(script.fleet) is waits
