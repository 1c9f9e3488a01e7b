"""Upgrades in place, a keeper that is killed, both killed, another boot of the machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import emperord
import pytest
from emperord.journal.store import Journal
from journal_builder import Builder
from support import processes
from support.estranged import verified
from support.kept import Emperor
from support.vassals import SLEEPER, Application, notes, shell
from support.waiting import until

from ..conftest import MakeDaemon, MakeEmperor


@pytest.fixture
def emperor(kept: Emperor) -> Emperor:
    """An emperor with a keeper: all of this is about both."""
    return kept


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def story(emperor: Emperor, name: str) -> str:
    argv = [sys.executable, "-m", "emperord.replay.main", "--journal", str(emperor.journal)]
    done = subprocess.run([*argv, "why", name], check=True, capture_output=True, text=True)
    return done.stdout


def has_gone(pid: int) -> bool:
    return not processes.alive(pid)


def served(emperor: Emperor, app: Application) -> int:
    """The pid that answers, of a vassal of real uWSGI."""
    answer = emperor.until(app.answers, "it serves")
    return answer.pid


@pytest.fixture
def app(emperor: Emperor, tmp_path: Path) -> Application:
    """An application under real uWSGI, and a plain program, up and running."""
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    emperor.phase("app.ini", "accepting")
    emperor.up("app.ini", "plain.ini")
    return app


# In place


@pytest.mark.few(1)
@pytest.mark.parametrize("how", ["USR2", "emperor-ctl"])
def test_an_upgrade_in_place(emperor: Emperor, app: Application, how: str) -> None:
    worker, vassals = served(emperor, app), emperor.running()
    for _ in range(2):
        seq, daemon = emperor.last_seq(), emperor.daemon_pid()
        if how == "USR2":
            emperor.send(signal.SIGUSR2)
        else:
            done = emperor.ctl("upgrade")
            assert (done.returncode, done.stderr) == (0, "")
        assert emperor.next_ready(seq) != daemon
        asked = emperor.event("operator_requested", after=seq, request="upgrade")
        assert asked.body.get("uid") == (None if how == "USR2" else os.getuid())
        assert "exited" not in emperor.kinds(after=seq)
        assert [e.body["control"] for e in emperor.events("adopted", after=seq)] == [True, True]
    assert emperor.process is not None
    assert emperor.process.poll() is None  # the keeper kept its pid
    assert served(emperor, app) == worker
    assert emperor.running() == vassals
    pid = emperor.pid_of("plain.ini")
    os.kill(pid, signal.SIGUSR1)
    assert emperor.event("exited", "plain.ini").body["signal"] == signal.SIGUSR1
    emperor.stop()
    verified(emperor)


def test_deaths_nobody_heard_of_and_a_stop_survive_the_keepers_own_exec(
    emperor: Emperor, tmp_path: Path
) -> None:
    """All three at once: a renewal, a vassal that dies with it, and TERM in that instant."""
    go = tmp_path / "go"
    (emperor.vassals / "a.ini").write_text(shell(f"until [ -e {go} ]; do sleep 0.02; done; exit 5"))
    emperor.start()
    pid = emperor.up("a.ini")["a.ini"]
    daemon, seq = emperor.daemon_pid(), emperor.last_seq()
    os.kill(daemon, signal.SIGUSR2)
    emperor.event("operator_requested", after=seq)
    os.kill(emperor.pid, signal.SIGSTOP)
    until(lambda: not processes.alive(daemon), "the daemon leaves")
    go.touch()
    until(lambda: not processes.alive(pid), "the vassal ends")
    emperor.send(signal.SIGTERM)
    emperor.send(signal.SIGCONT)
    assert emperor.wait() == 0, emperor.account()
    assert emperor.event("exited", "a.ini").body["code"] == 5
    assert emperor.running() == []
    assert emperor.events()[-1].kind == "daemon_stopped"


class Broken:
    """A version that is half installed, found before the one that runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "broken"
        self._package = self.path / "emperord"

    def install(self, part: str = "") -> None:
        """``part`` is the one module that is broken; all are unless told."""
        self._package.mkdir(parents=True)
        lines = (
            f"import sys\n__path__ = [{str(Path(emperord.__file__).parent)!r}]",
            f"if {part!r} in ' '.join(sys.orig_argv):",
            "    raise ImportError('half of it is missing')",
        )
        (self._package / "__init__.py").write_text("\n".join(lines))

    def mend(self) -> None:
        shutil.rmtree(self._package)


