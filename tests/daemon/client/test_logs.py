"""emperor-ctl logs: the last lines of vassals, and what they write next, whatever becomes of it."""

import gzip
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.daemon.client import packed_logs
from emperord.journal.times import rfc3339
from support.asking import refused
from support.followers import Follower
from support.kept import Emperor
from support.terminals import Terminal, at_terminal
from support.vassals import SLEEPER, shell
from support.waiting import PATIENCE

from ..conftest import QUICK, MakeEmperor

NAMES = ("a.ini", "b.ini")
HOSTILE = b"\x1b[2J\x1b]0;t\x07 \xff\xfe \xe2\x80\xae tab\there\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    """Two vassals that write nothing themselves: tests write to their logs as they would."""
    folder = tmp_path_factory.mktemp("logs")
    with Emperor(folder, *QUICK, "--log-size", "20K") as emperor:
        for name in NAMES:
            (emperor.vassals / name).write_text(SLEEPER)
        emperor.start()
        emperor.up(*NAMES)
        yield emperor
        emperor.stop()


@pytest.fixture
def emptied(fleet: Emperor) -> Iterator[Emperor]:
    """The fleet with empty logs, and without older parts."""
    for path in fleet.logs.iterdir():
        path.unlink()
    for name in NAMES:
        log_of(fleet, name).touch()
    yield fleet
    for path in fleet.logs.iterdir():
        path.unlink()


def log_of(emperor: Emperor, name: str = "a.ini") -> Path:
    return emperor.logs / f"{name}.log"


def say(path: Path, text: str | bytes) -> None:
    with path.open("ab") as log:
        log.write(text if isinstance(text, bytes) else text.encode())


def numbered(first: int, last: int) -> str:
    return "".join(f"line {number}\n" for number in range(first, last + 1))


def told(emperor: Emperor, *words: str) -> str:
    done = emperor.ctl("logs", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# The last lines


@pytest.mark.parametrize(
    ("lines", "first"),
    [("0", 301), ("1", 300), ("5", 296), ("120", 181), ("250", 51), ("1000", 1)],
    ids=["none", "one", "of the log", "into the older part", "into the one before", "all"],
)
def test_the_last_lines_reach_into_older_parts(emptied: Emperor, lines: str, first: int) -> None:
    log = log_of(emptied)
    say(log.with_name("a.ini.log.2"), numbered(1, 100))
    say(log.with_name("a.ini.log.1"), numbered(101, 200))
    say(log, numbered(201, 300))
    assert told(emptied, "a.ini", "-n", lines) == numbered(first, 300)


def packed(path: Path, *texts: str) -> None:
    """A compressed part; several texts are several members, as after gzip --stdout >>."""
    path.write_bytes(b"".join(gzip.compress(text.encode()) for text in texts))


@pytest.mark.parametrize(
    ("lines", "first"),
    [("100", 201), ("250", 51), ("1000", 1)],
    ids=["not needed", "into it", "all"],
)
def test_older_parts_may_be_compressed(emptied: Emperor, lines: str, first: int) -> None:
    log = log_of(emptied)
    packed(log.with_name("a.ini.log.3.gz"), numbered(1, 20))
    packed(log.with_name("a.ini.log.2.gz"), numbered(21, 50), numbered(51, 100))
    say(log.with_name("a.ini.log.1"), numbered(101, 200))
    say(log, numbered(201, 300))
    assert told(emptied, "a.ini", "-n", lines) == numbered(first, 300)


def test_a_compressed_part_is_unpacked_in_blocks(emptied: Emperor) -> None:
    log = log_of(emptied)
    text = numbered(1, 300_000)
    packed(log.with_name("a.ini.log.1.gz"), text)
    assert told(emptied, "a.ini", "-n", "250000") == numbered(50_001, 300_000)


DAMAGED = {
    "no gzip": (b"plain text\n", "is no gzip file, or is damaged"),
    "cut off": (gzip.compress(os.urandom(3000))[:-900], "is cut off in the middle of its text"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_compressed_part_that_is_damaged_is_told(
    emptied: Emperor, content: bytes, reason: str
) -> None:
    log = log_of(emptied)
    older = log.with_name("a.ini.log.1.gz")
    older.write_bytes(content)
    say(log, "begin\nend\n")
    done = emptied.ctl("logs", "a.ini")
    assert (done.returncode, done.stdout) == (1, "begin\nend\n")
    assert f"a.ini: an older part of its log cannot be read: {older}: {reason}" in done.stderr
    assert told(emptied, "a.ini", "-n", "1") == "end\n"  # it is not needed


def test_a_compressed_part_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_logs, "_MOST", 1 << 20)
    packed(tmp_path / "a.gz", "x" * (2 << 20))
    with (tmp_path / "a.gz").open("rb") as file, pytest.raises(OSError, match="more than 1 MiB"):
        packed_logs.unpacked(file.fileno(), "a.gz")


def test_fifty_lines_unless_told(emptied: Emperor) -> None:
    say(log_of(emptied), numbered(1, 99) + "no end")
    assert told(emptied, "a.ini") == numbered(51, 99) + "no end"


def test_long_lines_are_whole(emptied: Emperor) -> None:
    long = "x" * 200_000 + "\n"
    say(log_of(emptied).with_name("a.ini.log.1"), f"short\n{long}")
    say(log_of(emptied), "end\n")
    assert told(emptied, "a.ini", "-n", "2") == long + "end\n"


def test_lines_of_several_are_named_and_the_last_written_comes_last(emptied: Emperor) -> None:
    say(log_of(emptied, "b.ini"), "of b\n")
    say(log_of(emptied, "a.ini"), "of a\nno end")
    os.utime(log_of(emptied, "b.ini"), (1, 1))
    assert told(emptied, "*") == "b.ini: of b\na.ini: of a\na.ini: no end\n"
    os.utime(log_of(emptied, "a.ini"), (0, 0))
    assert told(emptied, "a.ini", "b*") == "a.ini: of a\na.ini: no end\nb.ini: of b\n"


def test_since_leaves_out_what_was_not_written_since(emptied: Emperor) -> None:
    log = log_of(emptied)
    older = log.with_name("a.ini.log.1")
    say(older, "old\n")
    os.utime(older, (1, 1))
    say(log, "new\n")
    say(log_of(emptied, "b.ini"), "old\n")
    os.utime(log_of(emptied, "b.ini"), (1, 1))
    assert told(emptied, "*", "--since", "1h") == "a.ini: new\n"
    done = emptied.ctl("logs", "a.ini", "--since", "@3")
    assert done.returncode == 2
    assert "write a time for --since" in done.stderr


@pytest.mark.parametrize("raw", [False, True], ids=["escaped", "raw"])
def test_a_terminal_gets_hostile_bytes_escaped(emptied: Emperor, raw: bool) -> None:
    say(log_of(emptied), HOSTILE)
    words = ["logs", "a.ini", "--no-pager", *(["--raw"] if raw else [])]
    code, text = at_terminal([*emptied.ctl_argv, *words])
    assert code == 0
    assert ("\x1b" in text) == raw
    assert ("\\x1b[2J" in text) != raw


def test_a_pipe_gets_the_bytes(emptied: Emperor) -> None:
    say(log_of(emptied), HOSTILE)
    argv = [*emptied.ctl_argv, "logs", "a.ini"]
    done = subprocess.run(argv, capture_output=True, check=True, env=emptied.environ)
    assert done.stdout == HOSTILE


def test_names_are_coloured_on_a_terminal(emptied: Emperor) -> None:
    say(log_of(emptied, "a.ini"), "of a\n")
    say(log_of(emptied, "b.ini"), "of b\n")
    _, text = at_terminal([*emptied.ctl_argv, "logs", "*", "--no-pager"])
    found = dict(re.findall(r"\x1b\[(\d+)m([ab]\.ini) \| \x1b\[0m", text))
    assert sorted(found.values()) == ["a.ini", "b.ini"]


# Logs that cannot be read


def no_log(log: Path) -> None:
    log.unlink()


def a_link(log: Path) -> None:
    log.unlink()
    log.symlink_to("b.ini.log")


def a_folder(log: Path) -> None:
    log.unlink()
    log.mkdir()


@pytest.mark.parametrize(
    ("make", "reason"),
    [(no_log, "has no log yet at "), (a_link, "Too many levels"), (a_folder, "that is no file")],
)
def test_a_log_that_cannot_be_read(
    fleet: Emperor, make: Callable[[Path], None], reason: str
) -> None:
    log = log_of(fleet)
    say(log, "there\n")
    make(log)
    try:
        line = refused(fleet, "logs", "a.ini")
        assert line.startswith("a.ini: ")
        assert reason in line
        say(log_of(fleet, "b.ini"), "of b\n")
        done = fleet.ctl("logs", "*", "-n", "1")
        assert (done.returncode, done.stdout) == (1, "b.ini: of b\n")
    finally:
        if log.is_dir():
            log.rmdir()
        else:
            log.unlink(missing_ok=True)


def test_a_vassal_without_a_log_of_its_own(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--log", "inherit")
    emperor.put("a.ini", SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    assert "has no log of its own" in refused(emperor, "logs", "a.ini")
    assert refused(emperor, "logs", "b.ini").startswith("there is no vassal b.ini")
    emperor.stop()


def test_a_removed_vassal_has_left_its_log(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor()
    emperor.put("a.ini", SLEEPER)
    emperor.put("gone.ini", shell("echo farewell; exec sleep 1000"))
    emperor.start()
    emperor.up("a.ini", "gone.ini")
    emperor.until(lambda: "farewell" in emperor.vassal_log("gone.ini"), "it has said something")
    (emperor.vassals / "gone.ini").unlink()
    emperor.gone("gone.ini")
    removal = emperor.event("vassal_removed", "gone.ini")
    done = emperor.ctl("logs", "gone.ini")
    assert (done.returncode, done.stdout) == (0, "farewell\n")
    at = rfc3339(removal.at)[:19]
    told = f"was removed at {at}Z (event {removal.seq}); this is the log that it left"
    assert done.stderr == f"emperor-ctl: gone.ini: {told}\n"
    (object_,) = map(json.loads, emperor.ctl("logs", "gone.ini", "--json").stdout.splitlines())
    assert (object_["vassal"], object_["text"]) == ("gone.ini", "farewell")
    assert refused(emperor, "logs", "gone").startswith("there is no vassal gone")
    log_of(emperor, "gone.ini").unlink()
    assert refused(emperor, "logs", "gone.ini").startswith("there is no vassal gone.ini")
    emperor.stop()


# Following


def renamed(log: Path) -> None:
    say(log, "before\n")
    log.rename(f"{log}.1")
    say(log.with_name(log.name + ".1"), "after the name is gone\n")
    say(log, "in a new one\n")


def cut(log: Path) -> None:
    say(log, "before\n")
    log.with_name(log.name + ".1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    say(log, "in a new one\n")


def cut_and_grown(log: Path) -> None:
    cut(log)
    say(log, "x" * 500 + "\n")


@pytest.mark.parametrize("rotate", [renamed, cut, cut_and_grown])
def test_a_rotation_loses_nothing(emptied: Emperor, rotate: Callable[[Path], None]) -> None:
    log = log_of(emptied)
    say(log, numbered(1, 20))
    with Follower(emptied, "logs", "-f", "a.ini", "-n", "2") as follower:
        assert follower.until(b"line 20\n") == numbered(19, 20).encode()
        rotate(log)
        say(log, "end\n")
        seen = follower.until(b"end\n").decode()
        others = ["after the name is gone"] if rotate is renamed else []
        long = ["x" * 500] if rotate is cut_and_grown else []
        expected = ["line 19", "line 20", "before", *others, "in a new one", *long, "end"]
        assert seen.splitlines() == expected
        assert follower.interrupted() == (0, b"", b"")


def test_a_log_that_was_renamed_before(emptied: Emperor) -> None:
    log = log_of(emptied)
    say(log, "one\n")
    log.rename(f"{log}.1")
    assert told(emptied, "a.ini") == "one\n"
    with Follower(emptied, "logs", "-f", "a.ini") as follower:
        follower.until(b"one\n")
        say(log.with_name("a.ini.log.1"), "two\n")
        follower.until(b"two\n")
        say(log, "three\n")
        assert follower.until(b"three\n") == b"one\ntwo\nthree\n"


def test_the_daemon_cuts_a_log_and_dies(emptied: Emperor) -> None:
    """The daemon cuts a log at 20 KiB; then it is killed, and another one cuts it again."""
    log = log_of(emptied)
    with Follower(emptied, "logs", "-f", "a.ini", "-n", "9999") as follower:
        say(log, numbered(1, 3000))
        follower.until(b"line 3000\n")
        emptied.until(lambda: log.stat().st_size == 0, "the daemon cuts the log")
        say(log, numbered(3001, 3010))
        follower.until(b"line 3010\n")
        seq = emptied.last_seq()
        emptied.kill_daemon()
        say(log, numbered(3011, 3020))
        follower.until(b"line 3020\n")
        emptied.next_ready(seq)
        say(log, numbered(3021, 6000))
        emptied.until(lambda: log.stat().st_size == 0, "the next daemon cuts the log")
        say(log, numbered(6001, 6001))
        assert follower.until(b"line 6001\n").decode() == numbered(1, 6001)


def test_two_at_once_one_of_which_has_no_log_yet(emptied: Emperor) -> None:
    log_of(emptied, "b.ini").unlink()
    with Follower(emptied, "logs", "-f", "*") as follower:
        say(log_of(emptied), "of a\n")
        follower.until(b"a.ini: of a\n")
        say(log_of(emptied, "b.ini"), "of b\n")
        follower.until(b"b.ini: of b\n")
        say(log_of(emptied), "of a")
        follower.until(b"a.ini: of a\n")  # its end does not come
        assert follower.text == b"a.ini: of a\nb.ini: of b\na.ini: of a\n"


def test_a_vassal_that_is_started_again(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor()
    emperor.put("a.ini", shell("echo begins; exec sleep 1000"))
    emperor.start()
    emperor.up("a.ini")
    with Follower(emperor, "logs", "-f", "a.ini") as follower:
        follower.until(b"begins\n")
        assert emperor.ctl("restart", "a.ini").returncode == 0
        assert follower.until(b"begins\nbegins\n") == b"begins\nbegins\n"
    emperor.stop()


def test_a_closed_pipe_ends_it(emptied: Emperor) -> None:
    say(log_of(emptied), "one\n")
    with Follower(emptied, "logs", "-f", "a.ini") as follower:
        follower.until(b"one\n")
        assert follower.process.stdout is not None
        assert follower.process.stderr is not None
        follower.process.stdout.close()
        assert follower.process.wait(PATIENCE) == -signal.SIGPIPE
        assert follower.process.stderr.read() == b""


def test_the_interrupt_key_ends_it_at_a_terminal(emptied: Emperor) -> None:
    say(log_of(emptied), "one\n")
    with Terminal([*emptied.ctl_argv, "logs", "-f", "a.ini"]) as terminal:
        terminal.until("one")
        terminal.type("\x03")
        code, text = terminal.end()
    assert code == 0
    assert "Traceback" not in text
