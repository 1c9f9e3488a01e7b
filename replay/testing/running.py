"""Runs a history as a test, tells how it failed, and writes it anew where that is asked for.

A failure begins with its kind. *Diverged*: this version decides otherwise, which is a defect or a
decision that changed. *Damaged*: the file is not what was written. *Newer*: a later version wrote
it, and it may be right. Only a history that diverged can be written anew.
"""

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import pytest

from ..histories.check import Outcome, check_text
from ..histories.folding import rewritten
from ..histories.history import History
from ..histories.text import read, write
from ..rebuild import FoldFailed
from .report_section import REWRITTEN
from .shrinking import shrunk

PRINTED: Final = 40  # lines of a shrunk history; a longer one is only written to a file
_ADVICE: Final = {
    "diverged": (
        "this version decides otherwise by the same rules: mend it, or give the change a version"
        " of the rules; --history-rewrite REASON is for a history that was wrong"
    ),
    "damaged": "the file itself is at fault, and says nothing of the decisions",
    "newer": "nothing is wrong with the file: a later version of emperord reads it",
}


def run(item: pytest.Item) -> None:
    """Fail the test of a file where its history does not fold to what it says."""
    where = item.nodeid.partition("::")[0]
    try:
        text = item.path.read_bytes().decode()
    except UnicodeDecodeError as error:
        _fail(f"damaged: {where}: it is no UTF-8: {error}", _ADVICE["damaged"])
    outcome = check_text(text, where)
    reason = item.config.getoption("history_rewrite")
    if outcome.kind == "diverged":
        history = read(text, where)
        if reason is None:
            _tell(item, history, outcome)
        _rewrite(item, text, history, outcome, reason)
    elif not outcome.same:
        more = "it was not written anew, because only a history that diverged is"
        _fail(*outcome.lines(), _ADVICE[outcome.kind], *([] if reason is None else [more]))


def _fail(*lines: str) -> NoReturn:
    pytest.fail("\n".join(lines), pytrace=False)


def _tell(item: pytest.Item, history: History, outcome: Outcome) -> NoReturn:
    smallest = shrunk(history, outcome)
    text = write(smallest)
    told = f"shrunk to {len(smallest.steps)} of {len(history.steps)} events that have it"
    folder = item.config.getoption("history_shrunk")
    if folder is not None:
        where = item.nodeid.partition("::")[0].replace("/", "-")
        path = Path(item.config.invocation_params.dir, folder, where)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        told += f": {path}"
    printed = ["", *text.splitlines()] if text.count("\n") < PRINTED else []
    if not printed and folder is None:
        told += "; --history-shrunk DIR writes them to a file"
    _fail(*outcome.lines(), _ADVICE["diverged"], told, *printed)


def _rewrite(item: pytest.Item, text: str, history: History, outcome: Outcome, reason: str) -> None:
    line = f"{datetime.now(UTC).date().isoformat()} {' '.join(reason.split())}"
    try:
        anew = write(rewritten(history, line))
    except FoldFailed:
        _fail(*outcome.lines(), "it was not written anew, because its events cannot be folded")
    _replace(item.path, anew)
    name = item.nodeid.partition("::")[0]
    difference = difflib.unified_diff(
        text.splitlines(), anew.splitlines(), name, f"{name} rewritten", lineterm=""
    )
    item.add_report_section("call", REWRITTEN, "\n".join(difference))


def _replace(path: Path, text: str) -> None:
    """Write a file so that no reader and no crash sees half of it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.chmod(path.stat().st_mode)
    beside.replace(path)
