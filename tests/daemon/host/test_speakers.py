"""The emperor protocol from both ends: vassals that do as they are told."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.vassals import notes

from ..conftest import MakeDaemon

HEALTHY = "say 1 5 17\n"


def write(daemon: Daemon, orders: str, *names: str) -> None:
    for name in names or ("a.ini",):
        (daemon.vassals / name).write_text(orders)


def heard(daemon: Daemon, name: str) -> list[str]:
    return notes(daemon.vassals, name, "heard")


@pytest.mark.parametrize(
    ("options", "byte"),
    [
        pytest.param((), "0", id="at once"),
        pytest.param(("--graceful-shutdown",), "2", id="graceful"),
    ],
)
def test_the_bytes_that_it_gets(
    make_daemon: MakeDaemon, options: tuple[str, ...], byte: str
) -> None:
    daemon = make_daemon(*options, speakers=True)
    write(daemon, HEALTHY)
    daemon.start()
    daemon.phase("a.ini", "accepting")
    os.utime(daemon.vassals / "a.ini", ns=(0, 1))
    daemon.event("vassal_accepting", "a.ini", count=2)
    (daemon.vassals / "a.ini").unlink()
    assert daemon.event("exited", "a.ini").body["code"] == 0
    assert heard(daemon, "a.ini") == ["1", byte]
    daemon.stop()


def test_its_words_in_order(make_daemon: MakeDaemon) -> None:
    """The first word never overtakes the record of the spawn."""
    daemon = make_daemon(speakers=True)
    names = [f"{number:02}.ini" for number in range(20)]
    write(daemon, HEALTHY + "beat 2 0\n", *names)
    daemon.options += ["--max-starting", "20"]
    daemon.start()
    for name in names:
        daemon.event("heartbeat_started", name)
        assert daemon.kinds(name) == [
            "vassal_added",
            "spawned",
            "vassal_ready",
            "vassal_accepting",
            "vassal_loyal",
            "heartbeat_started",
        ]
    daemon.stop()


def test_last_words_are_heard(make_daemon: MakeDaemon) -> None:
    """A vassal that says that it is loyal and dies is loyal."""
    daemon = make_daemon("--throttle", "1", speakers=True)
    write(daemon, HEALTHY + "exit 3\n")
    daemon.start()
    death = daemon.event("exited", "a.ini")
    assert [action["do"] for action in death.actions] == ["spawn"]
    daemon.stop()


def test_a_closed_socket_is_no_death(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text('#!/bin/bash\neval "exec $UWSGI_EMPEROR_FD>&-"\nexec sleep 1000\n')
    silent.chmod(0o755)
    daemon = make_daemon("--uwsgi", str(silent), "--mercy", "5")
    write(daemon, "")
    daemon.start()
    pid = daemon.event("spawned", "a.ini").body["pid"]
    daemon.until(lambda: processes.argv_of(pid)[:1] == ["sleep"], "it has closed its end")
    (daemon.vassals / "a.ini").unlink()  # by a signal, then
    assert daemon.event("exited", "a.ini").body["signal"] == signal.SIGQUIT
    daemon.stop()


# Heartbeats


def test_a_lost_heartbeat(make_daemon: MakeDaemon) -> None:
    # A deaf vassal reads no order to reload or to stop, so its mercy is short.
    daemon = make_daemon("--required-heartbeat", "0.5", "--mercy", "1", speakers=True)
    write(daemon, HEALTHY + "deaf\nbeat 3 0.05\n")
    daemon.start()
    lost = daemon.event("heartbeat_lost", "a.ini")
    assert [action["do"] for action in lost.actions] == ["kill"]
    death = daemon.event("exited", "a.ini")
    assert death.body["signal"] == signal.SIGKILL
    assert [action["do"] for action in death.actions] == ["spawn"]
    daemon.event("heartbeat_started", "a.ini", count=2)
    (daemon.vassals / "a.ini").write_text(HEALTHY)
    daemon.event("vassal_changed", "a.ini")
    daemon.until(lambda: not daemon.fleet().vassals["a.ini"].heartbeat, "another one runs")
    daemon.stop()


def test_heartbeats_keep_it_alive_and_cost_no_events(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--required-heartbeat", "0.5", speakers=True)
    write(daemon, HEALTHY + "beat 110 0.02\nsay 22\n")
    daemon.start()
    resigned = daemon.event("vassal_resigned", "a.ini")
    began = daemon.event("heartbeat_started", "a.ini")
    assert resigned.at - began.at > 1_900_000_000
    assert daemon.kinds("a.ini").count("heartbeat_started") == 1
    assert "heartbeat_lost" not in daemon.kinds("a.ini")
    daemon.stop()


def test_who_never_sent_one_need_not(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--required-heartbeat", "0.1", speakers=True)
    write(daemon, HEALTHY, "a.ini")
    write(daemon, HEALTHY + "beat 1 0\n", "b.ini")
    daemon.start()
    daemon.event("heartbeat_lost", "b.ini", count=2)
    assert "heartbeat_lost" not in daemon.kinds("a.ini")
    (daemon.vassals / "b.ini").unlink()
    daemon.gone("b.ini")
    daemon.stop()


def test_many_lost_heartbeats_are_seen_at_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--required-heartbeat", "0.3", "--max-starting", "20", speakers=True)
    names = [f"{number}.ini" for number in range(9)]
    write(daemon, HEALTHY + "beat 1 0\nsay 17\n", *names)
    daemon.start()
    lost = [daemon.event("heartbeat_lost", name) for name in names]
    last = max(daemon.event("heartbeat_started", name).at for name in names)
    assert max(event.at for event in lost) - last < 3_000_000_000
    daemon.stop()


def test_the_silence_of_one_that_stops_is_no_news(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--required-heartbeat", "0.3", "--mercy", "1000", speakers=True)
    write(daemon, HEALTHY + "deaf\nbeat 12 0.05\n", "a.ini")
    write(daemon, HEALTHY, "b.ini")
    daemon.start()
    daemon.event("heartbeat_started", "a.ini")
    (daemon.vassals / "a.ini").unlink()
    daemon.event("vassal_removed", "a.ini")
    for name in ("b.ini", "c.ini"):  # another must not suffer for it
        write(daemon, HEALTHY + "beat 1 0\n", name)
        daemon.event("heartbeat_lost", name)
        daemon.event("heartbeat_lost", name, count=2)
    assert "heartbeat_lost" not in daemon.kinds("a.ini")
    for name in ("b.ini", "c.ini"):
        (daemon.vassals / name).unlink()
    assert daemon.insist() == 0
    assert daemon.running() == []


# Resigning


def test_who_resigns_is_restarted_without_penalty(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1", speakers=True)
    write(daemon, "say 1 5 22\n")
    daemon.start()
    for count in (1, 2, 3):
        resigned = daemon.event("vassal_resigned", "a.ini", count=count)
        assert [action["do"] for action in resigned.actions] == ["stop"]
        gone = daemon.event("exited", "a.ini", count=count)
        assert [action["do"] for action in gone.actions] == ["spawn"]
    vassal = daemon.vassal("a.ini")
    assert vassal is not None
    assert vassal.deaths == 0
    daemon.stop()


# How many at once


def most_starting(daemon: Daemon) -> int:
    """The most vassals between an order to start or reload and their next 'accepting'."""
    busy: set[str] = set()
    most = 0
    for event in daemon.events():
        if event.kind in ("vassal_accepting", "exited") and event.vassal:
            busy.discard(event.vassal)
        busy |= {a["vassal"] for a in event.actions if a["do"] in ("spawn", "reload")}
        most = max(most, len(busy))
    return most


def test_never_more_than_so_many_start_at_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--max-starting", "3", speakers=True)
    names = [f"{number:02}.ini" for number in range(20)]
    write(daemon, "await go\nsay 1 5\n", *names)
    daemon.start()
    daemon.event("spawned", count=3)
    phases = [vassal.phase for vassal in daemon.fleet().vassals.values()]
    assert (phases.count("starting"), phases.count("queued")) == (3, 17)
    assert len({daemon.pid_of(e.vassal or "") for e in daemon.events("spawned")}) == 3
    (daemon.vassals / "go").touch()
    for name in names:
        daemon.phase(name, "accepting")
    assert most_starting(daemon) == 3
    assert daemon.kinds().count("spawned") == 20
    daemon.stop()


def test_hup_reloads_all_so_many_at_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--max-starting", "3", speakers=True)
    names = [f"{number}.ini" for number in range(10)]
    go = daemon.vassals / "go"
    go.touch()
    write(daemon, "await go\nsay 1 5 17\n", *names)
    daemon.start()
    for name in names:
        daemon.event("vassal_loyal", name)
    pids = {name: daemon.pid_of(name) for name in names}
    go.unlink()
    daemon.send(signal.SIGHUP)
    daemon.until(lambda: sum(len(heard(daemon, name)) for name in names) == 3, "three reload")
    go.touch()
    for name in names:
        daemon.event("vassal_accepting", name, count=2)
        daemon.phase(name, "accepting")
    assert [heard(daemon, name) for name in names] == [["1"]] * 10
    assert most_starting(daemon) == 3
    assert {name: daemon.pid_of(name) for name in names} == pids
    daemon.stop()


def test_one_that_hangs_does_not_hold_its_place_for_ever(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(
        "--max-starting", "1", "--start-patience", "0.3", "--mercy", "0.3", speakers=True
    )
    write(daemon, "await never\n", "a.ini")
    write(daemon, HEALTHY, "b.ini")
    daemon.start()
    daemon.phase("b.ini", "accepting")
    assert daemon.phase("a.ini", "starting").reason == "slow to start"
    write(daemon, HEALTHY, "a.ini")  # it hangs and reads no order to stop: mercy ends it
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_changes_while_it_starts_are_not_lost(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(speakers=True)
    write(daemon, "await go\nsay 1 5\n")
    daemon.start()
    daemon.event("spawned", "a.ini")
    loaded = partial(notes, daemon.vassals, "a.ini", "loaded")
    daemon.until(loaded, "it has read its config")
    for number in range(3):
        write(daemon, f"; {number}\nsay 5\n")
        daemon.event("vassal_changed", "a.ini", count=number + 1)
    assert heard(daemon, "a.ini") == []
    (daemon.vassals / "go").touch()
    daemon.until(lambda: loaded()[-1] == "; 2", "it has read the last one")
    daemon.phase("a.ini", "accepting")
    assert heard(daemon, "a.ini") == ["1"]
    daemon.stop()


def test_a_word_of_what_is_to_be_reloaded_is_not_taken_for_the_new(make_daemon: MakeDaemon) -> None:
    """A first worker that is replaced says again that it accepts, before the reload was sent."""
    daemon = make_daemon(speakers=True)
    write(daemon, "say 1\nawait one\nsay 5\nawait two\nsay 5\n")
    daemon.start()
    daemon.event("vassal_ready", "a.ini")
    write(daemon, "say 5\n")
    daemon.event("vassal_changed", "a.ini")
    (daemon.vassals / "one").touch()
    daemon.phase("a.ini", "reloading")
    (daemon.vassals / "two").touch()
    daemon.event("vassal_accepting", "a.ini", count=2)
    assert heard(daemon, "a.ini") == ["1"]
    daemon.stop()


def test_a_change_while_it_stops_is_not_lost(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--mercy", "1", speakers=True)
    write(daemon, "; old\ndeaf\nsay 1 5\n")
    daemon.start()
    daemon.phase("a.ini", "accepting")
    (daemon.vassals / "a.ini").unlink()
    daemon.phase("a.ini", "stopping")
    write(daemon, "; new\nsay 1 5\n")
    daemon.event("vassal_added", "a.ini", count=2)
    daemon.event("spawned", "a.ini", count=2)
    daemon.phase("a.ini", "accepting")
    assert notes(daemon.vassals, "a.ini", "loaded") == ["; old", "; new"]
    assert len(daemon.running()) == 1
    daemon.stop()


def test_a_stop_while_it_is_spawned(make_daemon: MakeDaemon) -> None:
    """Files that come and go as fast as they can leave no process behind."""
    daemon = make_daemon(speakers=True)
    daemon.start()
    for _ in range(30):
        write(daemon, "say 1 5\n")
        daemon.until(lambda: "a.ini" in daemon.fleet().vassals, "it is seen")
        (daemon.vassals / "a.ini").unlink()
        daemon.gone("a.ini")
    assert daemon.running() == []
    daemon.stop()


# Descendants that stay behind


def test_its_whole_tree_goes_with_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(speakers=True)
    write(daemon, "child\nchild\n" + HEALTHY)
    daemon.start()
    daemon.phase("a.ini", "accepting")
    tree = daemon.running_for("a.ini")
    assert len(tree) == 3
    processes.kill(daemon.pid_of("a.ini"))
    daemon.event("exited", "a.ini")
    assert not set(tree) & set(daemon.running())
    daemon.event("vassal_accepting", "a.ini", count=2)
    assert len(daemon.running_for("a.ini")) == 3
    daemon.stop()
