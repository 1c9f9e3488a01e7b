"""Typical set-ups of uWSGI's Emperor: each starts as it stands, or is told what to do line by line.

``{folder}`` in a config is the folder of the test, ``{port}`` a free port. A line of a config may
have what ``--from`` is to say of it behind ``##``.
"""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from support import processes
from support.clients import dial, listened_at
from support.ports import free_port
from support.serving import serving
from support.tyrant import ALICE, ALICES, TyrantDaemon, common_ground, status_of
from support.vassals import SLEEPER, Application
from support.waiting import until

from ..conftest import QUICK, MakeDaemon, MakeEmperor

STARTS = {
    "a distribution's package": """\
; as a package installs it for an init script
[uwsgi]
autoload = true
master = true
workers = 2
no-orphans = true
log-date = true  ## the daemon's log has times
pidfile = {folder}/emperor.pid
logto = {folder}/emperor.log
emperor = {folder}/vassals
""",
    "a guide to hosting": """\
[uwsgi]
emperor = {folder}/vassals
vassals-include = {folder}/all.ini
vassal-set = region=north
env = REGION=north
logto = {folder}/emperor.log
emperor-freq = 2
emperor-throttle = 500
vacuum = true
""",
    "a container": """\
[uwsgi]
master = true
strict = true
die-on-term = true
need-app = true
emperor = {folder}/vassals
logto = /dev/stdout
stats = 127.0.0.1:{port}
stats-http = true  ## the document comes as it is
thunder-lock = true
""",
    "two directories and a queue": """\
[uwsgi]
plugins = emperor_zeromq
emperor = {folder}/vassals
emperor = glob://{folder}/more/*.ini
emperor = zmq://tcp://127.0.0.1:{port}
emperor-required-heartbeat = 60
emperor-broodlord = 4  ## a vassal gets no reinforcements
""",
    "hooks and a wrapper": """\
[uwsgi]
emperor = {folder}/vassals
vassals-start-hook = {folder}/hook
exec-as-vassal = touch {folder}/prepared
exec-as-emperor = echo $UWSGI_VASSAL_CONFIG >> {folder}/hooks
vassals-stop-hook = {folder}/hook
emperor-wrapper-override = {folder}/nowhere
emperor-stats = {folder}/stats.sock
master-fifo = {folder}/fifo  ## use emperor-ctl in place of the pipe
""",
}

# As root: the users of vassals.
USERS = {
    "one user": """\
[uwsgi]
emperor = {folder}/vassals
uid = {uid}
gid = {gid}
chmod-socket = 660
master = true
logto = {folder}/emperor.log
safe-pidfile = {folder}/emperor.pid
limit-as = 512  ## write the Limit directives into the unit
""",
    "tyrant mode with plugins": """\
[uwsgi]
plugins = python3,logfile
emperor = {folder}/vassals
emperor-tyrant = true
cap = setgid,setuid  ## --user and --tyrant need no capability
stats = {folder}/stats.sock
""",
}

REFUSED = {
    "a router in the emperor": """\
[uwsgi]
emperor = {folder}/vassals
http = :8080  ## make the router a vassal of its own
http-to = /run/app.sock
fastrouter = 127.0.0.1:3031  ## make the router a vassal of its own
socket = {folder}/emperor.sock  ## the daemon answers no requests
""",
    "helpers beside the vassals": """\
[uwsgi]
emperor = {folder}/vassals
cron = 59 2 -1 -1 -1 /usr/local/bin/backup  ## make it a systemd timer
attach-daemon = memcached -p 11211  ## make it a vassal of its own, or a unit
legion = web 225.1.1.1:4242 98 bf-cbc:secret  ## make it a vassal of its own
logto = {folder}/emperor.log
""",
    "namespaces and mounts": """\
[uwsgi]
emperor = {folder}/vassals
emperor-use-clone = fs,net,pid  ## make the namespace pid in a wrapper, by unshare(1)
mount-as-vassal = proc none  ## write TYPE WHAT WHERE
hook-as-vassal = putenv:A=B  ## write environment into [emperor]
call-as-vassal = setup  ## do it by exec-as-vassal, or in a wrapper
unshare = ipc  ## write namespaces into the unit
""",
}


def written(folder: Path, config: str, **more: object) -> tuple[str, list[str]]:
    """The path of a config, and the lines that ``--from`` is to say of it, as they begin."""
    path, told, lines = folder / "emperor.ini", [], []
    config = config.replace("{folder}", str(folder)).replace("{port}", str(free_port()))
    for key, value in more.items():
        config = config.replace(f"{{{key}}}", str(value))
    for number, line in enumerate(config.splitlines(), 1):
        option, _, wanted = line.partition("  ## ")
        lines.append(f"{option}\n")
        if wanted:
            told.append(f"{path}:{number}: {option}: {wanted}")
    path.write_text("".join(lines))
    return str(path), told


