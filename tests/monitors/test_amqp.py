"""amqp:// against a real broker: messages, files, URLs, and all that can happen to a connection."""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika  # type: ignore[import-untyped]
import pytest
import trio
from emperord.journal.events import Spec
from emperord.monitors.amqp.connection import PREFETCH
from emperord.monitors.amqp.monitor import AmqpMonitor, Limits, open_secured, open_url
from emperord.monitors.contract import (
    Destroyed,
    Observation,
    Recovered,
    Touched,
    Vanished,
)
from emperord.monitors.options import MonitorOptions
from emperord.monitors.polling import SourceFailed
from support.gate import Gate
from support.rabbitmq import EXCHANGE, AmqpSource, Publisher, shared
from support.services import service
from support.web import Web

from .test_contract import (  # noqa: F401  # what suits a source that tells is run from here
    test_an_error_of_the_journal_gets_out,
    test_it_can_be_cancelled_at_once,
    test_nothing_is_told_while_the_last_is_not_durable,
    test_what_is_added_is_told,
    test_what_is_changed_is_told,
)
from .watching import NEVER, OFTEN, SLOW, Watching, taking_turns, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
# The usual limit for connecting: a message of before a second try would be lost.
QUICK = Limits(fetch=0.3, pauses=(0.02, 0.1))


@pytest.fixture
def source(way: str) -> Iterator[AmqpSource]:
    source = AmqpSource()
    yield source
    source.close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as publisher:
        publisher.declare()
        yield publisher


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web


def monitor(options: MonitorOptions = SELDOM, port: int | None = None) -> AmqpMonitor:
    """With a queue that ends with it."""
    opened = open_url(f"127.0.0.1:{port or shared().where['port']}", options)
    return AmqpMonitor(opened.url, opened.broker, options, limits=QUICK)


def touched(watch: Watching, name: str) -> list[Touched]:
    return [each for each in watch.told if isinstance(each, Touched) and each.name == name]


async def recovered(watch: Watching, count: int = 1) -> None:
    await watch.until(lambda: watch.kinds().count("Recovered") >= count)


# Before a start


@pytest.mark.parametrize("queue", ["", "?queue=checked"], ids=["its own queue", "a named queue"])
async def test_to_reach_it_takes_nothing_and_makes_nothing(
    queue: str, publisher: Publisher
) -> None:
    broker = open_url(f"127.0.0.1:{shared().where['port']}{queue}", SELDOM)
    publisher.channel.exchange_delete(EXCHANGE)
    await broker.reach()
    for which, name in (("exchange_declare", EXCHANGE), ("queue_declare", "checked")):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            getattr(publisher.channel, which)(name, passive=True)
        publisher.channel = publisher._connection.channel()
    publisher.declare()
    publisher.channel.queue_declare("checked", durable=True)
    try:
        publisher.channel.queue_bind("checked", EXCHANGE)
        publisher.publish("a.ini", "one")
        await broker.reach()
        assert publisher.waiting("checked") == 1
    finally:
        publisher.channel.queue_delete("checked")


async def test_a_broker_that_does_not_let_us_in_is_not_reached() -> None:
    wrong = open_url(f"guest:wrong@127.0.0.1:{shared().where['port']}", SELDOM)
    with pytest.raises(SourceFailed, match="it does not accept this user and password"):
        await wrong.reach()


# Messages


async def test_a_config_comes_changes_and_goes(publisher: Publisher) -> None:
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
        publisher.publish("a.ini", "two")
        await watch.shows("a.ini", "two")
        publisher.publish("a.ini", "")
        await watch.until(lambda: "a.ini" not in watch.seen)
        assert watch.kinds() == ["Recovered", "Touched", "Touched", "Destroyed"]
        assert watch.told[-1] == Destroyed("a.ini", "an empty body")


