"""From a text to its monitor, and what is said of one that cannot be understood."""

import os
from pathlib import Path

import pytest
from emperord.monitors.contract import Announcer
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import SCHEMES, announces, open_monitor
from emperord.monitors.urls import MonitorURLError, without_secrets

OPENED = {
    "./pg:x": "dir://{}/pg:x",
    "dir://{}": "dir://{}",
    "DIR://{}/": "dir://{}",
    "dir://{}//./x/": "dir://{}/x",
    "dir://{}/x/../y": "dir://{}/x/../y",
    "dir://here": "dir://{}/here",
    "dir:///": "dir:///",
    "glob://{}/*.ini": "glob://{}/*.ini",
    "glob://*.ini": "glob://*.ini",
    "{}": "dir://{}",
    ".": "dir://{}",
    "{}/there.ini": "dir://{}/there.ini",  # a directory, whatever it is called
    "{}/*.ini": "glob://{}/*.ini",
    "{}/*": "glob://{}/*",
    "{}/a[bc]/x": "glob://{}/a[bc]/x",
    "{}/later": "dir://{}/later",
    "{}/later.ini": "glob://{}/later.ini",
    "{}/later.own": "glob://{}/later.own",
}

ALL = " ".join(f"{scheme}://" for scheme in SCHEMES)

SLIP = "a URL begins with {}://, and nothing before it; if this is a path, write ./ before it"
REFUSED = {
    "": f"a monitor is empty: give a directory, a pattern or a URL of {ALL}",
    "dir://": "dir:// names no directory: write dir:///etc/vassals",
    "glob://": "glob:// names no files: write glob:///etc/vassals/*.ini",
    "glob:///etc/": "glob:// names no files: write glob:///etc/vassals/*.ini",
    "foo://u:p@ss/w@host": "foo://u:***@host: there is no monitor foo://;"
    f" use a path or one of {ALL}",
    "foo://host/?password=x y": "foo://host/?password=*** y: there is no monitor foo://;"
    f" use a path or one of {ALL}",
    "dir:///a\nb": "dir:///a\\nb: has a control character; remove it",
    "dir:///a\0b": "dir:///a\\x00b: has a control character; remove it",
    "amqp:u:hidden@host": f"amqp: {SLIP.format('amqp')}",
    "PG:/host=h password=hidden": f"pg: {SLIP.format('pg')}",
    " zmq://tcp://u:hidden@h:1": f"zmq: {SLIP.format('zmq')}",
    "dir:///\udcff": "dir:///\\xff: not UTF-8; rename it, or give a symlink to it",
}

HIDDEN = {
    "amqp://guest:guest@host:5672/v": "amqp://guest:***@host:5672/v",
    "amqp://host:5672/v": "amqp://host:5672/v",
    "amqp://:secret@host": "amqp://:***@host",
    "x://u:a:b@c/d@host": "x://u:***@host",
    "pg://host=x password=y dbname=z;SELECT": "pg://host=x password=*** dbname=z;SELECT",
    "pg://password='a b\\'c' user=x": "pg://password=*** user=x",
    "pg://password=a&b user=x": "pg://password=*** user=x",
    "pg://password=a\\ b\\;c user=x;SELECT": "pg://password=*** user=x;SELECT",
    "pg://password='' user=x;SELECT": "pg://password=*** user=x;SELECT",
    "pg://scram_client_key=y= user=x": "pg://scram_client_key=*** user=x",
    "pg://user=x;SELECT f('password=''a b'' x')": "pg://user=x;SELECT f('password=*** x')",
    "pg://postgresql://h/?password=y&user=x": "pg://postgresql://h/?password=***&user=x",
    "mongodb://addr=h,username=u,password=a b;c&d,db=x": "mongodb://addr=h,username=u,password=***",
    "mongodb2://password=a b,addr=h": "mongodb2://password=***",
    "mongodb2://addr=h/?proxyPassword=y": "mongodb2://addr=h/?proxyPassword=***",
    "mongodb://h/?authMechanismProperties=T:y": "mongodb://h/?authMechanismProperties=***",
    "postgresql://u:p@h/d?password=y;SELECT 1": "postgresql://u:***@h/d?password=***;SELECT 1",
    "mongodb+srv://u:p@h/?proxyPassword=y": "mongodb+srv://u:***@h/?proxyPassword=***",
    "mongodb+srv://addr=h,username=u,password=a b": "mongodb+srv://addr=h,username=u,password=***",
    "http://h/?access_token=y&api_key=z": "http://h/?access_token=***&api_key=***",
    "mongodb://h/?tlsCertificateKeyFilePassword=y": "mongodb://h/?tlsCertificateKeyFilePassword=***",
    "zmq://tcp://h:1?curve_secretkey_file=/f": "zmq://tcp://h:1?curve_secretkey_file=/f",
    "/etc/a@b": "/etc/a@b",
}


@pytest.mark.parametrize(("text", "url"), OPENED.items(), ids=OPENED)
def test_opened(text: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.ini").mkdir()
    here = os.getcwd()
    options = MonitorOptions(extra_extension=(".own",))
    monitor = open_monitor(text.format(here), options)
    assert monitor.url == url.format(here)
    assert monitor.trusts_content


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[repr(text) for text in REFUSED])
def test_refused(text: str, message: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items(), ids=HIDDEN)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


SAMPLES = {
    "amqp": "amqp://host",
    "amqps": "amqps://host",
    "dir": "dir:///etc/vassals",
    "glob": "glob:///etc/vassals/*.ini",
    "ldap": "ldap://host/dc=x",
    "ldaps": "ldaps://host/dc=x",
    "zmq": "zmq://tcp://127.0.0.1:5000",
    "pg": "pg://host=x;SELECT name, config, ts FROM vassals",
    "postgresql": "postgresql://host/x;SELECT name, config, ts FROM vassals",
    "postgres": "postgres://host/x;SELECT name, config, ts FROM vassals",
    "mongodb": "mongodb://host,db.vassals,{}",
    "mongodb+srv": "mongodb+srv://host/?tls=true,db.vassals,{}",
    "mongodb2": "mongodb2://host,db.vassals,{}",
    "zoo": "zoo://host:2181/vassals",
    "zookeeper": "zookeeper://host:2181/vassals",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_sources_that_say_each_thing_once_are_known_by_their_urls(scheme: str) -> None:
    if scheme.startswith("ldap"):
        pytest.importorskip("ldap")
    monitor = open_monitor(SAMPLES[scheme])
    assert announces(monitor.url) == isinstance(monitor, Announcer)
