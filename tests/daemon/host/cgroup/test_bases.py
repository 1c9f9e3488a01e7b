"""Where the cgroups are made: delegated units, users, and bases that cannot be used."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.cgroups import attempts, below, members, within
from support.daemon import Daemon
from support.hostile_descendants import attention, given, hidden, hostile, listed, removed
from support.kept import Emperor
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground
from support.vassals import SLEEPER, shell

from ...conftest import MakeDaemon, MakeEmperor


def test_daemons_of_two_journals_share_a_base(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    one = make_daemon(*given(base))
    (one.vassals / "a.ini").write_text(SLEEPER)
    one.start()
    one.phase("a.ini", "ready")
    (tmp_path / "two").mkdir()
    with Daemon(tmp_path / "two", *one.options) as two:
        (two.vassals / "a.ini").write_text(SLEEPER)
        two.start()
        two.phase("a.ini", "ready")
        if base is not None:
            assert len({name.split(".")[0] for name in below(base)}) == 2
        two.kill()
        two.start()
        two.stop()
        assert processes.alive(one.pid_of("a.ini"))
        assert base is None or len(below(base)) == 1
    one.stop()


def test_what_systemd_delegated_is_used(make_emperor: MakeEmperor, base: Path | None) -> None:
    """The unit's cgroup has an attribute; daemon and keeper make room in it."""
    if base is not None:
        os.setxattr(base, "trusted.delegate", b"1")
    emperor = make_emperor(before=() if base is None else within(base))
    with hostile(emperor) as find:
        emperor.start()
        pid = find()
        if base is None:
            assert listed(emperor, "a.ini") is None
            return
        for _ in range(2):
            leaf = f"daemon.{emperor.pid}"
            assert members(base) == []
            assert sorted(members(base / leaf)) == sorted([emperor.pid, emperor.daemon_pid()])
            assert [listed(emperor, "a.ini")] == [str(made) for made in attempts(base)]
            emperor.restart()
        seq = emperor.last_seq()
        emperor.ctl("upgrade")  # the keeper executes itself anew
        emperor.next_ready(seq)
        assert sorted(members(base / leaf)) == sorted([emperor.pid, emperor.daemon_pid()])
        removed(emperor)
        emperor.gone("a.ini")
        assert not hidden(pid)
        emperor.stop()
        assert below(base) == []


