"""The last lines of a process are found if its log was cut since its start."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.host.vassal_log import LogDirectory
from support.vassals import program

from ..conftest import MakeDaemon

LIMIT = 4096
FLOOD = b"x" * LIMIT + b"\n"


class Log:
    """The log of a vassal whose process starts and writes."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.path = folder / "a.ini.log"
        self._logs = LogDirectory(str(folder), LIMIT, keep)
        self._descriptor = self._logs.open("a.ini")
        self._file, self._start = self._logs.end(self._descriptor)

    def start(self) -> None:
        self._file, self._start = self._logs.end(self._descriptor)

    def write(self, text: bytes) -> None:
        os.write(self._descriptor, text)

    def cut(self) -> None:
        assert self._logs.bound("a.ini")

    def fail_to_cut(self) -> None:
        """No part can be made, so half of the limit goes back to the log."""
        new = self.path.with_name("a.ini.log.1.new")
        new.mkdir()
        with pytest.raises(OSError, match="Is a directory"):
            self._logs.bound("a.ini")
        new.rmdir()

    def cut_by_another(self) -> None:
        os.truncate(self.path, 0)

    def remove_part(self) -> None:
        self.path.with_name("a.ini.log.1").unlink()

    def replace_part(self) -> None:
        other = self.path.with_name("other")
        other.write_bytes(b"of another program\n")
        other.rename(self.path.with_name("a.ini.log.1"))

    def last(self) -> list[str]:
        """The last lines, without the flood."""
        os.close(self._descriptor)
        found = self._logs.last_lines("a.ini", self._start, self._file).splitlines()
        return [line for line in found if not line.startswith("x")]


Step = bytes | Callable[[Log], None]
NUMBERS = b"".join(b"%04d\n" % number for number in range(801))


@pytest.mark.parametrize(
    ("keep", "steps", "last"),
    [
        pytest.param(2, (FLOOD, b"one\n", Log.cut), ["one"], id="nothing since"),
        pytest.param(1, (FLOOD, b"one\n", Log.cut, b"two\n"), ["one", "two"], id="on both sides"),
        pytest.param(
            1,
            (FLOOD, b"old\n", Log.start, b"one\n", Log.cut, b"two\n"),
            ["one", "two"],
            id="not those of before its start",
        ),
        pytest.param(
            1,
            (FLOOD, b"one\n", Log.cut, b"old\n", Log.start, b"two\n"),
            ["two"],
            id="cut before its start",
        ),
        pytest.param(
            1,
            (b"x" * 3999 + b"\n", Log.start, FLOOD, Log.cut, NUMBERS),
            [f"{number:04}" for number in range(791, 801)],
            id="longer than at its start",
        ),
        pytest.param(
            2,
            (FLOOD, b"one\n", Log.cut, FLOOD, b"two\n", Log.cut, b"three\n"),
            ["two", "three"],
            id="cut twice",
        ),
        pytest.param(0, (FLOOD, b"one\n", Log.cut, b"two\n"), ["two"], id="no part is kept"),
        pytest.param(
            1, (FLOOD, b"one\n", Log.fail_to_cut, b"two\n"), ["one", "two"], id="back in the log"
        ),
        pytest.param(
            1,
            (FLOOD, b"old\n", Log.fail_to_cut, Log.start, b"two\n"),
            ["two"],
            id="back in the log before its start",
        ),
        pytest.param(
            1,
            (FLOOD, Log.start, b"one\n", Log.cut_by_another, b"two\n"),
            ["two"],
            id="cut by another program",
        ),
        pytest.param(
            1,
            (FLOOD, b"one\n", Log.cut, b"two\n", Log.remove_part),
            ["two"],
            id="the part was removed",
        ),
        pytest.param(
            1,
            (FLOOD, b"one\n", Log.cut, b"two\n", Log.replace_part),
            ["two"],
            id="the part is another one",
        ),
    ],
)
def test_the_last_lines(
    tmp_path: Path, keep: int, steps: tuple[Step, ...], last: list[str]
) -> None:
    log = Log(tmp_path, keep)
    for step in steps:
        if isinstance(step, bytes):
            log.write(step)
        else:
            step(log)
    assert log.last() == last


def test_a_death_after_a_cut_has_its_last_lines(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log-size", "4K")
    part = daemon.logs / "a.ini.log.1"
    script = (
        f"head -c {LIMIT} /dev/zero | tr '\\0' x; echo; echo last words;"
        f" until [ -e {part} ] && ! [ -s {daemon.logs}/a.ini.log ]; do sleep 0.01; done; exit 5"
    )
    (daemon.vassals / "a.ini").write_text(program("sh", "-c", script))
    daemon.start()
    died = daemon.event("exited", "a.ini")
    assert (died.body["code"], died.body["log"].splitlines()[-1]) == (5, "last words")
    daemon.stop()
