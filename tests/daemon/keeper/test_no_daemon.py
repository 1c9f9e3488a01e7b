"""The answer to emperor-ctl while the keeper waits to start the next daemon."""

import json
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.kept import Emperor
from support.vassals import SLEEPER, shell
from support.waiting import PATIENCE

from ..conftest import MakeEmperor

AT_ONCE = 10.0  # seconds; a client that waits for a daemon gives up after 30


@pytest.fixture
def options(tmp_path: Path) -> Path:
    """A file of options for the daemon."""
    path = tmp_path / "options.yml"
    path.write_text("freq: 0.2\n")
    return path


@pytest.fixture
def emperor(make_emperor: MakeEmperor, options: Path) -> Emperor:
    """An emperor with a vassal, whose daemon is gone and cannot start again."""
    emperor = make_emperor("--config", str(options))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    options.write_text("frequency: 0.2\n")
    emperor.kill_daemon()
    return emperor


def retries(emperor: Emperor, since: int = 0) -> None:
    """Wait until the keeper puts the next start off for longer than a client waits.

    ``since`` is a size of the log.
    """
    emperor.until(
        lambda: re.search(r"starts again in ([2-9]|\d\d) s", emperor.log()[since:]),
        "the keeper waits",
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("status",), id="status"),
        pytest.param(("list", "--json"), id="list"),
        pytest.param(("stop", "a.ini"), id="a change"),
        pytest.param(("upgrade",), id="upgrade"),
    ],
)
def test_the_keeper_says_that_no_daemon_runs(emperor: Emperor, words: tuple[str, ...]) -> None:
    began = time.monotonic()
    answer = emperor.ctl(*words)
    assert time.monotonic() - began < AT_ONCE
    assert answer.returncode == 4
    assert answer.stdout == ""
    assert re.fullmatch(
        r"emperor-ctl: no daemon runs: the last one ended with code \d, and its log says why;"
        rf" vassals run on, and the keeper \(pid {emperor.pid}\) starts the next one in \d+ s;"
        rf" 'kill -USR2 {emperor.pid}' starts it now\n",
        answer.stderr,
    )


def test_a_client_that_has_sent_its_request_gets_an_answer_and_the_end(emperor: Emperor) -> None:
    retries(emperor)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(AT_ONCE)
        client.connect(str(emperor.control))
        with suppress(BrokenPipeError):  # the keeper waits for no request
            client.sendall(b'{"do": "status"}\n')
        with client.makefile("rb") as stream:
            answer, *others = stream.readlines()
    assert json.loads(answer)["no_daemon"] is True
    assert others == []


def test_a_daemon_that_can_start_again_answers_all_who_ask_then(
    emperor: Emperor, options: Path
) -> None:
    retries(emperor)
    seq = emperor.last_seq()
    options.write_text("freq: 0.2\n")
    emperor.next_ready(seq)
    assert emperor.ctl("status").returncode == 0, emperor.ctl("status").stdout
    assert emperor.ctl("stop", "a.ini").returncode == 0


def test_usr2_starts_the_next_daemon_now(emperor: Emperor, options: Path) -> None:
    """The pauses between tries grow, unless a signal has them begin anew."""
    at_once = "starts again in 0 s"
    retries(emperor)
    before = len(emperor.log())
    emperor.send(signal.SIGUSR2)
    emperor.until(lambda: at_once in emperor.log()[before:], "it tries at once")
    retries(emperor, before)
    seq = emperor.last_seq()
    options.write_text("freq: 0.2\n")
    emperor.send(signal.SIGUSR2)
    emperor.next_ready(seq)
    # Signals are taken in order. This one shows that none before it has told to be replaced.
    emperor.send(signal.SIGHUP)
    emperor.until(lambda: "SIGHUP" in emperor.log(), "it takes the next signal")
    assert "SIGUSR2: replacing" not in emperor.log()


def test_a_command_that_waits_goes_on_with_the_next_daemon(
    make_emperor: MakeEmperor, options: Path, tmp_path: Path
) -> None:
    """Its request is recorded, so the keeper's answer does not end it."""
    emperor = make_emperor("--config", str(options))
    script = f"trap 'touch {tmp_path}/asked' TERM; until [ -e {tmp_path}/end ]; do sleep 0.05; done"
    (emperor.vassals / "a.ini").write_text(shell(script))
    emperor.start()
    emperor.up("a.ini")
    with subprocess.Popen([*emperor.ctl_argv, "stop", "a.ini"], env=emperor.environ) as command:
        emperor.until((tmp_path / "asked").exists, "it is told to stop")
        options.write_text("frequency: 0.2\n")
        emperor.kill_daemon()
        retries(emperor)
        assert command.poll() is None
        options.write_text("freq: 0.2\n")
        (tmp_path / "end").touch()
        assert command.wait(2 * PATIENCE) == 0
