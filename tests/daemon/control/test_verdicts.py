"""The verdicts on what a client waits for, and the waiting itself, without a daemon."""

from dataclasses import dataclass

import pytest
import trio
from emperord.daemon.control.waiting import Goal, Verdict, Waiting, verdict
from emperord.daemon.core.fleet import Fleet, Vassal
from fold.script import play

UP = "daemon started; daemon ready; added a.ini; spawned a.ini; accepting a.ini"
STOPPED = f"{UP}; operator stop a.ini; exited a.ini code=0"
PROGRAM = "daemon started; daemon ready; added a.ini command=x; spawned a.ini"
ON_DEMAND = "daemon started; daemon ready; added a.ini socket=:80"
READY = "daemon started; daemon ready; added a.ini; spawned a.ini"
MOVES = f"{UP}; changed a.ini listen=:81"
TWICE = f"{UP}; changed a.ini ts=2; accepting a.ini"
BACK = "operator rollback a.ini ts=1; exited a.ini"
CANCELLED = "operator cancel_rollback a.ini"
NOT_BACK = "its rollback was cancelled meanwhile, or its source changed it"
UNDER_WAY = None

# A history, what was asked, and what its client is told.


def stopped_by(event: int) -> str:
    return f"an operator stopped it (event {event}); 'emperor-ctl start' starts it"


