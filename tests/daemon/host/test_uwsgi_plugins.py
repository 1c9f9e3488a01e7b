"""Plugins that a config asks for and its uWSGI lacks: named by --check and at a failed start."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from emperord.daemon.host import command, uwsgi_plugins
from emperord.daemon.host.uwsgi_choice import Choice
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.asking import asked
from support.serving import serving
from support.vassals import Application

from ..conftest import MakeDaemon, MakeEmperor

UWSGI = command.find_uwsgi(Policy())
PYTHON3 = "has python built in and no plugin python3: remove"


def lacking(text: str, *, policy: Policy | None = None, cwd: Path | None = None) -> list[str]:
    spec = Spec(ts=1, config="0" * 64, path="/v/a.ini", cwd=str(cwd or "/"))
    return [each.text for each in uwsgi_plugins.lacks(spec, text.encode(), policy or Policy())]


FORMATS = {
    "ini": "[uwsgi]\nplugins = python3",
    "number": "[uwsgi]\nplugin = 0:python3",
    "several": "[uwsgi]\nplugins = python,http,python3",
    "yaml": "uwsgi:\n  plugins: python3\n",
    "json": json.dumps({"uwsgi": {"plugins": "python3"}}),
    "xml": "<uwsgi><plugins>python3</plugins></uwsgi>",
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_a_plugin_under_another_name_is_told(text: str) -> None:
    (told,) = lacking(text)
    assert told.startswith(f"this uwsgi ({UWSGI}) {PYTHON3} plugin")


QUIET = {
    "built in": "[uwsgi]\nplugins = python,http,router_static",
    "a comment": "[uwsgi]\n; plugins = python3",
    "a path": "[uwsgi]\nplugins = /usr/lib/uwsgi/plugins/x_plugin.so",
    "a placeholder": "[uwsgi]\nplugins = %n",
    "other options": "[uwsgi]\nmyplugins = a\nplugins-list = b",
    "nothing": "",
}


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET)
def test_nothing_is_told_of_what_is_there_or_cannot_be_known(text: str) -> None:
    assert lacking(text) == []


def test_files_of_plugins_are_found(tmp_path: Path) -> None:
    text = "[uwsgi]\nplugins-dir = more\nplugins = mine"
    assert "has no plugin mine: install it in" in lacking(text, cwd=tmp_path)[0]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine_plugin.so").touch()
    assert lacking(text, cwd=tmp_path) == []


def test_the_folder_of_plugins_is_named_as_the_vassal_sees_it(tmp_path: Path) -> None:
    folder = uwsgi_plugins._read(UWSGI, 0, 0)
    assert folder is not None
    place = os.path.normpath(tmp_path / folder.folder)
    (told,) = lacking("[uwsgi]\nplugins = mine", cwd=tmp_path)
    assert told.endswith(f"no plugin mine: install it in {place}, or give --uwsgi another one")


def test_those_that_end_uwsgi_are_told_first(tmp_path: Path) -> None:
    spec = Spec(ts=1, config="0" * 64, path="/v/a.ini", cwd=str(tmp_path))
    text = b"[uwsgi]\nneed-plugin = hers\nplugins = mine,hers\nneed-plugins = his"
    found = uwsgi_plugins.lacks(spec, text, Policy())
    names = [each.text.partition(" no plugin ")[2].partition(":")[0] for each in found]
    assert list(zip(names, [each.needed for each in found], strict=True)) == [
        ("hers", True),
        ("his", True),
        ("mine", False),
    ]


def test_another_binary_is_named_and_its_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(tmp_path, "uwsgi_python3", monkeypatch)
    (told,) = lacking(FORMATS["ini"], policy=Policy(uwsgi=UWSGI))
    assert told.endswith(f"remove plugins = python3, or give --uwsgi {other}")
    assert lacking(FORMATS["ini"], policy=Policy(uwsgi=str(other))) == []


def another(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second uWSGI on PATH."""
    other = folder / name
    shutil.copy(UWSGI, other)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    uwsgi_plugins._installed.cache_clear()
    return other


