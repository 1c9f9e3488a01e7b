"""Real uWSGI: a vassal starts, serves, reloads in place, dies and comes back."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.serving import serving, understands
from support.vassals import APP, Application

from ..conftest import MakeDaemon


@pytest.mark.parametrize(
    ("extension", "option"),
    [
        pytest.param(".ini", "ini", id="ini"),
        pytest.param(".yml", "yaml", id="yml"),
        pytest.param(".yaml", "yaml", id="yaml"),
        pytest.param(".json", "json", id="json"),
        pytest.param(".js", "json", id="js"),
        pytest.param(".xml", "xml", id="xml"),
    ],
)
def test_serves(daemon: Daemon, tmp_path: Path, extension: str, option: str) -> None:
    assert understands(option), f"this uWSGI was built without --{option}; tools/install mends it"
    app = Application(tmp_path)
    name = f"app{extension}"
    (daemon.vassals / name).write_text(app.config("hello", extension))
    daemon.start()
    answer = serving(daemon, app, "hello")
    vassal = daemon.phase(name, "accepting")
    assert answer.master == vassal.pid
    daemon.event("vassal_loyal", name)
    assert daemon.kinds(name) == [
        "vassal_added",
        "spawned",
        "vassal_ready",
        "vassal_accepting",
        "vassal_loyal",
    ]
    daemon.stop()
    assert app.answers() is None


def test_a_touch_reloads_in_place(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(tmp_path)
    config = daemon.vassals / "app.ini"
    config.write_text(app.config("hello"))
    daemon.start()
    before = serving(daemon, app, "hello")
    daemon.event("vassal_accepting", "app.ini")
    for count in (1, 2, 3):
        seq = daemon.last_seq()
        os.utime(config, ns=(0, count))  # an older time is a change as well
        reloaded = daemon.event("vassal_changed", "app.ini", after=seq)
        assert [action["do"] for action in reloaded.actions] == ["reload"]
        daemon.event("vassal_accepting", "app.ini", after=reloaded.seq)
        after = serving(daemon, app, "hello")
        assert after.master == before.master
        assert after.pid != before.pid
        before = after
    assert daemon.kinds("app.ini").count("spawned") == 1
    daemon.stop()


def test_an_edit_takes_effect(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(tmp_path)
    config = daemon.vassals / "app.ini"
    config.write_text(app.config("one"))
    daemon.start()
    master = serving(daemon, app, "one").master
    for says in ("two", "three"):
        config.write_text(app.config(says))
        assert serving(daemon, app, says).master == master
    daemon.stop()


GRANDCHILD = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execvp("sleep", ["sleep", "1000"])
    os._exit(0)
"""


def test_an_edit_while_it_starts_waits_for_all_its_workers(daemon: Daemon, tmp_path: Path) -> None:
    """The first says that it accepts; another, still loading, would be deaf to a reload."""
    load = "\nimport time, uwsgi\nif uwsgi.worker_id() == 2:\n    time.sleep(0.5)\n"
    app = Application(tmp_path, APP + load)
    config = daemon.vassals / "app.ini"
    lazily = {"lazy_apps": "true", "processes": "2"}
    config.write_text(app.config("one", **lazily))
    daemon.start()
    daemon.event("vassal_ready", "app.ini")
    config.write_text(app.config("two", **lazily))
    serving(daemon, app, "two")
    daemon.event("vassal_accepting", "app.ini", count=2)
    assert daemon.events("deadline_passed") == []
    daemon.stop()


@pytest.mark.parametrize("graceful", [False, True], ids=["at once", "gracefully"])
def test_a_stop_while_it_starts_needs_no_mercy(
    make_daemon: MakeDaemon, tmp_path: Path, graceful: bool
) -> None:
    """A worker that is still loading is deaf to what its master tells it once."""
    daemon = make_daemon(*["--graceful-shutdown"] * graceful)
    load = "\nimport time\ntime.sleep(0.5)\n"
    app = Application(tmp_path, APP + load)
    config = daemon.vassals / "app.ini"
    config.write_text(app.config("one", lazy_apps="true", processes="2"))
    daemon.start()
    daemon.event("vassal_ready", "app.ini")
    config.unlink()
    daemon.event("exited", "app.ini")
    assert not [a for e in daemon.events() for a in e.actions if a["do"] == "kill"]
    daemon.stop()