def log_of(folder: Path) -> str:
    """The daemon's own log, in its file or at standard output."""
    files = (folder / "emperor.log", folder / "daemon.log")
    return "".join(file.read_text() for file in files if file.exists())


@pytest.mark.parametrize("config", STARTS.values(), ids=STARTS)
def test_it_starts_as_it_stands(config: str, make_emperor: MakeEmperor, tmp_path: Path) -> None:
    path, told = written(tmp_path, config)
    (tmp_path / "all.ini").write_text("[uwsgi]\nbuffer-size = 8192\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "hook").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/hooks\n')
    (tmp_path / "hook").chmod(0o755)
    emperor = make_emperor("--from", path, monitors=[])
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    emperor.start()
    serving(emperor, app, "hello")
    log = log_of(tmp_path)
    for line in told:
        assert f"--from: {line}" in log
    assert log.count(f"--from: {path}:") == len(told)
    if "hook" in config:
        hooks = tmp_path / "hooks"
        until(lambda: hooks.read_text() == "app.ini\n" * 2, "both hooks of the start ran")
    emperor.stop()
    if "hook" in config:
        assert (tmp_path / "prepared").exists()
        assert hooks.read_text() == "app.ini\n" * 3


@pytest.mark.parametrize("config", USERS.values(), ids=USERS)
def test_vassals_have_their_users(config: str) -> None:
    with common_ground() as folder:
        path, told = written(folder, config, uid=ALICE, gid=ALICES)
        with TyrantDaemon(folder, *QUICK, "--from", path, monitors=[]) as daemon:
            del daemon.environ["EMPEROR_AS_ROOT"]
            owner = (ALICE, ALICES) if "tyrant" in config else (0, 0)
            daemon.put("a.ini", SLEEPER, *owner)
            daemon.start()
            pid = daemon.phase("a.ini", "ready").pid or 0
            until(lambda: status_of(pid)["Uid"] == [str(ALICE)] * 4, "it has its user")
            assert status_of(pid)["Gid"] == [str(ALICES)] * 4
            log = log_of(folder)
            for line in told:
                assert f"--from: {line}" in log
            assert log.count(f"--from: {path}:") == len(told)
            daemon.stop()


def test_an_init_script_starts_it_in_the_background(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    config = """\
[uwsgi]
emperor = {folder}/vassals
daemonize = {folder}/emperor.log
pidfile = {folder}/emperor.pid
emperor-stats = 127.0.0.1:{port}
"""
    path, _ = written(tmp_path, config)
    emperor = make_emperor("--from", path, monitors=[])
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    done = subprocess.run(
        emperor.argv, env=emperor.environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    serving(emperor, app, "hello")
    keeper = int((tmp_path / "emperor.pid").read_text())
    port = int(Path(path).read_text().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as file:
        document = json.loads(file.read())
    assert document["pid"] == keeper
    assert [each["id"] for each in document["vassals"]] == ["app.ini"]
    os.kill(keeper, signal.SIGTERM)
    until(lambda: not processes.alive(keeper), "it has ended")
    assert not (tmp_path / "emperor.pid").exists()


def test_the_first_client_starts_a_vassal_on_demand(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    config = """\
[uwsgi]
emperor = {folder}/vassals
emperor-on-demand-directory = {folder}/run
emperor-required-heartbeat = 40
"""
    path, _ = written(tmp_path, config)
    (tmp_path / "run").mkdir()
    daemon = make_daemon("--from", path, monitors=[])
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "listening")
    address = str(tmp_path / "run" / "a.socket")
    until(lambda: listened_at(address), "it listens")  # the file is there a moment earlier
    with dial(address):
        assert daemon.phase("a.ini", "ready").pid
    daemon.stop()


@pytest.mark.parametrize("config", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("option", ["--check", "--nofollow"])
def test_it_is_told_line_by_line(
    config: str, option: str, make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    path, told = written(tmp_path, config)
    daemon = make_daemon("--from", path, option, monitors=[]).launch()
    assert daemon.wait() == 2
    lines = [line for line in daemon.log().splitlines() if line.startswith("  ")]
    assert len(lines) == len(told)
    for line in told:
        assert any(each.startswith(f"  {line}") for each in lines), line
    assert not daemon.journal.exists()


def test_a_check_reaches_each_source(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    urls = (
        "pg://host=127.0.0.1 port={port}",
        "mongodb://127.0.0.1:{port}",
        "amqp://127.0.0.1:{port}",
    )
    lines = "".join(f"emperor = {url}\n" for url in urls)
    path, _ = written(tmp_path, f"[uwsgi]\nplugins = emperor_pg,emperor_mongodb\n{lines}")
    daemon = make_daemon("--from", path, "--check", monitors=[]).launch()
    assert daemon.wait() == 1
    assert daemon.log().count("Connection refused") == len(urls)
