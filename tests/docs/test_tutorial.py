"""docs/tutorial.md: each command is run as it stands there, and prints what the page says."""

import os
from pathlib import Path

from support.pages import Shell, sections
from support.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
INSTALLS = "Install"  # tools/test does the same before the tests


def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    parts = sections(PAGE.read_text())
    assert parts.pop(INSTALLS)[0].text == "tools/install uwsgi"
    # A start that fails is not tried again while the test looks at it.
    environ = {**os.environ, "EMPEROR_THROTTLE": "60s"}
    with Shell(tmp_path, environ, {"8101": str(free_port())}) as shell:
        for steps in parts.values():
            shell.follow(steps)
    assert sum(map(len, parts.values())) > 20
