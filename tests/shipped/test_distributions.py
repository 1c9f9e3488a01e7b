"""The wheel and the source distribution: their parts, their text, and how they are made."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from emperord.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
_TARGET = re.compile(r"\]\(([^)\s]+)\)")


def setup_module_of_tree() -> ModuleType:
    """The module setup.py, which does nothing when it is imported."""
    spec = importlib.util.spec_from_file_location("setup_of_tree", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["setuptools"] = stand_in = ModuleType("setuptools")
    vars(stand_in)["setup"] = None
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["setuptools"]
    return module


def test_there_is_one_version() -> None:
    assert metadata.version("emperord") == VERSION
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest is not None
    assert VERSION.removesuffix(".dev0") == newest[1]
    unreleased = f"## {newest[1]} (not released)" in (ROOT / "CHANGELOG.md").read_text()
    assert VERSION.endswith(".dev0") == unreleased


def test_the_metadata_invents_nothing() -> None:
    told = metadata.metadata("emperord")
    assert told["Author"] == "The emperord developers"
    assert "Author-Email" not in told
    assert told.get_all("Project-URL") is None
    assert told["Description-Content-Type"] == "text/markdown"


def test_no_link_of_the_description_leads_nowhere() -> None:
    """An index shows the text alone: no file is beside it."""
    text = metadata.metadata("emperord").json["description"]
    assert isinstance(text, str)
    assert "emperor-replay" in text
    assert [link for link in _TARGET.findall(text) if not link.startswith("https://")] == []
    assert "| `docs/moving-in.md` |" in text


def test_with_a_public_home_links_lead_there() -> None:
    description = setup_module_of_tree().description
    text = "[a](docs/a.md#b), [the b](b.md), [c](https://c.example/), [d](#d), [e](docs/e.md)\n"
    assert description(text) == (
        "a (`docs/a.md`), the b (`b.md`), [c](https://c.example/), [d](#d), e (`docs/e.md`)\n"
    )
    assert description(text, "https://x.example/tree/") == (
        "[a](https://x.example/tree/docs/a.md#b), [the b](https://x.example/tree/b.md), "
        "[c](https://c.example/), [d](#d), [e](https://x.example/tree/docs/e.md)\n"
    )


def test_every_package_is_listed() -> None:
    """One that is not would be missing in the wheel alone."""
    found = {
        ".".join(("emperord", *path.parent.relative_to(ROOT).parts))
        for room in ("journal", "daemon", "monitors", "replay")
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"emperord"}


def test_data_files_are_there() -> None:
    for target, patterns in PROJECT["tool"]["setuptools"]["data-files"].items():
        assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == [], target


def test_an_installation_has_units_manuals_and_pages() -> None:
    files = metadata.files("emperord")
    assert files is not None
    there = {str(path).rpartition("../")[2] for path in files}
    assert {
        "share/emperord/systemd/emperord.service",
        "share/emperord/systemd/emperord.socket",
        "share/emperord/sysusers.d/emperord.conf",
        "share/emperord/tmpfiles.d/emperord.conf",
        "share/emperord/emperor.ldif",
        "share/emperord/emperor.logrotate",
        "share/doc/emperord/docs/vassals.md",
        "share/man/man1/emperor.1",
        "share/bash-completion/completions/emperor",
        "share/zsh/site-functions/_emperor",
        "share/fish/vendor_completions.d/emperor.fish",
    } <= there


def build(tree: Path, folder: Path, epoch: str, umask: int) -> dict[str, bytes]:
    """The distributions by name; SOURCE_DATE_EPOCH where it is given."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(
        [sys.executable, tree / "tools" / "build", folder],
        check=True, env=environ, umask=umask, stdout=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tracked() -> set[str]:
    """The files of the repository."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.mark.slow
def test_built_twice_it_is_the_same(tmp_path: Path) -> None:
    """From the repository, and from the unpacked source distribution with other modes and times."""
    first = build(ROOT, tmp_path / "first", "1700000000", 0o022)
    (sdist,) = (tmp_path / "first").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (tree,) = (tmp_path / "unpacked").iterdir()
    there = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    made = {"PKG-INFO", "setup.cfg"}
    assert {name for name in there if ".egg-info/" not in name} - made == tracked()
    for path in tree.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(path.stat().st_mode & ~0o077)
    (tree / ".venv").mkdir()
    shutil.copytree(ROOT / ".venv" / "backend", tree / ".venv" / "backend")
    second = build(tree, tmp_path / "second", "1700000000", 0o077)
    assert first == second
    (wheel,) = (tmp_path / "first").glob("*.whl")
    with zipfile.ZipFile(wheel) as zipped:
        infos = zipped.infolist()
    assert {info.date_time for info in infos} == {(2023, 11, 14, 22, 13, 20)}
    assert {oct(info.external_attr >> 16) for info in infos} == {"0o100644"}
    assert not [info for info in infos if info.filename.startswith("emperord/setup")]


@pytest.mark.slow
def test_quick_tests_run_from_the_source_distribution(tmp_path: Path) -> None:
    """In the unpacked tree, without git, against the package that it is."""
    build(ROOT, tmp_path / "made", "1700000000", 0o022)
    (sdist,) = (tmp_path / "made").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (tree,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "emperord").symlink_to(tree)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
         "tests/fold/test_golden.py", "tests/journal/test_chain.py",
         "tests/replay/test_history.py"],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tmp_path / "path")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
