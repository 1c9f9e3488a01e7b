"""amqp:// messages that name a URL: the monitor fetches the config, and tries again."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from emperord.monitors.amqp.connection import PREFETCH
from emperord.monitors.amqp.monitor import AmqpMonitor
from emperord.monitors.contract import (
    Vanished,
)
from support.gate import Gate
from support.rabbitmq import AmqpSource, Publisher
from support.web import Web

from ..watching import watching
from .messages import QUICK, SELDOM, monitor, touched


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web


# URLs


async def test_a_config_by_its_url(publisher: Publisher, web: Web) -> None:
    url = web.says("/trac.ini", "one")
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.shows(url, "one")
        spec = watch.seen[url].spec
        assert (spec.path, spec.attrs) == (None, {"url": url})
        web.says("/trac.ini", "two")
        publisher.publish("", url)
        await watch.shows(url, "two")
        web.says("/trac.ini", "three", 404)
        publisher.publish("", url)
        await watch.until(lambda: url not in watch.seen)
        assert watch.told[-1] == Vanished(url, "answered 404 Not Found")
        publisher.publish("", url)
        await watch.until(lambda: watch.refused.get(url) == "answered 404 Not Found")


def _drip(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(40):
        request.wfile.write(b"x")
        threading.Event().wait(0.05)


def _hang(request: BaseHTTPRequestHandler) -> None:
    request.rfile.read(1)


def _break_off(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"[uwsgi]")


def _babble(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\0\xff SSH-2.0 this is no HTTP\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_hang, id="silent"),
        pytest.param(_drip, id="slow"),
        pytest.param(_break_off, id="broken off"),
        pytest.param(_babble, id="nonsense"),
    ],
)
async def test_no_answer_removes_nothing_and_is_tried_again(
    publisher: Publisher, web: Web, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    url = web.says("/a.ini", "one")
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.shows(url, "one")
        web.answers["/a.ini"] = answer
        publisher.publish("", url)
        await watch.until(lambda: "no answer" in watch.refused.get(url, ""))
        assert list(watch.seen) == [url]
        web.says("/a.ini", "two")
        await watch.shows(url, "two")
        assert watch.kinds().count("Refused") == 1


async def test_a_web_server_that_is_away_is_waited_for(publisher: Publisher) -> None:
    with Web() as web:
        port = web.port
    url = f"http://127.0.0.1:{port}/a.ini"
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.until(lambda: url in watch.refused)
        assert watch.refused[url] == (
            "no answer (cannot connect: Connection refused); it is asked again"
        )
        with Web(port) as web:
            web.says("/a.ini", "one")
            await watch.shows(url, "one")


async def test_a_later_message_replaces_the_tries(publisher: Publisher, web: Web) -> None:
    url = web.url("/a.ini")
    web.answers["/a.ini"] = _hang
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.until(lambda: url in watch.refused)
        publisher.publish(url, "by hand")
        await watch.shows(url, "by hand")
        web.says("/a.ini", "late")
        asked = len(web.asked)
        publisher.publish("", web.says("/b.ini", "other"))
        await watch.shows(web.url("/b.ini"), "other")
        assert web.asked[asked:] == ["/b.ini"]
        assert len(touched(watch, url)) == 1


async def test_a_replaced_url_is_acknowledged(source: AmqpSource, web: Web) -> None:
    urls = [web.url(f"/{number}.ini") for number in range(5)]
    for number, url in enumerate(urls):
        web.answers[f"/{number}.ini"] = _hang
        source.publisher.publish("", url)
        source.publisher.publish(url, "by hand")  # in the same batch
    async with watching(source.monitor(SELDOM)) as watch:
        for url in urls:
            await watch.shows(url, "by hand")
        source.put("mark.ini", "zero")  # is told when those before it are acknowledged
        await watch.shows("mark.ini", "zero")
    assert source.publisher.waiting(source.queue) <= 1
    async with watching(source.monitor(SELDOM)) as watch:
        for url in urls:
            source.publisher.publish("", url)
        source.put("mark.ini", "one")
        await watch.shows("mark.ini", "one")
        for url in urls:
            source.publisher.publish(url, "again")  # in a later one
        for url in urls:
            await watch.shows(url, "again")
        source.put("mark.ini", "two")
        await watch.shows("mark.ini", "two")
    assert source.publisher.waiting(source.queue) <= 1


def _acknowledged(gate: Gate) -> list[tuple[int, bool]]:
    """The tag of each basic.ack that passed, and whether it meant all before it as well."""
    found = re.findall(rb"\x00\x3c\x00\x50(.{8})(.)\xce", bytes(gate.passed), re.DOTALL)
    return [(int.from_bytes(tag), bool(multiple[0])) for tag, multiple in found]


@pytest.mark.parametrize(
    ("named", "order"),
    [
        pytest.param(True, [(2, False), (1, False)], id="named"),
        pytest.param(False, [(1, True), (2, True)], id="its own"),
    ],
)
async def test_only_a_queue_that_remembers_is_made_to_wait(
    source: AmqpSource, web: Web, named: bool, order: list[tuple[int, bool]]
) -> None:
    url = web.url("/a.ini")
    web.answers["/a.ini"] = _hang
    opened = source.monitor(SELDOM) if named else monitor(port=source.gate.port)
    opened.limits = QUICK
    async with watching(opened) as watch:
        source.publisher.publish("", url)
        await watch.until(lambda: url in watch.refused)
        source.put("b.ini", "one")
        await watch.shows("b.ini", "one")
        web.says("/a.ini", "two")
        await watch.shows(url, "two")
        source.put("c.ini", "one")
        await watch.shows("c.ini", "one")
    assert _acknowledged(source.gate)[:2] == order


@pytest.mark.parametrize(
    ("body", "status", "headers", "reason"),
    [
        pytest.param("x" * 65536, 200, {}, "more than 65535 bytes", id="too long"),
        pytest.param("", 200, {}, "empty", id="empty"),
        pytest.param("a\0b", 200, {}, "NUL", id="NUL"),
        pytest.param("x", 200, {"Content_Encoding": "gzip"}, "compressed", id="compressed"),
        pytest.param("x", 201, {}, "answered 201", id="created"),
        pytest.param("x", 500, {}, "answered 500", id="server error"),
        pytest.param("x", 302, {}, "answered 302", id="redirect to nowhere"),
        pytest.param("", 302, {"Location": "http://localhost/a.ini"}, "host or port", id="host"),
        pytest.param("", 302, {"Location": "ftp://127.0.0.1/a.ini"}, "another scheme", id="scheme"),
        pytest.param("", 302, {"Location": "http://127.0.0.1:1/a.ini"}, "host or port", id="port"),
        pytest.param("", 302, {"Location": "https://127.0.0.1/"}, "another scheme", id="TLS"),
        pytest.param("", 301, {"Location": "/bad.ini"}, "redirects too often", id="loop"),
        pytest.param("", 302, {"Location": "http://xn--/a.ini"}, "that is none", id="no name"),
        pytest.param("", 302, {"Location": "http://[::1/a.ini"}, "that is none", id="no address"),
        pytest.param("", 302, {"Location": "/\1.ini"}, "that is none", id="control character"),
        pytest.param("", 302, {"Location": "mailto:a@b"}, "another scheme", id="no place"),
    ],
)
async def test_answers_that_are_no_config(
    publisher: Publisher, web: Web, body: str, status: int, headers: dict[str, str], reason: str
) -> None:
    url = web.says("/bad.ini", body, status, **headers)
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.until(lambda: url in watch.refused)
        assert reason in watch.refused[url]


async def test_redirects_on_the_same_host_are_followed(publisher: Publisher, web: Web) -> None:
    def there(request: BaseHTTPRequestHandler) -> None:
        cookies.append(request.headers["Cookie"])
        one(request)

    cookies: list[str | None] = []
    url = web.says("/a.ini", "", 302, Location="/there.php", Set_Cookie="a=b")
    web.says("/there.php", "one")
    one, web.answers["/there.php"] = web.answers["/there.php"], there
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.shows(url, "one")
    assert cookies == [None]


async def test_a_config_that_never_ends_is_cut_short(publisher: Publisher, web: Web) -> None:
    def forever(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        with contextlib.suppress(OSError):  # the reader has had enough
            while True:
                request.wfile.write(b"x" * 65536)

    url = web.url("/a.ini")
    web.answers["/a.ini"] = forever
    async with watching(monitor()) as watch:
        publisher.publish("", url)
        await watch.until(lambda: "more than 65535" in watch.refused.get(url, ""))


@pytest.mark.few(1)
async def test_many_urls_without_answer_hold_up_nothing(source: AmqpSource, web: Web) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]  # bound, so that nobody else listens there; refuses
        source.publisher.flood(
            ("", f"http://127.0.0.1:{nobody}/{number}.ini".encode()) for number in range(1500)
        )
        source.put("a.ini", "one")
        opened = source.monitor(SELDOM)
        async with watching(AmqpMonitor("amqp://", opened.broker, SELDOM, limits=QUICK)) as watch:
            await watch.shows("a.ini", "one")
            await watch.until(lambda: len(watch.refused) > PREFETCH)
    assert source.publisher.waiting(source.queue) >= PREFETCH // 2  # they come again after a crash
