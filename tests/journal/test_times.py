"""Times as people write and read them."""

import time
from collections.abc import Iterator

import pytest
from emperord.journal import times

AT = 1_795_501_863_532_123_456  # 2026-11-24T06:31:03.532123456Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-11-24T06:31:03.532123456Z", AT, id="nine digits"),
        pytest.param("2026-11-24t06:31:03.532123456z", AT, id="small letters"),
        pytest.param("2026-11-24 06:31:03.532123456", AT, id="a space, no offset"),
        pytest.param("2026-11-24T07:31:03.532123456+01:00", AT, id="east"),
        pytest.param("2026-11-24T02:01:03.532123456-04:30", AT, id="west"),
        pytest.param("2026-11-24T06:31:03.5Z", AT - 32_123_456, id="one digit"),
        pytest.param("2026-11-24T06:31:03Z", AT - 532_123_456, id="no fraction"),
        pytest.param("2026-11-24T06:31Z", AT - 3_532_123_456, id="no seconds"),
        pytest.param("2026-11-24", 1_795_478_400_000_000_000, id="date"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="the epoch"),
        pytest.param("now", AT, id="now"),
        pytest.param("-30s", AT - 30 * 10**9, id="seconds"),
        pytest.param("-10m", AT - 600 * 10**9, id="minutes"),
        pytest.param("-2h", AT - 7200 * 10**9, id="hours"),
        pytest.param("-3d", AT - 3 * 86_400 * 10**9, id="days"),
        pytest.param("-1w", AT - 7 * 86_400 * 10**9, id="a week"),
        pytest.param("-1h30m", AT - 5400 * 10**9, id="two units"),
        pytest.param("10m", AT - 600 * 10**9, id="without a sign"),
        pytest.param("10 minutes ago", AT - 600 * 10**9, id="in words"),
        pytest.param("1 hour, 30 min ago", AT - 5400 * 10**9, id="two units in words"),
        pytest.param("2h ago", AT - 7200 * 10**9, id="a unit ago"),
        pytest.param("3days", AT - 3 * 86_400 * 10**9, id="a word at its number"),
        pytest.param("06:41", 1_795_416_060_000_000_000, id="a clock time: yesterday's, as yet"),
        pytest.param("06:31", 1_795_501_860_000_000_000, id="a clock time that has passed"),
        pytest.param("06:31:03.5", AT - 32_123_456, id="a clock time with a fraction"),
        pytest.param("08:31+02:00", 1_795_501_860_000_000_000, id="a clock time with an offset"),
        pytest.param("22:31-08:00", 1_795_501_860_000_000_000, id="of another day there"),
        pytest.param("today", 1_795_478_400_000_000_000, id="today"),
        pytest.param("yesterday", 1_795_392_000_000_000_000, id="yesterday"),
        pytest.param("yesterday 06:31:03Z", AT - 86_400 * 10**9 - 532_123_456, id="then"),
        pytest.param("tomorrow", 1_795_564_800_000_000_000, id="tomorrow"),
        pytest.param("2026-11-24 06:31:03.532 UTC", AT - 123_456, id="as commands print it"),
        pytest.param("06:31:03.532 UTC", AT - 123_456, id="a clock time in UTC"),
        pytest.param("2026-11-24 UTC", 1_795_478_400_000_000_000, id="a date in UTC"),
        pytest.param("Tue 2026-11-24 06:31 UTC", AT - 3_532_123_456, id="as systemd prints it"),
        pytest.param("2026-11-24 07:31 Europe/Berlin", AT - 3_532_123_456, id="a zone in winter"),
        pytest.param("1970-07-01 02:00 America/New_York", 15_660_000_000_000_000, id="in summer"),
        pytest.param("-1.5h", AT - 5400 * 10**9, id="a fraction"),
        pytest.param("0.53s", AT - 530_000_000, id="as commands print a duration"),
        pytest.param("250ms ago", AT - 250_000_000, id="milliseconds"),
        pytest.param("1 month ago", AT - 2_629_800 * 10**9, id="a month"),
        pytest.param("-2y", AT - 2 * 31_557_600 * 10**9, id="years"),
        pytest.param("-1M", AT - 2_629_800 * 10**9, id="a month is no minute"),
        pytest.param("+10m", AT + 600 * 10**9, id="later"),
    ],
)
def test_what_people_write_is_understood(text: str, expected: int) -> None:
    assert times.parse(text, since=AT) == expected


