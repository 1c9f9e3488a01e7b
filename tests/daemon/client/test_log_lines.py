"""Lines of several logs in one output: each is whole, and named."""

import json
from pathlib import Path

import pytest
from emperord.daemon.client.log_files import LogPart
from emperord.daemon.client.log_json import JsonLines
from emperord.daemon.client.log_lines import LogLines
from emperord.daemon.client.log_tail import Tail


def test_a_line_is_held_until_its_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    out = LogLines(["a", "b"], raw=False)
    out.add("a", b"one\npar")
    out.add("b", b"of b\n")
    out.flush()
    assert capfdbinary.readouterr().out == b"a: one\nb: of b\n"
    out.add("a", b"ti")
    out.add("a", b"al\n")
    out.flush()
    assert capfdbinary.readouterr().out == b"a: partial\n"
    out.add("a", b"no end")
    out.flush(every=True)
    assert capfdbinary.readouterr().out == b"a: no end\n"


def test_a_line_without_an_end_does_not_fill_the_memory(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    out = LogLines(["a"], raw=False)
    out.add("a", b"x" * (1 << 20))
    out.add("a", b"y")
    out.flush()
    assert capfdbinary.readouterr().out == b"x" * (1 << 20) + b"y"


def test_names_in_a_pipe_are_whole_and_harmless(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    long = "long" * 50
    out = LogLines([long, "a\x1b\n"], raw=False)
    out.add(long, b"\xff\x1b\n")
    out.add("a\x1b\n", b"one\n\ntwo\n")
    out.flush()
    evil = b"a\\x1b\\n: "
    assert capfdbinary.readouterr().out.splitlines() == [
        long.encode() + b": \xff\x1b",
        evil + b"one",
        evil,
        evil + b"two",
    ]


FILES: dict[str, tuple[list[tuple[int, bytes]], bytes]] = {
    "the last words of a dead process": ([(0, b"dying"), (1, b"first\n")], b"dying\nfirst\n"),
    "several files without an end": (
        [(0, b"one"), (1, b"two"), (2, b"three\n")],
        b"one\ntwo\nthree\n",
    ),
    "the rest follows in the same file": ([(0, b"par"), (0, b"tial\n")], b"partial\n"),
    "both files are written": (
        [(0, b"old\n"), (1, b"new\n"), (0, b"older\n")],
        b"old\nnew\nolder\n",
    ),
    "the next file has no end either": ([(0, b"dying\n"), (1, b"fir")], b"dying\nfir"),
}


@pytest.mark.parametrize(("blocks", "told"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("flushed", [False, True], ids=["at once", "after a second"])
def test_a_line_ends_with_its_file(
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    blocks: list[tuple[int, bytes]],
    told: bytes,
    flushed: bool,
) -> None:
    monkeypatch.setattr("emperord.daemon.client.log_lines._PATIENCE", 0.0 if flushed else 60.0)
    out = LogLines(["a"], raw=False)
    for file, block in blocks:
        out.add("a", block, file)
        out.flush()
    out.flush(every=True)
    assert capfdbinary.readouterr().out == told


@pytest.mark.parametrize("several", [False, True], ids=["JSON", "named"])
def test_lines_that_are_named_end_with_their_file(
    capfdbinary: pytest.CaptureFixture[bytes], several: bool
) -> None:
    out = LogLines(["a", "b"], raw=False) if several else JsonLines(["a"])
    out.add("a", b"dying", 0)
    out.add("a", b"first\n", 1)
    out.add("a", b"again", 1)
    out.flush(every=True)
    out.add("a", b"last\n", 2)
    out.flush()
    lines = capfdbinary.readouterr().out.decode().splitlines()
    words = [line.removeprefix("a: ") if several else json.loads(line)["text"] for line in lines]
    assert words == ["dying", "first", "again", "last"]


def test_a_file_that_takes_the_name_of_a_log_has_another_number(tmp_path: Path) -> None:
    """A cut is no other file: a line may reach over it."""
    log = tmp_path / "a.log"
    log.write_bytes(b"read\nno end")
    tail = Tail(str(log), LogPart.open(str(log)), 5)
    assert list(tail.news()) == [(0, b"no end")]
    log.write_bytes(b"cut")
    assert list(tail.news()) == [(0, b"cut")]
    log.rename(tmp_path / "a.log.1")
    log.write_bytes(b"next\n")
    assert list(tail.news()) == [(1, b"next\n")]
