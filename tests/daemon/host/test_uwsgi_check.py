"""``preflight = uwsgi``: configs that uWSGI would start with, and those that it would not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.daemon.host import preflight_process
from emperord.journal.events import Spec

WORDS = preflight_process.argv_of(Spec(ts=1, settings={"preflight": "uwsgi"}))


def checked(folder: Path, name: str, text: str) -> tuple[int, str]:
    """The exit code of the check in a folder that has an application, and its output."""
    (folder / "app.py").write_text("")
    path = folder / name
    path.write_text(text)
    run = subprocess.run(
        WORDS,
        env={"EMPERORD_CONFIG": str(path), "PATH": os.defpath},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    return run.returncode, run.stdout.strip()


GOOD = {
    "ini": ("a.ini", "; x\n[emperor]\npreflight = uwsgi\n[uwsgi]\nwsgi-file = app.py\nmaster=1\n"),
    "a module": ("a.ini", "[uwsgi]\nmodule = nowhere:app\n"),
    "placeholders": ("a.ini", "[uwsgi]\nwsgi-file = %n.py\nchdir = $(HOME)\n"),
    "another folder": ("a.ini", "[uwsgi]\nchdir = ..\nchdir2 = {here}\nwsgi-file = app.py\n"),
    "a mount": ("a.ini", "[uwsgi]\nmount = /x=app.py\nmount = /y=package:app\n"),
    "yaml": ("a.yml", "uwsgi:\n  wsgi-file: app.py\n"),
    "a list": ("a.yaml", "uwsgi:\n  - wsgi-file: app.py\n"),
    "json": ("a.json", '{"uwsgi": {"wsgi-file": "app.py", "http": [":80", ":81"]}}'),
    "xml": ("a.xml", "<uwsgi><wsgi-file>app.py</wsgi-file></uwsgi>"),
}


@pytest.mark.parametrize(("name", "text"), GOOD.values(), ids=GOOD)
def test_good_ones(tmp_path: Path, name: str, text: str) -> None:
    assert checked(tmp_path, name, text.replace("{here}", str(tmp_path))) == (0, "")


FILE = "there is no such file: no.py"
BAD = {
    "no file": ("a.ini", "[uwsgi]\nwsgi-file = no.py\n", f"wsgi-file = no.py: {FILE}"),
    "no mount": ("a.ini", "[uwsgi]\nmount = /=no.py\n", f"mount = /=no.py: {FILE}"),
    "no folder": ("a.ini", "[uwsgi]\nchdir = no\n", "chdir = no: there is no such directory: no"),
    "no section": ("a.ini", "[emperor]\npreflight = uwsgi\n", "it has no section [uwsgi]"),
    "no key": ("a.ini", "[uwsgi]\nmaster\n", "line 2: is no KEY = VALUE"),
    "no bracket": ("a.ini", "[uwsgi\nmaster = 1\n", "line 1: a section that has no ]"),
    "no section yet": ("a.ini", "master = 1\n", "line 1: stands before the first section"),
    "yaml": ("a.yml", "uwsgi: [a\n", "it is no YAML: "),
    "no mapping": ("a.yml", "uwsgi: a\n", "uwsgi must be a mapping of options"),
    "json": ("a.json", "{", "it is no JSON: "),
    "another key": ("a.json", "{}", "it has no key uwsgi"),
    "xml": ("a.xml", "<uwsgi>", "it is no XML: "),
    "another element": ("a.xml", "<x/>", "it has no element uwsgi"),
}


@pytest.mark.parametrize(("name", "text", "flaw"), BAD.values(), ids=BAD)
def test_bad_ones(tmp_path: Path, name: str, text: str, flaw: str) -> None:
    code, told = checked(tmp_path, name, text)
    assert code == 1
    assert told.startswith(f"{name}: {flaw}")


def test_it_needs_nothing_of_ours() -> None:
    """The vassal's user may not be able to read this package."""
    assert WORDS[:3] == [sys.executable, "-I", "-c"]
    assert "emperord" not in WORDS[3]