async def test_announced_again_it_has_a_later_ts(publisher: Publisher) -> None:
    later = 1 << 62  # as if the clock had been set back a century
    async with watching(monitor(), known={"a.ini": Spec(ts=later, config="x")}) as watch:
        for _ in range(3):
            publisher.publish("a.ini", "one")
        await watch.until(lambda: len(touched(watch, "a.ini")) == 3)
        stamps = [each.seen.spec.ts for each in touched(watch, "a.ini")]
        assert stamps == [later + 1, later + 2, later + 3]


async def test_an_own_section_is_read(publisher: Publisher) -> None:
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "[emperor]\ncommand = sleep 1\n")
        await watch.until(lambda: "a.ini" in watch.seen)
        assert watch.seen["a.ini"].spec.settings == {"command": "sleep 1"}


async def test_bad_messages_among_good_ones(publisher: Publisher, tmp_path: Path) -> None:
    huge = b"x" * 10_000_000
    missing = str(tmp_path / "none.ini")
    async with watching(monitor()) as watch:
        for key, body in [
            ("a.ini", b"good"),
            ("a.txt", b"x"),
            ("", b""),
            ("", b"\xff\xfe\xfd"),
            ("", b"relative.ini"),
            ("", missing.encode()),
            ("b.ini", huge),
            ("", huge),
            ("c.ini", b"\0"),
            ("d.ini", b"good"),
        ]:
            publisher.publish(key, body)
        await watch.until(lambda: "d.ini" in watch.seen)
        assert list(watch.seen) == ["a.ini", "d.ini"]
        assert watch.refused[missing] == "there is no such file"
        assert watch.kinds().count("Refused") == 8


async def test_headers_and_properties_mean_nothing(publisher: Publisher) -> None:
    properties = pika.BasicProperties(
        content_type="image/png",
        headers={"uid": 0, "x" * 200: "y" * 200},
        delivery_mode=2,
        expiration="60000",
        reply_to="nobody",
    )
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one", properties=properties)
        await watch.shows("a.ini", "one")


async def test_a_flood_loses_nothing_and_is_told_in_few_pieces(publisher: Publisher) -> None:
    names = [f"v{number}.ini" for number in range(5000)]
    async with watching(monitor()) as watch:
        await trio.to_thread.run_sync(publisher.flood, [(name, b"one") for name in names])
        await watch.until(lambda: len(watch.seen) == len(names))
        assert list(watch.seen) == names
        assert watch.calls < 200


async def test_configs_that_are_slow_to_read_hold_up_nobody(publisher: Publisher) -> None:
    names = [f"{number}.yml" for number in range(10)]
    async with watching(monitor()) as watch:
        await recovered(watch)
        async with taking_turns() as turns:
            publisher.flood((name, SLOW.encode()) for name in names)
            await watch.until(lambda: len(watch.seen) == len(names))
    assert turns.longest < turns.all / 2