@pytest.fixture
def broken(emperor: Emperor) -> Broken:
    """A vassal runs, and a version could be broken."""
    broken = Broken(emperor.folder)
    emperor.environ["PYTHONPATH"] = str(broken.path)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return broken


@pytest.mark.few(1)
@pytest.mark.parametrize("part", ["", "daemon.keeper", "daemon.main"])
def test_a_version_that_does_not_start_is_refused(
    emperor: Emperor, broken: Broken, part: str
) -> None:
    seq = emperor.last_seq()
    broken.install(part)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(emperor.control))
        client.sendall(b'{"do": "upgrade"}\n')
        answer = json.loads(client.recv(65536))
    assert not answer["ok"]
    assert "half of it is missing" in answer["error"]
    refused = emperor.event("request_refused", after=seq)
    assert refused.body["request"] == "upgrade"
    seq = emperor.last_seq()
    emperor.send(signal.SIGUSR2)
    refusal = "SIGUSR2: not replaced: the installed version"
    emperor.until(lambda: refusal in emperor.log(), "it says so")
    assert emperor.last_seq() == seq
    emperor.stop()


def test_a_keeper_does_not_execute_what_does_not_start(emperor: Emperor, broken: Broken) -> None:
    """Broken after the daemon has tried it: vassals run on, and all is well once it is mended."""
    vassals, daemon = emperor.running(), emperor.daemon_pid()
    emperor.send(signal.SIGSTOP)
    os.kill(daemon, signal.SIGUSR2)
    until(partial(has_gone, daemon), "the daemon leaves")
    broken.install()
    emperor.send(signal.SIGCONT)
    emperor.until(lambda: "the old one goes on" in emperor.log(), "the keeper says so")
    assert emperor.running() == vassals
    seq = emperor.last_seq()
    broken.mend()
    emperor.next_ready(seq)
    assert emperor.running() == vassals
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 0


def ask(emperor: Emperor, do: str, times: int) -> None:
    """Make a request so many times over one connection."""
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
        client.connect(str(emperor.control))
        for _ in range(times):
            client.sendall(json.dumps({"do": do}).encode() + b"\n")
            assert json.loads(answers.readline())["ok"]


@pytest.mark.parametrize("how", ["USR2", "emperor-ctl"])
def test_a_keeper_that_takes_nothing_has_the_upgrade_refused(emperor: Emperor, how: str) -> None:
    """The next daemon would not get the sockets of vassals that were started since."""
    emperor.start()
    daemon = emperor.daemon_pid()
    emperor.send(signal.SIGSTOP)
    ask(emperor, "reopen", 500)  # each tells the keeper something
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.up("a.ini")
    if how == "USR2":
        os.kill(daemon, signal.SIGUSR2)
        refused = "SIGUSR2: not replaced: the keeper takes no packets"
        emperor.until(lambda: refused in emperor.log(), "it is refused")
    else:
        done = emperor.ctl("upgrade")
        assert done.returncode == 1
        assert "the keeper takes no packets" in done.stderr
        emperor.event("request_refused", request="upgrade")
    assert emperor.daemons() == [daemon]
    emperor.send(signal.SIGCONT)
    seq = emperor.last_seq()
    assert emperor.ctl("upgrade").returncode == 0
    assert emperor.event("adopted", "a.ini", after=seq).body["control"] is True
    emperor.stop()


# Without its keeper


def lose_keeper(emperor: Emperor) -> int:
    """Kill the keeper; the daemon that is left."""
    daemon, said = emperor.daemon_pid(), emperor.log().count("the keeper died")
    seq = emperor.last_seq()
    emperor.kill()
    emperor.until(lambda: emperor.log().count("the keeper died") > said, "the daemon says so")
    emperor.event("keeper_lost", after=seq)
    return daemon