@pytest.mark.parametrize(
    "text",
    ["", "-10", "10", "ago", "-", "-10q", "10 parsecs ago", "+", "1.h", "Xyz 2026-11-24",
     "-10m ago", "25:00",
     "yesterday 6:41", "@", "@17", "9999999999d", "-99999999999999999999m", "2026-13-01",
     "2026-11-24T25:00:00Z", "24.11.2026",
     "2026-11-24T06:31:03+99:00", "2026-11-24T06:31:60Z", "٢٠٢٦-11-24",
     "2026-11-24 06:31 Europe/Atlantis", "2026-11-24 06:31 CET", "2026-11-24 06:31 ../etc/passwd"],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        times.parse(text, since=AT)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-24 07:31:03.532 CET", "2026-11-24T06:31:03.532Z"),
        ("2026-07-24 08:31 CEST", "2026-07-24T06:31Z"),
        ("2026-11-24 06:31 UTC", "2026-11-24T06:31Z"),
        ("2026-11-24 03:31-03", "2026-11-24T06:31Z"),
        ("2026-11-24 07:31", "2026-11-24T06:31Z"),
        ("2026-07-24T08:31", "2026-07-24T06:31Z"),
        ("2026-11-24", "2026-11-23T23:00Z"),
        ("2026-07-24", "2026-07-23T22:00Z"),
    ],
)
def test_a_time_without_an_offset_is_local(text: str, same: str) -> None:
    assert times.parse(text) == times.parse(same)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "since", "same"),
    [
        pytest.param("06:41", "2026-11-24T05:42Z", "2026-11-24T05:41Z", id="a minute ago"),
        pytest.param("06:41", "2026-11-24T05:40Z", "2026-11-23T05:41Z", id="the day before"),
        pytest.param("06:41", "2026-10-25T05:40Z", "2026-10-24T04:41Z", id="a day of 25 hours"),
        pytest.param("02:30", "2026-10-25T01:45Z", "2026-10-25T01:30Z", id="the hour again"),
        pytest.param("02:30", "2026-10-25T01:15Z", "2026-10-25T00:30Z", id="not yet again"),
        pytest.param("02:30", "2026-10-26T06:00Z", "2026-10-26T01:30Z", id="the day after"),
        pytest.param("02:30", "2026-10-26T01:00Z", "2026-10-25T01:30Z", id="again, yesterday"),
        pytest.param("02:30", "2026-03-29T01:10Z", "2026-03-28T01:30Z", id="an hour left out"),
        pytest.param(
            "02:30 Europe/Berlin", "2026-10-25T01:45Z", "2026-10-25T01:30Z", id="of a zone, again"
        ),
        pytest.param("00:30", "2026-11-24T23:40Z", "2026-11-24T23:30Z", id="UTC has another date"),
        pytest.param("today", "2026-11-24T23:40Z", "2026-11-24T23:00Z", id="the local date"),
    ],
)
def test_days_and_clocks_are_local(text: str, since: str, same: str) -> None:
    assert times.parse(text, times.parse(since)) == times.parse(same)


@pytest.mark.usefixtures("berlin")
def test_another_zone_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="no zone 'PST'; write UTC or CET or CEST, or an offset"):
        times.parse("06:41 PST")


@pytest.mark.parametrize("at", [0, 1, AT, 999_999_999, 10**18, 253_402_300_799_999_999_999])
def test_nine_digits_and_a_z_and_back(at: int) -> None:
    text = times.rfc3339(at)
    assert len(text) == 30
    assert text.endswith("Z")
    assert times.parse(text) == at


@pytest.mark.parametrize(
    ("text", "expected"),
    [("@17", times.EventNumber(17)), (" @0 ", times.EventNumber(0)), ("-30s", AT - 30 * 10**9)],
)
def test_a_moment_is_a_time_or_an_event(text: str, expected: times.Moment) -> None:
    assert times.moment(text, since=AT) == expected


@pytest.mark.parametrize("text", ["@", "@-1", "@1.5", "@" + "9" * 5000, "17"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write .* or @SEQ"):
        times.moment(text)


def test_a_time_that_no_calendar_has_is_still_printed() -> None:
    assert times.rfc3339(2**69) == f"@{2**69}ns"


def test_relative_to_the_present_unless_told() -> None:
    before = times.now()
    assert before - 10**9 <= times.parse("-1s") <= times.now() - 10**9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.53, "0.53s"), (12, "12s"), (185, "3m05s"), (8040, "2h14m"), (529_200, "6d3h")],
)
def test_how_long_it_took(seconds: float, text: str) -> None:
    assert times.took(int(seconds * 10**9)) == text