async def test_what_is_not_recorded_is_not_acknowledged(source: AmqpSource) -> None:
    reached, gate = trio.Event(), trio.Event()
    told: list[Observation] = []

    async def tell(*observations: Observation) -> None:
        told.extend(observations)
        if not isinstance(observations[0], Recovered):
            reached.set()
            await gate.wait()

    for number in range(700):  # more than are given at once
        source.put(f"v{number}.ini", "one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.monitor(SELDOM).run, tell, {})
        await reached.wait()
        nursery.cancel_scope.cancel()
    assert len(told) <= 1 + PREFETCH
    async with watching(source.monitor(SELDOM)) as watch:
        await watch.until(lambda: len(watch.seen) == 700)
        source.put("mark.ini", "one")  # is told when those before it are acknowledged
        await watch.shows("mark.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("last.ini", "one")
        await watch.until(lambda: "last.ini" in watch.seen)
        assert set(watch.seen) <= {"mark.ini", "last.ini"}


# Files


async def test_a_file_by_its_path(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.shows(str(path), "one")
        spec = watch.seen[str(path)].spec
        assert (spec.path, spec.cwd) == (str(path), None)
        path.write_text("two")
        publisher.publish("", str(path))
        await watch.shows(str(path), "two")
        # Without a further message, and long before the next rescan.
        path.unlink()
        await watch.until(lambda: str(path) not in watch.seen)
        assert watch.told[-1] == Vanished(str(path), "the file is gone")
        publisher.publish("", str(path))
        await watch.until(lambda: watch.refused.get(str(path)) == "there is no such file")


async def test_an_edit_without_a_message_says_nothing(publisher: Publisher, tmp_path: Path) -> None:
    path, other = tmp_path / "a.ini", tmp_path / "b.ini"
    path.write_text("one")
    other.write_text("one")
    async with watching(monitor(BUSY)) as watch:
        publisher.publish("", str(path))
        publisher.publish("", str(other))
        await watch.until(lambda: len(watch.seen) == 2)
        path.write_text("two")
        aside = tmp_path / "aside"
        aside.write_text("three")
        path.rename(tmp_path / "a.ini~")  # as editors do
        aside.rename(path)
        other.unlink()
        await watch.until(lambda: str(other) not in watch.seen)
        assert len(touched(watch, str(path))) == 1
        assert str(path) in watch.seen


async def test_a_file_goes_with_what_leads_to_it(publisher: Publisher, tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
    (tmp_path / "one" / "a.ini").write_text("one")
    current = tmp_path / "current"
    current.symlink_to("one")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.ini").write_text("b")
    async with watching(monitor()) as watch:
        publisher.publish("", f"{current}/a.ini")
        publisher.publish("", f"{folder}/b.ini")
        await watch.until(lambda: len(watch.seen) == 2)
        fresh = tmp_path / "fresh"
        fresh.symlink_to("two")
        fresh.rename(current)
        await watch.until(lambda: f"{current}/a.ini" not in watch.seen)
        folder.rename(tmp_path / "elsewhere")
        await watch.until(lambda: not watch.seen)


async def test_files_are_watched_on_after_a_restart(publisher: Publisher, tmp_path: Path) -> None:
    path, gone = tmp_path / "a.ini", tmp_path / "gone.ini"
    path.write_text("one")
    gone.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        publisher.publish("", str(gone))
        await watch.until(lambda: len(watch.seen) == 2)
        known = {name: seen.spec for name, seen in watch.seen.items()}
    gone.unlink()
    async with watching(monitor(), known=known) as watch:
        await watch.until(lambda: str(gone) not in watch.seen)
        assert list(watch.seen) == [str(path)]
        path.unlink()
        await watch.until(lambda: not watch.seen)
        assert "Touched" not in watch.kinds()


async def test_a_file_is_not_gone_when_its_file_system_is(tmp_path: Path) -> None:
    path = str(tmp_path / "away" / "a.ini")
    known = {path: Spec(ts=1, path=path, attrs={"mount": str(tmp_path / "away")})}
    async with watching(monitor(BUSY), known=known) as watch:
        await watch.until(lambda: "mounted" in watch.refused.get(path, ""))
        (tmp_path / "away").mkdir()
        (tmp_path / "away" / "a.ini").write_text("back")
        await recovered(watch)
        assert list(watch.seen) == [path]
        assert watch.kinds().count("Refused") == 1


async def test_a_destroyed_file_is_watched_no_longer(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor(BUSY)) as watch:
        publisher.publish("", str(path))
        publisher.publish(str(path), "")
        await watch.until(lambda: "Destroyed" in watch.kinds())
        path.unlink()
        publisher.publish("b.ini", "two")
        await watch.shows("b.ini", "two")
        assert "Vanished" not in watch.kinds()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(Path.mkdir, "there is no such file", id="directory"),
        pytest.param(lambda path: os.mkfifo(path), "there is no such file", id="FIFO"),
        pytest.param(lambda path: path.symlink_to(path), "cannot be read", id="loop"),
        pytest.param(lambda path: path.symlink_to("nowhere"), "no such file", id="dangling"),
    ],
)
async def test_what_is_no_file(
    publisher: Publisher, tmp_path: Path, make: Callable[[Path], Any], reason: str
) -> None:
    path = tmp_path / "a.ini"
    make(path)
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.until(lambda: str(path) in watch.refused)
        assert reason in watch.refused[str(path)]


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


# Connections


async def test_a_connection_that_breaks_is_made_again(source: AmqpSource) -> None:
    async with watching(source.monitor(BUSY)) as watch:
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        source.gate.cut()
        await watch.until(lambda: watch.failures() == ["the connection was lost"])
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")
        source.fail()
        await watch.until(lambda: "cannot connect: Connection refused" in watch.failures())
        source.put("c.ini", "three")
        source.mend()
        await watch.shows("c.ini", "three")
        assert set(watch.seen) == {"a.ini", "b.ini", "c.ini"}
        assert isinstance([each for each in watch.told if not isinstance(each, Touched)][-1],
            Recovered)  # fmt: skip


async def test_a_queue_that_is_deleted_is_made_again(source: AmqpSource) -> None:
    async with watching(source.monitor(BUSY)) as watch:
        source.publisher.channel.queue_delete(source.queue)
        await watch.until(lambda: watch.failures() == ["the queue was deleted"])
        await recovered(watch, 2)
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")


async def test_an_exchange_that_is_deleted_is_made_again(publisher: Publisher) -> None:
    publisher.channel.exchange_delete(EXCHANGE)
    async with watching(monitor()) as watch:
        publisher.channel.exchange_declare(EXCHANGE, exchange_type="fanout")  # as the seed does
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")


@pytest.mark.parametrize("durable", [None, False, True], ids=["gone", "anew", "made durable"])
async def test_an_exchange_that_is_deleted_under_it_is_noticed(
    publisher: Publisher, durable: bool | None
) -> None:
    async with watching(monitor(BUSY)) as watch:
        await recovered(watch)
        publisher.channel.exchange_delete(EXCHANGE)
        if durable is None:
            await recovered(watch, 2)
            assert "no exchange" in watch.failures()[0]
        else:
            publisher.channel.exchange_declare(EXCHANGE, "fanout", durable=durable)
        while "a.ini" not in watch.seen:  # messages are lost while no queue is bound
            publisher.publish("a.ini", "one")
            await trio.sleep(OFTEN)


@pytest.mark.parametrize("kind", ["topic", "headers", "fanout"])
async def test_an_exchange_is_used_as_it_is(
    publisher: Publisher, kind: str, tmp_path: Path
) -> None:
    publisher.declare(kind, durable=True)
    path = tmp_path / "a.ini"
    path.write_text("two")
    async with watching(monitor()) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
        publisher.publish("", str(path))
        await watch.shows(str(path), "two")


async def test_a_direct_exchange_gives_what_has_no_key(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.declare("direct")
    path = tmp_path / "a.ini"
    path.write_text("one")
    async with watching(monitor()) as watch:
        publisher.publish("", str(path))
        await watch.shows(str(path), "one")


async def test_who_connects_may_be_told(publisher: Publisher) -> None:
    where = shared().where
    user, password, vhost = (quote(where[key], safe="") for key in ("user", "password", "vhost"))
    url = f"{user}:{password}@127.0.0.1:{where['port']}/{vhost}"
    with Publisher(vhost=where["vhost"], user=where["user"], password=where["password"]) as own:
        own.declare()
        async with watching(open_url(url, SELDOM)) as watch:
            publisher.publish("b.ini", "other vhost")
            own.publish("a.ini", "one")
            await watch.shows("a.ini", "one")
            assert list(watch.seen) == ["a.ini"]


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        pytest.param("guest:hush@{}", "does not accept this user and password", id="password"),
        pytest.param("nobody:hush@{}", "does not accept this user and password", id="user"),
        pytest.param("{}/nowhere", "does not let this user use the virtual host", id="no vhost"),
        pytest.param("deployer:s3cr%2Ft%40of%20deployer@{}", "virtual host", id="forbidden vhost"),
        pytest.param("{}?queue=amq.x", "ACCESS_REFUSED", id="reserved queue"),
    ],
)
async def test_who_is_refused_says_why_and_not_how(who: str, reason: str) -> None:
    url = who.format(f"127.0.0.1:{shared().where['port']}")
    async with watching(open_url(url, BUSY)) as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert all(reason in each for each in watch.failures())
        assert "hush" not in str(watch.told)
        assert "s3cr" not in str(watch.told)


async def test_a_broker_that_stays_silent(source: AmqpSource) -> None:
    source.gate.silent = True
    opened = source.monitor(BUSY)
    silent = AmqpMonitor(opened.url, opened.broker, BUSY, limits=Limits(connect=0.3))
    async with watching(silent) as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert set(watch.failures()) == {"connecting to it took longer than 0.3 s"}
        source.gate.silent = False
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        # It can be cancelled while it is silent, connected.
        source.gate.silent = True


@pytest.mark.parametrize("way", ["trio-asyncio"], indirect=True)  # it takes long
async def test_a_broker_that_falls_silent(source: AmqpSource) -> None:
    opened = source.monitor(BUSY)
    opened.broker.parameters.heartbeat = 1
    async with watching(opened) as watch:
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        source.gate.silent = True
        await watch.until(watch.failures)
        assert watch.failures() == ["it gives no sign of life"]
        source.gate.silent = False
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")


async def test_a_broker_of_no_known_name() -> None:
    async with watching(open_url("nowhere.invalid", BUSY)) as watch:
        await watch.until(watch.failures)
    assert watch.failures()[0].startswith("cannot connect: ")
    assert "error" not in watch.failures()[0].lower()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="HTTP"),
        pytest.param(b"AMQP\0\1\0\0", id="another version"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(b"", id="hangs up"),
    ],
)
async def test_what_is_no_broker(greeting: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if greeting:
                await stream.send_all(greeting)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        async with watching(monitor(BUSY, port)) as watch:
            await watch.until(lambda: len(watch.failures()) > 1)
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("way")
async def test_nothing_is_left_when_it_ends(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_text("one")
    left = []
    for _ in range(3):
        async with watching(monitor()) as watch:
            publisher.publish("a.ini", "one")
            publisher.publish("", str(path))
            await watch.shows(str(path), "one")
        left.append(os.listdir("/proc/self/fd"))
    assert left[1] == left[2]


@pytest.mark.slow
async def test_a_broker_that_is_restarted() -> None:
    def publish(name: str, content: str) -> None:
        with Publisher(port) as publisher:
            publisher.publish(name, content)

    with service("rabbitmq") as server:
        port = server.where["port"]
        async with watching(open_url(f"127.0.0.1:{port}?queue=q", BUSY)) as watch:
            publish("a.ini", "one")
            await watch.shows("a.ini", "one")
            await trio.to_thread.run_sync(server, "kill")
            await watch.until(watch.failures)
            await trio.to_thread.run_sync(server, "start")
            await recovered(watch, 2)
            publish("b.ini", "two")
            await watch.shows("b.ini", "two")
            assert set(watch.seen) == {"a.ini", "b.ini"}


@pytest.mark.usefixtures("way")
async def test_through_tls(publisher: Publisher) -> None:
    where = shared().where
    address = f"127.0.0.1:{where['tls_port']}"
    async with watching(
        open_secured(f"{address}?cacertfile={where['certificate']}", SELDOM)
    ) as watch:
        publisher.publish("a.ini", "one")
        await watch.shows("a.ini", "one")
    async with watching(open_secured(address, BUSY)) as watch:  # its issuer is not known
        await watch.until(lambda: len(watch.failures()) > 1)
        assert "self-signed certificate" in watch.failures()[0]
