"""``emperor --check`` of all that is written from the cases, on programs that are there."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.main import main
from emperord.daemon.migrating import run
from emperord.monitors import settings, shell_words
from support.migrating import CASES, ENVIRON, request
from support.root import need_root
from support.tyrant import common_ground

ROOTS = ("/srv/", "/opt/")  # where programs of the cases are; here they get a place of their own


def moved(case: Path, folder: Path) -> Path:
    """The folder with the files of a case, which have its programs in this folder."""
    there = folder / "given"
    shutil.copytree(case / "given", there, symlinks=True)
    for path in there.rglob("*"):
        if path.is_file():
            text = path.read_text()
            for root in ROOTS:
                text = text.replace(root, f"{folder}{root}")
            path.write_text(text)
    return there


def programs(config: Path, folder: Path) -> None:
    """Make the program and the directory of a config, unless they are there."""
    found, _ = settings.read(config.name, config.read_bytes())
    directory = Path(found.get("directory", str(folder)))
    directory.mkdir(parents=True, exist_ok=True)
    word = shell_words.split(found["command"])[0]
    program = directory / word if "/" in word else folder / "bin" / word
    if not program.exists() and (program.is_relative_to(folder) or "/" not in word):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)


@pytest.mark.parametrize("kind", sorted({case.parent.name for case in CASES}))
def test_all_that_is_written_would_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need_root("check programs of other users")
    with common_ground() as ground:
        patterns = []
        for case in CASES:
            if case.parent.name == kind:
                folder = ground / case.name
                folder.mkdir(mode=0o755)
                written = folder / "written"
                run.migrate(request(case, moved(case, folder), written), ENVIRON)
                for config in written.glob("*.ini"):
                    programs(config, folder)
                patterns.append(str(written / "*.ini"))
                monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
        done = CliRunner().invoke(main, ["--check", "--as-root", *patterns])
        wrong = [line for line in done.stdout.splitlines() if re.search("barred|rejected", line)]
        assert wrong == []
        assert done.exit_code == 0, done.stdout
        assert done.stdout.count(".ini: ") == len(list(ground.glob("*/written/*.ini")))
