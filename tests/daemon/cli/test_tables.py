"""Lists in the formats that the commands share."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from emperord.daemon.cli.tables import FORMATS, formatted

COLUMNS = ("name", "pid", "loyal", "log", "actions")
RECORDS: list[dict[str, Any]] = [
    {"name": "bücher.ini", "pid": 7, "loyal": True, "log": 'a,"b"\nc', "actions": [{"do": "x"}]},
    {"name": "\x1b[2Ja", "pid": None, "loyal": False, "log": "", "actions": []},
]


def text(form: str, records: list[dict[str, Any]]) -> str:
    return b"".join(formatted(form, COLUMNS, records)).decode()


def test_json_and_jsonl() -> None:
    assert json.loads(text("json", RECORDS)) == RECORDS
    assert [json.loads(line) for line in text("jsonl", RECORDS).splitlines()] == RECORDS
    assert (text("json", []), text("jsonl", [])) == ("[]\n", "")


def test_csv() -> None:
    rows = list(csv.reader(io.StringIO(text("csv", RECORDS))))
    assert rows == [
        list(COLUMNS),
        ["bücher.ini", "7", "true", 'a,"b"\nc', '[{"do":"x"}]'],
        ["\x1b[2Ja", "", "false", "", "[]"],
    ]
    assert text("csv", []) == "name,pid,loyal,log,actions\n"


def test_wide_is_for_people() -> None:
    assert text("wide", RECORDS).splitlines() == [
        "NAME        PID  LOYAL  LOG       ACTIONS",
        'bücher.ini  7    true   a,"b"\\nc  [{"do":"x"}]',
        "\\x1b[2Ja    -    false            []",
    ]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "short"])
def test_a_long_list_is_given_as_it_comes(form: str) -> None:
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"name": f"{taken}.ini", "pid": taken, "loyal": False, "log": "", "actions": []}

    pieces = formatted(form, COLUMNS, endless())
    said = b""
    while b"2000.ini" not in said:
        said += next(pieces)
    assert taken < 20_000


def test_a_cell_of_a_wide_list_costs_few_calls() -> None:
    """2,000 vassals have 64,000 cells. With 20 calls a cell, their list took 0.1 s longer."""
    records = [{**RECORDS[0], "name": f"{number}.ini"} for number in range(200)]
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        told = text("wide", records)
    finally:
        sys.setprofile(None)
    assert len(told.splitlines()) == 1 + len(records)
    assert calls < 10 * len(records) * len(COLUMNS)
