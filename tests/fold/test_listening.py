"""Sockets that are kept for a program (``listen``): when they are opened first, and given back."""

import pytest
from emperord.daemon.core.actions import Action, recorded
from emperord.journal.events import Spec
from emperord.replay.testing.fleets import BareFleet

from .world import World

SERVER = "[emperor]\ncommand = serve\n"
ONE = SERVER + "listen = 127.0.0.1:8000\n"
TWO = SERVER + "listen = 127.0.0.1:8000, /run/a.sock\n"


def running(text: str = ONE) -> BareFleet:
    """A fleet whose one vassal runs."""
    fleet = BareFleet()
    fleet.start(throttle=1000)
    fleet.added("a.ini", text)
    assert fleet.orders == ["spawn a.ini"]
    fleet.feed("spawned", "a.ini")
    return fleet


def opening(fleet: BareFleet) -> int:
    """The event that ordered to open the addresses of its change."""
    seq = fleet.vassals["a.ini"].opening
    assert seq is not None
    return seq


def test_a_change_opens_its_new_address_before_the_process_is_stopped() -> None:
    fleet = running()
    fleet.changed("a.ini", TWO)
    assert fleet.orders == ["listen a.ini"]
    assert fleet.vassals["a.ini"].phase == "ready"
    fleet.feed("listen_opened", "a.ini", change=opening(fleet))
    assert fleet.orders == ["stop a.ini"]
    fleet.feed("exited", "a.ini", code=0)
    assert fleet.orders == ["spawn a.ini"]


def test_a_change_whose_address_cannot_be_had_leaves_the_process_alone() -> None:
    fleet = running()
    fleet.changed("a.ini", TWO)
    fleet.feed("listen_refused", "a.ini", change=opening(fleet), reason="in use")
    vassal = fleet.vassals["a.ini"]
    assert (fleet.orders, vassal.phase) == ([], "ready")
    assert (vassal.reason, vassal.unopened) == ("its change waits: in use", "in use")
    fleet.operator("reload", "a.ini")  # tries again
    assert fleet.orders == ["listen a.ini"]


def test_its_reason_stays_until_another_change_comes() -> None:
    """It may have been in the midst of its start. A change back is no change that waits."""
    fleet = running(ONE + "ready = exec:true\n")
    fleet.changed("a.ini", TWO)
    fleet.feed("listen_refused", "a.ini", change=opening(fleet), reason="in use")
    fleet.feed("vassal_accepting", "a.ini")
    vassal = fleet.vassals["a.ini"]
    assert (vassal.phase, vassal.reason) == ("accepting", "its change waits: in use")
    fleet.changed("a.ini", ONE + "ready = exec:true\n")
    assert (vassal.unopened, vassal.reason) == (None, None)


@pytest.mark.parametrize("text", [SERVER, ONE + "listen-mode = 600\n"], ids=["none", "the same"])
def test_a_change_that_adds_no_address_restarts_at_once(text: str) -> None:
    fleet = running()
    fleet.changed("a.ini", text)
    assert fleet.orders == ["stop a.ini"]


def test_a_later_change_has_the_addresses_opened_anew() -> None:
    fleet = running()
    fleet.changed("a.ini", TWO)
    former = opening(fleet)
    fleet.changed("a.ini", ONE + "nofile = 100\n")
    assert fleet.orders == ["listen a.ini"]  # those of the former change are closed by that
    fleet.feed("listen_opened", "a.ini", change=former)
    assert fleet.orders == []
    fleet.feed("listen_opened", "a.ini", change=opening(fleet))
    assert fleet.orders == ["stop a.ini"]


def test_a_daemon_that_adopts_it_gives_the_order_again() -> None:
    fleet = running()
    fleet.changed("a.ini", TWO)
    fleet.start()
    fleet.feed("adopted", "a.ini", pid=7, start_time=7)
    assert fleet.orders == ["listen a.ini"]


def test_one_that_dies_meanwhile_starts_with_its_new_config() -> None:
    fleet = running()
    fleet.changed("a.ini", TWO)
    fleet.feed("exited", "a.ini", code=1)
    fleet.at("+1s")
    assert fleet.orders == ["spawn a.ini"]
    assert fleet.vassals["a.ini"].opening is None


ENDS = {
    "a restart": (lambda fleet: fleet.operator("restart", "a.ini"), ["spawn a.ini"]),
    "another program": (
        lambda fleet: fleet.changed("a.ini", ONE.replace("serve", "other")),
        ["spawn a.ini"],
    ),
    "a hold": (lambda fleet: fleet.operator("stop", "a.ini"), ["unlisten a.ini"]),
    "a removal": (lambda fleet: fleet.removed("a.ini"), ["unlisten a.ini"]),
}


@pytest.mark.parametrize(("ask", "orders"), ENDS.values(), ids=ENDS)
def test_its_sockets_are_given_back_when_it_is_not_to_run(ask, orders) -> None:  # type: ignore[no-untyped-def]
    fleet = running()
    ask(fleet)
    fleet.feed("exited", "a.ini", code=0)
    assert fleet.orders == orders


def test_without_addresses_nothing_is_given_back() -> None:
    fleet = running(SERVER)
    fleet.removed("a.ini")
    fleet.feed("exited", "a.ini", code=0)
    assert fleet.orders == []


def test_sockets_of_before_may_be_kept_until_a_start_without_them() -> None:
    world = World()
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    settings = {"command": "serve", "listen": ":90"}
    world.happen("vassal_added", "a.ini", "one", spec=Spec(1, settings=settings))
    (process,) = world.processes.values()
    world.end(process)
    world.happen("vassal_changed", "a.ini", "one", spec=Spec(2, settings={"command": "serve"}))
    (process,) = world.processes.values()
    world.happen("vassal_removed", "a.ini", "one")
    world.end(process)  # the checker knows that the order to close them is no mistake
    assert world.journal[-1][1] == recorded([Action("unlisten", "a.ini")])
