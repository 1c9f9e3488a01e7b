"""Several sources: which of them has a name, and what becomes of the vassals of one that left."""

from pathlib import Path

from support.daemon import Daemon
from support.processes import kill
from support.vassals import SLEEPER

from .conftest import MakeDaemon


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
