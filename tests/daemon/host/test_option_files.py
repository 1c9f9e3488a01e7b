"""Tyrant mode and ``--user``: files that options name for all vassals are root's alone."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.host import option_files
from emperord.journal.policy import Policy
from support.tyrant import ALICE, BOB, TyrantDaemon, common_ground
from support.vassals import SLEEPER

MakeTyrant = Callable[..., TyrantDaemon]
STAFF = 62_009


def shared(folder: Path, mode: int = 0o775) -> Path:
    """A directory of root's in which a group may write."""
    path = folder / "shared"
    path.mkdir()
    os.chown(path, 0, STAFF)
    path.chmod(mode)
    return path


OPTIONS = {
    "--uwsgi": lambda path: Policy(tyrant=True, uwsgi=path),
    "--wrapper": lambda path: Policy(tyrant=True, wrapper=path),
    "--on-demand-exec": lambda path: Policy(tyrant=True, on_demand_exec=f"{path} -v"),
    "--vassals-include": lambda path: Policy(tyrant=True, vassals_include=(path,)),
    "--vassals-inherit": lambda path: Policy(tyrant=True, vassals_inherit=(f"{path}:all",)),
    "--vassals-include-before": lambda path: Policy(tyrant=True, vassals_include_before=(path,)),
    "--vassals-inherit-before": lambda path: Policy(tyrant=True, vassals_inherit_before=(path,)),
}


@pytest.mark.parametrize(("option", "policy"), OPTIONS.items(), ids=OPTIONS)
def test_each_option(option: str, policy: Callable[[str], Policy]) -> None:
    with common_ground() as folder:
        path = folder / "file"
        path.touch(0o755)
        assert option_files.flaw(policy(str(path))) is None
        path.chmod(0o777)
        told = f"{option} {path} is used for every vassal, but everybody may write to {path};"
        assert option_files.flaw(policy(str(path))) == f"{told} chmod o-w"


def a_file_of_bobs(folder: Path) -> Path:
    path = folder / "file"
    path.touch()
    os.chown(path, BOB, 0)
    return path


def below_a_group_s_directory(folder: Path) -> Path:
    path = shared(folder) / "file"
    path.touch()
    return path


def in_a_sticky_directory(folder: Path) -> Path:
    path = shared(folder, 0o1777) / "file"
    path.touch()
    return path


def to_be_made_by_a_group(folder: Path) -> Path:
    return shared(folder) / "file"


def to_be_made_by_everybody(folder: Path) -> Path:
    return shared(folder, 0o1777) / "file"


def a_link_into_a_group_s_directory(folder: Path) -> Path:
    path = folder / "link"
    path.symlink_to(below_a_group_s_directory(folder))
    return path


FLAWS: dict[Callable[[Path], Path], str] = {
    a_file_of_bobs: "{}/file belongs to uid 61002; chown it to root",
    below_a_group_s_directory: "group 62009 may move things in {}/shared; chmod g-w",
    in_a_sticky_directory: "{}/shared/file is in a sticky directory: others can move such a file",
    to_be_made_by_a_group: "group 62009 may move things in {}/shared; chmod g-w",
    to_be_made_by_everybody: "it is not there, and others can make it in {}/shared; make it",
    a_link_into_a_group_s_directory: "group 62009 may move things in {}/shared; chmod g-w",
}


@pytest.mark.parametrize("make", FLAWS, ids=lambda make: make.__name__)
def test_each_flaw(make: Callable[[Path], Path]) -> None:
    with common_ground() as folder:
        path = str(make(folder))
        said = option_files.flaw(Policy(tyrant=True, vassals_include=(path,)))
        assert f"but {FLAWS[make].format(folder)}" in (said or "")
        assert option_files.flaw(Policy(vassals_include=(path,))) is None


def test_the_user_of_user_may_write_but_to_what_root_runs() -> None:
    with common_ground() as folder:
        path = folder / "file"
        path.touch()
        os.chown(path, ALICE, 0)
        user = (ALICE, ALICE)
        assert option_files.flaw(Policy(user=user, wrapper=str(path))) is None
        assert option_files.flaw(Policy(user=(BOB, BOB), wrapper=str(path))) is not None
        assert option_files.flaw(Policy(user=user, on_demand_exec=str(path))) is not None


def test_the_daemon_does_not_start_and_check_says_why(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    wrapper = shared(tyrant.folder) / "wrapper"
    shutil.copy("/bin/true", wrapper)
    tyrant.options += ["--wrapper", str(wrapper)]
    told = (
        f"--wrapper {wrapper} is used for every vassal, but group {STAFF} may move things in"
        f" {wrapper.parent}; chmod g-w"
    )
    tyrant.launch("--check")
    assert tyrant.wait() == 1
    assert f"cannot start: {told}\n" in tyrant.log()
    tyrant.launch()
    assert tyrant.wait() == 3
    assert tyrant.log().splitlines()[-1] == f"emperor: {told}"
    assert not tyrant.journal.exists()


def test_judged_again_at_each_start(make_tyrant: MakeTyrant) -> None:
    """A relative template is found from the vassal's directory, and may be its user's."""
    tyrant = make_tyrant("--vassals-include", "all.ini", "--uwsgi", "/bin/true")
    template = tyrant.vassals / "all.ini"
    tyrant.put("sleeper.ini", SLEEPER)
    tyrant.start()
    tyrant.phase("sleeper.ini", "ready")
    template.touch()
    os.chown(template, ALICE, 0)
    template.chmod(0o646)
    tyrant.put("a.ini", "[uwsgi]\n")
    reason = tyrant.event("spawn_failed", "a.ini").body["reason"]
    assert reason == (
        f"--vassals-include {template} is used for every vassal, but everybody may write to"
        f" {template}; chmod o-w"
    )
    template.chmod(0o644)
    tyrant.event("spawned", "a.ini")
    tyrant.put("bobs.ini", "[uwsgi]\n", uid=BOB)
    reason = tyrant.event("spawn_failed", "bobs.ini").body["reason"]
    assert f"but {template} belongs to uid {ALICE}; chown it to root" in reason
    tyrant.stop()