def test_a_stop_while_it_reloads_needs_no_mercy(daemon: Daemon, tmp_path: Path) -> None:
    """It had said that it accepts, but that was before its reload."""
    loads = tmp_path / "loads"
    load = f"\nimport time\nopen({str(loads)!r}, 'a').write('x')\ntime.sleep(0.5)\n"
    app = Application(tmp_path, APP + load)
    config = daemon.vassals / "app.ini"
    config.write_text(app.config("one"))
    daemon.start()
    serving(daemon, app, "one")
    before = len(loads.read_text())
    config.write_text(app.config("two"))
    daemon.until(lambda: len(loads.read_text()) > before, "it loads again")
    config.unlink()
    daemon.event("exited", "app.ini")
    assert not [a for e in daemon.events() for a in e.actions if a["do"] == "kill"]
    daemon.stop()


def test_removed_means_that_the_whole_tree_is_gone(daemon: Daemon, tmp_path: Path) -> None:
    app = Application(tmp_path, APP + GRANDCHILD)
    config = daemon.vassals / "app.ini"
    config.write_text(app.config("hello", processes="2"))
    daemon.start()
    serving(daemon, app, "hello")

    def sleepers() -> list[int]:
        return [pid for pid in daemon.running() if processes.argv_of(pid)[:1] == ["sleep"]]

    # One for each import of the application.
    daemon.until(sleepers, "the application has left its child")
    config.unlink()
    daemon.event("exited", "app.ini")
    assert daemon.running() == []
    daemon.gone("app.ini")
    daemon.stop()


