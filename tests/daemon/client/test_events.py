"""emperor-ctl events: the record of a running daemon, and what it writes next."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from support.asking import refused
from support.followers import Follower
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER

from ..conftest import QUICK, MakeEmperor

GROUP = 61_500
# All modules are imported first: another user may have no way to it.
AS_ANOTHER = """
import os, sys
import emperord.replay.live_events
from emperord.daemon.ctl import main
uid = int(sys.argv.pop(1))
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
main()
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    """A fleet with two vassals."""
    folder = tmp_path_factory.mktemp("events")
    with Emperor(folder, *QUICK) as emperor:
        for name in ("a.ini", "b.ini"):
            (emperor.vassals / name).write_text(SLEEPER)
        emperor.start()
        emperor.up("a.ini", "b.ini")
        yield emperor
        emperor.stop()


def seqs(text: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb'^\{"seq":(\d+),.*\}$', text, re.M)]


@pytest.mark.parametrize("word", ["events", "tail"])
def test_they_are_followed_across_the_death_of_a_daemon(fleet: Emperor, word: str) -> None:
    begin = fleet.last_seq()
    with Follower(fleet, word, "-f", "--json", "--after", str(begin - 2)) as follower:
        follower.until_true(lambda text: begin in seqs(text), "what was there before")
        fleet.restart()
        last = fleet.event("daemon_ready", after=begin).seq
        follower.until_true(lambda text: last in seqs(text), "the next daemon")
        code, rest, errors = follower.interrupted()
    assert (code, errors) == (0, b"")
    found = seqs(follower.text + rest)
    assert found == list(range(begin - 1, found[-1] + 1))


def test_they_are_followed_across_an_upgrade(fleet: Emperor) -> None:
    begin = fleet.last_seq()
    with Follower(fleet, "events", "-f", "--json", "-n", "1") as follower:
        follower.until_true(lambda text: seqs(text) == [begin], "the last event")
        assert fleet.ctl("upgrade").returncode == 0
        last = fleet.event("daemon_ready", after=begin).seq
        follower.until_true(lambda text: last in seqs(text), "the next daemon")
        found = seqs(follower.text)
        assert found == list(range(begin, found[-1] + 1))


def test_some_of_them(fleet: Emperor) -> None:
    def told(*words: str) -> list[dict[str, object]]:
        done = fleet.ctl("events", "--json", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert {each["vassal"] for each in told("a*")} == {"a.ini"}
    (one, two) = told("--kind", "spawned")
    assert {one["vassal"], two["vassal"]} == {"a.ini", "b.ini"}
    assert [each["seq"] for each in told("--after", "3", "-n", "2")] == [
        fleet.last_seq() - 1,
        fleet.last_seq(),
    ]
    assert [each["seq"] for each in told("--after", "2")][:2] == [3, 4]
    (source,) = {each["monitor"] for each in told("--monitor", "dir:vassals")}
    assert str(source).endswith("/vassals")
    assert told("--after", str(fleet.last_seq())) == []


def test_a_number_that_the_journal_does_not_reach(fleet: Emperor) -> None:
    last = fleet.last_seq()
    assert refused(fleet, "events", "--after", "1000000").endswith(
        f" ends with event {last}: --after 1000000 is of another one"
    )
    assert refused(fleet, "events", "nobody.ini").startswith("no vassal nobody.ini")
    assert fleet.ctl("events", "--after", "3", "--since", "1h").returncode == 2


def test_a_user_who_may_not_read_the_journal(make_emperor: MakeEmperor) -> None:
    need_root("be another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103
        path = f"{folder}/control"
        emperor = make_emperor("--control", path, "--control-group", str(GROUP))
        emperor.start()
        argv = [sys.executable, "-c", AS_ANOTHER, str(GROUP), "--control", path, "events"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "this user may not read the daemon's journal; ask as root" in done.stderr
        emperor.stop()