VERDICTS: dict[str, tuple[str, Goal, Verdict | None]] = {
    "it stops": (f"{UP}; operator stop a.ini", "stop", UNDER_WAY),
    "it has stopped": (STOPPED, "stop", Verdict("held")),
    "it is stopped and removed": (
        f"{UP}; operator stop a.ini; removed a.ini; exited a.ini code=0",
        "stop",
        Verdict("forgotten"),
    ),
    "it is started while it stops": (
        f"{UP}; operator stop a.ini; operator start a.ini",
        "stop",
        Verdict("stopping", "a.ini is stopping: an operator started it meanwhile", True),
    ),
    "it starts": (f"{STOPPED}; operator start a.ini", "start", UNDER_WAY),
    "it has a process": (f"{STOPPED}; operator start a.ini; spawned a.ini", "start", UNDER_WAY),
    "it is ready": (
        f"{STOPPED}; operator start a.ini; spawned a.ini; ready a.ini",
        "start",
        Verdict("ready"),
    ),
    "it accepts": (UP, "start", Verdict("accepting")),
    "a program has just begun": (PROGRAM, "start", UNDER_WAY),
    "a program runs for a while": (f"{PROGRAM}; at +1s", "start", Verdict("ready")),
    "it is listened for": (ON_DEMAND, "start", Verdict("listening")),
    "it waits for a slot": (
        "policy max_starting=0; daemon started; daemon ready; added a.ini",
        "start",
        UNDER_WAY,
    ),
    "it died": (
        f"{STOPPED}; operator start a.ini; exited a.ini code=3",
        "start",
        Verdict("throttled", "a.ini is throttled: exit code 3"),
    ),
    "it keeps its distance": (
        f"{UP}; loyal a.ini; exited a.ini code=0",
        "start",
        UNDER_WAY,
    ),
    "it is barred": (
        f"{STOPPED}; operator start a.ini; failed a.ini fault=exec",
        "retry",
        Verdict("barred", "a.ini is barred: no such file"),
    ),
    "it is stopped while it starts": (
        f"{STOPPED}; operator start a.ini; operator stop a.ini",
        "start",
        Verdict("stopping", f"a.ini is stopping: {stopped_by(9)}", True),
    ),
    "its source lets go of it": (
        f"{STOPPED}; removed a.ini",
        "start",
        Verdict("forgotten", "a.ini is forgotten: its source has it no longer"),
    ),
    "the daemon stops": (
        f"{STOPPED}; operator start a.ini; daemon stopping",
        "start",
        Verdict("stopping", "a.ini is stopping: the daemon stops", True),
    ),
    "it stops with the daemon": (f"{UP}; operator stop a.ini; daemon stopping", "stop", UNDER_WAY),
    "it reloads": (f"{UP}; operator reload a.ini", "reload", UNDER_WAY),
    "it has reloaded": (
        f"{UP}; operator reload a.ini; accepting a.ini",
        "reload",
        Verdict("accepting"),
    ),
    "it is to reload again": (
        f"{UP}; operator reload a.ini; operator reload a.ini; accepting a.ini",
        "reload",
        UNDER_WAY,
    ),
    "it restarts": (f"{UP}; operator restart a.ini; exited a.ini code=0", "restart", UNDER_WAY),
    "its restart waits": (
        f"policy max_starting=1; {UP}; added b.ini; operator restart a.ini",
        "restart",
        UNDER_WAY,
    ),
    "it has restarted": (
        f"{UP}; operator restart a.ini; exited a.ini code=0; accepting a.ini",
        "restart",
        Verdict("accepting"),
    ),
    "it is stopped while it restarts": (
        f"{UP}; operator restart a.ini; operator stop a.ini",
        "restart",
        Verdict("stopping", f"a.ini is stopping: {stopped_by(7)}", True),
    ),
    "it is up": (UP, "up", Verdict("accepting")),
    "its reload hangs": (f"{UP}; operator reload a.ini; deadline a.ini", "up", UNDER_WAY),
    "its reload hung, and is over": (
        f"{UP}; operator reload a.ini; deadline a.ini; accepting a.ini",
        "up",
        Verdict("accepting"),
    ),
    "it is held while its reload hangs": (
        f"{UP}; operator reload a.ini; deadline a.ini; operator stop a.ini",
        "up",
        Verdict("stopping", f"a.ini is stopping: {stopped_by(8)}", True),
    ),
    "it has no worker before its first client": (
        f"{READY}; ready a.ini; deadline a.ini",
        "up",
        Verdict("ready"),
    ),
    "it listens only": (ON_DEMAND, "up", UNDER_WAY),
    "it is not there yet": ("daemon started", "up", UNDER_WAY),
    "it will try again": (f"{READY}; exited a.ini code=3", "up", UNDER_WAY),
    "it cannot come up": (
        f"{READY}; exited a.ini code=26",
        "up",
        Verdict("barred", "a.ini is barred: exit code 26: it asked not to be started again"),
    ),
    "an operator holds it": (
        STOPPED,
        "accepting",
        Verdict("held", f"a.ini is held: {stopped_by(6)}", True),
    ),
    "it is ready and not accepting": (f"{READY}; ready a.ini", "accepting", UNDER_WAY),
    "it accepts at last": (UP, "accepting", Verdict("accepting")),
    "a program never says so": (
        f"{PROGRAM}; at +1s",
        "accepting",
        Verdict("ready", "a.ini is ready, and cannot say that it accepts"),
    ),
    "it is held": (STOPPED, "held", Verdict("held")),
    "it is not held yet": (f"{UP}; operator stop a.ini", "held", UNDER_WAY),
    "it is gone": (f"{STOPPED}; removed a.ini", "gone", Verdict("forgotten")),
    "it is not gone": (f"{UP}; removed a.ini", "gone", UNDER_WAY),
    "its reload is not confirmed": (
        f"{UP}; operator reload a.ini; deadline a.ini",
        "reload",
        Verdict("ready", "a.ini: has not said that it accepts"),
    ),
    "a program has reloaded": (
        f"{PROGRAM}; at +1s; operator reload a.ini; deadline a.ini",
        "reload",
        Verdict("ready"),
    ),
    "it goes back": (f"{TWICE}; {BACK}", "rollback", UNDER_WAY),
    "it has gone back": (f"{TWICE}; {BACK}; accepting a.ini", "rollback", Verdict("accepting")),
    "its rollback was cancelled": (
        f"{TWICE}; {BACK}; accepting a.ini; {CANCELLED}; exited a.ini; accepting a.ini",
        "rollback",
        Verdict("accepting", f"a.ini is accepting: {NOT_BACK}", True),
    ),
    "its rollback was cancelled while it went back": (
        f"{TWICE}; {BACK}; {CANCELLED}",
        "rollback",
        Verdict("stopping", f"a.ini is stopping: {NOT_BACK}", True),
    ),
    "its source has a third config": (
        f"{TWICE}; {BACK}; accepting a.ini; changed a.ini ts=3; exited a.ini; accepting a.ini",
        "rollback",
        Verdict("accepting", f"a.ini is accepting: {NOT_BACK}", True),
    ),
    "its source has a third config, which is checked": (
        f"{TWICE}; {BACK}; accepting a.ini; changed a.ini ts=3 preflight=check",
        "rollback",
        Verdict("accepting", f"a.ini is accepting: {NOT_BACK}", True),
    ),
    "its rollback is cancelled": (
        f"{TWICE}; {BACK}; accepting a.ini; {CANCELLED}; exited a.ini; accepting a.ini",
        "retry",
        Verdict("accepting"),
    ),
    "its new address is being opened": (f"{MOVES}; operator restart a.ini", "restart", UNDER_WAY),
    "its new address cannot be had": (
        f"{MOVES}; unopened a.ini reason=x; operator restart a.ini; unopened a.ini reason=taken",
        "restart",
        Verdict("accepting", "a.ini: its change waits: taken"),
    ),
}


