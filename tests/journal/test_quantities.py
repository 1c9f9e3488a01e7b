"""Durations and sizes as people write them."""

from decimal import Decimal

import pytest
from emperord.journal import quantities
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("3", "s", "3"),
        ("3", "ms", "3"),
        ("3s", "s", "3"),
        ("3s", "ms", "3000"),
        ("500ms", "s", "0.5"),
        ("500ms", "ms", "500"),
        ("0.1s", "ms", "100"),
        ("1.5h", "s", "5400"),
        ("2m", "s", "120"),
        ("2min", "s", "120"),
        ("7d", "s", "604800"),
        ("1w", "s", "604800"),
        ("1h30m", "s", "5400"),
        ("1h 30m", "s", "5400"),
        ("10 s", "s", "10"),
        (".5", "s", "0.5"),
        ("1e3", "s", "1000"),
        (" 4s ", "s", "4"),
    ],
)
def test_durations(text: str, unit: str, amount: str) -> None:
    assert quantities.duration(text, unit) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    ["", "s", "often", "-1", "-1s", "nan", "inf", "1y", "1e3s", "3S", "1,5s", "1s2", "1 s s", "٣s"],
)
def test_what_is_no_duration(text: str) -> None:
    assert quantities.duration(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64K", 64 << 10),
        ("10M", 10 << 20),
        ("10m", 10 << 20),
        ("10MB", 10 << 20),
        ("1GiB", 1 << 30),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("7B", 7),
        ("10 M", 10 << 20),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert quantities.size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5", "0.3K", "1P", "1e3", "big", "1MM", "1iB"])
def test_what_is_no_size(text: str) -> None:
    assert quantities.size(text) is None


@given(st.integers(1, 365 * 24 * 3600 * 1000))
def test_a_duration_is_read_as_it_was_written(amount: int) -> None:
    assert quantities.duration(quantities.duration_text(amount, "ms"), "ms") == amount


@given(st.integers(1, 1 << 60))
def test_a_size_is_read_as_it_was_written(amount: int) -> None:
    assert quantities.size(quantities.size_text(amount).removesuffix(" bytes")) == amount
