"""Nothing outlives a stop, however it hides: hostile descendants in real cgroups."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.cgroups import below
from support.daemon import Daemon
from support.hostile_descendants import attention, given, hidden, hostile, removed
from support.tyrant import ALICE, TyrantDaemon

from ...conftest import MakeDaemon, MakeEmperor


def crashed(daemon: Daemon) -> None:
    processes.kill(daemon.pid_of("a.ini"))


ENDS = [pytest.param(removed, id="removed"), pytest.param(crashed, id="crashed")]


@pytest.mark.parametrize("ends", ENDS)
def test_a_hostile_descendant_is_dead_before_the_end_is_told(
    make_daemon: MakeDaemon, base: Path | None, ends: Callable[[Daemon], None]
) -> None:
    daemon = make_daemon(*given(base))
    with hostile(daemon) as find:
        daemon.start()
        pid = find()
        ends(daemon)
        daemon.event("exited", "a.ini")
        assert hidden(pid) is (base is None)
        (daemon.vassals / "a.ini").unlink(missing_ok=True)
        daemon.stop()
        if base is None:
            assert f"process {pid} (sleep)" in daemon.log()
        else:
            assert below(base) == []


@pytest.mark.parametrize("ends", ENDS)
def test_a_hostile_descendant_does_not_outlive_a_stop_by_the_next_daemon(
    make_emperor: MakeEmperor, base: Path | None, ends: Callable[[Daemon], None]
) -> None:
    emperor = make_emperor(*given(base))
    with hostile(emperor) as find:
        emperor.start()
        pid = find()
        emperor.restart()
        ends(emperor)
        emperor.event("exited", "a.ini")
        assert hidden(pid) is (base is None)
        emperor.stop()
        if base is None:
            assert f"process {pid} (sleep)" in emperor.log()
        else:
            assert below(base) == []


def test_a_tenants_hostile_descendant_is_dead_or_reported(
    make_tyrant: Callable[..., TyrantDaemon], base: Path | None
) -> None:
    tyrant = make_tyrant(*given(base))
    with hostile(tyrant) as find:
        tyrant.start()
        pid = find()
        removed(tyrant)
        tyrant.gone("a.ini")
        assert hidden(pid) is (base is None)
        tyrant.stop()
        assert (f"process {pid} (sleep) of uid {ALICE}" in tyrant.log()) is (base is None)


def test_without_a_cgroup_what_is_left_is_in_the_status(
    make_tyrant: Callable[..., TyrantDaemon],
) -> None:
    tyrant = make_tyrant("--cgroup", "none")
    tyrant.put("b.ini")  # another vassal of the same user runs on
    with hostile(tyrant) as find:
        tyrant.start()
        pid = find()
        tyrant.phase("b.ini", "ready")
        assert attention(tyrant) == []
        removed(tyrant)
        tyrant.gone("a.ini")
        tyrant.until(lambda: attention(tyrant), "it is found")
        (left,) = attention(tyrant)
        assert left["what"] == "left process"
        assert left["reason"].startswith(f"process {pid} (sleep) of uid {ALICE} runs")
        assert f"process {pid} (sleep) of uid {ALICE} runs" in tyrant.log()
        processes.kill(pid)
        tyrant.until(lambda: not attention(tyrant), "it has gone")
    tyrant.stop()
