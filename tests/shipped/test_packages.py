"""The files of the Debian package and of the image; tools/debian and tools/dockerfile try them."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from emperord.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
DEBIAN: Final = ROOT / "debian"


def test_debian_has_the_version_of_the_tree() -> None:
    head = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert f"emperord ({VERSION.replace('.dev', '~dev')}) " in head


def test_the_licence_is_the_same() -> None:
    words = (DEBIAN / "copyright").read_text().partition("License: MIT\n Perm")[2]
    licence = (ROOT / "LICENSE").read_text().partition("Perm")[2]
    assert words.replace("\n .\n", "\n\n").split() == licence.split()


@pytest.mark.parametrize("name", ["emperord.postinst", "emperord.postrm"])
def test_the_scripts_of_the_package_can_be_read(name: str) -> None:
    subprocess.run(["sh", "-n", DEBIAN / name], check=True)
    assert "#DEBHELPER#" in (DEBIAN / name).read_text()


def test_an_upgrade_stops_no_vassal() -> None:
    rules = (DEBIAN / "rules").read_text()
    assert "dh_installsystemd --no-stop-on-upgrade --no-restart-after-upgrade\n" in rules
    assert "--signal=USR2" in (DEBIAN / "emperord.postinst").read_text()


def test_only_a_purge_takes_the_journal() -> None:
    script = (DEBIAN / "emperord.postrm").read_text()
    purge = script[script.index('if [ "$1" = purge ]') : script.index("\nfi\n")]
    assert script.count("rm -rf") == purge.count("rm -rf") == 1


def test_user_and_directories_stand_in_one_place() -> None:
    for kind in ("sysusers", "tmpfiles"):
        path = DEBIAN / f"emperord.{kind}"
        assert path.read_text() == (ROOT / f"share/{kind}.d/emperord.conf").read_text()


def test_the_image_runs_as_a_user_of_its_own() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last = text[text.rindex("FROM ") :]
    assert re.findall(r"^USER (.*)$", last, re.M) == ["emperord"]
    assert 'ENTRYPOINT ["/opt/emperord/bin/emperor"]' in last
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"python:3.13-slim"}
