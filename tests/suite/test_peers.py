"""``tools/bench --peers`` with few vassals; and how it shows figures that are always the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    assert [len(found["parts"][peer]) for peer in ("C Emperor", "emperord")] == [1, 2]


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
    "machine": {},
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
        "stop, C Emperor: it did not end",
    ]
