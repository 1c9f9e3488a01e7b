"""``tools/bench --peers`` with few vassals; and how it shows figures that are always the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from support.waiting import until

ROOT = Path(__file__).parents[2]
BENCH = [sys.executable, str(ROOT / "tools/benchmarks"), "--peers"]
TINY = ["--no-install", "--vassals", "4", "--runs", "1", "--touches", "1", "--idle", "0.3"]
TINY += ["--settled", "0"]
ROWS = ("touch-one", "start", "stop", "resident", "again")


def bench(*words: str) -> str:
    done = subprocess.run([*BENCH, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_chosen_row_has_a_figure_of_each_peer(tmp_path: Path) -> None:
    """The C Emperor is that of the virtual environment, where no other one is."""
    told = tmp_path / "told.json"
    rows = [word for row in ROWS for word in ("--row", row)]
    peers = ["--peer", "emperord", "--peer", "C Emperor"]
    bench(*TINY, *peers, *rows, "--json", str(told))
    found: dict[str, Any] = json.loads(told.read_text())
    assert list(found["versions"]) == ["emperord", "C Emperor"]
    assert set(found["rows"]) == set(ROWS)
    for name, row in found["rows"].items():
        for peer, cell in row["cells"].items():
            assert cell["runs"], f"{name}, {peer}: {cell['reason']}"
            assert all(each > 0 for each in cell["runs"]), name
        assert set(row["cells"]) == {"emperord", "C Emperor"}
    memory = [len(found["parts"][peer]["memory"]) for peer in ("C Emperor", "emperord")]
    assert memory == [1, 2]  # the keeper and the daemon


def test_the_floor_has_a_start_and_a_stop_that_are_recorded(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    bench(*TINY, "--peer", "emperord", "--row", "floor", "--json", str(told))
    floor = json.loads(told.read_text())["floor"]
    assert {"bare-start", "bare-tenth", "bare-stop", "commit", "look"} <= set(floor)
    for name, row in floor.items():
        assert all(each > 0 for each in row["cells"]["here"]["runs"]), name


def processes(folder: Path) -> list[str]:
    """The command lines of processes that were started with this folder for temporary files."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text())
        except (OSError, ValueError):
            continue
    return found


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*BENCH, *TINY, "--peer", "emperord", "--row", "idle", "--settled", "60"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as run:  # fmt: skip
        try:
            until(
                lambda: sum("/vassal" in line for line in processes(tmp_path)) >= 4,
                "the vassals run",
            )
        finally:
            run.send_signal(signal.SIGINT)
        said, _ = run.communicate()
    assert run.returncode == 130, said
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


FIXED: dict[str, Any] = {
    "made": "2026-01-02",
    "machine": {"cores": 2, "python": "3.11", "file system": "ext4"},
    "vassal": "in C",
    "parts": {},
    "versions": {"emperord": "0", "C Emperor": "1"},
    "missing": {"circus": "no network"},
    "rows": {
        "touch-one": {
            "title": "touch",
            "unit": "s",
            "cells": {
                "emperord": {"runs": [0.002, 0.003, 0.0025], "reason": "", "note": ""},
                "C Emperor": {"runs": [1.0, 3.0, 2.0], "reason": "", "note": ""},
            },
        },
        "stop": {
            "title": "stop",
            "unit": "s",
            "cells": {
                "emperord": {"runs": [0.25], "reason": "", "note": ""},
                "C Emperor": {"runs": [], "reason": "it did not end", "note": ""},
            },
        },
    },
}


def test_the_table_has_medians_spread_ratios_and_reasons(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    told.write_text(json.dumps(FIXED))
    said = [" ".join(line.split()) for line in bench("--render", str(told)).splitlines()]
    assert said == [
        "emperord C Emperor circus emperord to C Emperor",
        "touch 2.5 ms (2 to 3 ms) 2.00 s (1.00 to 3.00 s) — 0.0013",
        "stop 0.25 s — —",
        "",
        "circus: not installed: no network",
        "stop: C Emperor: it did not end",
    ]


def test_the_page_gets_tables_and_a_chart(tmp_path: Path) -> None:
    """Between its marks, and a second time in their place."""
    told, page = tmp_path / "told.json", tmp_path / "performance.md"
    told.write_text(json.dumps(FIXED))
    page.write_text("before\n<!-- peers -->\nold\n<!-- end of peers -->\nafter\n")
    words = ["--render", str(told), "--write", "--docs", str(tmp_path)]
    bench(*words)
    first = page.read_text()
    assert first.startswith("before\n<!-- peers -->\nMeasured on 2026-01-02 on 2 cores")
    assert first.endswith("<!-- end of peers -->\nafter\n")
    assert "| touch | 2.5 ms (2 to 3 ms) | 2.00 s (1.00 to 3.00 s) | — | 0.0013 |\n" in first
    assert "- stop: C Emperor: it did not end.\n" in first
    assert "old" not in first
    chart = ET.parse(tmp_path / "peers.svg")
    dots = [each for each in chart.iter() if each.tag.endswith("circle")]
    assert len(dots) == 4  # two of the legend, two of the row that both have
    assert json.loads((tmp_path / "peers.json").read_text()) == FIXED
    bench(*words)
    assert page.read_text() == first


def test_the_page_has_the_figures_that_are_kept(tmp_path: Path) -> None:
    """Of the last measurement, beside the page, which none changes by hand."""
    page = tmp_path / "performance.md"
    shutil.copy(ROOT / "docs/performance.md", page)
    if (kept := ROOT / "docs/growth.json").exists():
        words = ["--render", str(kept), "--write", "--docs", str(tmp_path)]
        subprocess.run([*BENCH[:-1], "--growth", *words], check=True, stdout=subprocess.DEVNULL)
    if (kept := ROOT / "docs/peers.json").exists():
        bench("--render", str(kept), "--write", "--docs", str(tmp_path))
        assert (tmp_path / "peers.svg").read_text() == (ROOT / "docs/peers.svg").read_text()
    assert page.read_text() == (ROOT / "docs/performance.md").read_text()


def test_growth_has_a_column_for_each_size(tmp_path: Path) -> None:
    """Of few vassals, and of a short journal; the page gets both tables."""
    told, page = tmp_path / "told.json", tmp_path / "performance.md"
    page.write_text("<!-- growth -->\n<!-- end of growth -->\n")
    command = [*BENCH[:-1], "--growth", "--fleet", "3", "--fleet", "6", "--events", "1000"]
    command += ["--settled", "0", "--idle", "0.2", "--times", "1", "--json", str(told)]
    done = subprocess.run(
        [*command, "--write", "--docs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(told.read_text())
    for table, columns in (("fleets", ["3 vassals", "6 vassals"]), ("journals", ["1,000 events"])):
        for name, row in found[table].items():
            assert {cell["reason"] for cell in row["cells"].values()} == {""}, (name, row)
            assert list(row["cells"]) == (columns if name != "kb" else columns[1:])
            assert all(cell["runs"] for cell in row["cells"].values()), name
    assert "| cold start until all run | " in page.read_text()
    assert "| append of one event, synchronous | " in page.read_text()
