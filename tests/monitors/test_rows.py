"""The meaning of values of rows, whatever the source that gave them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from emperord.monitors import rows as rows_module
from emperord.monitors.config_file import LARGEST
from emperord.monitors.options import MonitorOptions
from emperord.monitors.rows import Flaw, Row, id_of, seen_of_file, socket_of, ts_of

SECOND = 10**9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0, 0, id="zero"),
        pytest.param(-1, -SECOND, id="before 1970"),
        pytest.param(1.5, 1_500_000_000, id="float"),
        pytest.param(Decimal("1700000000.123456789"), 1_700_000_000_123_456_789, id="Decimal"),
        pytest.param("12.25", 12_250_000_000, id="text"),
        pytest.param("1e-99999999", 0, id="tiny"),
        pytest.param(datetime(1970, 1, 1, 0, 0, 1), SECOND, id="naive, as UTC"),
        pytest.param(datetime(1970, 1, 2, tzinfo=UTC), 86_400 * SECOND, id="UTC"),
        pytest.param(
            datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0, id="elsewhere"
        ),
    ],
)
def test_ts(value: Any, expected: int) -> None:
    assert ts_of(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", "soon", b"1", [], 10**400, 1e300, "1e999999", "1e999999999999"),
        *("nan", "inf", float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN")),
        *(1 << 63, -(1 << 63)),
    ],
)
def test_what_is_no_ts(value: Any) -> None:
    with pytest.raises(Flaw, match=r"^the ts "):
        ts_of(value)


@pytest.mark.parametrize("value", [33, "33", b"33", 33.0, Decimal("33"), Decimal("33.0")])
def test_id(value: Any) -> None:
    assert id_of("uid", value) == 33


@pytest.mark.parametrize("value", [None, "", b""])
def test_an_omitted_id(value: Any) -> None:
    assert id_of("uid", value) is None


@pytest.mark.parametrize(
    "value",
    [
        *(-1, 0xFFFFFFFF, 1.5, -1.0, 1e300, True, "-1", "0x1", "٣", "9" * 50, []),
        *(float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e999999")),
    ],
)
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(Flaw, match=r"^the uid "):
        id_of("uid", value)


RANGE = "it must be from 0 to 4294967294"


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        *((value, f"the uid is -1, {RANGE}") for value in (-1, "-1", b"-1", Decimal(-1))),
        (-1.0, f"the uid is -1.0, {RANGE}"),
        (0xFFFFFFFF, f"the uid is 4294967295, {RANGE}"),
        ("9" * 25, f"the uid is {'9' * 25}, {RANGE}"),
        pytest.param("0" * 37 + "1000", f"the uid is too long, {RANGE}", id="cut, another user's"),
        pytest.param(b"9" * 5000, f"the uid is too long, {RANGE}", id="huge text"),
        pytest.param(10**5000, f"the uid is far too large, {RANGE}", id="huge"),
        (Decimal("1e999999"), f"the uid is 1E+999999, {RANGE}"),
        (1.5, "the uid is 1.5, it must be a whole number"),
        (float("nan"), "the uid is nan, it must be a whole number"),
        (Decimal("sNaN"), "the uid is sNaN, it must be a whole number"),
        ("0" * 40 + "1000", "the uid is too long, it must be from 0 to 4294967294"),
        ("9" * 5000, "the uid is too long, it must be from 0 to 4294967294"),
        ("1.5", "the uid is no whole number but '1.5'"),
        (" 1", "the uid is no whole number but ' 1'"),
        ("root", "the uid is no whole number but 'root'"),
        (True, "the uid is not a whole number but of type bool"),
        ([1], "the uid is not a whole number but of type list"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_reason_names_the_flaw_of_an_id(value: Any, flaw: str) -> None:
    with pytest.raises(Flaw) as caught:
        id_of("uid", value)
    assert str(caught.value) == flaw


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (5, "the socket is not a text but of type int"),
        ("x" * 256, "the socket is not an address: it has 256 bytes, 255 are allowed"),
        ("a\nb", "the socket is not an address: it has a character that cannot be printed"),
    ],
)
def test_the_reason_names_the_flaw_of_a_socket(value: Any, flaw: str) -> None:
    with pytest.raises(Flaw) as caught:
        socket_of(value)
    assert str(caught.value) == flaw


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_bytes(b"#" * LARGEST)
    content = seen_of_file(Row(str(path), None, 1), MonitorOptions())[1].content
    assert content is not None
    assert len(content) == LARGEST
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(Flaw, match=f"{path}: it has more than 1 MiB"):
        seen_of_file(Row(str(path), None, 1), MonitorOptions())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"author": "me", "n": 7, "none": None, "empty": "", "bytes": b"\xff"},
         {"author": "me", "n": "7", "bytes": "\\xff"}),
        ({"long": "x" * 1000}, {"long": "x" * rows_module.LONGEST_ATTR}),
        ({"k" * 1000: "v"}, {"k" * 64: "v"}),
        ({"esc": "\x1b[2J\u202e"}, {"esc": "\\x1b[2J\\u202e"}),
        ({"kept": rows_module.TooLong(5000)}, {"kept": "(5000 bytes)"}),
        ({str(n): n for n in range(100)}, {str(n): str(n) for n in range(rows_module.MOST_ATTRS)}),
    ],
    ids=["plain", "long", "a long key", "not printable", "kept by the source", "many"],
)  # fmt: skip
def test_further_values_are_short_printable_texts(
    values: dict[str, object], expected: dict[str, str]
) -> None:
    assert rows_module.attrs_of(values) == expected
