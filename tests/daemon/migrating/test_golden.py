"""Files of other supervisors, the vassals that are written from them, and the report.

A case is a folder: ``given`` has the files, ``written`` the vassals, ``report.txt`` the rest.
``tools/test tests/daemon/migrating --rewrite`` writes the latter two; read them before a commit.
"""

import shutil
from pathlib import Path

import pytest
from emperord.daemon.migrating import run
from emperord.monitors import settings
from emperord.monitors.names import EXTENSIONS
from support.migrating import CASES, ENVIRON, KINDS, request


def migrated(case: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """The folder that is written from a case, and all that is told."""
    there = folder / case.name
    shutil.copytree(case / "given", there, symlinks=True)
    written = folder / "written"
    run.migrate(request(case, there, written), ENVIRON)
    told = capsys.readouterr()
    wrote = sorted(path.name for path in written.iterdir())
    assert sorted(Path(line).name for line in told.out.splitlines()) == wrote
    return written, told.err


def plain(text: str, folder: Path) -> str:
    return text.replace(str(folder), "/HERE")


@pytest.fixture
def rewriting(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--rewrite"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_each_line_is_taken_or_named(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rewriting: bool
) -> None:
    written, report = migrated(case, tmp_path, capsys)
    made = {path.name: plain(path.read_text(), tmp_path) for path in written.iterdir()}
    made["report.txt"] = plain(report, tmp_path)
    expected = {path.name: path for path in (case / "written").glob("*")}
    expected["report.txt"] = case / "report.txt"
    if rewriting:
        shutil.rmtree(case / "written", ignore_errors=True)
        (case / "written").mkdir()
        for name, text in made.items():
            where = case if name == "report.txt" else case / "written"
            (where / name).write_text(text)
        return
    assert made == {name: path.read_text() for name, path in expected.items()}


def test_there_are_ten_of_each_kind() -> None:
    kinds = [case.parent.name for case in CASES]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(KINDS, 10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_the_daemon_takes_all_that_is_written(case: Path) -> None:
    """Each config is one that ``[emperor]`` can have; a file that is off has a reason for it."""
    for path in (case / "written").iterdir():
        if path.suffix in EXTENSIONS:
            found, flaw = settings.read(path.name, path.read_bytes())
            assert flaw is None
            assert "command" in found
        elif path.suffix == ".off":
            assert f"{path.name}: no daemon starts it" in (case / "report.txt").read_text()
