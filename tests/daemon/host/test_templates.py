"""Templates: ``app@.ini`` is no vassal, and each link ``app@one.ini`` to it is one."""

import os
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.main import main
from emperord.monitors import names, settings
from support import processes
from support.serving import serving
from support.vassals import SLEEPER, Application, program

from ..conftest import MakeDaemon

PAIRS = {
    "app@one.ini": "one",
    "/v/app@a@b.ini": "a@b",
    "app@.ini": "",
    "app.ini": "",
    "/v@x/app.ini": "",
    "app@one.two.ini": "one.two",
}


@pytest.mark.parametrize(("name", "instance"), PAIRS.items())
def test_the_instance_of_a_name(name: str, instance: str) -> None:
    assert names.instance(name) == instance


def test_which_names_are_templates() -> None:
    assert names.is_template("app@.ini")
    assert names.is_template("/v/app@.json")
    assert not any(map(names.is_template, ("app@one.ini", "@.ini", "a@b@.ini", "app.ini", "app@")))


def test_settings_have_the_instance() -> None:
    text = b"[emperor]\ncommand = run --name %i '%i x' %%i 50%\ndirectory = /srv/%i\n"
    assert settings.read("app@one.ini", text) == (
        {"command": "run --name one 'one x' %i 50%", "directory": "/srv/one"},
        None,
    )
    assert settings.read("app.ini", text)[0]["directory"] == "/srv/%i"
    found, flaw = settings.read("app@a b.ini", text)
    assert not found
    assert flaw == "[emperor] command: %i is a b; it may have letters, digits and . : + _ -"
    listed = b'{"emperor": {"command": ["run", "%i"]}}'
    assert settings.read("app@one.json", listed)[0] == {"command": "run one"}


def _runs(pid: int) -> bool:
    return processes.argv_of(pid)[:1] == ["sleep"]


@pytest.mark.parametrize("pattern", [False, True], ids=["dir", "glob"])
def test_each_link_is_an_instance(pattern: bool, make_daemon: MakeDaemon, tmp_path: Path) -> None:
    monitors = [f"glob://{tmp_path}/vassals/*.ini"] if pattern else None
    daemon = make_daemon(monitors=monitors)
    prefix = f"{tmp_path}/vassals/" if pattern else ""
    template = daemon.vassals / "app@.ini"
    template.write_text(program("sleep", "1000", environment="NAME=%i"))
    (daemon.vassals / "app@one.ini").symlink_to("app@.ini")
    (daemon.vassals / "app@two.ini").symlink_to("app@.ini")
    daemon.start()
    for name in ("one", "two"):
        pid = daemon.phase(f"{prefix}app@{name}.ini", "ready").pid or 0
        daemon.until(partial(_runs, pid), "it runs")
        environment = processes.environment_of(pid)
        assert (environment["NAME"], environment["EMPERORD_INSTANCE"]) == (name, name)
    template.write_text(program("sleep", "1001", environment="NAME=%i"))
    for name in ("one", "two"):
        daemon.event("vassal_changed", f"{prefix}app@{name}.ini")
    (daemon.vassals / "app@one.ini").unlink()
    daemon.gone(f"{prefix}app@one.ini")
    added = {str(each.vassal) for each in daemon.events("vassal_added")}
    assert added == {f"{prefix}app@one.ini", f"{prefix}app@two.ini"}
    assert not daemon.events("observation_rejected")
    daemon.stop()


def test_uwsgi_has_the_instance(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon()
    app = Application(tmp_path)
    (daemon.vassals / "app@.ini").write_text(app.config("$(EMPERORD_INSTANCE)"))
    (daemon.vassals / "app@one.ini").symlink_to("app@.ini")
    daemon.start()
    serving(daemon, app, "one")
    daemon.stop()


def test_a_template_without_an_instance_is_told_until_it_has_one(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    (daemon.vassals / "app@.ini").write_text(SLEEPER)
    daemon.start()
    rejected = daemon.event("observation_rejected")
    assert rejected.body["name"] == "app@.ini"
    assert "it is a template without an instance" in rejected.body["reason"]
    (daemon.vassals / "app@one.ini").symlink_to("app@.ini")
    daemon.phase("app@one.ini", "ready")
    daemon.stop()


def test_a_folder_of_templates_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each of them, thousands of a tenant's would delay all other vassals."""
    for number in range(50):
        (tmp_path / f"t{number}@.ini").write_text("x")
    (tmp_path / "t1@one.ini").symlink_to("t1@.ini")
    listed: list[object] = []
    list_folder = os.listdir

    def noted(folder: int) -> list[str]:
        listed.append(folder)
        return list_folder(folder)

    monkeypatch.setattr("emperord.monitors.files.scan.os.listdir", noted)
    result = CliRunner().invoke(main, ["--check", "--as-root", str(tmp_path)])
    assert result.output.count("it is a template without an instance") == 49, result.output
    assert len(listed) == 1