@pytest.mark.parametrize(("history", "goal", "told"), VERDICTS.values(), ids=VERDICTS)
def test_what_a_client_is_told(history: str, goal: Goal, told: Verdict | None) -> None:
    script = play(history)
    assert verdict(script.fleet, "a.ini", goal, script.now, lambda _: False) == told


@dataclass
class Daemon:
    """A daemon with the fleet that requests wait for."""

    fleet: Fleet
    paused: str | None = None

    def is_cheap(self, _: Vassal) -> bool:
        return False

    def now(self) -> int:
        return self.fleet.at


async def test_who_waits_is_woken_by_its_own_vassal_alone() -> None:
    script = play(UP)
    waiting = Waiting(Daemon(script.fleet))
    told: list[Verdict] = []

    async def wait() -> None:
        told.append(await waiting.until("a.ini", "stop", 50.0))

    async with trio.open_nursery() as nursery:
        script.feed("operator stop a.ini")
        for _ in range(1000):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        waiting.look("b.ini")
        await trio.testing.wait_all_tasks_blocked()
        woken = trio.lowlevel.current_statistics().tasks_runnable
        assert woken == 0
        script.feed("exited a.ini code=0")
        waiting.look("a.ini")
    assert told == [Verdict("held")] * 1000
    assert waiting._waiting == {}


def test_a_program_is_told_when_it_has_settled_whatever_the_others_do() -> None:
    script = play(f"{PROGRAM}; added b.ini command=x; spawned b.ini")

    class Clock(Daemon):
        def now(self) -> int:
            return script.now + int(trio.current_time() * 1e9)

    async def wait() -> float:
        began = trio.current_time()
        script.now -= int(began * 1e9)
        waiting = Waiting(Clock(script.fleet))
        told: list[str] = []

        async def tell(each: list[tuple[str, Verdict]]) -> None:
            told.extend(name for name, _ in each)

        async def disturb() -> None:
            await trio.sleep(0.5)
            waiting.look("b.ini")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(disturb)
            await waiting.each(["a.ini", "b.ini"], "up", 50.0, tell)
        assert sorted(told) == ["a.ini", "b.ini"]
        assert waiting.has_room(200_000)
        return trio.current_time() - began

    assert 0.9 < trio.run(wait, clock=trio.testing.MockClock(autojump_threshold=0)) < 1.1


async def test_a_pause_ends_the_waiting() -> None:
    script = play(f"{UP}; operator stop a.ini")
    daemon = Daemon(script.fleet)
    waiting = Waiting(daemon)
    async with trio.open_nursery() as nursery:

        async def pause() -> None:
            await trio.testing.wait_all_tasks_blocked()
            daemon.paused = "no room"
            waiting.look(None)

        nursery.start_soon(pause)
        told = await waiting.until("a.ini", "stop", 50.0)
    assert told == Verdict("stopping", "a.ini is stopping, and goes no further: no room")