def test_a_daemon_goes_on_without_its_keeper(emperor: Emperor, app: Application) -> None:
    worker = served(emperor, app)
    daemon = lose_keeper(emperor)
    assert processes.alive(daemon)
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert "keeper:          no\n" in status.stdout
    assert "\n  keeper died since " in status.stdout
    refused = emperor.ctl("upgrade")
    assert refused.returncode == 1
    assert "no keeper" in refused.stderr
    (emperor.vassals / "new.ini").write_text(SLEEPER)
    emperor.up("new.ini")
    os.kill(emperor.pid_of("new.ini"), signal.SIGKILL)
    emperor.event("spawned", "new.ini", count=2)
    assert served(emperor, app) == worker
    os.kill(daemon, signal.SIGTERM)
    until(lambda: not processes.alive(daemon), "it stops")
    assert emperor.running() == []


def test_a_successor_takes_over(emperor: Emperor, app: Application) -> None:
    worker = served(emperor, app)
    emperor.event("vassal_loyal", "app.ini")
    pids = emperor.up("app.ini", "plain.ini")
    vassals = emperor.running()
    for _ in range(2):  # and over again
        old, seq = lose_keeper(emperor), emperor.last_seq()
        emperor.launch()
        new = emperor.next_ready(seq)
        assert new != old
        until(partial(has_gone, old), "the old one leaves")
        assert emperor.running() == vassals
        kinds = emperor.kinds(after=seq)
        assert kinds[:2] == ["operator_requested", "daemon_started"]
        assert not {"exited", "spawned", "daemon_stopping"} & set(kinds)
        assert [e.body["control"] for e in emperor.events("adopted", after=seq)] == [True, True]
        assert parent(new) == emperor.pid
    assert served(emperor, app) == worker
    # Its keeper holds all of them now.
    emperor.restart()
    assert emperor.running() == vassals
    assert {name: emperor.pid_of(name) for name in pids} == pids
    seq = emperor.last_seq()
    os.utime(emperor.vassals / "app.ini", ns=(0, 1))
    emperor.event("vassal_accepting", "app.ini", after=seq)
    assert emperor.ctl("list").returncode == 0
    emperor.stop()
    verified(emperor)


def test_a_daemon_that_never_had_a_keeper_gets_one(
    make_daemon: MakeDaemon, emperor: Emperor
) -> None:
    bare = make_daemon()
    (bare.vassals / "a.ini").write_text(SLEEPER)
    bare.start()
    pid = bare.event("spawned", "a.ini").body["pid"]
    seq = bare.last_seq()
    emperor.launch()
    emperor.event("adopted", "a.ini", after=seq, control=True, pid=pid)
    assert bare.wait() == 0
    emperor.next_ready(seq)
    assert processes.alive(pid)
    emperor.stop()
    assert not processes.alive(pid)


