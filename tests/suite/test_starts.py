"""A process of the warm server is as one that was executed (``tests/support/warm.py``)."""

import contextlib
import os
import re
import resource
from pathlib import Path

import pytest
from support import warm
from support.descriptors import descriptors
from support.kept import Emperor
from support.waiting import until

# Of signals in /proc/PID/status: a cold start has 32 ignored, by the C library's posix_spawn.
_ALL = ~(1 << 31)


def _process(pid: int) -> dict[str, object]:
    """All that a process has from its start."""
    there = Path("/proc", str(pid))
    status = dict(
        line.split(":\t", 1) for line in (there / "status").read_text().splitlines() if "\t" in line
    )
    files = sorted(target.split("[")[0] for _, target in descriptors(pid))
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


def _differences(warmed: int, executed: int) -> list[str]:
    """The parts in which two processes differ, whose paths are ``warm`` and ``cold``."""
    one, other = _process(warmed), _process(executed)
    parts = {key: (_common(one[key]), _common(other[key])) for key in one}
    return [f"{key}: {a}\n{b}" for key, (a, b) in parts.items() if a != b]


def _get_alike(warmed: int, executed: int) -> None:
    """Wait until nothing differs: a daemon opens and closes files for a while after its start."""
    until(
        lambda: not _differences(warmed, executed),
        "they are alike",
        account=lambda: "\n".join(_differences(warmed, executed)),
    )


def _common(part: object) -> str:
    """The text of a part, without what each daemon has of its own."""
    text = re.sub(r"/(warm|cold)\b", "/how", repr(part))
    return re.sub(r"[0-9a-f]{16}", "ID", text)


@pytest.mark.parametrize("keeper", [True, False], ids=["keeper", "no keeper"])
def test_a_warm_start_has_what_a_cold_one_has(
    keeper: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        emperors = []
        for how in ("warm", "cold"):
            monkeypatch.setenv("STARTS", how)
            (tmp_path / how).mkdir()
            emperor = stack.enter_context(Emperor(tmp_path / how, keeper=keeper))
            emperor.stamp = emperor.environ["STARTED_BY_TEST"] = "one"
            emperor.environ["STARTS"] = "any"
            emperor.start()
            assert isinstance(emperor.process, warm.Process) == (how == "warm")
            emperors.append(emperor)
        one, other = emperors
        _get_alike(one.pid, other.pid)
        _get_alike(one.daemon_pid(), other.daemon_pid())
        for emperor in emperors:
            emperor.restart()
        _get_alike(one.daemon_pid(), other.daemon_pid())
        for emperor in emperors:
            emperor.stop()
