"""Runs of each mode in which a vassal lives, ends and is started again."""

import os
import signal
from pathlib import Path

from of_files import QUICK, put, text
from support import clients
from support.kept import Emperor
from support.on_demand import BESIDE, App
from support.vassals import SLEEPER, Application, program, shell, speaker_path


def crash_loop(folder: Path) -> None:
    """A program dies three times, its waits double, and an edit mends it."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", shell("echo no module named shop; exit 1"))
        emperor.start()
        emperor.event("exited", "shop.ini", count=3)
        put(emperor.vassals, "shop.ini", text(2))
        emperor.phase("shop.ini", "ready")
        emperor.stop()


def exiled(folder: Path) -> None:
    """An instance ends with code 26, which bars it until its config changes."""
    with Emperor(folder, *QUICK, "--uwsgi", speaker_path(folder)) as emperor:
        put(emperor.vassals, "app.ini", "; release 1\nsay 1\nexit 26\n")
        emperor.start()
        emperor.phase("app.ini", "barred")
        put(emperor.vassals, "app.ini", "; release 2\nsay 1 5 17\n")
        emperor.event("vassal_loyal", "app.ini")
        emperor.stop()


def ends_well(folder: Path) -> None:
    """Workers end with success codes: one is done, one is started again, one has failed."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "once.ini", shell("exit 0", restart="no"))
        put(
            emperor.vassals,
            "loop.ini",
            shell("sleep 0.3; exit 3", success_exit_codes="3", restart="always"),
        )
        put(emperor.vassals, "bad.ini", shell("exit 1", restart="on-failure"))
        emperor.start()
        emperor.event("exited", "once.ini")
        emperor.event("exited", "loop.ini", count=3)
        emperor.event("exited", "bad.ini", count=2)
        emperor.stop()


def reloads(folder: Path) -> None:
    """A change in each way of reloading: by signal, which one dies of, by restart, not at all."""
    ways = {"auto.ini": "auto", "signal.ini": "signal", "restart.ini": "restart", "no.ini": "none"}
    listens = "trap : HUP; while :; do sleep 0.05; done"

    def config(way: str, release: int) -> str:
        script = "exec sleep 1000" if way == "auto" else listens
        return shell(f": release {release}; {script}", reload=way)

    with Emperor(folder, *QUICK) as emperor:
        for name, way in ways.items():
            put(emperor.vassals, name, config(way, 1))
        emperor.start()
        emperor.up(*ways)
        for release in (2, 3):
            after = emperor.last_seq()
            for name, way in ways.items():
                put(emperor.vassals, name, config(way, release))
                emperor.event("vassal_changed", name, after=after)
            emperor.event("spawned", "auto.ini", after=after)
            emperor.event("spawned", "restart.ini", after=after)
        emperor.stop()


def heartbeat_lost(folder: Path) -> None:
    """An instance stops sending heartbeats, is killed and started again."""
    options = (*QUICK, "--required-heartbeat", "0.5", "--uwsgi", speaker_path(folder))
    with Emperor(folder, *options) as emperor:
        put(emperor.vassals, "app.ini", "; release 1\nsay 1 5 17 26\n")
        emperor.start()
        emperor.event("heartbeat_lost", "app.ini")
        emperor.event("vassal_loyal", "app.ini", count=2)
        put(emperor.vassals, "app.ini", "; release 2\nsay 1 5 17\n")
        emperor.event("vassal_accepting", "app.ini", after=emperor.event("vassal_changed").seq)
        emperor.kill()


def resigned(folder: Path) -> None:
    """An instance resigns (byte 22) and is started again."""
    with Emperor(folder, *QUICK, "--uwsgi", speaker_path(folder)) as emperor:
        path = folder / "go"
        put(emperor.vassals, "app.ini", f"say 1 5 17\nawait {path}\nsay 22\n")
        emperor.start()
        emperor.event("vassal_loyal", "app.ini")
        path.touch()
        emperor.event("spawned", "app.ini", count=2)
        emperor.kill()


def mercy(folder: Path) -> None:
    """An instance takes no stop: its mercy runs out, and it is killed."""
    options = (*QUICK, "--mercy", "0.5", "--uwsgi", speaker_path(folder))
    with Emperor(folder, *options) as emperor:
        put(emperor.vassals, "deaf.ini", "say 1 5 17\ndeaf\n")
        emperor.start()
        emperor.event("vassal_loyal", "deaf.ini")
        emperor.ctl("stop", "deaf.ini")
        emperor.phase("deaf.ini", "held")
        emperor.stop()


