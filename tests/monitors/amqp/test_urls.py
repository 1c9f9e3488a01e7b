"""amqp://: what URLs of monitors and messages mean, without a broker."""

import pytest
from emperord.monitors.amqp.connection import Delivery
from emperord.monitors.amqp.meaning import NO_KEY, Address, Config, End, File, Meaning, meaning
from emperord.monitors.contract import Refused
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

OPTIONS = MonitorOptions(extra_extension=(".conf",))


def message(key: str | bytes, body: bytes | None, size: int | None = None) -> Delivery:
    return Delivery(1, key, body, len(body or b"") if size is None else size)


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        pytest.param("a.ini", b"[uwsgi]", Config("a.ini", b"[uwsgi]"), id="config"),
        pytest.param("a.ini", b"\xff\xfe", Config("a.ini", b"\xff\xfe"), id="binary config"),
        pytest.param("a.ini", b"x" * 65535, Config("a.ini", b"x" * 65535), id="longest config"),
        pytest.param("a.conf", b"x", Config("a.conf", b"x"), id="extra extension"),
        pytest.param("/a.ini", b"x", Config("/a.ini", b"x"), id="a key like a path is no path"),
        pytest.param("../a.ini", b"x", Config("../a.ini", b"x"), id="nor one that leads away"),
        pytest.param("$(x)`;.ini", b"x", Config("$(x)`;.ini", b"x"), id="shell"),
        pytest.param("ü☃.ini".encode(), b"x", Config("ü☃.ini", b"x"), id="bytes of UTF-8"),
        pytest.param("a.ini", b"", End("a.ini"), id="destroy"),
        pytest.param("", b"/etc/a.xml", File("/etc/a.xml"), id="path"),
        pytest.param("", b"/e c/ a.ini", File("/e c/ a.ini"), id="path with spaces"),
        pytest.param("", b"/a@b:c.ini", File("/a@b:c.ini"), id="path with an at sign"),
        pytest.param("", b"http://h/a.ini", Address("http://h/a.ini"), id="http"),
        pytest.param("", b"https://h:8/p?a=b.ini", Address("https://h:8/p?a=b.ini"), id="https"),
        pytest.param("", b"HTTP://h/a.ini", Address("HTTP://h/a.ini"), id="HTTP"),
    ],
)
def test_what_a_message_means(key: str | bytes, body: bytes, expected: Meaning) -> None:
    assert meaning(message(key, body), OPTIONS) == expected


@pytest.mark.parametrize(
    ("key", "body", "label", "reason"),
    [
        pytest.param("a.ini", None, "a.ini", "65535 fit the emperor protocol", id="10 MB config"),
        pytest.param("a.ini", b"a\0b", "a.ini", "NUL", id="NUL in the config"),
        pytest.param("a.txt", b"x", "a.txt", "no extension", id="no extension"),
        pytest.param("a.txt", b"", "a.txt", "no extension", id="destroy without extension"),
        pytest.param("a\n.ini", b"x", "a\\n.ini", "control character", id="control in the key"),
        pytest.param("\x1b[2J.ini", b"x", "\\x1b[2J.ini", "control", id="terminal"),
        pytest.param(b"\xff.ini", b"x", "\\xff.ini", "not UTF-8", id="key not UTF-8"),
        pytest.param(
            "x" * 251 + ".ini", b"x", "x" * 251 + ".ini", "254 are allowed", id="long key"
        ),
        pytest.param("", b"", NO_KEY, "empty as well", id="nothing at all"),
        pytest.param("", b"etc/a.ini", f"{NO_KEY}: etc/a.ini", "neither", id="relative path"),
        pytest.param("", b"ftp://h/a.ini", f"{NO_KEY}: ftp://h/a.ini", "neither", id="ftp"),
        pytest.param("", b"file:///a.ini", f"{NO_KEY}: file:///a.ini", "neither", id="file"),
        pytest.param("", b"[uwsgi]\nx", f"{NO_KEY}, of 9 bytes", "neither", id="config, no key"),
        pytest.param("", None, f"{NO_KEY}, of 10000000 bytes", "neither", id="10 MB, no key"),
        pytest.param("", b"\xff\xfe", f"{NO_KEY}: \\xff\\xfe", "neither", id="garbage"),
        pytest.param("", b"/etc/passwd", "/etc/passwd", "no extension", id="path, no extension"),
        pytest.param("", b"/a\0.ini", "/a\\x00.ini", "control", id="NUL in a path"),
        pytest.param("", b"/\xff.ini", "/\\xff.ini", "not UTF-8", id="path not UTF-8"),
        pytest.param("", b"/" + b"x" * 250 + b".ini", None, "neither", id="path too long"),
        pytest.param("", b"http://h/a", "http://h/a", "no extension", id="URL, no extension"),
        pytest.param("", b"http:///a.ini", "http:///a.ini", "no host", id="URL without host"),
        pytest.param("", b"http://h:x/a.ini", None, "cannot be understood", id="bad port"),
        pytest.param("", b"http://a..b/a.ini", None, "no name that a host", id="empty label"),
        pytest.param(
            "", b"http://" + b"x" * 64 + b"/a.ini", None, "no name that a host", id="long label"
        ),
        pytest.param("", b"http://xn--/a.ini", None, "no name that a host", id="no Punycode"),
        pytest.param(
            "", b"http://u:hush/x@h/a.ini", "http://***@h/a.ini", "a secret", id="half a password"
        ),
        pytest.param(
            "", b"http://u:hush@h/a.ini", "http://***@h/a.ini", "a secret", id="password in URL"
        ),
        pytest.param(
            "", b"http://hush@h/a.ini", "http://***@h/a.ini", "a secret", id="user in URL"
        ),
        pytest.param("", b"http://h/?token=hush.ini", None, "a secret", id="token in URL"),
        pytest.param("", b"amqp://u:hush@h/", None, "neither", id="password in nonsense"),
    ],
)
def test_what_means_nothing(
    key: str | bytes, body: bytes | None, label: str | None, reason: str
) -> None:
    said = meaning(message(key, body, 10_000_000 if body is None else None), OPTIONS)
    assert isinstance(said, Refused)
    assert reason in said.reason
    assert label is None or said.label == label
    assert said.label.isprintable()
    assert "hush" not in said.label + said.reason