def test_a_daemon_with_a_healthy_keeper_is_never_taken_over(
    emperor: Emperor, make_emperor: MakeEmperor
) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    seq = emperor.last_seq()
    successor = subprocess.run(
        emperor.argv, env=emperor.environ, capture_output=True, text=True, check=False
    )
    assert successor.returncode == 3
    (line,) = successor.stderr.splitlines()
    assert line.startswith("emperor: ")
    assert f"in use by a running emperor (pid {emperor.daemon_pid()})" in line
    assert emperor.last_seq() == seq
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("silent", [False, True], ids=["it goes", "it says nothing"])
def test_a_successor_that_does_not_go_through_with_it(emperor: Emperor, silent: bool) -> None:
    """Nothing has happened then: the daemon goes on, and the next successor is welcome."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    old = lose_keeper(emperor)
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(emperor.control))
        half.sendall(b'{"do": "take_over"}\n')
        _, (channel,), _, _ = socket.recv_fds(half, 65536, 1)
        if silent:
            half.close()
        else:
            os.close(channel)
        (emperor.vassals / "b.ini").write_text(SLEEPER)
        emperor.event("spawned", "b.ini")
        assert processes.alive(old)
        if silent:
            os.close(channel)
    seq = emperor.last_seq()
    emperor.launch()
    emperor.next_ready(seq)
    assert emperor.pid_of("a.ini") == pids["a.ini"]
    emperor.stop()


def test_a_successor_that_cannot_hold_it_all_takes_nothing(emperor: Emperor) -> None:
    """The daemon would be gone, and the next one could not even look at its vassals."""
    names = [f"{number}.ini" for number in range(20)]
    for name in names:
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.start()
    pids = emperor.up(*names)
    old, seq = lose_keeper(emperor), emperor.last_seq()
    successor = subprocess.run(
        ["prlimit", "--nofile=48:48", *emperor.argv],
        timeout=30,
        env=emperor.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert successor.returncode == 3
    assert "more than 48 open files" in successor.stderr
    assert emperor.daemon_pid() == old
    emperor.launch()
    emperor.next_ready(seq)
    assert {name: emperor.pid_of(name) for name in names} == pids
    emperor.restart()
    assert {name: emperor.pid_of(name) for name in names} == pids
    emperor.stop()


def test_a_keeper_that_is_killed_while_its_daemon_is_stopped_reloads_nobody(
    emperor: Emperor,
) -> None:
    """The kernel sends HUP and CONT to orphaned process groups with stopped members."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    daemon, seq = emperor.daemon_pid(), emperor.last_seq()
    os.kill(daemon, signal.SIGSTOP)
    emperor.kill()
    os.kill(daemon, signal.SIGCONT)
    emperor.until(lambda: "the keeper died" in emperor.log(), "it notices")
    emperor.launch()
    emperor.next_ready(seq)
    assert [e.body["request"] for e in emperor.events("operator_requested")] == ["upgrade"]
    assert emperor.pid_of("a.ini") == pids["a.ini"]
    emperor.stop()


# Both


def test_both_killed_programs_are_adopted(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "1", speakers=True)
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    (emperor.vassals / "deaf.ini").write_text("deaf\nsay 1 5 17\n")
    emperor.start()
    emperor.phase("deaf.ini", "accepting")
    pids = emperor.up("plain.ini", "deaf.ini")
    daemon = emperor.daemon_pid()
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    emperor.kill()
    until(lambda: not processes.alive(daemon), "both are gone")
    seq = emperor.last_seq()
    emperor.launch()
    emperor.next_ready(seq)
    found = {e.vassal: e.body for e in emperor.events("adopted", after=seq)}
    assert {name: body["pid"] for name, body in found.items()} == pids
    assert not any(body.get("control") for body in found.values())
    assert "lost with a former daemon" in story(emperor, "deaf.ini")
    # Now signals have to do; a deaf one is killed in the end.
    (emperor.vassals / "plain.ini").unlink()
    (emperor.vassals / "deaf.ini").unlink()
    emperor.gone("plain.ini")
    emperor.gone("deaf.ini")
    assert notes(emperor.vassals, "deaf.ini", "heard") == []
    emperor.stop()


def test_another_boot_of_the_machine(emperor: Emperor) -> None:
    """No process that has those pids now is adopted. All wanted vassals start, held ones do not."""
    for name in ("a.ini", "b.ini", "held.ini"):
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini", "b.ini", "held.ini")
    assert emperor.ctl("stop", "held.ini").returncode == 0
    emperor.phase("held.ini", "held")
    daemon = emperor.daemon_pid()
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    emperor.kill()
    until(lambda: not processes.alive(daemon), "both are gone")
    with Journal.open(str(emperor.journal)) as journal:
        builder = Builder(journal)
        builder.event(
            "daemon_started",
            version="0.1.0",
            boot="another boot",
            pid=1,
            policy=builder.fleet.policy,
            monitors=builder.fleet.monitors,
        )
    seq = emperor.last_seq()
    emperor.launch()
    emperor.next_ready(seq)
    emperor.event("spawned", "a.ini", after=seq)
    emperor.event("spawned", "b.ini", after=seq)
    assert "adopted" not in emperor.kinds(after=seq)
    assert emperor.kinds("held.ini", after=seq) == []
    assert emperor.phase("held.ini", "held")
    for name in ("a.ini", "b.ini"):
        assert processes.alive(pids[name])  # a stranger's, for all it knows
        processes.kill(pids[name])
    emperor.stop()
    verified(emperor)
