"""A process of the warm server is as one that was executed (``tests/support/warm.py``)."""

import os
import resource
from pathlib import Path

import pytest
from support import warm
from support.kept import Emperor

# Of signals in /proc/PID/status: a cold start has 32 ignored, by the C library's posix_spawn.
_ALL = ~(1 << 31)


def _process(pid: int) -> dict[str, object]:
    """All that a process has from its start."""
    there = Path("/proc", str(pid))
    status = dict(
        line.split(":\t", 1) for line in (there / "status").read_text().splitlines() if "\t" in line
    )
    files = sorted(os.readlink(file).split("[")[0] for file in (there / "fd").iterdir())
    return {
        "arguments": (there / "cmdline").read_bytes(),
        "environment": sorted((there / "environ").read_bytes().split(b"\0")),
        "ignored": int(status["SigIgn"], 16) & _ALL,
        "caught": int(status["SigCgt"], 16),
        "blocked": int(status["SigBlk"], 16),
        "files": files,
        "leads": os.getsid(pid) == pid,
        "limit": resource.prlimit(pid, resource.RLIMIT_NOFILE),
        "directory": os.readlink(there / "cwd"),
        "program": os.readlink(there / "exe"),
    }


@pytest.mark.parametrize("keeper", [True, False], ids=["keeper", "no keeper"])
def test_a_warm_start_has_what_a_cold_one_has(
    keeper: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for how in ("warm", "cold"):
        monkeypatch.setenv("STARTS", how)
        with Emperor(tmp_path, keeper=keeper) as emperor:
            emperor.stamp = emperor.environ["STARTED_BY_TEST"] = "one"
            emperor.environ["STARTS"] = "any"
            emperor.start()
            assert isinstance(emperor.process, warm.Process) == (how == "warm")
            found.append([_process(pid) for pid in (emperor.pid, emperor.daemon_pid())])
            emperor.restart()
            found[-1] += [_process(emperor.daemon_pid())]
            emperor.stop()
    for warmed, executed in zip(*found, strict=True):
        for key, value in executed.items():
            assert warmed[key] == value, key
