"""``emperor-ctl stop --keep-listening``: no client is refused while a vassal is stopped."""

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import clients, processes
from support.answering import clients_at, server, tcp
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import MakeEmperor

KEEP = ("stop", "--keep-listening")


def show(emperor: Emperor, name: str = "a.ini") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(emperor.ctl("show", "--json", name).stdout)
    return told


def held(emperor: Emperor, addresses: tuple[str, ...], folder: Path, answer: str = "one") -> None:
    """A vassal that has answered at these addresses is stopped, and listens on."""
    emperor.put("a.ini", server(folder, answer, *addresses))
    emperor.start()
    emperor.phase("a.ini", "ready")
    assert {clients.ask(each) for each in addresses} == {answer}
    told = emperor.ctl(*KEEP, "a.ini")
    assert told.returncode == 0, told.stderr


def test_no_request_is_lost(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Over a stop and a start, and while daemons are killed and replaced between them."""
    emperor = make_emperor()
    addresses = (tcp(), str(tmp_path / "a.sock"), f"@{tmp_path}")
    emperor.put("a.ini", server(tmp_path, "one", *addresses))
    emperor.start()
    emperor.phase("a.ini", "ready")
    with clients_at(*addresses) as told:
        emperor.until(lambda: told, "clients are served")
        assert emperor.ctl(*KEEP, "a.ini").returncode == 0
        record = show(emperor)
        assert (record["phase"], record["listens"]) == ("held", True)
        assert record["reason"] == "stopped by an operator; its addresses stay open"
        assert "held (listens)" in emperor.ctl("list").stdout
        assert json.loads(emperor.ctl("status", "--json").stdout)["listens"] == ["a.ini"]
        assert "listens" in emperor.ctl("why", "a.ini").stdout
        emperor.restart()
        seq = emperor.last_seq()
        assert emperor.ctl("upgrade").returncode == 0
        emperor.next_ready(seq)
        assert emperor.phase("a.ini", "held").listens
        count = len(told)
        emperor.put("a.ini", server(tmp_path, "two", *addresses))
        assert emperor.ctl("start", "a.ini").returncode == 0
        emperor.until(lambda: len(told) > count + 10, "clients are served again")
    assert set(told) == {"one", "two"}
    emperor.stop()
    assert not any(map(clients.listened_at, addresses))


def test_a_later_stop_closes_and_so_does_the_removal(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor(keeper=False)
    address = tcp()
    held(emperor, (address,), tmp_path)
    assert clients.listened_at(address)
    assert emperor.ctl("stop", "a.ini").returncode == 0
    emperor.until(lambda: not clients.listened_at(address), "it is closed")
    assert show(emperor)["listens"] is False
    assert emperor.ctl(*KEEP, "a.ini").returncode == 0
    assert clients.listened_at(address)
    (emperor.vassals / "a.ini").unlink()
    emperor.gone("a.ini")
    emperor.until(lambda: not clients.listened_at(address), "it is closed for good")
    emperor.stop()


def test_a_daemon_that_dies_between_the_order_and_the_end_of_the_process(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor()
    address = tcp()
    emperor.put("a.ini", server(tmp_path, "one", address))
    emperor.start()
    pid = emperor.phase("a.ini", "ready").pid or 0
    os.kill(pid, signal.SIGSTOP)  # it cannot obey
    assert emperor.ctl(*KEEP, "--no-wait", "a.ini").returncode == 0
    emperor.phase("a.ini", "stopping")
    with clients.dial(address) as waiting:
        emperor.kill_daemon()
        processes.kill(pid)
        emperor.phase("a.ini", "held")
        assert emperor.ctl("start", "a.ini").returncode == 0
        assert clients.finish(waiting) == "one"
    emperor.stop()


def test_keeper_and_daemon_are_killed_and_the_next_ones_listen_again(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """No process has the sockets then. The decision is in the journal."""
    emperor = make_emperor()
    addresses = (tcp(), str(tmp_path / "a.sock"))
    held(emperor, addresses, tmp_path)
    daemon = emperor.daemon_pid()
    os.kill(emperor.pid, signal.SIGSTOP)  # so that it starts no other
    processes.kill(daemon)
    emperor.kill()
    emperor.until(lambda: not clients.listened_at(addresses[0]), "it is closed")
    emperor.start()
    emperor.until(lambda: all(map(clients.listened_at, addresses)), "they are open again")
    with ExitStack() as stack:
        waiting = [stack.enter_context(clients.dial(each)) for each in addresses]
        assert emperor.ctl("start", "a.ini").returncode == 0
        assert {clients.finish(each) for each in waiting} == {"one"}
    emperor.stop()


def test_after_a_stop_of_the_emperor_the_next_one_listens_again(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor(keeper=False)
    address = tcp()
    held(emperor, (address,), tmp_path)
    emperor.stop()
    assert not clients.listened_at(address)
    emperor.start()
    emperor.until(lambda: clients.listened_at(address), "it is open again")
    assert emperor.phase("a.ini", "held").listens
    emperor.stop()


def test_an_address_on_demand_stays_open_and_a_client_starts_nothing(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor("--on-demand-extension", ".socket")
    address = str(tmp_path / "a.sock")
    (emperor.vassals / "a.ini.socket").write_text(f"{address}\n")
    emperor.put("a.ini", SLEEPER)
    emperor.start()
    emperor.until(lambda: clients.listened_at(address), "it is listened for")
    assert emperor.ctl(*KEEP, "a.ini").returncode == 0
    with clients.dial(address):
        emperor.restart()
        assert emperor.phase("a.ini", "held").listens
        assert emperor.events("connection_waiting") == []
        assert emperor.ctl("start", "--no-wait", "a.ini").returncode == 0
        emperor.event("connection_waiting", "a.ini")
        emperor.phase("a.ini", "ready")
    assert emperor.ctl(*KEEP, "a.ini").returncode == 0
    assert clients.listened_at(address)
    assert emperor.ctl("stop", "a.ini").returncode == 0
    emperor.until(lambda: not os.path.exists(address), "its file is gone")
    emperor.stop()


def test_one_that_was_never_started_listens_too(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """It is stopped before its turn. An address that another one has is told."""
    emperor = make_emperor("--max-starting", "1", keeper=False, speakers=True)
    address = tcp()
    emperor.put("busy.ini", f"[uwsgi]\nawait never\n[emperor]\nlisten = {address}\n")
    emperor.start()
    emperor.phase("busy.ini", "starting")
    emperor.put("a.ini", server(tmp_path, "one", address))
    emperor.phase("a.ini", "queued")
    told = emperor.ctl(*KEEP, "a.ini")
    reason = f"cannot listen at {address}: it is busy.ini's address"
    assert (told.returncode, told.stderr) == (1, f"emperor-ctl: a.ini is held: {reason}\n")
    assert show(emperor)["reason"] == f"stopped by an operator; {reason}"
    assert show(emperor)["listens"] is False
    assert "a.ini: not listening since" in emperor.ctl("status").stdout
    assert emperor.ctl("stop", "busy.ini").returncode == 0
    assert emperor.ctl(*KEEP, "a.ini").returncode == 0
    assert clients.listened_at(address)
    assert show(emperor)["listens"] is True
    emperor.stop()


def test_one_without_an_address_is_not_stopped(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor(keeper=False)
    emperor.put("a.ini", SLEEPER)
    emperor.start()
    emperor.phase("a.ini", "ready")
    told = emperor.ctl(*KEEP, "a.ini")
    assert told.returncode == 1
    assert "a.ini has no 'listen' and no address on demand" in told.stderr
    assert "1 left as it is: 1 ready" in emperor.ctl(*KEEP, "--all").stdout
    emperor.phase("a.ini", "ready")
    emperor.stop()


@pytest.mark.parametrize("change", ["", "listen"])
def test_a_change_of_its_config_opens_and_closes(
    make_emperor: MakeEmperor, tmp_path: Path, change: str
) -> None:
    emperor = make_emperor(keeper=False)
    before, after = tcp(), tcp()
    held(emperor, (before,), tmp_path)
    emperor.put("a.ini", server(tmp_path, "two", after) if change else SLEEPER)
    emperor.until(lambda: not clients.listened_at(before), "what it has no more is closed")
    if change:
        emperor.until(lambda: clients.listened_at(after), "what it has now is open")
    emperor.until(lambda: show(emperor)["listens"] is bool(change), "it is told")
    emperor.stop()