def test_what_was_not_delegated_is_not_touched(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    emperor = make_emperor(before=() if base is None else within(base))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    assert listed(emperor, "a.ini") is None
    assert attention(emperor) == []
    assert base is None or below(base) == []
    emperor.stop()


def test_the_subgroup_of_a_delegated_unit(make_emperor: MakeEmperor, base: Path | None) -> None:
    """DelegateSubgroup=: systemd has made the leaf, and starts the keeper there."""
    before: tuple[str, ...] = ()
    if base is not None:
        os.setxattr(base, "user.delegate", b"1")
        (base / "emperor").mkdir()
        before = within(base / "emperor")
    emperor = make_emperor(before=before)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    if base is None:
        assert listed(emperor, "a.ini") is None
        return
    assert len(below(base)) == 2
    assert str(listed(emperor, "a.ini")).startswith(f"{base}/")
    both = sorted([emperor.pid, emperor.daemon_pid()])
    emperor.until(lambda: sorted(members(base / "emperor")) == both, "the vassal is elsewhere")
    emperor.stop()
    assert below(base) == ["emperor"]


def test_an_emperor_that_is_a_vassal_has_its_own_below(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    inner = Emperor(tmp_path / "inner", "--freq", "0.2")
    (inner.vassals / "a.ini").write_text(SLEEPER)
    outer = make_daemon(*given(base))
    with inner:
        variables = [f"{key}={inner.environ[key]}" for key in ("STARTED_BY_TEST",)]
        run = f"EMPEROR_AS_ROOT=1 RUNTIME_DIRECTORY={tmp_path}/inner/run"
        words = shlex.join([*variables, *inner.argv])
        (outer.vassals / "inner.ini").write_text(shell(f"{run} exec env {words}"))
        outer.start()
        inner.event("spawned", "a.ini")
        pid = inner.pid_of("a.ini")
        if base is None:
            assert listed(inner, "a.ini") is None
        else:
            (outers,) = attempts(base)
            (inners,) = attempts(outers)
            assert f"daemon.{outer.pid_of('inner.ini')}" in below(outers)
            assert listed(inner, "a.ini") == str(inners)
            outer.until(lambda: members(inners) == [pid], "it is in there")
        outer.stop()
        assert not processes.alive(pid)
        assert base is None or below(base) == []


def test_a_user_with_a_cgroup_of_its_own(base: Path | None) -> None:
    """As below a user's systemd: the cgroup and its files belong to the user."""
    user = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
            "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # fmt: skip
    before: tuple[str, ...] = user
    if base is not None:
        for file in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(base / file, ALICE, ALICES)
        before = (*within(base), *user)
    with common_ground() as folder:
        for made in ("state", "vassals", "run"):
            (folder / made).mkdir()
            os.chown(folder / made, ALICE, ALICES)
        with (
            TyrantDaemon(folder, "--freq", "0.2", before=before) as daemon,
            hostile(daemon) as find,
        ):
            daemon.start()
            pid = find()
            if base is not None:
                assert members(base) == []
                assert f"daemon.{daemon.pid}" in below(base)
                assert [made.stat().st_uid for made in attempts(base)] == [ALICE]
            removed(daemon)
            daemon.gone("a.ini")
            assert hidden(pid) is (base is None)
            daemon.stop()
            assert base is None or below(base) == []


def missing(base: Path) -> str:
    return "/nowhere"


def open_to_others(base: Path) -> str:
    (base / "open").mkdir()
    (base / "open").chmod(0o777)
    return str(base / "open")


def below_anothers(base: Path) -> str:
    (base / "alices" / "roots").mkdir(parents=True)
    os.chown(base / "alices", ALICE, ALICES)
    return str(base / "alices" / "roots")


def too_deep(base: Path) -> str:
    (base / "cgroup.max.descendants").write_text("0")
    return str(base)


def of_threads(base: Path) -> str:
    (base / "threads").mkdir()
    (base / "threads" / "cgroup.type").write_text("threaded")
    return str(base / "threads")


UNUSABLE = [
    pytest.param(missing, "/nowhere: it is not in a cgroup v2", id="no cgroup"),
    pytest.param(open_to_others, "could move processes out", id="others may write"),
    pytest.param(below_anothers, "could move processes out", id="below another user's"),
    pytest.param(too_deep, "Resource temporarily unavailable", id="may have none below"),
    pytest.param(of_threads, "not supported", id="for threads"),
]


@pytest.mark.few(1)
@pytest.mark.parametrize(("make", "reason"), UNUSABLE)
def test_where_none_can_be_made_vassals_run_without(
    make_daemon: MakeDaemon, base: Path | None, make: Callable[[Path], str], reason: str
) -> None:
    path = "/nowhere" if base is None else make(base)
    reason = "no cgroup v2 is mounted" if base is None else reason
    daemon = make_daemon("--cgroup", path)
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(shell("(env -i setsid sleep 3000 &); exec sleep 1000"))
    check = subprocess.run(
        [*daemon.argv, "--check"], env=daemon.environ, capture_output=True, text=True, check=False
    )
    assert check.returncode == 1
    assert "vassals would run without cgroups: " in check.stdout
    assert reason in check.stdout
    daemon.start()
    for name in ("a.ini", "b.ini"):
        daemon.phase(name, "ready")
    assert daemon.log().count(f"--cgroup {path}: ") == 1
    (entry,) = attention(daemon)
    assert entry["what"] == "no cgroup"
    assert reason in entry["reason"]
    daemon.stop()  # and nothing is left, by what the processes inherit


def test_a_base_that_is_used_up_later_bars_nothing(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    daemon.start()
    if base is not None:
        (base / "cgroup.max.descendants").write_text("0")
    for name in ("a.ini", "b.ini"):
        (daemon.vassals / name).write_text(SLEEPER)
        daemon.phase(name, "ready")
        assert listed(daemon, name) is None
    assert [each["what"] for each in attention(daemon)] == ["no cgroup"]
    assert daemon.log().count("vassals are ended by what their processes inherit") == 1
    daemon.stop()


def test_check_starts_nothing_where_cgroups_can_be_made(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    check = subprocess.run(
        [*daemon.argv, "--check"], env=daemon.environ, capture_output=True, text=True, check=False
    )
    assert check.returncode == (1 if base is None else 0), check.stdout
    assert base is None or below(base) == []


def test_a_base_that_is_missing_is_made(make_daemon: MakeDaemon, base: Path | None) -> None:
    path = Path("/nowhere") if base is None else base / "made" / "for it"
    daemon = make_daemon("--cgroup", str(path))
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    if base is None:
        assert listed(daemon, "a.ini") is None
    else:
        (name,) = below(path)
        assert listed(daemon, "a.ini") == f"{path}/{name}"
    daemon.stop()


def test_another_mount_of_the_hierarchy(
    make_daemon: MakeDaemon, base: Path | None, tmp_path: Path
) -> None:
    """The same cgroup has two paths then."""
    if base is None:
        return test_a_base_that_is_missing_is_made(make_daemon, base)
    mount = tmp_path / "mount point"
    mount.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", mount], check=True)
    try:
        daemon = make_daemon("--cgroup", str(mount / base.name))
        with hostile(daemon) as find:
            daemon.start()
            pid = find()
            assert str(listed(daemon, "a.ini")).startswith(f"{mount}/{base.name}/")
            daemon.kill()
            daemon.start()
            assert str(listed(daemon, "a.ini")).startswith(f"{mount}/{base.name}/")
            removed(daemon)
            daemon.gone("a.ini")
            assert not hidden(pid)
            daemon.stop()
        assert below(base) == []
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
