"""Durations as options take them: the least one is a decimal, as the text is."""

import click
import pytest
from emperord.daemon.cli.option_types import duration, milliseconds


@pytest.mark.parametrize("least", [0.001, 0.01, 0.1, 0.3, 1])
def test_the_least_duration_is_taken(least: float) -> None:
    assert duration(least)(f"{least}s") == least
    assert duration(least)(f"{least * 1000:g}ms") == least


@pytest.mark.parametrize("text", ["99ms", "0.0999999", "-1s", "0"])
def test_a_shorter_one_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write a duration from 100ms to"):
        duration(0.1)(text)


def test_milliseconds_are_whole() -> None:
    assert milliseconds()("1.5s") == 1500
    with pytest.raises(click.BadParameter, match="no whole number of milliseconds"):
        milliseconds()("1.5ms")
