"""The table in docs/deploys.md of what happens to both instances is what the fold decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from .script import Script, play

PAGE: Final = Path(__file__).parents[2] / "docs" / "deploys.md"
SPEC: Final = "listen=:80 reload=replace"
STARTING: Final = (
    f"daemon started; daemon ready; added foo.ini {SPEC}; accepting foo.ini; heartbeat foo.ini;"
    f" changed foo.ini ts=2 {SPEC}; heartbeat foo.ini"
)
SETTLING: Final = f"{STARTING}; accepting foo.ini"
ADOPTED: Final = (
    "daemon started; adopted foo.ini attempt=1; adopted foo.ini attempt=2; daemon ready"
)
REBOOTED: Final = (
    "daemon started; exited foo.ini attempt=1 away=yes; exited foo.ini attempt=2 away=yes"
)
BOTH: Final = (STARTING, SETTLING)
# The row of the table, the event, and when it can come.
ROWS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "another change": (f"changed foo.ini ts=3 {SPEC}", BOTH),
    "a removal": ("removed foo.ini", BOTH),
    "`stop` of an operator": ("operator stop foo.ini", BOTH),
    "`restart` of an operator": ("operator restart foo.ini", BOTH),
    "`reload` of an operator": ("operator reload foo.ini", BOTH),
    "stop of the daemon": ("daemon stopping", BOTH),
    "death of the old one": ("exited foo.ini attempt=1 code=1", BOTH),
    "death of the new one": ("exited foo.ini attempt=2 code=1", BOTH),
    "lost heartbeat of the old one": ("silent foo.ini attempt=1", BOTH),
    "lost heartbeat of the new one": ("silent foo.ini attempt=2", BOTH),
    "`kill -9` of the daemon": (ADOPTED, BOTH),
    "reboot": (REBOOTED, BOTH),
    "not ready in time": ("deadline foo.ini of=candidate", (STARTING,)),
    "failed check while it settles": ("sick foo.ini", (SETTLING,)),
    "the time of `replace-settle` is over": ("deadline foo.ini of=candidate", (SETTLING,)),
}
WORDS: Final = {"stop": "is stopped", "retire": "is stopped", "kill": "is killed"}


def told() -> dict[str, tuple[str, str]]:
    """The rows of both tables: an event, the old instance, the new one."""
    section = PAGE.read_text().partition("### What happens midway")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in rows if row[0] != "event"}


def became(script: Script, number: int, orders: Mapping[int | None, str]) -> str:
    """The word for what became of an attempt."""
    attempt = script.runs["foo.ini"][number - 1]
    if attempt in orders:
        return WORDS[orders[attempt]]
    vassal = script.fleet.vassals["foo.ini"]
    second = vassal.candidate
    if second is not None and second.attempt == attempt:
        return "goes on"
    if vassal.attempt == attempt:
        return "runs on" if number == 1 else "takes over"
    return "has ended"


def test_the_page_has_these_rows() -> None:
    assert told().keys() == ROWS.keys()


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_the_fold_decides(row: str) -> None:
    events, moments = ROWS[row]
    for moment in moments:
        script = play(moment)
        before = len(script.actions)
        for event in events.split("; "):
            script.feed(event)
        orders = {each.attempt: each.do for each in script.actions[before:] if each.do in WORDS}
        assert (became(script, 1, orders), became(script, 2, orders)) == told()[row], moment
