"""``emperor --from``: a real daemon runs an Emperor's config, and real uWSGI its vassals."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import processes
from support.ports import free_port
from support.serving import serving
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground, status_of
from support.vassals import Application

from ..conftest import QUICK, MakeDaemon

OPTIONS = {
    "emperor": "%dvassals",
    "master": "true",
    "env": "FROM_EMPEROR=yes",
    "vassal-set": "greeting=hello",
    "master-fifo": "/run/fifo",
    "vacuum": "true",
}


def written(path: Path, options: Mapping[str, str]) -> str:
    """The path of the config, in the format of its ending."""
    if path.suffix == ".ini":
        text = "[uwsgi]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
    elif path.suffix == ".yml":
        text = "uwsgi:\n" + "".join(f"  {key}: {value}\n" for key, value in options.items())
    elif path.suffix == ".json":
        text = json.dumps({"uwsgi": options}, indent=1)
    else:
        elements = "".join(f"<{key}>{value}</{key}>\n" for key, value in options.items())
        text = f"<uwsgi>\n{elements}</uwsgi>"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("ending", ["ini", "yml", "json", "xml"])
def test_a_config_of_each_format_starts_its_vassals(
    ending: str, make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    path = written(tmp_path / f"emperor.{ending}", OPTIONS)
    daemon = make_daemon("--from", path, monitors=[])
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("%(greeting)"))
    daemon.start()
    assert serving(daemon, app, "hello").environ["FROM_EMPEROR"] == "yes"
    (line,) = (
        number
        for number, text in enumerate(Path(path).read_text().splitlines(), 1)
        if "fifo" in text
    )
    assert f"--from: {path}:{line}: master-fifo = /run/fifo: use emperor-ctl" in daemon.log()
    assert daemon.log().count(f"--from: {path}:") == 1  # needless options are not told
    daemon.stop()


def test_uid_and_gid_are_those_of_the_vassals() -> None:
    with common_ground() as folder:
        options = {"emperor": "vassals", "uid": str(ALICE), "gid": str(ALICES), "env": "A=b"}
        path = written(folder / "emperor.ini", {**options, "chdir": str(folder)})
        with TyrantDaemon(folder, *QUICK, "--from", path, monitors=[]) as daemon:
            del daemon.environ["EMPEROR_AS_ROOT"]
            daemon.put("a.ini", uid=0, gid=0)
            daemon.start()
            pid = daemon.executed("a.ini")
            assert status_of(pid)["Uid"] == [str(ALICE)] * 4
            assert status_of(pid)["Gid"] == [str(ALICES)] * 4
            assert processes.environment_of(pid)["A"] == "b"
            daemon.stop()


def test_a_router_is_a_vassal(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """As docs/from-uwsgi.md has it."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "from-uwsgi.md").read_text()
    _, _, rest = page.partition("/router.ini\n")
    router, _, _ = rest.partition("```")
    app, port = Application(tmp_path), free_port()
    subscriptions = f"127.0.0.1:{free_port()}"
    config = app.config("hello", subscribe_to=f"{subscriptions}:127.0.0.1:{port}")
    daemon = make_daemon("--from", written(tmp_path / "emperor.ini", OPTIONS), monitors=[])
    given = router.replace("0.0.0.0:8080", f"127.0.0.1:{port}")
    given = given.replace("127.0.0.1:2222", subscriptions)
    assert given.count("127.0.0.1") == 2
    (daemon.vassals / "router.ini").write_text(given)
    (daemon.vassals / "app.ini").write_text(config.replace("http-socket =", "socket ="))
    daemon.start()
    app.port = port
    serving(daemon, app, "hello")
    assert daemon.phase("router.ini", "ready").pid
    daemon.stop()


def test_a_config_that_would_do_harm_starts_nothing(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    path = written(tmp_path / "emperor.ini", {"emperor": "/v", "call-as-vassal": "setup"})
    daemon = make_daemon("--from", path, monitors=[]).launch()
    assert daemon.wait() == 2
    assert f"{path}:3: call-as-vassal = setup: do it by exec-as-vassal" in daemon.log()
    assert not os.path.exists(daemon.journal)
