"""The page about releases names the versions of each part, and each former release is tested."""

import re
from pathlib import Path
from typing import Final

from emperord.daemon.control.server import PROTOCOL
from emperord.daemon.core.checkpoints import NEWEST
from emperord.daemon.core.rules import RULES
from emperord.daemon.keeper import protocol
from emperord.version import VERSION
from support.former import RELEASES

ROOT: Final = Path(__file__).resolve().parents[2]
ROWS: Final = re.findall(
    r"^\| (\d+\.\d+\.\d+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$",
    (ROOT / "docs" / "releasing.md").read_text(),
    re.M,
)
LISTED: Final = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_page_has_the_versions_of_today() -> None:
    """Until the release, those of the code may be ahead."""
    release, *named = ROWS[-1]
    code = [RULES, NEWEST, protocol.VERSION, PROTOCOL]
    page = [int(number) for number in named]
    assert release == VERSION.removesuffix(".dev0")
    assert all(on <= of for on, of in zip(page, code, strict=True))
    assert page == code or VERSION.endswith(".dev0")


def test_each_release_is_in_each_table() -> None:
    """The newest is the tree itself; an upgrade from each of the others is a test."""
    newest, *former = LISTED
    assert [release for release, *_ in ROWS] == [*reversed(former), newest]
    assert list(RELEASES) == list(reversed(former))
    assert VERSION.removesuffix(".dev0") == newest
