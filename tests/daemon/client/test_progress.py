"""The progress bar: it comes after a second, also where the daemon answers later than that."""

import re
import subprocess
import sys

import pytest
from support.terminals import Terminal

SCRIPT = """
import sys
from emperord.daemon.client.progress import Bar
with Bar("restart:", after=0.01) as bar:
    for line in map(str.strip, sys.stdin):
        word, _, number = line.partition(" ")
        if word == "expect":
            bar.expect(int(number))
        elif word == "done":
            bar.advance()
        elif word == "say":
            bar.line(number)
        else:
            break
print("end")
"""
ARGV = [sys.executable, "-c", SCRIPT]
WAITS = r"restart: .*0/\?"


def test_a_total_that_comes_late_makes_the_bar() -> None:
    with Terminal(ARGV) as terminal:
        terminal.until(WAITS)
        terminal.type("expect 12\n")
        terminal.until(r"restart: .* 0/12\x1b")
        terminal.type("done\n")
        terminal.until(r"restart: .* 1/12\x1b")
        terminal.type("say a.ini: now ready\n")
        terminal.until(r"a\.ini: now ready")
        terminal.until(r"restart: .* 1/12\x1b")
        terminal.type("quit\n")
        terminal.until("end")


def test_a_few_vassals_have_no_bar() -> None:
    with Terminal(ARGV) as terminal:
        terminal.until(WAITS)
        terminal.type("expect 2\n")
        terminal.type("say a.ini: now ready\n")
        terminal.until(r"a\.ini: now ready")
        terminal.type("quit\n")
        terminal.until("end")
        assert not re.search("restart: .*2", terminal.text)


@pytest.mark.parametrize("total", [2, 2000])
def test_a_pipe_has_lines_alone(total: int) -> None:
    given = f"expect {total}\nsay a.ini: now ready\ndone\n"
    done = subprocess.run(ARGV, input=given, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("a.ini: now ready\nend\n", "")


def test_a_killed_command_leaves_the_cursor() -> None:
    with Terminal(ARGV) as terminal:
        before = ""
        while not re.search(WAITS, before):
            before += terminal.until(r"[^\x1b]*\x1b")[0]
        terminal.process.kill()
        _, after = terminal.end()
    assert "\x1b[?25l" not in before + after
