"""The example of docs/histories.md is a history, and folds to what it says."""

import re
from pathlib import Path

from emperord.replay.histories.check import check_text
from emperord.replay.histories.text import read, write

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "histories.md").read_text()


def test_the_example_is_the_same() -> None:
    found = re.search(r"```\n(# emperord history 1\n.*?)```", PAGE, re.S)
    assert found is not None
    assert str(check_text(found[1], "docs/histories.md")) == "same"
    assert write(read(found[1])) == found[1]
