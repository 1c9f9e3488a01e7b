"""Programs that notify: reloads that they tell of, ends of their own, and more time."""

from typing import Any

import pytest
from emperord.replay.testing.fleets import BareFleet

from .script import Script, play

TEXT = "[emperor]\ncommand = serve\nready = notify\nready-timeout = 5s\n"
PROGRAM = "a.ini command=x ready=notify reload=none health-action=record"
LISTENS = "a.ini command=x ready=notify listen=:80"


def started(*feeds: str, text: str = TEXT, **policy: Any) -> BareFleet:
    """A fleet whose one vassal was spawned, and then said so."""
    fleet = BareFleet()
    fleet.start(**policy)
    fleet.added("a.ini", text)
    for kind in ("spawned", *feeds):
        fleet.feed(kind, "a.ini")
    return fleet


def told(fleet: BareFleet) -> tuple[str, str | None]:
    """Phase and reason of its one vassal."""
    vassal = fleet.vassals["a.ini"]
    return vassal.phase, vassal.reason


def test_a_reload_lasts_until_it_is_ready_again() -> None:
    fleet = started("vassal_accepting")
    fleet.changed("a.ini", TEXT + "# more\n")
    assert fleet.orders == ["reload a.ini"]
    fleet.feed("vassal_reloading", "a.ini")
    fleet.at("+4s")
    assert told(fleet) == ("reloading", "says that it reloads")
    fleet.feed("vassal_accepting", "a.ini")
    assert told(fleet) == ("accepting", None)


def test_a_reload_of_its_own_is_no_order() -> None:
    fleet = started("vassal_accepting", "vassal_reloading")
    assert fleet.orders == []
    assert told(fleet) == ("reloading", "says that it reloads")
    fleet.at("+5s")
    assert told(fleet) == ("ready", "has not said that it accepts")
    fleet.feed("vassal_accepting", "a.ini")
    assert told(fleet)[0] == "accepting"


def reloads_by_itself(rules: int) -> Script:
    script = Script(rules=rules)
    added = "added a.ini command=x ready=notify"
    for line in ("daemon started", "daemon ready", added, "accepting a.ini", "reloads a.ini"):
        script.feed(line)
    return script


def test_the_first_rules_order_a_reload_that_was_told_again() -> None:
    script = reloads_by_itself(1)
    script.feed("daemon started")
    assert "=> reload a.ini #1 with c1" in script.feed("adopted a.ini control=yes")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [(1, "its change waits for the next start (reload = none)"), (2, "says that it reloads")],
)
def test_its_reason_when_a_change_is_for_its_next_start(rules: int, reason: str) -> None:
    script = reloads_by_itself(rules)
    script.feed("changed a.ini ts=2 command=x ready=notify reload=none")
    assert script.fleet.vassals["a.ini"].reason == reason


@pytest.mark.parametrize("says", ["reloads", "stops"])
@pytest.mark.parametrize(
    ("change", "orders"),
    [
        pytest.param(f"changed {PROGRAM} ts=2", [], id="for its next start"),
        pytest.param(f"changed {LISTENS}", ["=> listen a.ini"], id="of addresses"),
        pytest.param(f"changed {LISTENS}; unopened a.ini reason=used", [], id="refused addresses"),
        pytest.param("sick a.ini", [], id="of its health"),
    ],
)
def test_no_news_of_one_that_reloads_by_itself_has_that_ordered(
    says: str, change: str, orders: list[str]
) -> None:
    """The order is a signal, and could end it in the midst of its reload."""
    script = play(
        f"daemon started; daemon ready; added {PROGRAM}; spawned a.ini; accepting a.ini;"
        f"reloads a.ini; {says} a.ini; {change}; daemon started"
    )
    assert [line for line in script.feed("adopted a.ini") if line.startswith("=>")] == orders
    assert script.fleet.vassals["a.ini"].reason == f"says that it {says}"


def test_a_reload_that_it_does_not_tell_of_counts_as_carried_out() -> None:
    fleet = started("vassal_accepting")
    fleet.changed("a.ini", TEXT + "# more\n")
    fleet.at("+1s")
    assert told(fleet) == ("ready", None)


def test_more_time_for_a_start() -> None:
    fleet = started(max_starting=1)
    fleet.added("b.ini", TEXT)
    fleet.at("+4s")
    fleet.feed("timeout_extended", "a.ini", seconds=0.5)
    assert told(fleet) == ("starting", None)  # it has more anyhow
    fleet.feed("timeout_extended", "a.ini", seconds=10.0)
    assert fleet.orders == ["spawn b.ini"]
    assert told(fleet) == ("starting", "slow to start; it asked for more time")
    fleet.feed("vassal_accepting", "b.ini")
    fleet.at("+9s")
    assert told(fleet)[0] == "starting"
    fleet.at("+2s")
    reason = "was not ready within 5s and the time that it asked for"
    assert told(fleet) == ("stopping", reason)


@pytest.mark.parametrize(
    ("tyrant", "asked", "killed"),
    [(False, 600.0, False), (False, 1.0, True), (True, 600.0, True)],
    ids=["more time", "less time than it has", "of a tenant"],
)
def test_more_time_for_a_stop(tyrant: bool, asked: float, killed: bool) -> None:
    fleet = BareFleet()
    fleet.start(tyrant=tyrant, mercy=10.0)
    fleet.added("a.ini", TEXT, uid=1, gid=1)
    fleet.feed("spawned", "a.ini")
    fleet.feed("vassal_accepting", "a.ini")
    fleet.removed("a.ini")
    assert fleet.orders == ["stop a.ini"]
    fleet.feed("timeout_extended", "a.ini", seconds=asked)
    fleet.at("+11s")
    assert fleet.orders == (["kill a.ini"] if killed else [])


def test_an_end_of_its_own_is_told() -> None:
    fleet = started("vassal_accepting", "vassal_stopping")
    assert told(fleet) == ("accepting", "says that it stops")


def test_its_own_watchdog() -> None:
    fleet = started("vassal_accepting")
    fleet.feed("heartbeat_lost", "a.ini", silent=0.0, asked=True)
    assert fleet.orders == ["kill a.ini"]
    assert told(fleet) == ("stopping", "its own watchdog asked for it")


def test_a_change_from_or_to_notify_is_a_restart() -> None:
    """A process has its socket from its start on."""
    fleet = started("vassal_accepting")
    fleet.changed("a.ini", TEXT.replace("notify", "tcp://127.0.0.1:80"))
    assert fleet.orders == ["stop a.ini"]
