"""``tools/bench --verify`` measures each part, and writes the table into the page."""

import json
import subprocess
import sys
from pathlib import Path

from support.rooms import ROOT

BENCH = (sys.executable, str(ROOT / "tools/benchmarks"), "--verify")
PAGE = "before\n<!-- verify -->\n<!-- end of verify -->\nafter\n"


def test_each_part_is_measured_and_written(tmp_path: Path) -> None:
    page, figures = tmp_path / "performance.md", tmp_path / "figures.json"
    page.write_text(PAGE)
    words = ("--events", "2000", "--json", str(figures), "--write", "--docs", str(tmp_path))
    subprocess.run([*BENCH, *words], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(figures.read_text())
    parts = ("rows", "chain", "bodies", "pages", "texts", "fold", "outcomes", "checkpoints")
    assert set(found["took"]) == set(parts)
    assert found["events"] == 2000
    assert found["spent"] > 0
    text = page.read_text()
    assert "| the fold | " in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
