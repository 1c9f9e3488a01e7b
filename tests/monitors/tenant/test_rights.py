"""Tyrant mode: a thread takes a tenant's rights for one block, and gives them up."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
from emperord.monitors.tenant import Tenant, rights_of
from support.tyrant import ALICE, ALICES, BOBS

from .files import ME

# The rights themselves


class Rights(NamedTuple):
    uids: str
    gids: str
    groups: str
    capabilities: str

    @classmethod
    def here(cls) -> "Rights":
        """Those of this thread."""
        lines = Path("/proc/thread-self/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines)
        return cls(*(fields[key].strip() for key in ("Uid", "Gid", "Groups", "CapEff")))


def test_only_this_thread_has_them_and_only_for_the_block() -> None:
    before = Rights.here()
    others: list[Rights] = []
    taken = threading.Event()
    other = threading.Thread(target=lambda: others.append(Rights.here()) if taken.wait() else None)
    other.start()
    with rights_of(Tenant(ALICE, ALICES, (ALICES, BOBS))):
        during = Rights.here()
        taken.set()
        other.join()
    assert during.uids.split() == ["0", "0", "0", str(ALICE)]
    assert during.gids.split() == ["0", "0", "0", str(ALICES)]
    assert during.groups.split() == [str(ALICES), str(BOBS)]
    assert int(during.capabilities, 16) & 0b110 == 0
    assert others == [before]
    assert Rights.here() == before


def test_an_error_in_the_block_gives_them_up() -> None:
    before = Rights.here()
    with pytest.raises(ZeroDivisionError), rights_of(ME):
        raise ZeroDivisionError
    assert Rights.here() == before


def test_they_are_refused_where_root_would_stay_root() -> None:
    """SECBIT_NO_SETUID_FIXUP: the kernel leaves all capabilities."""
    code = (
        "import ctypes\n"
        "from emperord.monitors.tenant import Tenant, rights_of\n"
        "assert ctypes.CDLL(None).prctl(28, 4, 0, 0, 0) == 0\n"
        "try:\n"
        "    with rights_of(Tenant(5001, 5001, (5001,))):\n"
        "        print('taken')\n"
        "except OSError as error:\n"
        "    print(error)\n"
        "print(open('/proc/thread-self/status').read().split('Uid:')[1].split()[:4])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        "cannot take on the rights of uid 5001: the daemon would keep root's capabilities\n"
        "['0', '0', '0', '0']\n"
    )


def test_a_thread_that_cannot_give_them_up_ends_the_daemon() -> None:
    """The keeper starts another one. A thread with a tenant's rights would fail at other work."""
    code = (
        "import ctypes\n"
        "from emperord.monitors.tenant import Tenant, rights_of\n"
        "with rights_of(Tenant(5001, 5001, (5001,))):\n"
        "    header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0\n"
        "print('goes on')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (-signal.SIGABRT, "")
    assert run.stderr.startswith("emperor: cannot give up the rights of uid 5001\n")
