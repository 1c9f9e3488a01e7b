"""``emperor-replay archive`` and its like, of which each call fails or is the last one."""

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from emperord.replay.verify import verify
from support.archives import check_nothing_is_lost, content, write
from support.effort import examples

from .cases import ERRORS
from .plan import KILL, ONCE, SHORT, Plan, compiled

# Calls by which a file is changed.
WRITES: Final = ("write", "fsync", "ftruncate", "unlink", "link", "rename", "open", "chown")
ARCHIVE: Final = (
    *("emperord.replay.main", "--journal", "journal.db"),
    *("archive", "--before", "@201", "-o", "old.db"),
)
BACKUP: Final = ("emperord.replay.for_daemon", "backup", "journal.db", "old.db")


class Call(NamedTuple):
    """The n-th call of a site, and its error; 0 for a kill, SHORT for half of a write."""

    site: str
    number: int
    error: int


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("strike"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("pristine") / "journal.db")


def ran(folder: Path, plan: Plan, words: tuple[str, ...]) -> int:
    """Run a command in a folder with a journal to its end, by the plan; its code."""
    module, *more = words
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module, *more],
        cwd=folder, env={**os.environ, **plan.environ},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.read()
    assert b"Traceback" not in said, said.decode()
    return process.returncode


def calls(
    folder: Path, pristine: Path, library: Path, words: tuple[str, ...]
) -> Iterator[tuple[str, int]]:
    """Each site by which the command writes, and how often it is called."""
    folder.mkdir()
    shutil.copy(pristine, folder / "journal.db")
    plan = Plan(library, folder / "plan", folder)
    plan.count()
    assert ran(folder, plan, words) == 0
    for site, count in plan.counted().items():
        _, function, place = site.split(" ", 2)
        if function in WRITES and place not in ("elsewhere", "pipe") and place[0] != "/":
            yield site, count


def cases(counted: list[tuple[str, int]], chance: random.Random) -> list[Call]:
    """A kill at each call, and each error at a call of each site."""
    found = [Call(site, number, 0) for site, count in counted for number in range(1, count + 1)]
    for site, count in counted:
        for name in ERRORS[site.split(" ")[1]]:
            # A second name that cannot be removed stays, and harms nothing.
            if name != "EINTR" and " unlink " not in site:
                number = SHORT if name == "SHORT" else int(getattr(errno, name))
                found.append(Call(site, chance.randint(1, count), number))
    return found


@pytest.mark.search
@pytest.mark.parametrize("words", [ARCHIVE, BACKUP], ids=["archive", "backup"])
def test_a_call_that_fails_or_is_the_last_loses_nothing(
    words: tuple[str, ...], pristine: Path, library: Path, tmp_path: Path
) -> None:
    """Other seeds, and more of them: ``tools/test slow``."""
    chance = random.Random(int(os.environ.get("FAULTS_SEED", "11")))
    counted = sorted(calls(tmp_path / "counted", pristine, library, words))
    assert len(counted) > 5
    kept = content(pristine)
    every = cases(counted, chance)
    for number, case in enumerate(chance.sample(every, min(len(every), examples(12)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        journal, file = Path(shutil.copy(pristine, folder / "journal.db")), folder / "old.db"
        plan = Plan(library, folder / "plan", folder)
        plan.strike((case.site,), case.error, ONCE if case.error else KILL, case.number)
        code = ran(folder, plan, words)
        assert plan.struck or code == 0, case
        if words == ARCHIVE:
            check_nothing_is_lost(journal, file, kept)
        else:
            check_copy(journal, file, kept, case)
        shutil.rmtree(folder)


def check_copy(journal: Path, file: Path, kept: object, case: Call) -> None:
    """The journal is as it was, and there is a whole copy or none."""
    assert content(journal) == kept
    if file.exists():
        assert content(file) == kept
        assert verify(str(file)).exit_code == 0
    if case.error:
        assert not file.with_name("old.db.unfinished").exists()
