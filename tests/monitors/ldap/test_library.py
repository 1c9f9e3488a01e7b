"""ldap:// imports python-ldap only when a source needs it, and says when it is missing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

# The cost for those who do not use it


def run(code: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **more
    )


def test_the_library_is_imported_when_it_is_used() -> None:
    code = (
        "import sys, emperord.monitors.registry as r;"
        "r.open_monitor('/tmp'); assert 'ldap' not in sys.modules;"
        "r.open_monitor('ldap://h/o=x'); assert 'ldap' in sys.modules"
    )
    assert run(code).stderr == ""


def test_a_missing_library_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ldap'] = None;"
        "from emperord.daemon.main import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--journal", tmp_path / "j", "ldaps://h/o=x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == (
        "emperor: ldap:// needs python-ldap, which is not installed: pip install 'emperord[ldap]'\n"
    )
