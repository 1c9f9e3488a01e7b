"""Several sources: which of them has a name, and what becomes of the vassals of one that left."""

from pathlib import Path

import pytest
from support.daemon import Daemon
from support.processes import kill
from support.vassals import SLEEPER, program

from ..conftest import MakeDaemon


def folders(tmp_path: Path, *names: str) -> list[str | Path]:
    """Directories to be watched."""
    made = [tmp_path / name for name in names]
    for path in made:
        path.mkdir()
    return list(made)


def die_with_all(daemon: Daemon) -> None:
    """The daemon is killed, and so is all that it started."""
    daemon.kill()
    for pid in daemon.running():
        kill(pid)
    daemon.until(lambda: not daemon.running(), "all are gone")


def sleeper(seconds: int) -> str:
    """A program that can be told from another's by its text."""
    return program("sleep", str(seconds))


def texts(daemon: Daemon, *names: str) -> dict[str, bytes | None]:
    """The config that each vassal runs, once each of them runs the wanted one."""
    found: dict[str, bytes | None] = {}

    def settled() -> bool:
        fleet = daemon.fleet().vassals
        for name in names:
            vassal = fleet.get(name)
            if vassal is None or vassal.phase != "ready" or vassal.running != vassal.spec:
                return False
            found[name] = daemon.config_text(vassal.spec.config)
        return True

    daemon.until(settled, f"{names} run what is wanted")
    return found


@pytest.mark.parametrize("run", range(4))
@pytest.mark.parametrize("first", [0, 1], ids=["one-two", "two-one"])
def test_the_order_of_sources_decides_on_a_fresh_journal(
    make_daemon: MakeDaemon, tmp_path: Path, first: int, run: int
) -> None:
    """Both are heard at the same time, in whatever order."""
    both = folders(tmp_path, "one", "two")
    names = [f"{number}.ini" for number in range(4)]
    for number, folder in enumerate(both):
        for name in names:
            (Path(folder) / name).write_text(sleeper(1000 + number))
    earlier, later = both[first], both[1 - first]
    daemon = make_daemon(monitors=[earlier, later])
    daemon.start()
    assert texts(daemon, *names) == dict.fromkeys(names, sleeper(1000 + first).encode())
    reason = f"the name belongs to dir://{earlier}, which is given before this source"
    for name in names:
        rejected = daemon.event("observation_rejected", name, reason=reason)
        assert rejected.monitor == f"dir://{later}"
    daemon.stop()


def test_an_earlier_source_takes_a_name_over_and_lets_it_go(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """It is heard long after the later one. When its file goes, the later one has its turn."""
    [later] = folders(tmp_path, "later")
    (Path(later) / "a.ini").write_text(sleeper(1002))
    earlier = tmp_path / "earlier"
    daemon = make_daemon("--freq", "0.3", monitors=[f"dir://{earlier}", later])
    daemon.start()
    assert texts(daemon, "a.ini") == {"a.ini": sleeper(1002).encode()}
    earlier.mkdir()
    (earlier / "a.ini").write_text(sleeper(1001))
    claimed = daemon.event("vassal_changed", "a.ini")
    assert claimed.monitor == f"dir://{earlier}"
    assert claimed.body["change"] == f"claimed from dir://{later}"
    assert texts(daemon, "a.ini") == {"a.ini": sleeper(1001).encode()}
    daemon.event("observation_rejected", "a.ini")
    (earlier / "a.ini").unlink()
    added = daemon.event("vassal_added", "a.ini", after=claimed.seq)
    assert added.monitor == f"dir://{later}"
    assert texts(daemon, "a.ini") == {"a.ini": sleeper(1002).encode()}
    daemon.stop()


def test_a_restart_with_another_order_hands_names_over(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """The vassals live meanwhile. A vassal that only the later source has stays as it is."""
    one, two = folders(tmp_path, "one", "two")
    for name in ("a.ini", "b.ini"):
        (Path(one) / name).write_text(sleeper(1001))
    (Path(two) / "a.ini").write_text(sleeper(1002))
    daemon = make_daemon(monitors=[one, two])
    daemon.start()
    names = ("a.ini", "b.ini")
    assert texts(daemon, *names) == dict.fromkeys(names, sleeper(1001).encode())
    pid = daemon.pid_of("b.ini")
    daemon.kill()
    seq = daemon.last_seq()
    daemon.monitors = [two, one]
    daemon.start()
    claimed = daemon.event("vassal_changed", "a.ini", after=seq)
    assert claimed.body["change"] == f"claimed from dir://{one}"
    assert texts(daemon, *names) == {
        "a.ini": sleeper(1002).encode(),
        "b.ini": sleeper(1001).encode(),
    }
    assert daemon.pid_of("b.ini") == pid
    daemon.stop()


def test_vassals_that_left_with_their_source_are_not_started(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """They had died with the daemon, and the next one has another source."""
    one, two = folders(tmp_path, "one", "two")
    for number in range(20):
        (Path(one) / f"{number:02}.ini").write_text(SLEEPER)
    (Path(two) / "other.ini").write_text(SLEEPER)
    daemon = make_daemon(monitors=[one])
    daemon.start()
    daemon.until(lambda: daemon.kinds().count("spawned") == 20, "all run")
    die_with_all(daemon)
    seq = daemon.last_seq()
    daemon.monitors = [two]
    daemon.start()
    daemon.event("spawned", "other.ini", after=seq)
    ordered = [order for event in daemon.events(after=seq) for order in event.actions]
    assert [(order["do"], order["vassal"]) for order in ordered] == [("spawn", "other.ini")]
    assert daemon.kinds(after=seq).count("vassal_removed") == 20
    assert set(daemon.fleet().vassals) == {"other.ini"}
    daemon.stop()
