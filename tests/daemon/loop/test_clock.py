"""The journal's clock: UTC from the wall once, then only what has really elapsed."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
import trio
import trio.testing
from emperord.daemon.core.candidate import CANDIDATE_PHASES, Candidate, CandidatePhase
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.rollout import Rollout, Turn
from emperord.daemon.loop import jumps
from emperord.daemon.loop.clock import Clock, boot_time
from emperord.daemon.loop.event_log import jump_text
from emperord.journal.events import ClockJumped, KernelClock, Spec
from hypothesis import given
from hypothesis import strategies as st

from ..conftest import MakeDaemon

SECOND = 1_000_000_000
WALL = 1_795_000_000 * SECOND


class Elapsed:
    def __init__(self, start: int = 77) -> None:
        self.value = start

    def __call__(self) -> int:
        return self.value


def test_starts_at_the_wall_clock_and_counts_what_elapsed() -> None:
    elapsed = Elapsed()
    clock = Clock(0, WALL, elapsed)
    assert clock.stamp() == WALL
    elapsed.value += 5 * SECOND
    assert clock.stamp() == WALL + 5 * SECOND


def test_a_wall_clock_behind_the_last_event_does_not_rewind() -> None:
    elapsed = Elapsed()
    clock = Clock(WALL, WALL - 3600 * SECOND, elapsed)
    assert clock.stamp() == WALL + 1
    elapsed.value += SECOND
    assert clock.now() == WALL + 1 + SECOND


def test_by_default_it_is_the_machines_clock() -> None:
    before = time.time_ns()
    clock = Clock(0)
    assert before <= clock.now() <= time.time_ns() + SECOND


@given(st.lists(st.integers(-5, 5), max_size=50), st.integers(-100, 100))
def test_no_two_events_have_one_time_and_none_goes_back(steps: list[int], ahead: int) -> None:
    elapsed = Elapsed()
    last = WALL + ahead
    clock = Clock(last, WALL, elapsed)
    for step in steps:
        elapsed.value += max(step, 0)  # it may stand still, it never goes back
        seen = clock.now()
        stamp = clock.stamp()
        assert last < stamp
        assert seen <= stamp
        last = stamp


def test_now_claims_nothing() -> None:
    clock = Clock(0, WALL, Elapsed())
    assert clock.now() == clock.now() == clock.stamp()


def test_sleeps_until_then_but_looks_again_now_and_then() -> None:
    clock = Clock(0, WALL, Elapsed())
    assert clock.seconds_until(WALL + SECOND // 2) == 0.5
    assert clock.seconds_until(WALL - SECOND) == 0
    assert clock.seconds_until(WALL + 3600 * SECOND) == 5


def test_boot_time_counts_suspended_time() -> None:
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    assert abs(boot_time() / SECOND - uptime) < 1


# Jumps

DAY = 24 * 3600 * SECOND
BOOTED = WALL - 77  # as Elapsed starts


@pytest.mark.parametrize(
    ("last", "booted", "most", "jumped", "held"),
    [
        pytest.param(0, 0, None, 0, False, id="no event yet"),
        pytest.param(0, 0, SECOND, 0, False, id="no event yet, with a largest step"),
        pytest.param(WALL - 3 * DAY, BOOTED, None, 0, False, id="same boot, no jump"),
        pytest.param(WALL - DAY, BOOTED - DAY, None, DAY, False, id="same boot, ahead"),
        pytest.param(WALL - DAY, BOOTED + DAY, None, -DAY, False, id="same boot, behind"),
        pytest.param(WALL - DAY, BOOTED - SECOND, None, 0, False, id="a leap second"),
        pytest.param(WALL - DAY, 0, None, 0, False, id="another boot, a day later"),
        pytest.param(WALL - 3653 * DAY, 0, None, 3653 * DAY, False, id="another boot, ten years"),
        pytest.param(WALL + DAY, 0, None, -DAY, False, id="another boot, behind the last event"),
        pytest.param(WALL - DAY, BOOTED - DAY, DAY, DAY, False, id="within the largest step"),
        pytest.param(WALL - DAY, BOOTED - DAY, DAY - 1, DAY, True, id="beyond it"),
        pytest.param(WALL - DAY, 0, 3600 * SECOND, DAY, True, id="beyond it, another boot"),
        pytest.param(WALL + DAY, 0, SECOND, -DAY, False, id="behind is never waited for"),
    ],
)
def test_a_jump_since_the_last_daemon_is_known(
    last: int, booted: int, most: int | None, jumped: int, held: bool
) -> None:
    clock = Clock(last, WALL, Elapsed(), booted=booted, most=most)
    assert (clock.jumped, clock.held) == (jumped, held)
    expected = booted + 77 if booted else last
    assert clock.stamp() == max(expected if held else WALL, last + 1)


def test_a_clock_that_is_confirmed_is_taken_and_nothing_goes_back() -> None:
    elapsed = Elapsed()
    clock = Clock(WALL - DAY, WALL, elapsed, most=SECOND)
    assert clock.stamp() == WALL - DAY + 1
    elapsed.value += SECOND
    clock.take(WALL + SECOND)
    assert not clock.held
    assert clock.stamp() == WALL + SECOND
    assert clock.booted == WALL - 77
    clock.take(WALL - DAY)
    assert clock.stamp() == WALL + SECOND + 1


UNSYNCHRONIZED = KernelClock(synchronized=False, status=64)
SYNCHRONIZED = KernelClock(synchronized=True, status=1)


class Machine:
    """A wall clock that can be set, under trio's time."""

    def __init__(self, last: int = 0, most: int | None = None) -> None:
        self.off = 0
        self.kernel: KernelClock | None = UNSYNCHRONIZED
        self.told: list[ClockJumped] = []
        self.fleet = Fleet()
        self.clock = Clock(last, self.wall(), self.elapsed, most=most)
        self.watch = jumps.JumpWatch(self.clock, self.tell, self.wall, lambda: self.kernel)

    @staticmethod
    def elapsed() -> int:
        return int(trio.current_time() * SECOND)

    def wall(self) -> int:
        return WALL + self.elapsed() + self.off

    async def tell(self, meaning: Callable[[Fleet], Iterable[Draft]]) -> None:
        for draft in meaning(self.fleet):
            assert isinstance(draft.body, ClockJumped)
            self.told.append(draft.body)

    async def live(self, *then: Callable[[], None]) -> list[ClockJumped]:
        """The events that are told in five seconds after each of these."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch.run, lambda: self.fleet)
            for do in (lambda: None, *then):
                do()
                await trio.sleep(5)
            nursery.cancel_scope.cancel()
        return self.told


def under_trio(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_each_jump_is_told_once() -> None:
    async def main() -> None:
        machine = Machine()

        def ahead() -> None:
            machine.off = 3653 * DAY

        def back() -> None:
            machine.off = 0

        def hardly() -> None:
            machine.off = SECOND

        before = machine.clock.booted
        told = await machine.live(ahead, back, hardly)
        assert [(jump.by, jump.taken) for jump in told] == [
            (3653 * DAY, False),
            (-3653 * DAY, False),
        ]
        assert told[0].clock == UNSYNCHRONIZED
        assert machine.clock.booted == before

    under_trio(main)


@pytest.mark.parametrize("how", ["synchronized", "set back"])
def test_a_clock_that_is_too_far_ahead_waits_until_it_is_confirmed(how: str) -> None:
    async def main() -> None:
        machine = Machine(WALL - 3653 * DAY, most=DAY)
        starting = Vassal("a.ini", "m", Spec(ts=1), "starting", 1, 1, deadline=1)
        machine.fleet.vassals["a.ini"] = starting

        def confirm() -> None:
            if how == "synchronized":
                machine.kernel = SYNCHRONIZED
            else:
                machine.off = -3653 * DAY
            assert len(machine.told) == 1  # a start is under way

        def start() -> None:
            assert len(machine.told) == 1 + (how == "set back")
            starting.phase, starting.deadline = "ready", None

        told = await machine.live(confirm, start)
        assert (told[0].by, told[0].taken, told[0].booted) == (3653 * DAY, False, 0)
        assert told[-1].taken
        assert told[-1].booted == machine.clock.booted
        assert not machine.clock.held
        assert abs(machine.clock.now() - machine.wall()) < SECOND

    under_trio(main)


def second(phase: CandidatePhase) -> dict[str, Any]:
    """A vassal whose second attempt is in this phase."""
    candidate = Candidate(phase, 1, 1, attempt=1, order=1, running=Spec(ts=1), launched=1)
    vassal = Vassal("a.ini", "m", Spec(ts=1), "accepting", 1, 1, candidate=candidate)
    return {"vassals": {"a.ini": vassal}}


def rollout(**facts: Any) -> dict[str, Any]:
    """A rollout of which this is known."""
    return {"rollouts": {1: Rollout(1, 1, "m", 1, **facts)}}


@pytest.mark.parametrize(
    ("has", "quiet"),
    [
        *(pytest.param(second(each), False, id=f"{each} beside") for each in CANDIDATE_PHASES),
        pytest.param(rollout(turning={"a.ini": Turn(1)}), False, id="a turn"),
        pytest.param(rollout(turning={"a.ini": Turn(1)}, held=1), False, id="the last turn"),
        pytest.param(rollout(line={"a.ini": None}, gathers=1), False, id="canaries are awaited"),
        pytest.param(rollout(line={"a.ini": None}, held=1), True, id="held back"),
        pytest.param(rollout(quiet=1), True, id="a rollout about to close"),
        pytest.param({}, True, id="nothing"),
    ],
)
def test_a_clock_is_taken_while_no_replacement_and_no_rollout_is_under_way(
    has: dict[str, Any], quiet: bool
) -> None:
    async def main() -> None:
        machine = Machine(WALL - DAY, most=SECOND)
        machine.kernel = SYNCHRONIZED
        for field, value in has.items():
            setattr(machine.fleet, field, value)
        await machine.live()
        assert machine.clock.held is not quiet

    under_trio(main)


def test_a_clock_that_is_behind_the_last_event_is_not_taken() -> None:
    async def main() -> None:
        machine = Machine(WALL + 3653 * DAY)
        seen: list[tuple[int, str] | None] = []

        def look() -> None:
            seen.append(machine.watch.trouble())

        def nearly() -> None:
            machine.off = 3653 * DAY - 30 * SECOND

        told = await machine.live(look, look, nearly, look)
        assert (told[0].by, told[0].taken, told[0].booted) == (-3653 * DAY, False, 0)
        assert told[0].on_from == WALL + 3653 * DAY + 1
        assert jump_text(told[0]).endswith(
            "times never go back: they go on from 2036-11-18T11:06:40.000000001Z, ahead of the"
            " clock, until a daemon starts when the clock is past the last event"
        )
        assert machine.clock.now() > WALL + 3653 * DAY
        assert seen[0] is not None
        assert seen[1] is not None
        assert seen[0][0] == seen[1][0] == WALL + 3653 * DAY + 1
        assert seen[0][1].startswith("times in the journal are 3653 days, 0:00:00 ahead of")
        assert seen[2] is None

    under_trio(main)


def test_a_held_clock_that_is_set_far_back_is_not_taken() -> None:
    async def main() -> None:
        machine = Machine(WALL - DAY, most=SECOND)

        def back() -> None:
            machine.off = -2 * DAY

        told = await machine.live(back)
        assert not machine.clock.held
        assert [(jump.taken, jump.on_from > 0) for jump in told] == [(False, False), (False, True)]

    under_trio(main)


def test_a_clock_that_is_not_confirmed_wants_attention_until_it_is_taken() -> None:
    async def main() -> None:
        machine = Machine(WALL - 3653 * DAY, most=DAY)
        starting = Vassal("a.ini", "m", Spec(ts=1), "starting", 1, 1, deadline=1)
        machine.fleet.vassals["a.ini"] = starting
        seen: list[tuple[int, str] | None] = []

        def confirm() -> None:
            seen.append(machine.watch.trouble())
            machine.kernel = SYNCHRONIZED

        def start() -> None:
            seen.append(machine.watch.trouble())
            starting.phase, starting.deadline = "ready", None

        await machine.live(confirm, start, lambda: seen.append(machine.watch.trouble()))
        assert seen[0] is not None
        assert seen[1] is not None
        assert "ahead of the journal and not confirmed" in seen[0][1]
        assert "taken when no vassal is starting" in seen[1][1]
        assert seen[2] is None

    under_trio(main)


def test_the_kernel_says_what_it_knows() -> None:
    known = jumps.kernel_clock()
    assert known is not None
    assert known.synchronized is not bool(known.status & 0x40)
    assert known.max_error >= 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(
            ClockJumped(by=3653 * DAY, taken=True, clock=UNSYNCHRONIZED),
            "clock jumped by +3653 days, 0:00:00; the kernel calls it unsynchronized;"
            " times are by it from now on",
            id="ahead",
        ),
        pytest.param(
            ClockJumped(by=-16 * 3600 * SECOND),
            "clock jumped by -16:00:00; the kernel does not say whether it is synchronized;"
            " times do not follow it",
            id="behind",
        ),
    ],
)
def test_a_jump_in_words(body: ClockJumped, says: str) -> None:
    assert jump_text(body) == says


def test_a_daemon_whose_wall_clock_is_ten_years_ahead_says_so(make_daemon: MakeDaemon) -> None:
    """Time namespaces have another CLOCK_BOOTTIME: to the first daemon, boot is 10 years ago."""
    daemon = make_daemon()
    daemon.before = ["unshare", "--time", "--boottime", str(3653 * 24 * 3600)]
    daemon.start()
    daemon.stop()
    daemon.before = []
    daemon.start()
    jumped = daemon.event("clock_jumped")
    assert abs(jumped.body["by"] - 3653 * DAY) < 60 * SECOND
    assert jumped.body["taken"] is True
    assert "synchronized" in jumped.body["clock"]
    daemon.until(lambda: "emperor: clock jumped by +365" in daemon.log(), "the log says so")
    daemon.stop()
    daemon.start()
    daemon.stop()
    assert len(daemon.events("clock_jumped")) == 1
