"""Tyrant mode: paths that rows and messages give are read with the tenant's rights."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal.events import Spec
from emperord.monitors.contract import Seen
from emperord.monitors.zeromq import monitor as zeromq
from support.tyrant import ALICE, ALICES

from .files import PLAIN, TYRANT, by_row, file_of


def by_message(path: Path, uid: int | None, gid: int | None) -> Seen:
    spec = Spec(ts=1, uid=uid, gid=gid)
    name = f"{path.parent.name}/{path.name}"
    return zeromq.see_file(str(path.parents[1]), name, spec, TYRANT)


@pytest.mark.parametrize("see", [by_row, by_message])
@pytest.mark.parametrize(
    ("uid", "gid", "mode", "reads"),
    [
        pytest.param(ALICE, ALICES, 0o644, True, id="everybody's"),
        pytest.param(ALICE, ALICES, 0o600, False, id="root's alone"),
        pytest.param(None, None, 0o644, False, id="no user"),
        pytest.param(0, 0, 0o644, False, id="root"),
        pytest.param(ALICE, None, 0o644, False, id="no group"),
        pytest.param(ALICE, 0, 0o640, False, id="root's group"),
    ],
)
def test_a_path_with_a_user(
    ground: Path,
    see: Callable[[Path, int | None, int | None], Seen],
    uid: int | None,
    gid: int | None,
    mode: int,
    reads: bool,
) -> None:
    path = file_of(ground / "vassals" / "a.ini", 0, 0, mode)
    seen = see(path, uid, gid)
    assert (seen.spec.uid, seen.spec.gid) == (uid, gid)
    assert seen.content == (PLAIN.encode() if reads else None)
    assert (seen.spec.config is not None) == reads
    denied = f"tyrant mode: uid {ALICE} may not read {path}"
    assert seen.spec.bar == (denied if uid and gid and not reads else None)
