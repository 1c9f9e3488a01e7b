"""``tools/bench --requests`` counts what clients lose; here with two events of one server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EVENTS = ("restart", "kill-daemon")
SERVERS = ("gunicorn",)


def words(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


def test_lost_requests_are_counted(tmp_path: Path) -> None:
    """A restart costs a server with a socket of its own some requests, and no other one any."""
    command = [sys.executable, str(ROOT / "tools/benchmarks"), "--requests", "--after", "0.2"]
    command += [*words("--server", SERVERS), *words("--event", EVENTS)]
    command += ["--json", str(tmp_path / "cells.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cells: list[dict[str, Any]] = json.loads((tmp_path / "cells.json").read_text())
    own = {
        (each["server"], each["event"]): each for each in cells if each["socket"] == "own socket"
    }
    kept = [each for each in cells if each["socket"] != "own socket"]
    assert len(own) == len(SERVERS) * len(EVENTS)
    assert len(kept) == 2 * len(own)
    assert all(each["requests"] > 10 and each["gap_s"] > 0 for each in cells)
    assert [each for each in kept if each["failed"]] == []
    for server in SERVERS:
        assert own[server, "restart"]["refused"] > 0
        assert own[server, "kill-daemon"]["failed"] == 0
    rows = [line for line in done.stdout.splitlines() if line.startswith(SERVERS)]
    assert len(rows) == len(cells)


@pytest.mark.slow
def test_a_cut_over_refuses_no_request(tmp_path: Path) -> None:
    """Ours beside uWSGI's Emperor. Connections that its last worker left may be cut off."""
    told = tmp_path / "told.json"
    command = [sys.executable, str(ROOT / "tools/benchmarks"), "--requests", "--cut-over"]
    done = subprocess.run(
        [*command, "--after", "0.2", "--json", str(told)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(told.read_text())
    beside, after = counts["ours beside it"], counts["ours after it"]
    assert beside["refused"] == 0
    assert beside["cut"] <= 2, beside  # one of each client, as long as nothing takes them over
    assert after["refused"] > 0
