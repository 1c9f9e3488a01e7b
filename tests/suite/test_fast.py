"""``tools/test fast`` needs no server."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAST = re.compile(r"^fast\)$.*?^    ;;$", re.M | re.S)
OF_SERVERS = re.compile(r"^\s*from support\.(\w+) import", re.M)


def test_no_file_of_the_fast_run_imports_the_support_of_a_server() -> None:
    """The contract is there, too, but only its part about ``dir://``."""
    run = FAST.search((ROOT / "tools" / "test").read_text())
    assert run is not None
    folders = re.findall(r"(?<= )tests/(\w+)(?= |$)", run[0], re.M)
    assert {"fold", "journal", "replay"} <= set(folders)
    support = {path.stem: path.read_text() for path in (ROOT / "tests" / "support").glob("*.py")}
    servers = {name for name, text in support.items() if "from .services import" in text}
    assert {"postgres", "mongodb", "ldap"} <= servers
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / "tests" / folder).rglob("*.py")
        if servers & set(OF_SERVERS.findall(path.read_text()))
    }
    assert found == set()
