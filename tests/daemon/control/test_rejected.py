"""A change of a vassal that cannot be read is told while that lasts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER

WHY = "it cannot be read: Permission denied"
# Root without the capabilities that let it read each file.
BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[Emperor]:
    need_root("drop capabilities")
    with Emperor(tmp_path, "--freq", "3600", before=BOUND) as made:
        yield made


def entries(emperor: Emperor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(emperor.ctl("status", "--json").stdout)["attention"]
    return found


@pytest.mark.parametrize("changed", [False, True], ids=["taken back", "readable again"])
def test_a_change_that_cannot_be_read(emperor: Emperor, changed: bool) -> None:
    emperor.put("a.ini", SLEEPER)
    emperor.put("b.ini", SLEEPER)
    emperor.start()
    emperor.up("a.ini", "b.ini")
    config = emperor.vassals / "a.ini"
    config.chmod(0)
    if changed:
        config.write_text(SLEEPER + "; changed\n")
    emperor.event("observation_rejected", name="a.ini", reason=WHY)
    (entry,) = entries(emperor)
    assert (entry["what"], entry["vassal"], entry["reason"]) == ("rejected", "a.ini", WHY)
    assert emperor.ctl("status").returncode == 3
    assert f"a.ini: rejected since {entry['since']}: {WHY}" in emperor.ctl("status").stdout
    checked = emperor.ctl("check")
    assert (checked.returncode, f"a.ini rejected ({WHY})" in checked.stdout) == (1, True)
    one, other = emperor.ctl("list").stdout.splitlines()[1:]
    assert one.endswith(f"its change is rejected: {WHY}")
    assert "rejected" not in other
    shown = json.loads(emperor.ctl("show", "a.ini", "--json").stdout)
    assert shown["rejected"] == {"since": entry["since"], "reason": WHY}
    assert f"{WHY} (since {entry['since']})" in emperor.ctl("show", "a.ini").stdout
    line = f"a.ini: its change is rejected: {WHY} (since {entry['since']})"
    assert emperor.ctl("why", "a.ini").stdout.splitlines()[-1] == line
    assert line in emperor.ctl("why", "*.ini").stdout
    assert "rejected" not in emperor.ctl("why", "b.ini").stdout
    config.chmod(0o644)
    emperor.until(lambda: not entries(emperor), "it is readable")
    assert "rejected" not in emperor.ctl("list").stdout
    assert bool(emperor.events("vassal_changed")) is changed
    emperor.stop()
