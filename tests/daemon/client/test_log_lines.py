"""Lines of several logs in one output: each is whole, and named."""

import pytest
from emperord.daemon.client.log_lines import LogLines


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
