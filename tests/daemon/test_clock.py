"""The journal's clock: UTC from the wall once, then only what has really elapsed."""

import time

from emperord.daemon.clock import Clock, boot_time
from hypothesis import given
from hypothesis import strategies as st

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