def chosen(text: str, policy: Policy | None = None) -> str | None:
    spec = Spec(ts=1, config="0" * 64, path="/v/a.ini", cwd="/")
    asked = uwsgi_plugins.asked_by(spec, text.encode(), policy or Policy())
    return uwsgi_plugins.choose(spec, asked, policy or Policy())


def test_the_first_binary_that_has_the_plugins_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(tmp_path, "uwsgi_python3", monkeypatch)
    assert chosen(FORMATS["ini"]) == str(other)
    assert lacking(FORMATS["ini"]) == []
    assert chosen("[uwsgi]\nplugins = python,http") is None
    assert chosen("[uwsgi]\nplugins = python3,lua") is None
    assert "no plugin lua" in lacking("[uwsgi]\nplugins = python3,lua")[1]
    assert chosen("[uwsgi]\nplugins-dir = /x\nplugins = python3") is None
    assert chosen(FORMATS["ini"], Policy(wrapper="/bin/sh")) is None
    # The operator's choice stands.
    assert chosen(FORMATS["ini"], Policy(uwsgi=UWSGI)) is None
    assert chosen(FORMATS["ini"], Policy(uwsgi=f"{UWSGI}:/none:{other}")) == str(other)
    assert command.find_uwsgi(Policy(uwsgi=f"/none:{UWSGI}:{other}")) == UWSGI


def test_a_config_is_read_once_for_its_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(tmp_path, "uwsgi-more_python3", monkeypatch)
    read: list[str] = []

    def config_text(digest: str) -> bytes:
        read.append(digest)
        return FORMATS["ini"].encode()

    choice = Choice(config_text)
    spec = Spec(ts=1, config="0" * 64, path="/v/a.ini", cwd="/")
    assert [choice.of(spec, Policy()) for _ in range(3)] == [str(other)] * 3
    assert read == ["0" * 64]


def test_the_daemon_runs_it_and_says_so(
    make_emperor: MakeEmperor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    other = another(tmp_path / "bin", "uwsgi_python3", monkeypatch)
    daemon = make_emperor()
    daemon.environ["PATH"] = os.environ["PATH"]
    app = Application(daemon.vassals)
    (daemon.vassals / "a.ini").write_text(app.config("one", plugins="python3"))
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert f"a.ini: {other} --ini a.ini" in daemon.log()
    daemon.start()
    serving(daemon, app, "one")
    pid = daemon.pid_of("a.ini")
    assert os.readlink(f"/proc/{pid}/exe") == str(other)
    words = asked(daemon, "explain", "a.ini")["argv"]
    assert words[0] == {"word": str(other), "from": "the uWSGI that has its plugins"}
    daemon.stop()


@pytest.mark.parametrize("program", [sys.executable, __file__])
def test_other_programs_are_not_judged(program: str, tmp_path: Path) -> None:
    path = tmp_path / "uwsgi"
    shutil.copy(program, path)
    path.chmod(0o755)
    assert lacking(FORMATS["ini"], policy=Policy(uwsgi=str(path))) == []


def test_check_and_the_failed_start_tell_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    app = Application(daemon.vassals)
    (daemon.vassals / "a.ini").write_text(app.config("one", need_plugins="python3"))
    (daemon.vassals / "b.ini").write_text(app.config("one", plugins="python3"))
    more = app.config("one", plugins="python3", need_plugins="hers,his")
    (daemon.vassals / "c.ini").write_text(more)
    daemon.launch("--check")
    assert daemon.wait() == 1
    (line,) = (each for each in daemon.log().splitlines() if "c.ini: would end at once" in each)
    places = [line.index(f"no plugin {name}: ") for name in ("hers", "his", "python3")]
    assert places == sorted(places)
    (daemon.vassals / "c.ini").unlink()
    assert f"  a.ini: would end at once: this uwsgi ({UWSGI}) {PYTHON3}" in daemon.log()
    assert f"  (warning: this uwsgi ({UWSGI}) {PYTHON3}" in daemon.log()
    (daemon.vassals / "b.ini").unlink()
    daemon.start()
    body = daemon.event("exited", "a.ini").body
    assert body["log"].splitlines()[-1].startswith(f"emperor: this uwsgi ({UWSGI}) {PYTHON3}")
    daemon.stop()
