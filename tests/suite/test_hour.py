"""``tools/bench --hour`` looks at a daemon under load, and writes the table into the page."""

import json
import subprocess
import sys
from pathlib import Path

from support.rooms import ROOT

BENCH = (sys.executable, str(ROOT / "tools/benchmarks"), "--hour")
PAGE = "before\n<!-- hour -->\n<!-- end of hour -->\nafter\n"


def test_a_daemon_is_looked_at_from_inside_and_from_outside(tmp_path: Path) -> None:
    page, figures = tmp_path / "performance.md", tmp_path / "figures.json"
    page.write_text(PAGE)
    short = ("--virtual", "48", "--real", "0", "--json", str(figures))
    done = subprocess.run([*BENCH, *short], check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # in so short a time a fleet is not settled
    samples = json.loads(figures.read_text())["simulated"]
    assert [seconds for seconds, _ in samples] == [2.0 * n for n in range(1, 25)]
    assert "shell.fleet.vassals" in samples[-1][1]
    words = ("--render", str(figures), "--write", "--docs", str(tmp_path))
    subprocess.run([*BENCH, *words], check=False, capture_output=True)
    text = page.read_text()
    assert "| tasks |" in text
    assert "grow" in text
    assert text.endswith("after\n")
