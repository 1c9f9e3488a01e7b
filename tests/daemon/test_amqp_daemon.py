"""amqp:// under a whole daemon: the examples as written, and what is known after a restart."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.ports import free_port
from support.rabbitmq import Publisher, shared
from support.serving import serving, understands
from support.vassals import SLEEPER, Application
from support.web import Web

from .conftest import MakeDaemon


@pytest.fixture
def port() -> int:
    return int(shared().where["port"])


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as publisher:
        publisher.channel.exchange_delete("uwsgi.emperor")
        yield publisher


@pytest.fixture
def daemon(make_daemon: MakeDaemon, port: int) -> Daemon:
    return make_daemon(monitors=[f"amqp://127.0.0.1:{port}"])


# The scripts of the text that the project came from, as written, but for the places (host, port,
# folder). They say ``exchange_type``, as today's pika does, for ``type`` before 1.0.
CONNECT = """
# The pika module is used in this example, but you're free to use whatever adapter you like.
import pika
# connect to RabbitMQ server
connection = pika.BlockingConnection(pika.ConnectionParameters('192.168.0.1'))
# get the channel
channel = connection.channel()
# create the exchange (if not already available)
channel.exchange_declare(exchange='uwsgi.emperor', type='fanout')
"""
PATH = """
# publish a new config file
channel.basic_publish(exchange='uwsgi.emperor', routing_key='', body='/etc/vassals/mydjangoapp.xml')
"""
URL = """
channel.basic_publish(exchange='uwsgi.emperor', routing_key='', body='http://example.com/confs/trac.ini')
"""
CONFIG = '''
channel.basic_publish(
exchange='uwsgi.emperor',
routing_key='mydomain_trac_config.ini',
body="""
[uwsgi]
socket=:3031
env = TRAC_ENV=/accounts/unbit/trac/uwsgi
module = trac.web.main:dispatch_request
processes = 4""")
'''
END = """
channel.basic_publish(exchange='uwsgi.emperor', routing_key='mydomain_trac_config.ini', body='')
"""


def run(script: str, port: int, **places: str) -> None:
    """Run a publisher's script."""
    text = CONNECT.replace("'192.168.0.1'", f"'127.0.0.1', {port}") + script
    text = text.replace(" type='fanout'", " exchange_type='fanout'")
    for place, here in places.items():
        text = text.replace(
            {"etc": "/etc/vassals", "example": "http://example.com", "trac": ":3031"}[place], here
        )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


def test_the_example_of_a_path(daemon: Daemon, port: int, tmp_path: Path) -> None:
    app = Application(tmp_path)
    extension = ".xml" if understands("xml") else ".ini"  # some builds of uWSGI read no XML
    path = tmp_path / f"mydjangoapp{extension}"
    script = PATH.replace(".xml", extension)
    daemon.start()
    run(script, port, etc=str(tmp_path))
    daemon.event("observation_rejected", name=str(path), reason="there is no such file")
    path.write_text(app.config("one", extension))
    run(script, port, etc=str(tmp_path))
    master = serving(daemon, app, "one").master
    path.write_text(app.config("two", extension))
    run(script, port, etc=str(tmp_path))
    assert serving(daemon, app, "two").master == master
    assert processes.argv_of(master)[1:] == [f"--{extension[1:]}", str(path)]
    path.unlink()
    daemon.gone(str(path))
    assert app.answers() is None
    daemon.stop()


def test_the_example_of_a_url(daemon: Daemon, port: int, tmp_path: Path) -> None:
    app = Application(tmp_path)
    daemon.start()
    with Web() as web:
        url = web.says("/confs/trac.ini", app.config("one"))
        run(URL, port, example=web.url(""))
        master = serving(daemon, app, "one").master
        web.says("/confs/trac.ini", app.config("two"))
        run(URL, port, example=web.url(""))
        assert serving(daemon, app, "two").master == master
        vassal = daemon.vassal(url)
        assert vassal is not None
        assert daemon.config_text(vassal.spec.config) == app.config("two").encode()
        web.says("/confs/trac.ini", "", 410)
        run(URL, port, example=web.url(""))
        daemon.gone(url)
        assert daemon.events("vassal_removed")[0].body["reason"] == "answered 410 Gone"
    daemon.stop()


def test_the_example_of_a_config(daemon: Daemon, port: int) -> None:
    name, there = "mydomain_trac_config.ini", free_port()
    daemon.start()
    run(CONFIG, port, trac=f"127.0.0.1:{there}")
    daemon.phase(name, "accepting")
    master = daemon.pid_of(name)
    assert processes.environment_of(master)["EMPERORD_VASSAL"] == name
    assert processes.argv_of(master)[1:] == ["--ini", f"emperor://{name}"]
    assert f"TCP address 127.0.0.1:{there} " in daemon.vassal_log(name)
    seq = daemon.last_seq()
    run(CONFIG, port, trac=f"127.0.0.1:{there}")
    daemon.event("vassal_accepting", name, after=seq)
    assert daemon.pid_of(name) == master
    run(END, port)
    daemon.gone(name)
    daemon.stop()


def test_vassals_come_back_without_being_announced(
    daemon: Daemon, publisher: Publisher, tmp_path: Path
) -> None:
    path, doomed = tmp_path / "file.ini", tmp_path / "doomed.ini"
    for each in (path, doomed):
        each.write_text(SLEEPER)
    daemon.start()
    with Web() as web:
        url = web.says("/web.ini", SLEEPER)
        for key, body in [("a.ini", SLEEPER), ("", str(path)), ("", str(doomed)), ("", url)]:
            publisher.publish(key, body)
        names = ["a.ini", str(path), str(doomed), url]
        for name in names:
            daemon.phase(name, "ready")
        asked = len(web.asked)
        daemon.stop()
        doomed.unlink()
        daemon.start()
        daemon.gone(str(doomed))
        for name in ("a.ini", str(path), url):
            daemon.phase(name, "ready")
        assert len(web.asked) == asked
    # It is still watched, without a further word of it.
    path.unlink()
    daemon.gone(str(path))
    assert len(daemon.events("vassal_added")) == 4
    daemon.stop()


def test_a_daemon_without_it_does_not_load_it(
    make_daemon: MakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARTS", "cold")  # tests/support/warm.py
    daemon = make_daemon().start()
    maps = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert "_asyncio" not in maps  # trio_asyncio would have brought it
    daemon.stop()
