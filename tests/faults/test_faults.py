"""Faults of system calls: those that once did harm do none, and a sample of all the others."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.effort import examples

from .cases import Case
from .command import run

FAULTS: Final = Path(__file__).parents[2] / "tools" / "faults"
# Each of them left a vassal twice, barred it, ended the keeper, or left a traceback.
KEPT: Final = {
    "start that failed after the fork": "crash|daemon read pipe|EIO|once|1",
    "log not closed after the fork": "crash|daemon close state/journal.db.logs/crashes.ini.log|EIO"
    "|for ever|1",
    "log not to be looked at after the fork": "add|daemon stat state/journal.db.logs/comes.ini.log"
    "|ENOMEM|once|3",
    "log not to be opened": "crash|daemon open state/journal.db.logs/crashes.ini.log|EROFS"
    "|for ever|1",
    "folder not to be entered": "crash|daemon chdir vassals|EIO|for ever|1",
    "address not to be bound": "start|daemon open ./lazy.sock|EIO|for ever|1",
    "end not to be watched": "kill|daemon epoll_ctl anon_inode:[pidfd]|ENOMEM|for ever|1",
    "process not to be held": "kill|daemon pidfd_open child|EMFILE|once|1",
    "size of a log unknown": "kill|daemon stat state/journal.db.logs/web.ini.log|ENOMEM|once|1",
    "process not to be looked at": "kill|daemon open /proc/N/stat|EIO|once|1",
    "end of the log's guard": "stop|daemon close state/journal.db-wal_(deleted)|EINTR|once|1",
    "last look without procfs": "stop|daemon open /proc/self/task/N/children|EIO|for ever|1",
    "loop without memory": "stop|daemon epoll_ctl wake-up|ENOMEM|for ever|1",
    "nothing without memory": (
        "stop|daemon mmap *;daemon fork *;daemon posix_spawn *;daemon socketpair *;"
        "daemon socket *;daemon epoll_ctl *;daemon poll *|ENOMEM|for ever|40"
    ),
    "files not to be watched": "add|daemon read anon_inode:inotify|EIO|once|1",
    "journal not to be resolved": "kill|daemon stat .|ENOMEM|for ever|1",
    "keeper without memory": "crash|keeper poll wait|ENOMEM|for ever|1",
    "keeper hears nothing": "crash|keeper recv channel|ENOMEM|for ever|1",
    "keeper without descriptors": "kill|keeper open /proc/N/stat|EMFILE|for ever|1",
    "half of the lock's pid": "start|daemon write state/journal.db.lock|SHORT|for ever|1",
    "no null device": "start|keeper open /dev/null|EROFS|for ever|1",
}


@pytest.mark.few(3)
@pytest.mark.parametrize("case", KEPT.values(), ids=KEPT.keys())
def test_a_fault_that_once_did_harm(case: str) -> None:
    [result] = run([Case.parsed(case)])
    assert not result.failure, result.failure


@pytest.mark.search
def test_a_sample() -> None:
    """Other seeds, and all of them: ``tools/test slow``."""
    seed = os.environ.get("FAULTS_SEED", "11")
    words = ("--sample", str(examples(6)), "--seed", seed, "--jobs", "2")
    done = subprocess.run([sys.executable, FAULTS, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
