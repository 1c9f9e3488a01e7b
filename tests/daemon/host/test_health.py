"""``health`` of vassals under a real daemon: answers that stop and come back, and hanging ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.host import readiness
from emperord.journal.policy import Policy
from emperord.monitors import health
from support.daemon import Daemon
from support.tyrant import TyrantDaemon
from support.vassals import Application, shell

from ..conftest import MakeDaemon, MakeEmperor

MakeTyrant = Callable[..., TyrantDaemon]
QUICK = {"health_interval": "1s", "health_timeout": "500ms", "health_failures": "2"}


def sleeper(check: str, **settings: str) -> str:
    """The config of a program that does nothing, with this check."""
    return shell("exec sleep 1000", health=check, **QUICK, **settings)


def test_a_program_whose_checks_fail_is_restarted(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--throttle", "100")
    well = tmp_path / "well"
    well.touch()
    config = daemon.vassals / "a.ini"
    config.write_text(sleeper("exec:test -e well", directory=str(tmp_path)))
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    well.unlink()
    lost = daemon.event("health_lost", "a.ini")
    assert lost.body["failures"] == 2
    ended = daemon.event("exited", "a.ini")
    assert ended.body["signal"] == 15  # it was stopped, not killed
    assert daemon.event("spawned", "a.ini", count=2).body["pid"] != pid
    daemon.stop()


def test_one_that_is_only_recorded_runs_on_over_a_daemons_death(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor()
    check = {"directory": str(tmp_path), "health_action": "record"}
    (emperor.vassals / "a.ini").write_text(sleeper("exec:test -e well", **check))
    emperor.start()
    emperor.event("health_lost", "a.ini")
    vassal = emperor.phase("a.ini", "ready")
    assert vassal.reason == "unhealthy: 2 checks in a row have failed"
    assert "unhealthy" in emperor.ctl("status").stdout
    emperor.restart()
    (tmp_path / "well").touch()
    emperor.event("health_regained", "a.ini")
    after = emperor.phase("a.ini", "ready")
    assert (after.pid, after.sick) == (vassal.pid, None)
    assert len(emperor.events("health_lost", "a.ini")) == 1
    emperor.stop()


def test_uwsgi_is_not_checked_before_it_accepts(daemon: Daemon) -> None:
    """Its application takes longer to load than the checks would take to fail."""
    code = "import time\ntime.sleep(4)\n"
    app = Application(daemon.vassals)
    app.module.write_text(code + app.module.read_text())
    settings = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in QUICK.items())
    check = f"[emperor]\nhealth = http://127.0.0.1:{app.port}/\n{settings}"
    (daemon.vassals / "a.ini").write_text(app.config("one") + check)
    daemon.start()
    daemon.phase("a.ini", "accepting")
    assert "health_lost" not in daemon.kinds("a.ini")
    daemon.stop()


def test_a_reload_with_a_shorter_interval_counts_at_once(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(daemon.vassals)

    def put(interval: str) -> None:
        settings = f"health-interval = {interval}\nhealth-failures = 1\nhealth-action = record\n"
        check = f"[emperor]\nhealth = exec:false\n{settings}"
        (daemon.vassals / "a.ini").write_text(app.config("one") + check)

    put("1h")
    daemon.start()
    daemon.phase("a.ini", "accepting")
    # When another one is checked, the first has its time.
    (daemon.vassals / "b.ini").write_text(sleeper(f"exec:touch {tmp_path}/looked"))
    daemon.until((tmp_path / "looked").exists, "the other one is checked")
    put("1s")
    daemon.event("health_lost", "a.ini")
    assert daemon.kinds("a.ini").count("spawned") == 1
    daemon.stop()


def test_checks_that_hang_are_their_users_alone(make_tyrant: MakeTyrant, tmp_path: Path) -> None:
    """More of one user than may run at once; another user's health is seen in time."""
    tyrant = make_tyrant()
    hanging = sleeper("exec:sleep 1000", health_action="record")
    for number in range(20):
        tyrant.put(f"a{number}.ini", hanging)
    tyrant.put("b.ini", sleeper("exec:false", health_action="record"), 61_002, 62_002)
    tyrant.start()
    lost = tyrant.event("health_lost", "b.ini")
    spawned = tyrant.event("spawned", "b.ini")
    assert lost.at - spawned.at < 15 * 10**9
    tyrant.stop()


PLANS = {
    "defaults": ({}, (10.0, 2.0, 3)),
    "all": (
        {"health-interval": "1m", "health-timeout": "500ms", "health-failures": "1"},
        (60.0, 0.5, 1),
    ),
}


@pytest.mark.parametrize(("settings", "plan"), PLANS.values(), ids=PLANS)
def test_plans(settings: dict[str, str], plan: tuple[float, float, int]) -> None:
    found = health.plan({"health": "tcp://127.0.0.1:80", **settings})
    assert found is not None
    assert found[1:] == plan
    assert health.plan(settings) is None


def test_a_check_ends_after_its_time() -> None:
    """A server that accepts and says nothing."""

    async def main() -> float:
        with trio.socket.socket() as listening:
            await listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            check = health.parsed(f"http://127.0.0.1:{port}/")
            began = trio.current_time()
            assert not await readiness.answers(check, Policy, trio.CapacityLimiter(1), 0.5)
            return trio.current_time() - began

    clock = trio.testing.MockClock(autojump_threshold=0.05)
    assert trio.run(main, clock=clock) == pytest.approx(0.5)


def test_above_its_budget_a_change_of_health_waits_and_is_not_lost(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("--record-budget", "1k", "--max-throttle", "3s")
    check = {"health": "exec:test -e well", "health_action": "record", "health_failures": "1"}
    settings = {**QUICK, **check, "directory": str(tmp_path)}
    (daemon.vassals / "a.ini").write_text(shell("exec sleep 1000", **settings))
    daemon.start()
    lost = daemon.event("health_lost", "a.ini")
    (tmp_path / "well").touch()
    regained = daemon.event("health_regained", "a.ini")
    assert regained.at - lost.at >= 3 * 10**9
    daemon.stop()
