"""Magic variables in settings that all vassals get: as uWSGI expands them in a config."""

import os
import subprocess
from pathlib import Path

import pytest
from emperord.daemon.control.explain import Explainer
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import command
from emperord.daemon.host.magic import expand
from emperord.daemon.host.users import User
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.vassals import UWSGI, Application

from ..conftest import MakeDaemon

POLICY = Policy(uwsgi="/bin/true")
ALL = (
    "o=%o p=%p s=%s d=%d e=%e n=%n c=%c 0=%0 1=%1 2=%2 9=%9 x=%x u=%u U=%U g=%g G=%G v=%v h=%h"
    " O=%O D=%D S=%S P=%P C=%C E=%E N=%N X=%X percent=%% placeholder=%(foo) twice=%n%n"
)


def by_uwsgi(folder: Path, name: str, argument: str) -> str:
    """The text that uWSGI itself makes of ``ALL`` in the config ``name``."""
    (folder / name).write_text(f"[uwsgi]\nshow-config = true\nset-placeholder = all={ALL}\n")
    told = subprocess.run(
        [UWSGI, "--ini", argument],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = (line for line in told.stderr.splitlines() if "all=" in line)
    return line.partition("all=")[2]


@pytest.mark.parametrize("name", ["a.ini", "a.b.ini", ".ini", "x%ny.ini", "ä b.ini", "a:b.ini"])
def test_as_uwsgi_does_in_a_directory(name: str, tmp_path: Path) -> None:
    spec = Spec(ts=1, path=str(tmp_path / name), cwd=str(tmp_path))
    (word,) = [each for each in command.argv(name, spec, POLICY) if each.startswith(name)]
    assert expand(ALL, name, spec, None)[0] == by_uwsgi(tmp_path, name, word)


@pytest.mark.parametrize(
    "path", ["apps/one/a.ini", "{}/apps/one/a.ini", "./apps/../apps/one/a.ini"]
)
def test_as_uwsgi_does_for_a_pattern(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "one").mkdir(parents=True)
    (tmp_path / "apps").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    name = path.format(tmp_path)
    spec = Spec(ts=1, path=name)
    assert expand(ALL, name, spec, None)[0] == by_uwsgi(tmp_path, name, name)


@pytest.mark.parametrize("target", [None, "target.conf"], ids=["a file", "a symlink"])
def test_as_uwsgi_does_in_a_directory_that_is_a_symlink(target: str | None, tmp_path: Path) -> None:
    (tmp_path / "mag").mkdir()
    folder = tmp_path / "maglink"
    folder.symlink_to("mag")
    if target is not None:
        (folder / "a.ini").symlink_to(target)
    spec = Spec(ts=1, path=str(folder / "a.ini"), cwd=str(folder))
    assert expand(ALL, "a.ini", spec, None)[0] == by_uwsgi(folder, "a.ini", "a.ini")


@pytest.mark.parametrize(
    "path", ["apps/a.ini", "{}/apps/a.ini", "./apps/../apps/a.ini", "{}/apps/./a.ini"]
)
def test_as_uwsgi_does_for_a_pattern_of_symlinks(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "apps").symlink_to("real")
    (tmp_path / "real" / "a.ini").symlink_to("target.conf")
    monkeypatch.chdir(tmp_path)
    name = path.format(tmp_path)
    spec = Spec(ts=1, path=name)
    assert expand(ALL, name, spec, None)[0] == by_uwsgi(tmp_path, name, name)


def test_as_uwsgi_does_for_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "link.ini").symlink_to("target.conf")
    spec = Spec(ts=1, path=str(tmp_path / "link.ini"), cwd=str(tmp_path))
    expanded = expand(ALL, "link.ini", spec, None)[0]
    assert "n=link " in expanded
    assert expanded == by_uwsgi(tmp_path, "link.ini", "link.ini")


@pytest.mark.parametrize(
    ("value", "expanded", "used"),
    [
        pytest.param("/run/%n.sock", "/run/a.b.sock", ["%n"], id="name"),
        pytest.param("%s %e %n", "a.b.ini ini a.b", ["%s", "%e", "%n"], id="file"),
        pytest.param("%o", "emperor://x/a.b.ini", ["%o"], id="as given"),
        pytest.param("<%p%d%c%0>", "<>", ["%p", "%d", "%c", "%0"], id="no directory"),
        pytest.param("%%n", "%n", [], id="percent"),
        pytest.param("%(n) %(n", "%(n) %(n", [], id="placeholder"),
        pytest.param("%t%V%Y-%z%", "%t%V%Y-%z%", [], id="not ours"),
        pytest.param("100 %", "100 %", [], id="none"),
    ],
)
def test_an_inline_config_has_a_name_and_no_directory(
    value: str, expanded: str, used: list[str]
) -> None:
    assert expand(value, "x/a.b.ini", Spec(ts=1), None) == (expanded, used)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        pytest.param({"USER": "shop"}, "shop", id="told with the account"),
        pytest.param({}, "0", id="without an account"),
    ],
)
def test_a_name_that_is_known_is_not_looked_up(account: dict[str, str], name: str) -> None:
    assert expand("%U", "a.ini", Spec(ts=1), User(0, 0, (0,), account)) == (name, ["%U"])


def test_each_vassal_has_its_own_socket(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon(environ={"UWSGI_VASSAL_SOCKET": f"{tmp_path}/%n.sock"})
    for name in ("one", "two"):
        (daemon.vassals / f"{name}.ini").write_text(Application(tmp_path).config(name))
    daemon.start()
    for name in ("one", "two"):
        daemon.phase(f"{name}.ini", "accepting")
    assert {path.name for path in tmp_path.glob("*.sock")} == {"one.sock", "two.sock"}
    daemon.stop()


def test_explain_says_what_was_expanded(tmp_path: Path) -> None:
    environ = {"UWSGI_VASSAL_PIDFILE": "%d%n-%n.pid", "UWSGI_VASSAL_PROCNAME": "plain"}
    spec = Spec(ts=1, path=str(tmp_path / "a.ini"), cwd=str(tmp_path))
    explain = Explainer(POLICY, lambda _: None, environ)
    said = explain(Vassal("a.ini", "dir:///v", spec, "listening", 1, 1))["environment"]
    told = {each["name"]: (each["value"], each["from"]) for each in said}
    assert {name: told[name] for name in told if name.startswith("UWSGI_")} == {
        "UWSGI_PIDFILE": (
            f"{os.path.realpath(tmp_path)}/a-a.pid",
            "UWSGI_VASSAL_PIDFILE, %d %n expanded",
        ),
        "UWSGI_PROCNAME": ("plain", "UWSGI_VASSAL_PROCNAME"),
    }