@pytest.mark.parametrize(
    ("url", "host", "port", "vhost", "user", "password", "queue", "shown"),
    [
        pytest.param("amqp://192.168.0.1:5672", "192.168.0.1", 5672, "/", "guest", "guest", None,
            "amqp://192.168.0.1:5672", id="seed"),
        pytest.param("amqp://h", "h", 5672, "/", "guest", "guest", None, "amqp://h", id="host"),
        pytest.param("amqps://h", "h", 5671, "/", "guest", "guest", None, "amqps://h", id="TLS"),
        pytest.param("amqp://", "localhost", 5672, "/", "guest", "guest", None, "amqp://",
            id="nothing"),
        pytest.param("amqp://h/", "h", 5672, "/", "guest", "guest", None, "amqp://h/", id="slash"),
        pytest.param("amqp://h/v", "h", 5672, "v", "guest", "guest", None, "amqp://h/v", id="v"),
        pytest.param("amqp://h/%2Fa%2fb", "h", 5672, "/a/b", "guest", "guest", None,
            "amqp://h/%2Fa%2fb", id="encoded vhost"),
        pytest.param("amqp://u:hush@h:1/v?queue=q%20x", "h", 1, "v", "u", "hush", "q x",
            "amqp://u:***@h:1/v?queue=q%20x", id="everything"),
        pytest.param("amqp://u@h?queue=q", "h", 5672, "/", "u", "guest", "q",
            "amqp://u@h?queue=q", id="user alone"),
        pytest.param("amqp://u:hu@sh@h", "h", 5672, "/", "u", "hu@sh", None, "amqp://u:***@h",
            id="at sign in the password"),
        pytest.param("amqp://u:hu%2Fs%40h@h", "h", 5672, "/", "u", "hu/s@h", None,
            "amqp://u:***@h", id="encoded password"),
        pytest.param("amqp://u:@h", "h", 5672, "/", "u", "", None, "amqp://u:***@h",
            id="empty password"),
        pytest.param("amqp://[::1]:7/v", "::1", 7, "v", "guest", "guest", None,
            "amqp://[::1]:7/v", id="IPv6"),
    ],
)  # fmt: skip
def test_urls(
    url: str,
    host: str,
    port: int,
    vhost: str,
    user: str,
    password: str,
    queue: str | None,
    shown: str,
) -> None:
    monitor = open_monitor(url)
    broker = monitor.broker  # type: ignore[attr-defined]
    found = broker.parameters
    assert (found.host, found.port, found.virtual_host) == (host, port, vhost)
    assert (found.credentials.username, found.credentials.password) == (user, password)
    assert broker.queue == queue
    assert monitor.url == shown
    assert not monitor.trusts_content


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        pytest.param("amqp://u:hu/sh@h", "%2F", id="slash in the password"),
        pytest.param("amqp://u:hu?sh@h", "%2F", id="question mark in the password"),
        pytest.param("amqp://u:hush", "amqp://user:password@host:port/vhost", id="no host"),
        pytest.param("amqp://h?pasword=hush", "?pasword= is no setting", id="password setting"),
        pytest.param("amqp://h:0", "the port is 0, it must be from 1", id="port 0"),
        pytest.param("amqp://h:99999", "the port is 99999, it must be from 1", id="port too high"),
        pytest.param("amqp://h:x", "amqp://user:password@host:port/vhost", id="port no number"),
        pytest.param("amqp://a:b:c", "amqp://user:password@host:port/vhost", id="colons"),
        pytest.param("amqp://h/%ff", "the virtual host is not UTF-8", id="vhost not UTF-8"),
        pytest.param("amqp://h/%00", "not printable", id="NUL in the vhost"),
        pytest.param(f"amqp://h/{'x' * 256}", "longer than 255", id="vhost too long"),
        pytest.param("amqp://h?qeue=x", "there are queue, cacertfile", id="unknown setting"),
        pytest.param("amqp://h?queue=", "?queue= has no value", id="empty queue"),
        pytest.param("amqps://h?cacertfile=/no/such", "No such file", id="no authorities"),
    ],
)
def test_urls_that_cannot_be_understood(url: str, advice: str) -> None:
    with pytest.raises(MonitorURLError) as raised:
        open_monitor(url)
    text = str(raised.value)
    assert advice in text
    assert "\n" not in text
    assert [word for word in ("hush", "hu/sh", "hu?sh") if word in text] == []
