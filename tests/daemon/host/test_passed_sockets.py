"""A socket unit: sockets that a service manager passes are given to vassals that ask for them."""

import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import clients, processes
from support.activated import Manager, listening, manager
from support.answering import clients_at, server, tcp
from support.descriptors import descriptors
from support.ports import free_port
from support.tyrant import ALICE, TyrantDaemon
from support.vassals import SLEEPER

from ..conftest import MakeEmperor

MakeTyrant = Callable[..., TyrantDaemon]
UNASKED = "no vassal listens at"


def numbers(pid: int) -> set[str]:
    """The sockets that a process has."""
    return {target for _, target in descriptors(pid) if target.startswith("socket:")}


def has(pid: int, given: socket.socket) -> bool:
    """Whether a process has this socket, or a copy."""
    return f"socket:[{os.fstat(given.fileno()).st_ino}]" in numbers(pid)


def test_no_request_is_lost_over_a_stop_and_a_start_of_the_whole_emperor(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """And over deaths and an upgrade of its parts. Sockets and files are the manager's."""
    emperor = make_emperor()
    addresses = (tcp(), f"[::1]:{free_port()}", str(tmp_path / "a.sock"), f"@{tmp_path}")
    with manager(*addresses) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", *addresses, listen_mode="600"))
        mode = os.stat(addresses[2]).st_mode
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid or 0
        given = [each for each in passes.sockets if each is not None]
        # It gives them other numbers first, and a look may miss one on its way.
        emperor.until(lambda: all(has(pid, each) for each in given), "it has all of them")
        with clients_at(*addresses) as told:
            emperor.until(lambda: told, "clients are served")
            emperor.restart()
            seq = emperor.last_seq()
            assert emperor.ctl("upgrade").returncode == 0
            emperor.next_ready(seq)
            assert emperor.ctl("restart", "a.ini").returncode == 0
            assert emperor.ctl("stop", "a.ini").returncode == 0
            emperor.stop()
            assert all(map(clients.listened_at, addresses))
            emperor.start()
            assert emperor.ctl("start", "a.ini").returncode == 0
            count = len(told)
            emperor.until(lambda: len(told) > count + 10, "clients are served again")
        assert set(told) == {"one"}
        assert os.stat(addresses[2]).st_mode == mode
        (emperor.vassals / "a.ini").unlink()
        emperor.gone("a.ini")
        emperor.stop()
        assert all(map(clients.listened_at, addresses))
        assert stat.S_ISSOCK(os.stat(addresses[2]).st_mode)


def test_systemd_itself_passes_one(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """As its own tool does it. The first client starts the emperor."""
    emperor = make_emperor()
    address = tcp()
    emperor.before = [
        "systemd-socket-activate", "-l", address, "--fdname=web",
        *(f"--setenv={key}={value}" for key, value in emperor.environ.items()),
        "--setenv=PYTHONWARNINGS=error",
    ]  # fmt: skip
    emperor.put("a.ini", server(tmp_path, "one", address))
    emperor.launch()
    emperor.until(lambda: clients.listened_at(address), "systemd listens")
    assert clients.ask(address) == "one"
    environment = processes.environment_of(emperor.daemon_pid())
    assert not any(name.startswith("LISTEN_") for name in environment)
    emperor.stop()


def test_one_that_no_vassal_asks_for_is_told_once(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor()
    address, other = tcp(), tcp()
    with manager(address, other) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", other))
        emperor.start()
        emperor.phase("a.ini", "ready")
        text = f"{UNASKED} {address} (name-0), which the service manager has passed"
        emperor.until(lambda: text in emperor.log(), "it is told")
        emperor.restart()
        emperor.put("b.ini", server(tmp_path, "one", address))
        emperor.phase("b.ini", "ready")
        assert clients.ask(address) == "one"
        assert emperor.log().count(UNASKED) == 1
        emperor.stop()
        assert clients.listened_at(address)


def test_all_addresses_of_both_families(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """`ListenStream=8000` is [::]:8000. A vassal may call it :8000."""
    emperor = make_emperor()
    port = free_port()
    with manager(f"[::]:{port}") as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", f":{port}"))
        emperor.start()
        emperor.phase("a.ini", "ready")
        assert clients.ask(f"127.0.0.1:{port}") == clients.ask(f"[::1]:{port}") == "one"
        emperor.put("b.ini", server(tmp_path, "two", f"127.0.0.1:{port}"))
        reason = emperor.phase("b.ini", "throttled").reason or ""
        assert "it is a.ini's address" in reason
        (emperor.vassals / "a.ini").unlink()
        more = f"the service manager has passed [::]:{port} (name-0): name that address"
        emperor.until(lambda: more in emperor.log(), "the reason tells what to do")
        emperor.stop()


def test_two_vassals_ask_for_one(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """The second is refused as with any other address, also by another name of it."""
    emperor = make_emperor()
    port = free_port()
    with manager(f"127.0.0.1:{port}") as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", f"127.0.0.1:{port}"))
        emperor.start()
        emperor.phase("a.ini", "ready")
        emperor.put("b.ini", server(tmp_path, "two", f"localhost:{port}"))
        reason = emperor.phase("b.ini", "throttled").reason or ""
        assert reason == (
            f"cannot listen at localhost:{port}: it is a.ini's address (127.0.0.1:{port})"
        )
        assert clients.ask(f"127.0.0.1:{port}") == "one"
        emperor.stop()


def test_an_address_on_demand(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor("--on-demand-extension", ".socket")
    address = str(tmp_path / "a.sock")
    with manager(address) as passes:
        passes.starts(emperor)
        (emperor.vassals / "a.ini.socket").write_text(f"{address}\n")
        emperor.put("a.ini", SLEEPER)
        emperor.start()
        emperor.phase("a.ini", "listening")
        with clients.dial(address):
            pid = emperor.phase("a.ini", "ready").pid or 0
            assert passes.sockets[0] is not None
            assert has(pid, passes.sockets[0])
        emperor.stop()
        assert clients.listened_at(address)


def test_a_program_that_is_ready_when_it_accepts(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """The daemon connects to the manager's file, which is not its own."""
    emperor = make_emperor()
    address = str(tmp_path / "a.sock")
    with manager(address) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", address, ready="listen"))
        emperor.start()
        emperor.phase("a.ini", "accepting")
        emperor.stop()


def test_keeper_and_daemon_are_killed(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """The next keeper gets the socket from the manager, and the next daemon knows it again."""
    emperor = make_emperor()
    address = str(tmp_path / "a.sock")
    with manager(address) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", address))
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        daemon = emperor.daemon_pid()
        os.kill(emperor.pid, signal.SIGSTOP)  # so that it starts no other
        processes.kill(daemon)
        emperor.kill()
        emperor.start()
        assert emperor.phase("a.ini", "ready").pid == pid
        (emperor.vassals / "a.ini").unlink()
        emperor.gone("a.ini")
        emperor.stop()
        assert clients.listened_at(address)


def test_the_keeper_alone_is_killed(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Its daemon runs on with the socket, and the next emperor takes over from it."""
    emperor = make_emperor()
    address = tcp()
    with manager(address) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", address))
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid
        emperor.kill()
        seq = emperor.last_seq()
        emperor.launch()
        emperor.next_ready(seq)
        assert emperor.phase("a.ini", "ready").pid == pid
        assert emperor.ctl("restart", "a.ini").returncode == 0
        assert clients.ask(address) == "one"
        emperor.stop()
        assert clients.listened_at(address)


def datagram(_: Path) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def silent(_: Path) -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


def sequenced(folder: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.bind(str(folder / "s.sock"))
    made.listen()
    return made


UNFIT = {
    "datagrams": (datagram, "it is no stream (ListenStream=), and vassals get no others"),
    "packets": (sequenced, "it is no stream (ListenStream=), and vassals get no others"),
    "no listener": (silent, "it does not listen (Accept=no is needed)"),
}


@pytest.mark.parametrize(("make", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_no_vassal_can_have_is_told_and_left(
    make_emperor: MakeEmperor, tmp_path: Path, make: Callable[[Path], socket.socket], reason: str
) -> None:
    emperor = make_emperor()
    with make(tmp_path) as unfit, listening(address := tcp()) as good:
        Manager([unfit, good], ["bad one", "good"]).starts(emperor)
        emperor.put("a.ini", server(tmp_path, "one", address))
        emperor.start()
        emperor.phase("a.ini", "ready")
        assert f"socket bad one of the service manager is left alone: {reason}" in emperor.log()
        assert has(emperor.pid, unfit)
        assert clients.ask(address) == "one"
        emperor.stop()


HOSTILE = {
    "too many": ({"COUNT": "99999"}, "descriptors of LISTEN_FDS=99999 that are not open: 99998"),
    "no number": ({"COUNT": "-1"}, "LISTEN_FDS is no number of sockets: '-1'"),
    "a long number": ({"COUNT": "9" * 5000}, "LISTEN_FDS is no number of sockets: '9999"),
    "of another process": ({"OF": "1"}, None),
}


@pytest.mark.parametrize(("variables", "complaint"), HOSTILE.values(), ids=HOSTILE)
def test_variables_that_are_wrong(
    make_emperor: MakeEmperor, tmp_path: Path, variables: dict[str, str], complaint: str | None
) -> None:
    emperor = make_emperor(environ=variables)
    address = tcp()
    with manager(address) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", SLEEPER)
        emperor.put("b.ini", server(tmp_path, "one", address))
        emperor.start()
        pid = emperor.phase("a.ini", "ready").pid or 0
        if complaint is not None:
            assert complaint in emperor.log()
        for each in (emperor.daemon_pid(), pid):
            environment = processes.environment_of(each)
            assert not any(name.startswith("LISTEN_") for name in environment)
        if variables.get("COUNT") == "99999":
            emperor.phase("b.ini", "ready")
        else:
            assert "Address already in use" in (emperor.phase("b.ini", "throttled").reason or "")
        emperor.stop()


def test_closed_descriptors_and_files(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor()
    with listening(address := tcp()) as good, (tmp_path / "x").open("w") as file, ExitStack():
        Manager([None, good, file], ["a", "b", "c"]).starts(emperor)  # type: ignore[list-item]
        emperor.put("a.ini", server(tmp_path, "one", address))
        emperor.start()
        emperor.phase("a.ini", "ready")
        assert "descriptors of LISTEN_FDS=3 that are not open: 1" in emperor.log()
        assert "descriptors of LISTEN_FDS that are no sockets: 1; they are left" in emperor.log()
        assert clients.ask(address) == "one"
        emperor.stop()


def test_one_that_its_vassal_has_shut_down(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """It is one socket, so only the manager can make it anew."""
    emperor = make_emperor()
    address = tcp()
    with manager(address) as passes:
        passes.starts(emperor)
        emperor.put("a.ini", SLEEPER + f"listen = {address}\n")
        emperor.start()
        emperor.phase("a.ini", "ready")
        assert passes.sockets[0] is not None
        passes.sockets[0].shutdown(socket.SHUT_RDWR)
        emperor.ctl("restart", "a.ini")
        reason = f"a process has shut {address} down; restart its socket unit"
        emperor.until(lambda: reason in emperor.log(), "it is told")
        emperor.stop()


def test_a_tenant_has_no_file_of_another_user(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    path = tyrant.folder / "a.sock"
    with manager(str(path)) as passes:
        passes.starts(tyrant)
        tyrant.module = "emperord.daemon.keeper"
        tyrant.put("a.ini", f"{SLEEPER}listen = {path}\n")
        tyrant.start()
        reason = tyrant.phase("a.ini", "barred").reason or ""
        assert reason.endswith(f"is the service manager's; its unit needs SocketUser={ALICE}")
        os.chown(path, ALICE, -1)
        tyrant.put("a.ini", f"{SLEEPER}listen = {path}\n# again\n")
        tyrant.phase("a.ini", "ready")
        tyrant.stop()
