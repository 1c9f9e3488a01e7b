"""Vassals that were written from files of other supervisors, run by a real daemon."""

import sys
import urllib.request
from pathlib import Path

from emperord.daemon.migrating import run
from support import processes
from support.daemon import Daemon
from support.ports import free_port, two_free_ports

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join([os.environ.get("SAYS", ""), os.getcwd()]).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def migrate(daemon: Daemon, *paths: Path) -> None:
    files = tuple(map(str, paths))
    run.migrate(run.Request(files, str(daemon.vassals)), {"PATH": "/usr/bin:/bin"})


def answer(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as told:
        return str(told.read().decode())


ACTIVATED = """
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join([os.environ["SAYS"], os.getcwd()]).encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
"""


def test_an_instance_of_a_unit_serves_at_its_socket(daemon: Daemon, tmp_path: Path) -> None:
    port = free_port()
    tmp_path.joinpath("serve.py").write_text(ACTIVATED)
    tmp_path.joinpath("web@.service").write_text(f"""
[Service]
Type=notify
WorkingDirectory={tmp_path}
Environment="SAYS=instance %i"
ExecStartPre=/usr/bin/touch prepared-%i
ExecStart={sys.executable} serve.py
ExecReload=/bin/kill -USR1 $MAINPID
TimeoutStartSec=20s
""")
    tmp_path.joinpath("web@.socket").write_text(f"[Socket]\nListenStream=127.0.0.1:{port}\n")
    migrate(daemon, tmp_path / "web@7.service")  # the template has it, and no file of that name
    daemon.start("--as-root")
    daemon.phase("web@7.ini", "accepting")
    assert answer(port) == f"instance 7 {tmp_path}"
    assert tmp_path.joinpath("prepared-7").exists()
    daemon.stop()


def test_a_procfile_serves_at_its_ports(daemon: Daemon, tmp_path: Path) -> None:
    first = two_free_ports()
    tmp_path.joinpath("serve.py").write_text(SERVER)
    tmp_path.joinpath(".env").write_text(f"PORT={first}\nexport SAYS='of the file'\n")
    procfile = tmp_path / "Procfile"
    procfile.write_text(f"web: cd . && {sys.executable} serve.py $PORT\n")
    files = (str(procfile),)
    run.migrate(run.Request(files, str(daemon.vassals), formation={"web": 2}), {})
    daemon.start("--as-root")
    for number, port in enumerate((first, first + 1), 1):
        config = daemon.vassals / f"web-{number}.ini"
        with config.open("a") as file:
            file.write(f"ready = tcp://127.0.0.1:{port}\n")
        pid = daemon.phase(config.name, "accepting").pid
        assert pid is not None
        assert answer(port) == f"of the file {tmp_path}"
        assert processes.argv_of(pid)[:1] == [sys.executable]  # no shell is between
    daemon.stop()


def test_two_processes_of_supervisord_serve(daemon: Daemon, tmp_path: Path) -> None:
    first = two_free_ports()
    tmp_path.joinpath("serve.py").write_text(SERVER)
    conf = tmp_path / "supervisord.conf"
    conf.write_text(f"""
[program:web]
command={sys.executable} serve.py %(process_num)d
process_name=%(program_name)s-%(process_num)d
directory=%(here)s
numprocs=2
numprocs_start={first}
environment=SAYS="number %(process_num)d"
autorestart=true
""")
    migrate(daemon, conf)
    daemon.start("--as-root")
    for port in (first, first + 1):
        config = daemon.vassals / f"web-{port}.ini"
        with config.open("a") as file:  # so that the test need not ask again and again
            file.write(f"ready = tcp://127.0.0.1:{port}\n")
        daemon.phase(config.name, "accepting")
        assert answer(port) == f"number {port} {tmp_path}"
    daemon.stop()
