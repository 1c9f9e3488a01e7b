"""Golden scripts: what the fold decides, told as stories.

Each file in ``golden/`` is a series of paragraphs: lines of a script (see ``script.py``), then
``----`` and what the fold printed. ``pytest --rewrite`` writes what it prints now; read the diff.

The decisions of a former version of the rules stay: the scripts in ``golden/rules1`` are those of
0.1.0, and are folded by its rules. They are never written anew.
"""

from pathlib import Path

import pytest
from emperord.daemon.core.rules import RULES

from .script import Script

GOLDEN = Path(__file__).parent / "golden"
DIVIDER = "----"


def replayed(text: str, rules: int = RULES) -> str:
    """The script again, with what the fold prints by these rules."""
    script = Script(rules)
    return "\n\n".join(_paragraph(script, each) for each in text.strip().split("\n\n")) + "\n"


def _paragraph(script: Script, text: str) -> str:
    given = [line for line in text.partition(DIVIDER)[0].splitlines() if line]
    lines = [line for line in given if not line.startswith("#")]
    if not lines:
        return text  # a comment of its own
    printed = [told for line in lines for told in script.feed(line)]
    return "\n".join([*given, DIVIDER, *(printed or ["nothing"])])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    expected = path.read_text()
    printed = replayed(expected)
    if request.config.getoption("--rewrite"):
        path.write_text(printed)
    else:
        assert printed == expected


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("rules1/*.txt")), ids=lambda path: path.stem)
def test_the_first_rules_decide_as_ever(path: Path) -> None:
    expected = path.read_text()
    assert replayed(expected, rules=1) == expected
