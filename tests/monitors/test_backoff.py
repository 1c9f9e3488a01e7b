"""Pauses between tries."""

import pytest
from emperord.monitors.backoff import LONGEST, Backoff


def pauses(backoff: Backoff, times: int) -> list[float]:
    return [backoff.pause() for _ in range(times)]


@pytest.mark.parametrize(
    ("backoff", "wanted"),
    [
        pytest.param(Backoff(1.0, 60.0), [1, 2, 4, 8, 16, 32, 60, 60], id="to the longest"),
        pytest.param(Backoff(0.5), [0.5, 1, 2, 4, 8, 16, LONGEST, LONGEST], id="of a source"),
        pytest.param(Backoff(90.0, 60.0), [60, 60], id="a first one above the longest"),
    ],
)
def test_each_is_twice_the_last_one(backoff: Backoff, wanted: list[float]) -> None:
    assert pauses(backoff, len(wanted)) == wanted
    backoff.reset()
    assert pauses(backoff, len(wanted)) == wanted


@pytest.mark.parametrize(("seconds", "wanted"), [(60.0, 8.0), (60.1, 1.0)])
def test_a_try_that_went_on_for_long_begins_anew(seconds: float, wanted: float) -> None:
    backoff = Backoff(1.0, 60.0)
    pauses(backoff, 3)
    backoff.ran(seconds)
    assert backoff.pause() == wanted