def test_a_bad_config_is_throttled_and_a_fix_takes_effect_at_once(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("--throttle", "200", "--max-throttle", "400")
    app = Application(tmp_path)
    config = daemon.vassals / "app.ini"
    config.write_text("[uwsgi]\nchdir = /there/is/no/such/directory\n")
    daemon.start()
    deaths = [daemon.event("exited", "app.ini", count=count) for count in (1, 2, 3, 4)]
    assert all(death.body["code"] == 1 for death in deaths)
    assert "chdir(): No such file or directory" in deaths[0].body["log"]
    spawned = [event.at for event in daemon.events("spawned", "app.ini")]
    waited = [spawn - death.at for spawn, death in zip(spawned[1:], deaths, strict=False)]
    for pause, least in zip(waited, (200, 400, 400), strict=False):
        assert pause >= least * 1_000_000
    # A long pause now, which the fix must not wait for.
    daemon.stop()
    daemon.options += ["--throttle", "100000", "--max-throttle", "100000"]
    daemon.start()
    daemon.phase("app.ini", "throttled")
    config.write_text(app.config("fixed"))
    serving(daemon, app, "fixed")
    daemon.phase("app.ini", "accepting")
    daemon.stop()


def test_a_killed_master_takes_its_workers_along_and_is_replaced(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    # A loyal vassal is started again at once, but once a throttle at most.
    daemon = make_daemon("--throttle", "1")
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("hello", processes="2"))
    daemon.start()
    before = serving(daemon, app, "hello")
    # It answers before its worker's byte has come here.
    daemon.event("vassal_accepting", "app.ini")
    daemon.until(lambda: daemon.fleet().vassals["app.ini"].loyal, "it is loyal")
    tree = daemon.running_for("app.ini")
    assert {before.master, before.pid} < set(tree)
    os.kill(before.master, signal.SIGKILL)
    death = daemon.event("exited", "app.ini")
    assert death.body["signal"] == signal.SIGKILL
    assert [action["do"] for action in death.actions] == ["spawn"]  # it was loyal: at once
    after = serving(daemon, app, "hello")
    assert not set(tree) & set(daemon.running())
    assert after.master == daemon.pid_of("app.ini")
    # A worker that has only just been forked misses uWSGI's own signal to stop.
    daemon.event("vassal_accepting", "app.ini", count=2)
    daemon.stop()


def test_exile(daemon: Daemon) -> None:
    (daemon.vassals / "app.ini").write_text("[uwsgi]\nexit = 26\n")
    (daemon.vassals / "other.ini").write_text("[emperor]\ncommand = sh -c 'exit 26'\n")
    daemon.start()
    vassal = daemon.phase("other.ini", "barred")
    assert vassal.reason is not None
    assert "26" in vassal.reason
    daemon.stop()


HOSTILE = (
    "a:b.ini",
    "a:b:c.yml",
    "%n.ini",
    "http:%%x.ini",
    "$(touch x).ini",
    "@(app.py).ini",
    "-x.ini",
    "--ini.ini",
    "a b  c.ini",
    " .ini",
    "zürich ☃.ini",
    "'\"`;&|*?.ini",
    "a\\b.ini",
    "[uwsgi].ini",
    "x" * 250 + ".ini",
)


@pytest.mark.parametrize("url", ["dir://{}", "glob://{}/*"], ids=["dir", "glob"])
def test_any_name_runs_with_its_own_content(
    make_daemon: MakeDaemon, tmp_path: Path, url: str
) -> None:
    vassals = tmp_path / "vassals"
    daemon = make_daemon("--max-starting", "20", monitors=[url.format(vassals)])
    apps = {name: Application(tmp_path) for name in HOSTILE}
    for name, app in apps.items():
        path = vassals / name
        path.write_text(app.config(f"right {app.port}", path.suffix))
    daemon.start()
    for name, app in apps.items():
        full = name if url.startswith("dir") else str(vassals / name)
        if len(os.fsencode(full)) > 254:
            rejected = daemon.event("observation_rejected")
            assert "254" in rejected.body["reason"]
            continue
        answer = serving(daemon, app, f"right {app.port}")
        assert daemon.phase(full, "accepting").pid == answer.master, name
    assert {each.name for each in vassals.iterdir()} == set(HOSTILE)  # none has made a file
    daemon.stop()


def test_what_a_vassal_sees_of_the_daemon(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon(
        environ={
            "UWSGI_VASSAL_TOUCH_RELOAD": str(tmp_path),
            "EMPEROR_MERCY": "20",
            "NOTIFY_SOCKET": str(tmp_path / "nobody"),
        }
    )
    app = Application(tmp_path)
    (daemon.vassals / "app.ini").write_text(app.config("hello"))
    daemon.start()
    seen = serving(daemon, app, "hello").environ
    assert seen["UWSGI_TOUCH_RELOAD"] == str(tmp_path)
    assert "EMPEROR_MERCY" not in seen
    assert "NOTIFY_SOCKET" not in seen
    assert seen["EMPERORD_VASSAL"] == "app.ini"
    daemon.stop()


def test_templates_and_placeholders(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    app = Application(tmp_path)
    template = tmp_path / "template.ini"
    template.write_text("[uwsgi]\nenv = FROM_TEMPLATE=yes\n")
    daemon = make_daemon("--vassals-inherit", str(template), "--vassal-set", "greeting=hello")
    (daemon.vassals / "app.ini").write_text(app.config("%(greeting) from %n"))
    daemon.start()
    answer = serving(daemon, app, "hello from app")
    assert answer.environ["FROM_TEMPLATE"] == "yes"
    daemon.stop()


SLOW = """
import os, time
def application(environ, start_response):
    here = os.environ["SAYS"]
    open(f"{here}/begun", "w").close()
    while not os.path.exists(f"{here}/go"):
        time.sleep(0.01)
    start_response("200 OK", [])
    return [b'{"pid": 1, "parent": 1, "says": "finished", "environ": {}}']
"""


def test_a_graceful_shutdown_finishes_what_is_under_way(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon("--graceful-shutdown")
    app = Application(tmp_path, SLOW)
    (daemon.vassals / "app.ini").write_text(app.config(str(tmp_path)))
    daemon.start()
    daemon.phase("app.ini", "accepting")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(app.answers)
        try:
            daemon.until((tmp_path / "begun").exists, "the request is under way")
            daemon.send(signal.SIGTERM)
            daemon.event("daemon_stopping")
        finally:
            (tmp_path / "go").touch()
        finished = answer.result()
    assert finished is not None
    assert finished.says == "finished"
    assert daemon.wait() == 0
    assert daemon.running() == []