def slots(folder: Path) -> None:
    """Two slots for six instances, one of which never says that it is up."""
    options = (*QUICK, "--max-starting", "2", "--start-patience", "1")
    with Emperor(folder, *options, "--uwsgi", speaker_path(folder)) as emperor:
        put(emperor.vassals, "a-slow.ini", "; says nothing\n")
        names = [f"b{number}.ini" for number in range(5)]
        for name in names:
            put(emperor.vassals, name, "; release 1\nsay 1 5 17\n")
        emperor.start()
        for name in names:
            emperor.event("vassal_loyal", name)
        emperor.event("deadline_passed", "a-slow.ini")
        after = emperor.last_seq()
        for name in names:
            put(emperor.vassals, name, "; release 2\nsay 1 5 17\n")
        for name in names:
            emperor.event("vassal_accepting", name, after=after)
        emperor.kill()


def not_executable(folder: Path) -> None:
    """A command that is not there bars its vassal, until there is one."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "app.ini", program("/no/such/program"))
        emperor.start()
        emperor.event("spawn_failed", "app.ini")
        put(emperor.vassals, "app.ini", SLEEPER)
        emperor.up("app.ini")
        emperor.stop()


def operator(folder: Path) -> None:
    """An operator stops, starts, reloads, restarts, retries; some requests are refused."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "app.ini", text(1))
        put(emperor.vassals, "bad.ini", shell("exit 1"))
        emperor.start()
        emperor.up("app.ini")
        emperor.event("exited", "bad.ini")
        emperor.ctl("retry", "bad.ini", "--no-wait")
        emperor.ctl("stop", "app.ini")
        put(emperor.vassals, "app.ini", text(2))
        emperor.event("vassal_changed", "app.ini")
        emperor.ctl("retry", "app.ini")
        emperor.ctl("start", "app.ini")
        emperor.ctl("reload", "app.ini")
        emperor.ctl("restart", "app.ini")
        emperor.ctl("stop", "none.ini")
        emperor.ctl("stop", "--all")
        emperor.stop()


def forgiven(folder: Path) -> None:
    """The deaths of a program are forgotten after it has run quietly."""
    script = 'n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; [ "$n" -ge 2 ] || exit 1'
    with Emperor(folder, *QUICK, "--forgive", "0.5") as emperor:
        put(emperor.vassals, "app.ini", shell(f"{script}; exec sleep 1000"))
        emperor.start()
        emperor.event("exited", "app.ini", count=2)
        emperor.event("spawned", "app.ini", count=3)
        emperor.until(lambda: (v := emperor.vassal("app.ini")) and not v.deaths, "forgiven")
        emperor.stop()


def over_budget(folder: Path) -> None:
    """A program ends in a loop and spends its budget of records."""
    options = ("--freq", "0.2", "--throttle", "1ms", "--max-throttle", "20ms")
    with Emperor(folder, *options, "--record-budget", "64K") as emperor:
        put(emperor.vassals, "loop.ini", shell("echo no module named loop; exit 1"))
        emperor.start()
        emperor.event("exited", "loop.ini", over_budget=True, patience=60)
        emperor.stop()


def on_demand(folder: Path) -> None:
    """uWSGI is started by its first client, resigns when idle, and is started again."""
    with Emperor(folder, *QUICK, *BESIDE) as emperor:
        app = App(emperor)
        app.start(says="one", idle="1", die_on_idle="1")
        assert app.says() == "one"
        emperor.event("exited", app.name)
        app.wait()
        assert app.says() == "one"
        (emperor.vassals / app.name).unlink()
        emperor.gone(app.name)
        emperor.stop()


def address_taken(folder: Path) -> None:
    """Two vassals ask for one address: the second begins when the first lets it go."""
    with Emperor(folder, *QUICK, *BESIDE) as emperor:
        first, second = App(emperor, "first"), App(emperor, "second")
        first.start()
        second.address = first.address
        second.listen()
        second.write()
        emperor.event("listen_failed", second.name)
        first.listen(str(folder / "elsewhere.sock"))
        emperor.until(lambda: clients.listened_at(str(folder / "elsewhere.sock")), "it moved")
        second.wait()
        emperor.stop()


def uwsgi(folder: Path) -> None:
    """Real uWSGI: it accepts, reloads in place, is killed by a stranger, and comes back."""
    app = Application(folder)
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "app.ini", app.config("one"))
        emperor.start()
        emperor.until(app.answers, "it serves")
        emperor.event("vassal_loyal", "app.ini")
        put(emperor.vassals, "app.ini", app.config("two"))
        emperor.event("vassal_accepting", "app.ini", count=2)
        os.kill(emperor.pid_of("app.ini"), signal.SIGKILL)
        emperor.event("vassal_accepting", "app.ini", count=3)
        emperor.stop()


RUNS = (
    crash_loop, exiled, ends_well, reloads, heartbeat_lost, resigned, mercy, slots, not_executable,
    operator, forgiven, over_budget, on_demand, address_taken, uwsgi,
)  # fmt: skip
