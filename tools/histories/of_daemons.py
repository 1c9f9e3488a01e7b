"""Runs in which the daemon itself ends, is replaced or is given other options."""

import os
import signal
from pathlib import Path

from of_files import QUICK, put, text
from support import processes
from support.daemon import Daemon
from support.kept import Emperor
from support.root import need_root
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, common_ground
from support.vassals import SLEEPER, speaker_path
from support.waiting import until


def killed_daemon(folder: Path) -> None:
    """The daemon is killed twice; the next one adopts the processes, and finds a change."""
    with Emperor(folder, *QUICK, "--uwsgi", speaker_path(folder)) as emperor:
        put(emperor.vassals, "app.ini", "; release 1\nsay 1 5 17\n")
        put(emperor.vassals, "plain.ini", text(1))
        emperor.start()
        emperor.event("vassal_loyal", "app.ini")
        emperor.up("plain.ini")
        emperor.restart()
        put(emperor.vassals, "plain.ini", text(2))
        emperor.event("spawned", "plain.ini", count=2)
        emperor.restart()
        emperor.stop()


def died_meanwhile(folder: Path) -> None:
    """Without a keeper: the daemon is killed, and a vassal dies while no daemon is there."""
    with Daemon(folder, *QUICK) as daemon:
        put(daemon.vassals, "dies.ini", text(1))
        put(daemon.vassals, "lives.ini", text(1))
        daemon.start()
        daemon.event("spawned", "dies.ini")
        daemon.event("spawned", "lives.ini")
        pid = daemon.pid_of("dies.ini")
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not processes.alive(pid), "it is gone")
        after = daemon.last_seq()
        daemon.start()
        daemon.event("spawned", "dies.ini", after=after)
        daemon.stop()


def upgrade(folder: Path) -> None:
    """An operator has the daemon replaced in place; vassals run on."""
    with Emperor(folder, *QUICK, "--uwsgi", speaker_path(folder)) as emperor:
        put(emperor.vassals, "app.ini", "; release 1\nsay 1 5 17\n")
        emperor.start()
        emperor.event("vassal_loyal", "app.ini")
        after = emperor.last_seq()
        emperor.ctl("upgrade")
        emperor.next_ready(after)
        emperor.stop()


def keeper_lost(folder: Path) -> None:
    """The keeper dies, and the daemon goes on without one until it is told to stop."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "app.ini", text(1))
        emperor.start()
        emperor.up("app.ini")
        daemon = emperor.daemon_pid()
        emperor.kill()
        emperor.event("keeper_lost")
        os.kill(daemon, signal.SIGTERM)
        until(lambda: not processes.alive(daemon), "the daemon is gone")


def signals(folder: Path) -> None:
    """SIGHUP reloads all vassals, and SIGURG ends a throttle."""
    options = ("--freq", "0.2", "--throttle", "60000", "--uwsgi", speaker_path(folder))
    with Emperor(folder, *options) as emperor:
        put(emperor.vassals, "app.ini", "; release 1\nsay 1 5 17\n")
        put(emperor.vassals, "bad.ini", "say 1\nexit 1\n")
        emperor.start()
        emperor.event("vassal_loyal", "app.ini")
        emperor.phase("bad.ini", "throttled")
        os.kill(emperor.daemon_pid(), signal.SIGHUP)
        emperor.event("vassal_accepting", "app.ini", count=2)
        os.kill(emperor.daemon_pid(), signal.SIGURG)
        emperor.event("exited", "bad.ini", count=2)
        emperor.stop()


def other_policy(folder: Path) -> None:
    """The next daemon has another policy and lacks a source, whose vassals end."""
    second = folder / "second"
    second.mkdir()
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "app.ini", text(1))
        put(second, "old.ini", text(1))
        emperor.monitors.append(second)
        emperor.start()
        emperor.up("app.ini", "old.ini")
        emperor.kill_daemon(signal.SIGTERM)
        emperor.wait()
        emperor.monitors.pop()
        emperor.options[:] = ["--freq", "0.2", "--throttle", "5000", "--max-starting", "1"]
        after = emperor.last_seq()
        emperor.start()
        emperor.event("spawned", "app.ini", after=after)
        emperor.stop()


def tyrant(folder: Path) -> None:
    """Tyrant mode: two users' vassals, one of root's that is barred, and a change of owner."""
    need_root("run vassals as other users")
    with common_ground() as ground, TyrantDaemon(ground, *QUICK, "--tyrant") as daemon:
        daemon.put("alice.ini")
        daemon.put("bob.ini", uid=BOB, gid=BOBS)
        daemon.put("root.ini", uid=0, gid=0)
        daemon.start()
        daemon.event("spawned", "alice.ini")
        daemon.event("spawned", "bob.ini")
        daemon.phase("root.ini", "barred")
        daemon.put("bob.ini", SLEEPER, ALICE, ALICES)
        daemon.event("spawned", "bob.ini", count=2)
        daemon.stop()
        (folder / "state").mkdir()
        daemon.journal.replace(folder / "state" / "journal.db")


RUNS = (killed_daemon, died_meanwhile, upgrade, keeper_lost, signals, other_policy, tyrant)
